/* adamw -- the update of a step: sum_squares of all gradients, step_control (should this step be taken, and
 * by how much are gradients scaled), adamw on groups of (param, grad, m, v) in place. Loshchilov and Hutter,
 * "Decoupled weight decay regularization", 2019. */
#include "ops/card.h"

static int infer_squares(const struct node *n, struct tensor out[])
{
    (void)n;
    out[0] = scalar_of(DT_F64);
    return OK;
}

/* Always a partial sum: each share counts where it lies, what lies on every rank is counted by the first. */
static void shard_squares(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    struct placement *in = arena_alloc(r->arena, (size_t)n->nin * sizeof(in[0]));

    for (int i = 0; i < n->nin; i++)
        in[i] = have[i].kind == SHARD ? have[i] : ON_FIRST;
    shard_rules_add(r, n, in, (struct placement[]){ ON_SUM }, true);
}

static struct op_cost cost_inputs(const struct node *n)
{
    double bytes = 0;

    for (int i = 0; i < n->nin; i++)
        bytes += (double)tensor_bytes(n->in[i]);
    return (struct op_cost){ .flops = 0.5 * bytes, .bytes = bytes };
}

const struct op_def op_sum_squares = {
    .name = "sum_squares",
    .inputs = { "*x" },
    .outputs = { "sum" },
    .infer = infer_squares,
    .no_gradient = true,
    .shard = shard_squares,
    .cost = cost_inputs,
};

struct tensor *sum_squares(struct builder *b, int count, struct tensor *const x[])
{
    return output_of(graph_node(b, &op_sum_squares, count, x, NULL), 0);
}

static int infer_control(const struct node *n, struct tensor out[])
{
    (void)n;
    out[0] = (struct tensor){ .dtype = DT_F64, .ndim = 1, .dims = { { CONTROL_OUTPUTS, COUNT_FIXED } } };
    return OK;
}

static void shard_nothing(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)n;
    (void)have;
    (void)r;
}

const struct op_def op_step_control = {
    .name = "step_control",
    .inputs = { "loss", "count", "sum_squares", "settings" },
    .outputs = { "control" },
    .infer = infer_control,
    .no_gradient = true,
    .shard = shard_nothing,
    .cost = cost_inputs,
};

static int infer_adamw(const struct node *n, struct tensor out[])
{
    (void)out;
    if ((n->nin - ADAMW_FIRST) % ADAMW_GROUP != 0)
        BUG("adamw: %d inputs are no groups of %d", n->nin, ADAMW_GROUP);
    return OK;
}

/* Moments lie where their parameter lies, or its gradient where this alone is dealt out. */
static void shard_adamw(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    struct placement *in = arena_alloc(r->arena, (size_t)n->nin * sizeof(in[0]));

    in[ADAMW_CONTROL] = ON_ALL;
    for (int i = ADAMW_FIRST; i < n->nin; i++) {
        int group = i - (i - ADAMW_FIRST) % ADAMW_GROUP;
        in[i] = card_update_placement(have[group + ADAMW_PARAM], have[group + ADAMW_GRAD], r);
    }
    shard_rules_add(r, n, in, NULL, true);
}

const struct op_def op_adamw = {
    .name = "adamw",
    .inputs = { "control", "*groups" },
    .attrs = { { "beta1", 0.9 }, { "beta2", 0.999 }, { "eps", 1e-8 }, { "decay", 0 } },
    .infer = infer_adamw,
    .no_gradient = true,
    .shard = shard_adamw,
    .cost = cost_inputs,
};
