/* Labels of a classification head, told apart as transformers does: one label is a regression, integers name
 * a class, other numbers are one for each label; problem_type in the config says it once and for all. */
#include <inttypes.h>
#include <math.h>

#include "api/forward_inputs.h"
#include "base/err.h"
#include "ckpt/safetensors.h"

static enum problem problem_of(const struct config *c, const struct named_tensor *t)
{
    if (c->problem != PROBLEM_UNSAID)
        return c->problem;
    if (c->labels == 1)
        return PROBLEM_REGRESSION;
    return t->kind == NAMED_FLOAT ? PROBLEM_MULTI_LABEL : PROBLEM_SINGLE_LABEL;
}

/* [B], or [B, width]. */
static int check_shape(const struct named_tensors *from, const struct named_tensor *t, int64_t samples,
                       int64_t width)
{
    bool flat = t->ndim == 1 && width == 1, full = t->ndim == 2 && t->shape[1] == width;

    if ((flat || full) && t->shape[0] == samples)
        return OK;
    return safetensors_fail(from->path, t->name,
                            "wrong shape (found %d dims and %" PRId64 " elements, expected [%" PRId64
                            ", %" PRId64 "]%s)",
                            t->ndim, (int64_t)t->count, samples, width,
                            width == 1 ? ", of which the second may be left out" : "");
}

static int read_classes(const struct named_tensors *from, const struct named_tensor *t,
                        struct forward_inputs *in, const struct config *c)
{
    TRY(check_shape(from, t, in->samples, 1));
    in->labels = mem_alloc_array((size_t)t->count + 1, sizeof(int64_t));
    TRY(named_tensor_ints(from, t, in->labels));
    for (int64_t i = 0; i < in->samples; i++) {
        if (in->labels[i] != FORWARD_NO_LABEL && (in->labels[i] < 0 || in->labels[i] >= c->labels))
            return safetensors_fail(from->path, t->name,
                                    "value at [%" PRId64 "] out of range (found %" PRId64
                                    ", expected 0 to %" PRId64 ", or -100 for no label)",
                                    i, in->labels[i], c->labels - 1);
        in->label_count += in->labels[i] != FORWARD_NO_LABEL;
    }
    return OK;
}

static int read_targets(const struct named_tensors *from, const struct named_tensor *t,
                        struct forward_inputs *in, const struct config *c)
{
    int64_t *whole;
    int status;

    TRY(check_shape(from, t, in->samples, c->labels));
    in->target_width = c->labels;
    in->targets = mem_alloc_array((size_t)t->count + 1, sizeof(float));
    if (t->kind == NAMED_FLOAT)
        return named_tensor_floats(from, t, in->targets);
    whole = mem_alloc_array((size_t)t->count + 1, sizeof(int64_t));
    status = named_tensor_ints(from, t, whole);
    for (int64_t i = 0; i < (int64_t)t->count && status == OK; i++)
        in->targets[i] = (float)whole[i];
    mem_free(whole);
    return status;
}

int forward_labels_read(const struct named_tensors *from, struct forward_inputs *in, const struct config *c)
{
    const struct named_tensor *t = named_tensor_find(from, "labels");

    in->problem = PROBLEM_SINGLE_LABEL; /* nothing else to compare with */
    if (!t)
        return OK;
    in->problem = problem_of(c, t);
    if (in->problem == PROBLEM_SINGLE_LABEL)
        return read_classes(from, t, in, c);
    in->label_count = in->samples;
    return read_targets(from, t, in, c);
}

int forward_targets_read(const struct named_tensors *from, struct forward_inputs *in, const struct config *c)
{
    const struct named_tensor *t = named_tensor_find(from, "targets");
    bool class = c->head == HEAD_CLASSIFICATION;
    int ndim = class ? 1 : 2;
    int64_t labels = in->samples * (class ? 1 : in->rows);

    if (!t)
        return OK;
    if (!in->labels)
        return safetensors_fail(from->path, t->name, "goes with labels that are no numbers themselves");
    if ((t->ndim != ndim && t->ndim != ndim + 1) || t->shape[0] != in->samples ||
        (!class && t->shape[1] != in->rows) || t->count == 0)
        return safetensors_fail(from->path, t->name,
                                "wrong shape (found %d dims and %" PRId64 " elements, expected [%" PRId64
                                ", %" PRId64 "], or so many numbers for each)",
                                t->ndim, (int64_t)t->count, in->samples, class ? 1 : in->rows);
    in->target_width = t->count / labels;
    in->targets = mem_alloc_array((size_t)t->count + 1, sizeof(float));
    return named_tensor_floats(from, t, in->targets);
}

/* As transformers: padding is told by its id, whatever the mask says. */
static int64_t last_row(const struct forward_inputs *in, int64_t sample, int64_t pad)
{
    int64_t row = in->length - 1;

    while (pad != INT_NONE && row > 0 && in->ids[sample * in->length + row] == pad)
        row--;
    return row;
}

static int count_eos(const struct forward_inputs *in, int64_t sample, int64_t eos, int64_t *last)
{
    int count = 0;

    for (int64_t i = 0; i < in->length; i++)
        if (in->ids[sample * in->length + i] == eos) {
            *last = i;
            count++;
        }
    return count;
}

/* With an encoder: the row of the decoder where the last eos stands. */
static int eos_rows(struct forward_inputs *in, const struct config *c)
{
    int first = 0;

    if (c->eos_count == 0)
        return fail(ERR_CONFIG, "%s: $.eos_token_id is missing", c->name);
    if (in->rows != in->length)
        return fail(
            ERR_DATA,
            "decoder_input_ids: the decoder does not read as many tokens as the encoder (found %" PRId64
            ", expected %" PRId64 ")",
            in->rows, in->length);
    for (int64_t i = 0; i < in->samples; i++) {
        int count = count_eos(in, i, c->eos[0], &in->class_rows[i]);
        first = i == 0 ? count : first;
        if (count != first)
            return fail(ERR_DATA,
                        "input_ids: All examples must have the same number of <eos> tokens. (row %" PRId64
                        " has %d, row 0 has %d)",
                        i, count, first);
        if (count == 0)
            return fail(ERR_DATA,
                        "input_ids: Each example must contain at least one <eos> token. (row %" PRId64
                        " has no %" PRId64 ")",
                        i, c->eos[0]);
    }
    return OK;
}

int forward_labels_rows(struct forward_inputs *in, const struct config *c)
{
    if (c->def->causal && c->head == HEAD_CLASSIFICATION && c->pad == INT_NONE && in->samples > 1)
        return fail(ERR_CONFIG, "%s: Cannot handle batch sizes > 1 if no padding token is defined.", c->name);
    in->class_rows = mem_alloc_array((size_t)in->samples, sizeof(in->class_rows[0]));
    if (config_has_encoder(c))
        return eos_rows(in, c);
    for (int64_t i = 0; i < in->samples; i++)
        in->class_rows[i] = c->def->causal ? last_row(in, i, c->pad) : 0;
    return OK;
}
