/* collective -- changes of layout along one mesh axis. They come after differentiation and are put in by the
 * shard pass alone, so they have no gradient; their kernels are in src/comm. A collective may be started
 * before it is waited for (plan/overlap.c): `wait` makes the value of what was started. */
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

/* A collective that deals out or gathers a dim: that dim is not divided by two axes, whose shares would not
 * lie side by side; but rows that dp deals out are whole samples, which other dp ranks know nothing of. On dp
 * nothing else is dealt out for a collective on tp, it only passes what is. Nor is a sum, or a whole, made of
 * what one rank keeps for all: in the place of an alias it would be made there alone. */
static bool may_pass(const struct node *n, struct placement p, struct placement have, enum axis axis)
{
    bool samples = axis == AXIS_DP && p.kind == SHARD && n->in[0]->dims[p.dim].count != COUNT_FIXED;

    if (n->op == &op_keep_first && (p.kind != SHARD || n->unit != UNIT_UPDATE))
        return samples;
    if (samples || p.kind != SHARD)
        return true;
    if (axis == AXIS_DP && (int)have.kind >= 0 && !placement_equal(p, have))
        return false;
    return n->op == &op_all_reduce || n->op == &op_keep_first || p.dim != (int)n->attr[COLLECTIVE_DIM];
}

/* Along the other axis a collective is an ordinary op: linear ones pass PARTIAL too. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    int kept = 0;

    card_shard_elementwise(n, r, n->attr[COLLECTIVE_REDUCTION] == REDUCE_SUM);
    for (int i = 0; i < r->count; i++)
        if (may_pass(n, r->rule[i].in[0], have[0], r->axis))
            r->rule[kept++] = r->rule[i];
    r->count = kept;
}

const struct op_def op_all_reduce = {
    .name = "all_reduce",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM }, { "members", 0 } },
    .infer = infer,
    .no_gradient = true,
    .shard = shard,
    .cost = cost,
    .in_place = { 1 },
};

const struct op_def op_all_gather = {
    .name = "all_gather",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM } },
    .infer = infer,
    .no_gradient = true,
    .shard = shard,
    .cost = cost,
};

const struct op_def op_reduce_scatter = {
    .name = "reduce_scatter",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM } },
    .infer = infer,
    .no_gradient = true,
    .shard = shard,
    .cost = cost,
};

const struct op_def op_keep_shard = {
    .name = "keep_shard",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM } },
    .infer = infer,
    .no_gradient = true,
    .shard = shard,
    .cost = cost,
};

const struct op_def op_keep_first = {
    .name = "keep_first",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "axis", 0 }, { "dim", 0 }, { "reduction", REDUCE_SUM } },
    .infer = infer,
    .no_gradient = true,
    .shard = shard,
    .cost = cost,
    .alias = true,
};

/* y takes over the storage of what was started; `held`: what the transfer reads until then. */
const struct op_def op_wait = {
    .name = "wait",
    .inputs = { "started", "?held" },
    .outputs = { "y" },
    .infer = infer,
    .no_gradient = true,
};
