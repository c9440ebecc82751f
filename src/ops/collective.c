/* collective -- changes of layout along one mesh axis. They come after differentiation and are put in by the
 * shard pass alone, so they have neither gradient nor sharding rules; their kernels are in src/comm. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    out[0] = *n->in[0];
    return OK;
}

static struct op_cost cost(const struct node *n)
{
    return (struct op_cost){ .bytes = 2.0 * (double)tensor_bytes(n->in[0]) };
}

const struct op_def op_all_reduce = {
    .name = "all_reduce",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM } },
    .infer = infer,
    .no_gradient = true,
    .cost = cost,
};

const struct op_def op_all_gather = {
    .name = "all_gather",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM } },
    .infer = infer,
    .no_gradient = true,
    .cost = cost,
};

const struct op_def op_reduce_scatter = {
    .name = "reduce_scatter",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM } },
    .infer = infer,
    .no_gradient = true,
    .cost = cost,
};

const struct op_def op_keep_shard = {
    .name = "keep_shard",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM } },
    .infer = infer,
    .no_gradient = true,
    .cost = cost,
};

const struct op_def op_keep_first = {
    .name = "keep_first",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM } },
    .infer = infer,
    .no_gradient = true,
    .cost = cost,
};
