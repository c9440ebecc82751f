/* cast -- the same numbers in another dtype: how values are kept in bfloat16 between nodes that compute in
 * fp32. Its rules are those of any elementwise op. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    enum dtype from = n->in[0]->dtype, to = (enum dtype)n->attr[CAST_DTYPE];

    if ((from != DT_F32 && from != DT_BF16) || (to != DT_F32 && to != DT_BF16))
        return fail(ERR_INTERNAL, "cast: %s to %s (expected F32 and BF16)", dtype_name(from), dtype_name(to));
    out[0] = *n->in[0];
    out[0].dtype = to;
    return OK;
}

static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    card_shard_elementwise(n, r, false);
}

static struct op_cost cost(const struct node *n)
{
    double count = (double)tensor_count(n->out[0]);

    return (struct op_cost){ .flops = count,
                             .bytes = count * (double)(dtype_bytes(n->in[0]->dtype) +
                                                       dtype_bytes(n->out[0]->dtype)) };
}

const struct op_def op_cast = {
    .name = "cast",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "dtype", DT_BF16 } },
    .infer = infer,
    .no_gradient = true,
    .shard = shard,
    .cost = cost,
};
