#include <math.h>

#include "lib/ops.h"

/* ---- adafactor_sums ---- */

struct sums_form {
    struct dim dims[4];
    int ndim, split;
};

static void build_sums(struct ops_case *c)
{
    const struct sums_form *f = c->with;
    struct dim dims[MAX_DIMS];
    struct tensor *in[1];

    for (int d = 0; d < f->ndim; d++)
        dims[d] = f->dims[d];
    dims[f->ndim] = (struct dim){ .size = -1 };
    in[0] = ops_param(c, dims);
    c->large = tensor_count(in[0]) > 1000;
    ops_under_test(c, graph_node(&c->b, &op_adafactor_sums, 1, in, ATTRS({ "split", f->split })), 0);
}

static const struct ops_case_def list_sums[] = {
    { "plain", build_sums, &(struct sums_form){ { FIX(5), FIX(3) }, 2, 1 } },
    { "split_2", build_sums, &(struct sums_form){ { FIX(3), FIX(2), FIX(5) }, 3, 2 } },
    { "three_cols", build_sums, &(struct sums_form){ { FIX(5), FIX(3), FIX(2), FIX(2) }, 4, 1 } },
    { "large", build_sums, &(struct sums_form){ { FIX(333), FIX(257) }, 2, 1 } },
    { "long_rows", build_sums, &(struct sums_form){ { FIX(3), FIX(40001) }, 2, 1 } },
    { 0 },
};

const struct op_cases cases_adafactor_sums = { .tolerance = 1e-12, .cases = list_sums };

/* ---- adafactor_norms and adafactor ---- */

struct step_form {
    double apply, step, decay;
    bool relative, factored;
    int64_t rows, cols;
};

static void make_positive(struct ops_case *c, const struct tensor *t, double scale)
{
    for (int64_t i = 0; i < tensor_count(t); i++)
        ops_data(c, t)[i] = (float)(scale * (0.1 + fabs(ops_data(c, t)[i])));
}

/* control, param, grad and moments; moments that are as far on as their steps */
static void add_inputs(struct ops_case *c, struct tensor *in[], double moments)
{
    const struct step_form *f = c->with;
    double *control;

    in[ADAFACTOR_CONTROL] = ops_double(c, SHAPE(FIX(CONTROL_OUTPUTS)));
    control = ops_data(c, in[ADAFACTOR_CONTROL]);
    control[CONTROL_APPLY] = f->apply;
    control[CONTROL_SCALE] = 0.125;
    control[CONTROL_LEARNING_RATE] = 0.01;
    control[CONTROL_STEP] = f->step;
    in[ADAFACTOR_PARAM] = ops_param(c, SHAPE(FIX(f->rows), FIX(f->cols)));
    in[ADAFACTOR_GRAD] = ops_param(c, SHAPE(FIX(f->rows), FIX(f->cols)));
    in[ADAFACTOR_COL] = NULL;
    if (f->factored) {
        in[ADAFACTOR_V] = ops_param(c, SHAPE(FIX(f->rows)));
        in[ADAFACTOR_COL] = ops_param(c, SHAPE(FIX(f->cols)));
        make_positive(c, in[ADAFACTOR_COL], moments);
    } else {
        in[ADAFACTOR_V] = ops_param(c, SHAPE(FIX(f->rows), FIX(f->cols)));
    }
    make_positive(c, in[ADAFACTOR_V], moments);
    c->large = f->rows > 100;
}

/* The mean of the moments of rows is that of columns: a share of the matrix may use either. */
static void balance(struct ops_case *c, struct tensor *row, struct tensor *col)
{
    double mean_row = 0, mean_col = 0;

    for (int64_t i = 0; i < tensor_count(row); i++)
        mean_row += ops_data(c, row)[i] / (double)tensor_count(row);
    for (int64_t i = 0; i < tensor_count(col); i++)
        mean_col += ops_data(c, col)[i] / (double)tensor_count(col);
    for (int64_t i = 0; i < tensor_count(col); i++)
        ops_data(c, col)[i] *= mean_row / mean_col;
}

static void make_sums(struct ops_case *c, struct tensor *in[])
{
    const struct step_form *f = c->with;
    double *rows, *cols;

    in[ADAFACTOR_ROWS] = ops_double(c, SHAPE(FIX(f->rows)));
    in[ADAFACTOR_COLS] = ops_double(c, SHAPE(FIX(f->cols)));
    rows = ops_data(c, in[ADAFACTOR_ROWS]);
    cols = ops_data(c, in[ADAFACTOR_COLS]);
    for (int64_t i = 0; i < f->rows; i++)
        rows[i] = 0;
    for (int64_t i = 0; i < f->cols; i++)
        cols[i] = 0;
    for (int64_t i = 0; i < f->rows * f->cols; i++) {
        double g = ops_data(c, in[ADAFACTOR_GRAD])[i];
        rows[i / f->cols] += g * g;
        cols[i % f->cols] += g * g;
    }
}

static void build_norms(struct ops_case *c)
{
    const struct step_form *f = c->with;
    struct tensor *in[ADAFACTOR_COLS + 1] = { 0 };

    add_inputs(c, in, 0.01);
    if (f->factored) {
        balance(c, in[ADAFACTOR_V], in[ADAFACTOR_COL]);
        make_sums(c, in);
        c->updated[ADAFACTOR_COL] = true;
    }
    c->updated[ADAFACTOR_V] = true;
    ops_under_test(c, graph_node(&c->b, &op_adafactor_norms, ADAFACTOR_COLS + 1, in, NULL), 0);
}

static const struct ops_case_def list_norms[] = {
    { "first_step", build_norms, &(struct step_form){ 1, 1, .factored = true, .rows = 5, .cols = 3 } },
    { "later", build_norms, &(struct step_form){ 1, 7, .factored = true, .rows = 3, .cols = 6 } },
    { "whole", build_norms, &(struct step_form){ 1, 7, .rows = 3, .cols = 5 } },
    { "not_applied", build_norms, &(struct step_form){ 0, 7, .factored = true, .rows = 5, .cols = 3 } },
    { "large", build_norms, &(struct step_form){ 1, 1000, .factored = true, .rows = 333, .cols = 257 } },
    { 0 },
};

const struct op_cases cases_adafactor_norms = { .tolerance = 1e-5, .cases = list_norms };

static void free_of_mean(struct ops_case *c, const struct tensor *row, double *norms)
{
    norms[ADAFACTOR_NORM_MOMENT] = 0;
    for (int64_t i = 0; i < tensor_count(row); i++)
        norms[ADAFACTOR_NORM_MOMENT] += ops_data(c, row)[i];
    norms[ADAFACTOR_NORM_STEP] /= norms[ADAFACTOR_NORM_MOMENT] / (double)tensor_count(row);
}

static void build_step(struct ops_case *c)
{
    const struct step_form *f = c->with;
    struct tensor *in[ADAFACTOR_NORM + 1];

    add_inputs(c, in, 0.01);
    if (f->factored)
        balance(c, in[ADAFACTOR_V], in[ADAFACTOR_COL]);
    c->updated[ADAFACTOR_PARAM] = true;
    in[ADAFACTOR_NORM] = ops_double(c, SHAPE(FIX(ADAFACTOR_NORMS)));
    ops_data(c, in[ADAFACTOR_NORM])[ADAFACTOR_NORM_STEP] = f->step * (double)(f->rows * f->cols);
    if (f->factored)
        free_of_mean(c, in[ADAFACTOR_V], ops_data(c, in[ADAFACTOR_NORM]));
    ops_data(c, in[ADAFACTOR_NORM])[ADAFACTOR_NORM_PARAM] = 1e-4 * f->step * (double)(f->rows * f->cols);
    ops_under_test(c,
                   graph_node(&c->b, &op_adafactor, ADAFACTOR_NORM + 1, in,
                              ATTRS({ "decay", f->decay }, { "relative", f->relative })),
                   0);
}

static const struct ops_case_def list_step[] = {
    { "plain", build_step, &(struct step_form){ 1, 0.5, .factored = true, .rows = 5, .cols = 3 } },
    { "clipped", build_step, &(struct step_form){ 1, 7, 0.1, .factored = true, .rows = 3, .cols = 6 } },
    { "relative", build_step, &(struct step_form){ 1, 7, 0.1, true, true, 5, 3 } },
    { "least_scale", build_step, &(struct step_form){ 1, 1e-4, 0, true, true, 3, 4 } },
    { "whole", build_step, &(struct step_form){ 1, 7, 0.1, .rows = 3, .cols = 5 } },
    { "not_applied", build_step, &(struct step_form){ 0, 7, 0.1, true, true, 5, 3 } },
    { "large", build_step, &(struct step_form){ 1, 2, 0.01, true, true, 333, 257 } },
    { 0 },
};

const struct op_cases cases_adafactor = { .tolerance = 1e-5, .cases = list_step };
