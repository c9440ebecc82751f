#include "lib/ops.h"

/* ---- cache_append ---- */

struct cache_append_form {
    int64_t rows, parts, groups, width, cache_rows, positions;
    bool together; /* keys and values are parts of one tensor */
    const int64_t *slot, *at;
};

static void build_cache_append(struct ops_case *c)
{
    const struct cache_append_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows);
    const struct dim *cache = SHAPE(FIX(f->cache_rows), FIX(f->positions), FIX(f->groups), FIX(f->width));
    struct tensor *in[6];
    struct node *n;

    in[CACHE_APPEND_K] = ops_value(c, SHAPE(rows, FIX(f->parts), FIX(f->groups), FIX(f->width)));
    in[CACHE_APPEND_V] = f->together
                             ? in[CACHE_APPEND_K]
                             : ops_value(c, SHAPE(rows, FIX(f->parts), FIX(f->groups), FIX(f->width)));
    in[CACHE_APPEND_CACHE_K] = ops_state(c, cache);
    in[CACHE_APPEND_CACHE_V] = ops_state(c, cache);
    in[CACHE_APPEND_SLOT] = ops_ints(c, DT_I32, SHAPE(rows), f->slot);
    in[CACHE_APPEND_POSITIONS] = ops_ints(c, DT_I32, SHAPE(rows), f->at);
    n = graph_node(&c->b, &op_cache_append, 6, in,
                   ATTRS({ "k_part", f->together ? 1 : 0 }, { "v_part", f->together ? 2 : 0 }));
    node_write_into(n, CACHE_APPEND_NEW_K, in[CACHE_APPEND_CACHE_K], false);
    node_write_into(n, CACHE_APPEND_NEW_V, in[CACHE_APPEND_CACHE_V], false);
    c->dry = true; /* only the new rows of the caches are touched */
    ops_under_test(c, n, 0);
}

static const struct ops_case_def list_cache_append[] = {
    { "together", build_cache_append,
      &(struct cache_append_form){ 4, 3, 3, 2, 3, 5, true, (const int64_t[]){ 0, 0, 2, 1 },
                                   (const int64_t[]){ 0, 1, 4, 2 } } },
    { "separate", build_cache_append,
      &(struct cache_append_form){ 2, 1, 2, 3, 2, 4, false, (const int64_t[]){ 1, 0 },
                                   (const int64_t[]){ 3, 0 } } },
    { "empty", build_cache_append, &(struct cache_append_form){ 0, 3, 2, 3, 2, 4, true } },
    { 0 },
};

const struct op_cases cases_cache_append = { .cases = list_cache_append };

/* ---- attention_cached ---- */

struct attention_cached_form {
    int64_t rows, parts, heads, groups, width, positions, slots;
    double window;
    const int64_t *slot, *at, *source; /* source: slots x positions; NULL: none */
    int64_t buckets, max_distance;     /* 0: no table of relative positions */
};

static void build_attention_cached(struct ops_case *c)
{
    const struct attention_cached_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows);
    const struct dim *cache = SHAPE(FIX(f->slots), FIX(f->positions), FIX(f->groups), FIX(f->width));
    struct tensor *in[7] = { 0 };

    in[ATTENTION_CACHED_Q] = ops_value(c, SHAPE(rows, FIX(f->parts), FIX(f->heads), FIX(f->width)));
    in[ATTENTION_CACHED_CACHE_K] = ops_state(c, cache);
    in[ATTENTION_CACHED_CACHE_V] = ops_state(c, cache);
    in[ATTENTION_CACHED_SLOT] = ops_ints(c, DT_I32, SHAPE(rows), f->slot);
    in[ATTENTION_CACHED_POSITIONS] = ops_ints(c, DT_I32, SHAPE(rows), f->at);
    if (f->source)
        in[ATTENTION_CACHED_SOURCE] = ops_ints(c, DT_I32, SHAPE(FIX(f->slots), FIX(f->positions)), f->source);
    if (f->buckets)
        in[ATTENTION_CACHED_TABLE] = ops_param(c, SHAPE(FIX(f->buckets), FIX(f->heads)));
    c->dry = true; /* positions that are not filled yet are not read */
    ops_under_test(c,
                   graph_node(&c->b, &op_attention_cached, 7, in,
                              ATTRS({ "scale", 0.6 }, { "window", f->window },
                                    { "max_distance", (double)f->max_distance })),
                   0);
}

static void large_attention_cached(struct ops_case *c)
{
    int64_t slot[5], at[5] = { 0, 130, 77, 5, 64 }, source[3 * 131];

    for (int i = 0; i < 5; i++)
        slot[i] = i % 3;
    for (int i = 0; i < 3 * 131; i++)
        source[i] = i % 131 < 40 ? 1 : i / 131;
    c->large = true;
    c->with =
        &(struct attention_cached_form){ 5, 3, 4, 2, 37, 131, 3, 0, slot, at, source, .buckets = 9, 30 };
    build_attention_cached(c);
}

/* Sequence 1 shares the first two positions of sequence 0, as beams do. */
static const int64_t beams[] = { 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2 };

static const struct ops_case_def list_attention_cached[] = {
    { "plain", build_attention_cached,
      &(struct attention_cached_form){ 3, 3, 3, 3, 2, 5, 3, 0, (const int64_t[]){ 0, 1, 2 },
                                       (const int64_t[]){ 2, 4, 0 }, beams } },
    { "grouped", build_attention_cached,
      &(struct attention_cached_form){ 2, 1, 4, 2, 3, 5, 3, 0, (const int64_t[]){ 2, 1 },
                                       (const int64_t[]){ 4, 3 }, beams } },
    { "three_groups", build_attention_cached,
      &(struct attention_cached_form){ 2, 1, 6, 3, 2, 5, 3, 0, (const int64_t[]){ 2, 1 },
                                       (const int64_t[]){ 4, 3 }, beams, .buckets = 4, 3 } },
    { "window", build_attention_cached,
      &(struct attention_cached_form){ 3, 1, 2, 2, 3, 5, 3, 2, (const int64_t[]){ 1, 1, 0 },
                                       (const int64_t[]){ 3, 4, 0 }, beams } },
    { "no_source", build_attention_cached,
      &(struct attention_cached_form){ 4, 1, 2, 2, 3, 5, 3, 0, (const int64_t[]){ 2, 0, 2, 1 },
                                       (const int64_t[]){ 4, 3, -1, 0 } } },
    { "relative", build_attention_cached,
      &(struct attention_cached_form){ 3, 3, 3, 3, 2, 5, 3, 0, (const int64_t[]){ 0, 1, 2 },
                                       (const int64_t[]){ 2, 4, 0 }, beams, .buckets = 4, 3 } },
    { "empty", build_attention_cached,
      &(struct attention_cached_form){ 0, 1, 2, 2, 3, 5, 3, 0, NULL, NULL, beams } },
    { "large", large_attention_cached, NULL },
    { 0 },
};

const struct op_cases cases_attention_cached = { .tolerance = 5e-5,
                                                 .matmul = true,
                                                 .cases = list_attention_cached };
