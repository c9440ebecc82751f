#include "lib/ops.h"

/* ---- layernorm ---- */

struct layernorm_form {
    int64_t rows, heads, width; /* heads 0: (N, D) */
    bool bias, residual;
    double eps;
    bool again; /* as recompute makes it: y alone */
};

static void build_layernorm(struct ops_case *c)
{
    const struct layernorm_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows),
                          FIX(f->heads ? f->heads : f->width),
                          FIX(f->heads ? f->width : -1),
                          { .size = -1 } };
    struct tensor *in[4];

    in[LAYERNORM_X] = ops_value(c, dims);
    in[LAYERNORM_WEIGHT] = ops_param(c, SHAPE(FIX(f->width)));
    in[LAYERNORM_BIAS] = f->bias ? ops_param(c, SHAPE(FIX(f->width))) : NULL;
    in[LAYERNORM_RESIDUAL] = f->residual ? ops_value(c, dims) : NULL;
    c->no_gradient = f->residual; /* only the fuse pass makes it */
    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, &op_layernorm, 4, in, ATTRS({ "eps", f->eps })),
                   f->residual << LAYERNORM_SUM);
    if (f->again) {
        c->no_gradient = true;
        c->node->out[LAYERNORM_MEAN] = c->node->out[LAYERNORM_RSTD] = NULL;
    }
}

static const struct ops_case_def list_layernorm[] = {
    { "plain", build_layernorm, &(struct layernorm_form){ 6, 0, 7, true, false, 1e-5 } },
    { "no_bias", build_layernorm, &(struct layernorm_form){ 3, 0, 5, false, false, 1e-2 } },
    { "residual", build_layernorm, &(struct layernorm_form){ 5, 0, 6, true, true, 1e-5 } },
    { "heads", build_layernorm, &(struct layernorm_form){ 4, 3, 6, true, false, 1e-5 } },
    { "again", build_layernorm, &(struct layernorm_form){ 5, 0, 6, true, false, 1e-5, true } },
    { "empty", build_layernorm, &(struct layernorm_form){ 0, 0, 4, true, false, 1e-5 } },
    { "large", build_layernorm, &(struct layernorm_form){ 131, 0, 259, true, true, 1e-5 } },
    { 0 },
};

/* norm(a + b), with a + b read again later */
static void sum(struct ops_case *c)
{
    struct dim rows = ops_rows(c, 5);
    struct tensor *s = add(&c->b, ops_value(c, SHAPE(rows, FIX(6))), ops_value(c, SHAPE(rows, FIX(6))));
    struct tensor *weight = ops_param(c, SHAPE(FIX(6))), *bias = ops_param(c, SHAPE(FIX(6)));
    struct tensor *y = layernorm(&c->b, s, weight, bias, 1e-5);

    c->node = add(&c->b, ops_weighted_sum(c, y), ops_weighted_sum(c, s))->producer;
}

const struct op_cases cases_layernorm = {
    .tolerance = 1e-5,
    .cases = list_layernorm,
    .fuses = (const struct ops_case_def[]){ { "sum", sum, NULL }, { 0 } },
};

/* ---- layernorm_grad ---- */

struct layernorm_grad_form {
    int64_t rows, heads, width; /* heads 0: (N, D) */
    bool dsum, weights, adds;
};

static void build_layernorm_grad(struct ops_case *c)
{
    const struct layernorm_grad_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows),
                          FIX(f->heads ? f->heads : f->width),
                          FIX(f->heads ? f->width : -1),
                          { .size = -1 } };
    struct tensor *x = ops_value(c, dims), *weight = ops_param(c, SHAPE(FIX(f->width)));
    struct node *norm = graph_node(&c->b, &op_layernorm, 2, (struct tensor *const[]){ x, weight }, NULL);
    struct tensor *const in[] = { ops_value(c, dims),
                                  x,
                                  weight,
                                  norm->out[LAYERNORM_MEAN],
                                  norm->out[LAYERNORM_RSTD],
                                  f->dsum ? ops_value(c, dims) : NULL };
    unsigned wants = f->weights ? 1 << LAYERNORM_GRAD_DWEIGHT | 1 << LAYERNORM_GRAD_DBIAS : 0;

    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, &op_layernorm_grad, 6, in, NULL), wants);
    for (int j = LAYERNORM_GRAD_DWEIGHT; f->adds && j <= LAYERNORM_GRAD_DBIAS; j++)
        ops_accumulate(c, j);
}

static const struct ops_case_def list_layernorm_grad[] = {
    { "plain", build_layernorm_grad, &(struct layernorm_grad_form){ 6, 0, 7, false, true, false } },
    { "frozen", build_layernorm_grad, &(struct layernorm_grad_form){ 4, 0, 6, false, false, false } },
    { "adds", build_layernorm_grad, &(struct layernorm_grad_form){ 5, 0, 6, true, true, true } },
    { "heads", build_layernorm_grad, &(struct layernorm_grad_form){ 4, 3, 6, false, true, false } },
    { "empty", build_layernorm_grad, &(struct layernorm_grad_form){ 0, 0, 4, true, true, false } },
    { "large", build_layernorm_grad, &(struct layernorm_grad_form){ 331, 0, 259, true, true, true } },
    { 0 },
};

/* x + f(norm(x)): the gradient of the sum is added on the way */
static void dsum(struct ops_case *c)
{
    struct tensor *x = ops_value(c, SHAPE(ops_rows(c, 5), FIX(6)));
    struct tensor *weight = ops_param(c, SHAPE(FIX(6))), *bias = ops_param(c, SHAPE(FIX(6)));
    struct tensor *y = layernorm(&c->b, x, weight, bias, 1e-5);

    c->node = ops_weighted_sum(c, add(&c->b, x, scale(&c->b, y, 1.5)))->producer;
}

const struct op_cases cases_layernorm_grad = {
    .tolerance = 3e-5,
    .cases = list_layernorm_grad,
    .fuses = (const struct ops_case_def[]){ { "dsum", dsum, NULL }, { 0 } },
};
