#include "train/results.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "train/run.h"

enum { MOST = 64, READ_LIMIT = 1 << 20 };

struct result {
    const char *key;
    char json[40];
};

struct results {
    struct result items[MOST];
    int count;
    struct arena memory; /* keys that were read */
};

static void put(struct results *s, const char *key, const char *json)
{
    int i = 0;

    while (i < s->count && strcmp(s->items[i].key, key) != 0)
        i++;
    if (i == MOST || strlen(json) >= sizeof(s->items[i].json))
        return; /* of another program's making */
    s->count += i == s->count;
    s->items[i].key = key;
    snprintf(s->items[i].json, sizeof(s->items[i].json), "%s", json);
}

static void put_double(struct results *s, const char *key, double v)
{
    struct str text;
    struct json_writer w;

    str_init(&text);
    json_writer_init(&w, &text, 0);
    if (isfinite(v))
        json_write_double(&w, v);
    else
        json_write_null(&w);
    put(s, key, text.data);
    str_release(&text);
}

static void put_int(struct results *s, const char *key, int64_t v)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, v);
    put(s, key, text);
}

static double rate(double count, double seconds)
{
    return seconds > 0 ? round(count / seconds * 1000) / 1000 : 0;
}

static void put_evaluation(struct results *s, const struct evaluation *e)
{
    put_double(s, "eval_loss", e->loss);
    if (e->objective != OBJECTIVE_CLASSIFICATION) {
        put_double(s, "eval_perplexity", evaluation_perplexity(e));
        put_double(s, "perplexity", evaluation_perplexity(e));
    }
    if (!isnan(e->accuracy))
        put_double(s, "eval_accuracy", e->accuracy);
    put_double(s, "eval_runtime", e->seconds);
    put_int(s, "eval_samples", e->samples);
    put_double(s, "eval_samples_per_second", rate((double)e->samples, e->seconds));
    put_double(s, "eval_steps_per_second", rate((double)e->steps, e->seconds));
}

static void put_training(struct results *s, const struct run *r)
{
    const struct trainer_state *t = &r->state;

    put_double(s, "total_flos", t->total_flos);
    put_double(s, "train_loss",
               t->train_loss_tokens > 0 ? t->train_loss_sum / (double)t->train_loss_tokens : NAN);
    put_double(s, "train_runtime", t->train_seconds);
    put_int(s, "train_samples", r->job->train.count);
    put_double(s, "train_samples_per_second", rate((double)t->samples_seen, t->train_seconds));
    put_double(s, "train_steps_per_second", rate((double)t->global_step, t->train_seconds));
}

/* ---- text ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct result *)a)->key, ((const struct result *)b)->key);
}

static void write_text(struct results *s, struct str *out)
{
    struct json_writer w;

    qsort(s->items, (size_t)s->count, sizeof(s->items[0]), compare);
    json_writer_init(&w, out, 4);
    json_write_object_begin(&w);
    for (int i = 0; i < s->count; i++) {
        json_write_key(&w, s->items[i].key);
        json_write_raw(&w, s->items[i].json, strlen(s->items[i].json));
    }
    json_write_object_end(&w);
    str_append_char(out, '\n');
}

static int write_file(struct results *s, const char *directory, const char *name)
{
    char *path = path_join(directory, name);
    struct str text;
    int status;

    str_init(&text);
    write_text(s, &text);
    status = file_write(path, text.data, text.length);
    str_release(&text);
    mem_free(path);
    return status;
}

/* What an earlier command left there; a file that is none of ours counts for nothing. */
static void read_file(struct results *s, const char *directory, const char *name)
{
    char *path = path_join(directory, name);
    struct json_reader r;
    struct json_string key;
    struct str text;

    str_init(&text);
    if (file_exists(path) && file_read(path, READ_LIMIT, &text) == OK) {
        json_reader_init(&r, path, text.data, text.length);
        if (json_object_begin(&r)) {
            while (json_next_key(&r, &key)) {
                char *own = arena_strndup(&s->memory, key.data, key.length);
                struct json_string raw = json_raw(&r);
                if (raw.length < sizeof(s->items[0].json))
                    put(s, own, arena_strndup(&s->memory, raw.data, raw.length));
            }
        }
        if (json_end(&r) != OK)
            s->count = 0;
        json_reader_release(&r);
    }
    error_clear();
    str_release(&text);
    mem_free(path);
}

/* ---- files ---- */

int results_write(const struct run *r)
{
    const char *directory = r->o->output_dir;
    struct results train = { 0 }, eval = { 0 }, all = { 0 };
    int status;

    arena_init(&all.memory);
    read_file(&all, directory, "all_results.json");
    put_double(&train, "epoch", r->state.epoch);
    put_double(&all, "epoch", r->state.epoch);
    put_training(&train, r);
    put_training(&all, r);
    status = write_file(&train, directory, "train_results.json");
    if (r->evaluated >= 0) {
        put_double(&eval, "epoch", r->state.epoch);
        put_evaluation(&eval, &r->evaluation);
        put_evaluation(&all, &r->evaluation);
        status = status == OK ? write_file(&eval, directory, "eval_results.json") : status;
    }
    if (status == OK)
        status = write_file(&all, directory, "all_results.json");
    arena_release(&all.memory);
    return status;
}

int results_write_evaluation(const char *directory, const struct evaluation *e)
{
    struct results eval = { 0 }, all = { 0 };
    int status;

    arena_init(&all.memory);
    read_file(&all, directory, "all_results.json");
    put_evaluation(&eval, e);
    put_evaluation(&all, e);
    status = write_file(&eval, directory, "eval_results.json");
    if (status == OK)
        status = write_file(&all, directory, "all_results.json");
    arena_release(&all.memory);
    return status;
}

void results_evaluation(const struct evaluation *e, struct str *out)
{
    struct results s = { 0 };

    put_evaluation(&s, e);
    write_text(&s, out);
}
