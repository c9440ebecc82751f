#include "api/forward_inputs.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/safetensors.h"

/* ---- tensors by name ---- */

const struct named_tensor *named_tensor_find(const struct named_tensors *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->list[i].name, name) == 0)
            return &list->list[i];
    return NULL;
}

int named_tensor_ints(const struct named_tensors *list, const struct named_tensor *t, int64_t *out)
{
    if (t->kind != NAMED_INT)
        return safetensors_fail(list->path, t->name, "elements are %s, expected integers", t->type);
    return list->read(list->context, t, out, NULL);
}

int named_tensor_floats(const struct named_tensors *list, const struct named_tensor *t, float *out)
{
    if (t->kind != NAMED_FLOAT)
        return safetensors_fail(list->path, t->name, "elements are %s, expected numbers with a point",
                                t->type);
    return list->read(list->context, t, NULL, out);
}

/* ---- slots ---- */

/* What one of the tensors may be. */
struct slot {
    const char *name;
    int64_t **values;
    int64_t min, max;
    bool no_label;   /* -100 is allowed too */
    int64_t *length; /* tokens of a row, as of other tensors */
};

static int check_shape(const struct named_tensors *from, const struct named_tensor *t, int64_t *length,
                       struct forward_inputs *in)
{
    if (t->ndim != 2)
        return safetensors_fail(from->path, t->name,
                                "wrong number of dims (found %d, expected 2: samples, tokens)", t->ndim);
    if (!*length) {
        in->samples = in->samples ? in->samples : t->shape[0];
        *length = t->shape[1];
        if (t->count == 0 || t->count > INT32_MAX)
            return safetensors_fail(from->path, t->name,
                                    "wrong number of tokens (found %" PRId64 ", expected 1 to %d)",
                                    (int64_t)t->count, INT32_MAX);
    }
    if (t->shape[0] != in->samples || t->shape[1] != *length)
        return safetensors_fail(from->path, t->name,
                                "wrong shape (found [%" PRId64 ", %" PRId64
                                "], expected that of %s, [%" PRId64 ", %" PRId64 "])",
                                t->shape[0], t->shape[1],
                                length == &in->length ? "input_ids" : "the decoder's", in->samples, *length);
    return OK;
}

static int check_values(const struct named_tensors *from, const struct slot *s)
{
    const struct named_tensor *t = named_tensor_find(from, s->name);

    for (int64_t i = 0; i < (int64_t)t->count; i++) {
        int64_t v = (*s->values)[i];
        if ((v >= s->min && v <= s->max) || (s->no_label && v == FORWARD_NO_LABEL))
            continue;
        return safetensors_fail(from->path, s->name,
                                "value at [%" PRId64 ", %" PRId64 "] out of range (found %" PRId64
                                ", expected %" PRId64 " to %" PRId64 "%s)",
                                i / t->shape[1], i % t->shape[1], v, s->min, s->max,
                                s->no_label ? ", or -100 for no label" : "");
    }
    return OK;
}

static int read_slot(const struct named_tensors *from, const struct slot *s, struct forward_inputs *in)
{
    const struct named_tensor *t = s->values ? named_tensor_find(from, s->name) : NULL;

    if (!t)
        return OK;
    TRY(check_shape(from, t, s->length, in));
    *s->values = mem_alloc_array((size_t)t->count + 1, sizeof(int64_t));
    TRY(named_tensor_ints(from, t, *s->values));
    return check_values(from, s);
}

static int refuse_others(const struct named_tensors *from, const struct slot slots[], const char *model)
{
    struct str known;
    int status = OK;

    str_init(&known);
    for (const struct slot *s = slots; s->name; s++)
        str_appendf(&known, "%s%s", s == slots || !*s->name ? "" : ", ", s->name);
    for (size_t i = 0; i < from->count && status == OK; i++) {
        const struct slot *s = slots;
        while (s->name && strcmp(from->list[i].name, s->name) != 0)
            s++;
        if (!s->name)
            status = safetensors_fail(from->path, from->list[i].name, "no input of %s (expected %s)", model,
                                      known.data);
    }
    str_release(&known);
    return status;
}

static int read_slots(const struct named_tensors *from, struct forward_inputs *in, const struct slot slots[],
                      const struct config *c)
{
    if (!named_tensor_find(from, "input_ids"))
        return fail(ERR_DATA, "%s: tensor \"input_ids\" missing", from->path);
    TRY(refuse_others(from, slots, c->def->name));
    for (const struct slot *s = slots; s->name; s++)
        TRY(read_slot(from, s, in));
    return OK;
}

/* ---- models with a decoder alone, or with rows alone ---- */

static const struct slot of_none = { .name = "" };

static bool is_headless(const struct config *c)
{
    return c->head == HEAD_NONE || c->head == HEAD_ENCODER;
}

/* Labels of a classification are read by themselves. */
static struct slot labels_of(const struct forward_inputs *in, const struct config *c,
                             const struct slot *tokens)
{
    const struct slot classes = { .name = "labels" };

    if (c->head == HEAD_CLASSIFICATION)
        return classes;
    return is_headless(c) && !in->own_loss ? of_none : *tokens;
}

/* They are read by themselves too. */
static struct slot targets_of(const struct forward_inputs *in)
{
    const struct slot targets = { .name = "targets" };

    return in->own_loss ? targets : of_none;
}

static int read_rows(const struct named_tensors *from, struct forward_inputs *in, const struct config *c)
{
    const struct slot types = { "token_type_ids", &in->token_types, 0, c->sizes.token_types - 1, false,
                                &in->length };
    const struct slot tokens = { "labels", &in->labels, 0, c->sizes.vocab - 1, true, &in->length };
    const struct slot token_types = c->def->token_types ? types : of_none;
    const struct slot slots[] = {
        { "input_ids", &in->ids, 0, c->sizes.vocab - 1, false, &in->length },
        { "attention_mask", &in->mask, 0, 1, false, &in->length },
        { "position_ids", &in->positions, 0, c->sizes.first_position + model_position_limit(&c->sizes) - 1,
          false, &in->length },
        token_types,
        labels_of(in, c, &tokens),
        targets_of(in),
        { 0 },
    };

    in->shift = c->head == HEAD_CAUSAL || (in->own_loss && is_headless(c) && config_is_causal(c));
    TRY(read_slots(from, in, slots, c));
    in->rows = in->length;
    for (int64_t i = 0; in->positions && i < in->samples * in->length; i++)
        in->longest = in->positions[i] >= in->longest ? (int32_t)in->positions[i] + 1 : in->longest;
    if (!in->positions && in->length > model_position_limit(&c->sizes))
        return fail(ERR_USAGE,
                    "%s: rows of input_ids are longer than the model's positions (found %" PRId64
                    ", expected at most %" PRId64 ", from %s)",
                    from->path, in->length, c->sizes.positions, c->name);
    for (int64_t i = 0; in->labels && i < in->samples * in->length; i++)
        in->label_count += i % in->length >= in->shift && in->labels[i] != FORWARD_NO_LABEL;
    if (c->head == HEAD_CLASSIFICATION)
        TRY(forward_labels_read(from, in, c));
    if (in->own_loss)
        TRY(forward_targets_read(from, in, c));
    if (c->head == HEAD_NONE && in->own_loss)
        return OK;
    return c->head == HEAD_CLASSIFICATION || c->head == HEAD_NONE ? forward_labels_rows(in, c) : OK;
}

/* ---- models with an encoder ---- */

/* The decoder reads its labels or, to classify, what the encoder reads: one row late. */
static int shift_right(const struct named_tensors *from, struct forward_inputs *in, const struct config *c)
{
    const int64_t *ids = c->head == HEAD_CLASSIFICATION ? in->ids : in->labels;

    if (!ids)
        return fail(ERR_DATA, "%s: tensor \"decoder_input_ids\" missing%s", from->path,
                    c->head == HEAD_NONE ? "" : " (or \"labels\")");
    if (c->head == HEAD_CLASSIFICATION)
        in->rows = in->length;
    if (c->decoder_start == INT_NONE || c->pad == INT_NONE)
        return fail(ERR_CONFIG, "%s: $.%s has to be defined", c->name,
                    c->pad == INT_NONE ? "pad_token_id" : "decoder_start_token_id");
    if (c->decoder_start >= c->sizes.vocab || c->pad >= c->sizes.vocab)
        return fail(ERR_CONFIG,
                    "%s: $.decoder_start_token_id %" PRId64 " and $.pad_token_id %" PRId64
                    " are not both below $.vocab_size %" PRId64,
                    c->name, c->decoder_start, c->pad, c->sizes.vocab);
    in->decoder_ids = mem_alloc_array((size_t)(in->samples * in->rows) + 1, sizeof(int64_t));
    for (int64_t i = 0; i < in->samples * in->rows; i++) {
        int64_t before = i % in->rows ? ids[i - 1] : c->decoder_start;
        in->decoder_ids[i] = before == FORWARD_NO_LABEL ? c->pad : before;
    }
    return OK;
}

static int read_both(const struct named_tensors *from, struct forward_inputs *in, const struct config *c)
{
    const struct slot tokens = { "labels", &in->labels, 0, c->sizes.vocab - 1, true, &in->rows };
    const struct slot slots[] = {
        { "input_ids", &in->ids, 0, c->sizes.vocab - 1, false, &in->length },
        { "attention_mask", &in->mask, 0, 1, false, &in->length },
        { "decoder_input_ids", &in->decoder_ids, 0, c->sizes.vocab - 1, false, &in->rows },
        { "decoder_attention_mask", &in->decoder_mask, 0, 1, false, &in->rows },
        labels_of(in, c, &tokens),
        targets_of(in),
        { 0 },
    };

    TRY(read_slots(from, in, slots, c));
    if (!in->decoder_ids)
        TRY(shift_right(from, in, c));
    if (c->head == HEAD_CLASSIFICATION) {
        TRY(forward_labels_read(from, in, c));
        TRY(forward_labels_rows(in, c));
        return in->own_loss ? forward_targets_read(from, in, c) : OK;
    }
    for (int64_t i = 0; in->labels && i < in->samples * in->rows; i++)
        in->label_count += in->labels[i] != FORWARD_NO_LABEL;
    return in->own_loss ? forward_targets_read(from, in, c) : OK;
}

int forward_inputs_read(struct forward_inputs *in, const struct named_tensors *from, const struct config *c,
                        bool own_loss)
{
    int status;

    *in = (struct forward_inputs){ .own_loss = own_loss };
    status = config_has_encoder(c) ? read_both(from, in, c) : read_rows(from, in, c);
    if (status != OK)
        forward_inputs_release(in);
    return status;
}

bool forward_inputs_have_labels(const struct forward_inputs *in)
{
    return in->labels || in->targets;
}

void forward_inputs_release(struct forward_inputs *in)
{
    mem_free(in->ids);
    mem_free(in->mask);
    mem_free(in->positions);
    mem_free(in->decoder_ids);
    mem_free(in->decoder_mask);
    mem_free(in->token_types);
    mem_free(in->labels);
    mem_free(in->class_rows);
    mem_free(in->targets);
    *in = (struct forward_inputs){ 0 };
}

/* ---- batches ---- */

/* Row values of a sample as the batch has them; NULL gives no labels. */
static void narrow(const int64_t *values, int64_t at, int64_t count, int32_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = values ? (int32_t)values[at + i] : FORWARD_NO_LABEL;
}

static void mask_keys(const int64_t *mask, int64_t at, int64_t count, int32_t *key_order)
{
    for (int64_t i = 0; mask && i < count; i++)
        if (!mask[at + i])
            key_order[i] = -1;
}

/* The row that stands for the sample has its logits; the sample may have a label. */
static void label_sample(const struct forward_inputs *in, int64_t sample, int64_t row, struct batch *b)
{
    int64_t at;

    b->sequence_rows[b->sequences - 1] = (int32_t)(row + in->class_rows[sample]);
    if (in->labels && in->labels[sample] == FORWARD_NO_LABEL)
        return;
    at = b->label_count++;
    b->label_rows[at] = in->own_loss ? b->sequence_rows[b->sequences - 1] : (int32_t)(b->sequences - 1);
    b->labels[at] = in->labels ? (int32_t)in->labels[sample] : 0;
    for (int64_t k = 0; k < in->target_width; k++)
        b->targets[at * in->target_width + k] = in->targets[sample * in->target_width + k];
}

/* Of the labels from `first` on, which rows from `row` on have: the numbers that go with them. */
static void add_targets(const struct forward_inputs *in, int64_t sample, int64_t row, int64_t first,
                        struct batch *b)
{
    int64_t width = in->target_width;

    for (int64_t k = first; k < b->label_count && width > 0; k++) {
        int64_t token = sample * in->rows + b->label_rows[k] - row + in->shift;
        memcpy(b->targets + k * width, in->targets + token * width, (size_t)width * sizeof(float));
    }
}

static void add_sample(const struct forward_inputs *in, int64_t sample, const struct config *c, int32_t *ids,
                       struct batch *b)
{
    int64_t T = in->rows, at = sample * T, row = b->rows.count, encoded = b->encoder.count,
            first_label = b->label_count;
    const int64_t *mask = in->decoder_ids ? in->decoder_mask : in->mask;
    int32_t *labels = ids + (in->length > T ? in->length : T);

    if (in->decoder_ids) {
        narrow(in->ids, sample * in->length, in->length, ids);
        batch_add_encoder(b, ids, in->length, sample, in->length);
        mask_keys(in->mask, sample * in->length, in->length, b->encoder.key_order + encoded);
    }
    narrow(in->decoder_ids ? in->decoder_ids : in->ids, at, T, ids);
    narrow(in->class_rows ? NULL : in->labels, at, T, labels);
    if (in->shift)
        batch_add_causal(b, ids, labels, T, sample, T);
    else
        batch_add(b, ids, labels, T, sample, T);
    for (int64_t i = 0; in->positions && i < T; i++)
        b->rows.positions[row + i] = (int32_t)in->positions[at + i];
    if (!in->positions && c->sizes.first_position)
        row_block_number(&b->rows, row, T, c->sizes.first_position);
    for (int64_t i = 0; in->token_types && i < T; i++)
        b->rows.token_types[row + i] = (int32_t)in->token_types[at + i];
    if (in->class_rows)
        label_sample(in, sample, row, b);
    else
        add_targets(in, sample, row, first_label, b);
    mask_keys(mask, at, T, b->rows.key_order + row);
}

void forward_inputs_batch(const struct forward_inputs *in, int64_t first, int64_t count,
                          const struct config *c, struct batch *b)
{
    int32_t *ids = mem_alloc_array((size_t)(in->length + 2 * in->rows) + 1, sizeof(ids[0]));

    batch_clear(b);
    b->rows.longest = in->longest;
    for (int64_t sample = first; sample < first + count; sample++)
        add_sample(in, sample, c, ids, b);
    mem_free(ids);
}
