/* fill and scale -- the simplest ones: a constant in the shape of another tensor, and y = factor * x. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    out[0] = *n->in[0];
    return OK;
}

/* Nothing flows to "like": only its shape counts. */
static void grad_fill(struct builder *b, const struct node *n, struct tensor *const dout[],
                      struct tensor *din[], const bool wants[])
{
    (void)b, (void)n, (void)dout, (void)din, (void)wants;
}

/* Only the shape of "like" counts, so where it is partial the result is the same on all ranks. Padding of a
 * share must stay zero. */
static void shard_fill(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    for (int d = 0; d < n->in[0]->ndim; d++) {
        struct dim dim = n->in[0]->dims[d];
        if (dim.count != COUNT_FIXED || dim.size % r->size == 0 || n->attr[FILL_VALUE] == 0)
            shard_rules_add(r, n, (struct placement[]){ ON_SHARD(d) }, (struct placement[]){ ON_SHARD(d) },
                            true);
    }
    if (have[0].kind == PARTIAL)
        shard_rules_add(r, n, (struct placement[]){ have[0] }, (struct placement[]){ ON_ALL }, false);
}

static struct op_cost cost(const struct node *n)
{
    return (struct op_cost){ .bytes = (double)tensor_bytes(n->out[0]) };
}

const struct op_def op_fill = {
    .name = "fill",
    .inputs = { "like" },
    .outputs = { "y" },
    .attrs = { { "value", 0 } },
    .infer = infer,
    .grad = grad_fill,
    .shard = shard_fill,
    .cost = cost,
};

struct tensor *fill(struct builder *b, struct tensor *like, double value)
{
    return output_of(graph_node(b, &op_fill, 1, &like, (struct attr_value[]){ { "value", value }, { 0 } }),
                     0);
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    (void)wants;
    din[0] = scale(b, dout[0], n->attr[SCALE_FACTOR]);
}

static void shard_scale(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    card_shard_elementwise(n, r, true);
}

const struct op_def op_scale = {
    .name = "scale",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "factor", 1 } },
    .infer = infer,
    .grad = grad,
    .shard = shard_scale,
    .cost = cost,
    .in_place = { 1 },
};

struct tensor *scale(struct builder *b, struct tensor *x, double factor)
{
    return output_of(graph_node(b, &op_scale, 1, &x, (struct attr_value[]){ { "factor", factor }, { 0 } }),
                     0);
}
