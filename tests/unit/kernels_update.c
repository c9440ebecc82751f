/* The kernels of the update: sum_squares, step_control, adamw; and token_loss. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/view.h"
#include "lib/kernel_case.h"
#include "ops/ops.h"

static void test_sum_squares(void **state)
{
    static const int64_t counts[] = { 0, 1, 31, 32769, 100000, 7 };
    for (int add = 0; add < 2; add++) {
        struct kernel_case c;
        case_init(&c, OP_sum_squares);
        for (int i = 0; i < 6; i++)
            case_input(&c, DT_F32, DIMS(counts[i]));
        ((float *)c.view_in[2].data)[3] = 1e25f; /* its square is beyond a float */
        struct view *last = case_input(&c, DT_F32, DIMS(5));
        void *data = last->data;
        last->data = NULL;
        case_output(&c, DT_F64, DIMS(INT64_MIN));
        c.add[0] = add;
        case_compare(&c, 1e-13);
        last->data = data;
        case_release(&c);
    }
}

static void control_inputs(struct kernel_case *c, double loss, double count, double sumsq, double max_norm)
{
    case_init(c, OP_step_control);
    *(double *)case_input(c, DT_F64, DIMS(INT64_MIN))->data = loss;
    *(double *)case_input(c, DT_F64, DIMS(INT64_MIN))->data = count;
    *(double *)case_input(c, DT_F64, DIMS(INT64_MIN))->data = sumsq;
    double *settings = case_input(c, DT_F64, DIMS(CONTROL_SETTINGS))->data;
    settings[SETTING_LEARNING_RATE] = 0.25;
    settings[SETTING_STEP] = 3;
    settings[SETTING_MAX_NORM] = max_norm;
    case_output(c, DT_F64, DIMS(CONTROL_OUTPUTS));
    case_run(c, case_reference(c), 1);
}

static void test_step_control(void **state)
{
    struct kernel_case c;
    control_inputs(&c, 30, 10, 400, 1); /* norm of the mean gradient: 2 */
    const double *out = c.view_out[0].data;
    assert_true(out[CONTROL_APPLY] == 1);
    assert_true(fabs(out[CONTROL_SCALE] - 1 / (2 + 1e-6) / 10) < 1e-15);
    assert_true(out[CONTROL_GRAD_NORM] == 2 && out[CONTROL_LOSS] == 3);
    assert_true(out[CONTROL_LEARNING_RATE] == 0.25 && out[CONTROL_STEP] == 3);
    case_release(&c);

    control_inputs(&c, 30, 10, 400, 0);
    assert_true(((double *)c.view_out[0].data)[CONTROL_SCALE] == 0.1);
    case_release(&c);

    static const double bad[][3] = { { 0, 0, 0 }, { NAN, 10, 1 }, { 1, 10, NAN }, { 1, 10, INFINITY } };
    for (int i = 0; i < 4; i++) {
        control_inputs(&c, bad[i][0], bad[i][1], bad[i][2], 1);
        assert_true(((double *)c.view_out[0].data)[CONTROL_APPLY] == 0);
        case_release(&c);
    }
}

static void test_adamw(void **state)
{
    static const int64_t counts[] = { 1, 17, 16384, 40001, 0, 5 };
    for (int apply = 0; apply < 2; apply++) {
        struct kernel_case c;
        case_init(&c, OP_adamw);
        double *control = case_input(&c, DT_F64, DIMS(CONTROL_OUTPUTS))->data;
        control[CONTROL_APPLY] = apply;
        control[CONTROL_SCALE] = 0.3;
        control[CONTROL_LEARNING_RATE] = 1e-2;
        control[CONTROL_STEP] = 4;
        c.node.attr[ADAMW_BETA1] = 0.9;
        c.node.attr[ADAMW_BETA2] = 0.98;
        c.node.attr[ADAMW_EPS] = 1e-8;
        c.node.attr[ADAMW_DECAY] = 0.01;
        for (int g = 0; g < 6; g++) {
            for (int k = 0; k < ADAMW_GROUP; k++)
                case_input(&c, DT_F32, DIMS(counts[g]));
            struct view *v = &c.view_in[c.node.nin - 1];
            for (int64_t i = 0; i < counts[g]; i++)
                ((float *)v->data)[i] = fabsf(((float *)v->data)[i]);
        }
        case_compare(&c, 1e-6);
        case_release(&c);
    }
}

static void test_token_loss(void **state)
{
    struct kernel_case c;
    case_init(&c, OP_token_loss);
    const float *lse = case_input(&c, DT_F32, DIMS(5))->data, *target = case_input(&c, DT_F32, DIMS(5))->data;
    double *loss = case_output(&c, DT_F64, DIMS(INT64_MIN))->data, want = 0, before = *loss;
    for (int i = 0; i < 5; i++)
        want += (double)lse[i] - target[i];
    c.add[0] = true;
    case_run(&c, case_reference(&c), 1);
    assert_true(*loss == before + want);
    case_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_squares),
        cmocka_unit_test(test_step_control),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_token_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
