#include "data/batch.h"

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

static void block_init(struct row_block *r, int64_t rows, int64_t sequences)
{
    size_t n = (size_t)rows;

    *r = (struct row_block){ .capacity = rows };
    r->place = mem_alloc_array(n + 1, sizeof(r->place[0]));
    r->ids = mem_alloc_array(5 * n + (size_t)sequences + 1, sizeof(r->ids[0]));
    r->positions = r->ids + n;
    r->order = r->positions + n;
    r->key_order = r->order + n;
    r->token_types = r->key_order + n;
    r->offsets = r->token_types + n;
}

void batch_init(struct batch *b, const struct batch_capacity *c)
{
    size_t labels = (size_t)c->rows;

    *b = (struct batch){ .sequence_capacity = c->sequences,
                         .label_capacity = c->rows,
                         .target_width = c->target_width };
    b->sequence_rows = mem_alloc_array((size_t)c->sequences + 1, sizeof(b->sequence_rows[0]));
    block_init(&b->rows, c->rows, c->sequences);
    block_init(&b->encoder, c->encoder_rows, c->sequences);
    b->label_rows = mem_alloc_array(2 * labels + 1, sizeof(b->label_rows[0]));
    b->labels = b->label_rows + labels;
    if (c->target_width)
        b->targets = mem_alloc_array(labels, (size_t)c->target_width * sizeof(b->targets[0]));
}

static void block_release(struct row_block *r)
{
    mem_free(r->place);
    mem_free(r->ids);
}

void batch_release(struct batch *b)
{
    block_release(&b->rows);
    block_release(&b->encoder);
    mem_free(b->sequence_rows);
    mem_free(b->label_rows);
    mem_free(b->targets);
    *b = (struct batch){ 0 };
}

void batch_clear(struct batch *b)
{
    b->rows.count = b->encoder.count = b->sequences = b->label_count = 0;
    b->rows.offsets[0] = b->encoder.offsets[0] = 0;
}

static void add_label(struct batch *b, int64_t row, int32_t label)
{
    if (label < 0)
        return;
    b->label_rows[b->label_count] = (int32_t)row;
    b->labels[b->label_count++] = label;
}

/* The rows of the sequence that is next. place: of the first. */
static void add_rows(struct row_block *r, const int32_t *ids, int64_t length, int64_t place)
{
    int64_t first = r->count;

    if (first + length > r->capacity)
        BUG("a sample of %lld rows does not fit a batch of %lld", (long long)length, (long long)r->capacity);
    for (int64_t i = 0; i < length; i++) {
        r->ids[first + i] = ids[i];
        r->positions[first + i] = r->order[first + i] = r->key_order[first + i] = (int32_t)i;
        r->token_types[first + i] = 0;
        r->place[first + i] = place + i;
    }
    r->count += length;
}

static int64_t add_sequence(struct batch *b, const int32_t *ids, int64_t length, int64_t place)
{
    int64_t first = b->rows.count;

    if (b->sequences == b->sequence_capacity)
        BUG("more than %lld sequences in a batch", (long long)b->sequence_capacity);
    add_rows(&b->rows, ids, length, place);
    b->sequence_rows[b->sequences++] = (int32_t)first;
    b->rows.offsets[b->sequences] = (int32_t)b->rows.count;
    b->encoder.offsets[b->sequences] = (int32_t)b->encoder.count;
    return first;
}

void batch_add(struct batch *b, const int32_t *ids, const int32_t *labels, int64_t length, int64_t sample,
               int64_t T)
{
    int64_t first = add_sequence(b, ids, length, sample * T);

    for (int64_t i = 0; labels && i < length; i++)
        add_label(b, first + i, labels[i]);
}

void batch_add_causal(struct batch *b, const int32_t *ids, const int32_t *labels, int64_t length,
                      int64_t sample, int64_t T)
{
    int64_t first = add_sequence(b, ids, length, sample * T);

    for (int64_t i = 0; i + 1 < length; i++)
        add_label(b, first + i, labels ? labels[i + 1] : ids[i + 1]);
}

void batch_add_encoder(struct batch *b, const int32_t *ids, int64_t length, int64_t sample, int64_t T)
{
    add_rows(&b->encoder, ids, length, sample * T);
}

void row_block_number(struct row_block *r, int64_t first, int64_t count, int64_t first_position)
{
    int64_t next = first_position, pad = first_position - 1;

    for (int64_t i = first; i < first + count; i++)
        r->positions[i] = (int32_t)(r->ids[i] == pad ? pad : next++);
}
