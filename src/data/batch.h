/* batch -- one microbatch of one dp rank as packed token rows: what the loader makes and the executor takes.
 */
#ifndef PLAIT_DATA_BATCH_H
#define PLAIT_DATA_BATCH_H

#include <stdint.h>

struct batch {
    int64_t row_capacity, sequence_capacity, label_capacity;
    int64_t rows, sequences, label_count; /* used */
    int32_t *ids;                         /* [rows] token ids */
    int32_t *positions;                   /* [rows] position ids for position embeddings */
    int32_t *order;                       /* [rows] place in the sequence, from 0 */
    int32_t *key_order;  /* [rows] the same for the row as a key; < 0: nobody may attend to it (padding in
                            `forward`) */
    int64_t *place;      /* [rows] sample number in the global batch * T + position: what random streams are
                            indexed by */
    int32_t *offsets;    /* [sequences + 1] first row of each sequence, then rows */
    int32_t *label_rows; /* [label_count] rows that carry a label */
    int32_t *labels;     /* [label_count] what their next token (or masked token) should be */
};

/* All arrays in one block, for the given capacities (labels: at most rows). */
void batch_init(struct batch *b, int64_t rows, int64_t sequences);
void batch_release(struct batch *b);
void batch_clear(struct batch *b); /* no rows, no sequences */

/* Adds one sample: `length` ids, all of one sequence with positions 0.. . labels[i] is the label of row i
 * itself (the caller has shifted already), -100: none; labels NULL: no labels. sample: its number in the
 * global batch; T: the stride for `place`. BUG when it does not fit. */
void batch_add(struct batch *b, const int32_t *ids, const int32_t *labels, int64_t length, int64_t sample,
               int64_t T);
/* The same for a causal model: row i's label is ids[i + 1] (labels NULL) or labels[i + 1]; the last row has
 * none. */
void batch_add_causal(struct batch *b, const int32_t *ids, const int32_t *labels, int64_t length,
                      int64_t sample, int64_t T);

#endif
