/* glu -- y = f(gate) * up, entry by entry: what stands between the projections of a gated linear unit
 * (Shazeer, "GLU Variants Improve Transformer", 2020). Cheap to make again from both. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    const struct tensor *gate = n->in[GLU_GATE], *up = n->in[GLU_UP];

    if (!same_shape(gate, up))
        return fail(ERR_INTERNAL,
                    "glu: shapes differ (%d dims, %" PRId64 " elements and %d dims, %" PRId64 ")", gate->ndim,
                    tensor_count(gate), up->ndim, tensor_count(up));
    out[0] = *up;
    return OK;
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct tensor *const in[] = { dout[0], n->in[GLU_GATE], n->in[GLU_UP] };
    struct node *g =
        graph_node(b, &op_glu_grad, 3, in, (struct attr_value[]){ { "kind", n->attr[GLU_KIND] }, { 0 } });

    for (int i = 0; i < 2; i++)
        din[i] = wants[i] ? output_of(g, i) : NULL;
}

static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    card_shard_elementwise(n, r, false);
}

static struct op_cost cost(const struct node *n)
{
    double count = (double)tensor_count(n->in[0]);

    return (struct op_cost){ .flops = 12.0 * count, .bytes = 4.0 * count * (n->nin + n->nout) };
}

const struct op_def op_glu = {
    .name = "glu",
    .inputs = { "gate", "up" },
    .outputs = { "y" },
    .attrs = { { "kind", ACT_NONE } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .cheap = true,
};

static int infer_grad(const struct node *n, struct tensor out[])
{
    out[GLU_GRAD_DGATE] = out[GLU_GRAD_DUP] = *n->in[GLU_GRAD_UP];
    return OK;
}

const struct op_def op_glu_grad = {
    .name = "glu_grad",
    .inputs = { "dy", "gate", "up" },
    .outputs = { "dgate", "dup" },
    .attrs = { { "kind", ACT_NONE } },
    .infer = infer_grad,
    .no_gradient = true,
    .shard = shard,
    .cost = cost,
    .in_place = { [GLU_GRAD_DGATE] = 1 + GLU_GRAD_GATE, [GLU_GRAD_DUP] = 1 + GLU_GRAD_UP },
};

struct tensor *glu(struct builder *b, struct tensor *gate, struct tensor *up, enum activation_kind kind)
{
    return output_of(graph_node(b, &op_glu, 2, (struct tensor *const[]){ gate, up },
                                (struct attr_value[]){ { "kind", kind }, { 0 } }),
                     0);
}
