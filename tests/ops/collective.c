/* The collectives of one axis: what they do, lib/ops_collective.c asks. */
#include "lib/ops.h"

struct collective_form {
    int64_t rows; /* a counted first dim, or 0: `dims` alone */
    const struct dim *dims;
    int dim;
    enum reduction reduction;
    bool doubles;
};

static void build(struct ops_case *c)
{
    const struct collective_form *f = c->with;
    struct dim dims[MAX_DIMS + 1];
    struct tensor *x;
    int n = 0;

    if (f->rows)
        dims[n++] = ops_rows(c, f->rows);
    for (int d = 0; d == 0 || f->dims[d - 1].size >= 0; d++)
        dims[n++] = f->dims[d];
    x = f->doubles ? ops_double(c, dims) : ops_value(c, dims);
    ops_under_test(
        c, graph_node(&c->b, c->op, 1, &x, ATTRS({ "dim", f->dim }, { "reduction", f->reduction })), 0);
}

static const struct ops_case_def reducing[] = {
    { "sum", build, &(struct collective_form){ 0, SHAPE(FIX(5), FIX(3)) } },
    { "sum_rows", build, &(struct collective_form){ 5, SHAPE(FIX(7)) } },
    { "max", build, &(struct collective_form){ 5, SCALAR, .reduction = REDUCE_MAX } },
    { "logsumexp", build, &(struct collective_form){ 5, SCALAR, .reduction = REDUCE_LOGSUMEXP } },
    { "scalar", build, &(struct collective_form){ 0, SCALAR, .doubles = true } },
    { "large", build, &(struct collective_form){ 333, SHAPE(FIX(257)) } },
    { 0 },
};

static const struct ops_case_def dealing[] = {
    { "rows", build, &(struct collective_form){ 5, SHAPE(FIX(3)) } },
    { "first", build, &(struct collective_form){ 0, SHAPE(FIX(7), FIX(3)) } },
    { "middle", build, &(struct collective_form){ 4, SHAPE(FIX(3), FIX(5), FIX(2)), 2 } },
    { "last", build, &(struct collective_form){ 0, SHAPE(FIX(3), FIX(6)), 1 } },
    { "large", build, &(struct collective_form){ 333, SHAPE(FIX(257)) } },
    { 0 },
};

const struct op_cases cases_all_reduce = { .cases = reducing };
const struct op_cases cases_all_gather = { .cases = dealing };
const struct op_cases cases_reduce_scatter = { .cases = dealing };
const struct op_cases cases_keep_shard = { .cases = dealing };
const struct op_cases cases_keep_first = { .cases = reducing };
const struct op_cases cases_wait = { 0 };
