/* forward_inputs -- the tensors that `plait forward` is given, checked against the model. */
#ifndef PLAIT_CLI_FORWARD_INPUTS_H
#define PLAIT_CLI_FORWARD_INPUTS_H

#include "data/batch.h"
#include "models/config.h"

struct forward_inputs {
    int64_t samples, length; /* B, T */
    int64_t *ids;            /* [B, T] */
    int64_t *mask;           /* [B, T], 0: nobody attends to this token; NULL: to all */
    int64_t *positions;      /* [B, T]; NULL: 0 .. T - 1 */
    int64_t *labels;         /* [B, T], -100: none; NULL: no loss */
    int64_t label_count;     /* of those that count: the label of token t is predicted from token t - 1 */
};

/* path: a safetensors file or "-". ERR_OPEN, ERR_DATA; ERR_USAGE when a row is longer than the model's
 * positions. */
int forward_inputs_load(struct forward_inputs *in, const char *path, const struct config *c);
void forward_inputs_release(struct forward_inputs *in);
/* Samples first .. first + count - 1 as token rows, padding included: it is masked as keys, but has logits
 * too. */
void forward_inputs_batch(const struct forward_inputs *in, int64_t first, int64_t count, struct batch *b);

#endif
