/* cache -- the two ops of generation: cache_append stores keys and values of new rows, attention_cached reads
 * them through a table of sources, so that beams share prefixes and nothing is copied when beams are
 * reordered. No gradients. */
#include "ops/card.h"

static int infer_append(const struct node *n, struct tensor out[])
{
    const struct tensor *k = n->in[CACHE_APPEND_K], *cache = n->in[CACHE_APPEND_CACHE_K];

    if (k->ndim != 4 || cache->ndim != 4 || k->dims[2].size != cache->dims[2].size ||
        k->dims[3].size != cache->dims[3].size)
        return fail(ERR_INTERNAL, "cache_append: keys do not fit the cache");
    out[CACHE_APPEND_NEW_K] = *cache;
    out[CACHE_APPEND_NEW_V] = *n->in[CACHE_APPEND_CACHE_V];
    return OK;
}

static void shard_append(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(
        r, n, (struct placement[]){ ON_SHARD(2), ON_SHARD(2), ON_SHARD(2), ON_SHARD(2), ON_ALL, ON_ALL },
        (struct placement[]){ ON_SHARD(2), ON_SHARD(2) }, true);
}

static struct op_cost cost_append(const struct node *n)
{
    return (struct op_cost){ .bytes = 4.0 * (double)tensor_bytes(n->in[CACHE_APPEND_K]) };
}

const struct op_def op_cache_append = {
    .name = "cache_append",
    .inputs = { "k", "v", "cache_k", "cache_v", "slot", "positions" },
    .outputs = { "new_k", "new_v" },
    .attrs = { { "k_part", 0 }, { "v_part", 0 } },
    .infer = infer_append,
    .no_gradient = true,
    .shard = shard_append,
    .cost = cost_append,
};

void cache_append(struct builder *b, struct tensor *k, struct tensor *v, const struct cache *c,
                  const struct attention_options *o, struct tensor *out[2])
{
    struct tensor *const in[] = { k, v, c->k, c->v, c->slot, c->positions };
    struct node *n =
        graph_node(b, &op_cache_append, 6, in,
                   (struct attr_value[]){ { "k_part", o->k_part }, { "v_part", o->v_part }, { 0 } });

    node_write_into(n, CACHE_APPEND_NEW_K, c->k, false);
    node_write_into(n, CACHE_APPEND_NEW_V, c->v, false);
    out[0] = output_of(n, CACHE_APPEND_NEW_K);
    out[1] = output_of(n, CACHE_APPEND_NEW_V);
}

/* ---- Reading ---- */

static int infer_cached(const struct node *n, struct tensor out[])
{
    const struct tensor *q = n->in[ATTENTION_CACHED_Q];

    out[0] = (struct tensor){ .dtype = q->dtype, .ndim = 3, .dims = { q->dims[0], q->dims[2], q->dims[3] } };
    return OK;
}

/* As attention. */
static void shard_cached(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    int64_t heads = n->in[ATTENTION_CACHED_Q]->dims[2].size,
            groups = n->in[ATTENTION_CACHED_CACHE_K]->dims[2].size;
    struct placement keys = heads == groups || groups % r->size == 0 ? ON_SHARD(2) : ON_ALL;

    (void)have;
    shard_rules_add(r, n,
                    (struct placement[]){ ON_SHARD(2), keys, keys, ON_ALL, ON_ALL, ON_ALL, ON_SHARD(1) },
                    (struct placement[]){ ON_SHARD(1) }, true);
}

static struct op_cost cost_cached(const struct node *n)
{
    double bytes = 2.0 * (double)tensor_bytes(n->in[ATTENTION_CACHED_CACHE_K]);

    return (struct op_cost){ .flops = bytes, .bytes = bytes };
}

const struct op_def op_attention_cached = {
    .name = "attention_cached",
    .inputs = { "q", "cache_k", "cache_v", "slot", "positions", "?source", "?table" },
    .outputs = { "out" },
    .attrs = { { "scale", 1 },
               { "window", 0 },
               { "q_part", 0 },
               { "max_distance", 0 },
               { "bidirectional", 0 } },
    .infer = infer_cached,
    .no_gradient = true,
    .shard = shard_cached,
    .cost = cost_cached,
};

struct tensor *attention_cached(struct builder *b, struct tensor *q, const struct cache *c,
                                const struct attention_options *o)
{
    struct tensor *const in[] = { q, c->k, c->v, c->slot, c->positions, c->source, o->table };

    return output_of(graph_node(b, &op_attention_cached, 7, in,
                                (struct attr_value[]){ { "scale", o->scale },
                                                       { "window", o->window },
                                                       { "q_part", o->q_part },
                                                       { "max_distance", (double)o->max_distance },
                                                       { "bidirectional", o->bidirectional },
                                                       { 0 } }),
                     0);
}
