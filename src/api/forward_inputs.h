/* forward_inputs -- the tensors that a forward is given, under the names of transformers' arguments, checked
 * against the model. They lie in a file or in a caller's memory. */
#ifndef PLAIT_API_FORWARD_INPUTS_H
#define PLAIT_API_FORWARD_INPUTS_H

#include "data/batch.h"
#include "models/config.h"

enum { FORWARD_NO_LABEL = -100 };

struct named_tensor {
    const char *name, *type; /* type: for messages */
    enum { NAMED_INT, NAMED_FLOAT, NAMED_OTHER } kind;
    int ndim;
    const int64_t *shape;
    int64_t count;
    const void *from; /* whose `read` it is */
};

struct named_tensors {
    const char *path; /* for messages: a file, or a function */
    const struct named_tensor *list;
    size_t count;
    /* Writes all elements to ints or to floats, whichever is not NULL and as `kind` says. */
    int (*read)(const void *context, const struct named_tensor *t, int64_t *ints, float *floats);
    const void *context;
};

/* forward_file.c: those of an open file, which outlives them. */
struct safetensors;
void named_tensors_init(struct named_tensors *list, const struct safetensors *st);
void named_tensors_release(struct named_tensors *list);

struct forward_inputs {
    int64_t samples, length; /* B, T */
    int64_t *ids;            /* [B, T] */
    int64_t *mask;           /* [B, T], 0: nobody attends to this token; NULL: to all */
    int64_t *positions;      /* [B, T]; NULL: 0 .. T - 1, or as RoBERTa counts them */
    int32_t longest;         /* largest of positions, plus 1: transformers scales rotations by it */
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
    float *targets; /* [B, target_width]; of a loss of the caller's own [B, rows, target_width] */
    bool own_loss;
    int64_t shift; /* the label of a row is the one so many places later */
};

/* own_loss: there may be targets beside labels, and labels where the model has no head. ERR_DATA; ERR_USAGE
 * when a row is longer than the model's positions. */
int forward_inputs_read(struct forward_inputs *in, const struct named_tensors *from, const struct config *c,
                        bool own_loss);
void forward_inputs_release(struct forward_inputs *in);
bool forward_inputs_have_labels(const struct forward_inputs *in);
/* Samples first .. first + count - 1 as token rows, padding included: it is masked as keys, but has logits
 * too. */
void forward_inputs_batch(const struct forward_inputs *in, int64_t first, int64_t count,
                          const struct config *c, struct batch *b);

/* ---- forward_labels.c ---- */

/* What a classification head is compared with: classes, or numbers. */
int forward_labels_read(const struct named_tensors *from, struct forward_inputs *in, const struct config *c);
/* Numbers that go with labels, for a loss of the caller's own. */
int forward_targets_read(const struct named_tensors *from, struct forward_inputs *in, const struct config *c);
/* Which row stands for its sample: the first, the last that is no padding, or that of the last eos. */
int forward_labels_rows(struct forward_inputs *in, const struct config *c);

/* ---- forward_inputs.c ---- */

const struct named_tensor *named_tensor_find(const struct named_tensors *list, const char *name);
/* All elements; ERR_DATA when they are of another sort. */
int named_tensor_ints(const struct named_tensors *list, const struct named_tensor *t, int64_t *out);
int named_tensor_floats(const struct named_tensors *list, const struct named_tensor *t, float *out);

#endif
