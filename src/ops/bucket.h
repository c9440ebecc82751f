/* bucket -- the bucket of a relative position, as T5 has it: half of the buckets for exact distances, the
 * other half for logarithmically growing ranges up to max_distance, the last one for all beyond. Raffel et
 * al., "Exploring the limits of transfer learning with a unified text-to-text transformer", 2020, section
 * 2.1. The logarithm is rounded as transformers rounds it, to float after each step. */
#ifndef PLAIT_OPS_BUCKET_H
#define PLAIT_OPS_BUCKET_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct bucketing {
    int64_t buckets, max_distance;
    bool bidirectional; /* keys after the query have buckets of their own, else they share bucket 0 */
};

/* Exact distances 0 .. this - 1 have a bucket each. It must be at least 1 and less than max_distance. */
static inline int64_t bucket_exact(const struct bucketing *b)
{
    return b->buckets / (b->bidirectional ? 4 : 2);
}

/* relative: key position - query position. Distances from max_distance on share a bucket. */
static inline int64_t bucket_of(const struct bucketing *b, int64_t relative)
{
    int64_t count = b->bidirectional ? b->buckets / 2 : b->buckets, exact = bucket_exact(b);
    int64_t first = b->bidirectional && relative > 0 ? count : 0;
    int64_t distance = relative <= 0 ? -relative : b->bidirectional ? relative : 0, bucket;
    float steps;

    if (distance < exact)
        return first + distance;
    if (distance >= b->max_distance)
        return first + count - 1;
    steps = (float)log((double)((float)distance / (float)exact)) /
            (float)log((double)b->max_distance / (double)exact) * (float)(count - exact);
    bucket = exact + (int64_t)steps;
    return first + (bucket < count ? bucket : count - 1);
}

#endif
