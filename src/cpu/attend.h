/* attend -- what attention and its gradient share: where the rows lie, which pairs are allowed, dropout of
 * probabilities.
 *
 * Work is cut into tiles of 64 queries x 64 keys of one sequence and head. In every buffer of a tile the
 * queries lie side by side (scores are [key][query]), so that softmax goes over keys without a sum inside a
 * vector, masks compare vectors of positions, and no width K needs special care: K is only ever a number of
 * rows. */
#ifndef PLAIT_CPU_ATTEND_H
#define PLAIT_CPU_ATTEND_H

#include <float.h>
#include <math.h>

#include "base/err.h"
#include "cpu/philox.h"
#include "cpu/product.h"
#include "cpu/transpose.h"
#include "cpu/view.h"
#include "ops/ops.h"

enum { QUERIES = COLUMN, KEYS = 64, HALF = QUERIES / 2 };

/* Scores are kept in units of log 2. */
static const float log2_e = 1.44269504f, log_2 = 0.693147181f;

static inline int64_t least_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t round_lanes(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

struct packed { /* one part of a (N, P, H, K) tensor */
    float *data;
    int64_t row; /* floats from row to row */
};

struct attend {
    struct packed q, k, v;
    const int32_t *q_offsets, *kv_offsets, *q_positions, *kv_positions;
    const int64_t *place;
    int64_t sequences, heads, kv_heads, width;
    int64_t first_head, all_heads, first_kv_head, group; /* in the whole model */
    bool causal, dropout;
    int32_t window;
    float scale;
    struct keep keep;
    uint64_t step;
};

static inline struct packed packed_part(const struct view *v, double part)
{
    int64_t size = v->dim[2] * v->dim[3];
    return (struct packed){ v->data ? (float *)v->data + (int64_t)part * size : NULL, v->dim[1] * size };
}

static inline struct attend attend_init(const struct kernel_args *a)
{
    const struct view *q = &a->in[ATTENTION_Q], *k = &a->in[ATTENTION_K];
    const double *attr = a->node->attr;
    struct rng_key key = { .seed = a->seed, .stream = a->node->stream };

    return (struct attend){ .q = packed_part(q, attr[ATTENTION_Q_PART]),
                            .k = packed_part(k, attr[ATTENTION_K_PART]),
                            .v = packed_part(&a->in[ATTENTION_V], attr[ATTENTION_V_PART]),
                            .q_offsets = a->in[ATTENTION_Q_OFFSETS].data,
                            .kv_offsets = a->in[ATTENTION_KV_OFFSETS].data,
                            .q_positions = a->in[ATTENTION_Q_POSITIONS].data,
                            .kv_positions = a->in[ATTENTION_KV_POSITIONS].data,
                            .place = a->in[ATTENTION_PLACE].data,
                            .sequences = sequence_count(a, &a->in[ATTENTION_Q_OFFSETS]),
                            .heads = q->dim[2],
                            .kv_heads = k->dim[2],
                            .width = q->dim[3],
                            .first_head = q->first[2],
                            .all_heads = q->whole[2],
                            .first_kv_head = k->first[2],
                            .group = q->whole[2] / k->whole[2],
                            .causal = attr[ATTENTION_CAUSAL] != 0,
                            .dropout = attr[ATTENTION_DROPOUT] > 0,
                            .window = (int32_t)attr[ATTENTION_WINDOW],
                            .scale = (float)attr[ATTENTION_SCALE],
                            .keep = keep_init(key, attr[ATTENTION_DROPOUT]),
                            .step = a->step };
}

/* Local key/value head of local head h; -1 for a head that is padding. */
static inline int64_t attend_kv_head(const struct attend *w, int64_t h)
{
    if (w->first_head + h >= w->all_heads)
        return -1;
    int64_t g = (w->first_head + h) / w->group - w->first_kv_head;
    if (g < 0 || g >= w->kv_heads)
        BUG("attention: head %lld has its key head on another rank", (long long)(w->first_head + h));
    return g;
}

struct queries {          /* a tile of query rows; those past count repeat the last one's position */
    int64_t first, count; /* rows of the tensor */
    int64_t wide;         /* count, rounded up to whole vectors: as many columns are worked on */
    int64_t head;         /* local */
    int32_t least, most;  /* positions */
    int32_t half_most[2]; /* the largest position of each half */
    int32_t position[QUERIES];
    uint32_t place[2][QUERIES]; /* low and high words of step << 40 | place */
};

static inline void queries_init(struct queries *t, const struct attend *w, int64_t first, int64_t count)
{
    t->first = first;
    t->count = count;
    t->wide = round_lanes(count);
    t->least = t->most = w->q_positions[first];
    for (int64_t i = 0; i < QUERIES; i++) {
        int64_t row = first + (i < count ? i : count - 1);
        int32_t at = w->q_positions[row];
        uint64_t place = w->dropout ? w->step << 40 | (uint64_t)w->place[row] : 0;
        t->position[i] = at;
        t->least = at < t->least ? at : t->least;
        t->most = at > t->most ? at : t->most;
        t->half_most[i / HALF] = i % HALF == 0 || at > t->half_most[i / HALF] ? at : t->half_most[i / HALF];
        t->place[0][i] = (uint32_t)place;
        t->place[1][i] = (uint32_t)(place >> 32);
    }
}

struct keys { /* a tile of key rows of a sequence that starts at row `start` */
    int64_t first, count, start;
    int32_t least, most;                             /* positions of those that are not masked */
    enum { KEYS_NONE, KEYS_SOME, KEYS_ALL } allowed; /* of the pairs with a tile of queries */
    int64_t until[2]; /* for each half of the queries: no pair with a key from here on is allowed */
};

static inline struct keys keys_init(const struct attend *w, const struct queries *q, int64_t start,
                                    int64_t first, int64_t count)
{
    struct keys t = { .first = first, .count = count, .start = start, .allowed = KEYS_SOME };
    const int32_t *at = w->kv_positions + first;
    int32_t least = INT32_MAX, most = -1, lowest = INT32_MAX;

    for (int64_t j = 0; j < count; j++) {
        lowest = at[j] < lowest ? at[j] : lowest;
        most = at[j] > most ? at[j] : most;
        least = at[j] >= 0 && at[j] < least ? at[j] : least;
    }
    t.least = least;
    t.most = most;
    for (int half = 0; half < 2; half++)
        for (t.until[half] = count; w->causal && t.until[half] > 0; t.until[half]--)
            if (at[t.until[half] - 1] <= q->half_most[half])
                break;
    if (q->count <= HALF)
        t.until[1] = t.until[0]; /* repeats the last query */
    if (most < 0 || (w->causal && least > q->most) ||
        (w->window > 0 && (int64_t)q->least - most >= w->window))
        t.allowed = KEYS_NONE;
    else if (lowest >= 0 && (!w->causal || most <= q->least) &&
             (w->window == 0 || (int64_t)q->most - least < w->window))
        t.allowed = KEYS_ALL;
    return t;
}

/* Runs a product over the halves of the queries that have allowed pairs, for the three ways in which keys and
 * queries may lie in it; what is left out of c is not written. */
static inline void product_of_scores(struct product p, const struct keys *k) /* rows: keys, cols: queries */
{
    int64_t both = least_of(k->until[0], k->until[1]), last = k->until[0] + k->until[1] - both;
    int64_t right = k->until[0] < k->until[1] ? HALF : 0, cols = p.cols;

    p.rows = both;
    product(&p);
    p.c += both * p.c_row + right;
    p.a += both * p.a_row;
    p.b += right;
    p.rows = last - both;
    p.cols = right ? cols - HALF : least_of(cols, HALF);
    product(&p);
}

static inline void product_over_keys(struct product p, const struct keys *k) /* depth: keys, cols: queries */
{
    int64_t cols = p.cols;

    p.depth = k->until[0];
    if (k->until[0] == k->until[1] || cols <= HALF) {
        product(&p);
        return;
    }
    p.cols = HALF;
    product(&p);
    p.c += HALF;
    p.b += HALF;
    p.shrink = p.shrink ? p.shrink + HALF : NULL;
    p.depth = k->until[1];
    p.cols = cols - HALF;
    product(&p);
}

static inline void product_over_queries(struct product p,
                                        const struct keys *k) /* rows: keys, depth: queries */
{
    int64_t both = least_of(k->until[0], k->until[1]), last = k->until[0] + k->until[1] - both;
    int64_t right = k->until[0] < k->until[1] ? HALF : 0, depth = p.depth;

    p.rows = both;
    product(&p);
    p.c += both * p.c_row;
    p.a += both * p.a_row + right * p.a_depth;
    p.b += right * p.b_row;
    p.rows = last - both;
    p.depth = right ? depth - HALF : least_of(depth, HALF);
    product(&p);
}

/* Sets the scores of pairs that are not allowed to -infinity. scores: [KEYS][QUERIES] */
static inline void mask_scores(const struct attend *w, const struct queries *q, const struct keys *k,
                               float *scores)
{
    veci never = (veci)vec_set(-INFINITY), zero = { 0 };

    for (int64_t j = 0; j < k->count; j++) {
        int32_t at = w->kv_positions[k->first + j];
        for (int64_t i = 0; i < q->wide; i += LANES) {
            if (j >= k->until[i / HALF])
                continue;
            veci position, score, banned = at < 0 ? zero - 1 : zero;
            memcpy(&position, q->position + i, sizeof(position));
            memcpy(&score, scores + j * QUERIES + i, sizeof(score));
            if (w->causal)
                banned |= (veci)(position < zero + at);
            if (w->window > 0)
                banned |= (veci)(position - at >= zero + w->window);
            score = (banned & never) | (~banned & score);
            memcpy(scores + j * QUERIES + i, &score, sizeof(score));
        }
    }
}

/* The place of key row j in the random stream of a head: four keys share one draw. */
static inline uint64_t keep_place(const struct attend *w, int64_t head, int64_t key)
{
    return (uint64_t)(w->first_head + head) << 32 | (uint64_t)key;
}

/* factor[4][LANES]: what dropout multiplies keys `key` .. `key` + 3 of their sequence (a multiple of 4) with,
 * for queries i .. i + LANES - 1. */
static inline void keep_quad(const struct attend *w, const struct queries *q, int64_t i, int64_t key,
                             vec factor[4])
{
    uint64_t quad = keep_place(w, q->head, key) / 4;
    vecu x[4] = { vecu_set((uint32_t)quad), vecu_set((uint32_t)(quad >> 32)) };

    memcpy(&x[2], q->place[0] + i, sizeof(x[2]));
    memcpy(&x[3], q->place[1] + i, sizeof(x[3]));
    philox(w->keep.key, x);
    for (int r = 0; r < 4; r++)
        factor[r] = keep_factor(&w->keep, x[r]);
}

/* Of attention and attention_grad alike: dtable alone may be added to. */
static inline const char *attend_refuses(const struct node *n)
{
    for (int i = 0; i < n->nin; i++)
        if (n->in[i] && (i < ATTENTION_Q_OFFSETS || i >= ATTENTION_TABLE) && n->in[i]->dtype != DT_F32)
            return "an input is not fp32";
    for (int j = 0; j < n->nout; j++) {
        if (n->out[j] && n->out[j]->dtype != DT_F32)
            return "an output is not fp32";
        if (n->accumulate[j] && j != ATTENTION_GRAD_DTABLE)
            return "adds to its output";
    }
    return keep_fits(n->attr[ATTENTION_DROPOUT]) ? NULL : "dropout is too near to 1";
}

#endif
