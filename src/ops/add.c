/* add -- y = a + b, entry by entry. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    if (!same_shape(n->in[0], n->in[1]))
        return fail(ERR_INTERNAL,
                    "add: shapes differ (%d dims, %" PRId64 " elements and %d dims, %" PRId64 ")",
                    n->in[0]->ndim, tensor_count(n->in[0]), n->in[1]->ndim, tensor_count(n->in[1]));
    out[0] = *n->in[0];
    return OK;
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    (void)b;
    (void)n;
    for (int i = 0; i < 2; i++)
        din[i] = wants[i] ? dout[0] : NULL;
}

/* Linear, so partial sums may be added before they are reduced. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    card_shard_elementwise(n, r, true);
}

static struct op_cost cost(const struct node *n)
{
    return (struct op_cost){ .flops = (double)tensor_count(n->out[0]),
                             .bytes = 3.0 * (double)tensor_bytes(n->out[0]) };
}

const struct op_def op_add = {
    .name = "add",
    .inputs = { "a", "b" },
    .outputs = { "y" },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .in_place = { 1 },
};

struct tensor *add(struct builder *b, struct tensor *x, struct tensor *y)
{
    struct tensor *const in[] = { x, y };

    return output_of(graph_node(b, &op_add, 2, in, NULL), 0);
}
