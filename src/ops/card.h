/* card -- small words that cards share. */
#ifndef PLAIT_OPS_CARD_H
#define PLAIT_OPS_CARD_H

#include <inttypes.h>

#include "base/err.h"
#include "core/rewrite.h"
#include "ops/ops.h"

#define ON_SHARD(d) ((struct placement){ .kind = SHARD, .dim = (d) })
#define ON_ALL      ((struct placement){ .kind = REPLICATE })
#define ON_FIRST    ((struct placement){ .kind = HELD })
#define ON_SUM      ((struct placement){ .kind = PARTIAL, .reduction = REDUCE_SUM })
#define ON_MAX      ((struct placement){ .kind = PARTIAL, .reduction = REDUCE_MAX })
#define ON_LSE      ((struct placement){ .kind = PARTIAL, .reduction = REDUCE_LOGSUMEXP })

/* The only output of a node, NULL when the builder has failed. */
static inline struct tensor *output_of(struct node *n, int j)
{
    return n ? n->out[j] : NULL;
}

static inline bool same_shape(const struct tensor *a, const struct tensor *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int d = 0; d < a->ndim; d++)
        if (a->dims[d].size != b->dims[d].size || a->dims[d].count != b->dims[d].count)
            return false;
    return true;
}

/* Product of dims from..to-1. */
static inline int64_t dim_product(const struct tensor *t, int from, int to)
{
    int64_t product = 1;

    for (int d = from; d < to; d++)
        product *= t->dims[d].size;
    return product;
}

/* A value of t's rows with other dims after the first: (rows of t, dims from `source`). */
static inline struct tensor rows_with(const struct tensor *t, enum dtype dtype)
{
    return (struct tensor){ .dtype = dtype, .ndim = 1, .dims = { t->dims[0] } };
}

static inline struct tensor scalar_of(enum dtype dtype)
{
    return (struct tensor){ .dtype = dtype };
}

/* Rules of an op that works entry by entry on `values` inputs of one shape and `outs` outputs of that shape:
 * the same SHARD(d) everywhere, and, when linear, PARTIAL everywhere. */
void card_shard_elementwise(const struct node *n, struct shard_rules *r, bool linear);
/* Rows are independent in all but the last dim of in[0]. May dim d be sharded where the padding of a share
 * would not come out as zeros? Where it divides, or has a run-time count. */
bool card_may_split(const struct tensor *x, int d, int size);

/* Where an optimizer changes a parameter: where it lies or, on dp, where its gradient is dealt out. */
struct placement card_update_placement(struct placement param, struct placement grad,
                                       const struct shard_rules *r);

/* For `fuse`. Output j of n is read by one add alone: the add's other summand becomes input i of n, and n
 * makes the sum. */
void card_fuse_into_sum(struct rewrite *r, struct node *n, int j, int i);
/* Input x of n is add(a, b), read here first: a becomes input x, b input `other`, and n makes the sum as its
 * output j, for later readers too. */
void card_fuse_sum(struct rewrite *r, struct node *n, int x, int other, int j);

#endif
