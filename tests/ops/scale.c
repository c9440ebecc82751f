#include "lib/ops.h"

/* ---- fill ---- */

static void filled(struct ops_case *c, struct tensor *like, double value)
{
    ops_under_test(c, graph_node(&c->b, &op_fill, 1, &like, ATTRS({ "value", value })), 0);
}

static void plain_fill(struct ops_case *c)
{
    filled(c, ops_value(c, SHAPE(ops_rows(c, 5), FIX(3))), 0.25);
}

static void scalar_fill(struct ops_case *c) /* the seed of a loss */
{
    filled(c, ops_double(c, SCALAR), 1);
}

static void large_fill(struct ops_case *c)
{
    c->large = true;
    filled(c, ops_value(c, SHAPE(ops_rows(c, 333), FIX(257))), -3);
}

static const struct ops_case_def list_fill[] = {
    { "plain", plain_fill, NULL }, { "scalar", scalar_fill, NULL }, { "large", large_fill, NULL }, { 0 }
};

const struct op_cases cases_fill = { .cases = list_fill };

/* ---- scale ---- */

struct scale_form {
    int64_t rows, width;
    double factor;
};

static void build_scale(struct ops_case *c)
{
    const struct scale_form *f = c->with;
    struct tensor *x = ops_value(c, SHAPE(ops_rows(c, f->rows), FIX(f->width), FIX(2)));

    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, &op_scale, 1, &x, ATTRS({ "factor", f->factor })), 0);
}

static const struct ops_case_def list_scale[] = {
    { "plain", build_scale, &(struct scale_form){ 5, 3, -0.37 } },
    { "empty", build_scale, &(struct scale_form){ 0, 4, 2 } },
    { "large", build_scale, &(struct scale_form){ 333, 131, 1.7 } },
    { 0 },
};

const struct op_cases cases_scale = { .tolerance = 1e-7, .cases = list_scale };
