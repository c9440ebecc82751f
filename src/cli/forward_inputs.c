#include "cli/forward_inputs.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/safetensors.h"

enum { NO_LABEL = -100 };

/* What one of the tensors may be. */
struct slot {
    const char *name;
    int64_t **values;
    int64_t min, max;
    bool no_label; /* -100 is allowed too */
};

static int check_shape(const struct safetensors *st, const struct safetensors_tensor *t,
                       struct forward_inputs *in)
{
    if (t->ndim != 2)
        return safetensors_fail(st->path, t->name,
                                "wrong number of dims (found %d, expected 2: samples, tokens)", t->ndim);
    if (!in->ids) {
        in->samples = t->shape[0];
        in->length = t->shape[1];
        if (t->count == 0 || t->count > INT32_MAX)
            return safetensors_fail(st->path, t->name,
                                    "wrong number of tokens (found %" PRId64 ", expected 1 to %d)",
                                    (int64_t)t->count, INT32_MAX);
    }
    if (t->shape[0] != in->samples || t->shape[1] != in->length)
        return safetensors_fail(st->path, t->name,
                                "wrong shape (found [%" PRId64 ", %" PRId64
                                "], expected that of input_ids, [%" PRId64 ", %" PRId64 "])",
                                t->shape[0], t->shape[1], in->samples, in->length);
    return OK;
}

static int check_values(const struct safetensors *st, const struct slot *s)
{
    const struct safetensors_tensor *t = safetensors_find(st, s->name);

    for (int64_t i = 0; i < (int64_t)t->count; i++) {
        int64_t v = (*s->values)[i];
        if ((v >= s->min && v <= s->max) || (s->no_label && v == NO_LABEL))
            continue;
        return safetensors_fail(st->path, s->name,
                                "value at [%" PRId64 ", %" PRId64 "] out of range (found %" PRId64
                                ", expected %" PRId64 " to %" PRId64 "%s)",
                                i / t->shape[1], i % t->shape[1], v, s->min, s->max,
                                s->no_label ? ", or -100 for no label" : "");
    }
    return OK;
}

static int read_slot(const struct safetensors *st, const struct slot *s, struct forward_inputs *in)
{
    const struct safetensors_tensor *t = safetensors_find(st, s->name);

    if (!t)
        return OK;
    TRY(check_shape(st, t, in));
    *s->values = mem_alloc_array((size_t)t->count + 1, sizeof(int64_t));
    TRY(safetensors_read_int64(st, t, *s->values));
    return check_values(st, s);
}

static int refuse_others(const struct safetensors *st, const struct slot slots[], size_t count,
                         const char *model)
{
    for (size_t i = 0; i < st->count; i++) {
        bool known = false;
        for (size_t k = 0; k < count; k++)
            known |= strcmp(st->tensors[i].name, slots[k].name) == 0;
        if (!known)
            return safetensors_fail(
                st->path, st->tensors[i].name,
                "no input of %s (expected input_ids, attention_mask, position_ids, labels)", model);
    }
    return OK;
}

static void count_labels(struct forward_inputs *in)
{
    for (int64_t i = 0; in->labels && i < in->samples * in->length; i++)
        in->label_count += i % in->length > 0 && in->labels[i] != NO_LABEL;
}

static int read_all(const struct safetensors *st, struct forward_inputs *in, const struct config *c)
{
    const struct slot slots[] = {
        { "input_ids", &in->ids, 0, c->sizes.vocab - 1, false },
        { "attention_mask", &in->mask, 0, 1, false },
        { "position_ids", &in->positions, 0, c->sizes.positions - 1, false },
        { "labels", &in->labels, 0, c->sizes.vocab - 1, true },
    };

    if (!safetensors_find(st, "input_ids"))
        return fail(ERR_DATA, "%s: tensor \"input_ids\" missing", st->path);
    TRY(refuse_others(st, slots, sizeof(slots) / sizeof(slots[0]), c->def->name));
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
        TRY(read_slot(st, &slots[i], in));
    if (!in->positions && in->length > c->sizes.positions)
        return fail(ERR_USAGE,
                    "%s: rows of input_ids are longer than the model's positions (found %" PRId64
                    ", expected at most %" PRId64 ", from %s)",
                    st->path, in->length, c->sizes.positions, c->name);
    count_labels(in);
    return OK;
}

int forward_inputs_load(struct forward_inputs *in, const char *path, const struct config *c)
{
    struct safetensors st;
    int status;

    *in = (struct forward_inputs){ 0 };
    TRY(safetensors_open(&st, path));
    status = read_all(&st, in, c);
    safetensors_close(&st);
    if (status != OK)
        forward_inputs_release(in);
    return status;
}

void forward_inputs_release(struct forward_inputs *in)
{
    mem_free(in->ids);
    mem_free(in->mask);
    mem_free(in->positions);
    mem_free(in->labels);
    *in = (struct forward_inputs){ 0 };
}

void forward_inputs_batch(const struct forward_inputs *in, int64_t first, int64_t count, struct batch *b)
{
    int64_t T = in->length;
    int32_t *ids = mem_alloc_array(2 * (size_t)T + 1, sizeof(ids[0])), *labels = ids + T;

    batch_clear(b);
    for (int64_t sample = first; sample < first + count; sample++) {
        int64_t at = sample * T, row = b->rows.count;
        for (int64_t i = 0; i < T; i++) {
            ids[i] = (int32_t)in->ids[at + i];
            labels[i] = in->labels ? (int32_t)in->labels[at + i] : NO_LABEL;
        }
        batch_add_causal(b, ids, labels, T, sample, T);
        for (int64_t i = 0; i < T; i++) {
            if (in->positions)
                b->rows.positions[row + i] = (int32_t)in->positions[at + i];
            if (in->mask && !in->mask[at + i])
                b->rows.key_order[row + i] = -1;
        }
    }
    mem_free(ids);
}
