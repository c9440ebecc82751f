/* forward_inputs -- the tensors that `plait forward` is given, checked against the model. */
#ifndef PLAIT_CLI_FORWARD_INPUTS_H
#define PLAIT_CLI_FORWARD_INPUTS_H

#include "data/batch.h"
#include "models/config.h"

enum { FORWARD_NO_LABEL = -100 };

struct forward_inputs {
    int64_t samples, length; /* B, T */
    int64_t *ids;            /* [B, T] */
    int64_t *mask;           /* [B, T], 0: nobody attends to this token; NULL: to all */
    int64_t *positions;      /* [B, T]; NULL: 0 .. T - 1, or as RoBERTa counts them */
    int64_t *token_types;    /* [B, T]; NULL: 0 */
    /* Of the decoder, [B, rows], where there is an encoder beside it. */
    int64_t *decoder_ids, *decoder_mask;
    int64_t rows;        /* of a sample, that have outputs and labels: T, or the decoder's */
    int64_t *labels;     /* [B, rows], -100: none; NULL: no loss */
    int64_t label_count; /* of those that count: a causal model predicts the label of row t from row t - 1 */
    /* Of a classification head */
    enum problem problem; /* by config and labels */
    int64_t
        *class_rows; /* [B] which row of a sample it reads; also of the pooled output; NULL: no such head */
    int64_t target_width;
    float *targets; /* [B, target_width] */
};

/* path: a safetensors file or "-". ERR_OPEN, ERR_DATA; ERR_USAGE when a row is longer than the model's
 * positions. */
int forward_inputs_load(struct forward_inputs *in, const char *path, const struct config *c);
void forward_inputs_release(struct forward_inputs *in);
bool forward_inputs_have_labels(const struct forward_inputs *in);
/* Samples first .. first + count - 1 as token rows, padding included: it is masked as keys, but has logits
 * too. */
void forward_inputs_batch(const struct forward_inputs *in, int64_t first, int64_t count,
                          const struct config *c, struct batch *b);

/* ---- forward_labels.c ---- */

struct safetensors;
/* What a classification head is compared with: classes, or numbers. */
int forward_labels_read(const struct safetensors *st, struct forward_inputs *in, const struct config *c);
/* Which row stands for its sample: the first, the last that is no padding, or that of the last eos. */
int forward_labels_rows(struct forward_inputs *in, const struct config *c);

#endif
