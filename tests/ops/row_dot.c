#include "lib/ops.h"

struct row_form {
    int64_t rows, width;
};

static void build_dot(struct ops_case *c)
{
    const struct row_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows), FIX(f->width), FIX(3), { .size = -1 } };
    struct tensor *in[] = { ops_value(c, dims), ops_value(c, dims) };

    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, &op_row_dot, 2, in, NULL), 0);
}

static void build_scale(struct ops_case *c)
{
    const struct row_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows), FIX(f->width), FIX(3), { .size = -1 } };
    struct tensor *in[] = { ops_value(c, dims), ops_value(c, SHAPE(dims[0])) };

    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, &op_row_scale, 2, in, NULL), 0);
}

static const struct row_form plain = { 5, 7 }, one = { 4, 1 }, empty = { 0, 5 }, large = { 333, 43 };

static const struct ops_case_def list_dot[] = {
    { "plain", build_dot, &plain },
    { "one", build_dot, &one },
    { "empty", build_dot, &empty },
    { "large", build_dot, &large },
    { 0 },
};

static const struct ops_case_def list_scale[] = {
    { "plain", build_scale, &plain },
    { "one", build_scale, &one },
    { "empty", build_scale, &empty },
    { "large", build_scale, &large },
    { 0 },
};

const struct op_cases cases_row_dot = { .tolerance = 3e-6, .cases = list_dot };
const struct op_cases cases_row_scale = { .tolerance = 1e-6, .cases = list_scale };
