#include "lib/ops.h"

#include <math.h>

struct activation_form {
    int64_t rows, width;
    enum activation_kind kind;
};

/* activation has the second of the two as its only input. */
static void build(struct ops_case *c)
{
    const struct activation_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows), FIX(f->width), FIX(3), { .size = -1 } };
    struct tensor *in[] = { ops_value(c, dims), ops_value(c, dims) };
    bool forward = c->op == &op_activation;

    for (int i = 0; i < 6 && f->kind != ACT_EXP; i++) /* the ends of the range too */
        ops_data(c, in[1])[i] *= 6;
    for (int64_t i = 0; i < f->rows * f->width * 3 && f->kind == ACT_LOG; i++)
        ops_data(c, in[1])[i] = fabs(ops_data(c, in[1])[i]) + 0.3;
    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, c->op, forward ? 1 : 2, in + forward, ATTRS({ "kind", f->kind })), 0);
}

static const struct ops_case_def cases[] = {
    { "gelu_tanh", build, &(struct activation_form){ 5, 7, ACT_GELU_TANH } },
    { "gelu_erf", build, &(struct activation_form){ 4, 5, ACT_GELU_ERF } },
    { "relu", build, &(struct activation_form){ 4, 5, ACT_RELU } },
    { "silu", build, &(struct activation_form){ 4, 5, ACT_SILU } },
    { "tanh", build, &(struct activation_form){ 4, 5, ACT_TANH } },
    { "quick_gelu", build, &(struct activation_form){ 4, 5, ACT_QUICK_GELU } },
    { "exp", build, &(struct activation_form){ 4, 5, ACT_EXP } },
    { "log", build, &(struct activation_form){ 4, 5, ACT_LOG } },
    { "large", build, &(struct activation_form){ 333, 43, ACT_GELU_TANH } },
    { 0 },
};

const struct op_cases cases_activation = { .tolerance = 1e-6, .cases = cases };
const struct op_cases cases_activation_grad = { .tolerance = 2e-6, .cases = cases };
