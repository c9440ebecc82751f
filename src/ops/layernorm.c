/* layernorm -- normalise the last dim, then scale and shift: y = (s - mean) * rstd * weight + bias, s = x +
 * residual. mean and rstd (fp32, one per row) are outputs because the gradient reuses them. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    const struct tensor *x = n->in[LAYERNORM_X];
    int64_t width = x->dims[x->ndim - 1].size;

    for (int i = LAYERNORM_WEIGHT; i <= LAYERNORM_BIAS; i++)
        if (n->in[i] && tensor_count(n->in[i]) != width)
            return fail(ERR_INTERNAL, "layernorm: %s has %" PRId64 " elements, x's last dim is %" PRId64,
                        n->op->inputs[i], tensor_count(n->in[i]), width);
    out[LAYERNORM_Y] = out[LAYERNORM_SUM] = *x;
    out[LAYERNORM_MEAN] = *x;
    out[LAYERNORM_MEAN].ndim--;
    out[LAYERNORM_MEAN].dtype = DT_F32;
    out[LAYERNORM_RSTD] = out[LAYERNORM_MEAN];
    return OK;
}

/* dx, dweight and dbias share their row sums: one op makes all three. */
static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct tensor *weight = n->in[LAYERNORM_WEIGHT], *bias = n->in[LAYERNORM_BIAS];
    struct tensor *const in[] = { dout[LAYERNORM_Y],      n->in[LAYERNORM_X],     weight,
                                  n->out[LAYERNORM_MEAN], n->out[LAYERNORM_RSTD], NULL };
    struct node *g = graph_node(b, &op_layernorm_grad, 6, in, NULL);

    if (wants[LAYERNORM_WEIGHT])
        grad_accumulate(b, g, LAYERNORM_GRAD_DWEIGHT, weight);
    if (bias && wants[LAYERNORM_BIAS])
        grad_accumulate(b, g, LAYERNORM_GRAD_DBIAS, bias);
    din[LAYERNORM_X] = output_of(g, LAYERNORM_GRAD_DX);
}

/* Any dim but the last may be sharded, but not into shares with padding: it would come out as the bias. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    for (int d = 0; d < n->in[LAYERNORM_X]->ndim - 1; d++)
        if (card_may_split(n->in[LAYERNORM_X], d, r->size))
            shard_rules_add(r, n, (struct placement[]){ ON_SHARD(d), ON_ALL, ON_ALL, ON_SHARD(d) },
                            (struct placement[]){ ON_SHARD(d), ON_SHARD(d), ON_SHARD(d), ON_SHARD(d) }, true);
}

static struct op_cost cost(const struct node *n)
{
    double count = (double)tensor_count(n->in[0]);

    return (struct op_cost){ .flops = 8.0 * count, .bytes = 8.0 * count };
}

static void fuse(struct rewrite *r, struct node *n)
{
    card_fuse_sum(r, n, LAYERNORM_X, LAYERNORM_RESIDUAL, LAYERNORM_SUM);
}

const struct op_def op_layernorm = {
    .name = "layernorm",
    .inputs = { "x", "weight", "?bias", "?residual" },
    .outputs = { "y", "mean", "rstd", "?sum" },
    .attrs = { { "eps", 1e-5 } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .fuse = fuse,
    .cheap = true,
};

struct tensor *layernorm(struct builder *b, struct tensor *x, struct tensor *weight, struct tensor *bias,
                         double eps)
{
    struct tensor *const in[] = { x, weight, bias };

    return output_of(graph_node(b, &op_layernorm, 3, in, (struct attr_value[]){ { "eps", eps }, { 0 } }), 0);
}

/* ---- Gradient ---- */

static int infer_grad(const struct node *n, struct tensor out[])
{
    out[LAYERNORM_GRAD_DX] = *n->in[LAYERNORM_GRAD_X];
    out[LAYERNORM_GRAD_DWEIGHT] = *n->in[LAYERNORM_GRAD_WEIGHT];
    out[LAYERNORM_GRAD_DBIAS] = *n->in[LAYERNORM_GRAD_WEIGHT];
    return OK;
}

static void shard_grad(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    for (int d = 0; d < n->in[LAYERNORM_GRAD_X]->ndim - 1; d++)
        if (card_may_split(n->in[LAYERNORM_GRAD_X], d, r->size))
            shard_rules_add(r, n,
                            (struct placement[]){ ON_SHARD(d), ON_SHARD(d), ON_ALL, ON_SHARD(d), ON_SHARD(d),
                                                  ON_SHARD(d) },
                            (struct placement[]){ ON_SHARD(d), ON_SUM, ON_SUM }, true);
}

/* add(dx, d): the gradient that reaches the normalised sum from elsewhere is added on the way. */
static void fuse_grad(struct rewrite *r, struct node *n)
{
    card_fuse_into_sum(r, n, LAYERNORM_GRAD_DX, LAYERNORM_GRAD_DSUM);
}

const struct op_def op_layernorm_grad = {
    .name = "layernorm_grad",
    .inputs = { "dy", "x", "weight", "mean", "rstd", "?dsum" },
    .outputs = { "dx", "?dweight", "?dbias" },
    .infer = infer_grad,
    .no_gradient = true,
    .shard = shard_grad,
    .cost = cost,
    .fuse = fuse_grad,
};
