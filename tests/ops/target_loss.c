#include "lib/ops.h"

struct target_form {
    int64_t rows, width;
    enum target_loss_kind kind;
};

static void build_target_loss(struct ops_case *c)
{
    const struct target_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows);
    struct tensor *in[] = { ops_value(c, SHAPE(rows, FIX(f->width))),
                            ops_state(c, SHAPE(rows, FIX(f->width))) };

    ops_under_test(c, graph_node(&c->b, &op_target_loss, 2, in, ATTRS({ "kind", f->kind })), 0);
}

static const struct ops_case_def list_target_loss[] = {
    { "square", build_target_loss, &(struct target_form){ 5, 3, TARGET_SQUARE } },
    { "one", build_target_loss, &(struct target_form){ 7, 1, TARGET_SQUARE } },
    { "binary", build_target_loss, &(struct target_form){ 3, 5, TARGET_BINARY } },
    { "empty", build_target_loss, &(struct target_form){ 0, 2, TARGET_BINARY } },
    { 0 },
};

const struct op_cases cases_target_loss = { .tolerance = 1e-6, .cases = list_target_loss };

static void build_target_loss_grad(struct ops_case *c)
{
    const struct target_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows);
    struct tensor *in[] = { ops_double(c, SCALAR), ops_value(c, SHAPE(rows, FIX(f->width))),
                            ops_value(c, SHAPE(rows, FIX(f->width))) };

    ops_under_test(c, graph_node(&c->b, &op_target_loss_grad, 3, in, ATTRS({ "kind", f->kind })), 0);
}

static const struct ops_case_def list_target_loss_grad[] = {
    { "square", build_target_loss_grad, &(struct target_form){ 5, 3, TARGET_SQUARE } },
    { "binary", build_target_loss_grad, &(struct target_form){ 3, 5, TARGET_BINARY } },
    { "empty", build_target_loss_grad, &(struct target_form){ 0, 2, TARGET_SQUARE } },
    { 0 },
};

const struct op_cases cases_target_loss_grad = { .tolerance = 1e-6, .cases = list_target_loss_grad };
