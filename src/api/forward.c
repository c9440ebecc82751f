/* Forward and gradients, as transformers gives them. Samples go through in runs of a few, so that a batch of
 * any size takes the memory of one run; the plan is kept for the next call and made again for longer samples
 * or another task. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "api/api.h"

enum { ROWS_AT_ONCE = 2048, NO_LABEL = -100 };

/* ---- arguments ---- */

int plait_forward_inputs_init(struct plait_forward_inputs *in, size_t size)
{
    const struct plait_forward_inputs preset = { 0 };

    TRY(api_begin("plait_forward_inputs_init", in, "in"));
    return api_give("plait_forward_inputs", in, size, &preset, sizeof(preset), sizeof(preset));
}

int plait_forward_outputs_init(struct plait_forward_outputs *out, size_t size)
{
    const struct plait_forward_outputs preset = { .loss = NAN };

    TRY(api_begin("plait_forward_outputs_init", out, "out"));
    return api_give("plait_forward_outputs", out, size, &preset, sizeof(preset), sizeof(preset));
}

static int check_values(const char *name, const int32_t *values, int64_t count, int64_t limit)
{
    bool labels = strcmp(name, "labels") == 0;

    for (int64_t i = 0; values && i < count; i++)
        if ((values[i] < 0 || values[i] >= limit) && !(labels && values[i] == NO_LABEL))
            return fail(ERR_DATA,
                        "%s: value %" PRId64 " out of range (found %" PRId32 ", expected 0 to %" PRId64 "%s)",
                        name, i, values[i], limit - 1, labels ? ", or -100" : "");
    return OK;
}

static int check_inputs(const struct plait_model *m, const struct plait_forward_inputs *in)
{
    const struct model_sizes *s = &m->model.config.sizes;
    int64_t count, rows, positions = model_position_limit(s);

    TRY(api_require("plait_model_forward", in->ids, "in->ids"));
    if (m->model.config.head != HEAD_CAUSAL)
        return fail(ERR_CONFIG, "plait_model_forward: %s is no causal language model (found %s)",
                    m->model.config.name, m->model.config.architecture);
    if (in->batch < 1 || in->length < 1 || !checked_mul(in->batch, in->length, &count) || count > INT32_MAX)
        return fail(ERR_USAGE,
                    "plait_model_forward: %" PRId64 " samples of %" PRId64
                    " tokens cannot be (expected at least 1 and at most %d in all)",
                    in->batch, in->length, INT32_MAX);
    if (!checked_mul(count, s->vocab, &rows) || rows > INT64_MAX / 4)
        return fail(ERR_USAGE, "plait_model_forward: more logits than can be counted");
    if (!in->position_ids && in->length > positions)
        return fail(ERR_USAGE,
                    "plait_model_forward: samples are longer than the model's positions (found %" PRId64
                    ", expected at most %" PRId64 ")",
                    in->length, positions);
    if (in->gradients && !in->labels)
        return fail(ERR_USAGE, "plait_model_forward: no gradients without labels");
    TRY(check_values("ids", in->ids, count, s->vocab));
    TRY(check_values("attention_mask", in->attention_mask, count, 2));
    TRY(check_values("position_ids", in->position_ids, count, positions));
    return check_values("labels", in->labels, count, s->vocab);
}

static int check_outputs(const struct plait_model *m, const struct plait_forward_inputs *in,
                         const struct plait_forward_outputs *out)
{
    int64_t expected = in->batch * in->length * m->model.config.sizes.vocab;

    if (out->logits && out->logits_count != expected)
        return fail(ERR_USAGE,
                    "plait_model_forward: wrong logits_count (found %" PRId64 ", expected %" PRId64 ")",
                    out->logits_count, expected);
    if (!out->logits && !in->labels)
        return fail(ERR_USAGE, "plait_model_forward: nothing is wanted (expected logits, labels or both)");
    return OK;
}

/* ---- the plan ---- */

static int make_runner(struct plait_model *m, const struct plait_forward_inputs *in, bool logits)
{
    struct api_runner *r = &m->forward;
    int64_t samples = ROWS_AT_ONCE / in->length;
    struct compile_options o = { .task = in->gradients ? TASK_GRADIENT
                                         : logits      ? TASK_FORWARD
                                                       : TASK_EVAL,
                                 .mesh = { { 1, 1 } } };

    samples = samples < 1 ? 1 : samples > in->batch ? in->batch : samples;
    if (r->plan && r->task == o.task && r->samples * r->length >= samples * in->length &&
        r->samples >= samples)
        return OK;
    api_runner_free(r);
    o.sequences = samples;
    o.rows = o.labels = samples * in->length;
    TRY(api_runner_create(m, &o, r));
    r->samples = samples;
    r->length = in->length;
    return OK;
}

/* ---- running ---- */

/* One sample as token rows, padding included: it is masked as keys, but has logits too. */
static void add_sample(const struct plait_forward_inputs *in, int64_t sample, struct batch *b,
                       const int32_t *no_labels)
{
    int64_t at = sample * in->length, row = b->rows.count;

    batch_add_causal(b, in->ids + at, in->labels ? in->labels + at : no_labels, in->length, sample,
                     in->length);
    for (int64_t i = 0; i < in->length; i++) {
        if (in->position_ids)
            b->rows.positions[row + i] = in->position_ids[at + i];
        if (in->attention_mask && in->attention_mask[at + i] == 0)
            b->rows.key_order[row + i] = -1;
    }
}

struct sums {
    double loss;
    int64_t labels;
};

static int run_samples(struct plait_model *m, const struct plait_forward_inputs *in, float *logits,
                       const int32_t *no_labels, struct sums *sums)
{
    const struct api_runner *r = &m->forward;
    int64_t row = in->length * m->model.config.sizes.vocab, most = r->samples * r->length / in->length;
    struct batch b;
    int status = OK;

    most = most > r->samples ? r->samples : most;
    batch_init(&b, &(struct batch_capacity){ .rows = most * in->length, .sequences = most });
    for (int64_t at = 0; at < in->batch && status == OK; at += most) {
        int64_t count = in->batch - at < most ? in->batch - at : most;
        batch_clear(&b);
        for (int64_t i = 0; i < count; i++)
            add_sample(in, at + i, &b, no_labels);
        executor_set_batch(r->executor, &b);
        status = executor_run(r->executor, PROGRAM_MICROBATCH,
                              &(struct run_options){ .first_microbatch = at == 0 });
        if (status != OK)
            break;
        if (logits)
            memcpy(logits + at * row, executor_view(r->executor, r->plan->logits).data,
                   (size_t)(count * row) * sizeof(float));
        if (in->labels) {
            struct view v = executor_view(r->executor, r->plan->loss);
            sums->loss += v.dtype == DT_F64 ? *(const double *)v.data : *(const float *)v.data;
            sums->labels += b.label_count;
        }
    }
    batch_release(&b);
    return status;
}

static int32_t *no_labels_of(const struct plait_forward_inputs *in)
{
    int32_t *labels = mem_alloc_array((size_t)in->length, sizeof(labels[0]));

    for (int64_t i = 0; i < in->length; i++)
        labels[i] = NO_LABEL;
    return labels;
}

static int run(struct plait_model *m, const struct plait_forward_inputs *in,
               struct plait_forward_outputs *out)
{
    struct sums sums = { 0 };
    int32_t *no_labels;
    int status;

    TRY(make_runner(m, in, out->logits != NULL));
    if (out->logits && !m->forward.plan->logits)
        return fail(ERR_CONFIG, "%s: this model has no head, so it has no logits", m->model.config.name);
    no_labels = no_labels_of(in);
    m->gradient_labels = 0;
    status = run_samples(m, in, out->logits, no_labels, &sums);
    mem_free(no_labels);
    TRY(status);
    out->loss = sums.labels > 0 ? sums.loss / (double)sums.labels : NAN;
    out->label_count = sums.labels;
    if (in->gradients)
        m->gradient_labels = sums.labels;
    return OK;
}

int plait_model_forward(struct plait_model *m, const struct plait_forward_inputs *in,
                        struct plait_forward_outputs *out)
{
    struct plait_forward_inputs i = { 0 };
    struct plait_forward_outputs o = { 0 };

    TRY(api_begin("plait_model_forward", m, "m"));
    TRY(api_require("plait_model_forward", in, "in"));
    TRY(api_require("plait_model_forward", out, "out"));
    TRY(api_take("plait_forward_inputs", in, &i, sizeof(i), sizeof(i)));
    TRY(api_take("plait_forward_outputs", out, &o, sizeof(o), sizeof(o)));
    TRY(check_inputs(m, &i));
    TRY(check_outputs(m, &i, &o));
    TRY(run(m, &i, &o));
    return api_give("plait_forward_outputs", out, o.size, &o, sizeof(o), sizeof(o));
}
