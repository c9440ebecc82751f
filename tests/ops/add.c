#include "lib/ops.h"

struct form {
    int64_t rows;
    const struct dim *row;
    bool twice; /* x + x */
};

static void build(struct ops_case *c)
{
    const struct form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows), f->row[0], f->row[1], { .size = -1 } };
    struct tensor *in[2] = { ops_value(c, dims) };

    c->large = f->rows > 100;
    in[1] = f->twice ? in[0] : ops_value(c, dims);
    ops_under_test(c, graph_node(&c->b, &op_add, 2, in, NULL), 0);
}

static void scalar(struct ops_case *c)
{
    struct tensor *in[] = { ops_double(c, SCALAR), ops_double(c, SCALAR) };

    ops_under_test(c, graph_node(&c->b, &op_add, 2, in, NULL), 0);
}

static const struct ops_case_def cases[] = {
    { "plain", build, &(struct form){ 5, SHAPE(FIX(3), FIX(7)) } },
    { "twice", build, &(struct form){ 3, SHAPE(FIX(4)), true } },
    { "empty", build, &(struct form){ 0, SHAPE(FIX(4)) } },
    { "large", build, &(struct form){ 333, SHAPE(FIX(257)) } },
    { "scalar", scalar, NULL },
    { 0 },
};

const struct op_cases cases_add = { .cases = cases };
