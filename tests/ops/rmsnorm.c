#include "lib/ops.h"

struct rmsnorm_form {
    int64_t rows, heads, width; /* heads 0: (N, D) */
    bool residual;
    double eps;
    bool again; /* as recompute makes it: y alone */
};

static void build_rmsnorm(struct ops_case *c)
{
    const struct rmsnorm_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows),
                          FIX(f->heads ? f->heads : f->width),
                          FIX(f->heads ? f->width : -1),
                          { .size = -1 } };
    struct tensor *in[3];

    in[RMSNORM_X] = ops_value(c, dims);
    in[RMSNORM_WEIGHT] = ops_param(c, SHAPE(FIX(f->width)));
    in[RMSNORM_RESIDUAL] = f->residual ? ops_value(c, dims) : NULL;
    c->no_gradient = f->residual || f->again; /* only passes over the graph make these */
    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, &op_rmsnorm, 3, in, ATTRS({ "eps", f->eps })),
                   f->residual << RMSNORM_SUM);
    if (f->again)
        c->node->out[RMSNORM_RSTD] = NULL;
}

static const struct ops_case_def list_rmsnorm[] = {
    { "plain", build_rmsnorm, &(struct rmsnorm_form){ 6, 0, 7, false, 1e-6 } },
    { "eps", build_rmsnorm, &(struct rmsnorm_form){ 3, 0, 5, false, 1e-1 } },
    { "residual", build_rmsnorm, &(struct rmsnorm_form){ 5, 0, 6, true, 1e-5 } },
    { "heads", build_rmsnorm, &(struct rmsnorm_form){ 4, 3, 6, false, 1e-5 } },
    { "again", build_rmsnorm, &(struct rmsnorm_form){ 5, 0, 6, false, 1e-5, true } },
    { "empty", build_rmsnorm, &(struct rmsnorm_form){ 0, 0, 4, false, 1e-5 } },
    { "large", build_rmsnorm, &(struct rmsnorm_form){ 131, 0, 259, true, 1e-5 } },
    { 0 },
};

/* norm(a + b), with a + b read again later */
static void sum(struct ops_case *c)
{
    struct dim rows = ops_rows(c, 5);
    struct tensor *s = add(&c->b, ops_value(c, SHAPE(rows, FIX(6))), ops_value(c, SHAPE(rows, FIX(6))));
    struct tensor *y = rmsnorm(&c->b, s, ops_param(c, SHAPE(FIX(6))), 1e-5);

    c->node = add(&c->b, ops_weighted_sum(c, y), ops_weighted_sum(c, s))->producer;
}

const struct op_cases cases_rmsnorm = {
    .tolerance = 1e-5,
    .cases = list_rmsnorm,
    .fuses = (const struct ops_case_def[]){ { "sum", sum, NULL }, { 0 } },
};

/* ---- rmsnorm_grad ---- */

struct rmsnorm_grad_form {
    int64_t rows, heads, width; /* heads 0: (N, D) */
    bool dsum, weight, adds;
};

static void build_rmsnorm_grad(struct ops_case *c)
{
    const struct rmsnorm_grad_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows),
                          FIX(f->heads ? f->heads : f->width),
                          FIX(f->heads ? f->width : -1),
                          { .size = -1 } };
    struct tensor *x = ops_value(c, dims), *weight = ops_param(c, SHAPE(FIX(f->width)));
    struct node *norm = graph_node(&c->b, &op_rmsnorm, 2, (struct tensor *const[]){ x, weight }, NULL);
    struct tensor *const in[] = { ops_value(c, dims), x, weight, norm->out[RMSNORM_RSTD],
                                  f->dsum ? ops_value(c, dims) : NULL };

    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, &op_rmsnorm_grad, 5, in, NULL), f->weight << RMSNORM_GRAD_DWEIGHT);
    if (f->adds)
        ops_accumulate(c, RMSNORM_GRAD_DWEIGHT);
}

static const struct ops_case_def list_rmsnorm_grad[] = {
    { "plain", build_rmsnorm_grad, &(struct rmsnorm_grad_form){ 6, 0, 7, false, true, false } },
    { "frozen", build_rmsnorm_grad, &(struct rmsnorm_grad_form){ 4, 0, 6, false, false, false } },
    { "adds", build_rmsnorm_grad, &(struct rmsnorm_grad_form){ 5, 0, 6, true, true, true } },
    { "heads", build_rmsnorm_grad, &(struct rmsnorm_grad_form){ 4, 3, 6, false, true, false } },
    { "empty", build_rmsnorm_grad, &(struct rmsnorm_grad_form){ 0, 0, 4, true, true, false } },
    { "large", build_rmsnorm_grad, &(struct rmsnorm_grad_form){ 331, 0, 259, true, true, true } },
    { 0 },
};

/* x + f(norm(x)): the gradient of the sum is added on the way */
static void dsum(struct ops_case *c)
{
    struct tensor *x = ops_value(c, SHAPE(ops_rows(c, 5), FIX(6)));
    struct tensor *y = rmsnorm(&c->b, x, ops_param(c, SHAPE(FIX(6))), 1e-5);

    c->node = ops_weighted_sum(c, add(&c->b, x, scale(&c->b, y, 1.5)))->producer;
}

const struct op_cases cases_rmsnorm_grad = {
    .tolerance = 3e-5,
    .cases = list_rmsnorm_grad,
    .fuses = (const struct ops_case_def[]){ { "dsum", dsum, NULL }, { 0 } },
};
