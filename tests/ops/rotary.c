#include "lib/ops.h"

/* ---- rotary_table ---- */

struct table_form {
    int64_t rows;
    int64_t kinds, half; /* dims of frequencies */
    double attention, original, theta, factor;
    int64_t longest; /* 0: not given */
};

static void build_table(struct ops_case *c)
{
    const struct table_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows);
    int64_t positions[400], longest[400];
    struct tensor *in[3] = { NULL };

    for (int64_t n = 0; n < f->rows; n++) {
        positions[n] = n < 3 ? n : n * n * 7 % 5000;
        longest[n] = f->longest - n % 3 * 400;
    }
    in[ROTARY_TABLE_POSITIONS] = ops_ints(c, DT_I32, SHAPE(rows), positions);
    in[ROTARY_TABLE_FREQUENCIES] = ops_state(c, SHAPE(FIX(f->kinds), FIX(f->half)));
    if (f->longest)
        in[ROTARY_TABLE_LONGEST] = ops_ints(c, DT_I32, SHAPE(rows), longest);
    c->large = f->rows > 100;
    ops_under_test(c,
                   graph_node(&c->b, &op_rotary_table, 3, in,
                              ATTRS({ "attention", f->attention }, { "original", f->original },
                                    { "theta", f->theta }, { "factor", f->factor })),
                   0);
}

static const struct ops_case_def list_table[] = {
    { "plain", build_table, &(struct table_form){ 9, 1, 5, 1 } },
    { "pair", build_table, &(struct table_form){ 4, 1, 1, 1.138 } },
    { "grows", build_table, &(struct table_form){ 7, 1, 6, 1.2, 512, 1e4, 2, 1300 } },
    { "grows_large", build_table, &(struct table_form){ 391, 1, 6, 1, 512, 1e4, 2, 1300 } },
    { "two", build_table, &(struct table_form){ 8, 2, 7, 1.1, 900, .longest = 1300 } },
    { "two_short", build_table, &(struct table_form){ 3, 2, 4, 1, 900 } },
    { "two_large", build_table, &(struct table_form){ 391, 2, 33, 1.3, 900, .longest = 1300 } },
    { "empty", build_table, &(struct table_form){ 0, 1, 3, 1 } },
    { "large", build_table, &(struct table_form){ 391, 1, 33, 1 } },
    { 0 },
};

const struct op_cases cases_rotary_table = { .tolerance = 2e-7, .cases = list_table };

/* ---- rotary ---- */

struct rotary_form {
    int64_t rows, parts, heads, features, width;
    int rotated;
    bool inverse;
};

static void build(struct ops_case *c)
{
    const struct rotary_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows);
    struct tensor *in[2];
    int64_t positions[400];

    for (int64_t n = 0; n < f->rows; n++)
        positions[n] = n * 5 % 17;
    in[ROTARY_X] = ops_value(c, SHAPE(rows, FIX(f->parts), FIX(f->heads), FIX(f->features)));
    in[ROTARY_TABLE] = rotary_table(&c->b, ops_ints(c, DT_I32, SHAPE(rows), positions),
                                    ops_state(c, SHAPE(FIX(1), FIX(f->width / 2))), NULL,
                                    &(struct rotary_options){ .attention = 1.25 });
    c->large = f->rows > 100;
    ops_under_test(
        c, graph_node(&c->b, &op_rotary, 2, in, ATTRS({ "parts", f->rotated }, { "inverse", f->inverse })),
        0);
}

static const struct ops_case_def list_rotary[] = {
    { "plain", build, &(struct rotary_form){ 7, 1, 3, 6, 6, 1, false } },
    { "inverse", build, &(struct rotary_form){ 5, 1, 2, 6, 6, 1, true } },
    { "part_of_features", build, &(struct rotary_form){ 5, 1, 3, 7, 4, 1, false } },
    { "first_parts", build, &(struct rotary_form){ 5, 3, 3, 6, 4, 2, false } },
    { "empty", build, &(struct rotary_form){ 0, 1, 3, 6, 6, 1, false } },
    { "large", build, &(struct rotary_form){ 333, 3, 5, 44, 42, 2, false } },
    { 0 },
};

const struct op_cases cases_rotary = { .tolerance = 1e-6, .cases = list_rotary };
