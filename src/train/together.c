#include "train/together.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "ckpt/checkpoint.h"
#include "ckpt/save.h"

enum { TRIES = 100, NAP = 50000000 /* ns */, LONGEST_PATH = 4096 };

/* ---- the output directory ---- */

struct opened {
    bool has_checkpoint;
    char checkpoint[LONGEST_PATH], mark[64];
};

static bool is_many(const struct world *w)
{
    return w && w->ranks > 1;
}

static int put_mark(const struct output_dir_options *o, struct opened *x)
{
    char *path;
    FILE *f;

    snprintf(x->mark, sizeof(x->mark), SAVE_PREFIX_TEMPORARY "mark.%ld", (long)getpid());
    path = path_join(o->path, x->mark);
    f = fopen(path, "we");
    mem_free(path);
    return f && fclose(f) == 0 ? OK : fail(ERR_CREATE, "%s: cannot write there", o->path);
}

static void remove_mark(const struct output_dir_options *o, const struct opened *x)
{
    char *path = path_join(o->path, x->mark);

    unlink(path);
    mem_free(path);
}

/* A network's file system may show it late. */
static int see_mark(const struct world *w, const struct output_dir_options *o, const struct opened *x)
{
    char *path = path_join(o->path, x->mark);
    bool seen = file_exists(path);

    for (int i = 0; !seen && i < TRIES; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = NAP }, NULL);
        seen = file_exists(path);
    }
    mem_free(path);
    if (seen)
        return OK;
    fail(ERR_CONFIG,
         "--output_dir %s is another directory for rank %d than for rank 0 (expected one for all)", o->path,
         w->rank);
    error_hint("it must lie in a file system that all hosts share");
    return ERR_CONFIG;
}

static void take_checkpoint(const struct output_dir *d, struct opened *x)
{
    x->has_checkpoint = d->checkpoint != NULL;
    if (x->has_checkpoint)
        snprintf(x->checkpoint, sizeof(x->checkpoint), "%s", d->checkpoint);
}

static int open_first(struct output_dir *d, const struct output_dir_options *o, struct opened *x)
{
    struct output_dir_options quick = *o;

    quick.by_sizes = true;
    TRY(output_dir_open(d, &quick));
    take_checkpoint(d, x);
    return o->dry ? OK : put_mark(o, x);
}

/* Every process reads its part of the checkpoint's bytes. Where one finds them damaged, the first takes
 * another checkpoint, and reads all of that, or says what is wrong. */
static int verify_checkpoint(const struct world *w, struct output_dir *d, const struct output_dir_options *o,
                             struct opened *x)
{
    bool bad = x->has_checkpoint && checkpoint_verify_part(x->checkpoint, w->rank, w->ranks) != OK;
    int status = OK;

    error_clear();
    TRY(world_any(w, &bad));
    if (!bad)
        return OK;
    if (world_is_first(w)) {
        status = output_dir_find(d, o);
        take_checkpoint(d, x);
    }
    return status == OK ? world_share(w, x, sizeof(*x)) : status;
}

int together_open_output(const struct world *w, struct output_dir *d, const struct output_dir_options *o)
{
    struct opened *x;
    int status;

    *d = (struct output_dir){ .lock.fd = -1 };
    if (!is_many(w))
        return output_dir_open(d, o);
    x = mem_alloc(sizeof(*x));
    status = world_is_first(w) ? open_first(d, o, x) : OK;
    if (status == OK)
        status = world_share(w, x, sizeof(*x));
    if (status == OK && !world_is_first(w) && x->mark[0])
        status = see_mark(w, o, x);
    if (status == OK)
        status = world_wait(w);
    if (status == OK)
        status = verify_checkpoint(w, d, o, x);
    if (status == OK && !world_is_first(w))
        d->checkpoint = x->has_checkpoint ? mem_strdup(x->checkpoint) : NULL;
    if (world_is_first(w) && x->mark[0])
        remove_mark(o, x);
    mem_free(x);
    return status;
}

/* ---- turns ---- */

int together_in_turn(const struct world *w, int (*fn)(void *context, bool again), void *context)
{
    bool first = !is_many(w) || w->host_rank == 0;

    if (first)
        TRY(fn(context, false));
    TRY(world_wait(w));
    return first ? OK : fn(context, true);
}

/* ---- meaning the same ---- */

static int compare_config(const struct world *w, const struct config *c)
{
    char what[128];

    TRY(world_agree(w, "model_type", c->def->name));
    for (const struct field *f = c->def->fields; f->key; f++) {
        const char *value = config_get_field(c, f);
        snprintf(what, sizeof(what), "config ($.%s)", f->key);
        TRY(world_agree(w, what, value ? value : "null"));
    }
    return OK;
}

/* Some numbers of some tensors, which is soon read from a file of any size: training changes all tensors. */
static uint64_t sample_weights(const struct weights *x)
{
    enum { TENSORS = 64, NUMBERS = 16 };
    uint64_t hash = x->count;

    for (size_t i = 0; i < x->count; i += x->count / TENSORS + 1) {
        const struct weights_tensor *t = &x->tensors[i];
        float some[NUMBERS] = { 0 };
        int64_t count = t->info->count < NUMBERS ? t->info->count : NUMBERS;
        hash = hash_bytes(t->name, strlen(t->name), hash);
        if (weights_read_range(t, t->info->count - count, count, some) == OK)
            hash = hash_bytes(some, sizeof(some), hash);
        else
            error_clear(); /* who reads all of it says so */
    }
    return hash;
}

static int compare_weights(const struct world *w, const struct model *m)
{
    char text[32] = "random";

    if (m->has_weights)
        snprintf(text, sizeof(text), "%016" PRIx64, sample_weights(&m->weights));
    return world_agree(w, "weights", text);
}

int together_compare(const struct world *w, const struct model *m, const struct train_note notes[],
                     size_t count)
{
    if (!is_many(w))
        return OK;
    TRY(compare_config(w, &m->config));
    TRY(compare_weights(w, m));
    for (size_t i = 0; i < count; i++)
        TRY(world_agree(w, notes[i].key, notes[i].value));
    return OK;
}
