/* batch -- one microbatch of one dp rank as packed token rows: what the loader makes and the executor takes.
 * Models with an encoder have a second block of rows; both blocks have the same sequences. */
#ifndef PLAIT_DATA_BATCH_H
#define PLAIT_DATA_BATCH_H

#include <stdint.h>

struct row_block {
    int64_t capacity, count; /* rows; capacity 0: there is no such block */
    int32_t *ids;            /* [count] token ids */
    int32_t *positions;      /* [count] position ids as the model wants them */
    int32_t *order;          /* [count] place in the sequence, from 0 */
    int32_t *key_order;   /* [count] the same for the row as a key; < 0: nobody may attend to it (padding in
                             `forward`) */
    int32_t *token_types; /* [count] segment of the row, 0 where there are none */
    int64_t *place;       /* [count] sample number in the global batch * T + position: what random streams are
                             indexed by */
    int32_t *offsets;     /* [sequences + 1] first row of each sequence, then count */
    int32_t longest;      /* every sequence counts as having so many positions at least; 0: as it has */
};

struct batch {
    struct row_block rows, encoder; /* rows: of the model or, where it has an encoder, of the decoder */
    int64_t sequence_capacity, sequences;
    int32_t *sequence_rows; /* [sequences] the row that stands for each, where all of them are asked for */
    int64_t label_capacity, label_count;
    int32_t *label_rows; /* [label_count] of `rows`, those that carry a label */
    int32_t *labels;     /* [label_count] what their next token, masked token or class should be */
    int64_t target_width;
    float *targets; /* [label_count, target_width] of a regression, or of several labels at once */
};

struct batch_capacity {
    int64_t rows, encoder_rows, sequences;
    int64_t target_width; /* labels are at most rows */
};
void batch_init(struct batch *b, const struct batch_capacity *c);
void batch_release(struct batch *b);
void batch_clear(struct batch *b); /* no rows, no sequences */

/* ---- Adding samples: each call starts a sequence with positions 0.. and token types 0; what should be
 * otherwise is changed in the rows afterwards. sample: its number in the global batch; T: the stride for
 * `place`. BUG when it does not fit. ---- */

/* labels[i] is the label of row i itself (the caller has shifted already), -100: none; labels NULL: none. */
void batch_add(struct batch *b, const int32_t *ids, const int32_t *labels, int64_t length, int64_t sample,
               int64_t T);
/* The same for a causal model: row i's label is ids[i + 1] (labels NULL) or labels[i + 1]; the last row has
 * none. */
void batch_add_causal(struct batch *b, const int32_t *ids, const int32_t *labels, int64_t length,
                      int64_t sample, int64_t T);
/* The encoder's rows of the sequence that is added next. */
void batch_add_encoder(struct batch *b, const int32_t *ids, int64_t length, int64_t sample, int64_t T);

/* Position ids from `first_position` up, but of padding, whose id is the one before: as RoBERTa counts. */
void row_block_number(struct row_block *r, int64_t first, int64_t count, int64_t first_position);

#endif
