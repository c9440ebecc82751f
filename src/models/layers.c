#include <stdio.h>

#include "base/err.h"
#include "models/model.h"

struct tensor *padded_table(struct builder *b, const char *name, const int64_t size[2], double init,
                            int64_t padding)
{
    int64_t rows = size[0], width = size[1];
    const int64_t dims[] = { rows, width };

    return graph_param(b, name,
                       &(struct param_info){ .file_ndim = 2,
                                             .file_dims = { rows, width },
                                             .init = INIT_NORMAL,
                                             .init_scale = init,
                                             .zero_row = padding < 0 || padding >= rows ? 0 : padding + 1,
                                             .decay = true,
                                             .trainable = true },
                       2, dims);
}

struct tensor *embedding_table(struct builder *b, const char *name, int64_t rows, int64_t width, double init)
{
    return padded_table(b, name, (const int64_t[]){ rows, width }, init, -1);
}

struct tensor *vector_param(struct builder *b, const char *name, int64_t size, enum init_kind init)
{
    return graph_param(
        b, name,
        &(struct param_info){ .file_ndim = 1, .file_dims = { size }, .init = init, .trainable = true }, 1,
        &size);
}

struct tensor *norm_layer(struct builder *b, const char *name, struct tensor *x, double eps)
{
    int64_t width = x ? x->dims[x->ndim - 1].size : 0;
    struct tensor *weight, *bias, *y;

    scope_begin(b, name);
    weight = vector_param(b, "weight", width, INIT_ONE);
    bias = vector_param(b, "bias", width, INIT_ZERO);
    y = layernorm(b, x, weight, bias, eps);
    scope_end(b, name);
    return y;
}

struct tensor *rmsnorm_layer(struct builder *b, const char *name, struct tensor *x, double eps)
{
    struct tensor *y;

    scope_begin(b, name);
    y = rmsnorm(b, x, vector_param(b, "weight", x ? x->dims[x->ndim - 1].size : 0, INIT_ONE), eps);
    scope_end(b, name);
    return y;
}

static int64_t product(const int64_t dims[], int ndim)
{
    int64_t p = 1;

    for (int d = 0; d < ndim; d++)
        p *= dims[d];
    return p;
}

struct tensor *linear_layer(struct builder *b, const char *name, struct tensor *x,
                            const struct linear_options *o)
{
    const int64_t *first = o->out_first ? o->out : o->in, *second = o->out_first ? o->in : o->out;
    int first_ndim = o->out_first ? o->out_ndim : o->in_ndim, ndim = o->in_ndim + o->out_ndim;
    struct param_info info = { .file_ndim = 2,
                               .file_dims = { product(first, first_ndim),
                                              product(second, ndim - first_ndim) },
                               .init = INIT_NORMAL,
                               .init_scale = o->init,
                               .decay = true,
                               .trainable = true };
    struct tensor *weight, *bias = NULL, *y;
    int64_t dims[MAX_DIMS];

    for (int d = 0; d < ndim; d++)
        dims[d] = d < first_ndim ? first[d] : second[d - first_ndim];
    scope_begin(b, name);
    weight = graph_param(b, "weight", &info, ndim, dims);
    if (o->bias)
        bias = graph_param(b, "bias",
                           &(struct param_info){ .file_ndim = 1,
                                                 .file_dims = { product(o->out, o->out_ndim) },
                                                 .init = INIT_ZERO,
                                                 .trainable = true },
                           o->out_ndim, o->out);
    y = linear(b, x, weight, bias, o->in_ndim, o->out_first);
    scope_end(b, name);
    return y;
}

/* The caches of this layer, WHAT_k.LAYER and WHAT_v.LAYER, with keys and values of new rows in them. */
static void fill_cache(struct builder *b, const char *what, const int64_t size[2], struct tensor *const kv[2],
                       const struct attention_options *o, struct cache *c)
{
    const struct dim dims[] = {
        { size[0], COUNT_FIXED }, { size[1], COUNT_FIXED }, kv[0]->dims[2], kv[0]->dims[3]
    };
    struct tensor *next[2];
    char name[64];

    snprintf(name, sizeof(name), "%s_k.%d", what, b->layer);
    c->k = graph_state(b, name, kv[0]->dtype, 4, dims);
    snprintf(name, sizeof(name), "%s_v.%d", what, b->layer);
    c->v = graph_state(b, name, kv[1]->dtype, 4, dims);
    cache_append(b, kv[0], kv[1], c, o, next);
    c->k = next[0];
    c->v = next[1];
}

struct tensor *attention_layer(struct builder *b, const struct model_inputs *in, struct tensor *q,
                               struct tensor *k, struct tensor *v, const struct attention_options *o)
{
    struct cache cache = { .slot = in->slot,
                           .positions = in->rows.sequences.positions,
                           .source = in->source };
    const int64_t size[] = { in->cache_rows, in->cache_positions };

    if (!in->cached)
        return attention(b, &(struct attention_inputs){ q, k, v }, &in->rows.sequences, &in->rows.keys, o);
    if (builder_status(b) != OK)
        return NULL;
    fill_cache(b, "cache", size, (struct tensor *const[]){ k, v }, o, &cache);
    return attention_cached(b, q, &cache, o);
}

struct tensor *cross_attention_layer(struct builder *b, const struct model_inputs *in, struct tensor *q,
                                     struct tensor *k, struct tensor *v, const struct attention_options *o)
{
    const struct cross_inputs *cross = &in->cross;
    struct cache cache = { .slot = cross->encoder_slot, .positions = in->encoder.sequences.positions };
    const int64_t size[] = { cross->cache_rows, cross->cache_positions };

    if (!in->cached)
        return attention(b, &(struct attention_inputs){ q, k, v }, &in->rows.sequences, &in->encoder.keys, o);
    if (builder_status(b) != OK)
        return NULL;
    fill_cache(b, "cross", size, (struct tensor *const[]){ k, v }, o, &cache);
    cache.slot = cross->slot;
    cache.positions = cross->last;
    return attention_cached(b, q, &cache, o);
}
