/* embedding -- rows of a table by index: y[n] = table[ids[n]]. Its gradient adds rows up where an id occurs
 * again. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    const struct tensor *table = n->in[EMBEDDING_TABLE], *ids = n->in[EMBEDDING_IDS];

    if (ids->dtype != DT_I32 || ids->ndim != 1)
        return fail(ERR_INTERNAL, "embedding: ids are %s with %d dims, expected I32 with 1",
                    dtype_name(ids->dtype), ids->ndim);
    out[0] = *table;
    out[0].dims[0] = ids->dims[0];
    return OK;
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct tensor *table = n->in[EMBEDDING_TABLE];
    struct tensor *const in[] = { dout[0], n->in[EMBEDDING_IDS], table };
    struct node *g;

    if (!wants[EMBEDDING_TABLE])
        return;
    if (table->kind == TENSOR_PARAM)
        b->unit = UNIT_BACKWARD_WEIGHT;
    g = graph_node(b, &op_embedding_grad, 3, in,
                   (struct attr_value[]){ { "padding", n->attr[EMBEDDING_PADDING] }, { 0 } });
    if (table->kind == TENSOR_PARAM)
        grad_accumulate(b, g, 0, table);
    else
        din[EMBEDDING_TABLE] = output_of(g, 0);
}

/* Counted rows are dealt out over dp together with what says which of them are meant. */
static bool gathers_own(const struct tensor *table, const struct shard_rules *r)
{
    return r->axis == AXIS_DP && table->dims[0].count != COUNT_FIXED;
}

/* A rank that holds a part of the table's rows gives zeros for the others' ids: the sum is the whole. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    if (gathers_own(n->in[EMBEDDING_TABLE], r)) {
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0) },
                        (struct placement[]){ ON_SHARD(0) }, true);
        return;
    }
    shard_rules_add(r, n, (struct placement[]){ ON_ALL, ON_SHARD(0) }, (struct placement[]){ ON_SHARD(0) },
                    true);
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_ALL }, (struct placement[]){ ON_SUM }, true);
    for (int d = 1; d < n->in[EMBEDDING_TABLE]->ndim; d++)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(d), ON_ALL },
                        (struct placement[]){ ON_SHARD(d) }, true);
}

static struct op_cost cost(const struct node *n)
{
    return (struct op_cost){ .bytes = 2.0 * (double)tensor_bytes(n->out[0]) };
}

const struct op_def op_embedding = {
    .name = "embedding",
    .inputs = { "table", "ids" },
    .outputs = { "y" },
    .attrs = { { "padding", -1 } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
};

struct tensor *padded_embedding(struct builder *b, struct tensor *table, struct tensor *ids, int64_t padding)
{
    struct tensor *const in[] = { table, ids };
    double attr = padding < 0 ? -1 : (double)padding;

    return output_of(graph_node(b, &op_embedding, 2, in, (struct attr_value[]){ { "padding", attr }, { 0 } }),
                     0);
}

struct tensor *embedding(struct builder *b, struct tensor *table, struct tensor *ids)
{
    return padded_embedding(b, table, ids, -1);
}

/* ---- Gradient ---- */

static int infer_grad(const struct node *n, struct tensor out[])
{
    out[0] = *n->in[EMBEDDING_GRAD_LIKE];
    return OK;
}

static void shard_grad(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    if (gathers_own(n->in[EMBEDDING_GRAD_LIKE], r)) {
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0), ON_SHARD(0) },
                        (struct placement[]){ ON_SHARD(0) }, true);
        return;
    }
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0), ON_ALL },
                    (struct placement[]){ ON_SUM }, true);
    shard_rules_add(r, n, (struct placement[]){ ON_ALL, ON_ALL, ON_SHARD(0) },
                    (struct placement[]){ ON_SHARD(0) }, true);
    for (int d = 1; d < n->in[EMBEDDING_GRAD_LIKE]->ndim; d++)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(d), ON_ALL, ON_SHARD(d) },
                        (struct placement[]){ ON_SHARD(d) }, true);
}

static struct op_cost cost_grad(const struct node *n)
{
    return (struct op_cost){ .bytes = 3.0 * (double)tensor_bytes(n->in[EMBEDDING_GRAD_DY]) };
}

const struct op_def op_embedding_grad = {
    .name = "embedding_grad",
    .inputs = { "dy", "ids", "like" },
    .outputs = { "dtable" },
    .attrs = { { "padding", -1 } },
    .infer = infer_grad,
    .no_gradient = true,
    .shape_only = 1 << EMBEDDING_GRAD_LIKE,
    .shard = shard_grad,
    .cost = cost_grad,
};
