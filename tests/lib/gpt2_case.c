#include "lib/gpt2_case.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/hf.h"

const struct cluster case_fast_links = { .link_bytes = 1e15, .message_seconds = 1e-12 };

int case_fill_store(struct store *s, const char *dir)
{
    struct model m;
    int status;

    TRY(model_open(&m, &(struct model_options){ .name = dir }));
    status = model_fill_store(&m, s);
    model_close(&m);
    return status;
}

static int64_t *read_ints(const struct safetensors *st, const char *name, int64_t shape[2])
{
    const struct safetensors_tensor *t = safetensors_find(st, name);
    int64_t *values;

    if (!t)
        return NULL;
    shape[0] = t->shape[0];
    shape[1] = t->shape[1];
    values = mem_alloc_array(t->count + 1, sizeof(values[0]));
    if (safetensors_read_int64(st, t, values) != OK)
        BUG("%s", error_message());
    return values;
}

int case_inputs_load(struct case_inputs *in, const char *dir)
{
    char *path = path_join(dir, "inputs.safetensors");
    struct safetensors st;
    int64_t shape[2] = { 0, 0 };
    int status = safetensors_open(&st, path);

    mem_free(path);
    if (status != OK)
        return status;
    *in = (struct case_inputs){ 0 };
    in->ids = read_ints(&st, "input_ids", shape);
    in->samples = shape[0];
    in->length = shape[1];
    in->mask = read_ints(&st, "attention_mask", shape);
    in->positions = read_ints(&st, "position_ids", shape);
    in->labels = read_ints(&st, "labels", shape);
    safetensors_close(&st);
    return OK;
}

void case_inputs_release(struct case_inputs *in)
{
    mem_free(in->ids);
    mem_free(in->mask);
    mem_free(in->positions);
    mem_free(in->labels);
}

static void add_sample(struct batch *b, const struct case_inputs *in, int64_t sample)
{
    int64_t T = in->length, at = sample * T, row = b->rows.count;
    int32_t *ids = mem_alloc_array(2 * (size_t)T + 1, sizeof(ids[0])), *labels = ids + T;

    for (int64_t i = 0; i < T; i++) {
        ids[i] = (int32_t)in->ids[at + i];
        labels[i] = in->labels ? (int32_t)in->labels[at + i] : -100;
    }
    batch_add_causal(b, ids, labels, T, sample, T);
    for (int64_t i = 0; i < T; i++) {
        if (in->positions)
            b->rows.positions[row + i] = (int32_t)in->positions[at + i];
        if (in->mask && !in->mask[at + i])
            b->rows.key_order[row + i] = -1;
    }
    mem_free(ids);
}

void case_batch(struct batch *b, const struct case_inputs *in, int64_t first, int64_t count)
{
    batch_clear(b);
    for (int64_t i = 0; i < count; i++)
        add_sample(b, in, first + i);
}

double case_difference(const float *a, const float *b, int64_t count)
{
    double sum = 0, norm = 0;

    for (int64_t i = 0; i < count; i++) {
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(sum / (norm > 0 ? norm : 1));
}

float *case_expected(const char *dir, const char *name, int64_t *count)
{
    char *path = path_join(dir, "expected.safetensors");
    struct safetensors st;
    const struct safetensors_tensor *t;
    float *values = NULL;

    if (safetensors_open(&st, path) != OK)
        BUG("%s", error_message());
    mem_free(path);
    t = safetensors_find(&st, name);
    if (t) {
        *count = (int64_t)t->count;
        values = mem_alloc_array(t->count + 1, sizeof(float));
        if (safetensors_read_float(&st, t, values) != OK)
            BUG("%s", error_message());
    }
    safetensors_close(&st);
    return values;
}
