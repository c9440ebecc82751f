/* The kernels that are matrix products: linear, its gradients, and the head in several chunks. (gemm.c has
 * the shapes and lies of the product itself.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/kernels.h"
#include "cpu/view.h"
#include "lib/kernel_case.h"
#include "ops/ops.h"

enum { ROWS = 37, IN = 45, OUT = 2 * 33 };

static void add_weight(struct kernel_case *c, int out_first)
{
    if (out_first)
        case_input(c, DT_F32, DIMS(2, 33, IN));
    else
        case_input(c, DT_F32, DIMS(IN, 2, 33));
    c->node.attr[LINEAR_IN_NDIM] = 1;
    c->node.attr[LINEAR_OUT_FIRST] = out_first;
}

static void test_linear(void **state)
{
    for (int what = 0; what < 16; what++) {
        int64_t rows = what & 8 ? ROWS : 2;
        struct kernel_case c;
        case_init(&c, OP_linear);
        case_input(&c, DT_F32, DIMS(rows, IN));
        add_weight(&c, what & 1);
        case_input(&c, DT_F32, DIMS(2, 33));
        if (what & 2)
            case_input(&c, DT_F32, DIMS(rows, 2, 33));
        case_output(&c, DT_F32, DIMS(rows, 2, 33));
        if (what & 4) {
            case_output(&c, DT_F32, DIMS(rows, 2, 33));
            c.node.attr[LINEAR_ACT] = ACT_GELU_TANH;
        }
        case_compare(&c, 4e-6);
        void *bias = c.view_in[LINEAR_BIAS].data;
        c.view_in[LINEAR_BIAS].data = NULL; /* kept on another rank */
        case_compare(&c, 4e-6);
        c.view_in[LINEAR_BIAS].data = bias;
        case_release(&c);
    }
}

static void test_linear_grad_input(void **state)
{
    for (int what = 0; what < 8; what++) {
        struct kernel_case c;
        case_init(&c, OP_linear_grad_input);
        case_input(&c, DT_F32, DIMS(ROWS, 2, 33));
        add_weight(&c, what & 1);
        if (what & 2) {
            case_input(&c, DT_F32, DIMS(ROWS, IN));
            c.node.attr[LINEAR_ACT] = ACT_GELU_ERF;
        }
        case_output(&c, DT_F32, DIMS(ROWS, IN));
        c.add[0] = (what & 6) == 4;
        case_compare(&c, 6e-6);
        case_release(&c);
    }
}

static void test_linear_grad_weight(void **state)
{
    for (int what = 0; what < 16; what++) {
        int64_t rows = what & 8 ? ROWS : 0;
        struct kernel_case c;
        case_init(&c, OP_linear_grad_weight);
        case_input(&c, DT_F32, DIMS(rows, IN));
        case_input(&c, DT_F32, DIMS(rows, 2, 33));
        case_absent_input(&c);
        case_absent_input(&c);
        if (what & 1)
            case_output(&c, DT_F32, DIMS(2, 33, IN));
        else
            case_output(&c, DT_F32, DIMS(IN, 2, 33));
        case_output(&c, DT_F32, DIMS(2, 33));
        c.node.attr[LINEAR_IN_NDIM] = 1;
        c.node.attr[LINEAR_OUT_FIRST] = what & 1;
        c.add[LINEAR_GRAD_WEIGHT_DW] = what & 2;
        c.add[LINEAR_GRAD_WEIGHT_DBIAS] = what & 4;
        case_compare(&c, 4e-6);
        case_release(&c);
    }
}

/* A head over TOKENS rows of which `labelled` have labels; its vocabulary is entries 20 .. 20 + VOCAB - 1 of
 * 50, the last few of them padding. */
enum { TOKENS = 700, WIDTH = 18, VOCAB = 35 };

static void add_head(struct kernel_case *c, enum op_id op, int64_t labelled, bool out_first)
{
    struct view *weight, *bias;
    int32_t *rows, *labels;

    case_init(c, op);
    case_input(c, DT_F32, DIMS(TOKENS, WIDTH));
    weight = case_input(c, DT_F32, out_first ? DIMS(VOCAB, WIDTH) : DIMS(WIDTH, VOCAB));
    bias = case_input(c, DT_F32, DIMS(VOCAB));
    rows = case_input(c, DT_I32, DIMS(labelled))->data;
    labels = case_input(c, DT_I32, DIMS(labelled))->data;
    for (int64_t r = 0; r < labelled; r++) {
        rows[r] = (int32_t)(TOKENS - 1 - r);
        labels[r] = (int32_t)(op == OP_head_loss ? 20 + r * 7 % 30 : r * 7 % 50);
    }
    weight->first[out_first ? 0 : 1] = bias->first[0] = 20;
    weight->whole[out_first ? 0 : 1] = bias->whole[0] = 50;
    c->node.attr[HEAD_OUT_FIRST] = out_first;
}

static void add_head_gradients(struct kernel_case *c, int first, bool out_first, bool add)
{
    case_output(c, DT_F32, DIMS(TOKENS, WIDTH));
    case_output(c, DT_F32, out_first ? DIMS(VOCAB, WIDTH) : DIMS(WIDTH, VOCAB));
    case_output(c, DT_F32, DIMS(VOCAB));
    for (int j = first; j < first + 3; j++)
        c->add[j] = add;
}

static const int64_t labelled_counts[] = { 0, 1, 40, 650 };

static void test_head_stats(void **state)
{
    for (int what = 0; what < 8; what++) {
        int64_t labelled = labelled_counts[what / 2];
        struct kernel_case c;
        add_head(&c, OP_head_stats, labelled, what & 1);
        for (int j = 0; j < 3; j++)
            case_output(&c, DT_F32, DIMS(labelled));
        case_compare(&c, 4e-6);
        case_release(&c);
    }
}

static void test_head_grad(void **state)
{
    for (int what = 0; what < 16; what++) {
        int64_t labelled = labelled_counts[what / 4];
        struct kernel_case c;
        struct view *lse;
        add_head(&c, OP_head_grad, labelled, what & 1);
        lse = case_input(&c, DT_F32, DIMS(labelled));
        for (int64_t r = 0; r < labelled; r++)
            ((float *)lse->data)[r] += 20;
        case_input(&c, DT_F32, DIMS(labelled));
        case_input(&c, DT_F32, DIMS(labelled));
        add_head_gradients(&c, HEAD_GRAD_DX, what & 1, what & 2);
        case_compare(&c, 2e-5);
        case_release(&c);
    }
}

/* head_grad with logits that head_stats has kept of the first rows (NULL: none); what it makes takes their
 * place. */
static void run_head_grad(struct kernel_case *c, int64_t labelled, bool out_first, const struct view *kept)
{
    const struct kernel *k = cpu_kernel_table(ISA_BASE)[OP_head_grad];

    add_head(c, OP_head_grad, labelled, out_first);
    for (int i = 0; i < 3; i++)
        case_input(c, DT_F32, DIMS(labelled));
    case_absent_input(c);
    add_head_gradients(c, HEAD_GRAD_DX, out_first, false);
    if (kept) {
        struct view *in = case_input(c, DT_F32, DIMS(kept->dim[0], VOCAB)),
                    *out = case_output(c, DT_F32, DIMS(kept->dim[0], VOCAB));
        memcpy(in->data, kept->data, (size_t)(kept->dim[0] * VOCAB) * sizeof(float));
        memcpy(out->data, kept->data, (size_t)(kept->dim[0] * VOCAB) * sizeof(float));
        c->node.attr[HEAD_KEPT] = (double)kept->dim[0];
    }
    case_run(c, k, 2);
}

static bool is_same_output(const struct kernel_case *a, const struct kernel_case *b, int j)
{
    size_t bytes = (size_t)view_count(&a->view_out[j]) * sizeof(float);

    return memcmp(a->view_out[j].data, b->view_out[j].data, bytes) == 0;
}

/* Of one chunk of two, and of both. */
static void test_kept_logits(void **state)
{
    static const int64_t counts[] = { 336, 704 };
    enum { LABELLED = 650 };

    for (int what = 0; what < 4; what++) {
        struct kernel_case stats, plain, with, without;
        struct view *kept;
        add_head(&stats, OP_head_stats, LABELLED, what & 1);
        stats.node.attr[HEAD_KEPT] = (double)counts[what / 2];
        case_output(&stats, DT_F32, DIMS(LABELLED));
        case_output(&stats, DT_F32, DIMS(LABELLED));
        case_absent_output(&stats);
        case_absent_output(&stats);
        kept = case_output(&stats, DT_F32, DIMS(counts[what / 2], VOCAB));
        case_run(&stats, cpu_kernel_table(ISA_BASE)[OP_head_stats], 2);
        run_head_grad(&plain, LABELLED, what & 1, NULL);
        run_head_grad(&with, LABELLED, what & 1, kept);
        memset(kept->data, 0, (size_t)(counts[what / 2] * VOCAB) * sizeof(float));
        run_head_grad(&without, LABELLED, what & 1, kept);
        for (int j = HEAD_GRAD_DX; j <= HEAD_GRAD_DBIAS; j++) {
            assert_true(is_same_output(&plain, &with, j));
            assert_false(is_same_output(&plain, &without, j)); /* they are what is read */
        }
        case_release(&stats);
        case_release(&plain);
        case_release(&with);
        case_release(&without);
    }
}

static void test_head_loss(void **state)
{
    for (int what = 0; what < 16; what++) {
        struct kernel_case c;
        add_head(&c, OP_head_loss, labelled_counts[what / 4], what & 1);
        case_output(&c, DT_F64, DIMS(1));
        c.add[HEAD_LOSS_LOSS] = what & 2;
        add_head_gradients(&c, HEAD_LOSS_DX, what & 1, what & 2);
        case_compare(&c, 2e-5);
        case_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear_grad_input),
        cmocka_unit_test(test_linear_grad_weight),
        cmocka_unit_test(test_head_stats),
        cmocka_unit_test(test_head_grad),
        cmocka_unit_test(test_kept_logits),
        cmocka_unit_test(test_head_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
