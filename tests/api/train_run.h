/* train_run -- a training run of the library on the stored 40 steps of PyTorch: samples, options, what was
 * heard of it. */
#ifndef PLAIT_TESTS_API_TRAIN_RUN_H
#define PLAIT_TESTS_API_TRAIN_RUN_H

#include "support.h"

#define MODEL GOLDEN_DIR "/gpt2/train40/model"

enum { STEPS = 40, LENGTH = 32, BATCH = 4, MOST_ROWS = STEPS * BATCH };

struct row {
    int32_t ids[LENGTH], labels[LENGTH];
    int64_t length, label_count; /* 0: none */
};

struct golden {
    struct row rows[MOST_ROWS];
    int64_t count;
    double loss[STEPS], norm[STEPS];
};

/* ---- goldens ---- */

static inline void read_numbers(const char *from, const char *key, double *out, int count)
{
    char *at = strstr(from, key);

    assert_non_null(at);
    at = strchr(at, '[') + 1;
    for (int i = 0; i < count; i++)
        out[i] = strtod(at, &at), at += strcspn(at, ",]") + 1;
}

/* "key":[1,2,3] of a line. */
static inline int64_t read_list(const char *line, const char *key, int32_t *out)
{
    char *at = strstr(line, key);
    int64_t count = 0;

    if (!at)
        return 0;
    for (at = strchr(at, '['); *at != ']'; count++) {
        assert_in_range(count, 0, LENGTH - 1);
        out[count] = (int32_t)strtol(at + 1, &at, 10);
    }
    return count;
}

static inline void read_rows(struct golden *g, const char *path)
{
    size_t length;
    char *text = read_bytes(path, &length), *end;

    for (char *line = text; (end = strchr(line, '\n')) != NULL && g->count < MOST_ROWS; line = end + 1) {
        struct row *r = &g->rows[g->count++];
        *end = '\0';
        r->length = read_list(line, "\"input_ids\"", r->ids);
        r->label_count = read_list(line, "\"labels\"", r->labels);
    }
    free(text);
}

static inline struct golden *read_golden(const char *family)
{
    struct golden *g = calloc(1, sizeof(*g));
    const char *rows = strcmp(family, "gpt2") == 0 ? "plain.jsonl" : "rows.jsonl";
    char path[512], *expected;
    size_t length;

    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/train40/%s", family, rows);
    read_rows(g, path);
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/train40/expected.json", family);
    expected = read_bytes(path, &length);
    read_numbers(strstr(expected, "\"plain\""), "\"loss\"", g->loss, STEPS);
    read_numbers(strstr(expected, "\"plain\""), "\"grad_norm\"", g->norm, STEPS);
    free(expected);
    return g;
}

static inline int64_t longest(const struct golden *g)
{
    int64_t most = 0;

    for (int64_t i = 0; i < g->count; i++)
        most = g->rows[i].length > most ? g->rows[i].length : most;
    return most;
}

/* ---- a run ---- */

enum { MOST_OPTIONS = 60 };

struct run {
    struct golden *golden;
    struct plait_model *m;
    struct plait_samples samples;
    struct plait_training own;
    const char *options[MOST_OPTIONS];
    double loss[STEPS], norm[STEPS], rate[STEPS];
    int64_t steps, stop_at; /* 0: never */
    int64_t fail_at;        /* sample whose read fails; -1: none */
    bool labelled;
    struct path dir;
};

/* Sets an option, or another value of one that is set. */
static inline void set(struct run *r, const char *name, const char *value)
{
    int i = 0;

    while (r->options[i] && strcmp(r->options[i], name) != 0)
        i += 2;
    assert_in_range(i, 0, MOST_OPTIONS - 3);
    r->options[i] = name;
    r->options[i + 1] = value;
}

static inline int train(struct run *r)
{
    return plait_model_train(r->m, r->options, &r->own);
}

static inline int read_row(void *context, int64_t index, struct plait_sample *s)
{
    struct run *r = context;
    const struct row *row = &r->golden->rows[index % r->golden->count];
    int32_t half[LENGTH];

    if (index == r->fail_at)
        return 1;
    plait_sample_set(s, &(struct plait_array){ "input_ids", PLAIT_INT32, 1, { row->length }, row->ids });
    for (int i = 0; i < LENGTH; i++)
        half[i] = i < LENGTH / 2 ? -100 : row->ids[i];
    if (r->labelled)
        plait_sample_set(s, &(struct plait_array){ "labels", PLAIT_INT32, 1, { row->length }, half });
    if (row->label_count > 0)
        plait_sample_set(
            s, &(struct plait_array){ "labels", PLAIT_INT32, 1, { row->label_count }, row->labels });
    return 0;
}

static inline int note_step(void *context, const struct plait_train_progress *p)
{
    struct run *r = context;

    if (p->size != sizeof(*p) || p->step > STEPS || p->step < 1)
        return 1;
    r->loss[p->step - 1] = p->loss;
    r->norm[p->step - 1] = p->grad_norm;
    r->rate[p->step - 1] = p->learning_rate;
    r->steps = p->step;
    return r->stop_at && p->step >= r->stop_at;
}

static inline void run_open(struct run *r, void **state, const char *dir, const char *family,
                            const char *const *model_options)
{
    char path[512];
    static const char *const options[][2] = {
        { "per_device_train_batch_size", "4" },
        { "max_steps", "40" },
        { "no_shuffle", "true" },
        { "learning_rate", "0.01" },
        { "warmup_steps", "5" },
        { "adam_beta2", "0.98" },
        { "weight_decay", "0.1" },
        { "logging_steps", "1" },
    };

    *r = (struct run){ .golden = read_golden(family), .fail_at = -1 };
    must(plait_log_set(PLAIT_LOG_ERROR));
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/train40/model", family);
    must(plait_model_open(path, model_options, &r->m));
    r->samples = (struct plait_samples){
        .size = sizeof(r->samples), .count = MOST_ROWS, .max_length = LENGTH, .read = read_row, .context = r
    };
    r->own = (struct plait_training){
        .size = sizeof(r->own), .train = &r->samples, .progress = note_step, .context = r
    };
    set(r, "output_dir", within(state, dir, &r->dir));
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        set(r, options[i][0], options[i][1]);
}

static inline void run_begin(struct run *r, void **state, const char *dir)
{
    run_open(r, state, dir, "gpt2", NULL);
}

static inline void run_end(struct run *r)
{
    plait_model_free(r->m);
    free(r->golden);
}

static inline void follow(const struct run *r, const double *loss, const double *norm)
{
    assert_int_equal(r->steps, STEPS);
    for (int i = 0; i < STEPS; i++) {
        if (fabs(r->loss[i] - loss[i]) > 2e-3 * loss[i])
            fail_msg("loss of step %d is %.6f, expected %.6f", i + 1, r->loss[i], loss[i]);
        if (norm && fabs(r->norm[i] - norm[i]) > 2e-2 * norm[i])
            fail_msg("gradient norm of step %d is %.6f, expected %.6f", i + 1, r->norm[i], norm[i]);
    }
}

#endif
