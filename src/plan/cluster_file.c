/* A cluster as a JSON object: what --cluster reads and --probe prints. */
#include <inttypes.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "plan/cluster.h"

static const struct {
    const char *key;
    size_t offset;
} figures[] = {
    { "memory_per_rank", offsetof(struct cluster, memory) },
    { "flops_per_second", offsetof(struct cluster, flops) },
    { "memory_bytes_per_second", offsetof(struct cluster, memory_bytes) },
    { "link_bytes_per_second", offsetof(struct cluster, link_bytes) },
    { "message_seconds", offsetof(struct cluster, message_seconds) },
    { "host_link_bytes_per_second", offsetof(struct cluster, host_link_bytes) },
    { "host_message_seconds", offsetof(struct cluster, host_message_seconds) },
};

enum { FIGURES = sizeof(figures) / sizeof(figures[0]), MOST_RANKS = 1 << 20 };

/* Of figures: what lies beyond is no machine's, and costs could no longer be compared. */
static const double LEAST = 1e-15, MOST = 1e30;

static double *figure(struct cluster *c, int i)
{
    return (void *)((char *)c + figures[i].offset);
}

static void read_figure(struct json_reader *r, double *out)
{
    double v = json_double(r);

    if (json_status(r) == OK && !(v >= LEAST && v <= MOST))
        json_fail(r, "out of range (found %g, expected a number from %g to %g)", v, LEAST, MOST);
    *out = v;
}

static void read_key(struct json_reader *r, struct cluster *c)
{
    for (int i = 0; i < FIGURES; i++) {
        if (!json_key_is(r, figures[i].key))
            continue;
        read_figure(r, figure(c, i));
        return;
    }
    if (json_key_is(r, "hosts"))
        c->hosts = (int)json_int(r, 1, MOST_RANKS);
    else if (json_key_is(r, "ranks_per_host"))
        c->host_ranks = (int)json_int(r, 1, MOST_RANKS);
    else
        json_fail(r, "unknown key (expected hosts, ranks_per_host, memory_per_rank, flops_per_second, "
                     "memory_bytes_per_second, link_bytes_per_second, message_seconds, "
                     "host_link_bytes_per_second or host_message_seconds)");
}

int cluster_load(struct cluster *c, const char *path)
{
    struct cluster read = { 0 };
    struct json_string key;
    struct json_reader r;
    struct str text;
    int status;

    str_init(&text);
    status = file_read(path, 1 << 20, &text);
    if (status == OK) {
        json_reader_init(&r, path, text.data, text.length);
        if (json_object_begin(&r))
            while (json_next_key(&r, &key))
                read_key(&r, &read);
        status = json_end(&r);
        json_reader_release(&r);
    }
    str_release(&text);
    if (status == OK && read.hosts > 1 && read.host_ranks == 0)
        status = fail(ERR_CONFIG, "%s: hosts without ranks_per_host", path);
    if (status == OK && (int64_t)read.hosts * read.host_ranks > MOST_RANKS)
        status = fail(ERR_CONFIG,
                      "%s: hosts times ranks_per_host is too large (found %" PRId64 ", expected at most %d)",
                      path, (int64_t)read.hosts * read.host_ranks, MOST_RANKS);
    if (status == OK)
        *c = read;
    return status;
}

void cluster_write(const struct cluster *c, struct json_writer *w)
{
    struct cluster copy = *c;

    json_write_object_begin(w);
    if (c->host_ranks > 0) {
        json_write_member_int(w, "hosts", c->hosts > 0 ? c->hosts : 1);
        json_write_member_int(w, "ranks_per_host", c->host_ranks);
    }
    for (int i = 0; i < FIGURES; i++) {
        if (*figure(&copy, i) <= 0)
            continue;
        json_write_key(w, figures[i].key);
        json_write_double(w, *figure(&copy, i));
    }
    json_write_object_end(w);
}
