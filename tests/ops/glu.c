#include "lib/ops.h"

struct glu_form {
    int64_t rows, width;
    enum activation_kind kind;
};

/* glu has the last two of the three as its inputs. */
static void build(struct ops_case *c)
{
    const struct glu_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows), FIX(f->width), FIX(3), { .size = -1 } };
    struct tensor *in[] = { ops_value(c, dims), ops_value(c, dims), ops_value(c, dims) };
    bool forward = c->op == &op_glu;

    for (int i = 0; i < 6 && f->rows; i++) /* the ends of the range too */
        ops_data(c, in[1])[i] *= 6;
    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, c->op, forward ? 2 : 3, in + forward, ATTRS({ "kind", f->kind })), 0);
}

static const struct ops_case_def cases[] = {
    { "gelu_tanh", build, &(struct glu_form){ 5, 7, ACT_GELU_TANH } },
    { "gelu_erf", build, &(struct glu_form){ 4, 5, ACT_GELU_ERF } },
    { "relu", build, &(struct glu_form){ 4, 5, ACT_RELU } },
    { "silu", build, &(struct glu_form){ 4, 5, ACT_SILU } },
    { "tanh", build, &(struct glu_form){ 4, 5, ACT_TANH } },
    { "quick_gelu", build, &(struct glu_form){ 4, 5, ACT_QUICK_GELU } },
    { "empty", build, &(struct glu_form){ 0, 5, ACT_SILU } },
    { "large", build, &(struct glu_form){ 333, 43, ACT_SILU } },
    { 0 },
};

const struct op_cases cases_glu = { .tolerance = 2e-6, .cases = cases };
const struct op_cases cases_glu_grad = { .tolerance = 3e-6, .cases = cases };
