/* linear -- contracts x's dims after the first with the weight's contracted dims, adds a bias, and may end
 * with an activation and a residual. Its gradient is two nodes, B (linear_grad_input) and W
 * (linear_grad_weight), so that W can move. Dims of the weight: `in_ndim` contracted ones and the others, in
 * file order: (in..., out...), or (out..., in...) when out_first. */
#include "ops/card.h"

struct sides { /* which dims of the weight are contracted, which are not */
    int in, in_ndim, out, out_ndim;
};

static struct sides sides_of(const struct tensor *weight, const struct node *n)
{
    int in_ndim = (int)n->attr[LINEAR_IN_NDIM], out_ndim = weight->ndim - in_ndim;

    return n->attr[LINEAR_OUT_FIRST] != 0
               ? (struct sides){ .in = out_ndim, .in_ndim = in_ndim, .out = 0, .out_ndim = out_ndim }
               : (struct sides){ .in = 0, .in_ndim = in_ndim, .out = in_ndim, .out_ndim = out_ndim };
}

/* (rows of x, dims from..from+count-1 of weight) */
static struct tensor rows_of(const struct tensor *x, const struct tensor *weight, int from, int count)
{
    struct tensor t = { .dtype = x->dtype, .ndim = 1 + count, .dims = { x->dims[0] } };

    for (int d = 0; d < count; d++)
        t.dims[1 + d] = weight->dims[from + d];
    return t;
}

static int infer(const struct node *n, struct tensor out[])
{
    const struct tensor *x = n->in[LINEAR_X], *weight = n->in[LINEAR_WEIGHT], *bias = n->in[LINEAR_BIAS];
    struct sides s = sides_of(weight, n);

    for (int d = 0; d < s.in_ndim; d++)
        if (x->ndim != 1 + s.in_ndim || x->dims[1 + d].size != weight->dims[s.in + d].size)
            return fail(ERR_CONFIG, "%slinear: x has %" PRId64 " features, the weight contracts %" PRId64,
                        n->scope, tensor_row_count(x), dim_product(weight, s.in, s.in + s.in_ndim));
    if (bias && tensor_count(bias) != dim_product(weight, s.out, s.out + s.out_ndim))
        return fail(ERR_CONFIG, "%slinear: bias has %" PRId64 " elements, the weight makes %" PRId64,
                    n->scope, tensor_count(bias), dim_product(weight, s.out, s.out + s.out_ndim));
    out[LINEAR_Y] = out[LINEAR_PRE] = rows_of(x, weight, s.out, s.out_ndim);
    return OK;
}

static const struct attr_value *same_attrs(const struct node *n, struct attr_value attrs[3])
{
    attrs[0] = (struct attr_value){ "in_ndim", n->attr[LINEAR_IN_NDIM] };
    attrs[1] = (struct attr_value){ "out_first", n->attr[LINEAR_OUT_FIRST] };
    attrs[2] = (struct attr_value){ 0 };
    return attrs;
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct tensor *x = n->in[LINEAR_X], *weight = n->in[LINEAR_WEIGHT], *bias = n->in[LINEAR_BIAS];
    struct tensor *dy = dout[LINEAR_Y];
    struct attr_value attrs[3];
    struct node *w;

    if (n->attr[LINEAR_ACT] != ACT_NONE || n->in[LINEAR_RESIDUAL])
        BUG("%s: gradient of a fused linear", n->scope);
    if (wants[LINEAR_X]) {
        struct tensor *const in[] = { dy, weight };
        din[LINEAR_X] = output_of(graph_node(b, &op_linear_grad_input, 2, in, same_attrs(n, attrs)), 0);
    }
    if (!wants[LINEAR_WEIGHT] && !(bias && wants[LINEAR_BIAS]))
        return;
    b->unit = UNIT_BACKWARD_WEIGHT;
    w = graph_node(b, &op_linear_grad_weight, 4, (struct tensor *const[]){ x, dy, weight, bias },
                   same_attrs(n, attrs));
    if (wants[LINEAR_WEIGHT])
        grad_accumulate(b, w, LINEAR_GRAD_WEIGHT_DW, weight);
    if (bias && wants[LINEAR_BIAS])
        grad_accumulate(b, w, LINEAR_GRAD_WEIGHT_DBIAS, bias);
}

/* Rows go with dp alone: a rank of tp that held fewer rows would still read the whole weight. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    struct sides s = sides_of(n->in[LINEAR_WEIGHT], n);

    (void)have;
    if (r->axis == AXIS_DP)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_ALL, ON_ALL, ON_SHARD(0) },
                        (struct placement[]){ ON_SHARD(0), ON_SHARD(0) }, true);
    for (int j = 0; j < s.out_ndim; j++) /* column-parallel */
        shard_rules_add(r, n,
                        (struct placement[]){ ON_ALL, ON_SHARD(s.out + j), ON_SHARD(j), ON_SHARD(1 + j) },
                        (struct placement[]){ ON_SHARD(1 + j), ON_SHARD(1 + j) }, true);
    /* row-parallel: the bias is counted once, and an activation needs the whole sum */
    for (int i = 0; i < s.in_ndim && n->attr[LINEAR_ACT] == ACT_NONE; i++)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(1 + i), ON_SHARD(s.in + i), ON_SUM, ON_SUM },
                        (struct placement[]){ ON_SUM, ON_SUM }, true);
}

/* Every input and output moves once. */
static struct op_cost cost_of(const struct node *n, const struct tensor *rows, const struct tensor *weight)
{
    struct op_cost c = { .flops = 2.0 * (double)tensor_rows(rows) * (double)tensor_count(weight) };

    for (int i = 0; i < n->nin; i++)
        c.bytes += n->in[i] ? (double)tensor_bytes(n->in[i]) : 0;
    for (int j = 0; j < n->nout; j++)
        c.bytes += n->out[j] ? (double)tensor_bytes(n->out[j]) : 0;
    return c;
}

static struct op_cost cost(const struct node *n)
{
    return cost_of(n, n->in[LINEAR_X], n->in[LINEAR_WEIGHT]);
}

static void fuse_activation(struct rewrite *r, struct node *n)
{
    struct tensor *y = n->out[LINEAR_Y];
    struct node *f = rewrite_reader(r, y, 0);

    if (!f || f->op != &op_activation || f->unit != n->unit)
        return;
    n->attr[LINEAR_ACT] = f->attr[ACTIVATION_KIND];
    rewrite_take_output(r, n, LINEAR_PRE, y);
    rewrite_take_output(r, n, LINEAR_Y, f->out[0]);
    rewrite_remove(r, f);
    if (rewrite_reader_count(r, y) == 0)
        n->out[LINEAR_PRE] = NULL;
}

static void fuse(struct rewrite *r, struct node *n)
{
    if (n->attr[LINEAR_ACT] != ACT_NONE || n->in[LINEAR_RESIDUAL])
        return;
    fuse_activation(r, n);
    card_fuse_into_sum(r, n, LINEAR_Y, LINEAR_RESIDUAL);
}

const struct op_def op_linear = {
    .name = "linear",
    .inputs = { "x", "weight", "?bias", "?residual" },
    .outputs = { "y", "?pre" },
    .attrs = { { "in_ndim", 1 }, { "out_first", 0 }, { "act", ACT_NONE } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .fuse = fuse,
};

struct tensor *linear(struct builder *b, struct tensor *x, struct tensor *weight, struct tensor *bias,
                      int in_ndim, bool out_first)
{
    return output_of(
        graph_node(b, &op_linear, 3, (struct tensor *const[]){ x, weight, bias },
                   (struct attr_value[]){ { "in_ndim", in_ndim }, { "out_first", out_first }, { 0 } }),
        LINEAR_Y);
}

/* ---- B: dx = dy W^T ---- */

static int infer_input(const struct node *n, struct tensor out[])
{
    const struct tensor *weight = n->in[LINEAR_GRAD_INPUT_WEIGHT];
    struct sides s = sides_of(weight, n);

    out[0] = rows_of(n->in[LINEAR_GRAD_INPUT_DY], weight, s.in, s.in_ndim);
    return OK;
}

static void shard_input(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    struct sides s = sides_of(n->in[LINEAR_GRAD_INPUT_WEIGHT], n);

    (void)have;
    if (r->axis == AXIS_DP)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_ALL, ON_SHARD(0) },
                        (struct placement[]){ ON_SHARD(0) }, true);
    for (int j = 0; j < s.out_ndim; j++)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(1 + j), ON_SHARD(s.out + j), ON_ALL },
                        (struct placement[]){ ON_SUM }, true);
    for (int i = 0; i < s.in_ndim; i++)
        shard_rules_add(r, n, (struct placement[]){ ON_ALL, ON_SHARD(s.in + i), ON_SHARD(1 + i) },
                        (struct placement[]){ ON_SHARD(1 + i) }, true);
}

static struct op_cost cost_input(const struct node *n)
{
    return cost_of(n, n->in[LINEAR_GRAD_INPUT_DY], n->in[LINEAR_GRAD_INPUT_WEIGHT]);
}

/* activation_grad(dx, pre): the product with f'(pre) is made while dx is in cache. */
static void fuse_input(struct rewrite *r, struct node *n)
{
    struct tensor *dx = n->out[0], *pre;
    struct node *f = rewrite_reader(r, dx, 0);

    if (n->in[LINEAR_GRAD_INPUT_PRE] || !f || f->op != &op_activation_grad ||
        rewrite_reader_count(r, dx) != 1)
        return;
    pre = f->in[ACTIVATION_GRAD_X];
    if (f->in[ACTIVATION_GRAD_DY] != dx || !rewrite_precedes(r, pre, n))
        return;
    n->attr[LINEAR_ACT] = f->attr[ACTIVATION_KIND];
    rewrite_set_input(r, n, LINEAR_GRAD_INPUT_PRE, pre);
    rewrite_set_input(r, f, ACTIVATION_GRAD_DY, pre);
    rewrite_take_output(r, n, 0, f->out[0]);
    rewrite_remove(r, f);
}

const struct op_def op_linear_grad_input = {
    .name = "linear_grad_input",
    .inputs = { "dy", "weight", "?pre" },
    .outputs = { "dx" },
    .attrs = { { "in_ndim", 1 }, { "out_first", 0 }, { "act", ACT_NONE } },
    .infer = infer_input,
    .no_gradient = true,
    .shard = shard_input,
    .cost = cost_input,
    .fuse = fuse_input,
};

/* ---- W: dweight += x^T dy, dbias += sum of dy ---- */

static int infer_weight(const struct node *n, struct tensor out[])
{
    out[LINEAR_GRAD_WEIGHT_DW] = *n->in[LINEAR_GRAD_WEIGHT_LIKE];
    if (n->in[LINEAR_GRAD_WEIGHT_LIKE_BIAS])
        out[LINEAR_GRAD_WEIGHT_DBIAS] = *n->in[LINEAR_GRAD_WEIGHT_LIKE_BIAS];
    return OK;
}

static void shard_weight(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    struct sides s = sides_of(n->in[LINEAR_GRAD_WEIGHT_LIKE], n);

    (void)have;
    if (r->axis == AXIS_DP)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0), ON_ALL, ON_ALL },
                        (struct placement[]){ ON_SUM, ON_SUM }, true);
    for (int j = 0; j < s.out_ndim; j++)
        shard_rules_add(r, n,
                        (struct placement[]){ ON_ALL, ON_SHARD(1 + j), ON_SHARD(s.out + j), ON_SHARD(j) },
                        (struct placement[]){ ON_SHARD(s.out + j), ON_SHARD(j) }, true);
    for (int i = 0; i < s.in_ndim; i++)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(1 + i), ON_ALL, ON_SHARD(s.in + i), ON_ALL },
                        (struct placement[]){ ON_SHARD(s.in + i), ON_ALL }, true);
}

static struct op_cost cost_weight(const struct node *n)
{
    return cost_of(n, n->in[LINEAR_GRAD_WEIGHT_X], n->in[LINEAR_GRAD_WEIGHT_LIKE]);
}

const struct op_def op_linear_grad_weight = {
    .name = "linear_grad_weight",
    .inputs = { "x", "dy", "like", "?like_bias" },
    .outputs = { "dweight", "?dbias" },
    .attrs = { { "in_ndim", 1 }, { "out_first", 0 } },
    .infer = infer_weight,
    .no_gradient = true,
    .shape_only = 1 << LINEAR_GRAD_WEIGHT_LIKE | 1 << LINEAR_GRAD_WEIGHT_LIKE_BIAS,
    .shard = shard_weight,
    .cost = cost_weight,
};
