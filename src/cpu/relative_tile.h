/* relative_tile -- the bias of relative positions in a tile of pairs. Positions go up by one from query to
 * query, so that a key's scores of all queries get neighbouring entries of one short list, the tile's
 * diagonals: a vector is added at a time, and gradients are gathered the same way. */
#ifndef PLAIT_CPU_RELATIVE_TILE_H
#define PLAIT_CPU_RELATIVE_TILE_H

#include "cpu/attend.h"
#include "cpu/relative.h"

enum { DIAGONALS = KEYS + QUERIES };

/* Whether a tile's pairs lie on diagonals: diagonal d has key position - query position = most - first - d,
 * where most is the keys' largest position and first that of the first query. */
static inline bool relative_straight(const struct queries *q, const struct keys *k)
{
    for (int64_t i = 1; i < q->count; i++)
        if (q->position[i] != q->position[0] + i)
            return false;
    return (int64_t)k->most - k->least < KEYS;
}

/* The first diagonal of key j, with query 0. */
static inline int64_t relative_first(const struct attend *w, const struct keys *k, int64_t j)
{
    return (int64_t)k->most - w->kv_positions[k->first + j];
}

/* Adds the bias, in units of log 2, to the scores of a tile. */
static inline void relative_add(const struct relative *r, const struct attend *w, const struct queries *q,
                                const struct keys *k, float *scores)
{
    float diagonal[DIAGONALS] = { 0 };
    bool straight = relative_straight(q, k);

    for (int64_t d = 0; straight && d < (int64_t)k->most - k->least + q->count; d++)
        diagonal[d] = log2_e * relative_bias(r, q->head, (int64_t)k->most - q->position[0] - d);
    for (int64_t j = 0; j < k->count; j++) {
        int64_t at = w->kv_positions[k->first + j], first = relative_first(w, k, j);
        for (int64_t i = 0; at >= 0 && i < q->wide; i += LANES) {
            float *s = scores + j * QUERIES + i;
            if (j >= k->until[i / HALF])
                continue;
            if (straight)
                vec_store(s, vec_load(s) + vec_load(diagonal + first + i));
            for (int64_t l = 0; !straight && l < LANES; l++)
                s[l] += log2_e * relative_bias(r, q->head, at - q->position[i + l]);
        }
    }
}

/* sums[B] += the gradients of a tile's scores, by bucket; those of columns past the queries are zero. */
static inline void relative_gather(const struct relative *r, const struct attend *w, const struct queries *q,
                                   const struct keys *k, const float *scores, float *sums)
{
    float diagonal[DIAGONALS] = { 0 };
    bool straight = relative_straight(q, k);

    for (int64_t j = 0; j < k->count; j++) {
        int64_t at = w->kv_positions[k->first + j], first = relative_first(w, k, j);
        for (int64_t i = 0; at >= 0 && i < q->wide; i += LANES) {
            const float *s = scores + j * QUERIES + i;
            if (j >= k->until[i / HALF])
                continue;
            if (straight)
                vec_store(diagonal + first + i, vec_load(diagonal + first + i) + vec_load(s));
            for (int64_t l = 0; !straight && l < LANES; l++)
                sums[relative_bucket(r, at - q->position[i + l])] += s[l];
        }
    }
    for (int64_t d = 0; straight && d < (int64_t)k->most - k->least + q->count; d++)
        sums[relative_bucket(r, (int64_t)k->most - q->position[0] - d)] += diagonal[d];
}

#endif
