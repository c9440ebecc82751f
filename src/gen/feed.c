/* What the executors of generation are fed. On one stage the rows go straight into the inputs of the
 * executor. Through the stages of a pipeline the rows of a step are dealt out to microbatches: consecutive
 * rows each, which is right within a prompt too, because every stage has put the keys and values of a
 * microbatch into the cache before it comes to the next one. */
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/parallel.h"
#include "gen/gen_internal.h"

enum per { PER_ROW, PER_ENCODER_ROW, PER_OTHER };

static const struct {
    const char *name;
    size_t at;
    enum per per;
} inputs[] = {
    { "ids", offsetof(struct feed, ids), PER_ROW },
    { "positions", offsetof(struct feed, positions), PER_ROW },
    { "order", offsetof(struct feed, order), PER_ROW },
    { "longest", offsetof(struct feed, longest), PER_ROW },
    { "slot", offsetof(struct feed, slot), PER_ROW },
    { "cross_slot", offsetof(struct feed, cross_slot), PER_ROW },
    { "cross_last", offsetof(struct feed, cross_last), PER_ROW },
    { "encoder_ids", offsetof(struct feed, encoder_ids), PER_ENCODER_ROW },
    { "encoder_order", offsetof(struct feed, encoder_order), PER_ENCODER_ROW },
    { "encoder_key_order", offsetof(struct feed, encoder_key_order), PER_ENCODER_ROW },
    { "encoder_slot", offsetof(struct feed, encoder_slot), PER_ENCODER_ROW },
    { "label_rows", offsetof(struct feed, label_rows), PER_OTHER },
    { "source", offsetof(struct feed, source), PER_OTHER },
    { "encoder_offsets", offsetof(struct feed, encoder_offsets), PER_OTHER },
};
enum { INPUTS = sizeof(inputs) / sizeof(inputs[0]) };

static int32_t **array_of(const struct feed *f, int i)
{
    return (int32_t **)(void *)((char *)(uintptr_t)f + inputs[i].at);
}

/* ---- life ---- */

void feed_bind(struct feed *f, struct executor *e)
{
    for (int i = 0; i < INPUTS; i++)
        *array_of(f, i) = executor_input(e, inputs[i].name);
}

void feed_make(struct feed *f)
{
    f->own = true;
    for (int i = 0; i < INPUTS; i++) {
        int64_t count = inputs[i].per == PER_ROW ? f->row_capacity : f->encoder_capacity;
        if (inputs[i].per != PER_OTHER)
            *array_of(f, i) = mem_alloc_array((size_t)count + 1, sizeof(int32_t));
    }
    f->label_rows = mem_alloc_array((size_t)f->label_capacity + 1, sizeof(int32_t));
    f->source = mem_alloc_array((size_t)f->source_count + 1, sizeof(int32_t));
    f->encoder_offsets = mem_alloc_array((size_t)f->row_capacity + 1, sizeof(int32_t));
}

void feed_release(struct feed *f)
{
    for (int i = 0; f->own && i < INPUTS; i++)
        mem_free(*array_of(f, i));
    *f = (struct feed){ 0 };
}

void feed_clear(struct feed *f)
{
    f->rows = f->labels = f->encoder_rows = f->encoder_sequences = 0;
}

/* ---- adding ---- */

void feed_row(struct feed *f, int32_t id, int64_t position, int64_t length, int64_t slot)
{
    if (f->rows == f->row_capacity)
        BUG("more rows than the %lld of the plan", (long long)f->row_capacity);
    f->ids[f->rows] = id;
    f->order[f->rows] = (int32_t)position;
    f->positions[f->rows] = (int32_t)(f->first_position + position);
    if (f->longest)
        f->longest[f->rows] = (int32_t)length;
    f->slot[f->rows++] = (int32_t)slot;
}

void feed_cross(struct feed *f, int64_t slot, int64_t length)
{
    f->cross_slot[f->rows - 1] = (int32_t)slot;
    f->cross_last[f->rows - 1] = (int32_t)(length - 1);
}

void feed_prompt(struct feed *f, const struct prompt *p, int64_t slot)
{
    if (p->length > f->encoder_capacity - f->encoder_rows)
        BUG("more rows than the %lld of the encoder", (long long)f->encoder_capacity);
    for (int64_t t = 0; t < p->length; t++) {
        int64_t row = f->encoder_rows + t;
        f->encoder_ids[row] = p->ids[t];
        f->encoder_order[row] = f->encoder_key_order[row] = (int32_t)t;
        f->encoder_slot[row] = (int32_t)slot;
    }
    f->encoder_rows += p->length;
    f->encoder_offsets[0] = 0;
    f->encoder_offsets[++f->encoder_sequences] = (int32_t)f->encoder_rows;
}

void feed_label(struct feed *f)
{
    if (f->labels == f->label_capacity)
        BUG("more logits than the %lld rows of the plan", (long long)f->label_capacity);
    f->label_rows[f->labels++] = (int32_t)(f->rows - 1);
}

/* ---- dealing out ---- */

struct run_counts feed_counts(const struct feed *f)
{
    struct run_counts counts = { 0 };

    counts.of[COUNT_ROWS] = f->rows;
    counts.of[COUNT_LABELS] = f->labels;
    counts.of[COUNT_ENCODER_ROWS] = f->encoder_rows;
    counts.of[COUNT_SEQUENCES] = f->encoder_sequences;
    counts.of[COUNT_OFFSETS] = f->encoder_sequences + 1;
    return counts;
}

/* Labels stand in the order of their rows. */
static int64_t labels_before(const struct feed *f, int64_t row)
{
    int64_t i = 0;

    while (i < f->labels && f->label_rows[i] < row)
        i++;
    return i;
}

void feed_part(const struct feed *f, int part, int parts, struct feed_span *s)
{
    int64_t each = ceil_div(f->rows, parts), first = part * each, end = first + each;
    bool encodes = f->encoder_sequences > 0; /* then a row is a prompt */

    first = first < f->rows ? first : f->rows;
    end = end < f->rows ? end : f->rows;
    *s = (struct feed_span){ .row = first, .rows = end - first, .label = labels_before(f, first) };
    s->labels = labels_before(f, end) - s->label;
    s->encoder_row = encodes ? f->encoder_offsets[first] : 0;
    s->encoder_rows = encodes ? f->encoder_offsets[end] - s->encoder_row : 0;
    s->sequences = encodes ? s->rows : 0;
}

static void copy(struct executor *e, const char *name, const int32_t *from, int64_t count, int64_t less)
{
    int32_t *to = executor_input(e, name);

    for (int64_t i = 0; to && i < count; i++)
        to[i] = from[i] - (int32_t)less;
}

struct run_counts feed_copy(const struct feed *f, const struct feed_span *s, struct executor *e)
{
    struct run_counts counts = { 0 };

    for (int i = 0; i < INPUTS; i++) {
        const int32_t *from = *array_of(f, i);
        if (inputs[i].per == PER_ROW)
            copy(e, inputs[i].name, from + s->row, s->rows, 0);
        else if (inputs[i].per == PER_ENCODER_ROW)
            copy(e, inputs[i].name, from + s->encoder_row, s->encoder_rows, 0);
    }
    copy(e, "label_rows", f->label_rows + s->label, s->labels, s->row);
    copy(e, "source", f->source, f->source_count, 0);
    if (s->sequences > 0)
        copy(e, "encoder_offsets", f->encoder_offsets + s->row, s->sequences + 1, s->encoder_row);
    counts.of[COUNT_ROWS] = s->rows;
    counts.of[COUNT_LABELS] = s->labels;
    counts.of[COUNT_ENCODER_ROWS] = s->encoder_rows;
    counts.of[COUNT_SEQUENCES] = s->sequences;
    counts.of[COUNT_OFFSETS] = s->sequences + 1;
    return counts;
}
