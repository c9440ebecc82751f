#include "lib/ops.h"

struct cast_form {
    int64_t rows, width;
};

static void narrow(struct ops_case *c)
{
    const struct cast_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows), FIX(f->width), FIX(3), { .size = -1 } };
    struct tensor *x = ops_value(c, dims);
    double *v = ops_data(c, x);

    if (f->rows > 1) { /* ties, the ends of the range, and what is less than its steps */
        const double odd[] = { 1 + 0x1p-8, 1 + 3 * 0x1p-8, -1 - 0x1p-8, 3.3961775292304957e38,
                               1e-40,      -0.0,           0x1p-126 };
        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
            v[i] = odd[i];
    }
    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, c->op, 1, &x, ATTRS({ "dtype", DT_BF16 })), 0);
}

static void widen(struct ops_case *c)
{
    const struct cast_form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows), FIX(f->width), { .size = -1 } };
    int64_t values[8192];
    struct tensor *x;

    for (int64_t i = 0; i < f->rows * f->width; i++)
        values[i] = i * 37 % 511 - 255;
    x = ops_ints(c, DT_BF16, dims, values);
    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, c->op, 1, &x, ATTRS({ "dtype", DT_F32 })), 0);
}

static const struct ops_case_def cases[] = {
    { "narrow", narrow, &(struct cast_form){ 5, 7 } },
    { "narrow_empty", narrow, &(struct cast_form){ 0, 4 } },
    { "narrow_large", narrow, &(struct cast_form){ 333, 43 } },
    { "widen", widen, &(struct cast_form){ 6, 9 } },
    { "widen_large", widen, &(struct cast_form){ 170, 47 } },
    { 0 },
};

const struct op_cases cases_cast = { .tolerance = 0, .cases = cases };
