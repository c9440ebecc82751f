#include "lib/ops.h"

struct form {
    int64_t rows;
    const struct dim *row;
    double p;
};

/* Places that need more than 32 bits. */
static void build(struct ops_case *c)
{
    const struct form *f = c->with;
    struct dim dims[] = { ops_rows(c, f->rows), f->row[0], f->row[1], { .size = -1 } };
    int64_t place[400];
    struct tensor *in[2];

    for (int64_t i = 0; i < f->rows; i++)
        place[i] = (i + 1) * 7919 + (i % 3 << 33);
    in[DROPOUT_X] = ops_value(c, dims);
    in[DROPOUT_PLACE] = ops_ints(c, DT_I64, SHAPE(dims[0]), place);
    c->large = f->rows > 100;
    ops_under_test(c, graph_node(&c->b, &op_dropout, 2, in, ATTRS({ "p", f->p })), 0);
}

static const struct ops_case_def cases[] = {
    { "plain", build, &(struct form){ 6, SHAPE(FIX(7)), 0.3 } },
    { "split", build,
      &(struct form){ 5, SHAPE(FIX(3), FIX(6)), 0.1 } }, /* features count through both dims */
    { "empty", build, &(struct form){ 0, SHAPE(FIX(4)), 0.5 } },
    { "large", build, &(struct form){ 333, SHAPE(FIX(261)), 0.1 } },
    { 0 },
};

const struct op_cases cases_dropout = { .tolerance = 1e-6, .cases = cases };
