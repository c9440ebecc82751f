#include <math.h>

#include "lib/ops.h"

/* ---- sum_squares ---- */

static void small_sum_squares(struct ops_case *c)
{
    struct tensor *in[] = { ops_param(c, SHAPE(FIX(5), FIX(3))), ops_param(c, SHAPE(FIX(7))),
                            ops_param(c, SHAPE(FIX(2), FIX(3), FIX(4))) };

    ops_under_test(c, graph_node(&c->b, &op_sum_squares, 3, in, NULL), 0);
}

static void large_sum_squares(struct ops_case *c)
{
    struct tensor *in[] = { ops_param(c, SHAPE(FIX(333), FIX(257))), ops_param(c, SHAPE(FIX(1))),
                            ops_param(c, SHAPE(FIX(70001))) };

    c->large = true;
    ops_under_test(c, graph_node(&c->b, &op_sum_squares, 3, in, NULL), 0);
}

static const struct ops_case_def list_sum_squares[] = { { "small", small_sum_squares, NULL },
                                                        { "large", large_sum_squares, NULL },
                                                        { 0 } };

const struct op_cases cases_sum_squares = { .tolerance = 1e-12, .cases = list_sum_squares };

/* ---- step_control ---- */

struct step_control_form {
    double loss, count, sum_squares, rate, step, max_norm;
};

static void build_step_control(struct ops_case *c)
{
    const struct step_control_form *f = c->with;
    struct tensor *in[4];
    double *settings;

    for (int i = 0; i < STEP_CONTROL_SETTINGS; i++)
        in[i] = ops_double(c, SCALAR);
    in[STEP_CONTROL_SETTINGS] = ops_double(c, SHAPE(FIX(CONTROL_SETTINGS)));
    settings = ops_data(c, in[STEP_CONTROL_SETTINGS]);
    *ops_data(c, in[STEP_CONTROL_LOSS]) = f->loss;
    *ops_data(c, in[STEP_CONTROL_COUNT]) = f->count;
    *ops_data(c, in[STEP_CONTROL_SUMSQ]) = f->sum_squares;
    settings[SETTING_LEARNING_RATE] = f->rate;
    settings[SETTING_STEP] = f->step;
    settings[SETTING_MAX_NORM] = f->max_norm;
    ops_under_test(c, graph_node(&c->b, &op_step_control, 4, in, NULL), 0);
}

static const struct ops_case_def list_step_control[] = {
    { "clipped", build_step_control, &(struct step_control_form){ 35, 7, 2500, 1e-3, 4, 1 } },
    { "within", build_step_control, &(struct step_control_form){ 35, 7, 25, 1e-3, 4, 1 } },
    { "unbounded", build_step_control, &(struct step_control_form){ 35, 7, 2500, 1e-3, 4, 0 } },
    { "no_labels", build_step_control, &(struct step_control_form){ 0, 0, 0, 1e-3, 9, 1 } },
    { "bad_loss", build_step_control, &(struct step_control_form){ NAN, 7, 25, 1e-3, 4, 1 } },
    { "bad_norm", build_step_control, &(struct step_control_form){ 35, 7, INFINITY, 1e-3, 4, 1 } },
    { 0 },
};

const struct op_cases cases_step_control = { .cases = list_step_control };

/* ---- adamw ---- */

struct adamw_form {
    double apply, step, decay;
    int64_t rows, width; /* of the first parameter; the second has `rows` elements */
};

static void add_group(struct ops_case *c, struct tensor *in[], int first, const struct dim dims[])
{
    int64_t count;

    for (int i = 0; i < ADAMW_GROUP; i++) {
        in[first + i] = ops_param(c, dims);
        c->updated[first + i] = i != ADAMW_GRAD;
    }
    count = tensor_count(in[first]);
    for (int64_t i = 0; i < count; i++)
        ops_data(c, in[first + ADAMW_V])[i] = (float)fabs(ops_data(c, in[first + ADAMW_V])[i]);
}

static void build_adamw(struct ops_case *c)
{
    const struct adamw_form *f = c->with;
    struct tensor *in[ADAMW_FIRST + 2 * ADAMW_GROUP];
    double *control;

    in[ADAMW_CONTROL] = ops_double(c, SHAPE(FIX(CONTROL_OUTPUTS)));
    control = ops_data(c, in[ADAMW_CONTROL]);
    control[CONTROL_APPLY] = f->apply;
    control[CONTROL_SCALE] = 0.125;
    control[CONTROL_LEARNING_RATE] = 0.01;
    control[CONTROL_STEP] = f->step;
    add_group(c, in, ADAMW_FIRST, SHAPE(FIX(f->rows), FIX(f->width)));
    add_group(c, in, ADAMW_FIRST + ADAMW_GROUP, SHAPE(FIX(f->rows)));
    c->large = f->rows > 100;
    ops_under_test(c,
                   graph_node(&c->b, &op_adamw, ADAMW_FIRST + 2 * ADAMW_GROUP, in,
                              ATTRS({ "beta2", 0.98 }, { "decay", f->decay })),
                   0);
}

static const struct ops_case_def list_adamw[] = {
    { "first_step", build_adamw, &(struct adamw_form){ 1, 1, 0, 5, 3 } },
    { "decay", build_adamw, &(struct adamw_form){ 1, 7, 0.1, 3, 6 } },
    { "not_applied", build_adamw, &(struct adamw_form){ 0, 7, 0.1, 3, 6 } },
    { "large", build_adamw, &(struct adamw_form){ 1, 1000, 0.01, 333, 257 } },
    { 0 },
};

const struct op_cases cases_adamw = { .tolerance = 2e-6, .cases = list_adamw };
