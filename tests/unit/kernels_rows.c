/* The kernels that go over rows and elements: embedding, add, scale, fill, activation, dropout, norms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "cpu/view.h"
#include "lib/kernel_case.h"
#include "ops/ops.h"

static void test_embedding(void **state)
{
    static const int64_t widths[] = { 1, 7, 64, 100 };
    for (int w = 0; w < 4; w++) {
        struct kernel_case c;
        case_init(&c, OP_embedding);
        struct view *table = case_input(&c, DT_F32, DIMS(13, widths[w]));
        int32_t *ids = case_input(&c, DT_I32, DIMS(1001))->data;
        for (int n = 0; n < 1001; n++)
            ids[n] = n * 7 % 13;
        case_output(&c, DT_F32, DIMS(1001, widths[w]));
        case_compare(&c, 0);
        table->first[0] = 5; /* a share: rows 5 to 17 of 16, the last two of them padding */
        table->whole[0] = 16;
        case_compare(&c, 0);
        case_release(&c);
    }
}

static void test_embedding_grad(void **state)
{
    for (int add = 0; add < 2; add++) {
        struct kernel_case c;
        case_init(&c, OP_embedding_grad);
        case_input(&c, DT_F32, DIMS(301, 3, 35));
        int32_t *ids = case_input(&c, DT_I32, DIMS(301))->data;
        for (int n = 0; n < 301; n++)
            ids[n] = n * n % 40;
        case_absent_input(&c);
        struct view *table = case_output(&c, DT_F32, DIMS(30, 3, 35));
        table->whole[0] = 40;
        table->first[0] = 4;
        c.add[0] = add;
        case_compare(&c, 2e-6);
        case_release(&c);
    }
}

static void test_add_scale_fill(void **state)
{
    static const int64_t counts[] = { 0, 1, 15, 16, 33, 1100003 };
    static const enum op_id ops[] = { OP_add, OP_scale, OP_fill };
    for (int k = 0; k < 18; k++) {
        struct kernel_case c;
        case_init(&c, ops[k / 6]);
        c.node.attr[0] = 0.7;
        case_input(&c, DT_F32, DIMS(counts[k % 6]));
        if (k < 6)
            case_input(&c, DT_F32, DIMS(counts[k % 6]));
        case_output(&c, DT_F32, DIMS(counts[k % 6]));
        case_compare(&c, 1e-7);
        case_release(&c);
    }
}

/* A side of add that counts as zeros. */
static void test_add_nothing(void **state)
{
    struct kernel_case c;
    case_init(&c, OP_add);
    case_absent_input(&c);
    case_input(&c, DT_F32, DIMS(37));
    case_output(&c, DT_F32, DIMS(37));
    case_compare(&c, 0);
    case_release(&c);
}

static void test_activation(void **state)
{
    for (int kind = 0; kind < ACT_KINDS; kind++) {
        struct kernel_case c;
        case_init(&c, OP_activation);
        c.node.attr[ACTIVATION_KIND] = kind;
        struct view *x = case_input(&c, DT_F32, DIMS(9001));
        for (int i = 0; i < 9001; i++)
            ((float *)x->data)[i] = (float)(i - 4500) / 300;
        case_output(&c, DT_F32, DIMS(9001));
        case_compare(&c, 3e-7);
        case_release(&c);

        case_init(&c, OP_activation_grad);
        c.node.attr[ACTIVATION_KIND] = kind;
        case_input(&c, DT_F32, DIMS(9001));
        x = case_input(&c, DT_F32, DIMS(9001));
        for (int i = 0; i < 9001; i++)
            ((float *)x->data)[i] = (float)(i - 4500) / 300;
        case_output(&c, DT_F32, DIMS(9001));
        case_compare(&c, 6e-7);
        case_release(&c);
    }
}

/* Activations stay defined far out: no product of infinity and zero. */
static void test_activation_far(void **state)
{
    for (int kind = 0; kind < ACT_KINDS; kind++) {
        struct kernel_case c;
        case_init(&c, OP_activation_grad);
        c.node.attr[ACTIVATION_KIND] = kind;
        float *dy = case_input(&c, DT_F32, DIMS(6))->data;
        float *x = case_input(&c, DT_F32, DIMS(6))->data;
        memcpy(x, (float[]){ -1e30f, -1e15f, -100, 100, 1e15f, 1e30f }, 24);
        memcpy(dy, (float[]){ 1, 1, 1, 1, 1, 1 }, 24);
        case_output(&c, DT_F32, DIMS(6));
        case_compare(&c, 1e-6);
        case_release(&c);
    }
}

static void set_places(struct view *place)
{
    for (int64_t n = 0; n < place->dim[0]; n++)
        ((int64_t *)place->data)[n] = n * 1000003 + 7;
}

/* Every kernel drops exactly what the definition says, in the whole tensor and in shares of rows and
 * features. */
static void test_dropout(void **state)
{
    for (int share = 0; share < 3; share++) {
        struct kernel_case c;
        case_init(&c, OP_dropout);
        c.node.attr[DROPOUT_P] = 0.3;
        struct view *x = case_input(&c, DT_F32, DIMS(19, 3, 5, 67));
        if (share == 1) { /* heads 5 .. 9 of 11 */
            x->first[2] = 5;
            x->whole[2] = 11;
        }
        if (share == 2) { /* entries 61 .. of a last dim of 200 */
            x->first[3] = 61;
            x->whole[3] = 200;
        }
        set_places(case_input(&c, DT_I64, DIMS(19)));
        case_output(&c, DT_F32, DIMS(19, 3, 5, 67));
        case_compare(&c, 2e-7);
        case_release(&c);
    }
}

static void test_dropout_definition(void **state)
{
    struct kernel_case c;
    case_init(&c, OP_dropout);
    c.node.attr[DROPOUT_P] = 0.1;
    struct view *x = case_input(&c, DT_F32, DIMS(50, 1000)), *place = case_input(&c, DT_I64, DIMS(50));
    struct view *y = case_output(&c, DT_F32, DIMS(50, 1000));
    set_places(place);
    case_compare(&c, 2e-7);
    case_run(&c, case_reference(&c), 1);
    int kept = 0;
    for (int i = 0; i < 50000; i++) {
        uint32_t bits[4];
        uint64_t hi = c.step << 40 | (uint64_t)((int64_t *)place->data)[i / 1000];
        rng_bits((struct rng_key){ c.seed, c.node.stream }, hi, (uint64_t)(i % 1000 / 4), bits);
        bool keep = bits[i % 1000 % 4] >= 429496730u;
        assert_true((((float *)y->data)[i] != 0) == (keep && ((float *)x->data)[i] != 0));
        kept += keep;
    }
    assert_true(fabs(kept / 50000.0 - 0.9) < 0.005);
    case_release(&c);
}

static void test_layernorm(void **state)
{
    static const int64_t widths[] = { 1, 5, 16, 48, 768, 771 };
    for (int k = 0; k < 24; k++) {
        bool bias = k / 6 % 2, residual = k / 12;
        int64_t width = widths[k % 6];
        struct kernel_case c;
        case_init(&c, OP_layernorm);
        c.node.attr[LAYERNORM_EPS] = 1e-5;
        case_input(&c, DT_F32, DIMS(67, width));
        case_input(&c, DT_F32, DIMS(width));
        bias ? (void)case_input(&c, DT_F32, DIMS(width)) : case_absent_input(&c);
        residual ? (void)case_input(&c, DT_F32, DIMS(67, width)) : case_absent_input(&c);
        case_output(&c, DT_F32, DIMS(67, width));
        case_output(&c, DT_F32, DIMS(67));
        case_output(&c, DT_F32, DIMS(67));
        residual ? (void)case_output(&c, DT_F32, DIMS(67, width)) : case_absent_output(&c);
        case_compare(&c, 3e-6);
        case_release(&c);
    }
}

static void test_layernorm_grad(void **state)
{
    static const int64_t widths[] = { 1, 5, 16, 48, 768, 771 }, rows[] = { 0, 1, 9, 700 };
    for (int k = 0; k < 48; k++) {
        int64_t width = widths[k % 6], n = rows[k / 6 % 4];
        struct kernel_case c;
        case_init(&c, OP_layernorm_grad);
        case_input(&c, DT_F32, DIMS(n, width));
        case_input(&c, DT_F32, DIMS(n, width));
        case_input(&c, DT_F32, DIMS(width));
        case_input(&c, DT_F32, DIMS(n));
        case_input(&c, DT_F32, DIMS(n));
        k / 24 ? (void)case_input(&c, DT_F32, DIMS(n, width)) : case_absent_input(&c);
        case_output(&c, DT_F32, DIMS(n, width));
        case_output(&c, DT_F32, DIMS(width));
        case_output(&c, DT_F32, DIMS(width));
        c.add[LAYERNORM_GRAD_DWEIGHT] = k % 2;
        c.add[LAYERNORM_GRAD_DBIAS] = k % 2;
        case_compare(&c, 2e-5);
        case_release(&c);
    }
}

static void test_rmsnorm(void **state)
{
    static const int64_t widths[] = { 1, 5, 16, 48, 768, 771 };
    for (int k = 0; k < 12; k++) {
        int64_t width = widths[k % 6];
        struct kernel_case c;
        case_init(&c, OP_rmsnorm);
        c.node.attr[RMSNORM_EPS] = 1e-6;
        case_input(&c, DT_F32, DIMS(67, width));
        case_input(&c, DT_F32, DIMS(width));
        k / 6 ? (void)case_input(&c, DT_F32, DIMS(67, width)) : case_absent_input(&c);
        case_output(&c, DT_F32, DIMS(67, width));
        case_output(&c, DT_F32, DIMS(67));
        k / 6 ? (void)case_output(&c, DT_F32, DIMS(67, width)) : case_absent_output(&c);
        case_compare(&c, 3e-6);
        case_release(&c);
    }
}

static void test_rmsnorm_grad(void **state)
{
    static const int64_t widths[] = { 1, 5, 16, 48, 768, 771 }, rows[] = { 0, 1, 9, 700 };
    for (int k = 0; k < 48; k++) {
        int64_t width = widths[k % 6], n = rows[k / 6 % 4];
        struct kernel_case c;
        case_init(&c, OP_rmsnorm_grad);
        case_input(&c, DT_F32, DIMS(n, width));
        case_input(&c, DT_F32, DIMS(n, width));
        case_input(&c, DT_F32, DIMS(width));
        case_input(&c, DT_F32, DIMS(n));
        k / 24 ? (void)case_input(&c, DT_F32, DIMS(n, width)) : case_absent_input(&c);
        case_output(&c, DT_F32, DIMS(n, width));
        case_output(&c, DT_F32, DIMS(width));
        c.add[RMSNORM_GRAD_DWEIGHT] = k % 2;
        case_compare(&c, 2e-5);
        case_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedding),      cmocka_unit_test(test_embedding_grad),
        cmocka_unit_test(test_add_scale_fill), cmocka_unit_test(test_add_nothing),
        cmocka_unit_test(test_activation),     cmocka_unit_test(test_activation_far),
        cmocka_unit_test(test_dropout),        cmocka_unit_test(test_dropout_definition),
        cmocka_unit_test(test_layernorm),      cmocka_unit_test(test_layernorm_grad),
        cmocka_unit_test(test_rmsnorm),        cmocka_unit_test(test_rmsnorm_grad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
