#include "lib/ops.h"

struct linear_form {
    int64_t rows;
    const struct dim *in, *out; /* dims on both sides of the weight */
    bool out_first, bias, residual, pre, adds;
    enum activation_kind act;
};

struct linear_dims {
    struct dim x[MAX_DIMS + 1], y[MAX_DIMS + 1], weight[MAX_DIMS + 1];
    int in_ndim;
};

static int linear_append(struct dim to[], int n, const struct dim dims[])
{
    for (int d = 0; dims[d].size >= 0; d++)
        to[n++] = dims[d];
    to[n].size = -1;
    return n;
}

static struct linear_dims linear_dims(struct ops_case *c, const struct linear_form *f)
{
    struct linear_dims d = { .x = { ops_rows(c, f->rows) } };
    int first;

    c->large = f->rows > 100;
    d.y[0] = d.x[0];
    d.in_ndim = linear_append(d.x, 1, f->in) - 1;
    linear_append(d.y, 1, f->out);
    first = linear_append(d.weight, 0, f->out_first ? f->out : f->in);
    linear_append(d.weight, first, f->out_first ? f->in : f->out);
    return d;
}

/* ---- linear ---- */

static void build_linear(struct ops_case *c)
{
    const struct linear_form *f = c->with;
    struct linear_dims d = linear_dims(c, f);
    struct tensor *in[4];

    in[LINEAR_X] = ops_value(c, d.x);
    in[LINEAR_WEIGHT] = ops_param(c, d.weight);
    in[LINEAR_BIAS] = f->bias ? ops_param(c, f->out) : NULL;
    in[LINEAR_RESIDUAL] = f->residual ? ops_value(c, d.y) : NULL;
    c->no_gradient = f->residual || f->act != ACT_NONE; /* only the fuse pass makes these */
    ops_under_test(
        c,
        graph_node(&c->b, &op_linear, 4, in,
                   ATTRS({ "in_ndim", d.in_ndim }, { "out_first", f->out_first }, { "act", f->act })),
        f->pre << LINEAR_PRE);
}

static const struct ops_case_def list_linear[] = {
    { "plain", build_linear, &(struct linear_form){ 6, SHAPE(FIX(5)), SHAPE(FIX(7)), .bias = true } },
    { "out_first", build_linear,
      &(struct linear_form){ 5, SHAPE(FIX(6)), SHAPE(FIX(3)), .out_first = true } },
    /* GPT-2's c_attn: three parts, heads that do not divide; and its c_proj, where heads are contracted */
    { "qkv", build_linear,
      &(struct linear_form){ 4, SHAPE(FIX(6)), SHAPE(FIX(3), FIX(3), FIX(2)), .bias = true } },
    { "heads_in", build_linear,
      &(struct linear_form){ 5, SHAPE(FIX(3), FIX(2)), SHAPE(FIX(6)), .bias = true } },
    { "heads_in_first", build_linear,
      &(struct linear_form){ 5, SHAPE(FIX(3), FIX(4)), SHAPE(FIX(5)), .out_first = true, .bias = true } },
    { "residual", build_linear,
      &(struct linear_form){ 5, SHAPE(FIX(6)), SHAPE(FIX(4)), .bias = true, .residual = true } },
    { "gelu", build_linear,
      &(struct linear_form){ 5, SHAPE(FIX(4)), SHAPE(FIX(9)), .bias = true, .pre = true,
                             .act = ACT_GELU_TANH } },
    { "relu_residual", build_linear,
      &(struct linear_form){ 3, SHAPE(FIX(4)), SHAPE(FIX(5)), .out_first = true, .residual = true,
                             .act = ACT_RELU } },
    { "empty", build_linear, &(struct linear_form){ 0, SHAPE(FIX(4)), SHAPE(FIX(3)), .bias = true } },
    { "large", build_linear,
      &(struct linear_form){ 131, SHAPE(FIX(77)), SHAPE(FIX(147)), .bias = true, .residual = true,
                             .pre = true, .act = ACT_GELU_TANH } },
    { "large_first", build_linear,
      &(struct linear_form){ 167, SHAPE(FIX(300)), SHAPE(FIX(101)), .out_first = true, .act = ACT_SILU } },
    { 0 },
};

/* x + linear(f(linear(x))) */
static void mlp(struct ops_case *c)
{
    const enum activation_kind *act = c->with;
    struct tensor *x = ops_value(c, SHAPE(ops_rows(c, 4), FIX(5)));
    struct tensor *w = ops_param(c, SHAPE(FIX(5), FIX(6))), *bias = ops_param(c, SHAPE(FIX(6)));
    struct tensor *up = activation(&c->b, linear(&c->b, x, w, bias, 1, false), *act);
    struct tensor *down = linear(&c->b, up, ops_param(c, SHAPE(FIX(5), FIX(6))), NULL, 1, true);

    c->node = ops_weighted_sum(c, add(&c->b, x, down))->producer;
}

static void read_twice(struct ops_case *c) /* what the activation reads is read again: it must stay */
{
    struct tensor *x = ops_value(c, SHAPE(ops_rows(c, 4), FIX(5)));
    struct tensor *y = linear(&c->b, x, ops_param(c, SHAPE(FIX(5), FIX(6))), NULL, 1, false);
    struct tensor *z = activation(&c->b, y, ACT_SILU);

    c->node = ops_weighted_sum(c, add(&c->b, y, z))->producer;
}

static const struct ops_case_def fuses[] = {
    { "gelu", mlp, &(enum activation_kind){ ACT_GELU_TANH } },
    { "relu", mlp, &(enum activation_kind){ ACT_RELU } },
    { "read_twice", read_twice, NULL },
    { 0 },
};

const struct op_cases cases_linear = {
    .tolerance = 5e-5, .matmul = true, .cases = list_linear, .fuses = fuses
};

/* ---- linear_grad_input ---- */

static void build_linear_grad_input(struct ops_case *c)
{
    const struct linear_form *f = c->with;
    struct linear_dims d = linear_dims(c, f);
    struct tensor *in[3];

    in[LINEAR_GRAD_INPUT_DY] = ops_value(c, d.y);
    in[LINEAR_GRAD_INPUT_WEIGHT] = ops_param(c, d.weight);
    in[LINEAR_GRAD_INPUT_PRE] = f->act != ACT_NONE ? ops_value(c, d.x) : NULL;
    ops_under_test(
        c,
        graph_node(&c->b, &op_linear_grad_input, 3, in,
                   ATTRS({ "in_ndim", d.in_ndim }, { "out_first", f->out_first }, { "act", f->act })),
        0);
}

static const struct ops_case_def list_linear_grad_input[] = {
    { "plain", build_linear_grad_input, &(struct linear_form){ 6, SHAPE(FIX(5)), SHAPE(FIX(7)) } },
    { "out_first", build_linear_grad_input,
      &(struct linear_form){ 5, SHAPE(FIX(6)), SHAPE(FIX(3)), .out_first = true } },
    { "qkv", build_linear_grad_input,
      &(struct linear_form){ 4, SHAPE(FIX(6)), SHAPE(FIX(3), FIX(3), FIX(2)) } },
    { "heads_in", build_linear_grad_input,
      &(struct linear_form){ 5, SHAPE(FIX(3), FIX(2)), SHAPE(FIX(6)), .out_first = true } },
    { "gelu", build_linear_grad_input,
      &(struct linear_form){ 5, SHAPE(FIX(9)), SHAPE(FIX(4)), .act = ACT_GELU_TANH } },
    { "silu_first", build_linear_grad_input,
      &(struct linear_form){ 3, SHAPE(FIX(5)), SHAPE(FIX(4)), .out_first = true, .act = ACT_SILU } },
    { "empty", build_linear_grad_input, &(struct linear_form){ 0, SHAPE(FIX(4)), SHAPE(FIX(3)) } },
    { "large", build_linear_grad_input,
      &(struct linear_form){ 131, SHAPE(FIX(147)), SHAPE(FIX(77)), .act = ACT_GELU_TANH } },
    { "large_first", build_linear_grad_input,
      &(struct linear_form){ 167, SHAPE(FIX(101)), SHAPE(FIX(300)), .out_first = true } },
    { 0 },
};

/* linear(f(x)): the product with f'(x) moves into the gradient of the linear */
static void pre(struct ops_case *c)
{
    struct tensor *x = ops_value(c, SHAPE(ops_rows(c, 4), FIX(5)));
    struct tensor *y = activation(&c->b, scale(&c->b, x, 1.25), ACT_GELU_ERF);
    struct tensor *w = ops_param(c, SHAPE(FIX(5), FIX(6)));

    c->node = ops_weighted_sum(c, linear(&c->b, y, w, NULL, 1, false))->producer;
}

const struct op_cases cases_linear_grad_input = {
    .tolerance = 5e-5,
    .matmul = true,
    .cases = list_linear_grad_input,
    .fuses = (const struct ops_case_def[]){ { "pre", pre, NULL }, { 0 } },
};

/* ---- linear_grad_weight ---- */

static void build_linear_grad_weight(struct ops_case *c)
{
    const struct linear_form *f = c->with;
    struct linear_dims d = linear_dims(c, f);
    struct tensor *in[4];

    in[LINEAR_GRAD_WEIGHT_X] = ops_value(c, d.x);
    in[LINEAR_GRAD_WEIGHT_DY] = ops_value(c, d.y);
    in[LINEAR_GRAD_WEIGHT_LIKE] = ops_param(c, d.weight);
    in[LINEAR_GRAD_WEIGHT_LIKE_BIAS] = f->bias ? ops_param(c, f->out) : NULL;
    ops_under_test(c,
                   graph_node(&c->b, &op_linear_grad_weight, 4, in,
                              ATTRS({ "in_ndim", d.in_ndim }, { "out_first", f->out_first })),
                   f->bias << LINEAR_GRAD_WEIGHT_DBIAS);
    for (int j = LINEAR_GRAD_WEIGHT_DW; f->adds && j <= LINEAR_GRAD_WEIGHT_DBIAS; j++)
        if (c->node->out[j])
            ops_accumulate(c, j);
}

static const struct ops_case_def list_linear_grad_weight[] = {
    { "plain", build_linear_grad_weight,
      &(struct linear_form){ 6, SHAPE(FIX(5)), SHAPE(FIX(7)), .bias = true } },
    { "out_first", build_linear_grad_weight,
      &(struct linear_form){ 5, SHAPE(FIX(6)), SHAPE(FIX(3)), .out_first = true } },
    { "qkv", build_linear_grad_weight,
      &(struct linear_form){ 4, SHAPE(FIX(6)), SHAPE(FIX(3), FIX(3), FIX(2)), .bias = true, .adds = true } },
    { "heads_in", build_linear_grad_weight,
      &(struct linear_form){ 5, SHAPE(FIX(3), FIX(2)), SHAPE(FIX(6)), .out_first = true, .bias = true,
                             .adds = true } },
    { "empty", build_linear_grad_weight,
      &(struct linear_form){ 0, SHAPE(FIX(4)), SHAPE(FIX(3)), .bias = true } },
    { "empty_adds", build_linear_grad_weight,
      &(struct linear_form){ 0, SHAPE(FIX(4)), SHAPE(FIX(3)), .bias = true, .adds = true } },
    { "large", build_linear_grad_weight,
      &(struct linear_form){ 331, SHAPE(FIX(77)), SHAPE(FIX(147)), .bias = true, .adds = true } },
    { "large_first", build_linear_grad_weight,
      &(struct linear_form){ 167, SHAPE(FIX(203)), SHAPE(FIX(101)), .out_first = true, .bias = true } },
    { 0 },
};

const struct op_cases cases_linear_grad_weight = { .tolerance = 5e-5,
                                                   .matmul = true,
                                                   .cases = list_linear_grad_weight };
