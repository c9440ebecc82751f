/* attention over a cache, for generation -- every row has its own history, so there is no product of
 * matrices: scores are inner products, read at the speed of memory. A task takes one row, one key/value head
 * with the query heads that share it, and a span of positions, in blocks with a running softmax; the spans of
 * a head are then put together in order. With many rows a span is the whole history; the rule looks at
 * capacities alone, never at threads. */
#include <float.h>
#include <math.h>

#include "base/parallel.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/relative.h"
#include "cpu/simd.h"
#include "ops/ops.h"

enum { BLOCK = 64, SPAN = 256, MANY_ROWS = 32, AHEAD = 8, APPEND_ROWS = 16 };

struct work {
    const float *q, *cache_k, *cache_v;
    const int32_t *slot, *positions, *source;
    float *out;
    float
        *partial; /* [row][head][span]: largest score, sum of exponentials, weighted sum of values [width] */
    int64_t rows, heads, kv_heads, width, length; /* length: T of the cache */
    int64_t q_row, first_head, all_heads, first_kv_head, group;
    int64_t span, spans, partial_floats; /* of one partial result */
    int64_t window;
    struct relative relative;
    float scale; /* with log2 e: scores are in units of log 2 */
};

struct block { /* positions first .. first + count - 1 of one row's history */
    int64_t first, count;
    int64_t at[BLOCK + AHEAD]; /* where their keys and values lie in the cache, for one head */
    float p[BLOCK];
};

static int64_t span_positions(int64_t rows, int64_t length)
{
    return rows >= MANY_ROWS || length < SPAN ? length : SPAN;
}

static float dot(const float *x, const float *y, int64_t width)
{
    vec a = vec_zero(), b = vec_zero();
    int64_t c = 0;

    for (; c + 2 * LANES <= width; c += 2 * LANES) {
        a = vec_fma(vec_load(x + c), vec_load(y + c), a);
        b = vec_fma(vec_load(x + c + LANES), vec_load(y + c + LANES), b);
    }
    for (; c < width; c += LANES)
        a = vec_fma(vec_load_upto(x + c, width - c), vec_load_upto(y + c, width - c), a);
    return vec_sum(a + b);
}

static void prefetch_row(const float *row, int64_t width)
{
    for (int64_t c = 0; c < width; c += 16)
        __builtin_prefetch(row + c);
}

/* Of row n and head h. */
static void add_bias(const struct work *w, struct block *b, int64_t n, int64_t h)
{
    for (int64_t t = 0; w->relative.table && t < b->count; t++)
        b->p[t] += 1.44269504f * relative_bias(&w->relative, h, b->first + t - w->positions[n]);
}

static void block_scores(const struct work *w, struct block *b, const float *q)
{
    for (int64_t t = 0; t < b->count; t++) {
        prefetch_row(w->cache_k + b->at[t + AHEAD], w->width);
        prefetch_row(w->cache_v + b->at[t], w->width);
        b->p[t] = w->scale * dot(q, w->cache_k + b->at[t], w->width);
    }
    for (int64_t t = b->count; t % LANES; t++)
        b->p[t] = -INFINITY;
}

/* sum = sum * shrink + p * values; V vectors at a time stay in registers. */
static inline __attribute__((always_inline)) void add_values(const struct work *w, const struct block *b,
                                                             float *sum, float shrink, int64_t c, const int V)
{
    vec s[4];

    for (int v = 0; v < V; v++)
        s[v] = vec_set(shrink) * vec_load_upto(sum + c + v * LANES, w->width - c - v * LANES);
    for (int64_t t = 0; t < b->count; t++)
        for (int v = 0; v < V; v++)
            s[v] =
                vec_fma(vec_set(b->p[t]),
                        vec_load_upto(w->cache_v + b->at[t] + c + v * LANES, w->width - c - v * LANES), s[v]);
    for (int v = 0; v < V; v++)
        vec_store_upto(sum + c + v * LANES, s[v], w->width - c - v * LANES);
}

/* One block of row n into the partial result of head h. */
static void attend_block(const struct work *w, struct block *b, int64_t n, int64_t h, float *partial)
{
    vec most = vec_set(partial[0]), total = vec_zero();
    int64_t c = 0;

    block_scores(w, b, w->q + n * w->q_row + h * w->width);
    add_bias(w, b, n, h);
    for (int64_t t = 0; t < b->count; t += LANES)
        most = vec_max(most, vec_load(b->p + t));
    float level = vec_largest(most);
    for (int64_t t = 0; t < b->count; t += LANES) {
        vec p = vec_exp2(vec_load(b->p + t) - vec_set(level));
        total += p;
        vec_store(b->p + t, p);
    }
    float shrink = vec_exp2(vec_set(partial[0] - level))[0];
    partial[0] = level;
    partial[1] = partial[1] * shrink + vec_sum(total);
    for (; c + 4 * LANES <= w->width; c += 4 * LANES)
        add_values(w, b, partial + 2, shrink, c, 4);
    for (; c < w->width; c += LANES)
        add_values(w, b, partial + 2, shrink, c, 1);
}

static void find_block(const struct work *w, struct block *b, int64_t n, int64_t g)
{
    const int32_t *source = w->source ? w->source + w->slot[n] * w->length : NULL;

    for (int64_t t = 0; t < b->count + AHEAD; t++) {
        int64_t position = b->first + (t < b->count ? t : b->count - 1);
        int64_t row = source ? source[position] : w->slot[n];
        b->at[t] = ((row * w->length + position) * w->kv_heads + g) * w->width;
    }
}

/* Local key/value head of local head h; -1 for a head that is padding. */
static int64_t kv_head(const struct work *w, int64_t h)
{
    int64_t whole = w->first_head + h;
    return whole < w->all_heads ? whole / w->group - w->first_kv_head : -1;
}

static void attend_span(void *context, int64_t task)
{
    const struct work *w = context;
    int64_t span = task % w->spans, g = task / w->spans % w->kv_heads, n = task / w->spans / w->kv_heads;
    int64_t last = w->positions[n], end = (span + 1) * w->span <= last ? (span + 1) * w->span : last + 1;
    int64_t first = w->window > 0 && last >= w->window ? last - w->window + 1 : 0;
    struct block b;

    if (first < span * w->span)
        first = span * w->span;
    for (int64_t h = 0; h < w->heads; h++) {
        float *partial = w->partial + ((n * w->heads + h) * w->spans + span) * w->partial_floats;
        int64_t own = kv_head(w, h);
        if (own != g && !(own < 0 && g == 0))
            continue;
        memset(partial, 0, (size_t)w->partial_floats * sizeof(float));
        partial[0] = -FLT_MAX;
    }
    for (b.first = first; b.first < end; b.first += BLOCK) {
        b.count = end - b.first < BLOCK ? end - b.first : BLOCK;
        find_block(w, &b, n, g);
        for (int64_t h = 0; h < w->heads; h++)
            if (kv_head(w, h) == g)
                attend_block(w, &b, n, h,
                             w->partial + ((n * w->heads + h) * w->spans + span) * w->partial_floats);
    }
}

/* Puts the spans of row n together. */
static void join_spans(void *context, int64_t n)
{
    const struct work *w = context;

    for (int64_t h = 0; h < w->heads; h++) {
        const float *partial = w->partial + (n * w->heads + h) * w->spans * w->partial_floats;
        float *out = w->out + (n * w->heads + h) * w->width, level = partial[0], total = 0;
        for (int64_t s = 1; s < w->spans; s++)
            level = partial[s * w->partial_floats] > level ? partial[s * w->partial_floats] : level;
        memset(out, 0, (size_t)w->width * sizeof(float));
        for (int64_t s = 0; s < w->spans; s++) {
            const float *part = partial + s * w->partial_floats;
            float share = vec_exp2(vec_set(part[0] - level))[0];
            total += share * part[1];
            for (int64_t c = 0; c < w->width; c++)
                out[c] += share * part[2 + c];
        }
        for (int64_t c = 0; c < w->width; c++)
            out[c] = total != 0 ? out[c] / total : 0;
    }
}

static void run(const struct kernel_args *a)
{
    const struct view *q = &a->in[ATTENTION_CACHED_Q], *k = &a->in[ATTENTION_CACHED_CACHE_K];
    const double *attr = a->node->attr;
    struct work w = { .q = (const float *)q->data +
                           (int64_t)attr[ATTENTION_CACHED_Q_PART] * q->dim[2] * q->dim[3],
                      .cache_k = k->data,
                      .cache_v = a->in[ATTENTION_CACHED_CACHE_V].data,
                      .slot = a->in[ATTENTION_CACHED_SLOT].data,
                      .positions = a->in[ATTENTION_CACHED_POSITIONS].data,
                      .source = a->in[ATTENTION_CACHED_SOURCE].data,
                      .out = a->out[0].data,
                      .rows = q->dim[0],
                      .heads = q->dim[2],
                      .kv_heads = k->dim[2],
                      .width = q->dim[3],
                      .length = k->dim[1],
                      .q_row = q->dim[1] * q->dim[2] * q->dim[3],
                      .first_head = q->first[2],
                      .all_heads = q->whole[2],
                      .first_kv_head = k->first[2],
                      .group = q->whole[2] / k->whole[2],
                      .window = (int64_t)attr[ATTENTION_CACHED_WINDOW],
                      .scale = (float)(attr[ATTENTION_CACHED_SCALE] * 1.4426950408889634) };
    int64_t most = 0;

    for (int64_t n = 0; n < w.rows; n++)
        most = w.positions[n] > most ? w.positions[n] : most;
    w.span = span_positions(a->node->in[ATTENTION_CACHED_Q]->dims[0].size, w.length);
    w.spans = most / w.span + 1;
    w.partial_floats = w.width + 2;
    relative_init(&w.relative, &a->in[ATTENTION_CACHED_TABLE], attr[ATTENTION_CACHED_MAX_DISTANCE],
                  attr[ATTENTION_CACHED_BIDIRECTIONAL] != 0, a->workspace);
    w.partial = (float *)(void *)((char *)a->workspace + relative_bytes(a->node->in[ATTENTION_CACHED_TABLE],
                                                                        attr[ATTENTION_CACHED_MAX_DISTANCE]));
    parallel_for(w.rows * w.kv_heads * w.spans, attend_span, &w);
    parallel_for(w.rows, join_spans, &w);
}

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *q = n->in[ATTENTION_CACHED_Q];
    int64_t rows = tensor_local_dim(q, 0, mesh), length = n->in[ATTENTION_CACHED_CACHE_K]->dims[1].size;

    return relative_bytes(n->in[ATTENTION_CACHED_TABLE], n->attr[ATTENTION_CACHED_MAX_DISTANCE]) +
           rows * tensor_local_dim(q, 2, mesh) * ceil_div(length, span_positions(rows, length)) *
               (q->dims[3].size + 2) * (int64_t)sizeof(float);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    const struct tensor *table = n->in[ATTENTION_CACHED_TABLE];

    if (table && table->dtype != DT_F32)
        return "an input is not fp32";
    return refuse_all_but_plain_f32(n, ATTENTION_CACHED_SLOT);
}

/* ---- Appending ---- */
struct append {
    const struct view *k, *v, *new_k, *new_v;
    const int32_t *slot, *positions;
    int64_t k_part, v_part;
};

static void append_row(const struct append *w, const struct view *x, int64_t part, const struct view *cache,
                       int64_t n)
{
    int64_t row = x->dim[2] * x->dim[3], slot = w->slot[n], position = w->positions[n];

    if (slot < 0 || slot >= cache->dim[0] || position >= cache->dim[1])
        BUG("cache_append: row %lld, position %lld of a cache of %lld x %lld", (long long)slot,
            (long long)position, (long long)cache->dim[0], (long long)cache->dim[1]);
    if (position >= 0)
        memcpy((float *)cache->data + (slot * cache->dim[1] + position) * row,
               (const float *)x->data + (n * x->dim[1] + part) * row, (size_t)row * sizeof(float));
}

static void append_tile(void *context, int64_t tile)
{
    const struct append *w = context;

    for (int64_t n = tile * APPEND_ROWS; n < w->k->dim[0] && n < (tile + 1) * APPEND_ROWS; n++) {
        append_row(w, w->k, w->k_part, w->new_k, n);
        append_row(w, w->v, w->v_part, w->new_v, n);
    }
}

static void run_append(const struct kernel_args *a)
{
    struct append w = { .k = &a->in[CACHE_APPEND_K],
                        .v = &a->in[CACHE_APPEND_V],
                        .new_k = &a->out[CACHE_APPEND_NEW_K],
                        .new_v = &a->out[CACHE_APPEND_NEW_V],
                        .slot = a->in[CACHE_APPEND_SLOT].data,
                        .positions = a->in[CACHE_APPEND_POSITIONS].data,
                        .k_part = (int64_t)a->node->attr[CACHE_APPEND_K_PART],
                        .v_part = (int64_t)a->node->attr[CACHE_APPEND_V_PART] };

    parallel_for(ceil_div(w.k->dim[0], APPEND_ROWS), append_tile, &w);
}

static const char *refuses_append(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, CACHE_APPEND_SLOT);
}

const struct kernel ISA(cpu_cache_append)[] = {
    { "copy " ISA_TEXT, .refuses = refuses_append, .run = run_append },
    { "reference", .run = ref_cache_append },
    { 0 },
};
const struct kernel ISA(cpu_attention_cached)[] = {
    { "spans " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run },
    { "reference", .workspace = ref_attention_workspace, .run = ref_attention_cached },
    { 0 },
};
