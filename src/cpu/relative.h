/* relative -- the bias of relative positions in the fast kernels of attention: what a table (B, H) adds to
 * the score of a pair, by the bucket of key position - query position (ops/bucket.h).
 *
 * Buckets are looked up in a list of all distances up to the one from which they are the same; it is made
 * once a run. */
#ifndef PLAIT_CPU_RELATIVE_H
#define PLAIT_CPU_RELATIVE_H

#include "base/parallel.h"
#include "cpu/view.h"
#include "ops/bucket.h"

struct relative {
    const float *table; /* NULL: no bias */
    int64_t heads;      /* floats from bucket to bucket: this rank's heads */
    int64_t buckets;
    int64_t reach;   /* largest distance in the list */
    int32_t *bucket; /* [2 * reach + 1] of key position - query position = -reach .. reach */
};

/* Bytes of the list of buckets. */
static inline int64_t relative_bytes(const struct tensor *table, double max_distance)
{
    return table ? ceil_div((2 * (int64_t)max_distance + 1) * (int64_t)sizeof(int32_t), 64) * 64 : 0;
}

static inline void relative_init(struct relative *r, const struct view *table, double max_distance,
                                 bool bidirectional, void *workspace)
{
    struct bucketing b = { .max_distance = (int64_t)max_distance, .bidirectional = bidirectional };

    *r = (struct relative){ .table = table->data, .reach = b.max_distance, .bucket = workspace };
    if (!table->data)
        return;
    r->buckets = b.buckets = table->dim[0];
    r->heads = table->dim[1];
    for (int64_t d = -r->reach; d <= r->reach; d++)
        r->bucket[r->reach + d] = (int32_t)bucket_of(&b, d);
}

static inline int64_t relative_bucket(const struct relative *r, int64_t relative)
{
    relative = relative < -r->reach ? -r->reach : relative > r->reach ? r->reach : relative;
    return r->bucket[r->reach + relative];
}

static inline float relative_bias(const struct relative *r, int64_t head, int64_t relative)
{
    return r->table[relative_bucket(r, relative) * r->heads + head];
}

#endif
