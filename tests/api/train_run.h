/* train_run -- a training run of the library on the stored 40 steps of PyTorch: samples, options, what was
 * heard of it. */
#ifndef PLAIT_TESTS_API_TRAIN_RUN_H
#define PLAIT_TESTS_API_TRAIN_RUN_H

#include "support.h"

#define MODEL GOLDEN_DIR "/gpt2/train40/model"

enum { STEPS = 40, LENGTH = 32, BATCH = 4, MOST_ROWS = STEPS * BATCH };

struct golden {
    int32_t rows[MOST_ROWS][LENGTH];
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

static inline struct golden *read_golden(void)
{
    struct golden *g = calloc(1, sizeof(*g));
    size_t length;
    char *text = read_bytes(GOLDEN_DIR "/gpt2/train40/plain.jsonl", &length), *at = text;
    char *expected = read_bytes(GOLDEN_DIR "/gpt2/train40/expected.json", &length);

    while ((at = strchr(at, '[')) != NULL) {
        assert_in_range(g->count, 0, MOST_ROWS - 1);
        at++;
        for (int i = 0; i < LENGTH; i++)
            g->rows[g->count][i] = (int32_t)strtol(at, &at, 10), at++;
        g->count++;
    }
    read_numbers(strstr(expected, "\"plain\""), "\"loss\"", g->loss, STEPS);
    read_numbers(strstr(expected, "\"plain\""), "\"grad_norm\"", g->norm, STEPS);
    free(text);
    free(expected);
    return g;
}

/* ---- a run ---- */

struct run {
    struct golden *golden;
    struct plait_model *m;
    struct plait_samples samples;
    struct plait_train_options o;
    double loss[STEPS], norm[STEPS], rate[STEPS];
    int64_t steps, stop_at; /* 0: never */
    int64_t fail_at;        /* sample whose read fails; -1: none */
    bool labelled;
    struct path dir;
};

static inline int read_row(void *context, int64_t index, struct plait_sample *s)
{
    struct run *r = context;

    if (s->max_length != LENGTH || s->size != sizeof(*s) || index == r->fail_at)
        return 1;
    memcpy(s->ids, r->golden->rows[index % r->golden->count], LENGTH * sizeof(s->ids[0]));
    s->length = LENGTH;
    if (!r->labelled)
        return 0;
    s->labelled = 1;
    for (int i = 0; i < LENGTH; i++)
        s->labels[i] = i < LENGTH / 2 ? -100 : s->ids[i];
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

static inline void run_begin(struct run *r, void **state, const char *dir)
{
    *r = (struct run){ .golden = read_golden(), .fail_at = -1 };
    must(plait_log_set(PLAIT_LOG_ERROR));
    must(plait_model_open(MODEL, NULL, &r->m));
    must(plait_samples_init(&r->samples, sizeof(r->samples)));
    r->samples.count = MOST_ROWS;
    r->samples.max_length = LENGTH;
    r->samples.read = read_row;
    r->samples.context = r;
    must(plait_train_options_init(&r->o, sizeof(r->o)));
    r->o.output_dir = within(state, dir, &r->dir);
    r->o.train = &r->samples;
    r->o.batch_size = BATCH;
    r->o.max_steps = STEPS;
    r->o.no_shuffle = 1;
    r->o.learning_rate = 0.01;
    r->o.warmup_steps = 5;
    r->o.adam_beta2 = 0.98;
    r->o.weight_decay = 0.1;
    r->o.logging_steps = 1;
    r->o.progress = note_step;
    r->o.progress_context = r;
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
