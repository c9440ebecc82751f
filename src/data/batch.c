#include "data/batch.h"

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

void batch_init(struct batch *b, int64_t rows, int64_t sequences)
{
    size_t n = (size_t)rows;

    *b = (struct batch){ .row_capacity = rows, .sequence_capacity = sequences, .label_capacity = rows };
    b->place = mem_alloc_array(n + 1, sizeof(b->place[0]));
    b->ids = mem_alloc_array(6 * n + (size_t)sequences + 1, sizeof(b->ids[0]));
    b->positions = b->ids + n;
    b->order = b->positions + n;
    b->key_order = b->order + n;
    b->label_rows = b->key_order + n;
    b->labels = b->label_rows + n;
    b->offsets = b->labels + n;
}

void batch_release(struct batch *b)
{
    mem_free(b->place);
    mem_free(b->ids);
    *b = (struct batch){ 0 };
}

void batch_clear(struct batch *b)
{
    b->rows = b->sequences = b->label_count = 0;
    b->offsets[0] = 0;
}

static void add_label(struct batch *b, int64_t row, int32_t label)
{
    if (label < 0)
        return;
    b->label_rows[b->label_count] = (int32_t)row;
    b->labels[b->label_count++] = label;
}

static int64_t add_rows(struct batch *b, const int32_t *ids, int64_t length, int64_t sample, int64_t T)
{
    int64_t first = b->rows;

    if (first + length > b->row_capacity || b->sequences == b->sequence_capacity)
        BUG("a sample of %lld rows does not fit a batch of %lld", (long long)length,
            (long long)b->row_capacity);
    for (int64_t i = 0; i < length; i++) {
        b->ids[first + i] = ids[i];
        b->positions[first + i] = b->order[first + i] = b->key_order[first + i] = (int32_t)i;
        b->place[first + i] = sample * T + i;
    }
    b->rows += length;
    b->offsets[++b->sequences] = (int32_t)b->rows;
    return first;
}

void batch_add(struct batch *b, const int32_t *ids, const int32_t *labels, int64_t length, int64_t sample,
               int64_t T)
{
    int64_t first = add_rows(b, ids, length, sample, T);

    for (int64_t i = 0; labels && i < length; i++)
        add_label(b, first + i, labels[i]);
}

void batch_add_causal(struct batch *b, const int32_t *ids, const int32_t *labels, int64_t length,
                      int64_t sample, int64_t T)
{
    int64_t first = add_rows(b, ids, length, sample, T);

    for (int64_t i = 0; i + 1 < length; i++)
        add_label(b, first + i, labels ? labels[i + 1] : ids[i + 1]);
}
