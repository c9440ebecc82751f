/* References of cache_append and attention_cached. */
#include "cpu/ref.h"
#include "ops/bucket.h"
#include "ops/ops.h"

/* x (N, P, G, K), its part -> cache (C, T, G, K) */
static void append(const struct kernel_args *a, int x_input, int part, const struct view *cache)
{
    const struct view *x = &a->in[x_input];
    const int32_t *slot = a->in[CACHE_APPEND_SLOT].data, *positions = a->in[CACHE_APPEND_POSITIONS].data;
    int64_t row = x->dim[2] * x->dim[3];

    for (int64_t n = 0; n < x->dim[0]; n++) {
        if (slot[n] < 0 || slot[n] >= cache->dim[0] || positions[n] >= cache->dim[1])
            BUG("cache_append: row %d, position %d of a cache of %lld x %lld", slot[n], positions[n],
                (long long)cache->dim[0], (long long)cache->dim[1]);
        for (int64_t c = 0; positions[n] >= 0 && c < row; c++)
            ref_store(cache, (slot[n] * cache->dim[1] + positions[n]) * row + c,
                      ref_load(x, (n * x->dim[1] + part) * row + c));
    }
}

void ref_cache_append(const struct kernel_args *a)
{
    append(a, CACHE_APPEND_K, (int)a->node->attr[CACHE_APPEND_K_PART], &a->out[CACHE_APPEND_NEW_K]);
    append(a, CACHE_APPEND_V, (int)a->node->attr[CACHE_APPEND_V_PART], &a->out[CACHE_APPEND_NEW_V]);
}

/* Index of position t's first entry under kv head g, as row n sees the cache. */
static int64_t cached(const struct kernel_args *a, int64_t n, int64_t t, int64_t g)
{
    const struct view *cache = &a->in[ATTENTION_CACHED_CACHE_K], *source = &a->in[ATTENTION_CACHED_SOURCE];
    int64_t slot = ((const int32_t *)a->in[ATTENTION_CACHED_SLOT].data)[n];
    int64_t row = source->data ? ((const int32_t *)source->data)[slot * source->dim[1] + t] : slot;

    return ((row * cache->dim[1] + t) * cache->dim[2] + g) * cache->dim[3];
}

struct pair { /* row n under local head h, and position t */
    int64_t n, h, t;
    int64_t q_first, k_first; /* their entries in q and the cache */
};

static double bias(const struct kernel_args *a, const struct pair *p)
{
    const struct view *table = &a->in[ATTENTION_CACHED_TABLE];
    struct bucketing b = { .max_distance = (int64_t)a->node->attr[ATTENTION_CACHED_MAX_DISTANCE],
                           .bidirectional = a->node->attr[ATTENTION_CACHED_BIDIRECTIONAL] != 0 };

    if (!table->data)
        return 0;
    b.buckets = table->dim[0];
    return ref_load(table,
                    bucket_of(&b, p->t - ((const int32_t *)a->in[ATTENTION_CACHED_POSITIONS].data)[p->n]) *
                            table->dim[1] +
                        p->h);
}

static double cached_score(const struct kernel_args *a, const struct pair *p)
{
    const struct view *q = &a->in[ATTENTION_CACHED_Q];
    double sum = 0;

    for (int64_t c = 0; c < q->dim[3]; c++)
        sum += ref_load(q, p->q_first + c) * ref_load(&a->in[ATTENTION_CACHED_CACHE_K], p->k_first + c);
    return sum * a->node->attr[ATTENTION_CACHED_SCALE] + bias(a, p);
}

/* Row n, local head h, kv head g (-1: a padded head, zeros). */
static void attend(const struct kernel_args *a, int64_t n, int64_t h, int64_t g)
{
    const struct view *q = &a->in[ATTENTION_CACHED_Q], *v = &a->in[ATTENTION_CACHED_CACHE_V];
    int64_t last = ((const int32_t *)a->in[ATTENTION_CACHED_POSITIONS].data)[n], width = q->dim[3];
    int64_t window = (int64_t)a->node->attr[ATTENTION_CACHED_WINDOW];
    int64_t start = window > 0 && last >= window ? last - window + 1 : 0;
    int64_t q_first = ((n * q->dim[1] + (int)a->node->attr[ATTENTION_CACHED_Q_PART]) * q->dim[2] + h) * width;
    double most = -INFINITY, total = 0, *sum = a->workspace;
    struct pair p = { .n = n, .h = h, .q_first = q_first };

    for (int64_t c = 0; c < width; c++)
        sum[c] = 0;
    for (p.t = start; g >= 0 && p.t <= last; p.t++) {
        p.k_first = cached(a, n, p.t, g);
        most = fmax(most, cached_score(a, &p));
    }
    for (p.t = start; g >= 0 && p.t <= last; p.t++) {
        p.k_first = cached(a, n, p.t, g);
        double weight = exp(cached_score(a, &p) - most);
        total += weight;
        for (int64_t c = 0; c < width; c++)
            sum[c] += weight * ref_load(v, p.k_first + c);
    }
    for (int64_t c = 0; c < width; c++)
        ref_store(&a->out[0], (n * q->dim[2] + h) * width + c, total > 0 ? sum[c] / total : 0);
}

void ref_attention_cached(const struct kernel_args *a)
{
    const struct view *q = &a->in[ATTENTION_CACHED_Q], *cache = &a->in[ATTENTION_CACHED_CACHE_K];

    for (int64_t n = 0; n < q->dim[0]; n++) {
        for (int64_t h = 0; h < q->dim[2]; h++) {
            int64_t whole = q->first[2] + h;
            int64_t g = whole / (q->whole[2] / cache->whole[2]) - cache->first[2];
            attend(a, n, h, whole < q->whole[2] ? g : -1);
        }
    }
}
