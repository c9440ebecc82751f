/* rmsnorm -- scale the last dim to a root mean square of one: y = s * rstd * weight, s = x + residual (Zhang
 * and Sennrich, "Root Mean Square Layer Normalization", 2019). rstd (fp32, one per row) is an output because
 * the gradient reuses it. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    const struct tensor *x = n->in[RMSNORM_X], *weight = n->in[RMSNORM_WEIGHT];
    int64_t width = x->dims[x->ndim - 1].size;

    if (tensor_count(weight) != width)
        return fail(ERR_INTERNAL, "rmsnorm: weight has %" PRId64 " elements, x's last dim is %" PRId64,
                    tensor_count(weight), width);
    out[RMSNORM_Y] = out[RMSNORM_SUM] = out[RMSNORM_RSTD] = *x;
    out[RMSNORM_RSTD].ndim--;
    out[RMSNORM_RSTD].dtype = DT_F32;
    return OK;
}

/* dx and dweight share their row sums: one op makes both. */
static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct tensor *const in[] = { dout[RMSNORM_Y], n->in[RMSNORM_X], n->in[RMSNORM_WEIGHT],
                                  n->out[RMSNORM_RSTD], NULL };
    struct node *g = graph_node(b, &op_rmsnorm_grad, 5, in, NULL);

    if (wants[RMSNORM_WEIGHT])
        grad_accumulate(b, g, RMSNORM_GRAD_DWEIGHT, n->in[RMSNORM_WEIGHT]);
    din[RMSNORM_X] = output_of(g, RMSNORM_GRAD_DX);
}

/* Any dim but the last may be sharded where shares have no padding: rstd would not be zero there. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    for (int d = 0; d < n->in[RMSNORM_X]->ndim - 1; d++)
        if (card_may_split(n->in[RMSNORM_X], d, r->size))
            shard_rules_add(r, n, (struct placement[]){ ON_SHARD(d), ON_ALL, ON_SHARD(d) },
                            (struct placement[]){ ON_SHARD(d), ON_SHARD(d), ON_SHARD(d) }, true);
}

static struct op_cost cost(const struct node *n)
{
    double count = (double)tensor_count(n->in[0]);

    return (struct op_cost){ .flops = 6.0 * count, .bytes = 8.0 * count };
}

static void fuse(struct rewrite *r, struct node *n)
{
    card_fuse_sum(r, n, RMSNORM_X, RMSNORM_RESIDUAL, RMSNORM_SUM);
}

const struct op_def op_rmsnorm = {
    .name = "rmsnorm",
    .inputs = { "x", "weight", "?residual" },
    .outputs = { "y", "rstd", "?sum" },
    .attrs = { { "eps", 1e-6 } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .fuse = fuse,
    .cheap = true,
};

struct tensor *rmsnorm(struct builder *b, struct tensor *x, struct tensor *weight, double eps)
{
    return output_of(graph_node(b, &op_rmsnorm, 2, (struct tensor *const[]){ x, weight },
                                (struct attr_value[]){ { "eps", eps }, { 0 } }),
                     0);
}

/* ---- Gradient ---- */

static int infer_grad(const struct node *n, struct tensor out[])
{
    out[RMSNORM_GRAD_DX] = *n->in[RMSNORM_GRAD_X];
    out[RMSNORM_GRAD_DWEIGHT] = *n->in[RMSNORM_GRAD_WEIGHT];
    return OK;
}

static void shard_grad(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    for (int d = 0; d < n->in[RMSNORM_GRAD_X]->ndim - 1; d++)
        if (card_may_split(n->in[RMSNORM_GRAD_X], d, r->size))
            shard_rules_add(
                r, n, (struct placement[]){ ON_SHARD(d), ON_SHARD(d), ON_ALL, ON_SHARD(d), ON_SHARD(d) },
                (struct placement[]){ ON_SHARD(d), ON_SUM }, true);
}

/* add(dx, d): the gradient that reaches the normalised sum from elsewhere is added on the way. */
static void fuse_grad(struct rewrite *r, struct node *n)
{
    card_fuse_into_sum(r, n, RMSNORM_GRAD_DX, RMSNORM_GRAD_DSUM);
}

const struct op_def op_rmsnorm_grad = {
    .name = "rmsnorm_grad",
    .inputs = { "dy", "x", "weight", "rstd", "?dsum" },
    .outputs = { "dx", "?dweight" },
    .infer = infer_grad,
    .no_gradient = true,
    .shard = shard_grad,
    .cost = cost,
    .fuse = fuse_grad,
};
