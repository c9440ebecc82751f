/* attention and its gradient: every rule of the contract on small odd shapes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cpu/view.h"
#include "lib/kernel_case.h"
#include "ops/ops.h"

struct shape {
    const char *name;
    int64_t lengths[4]; /* of sequences; 0 ends */
    int64_t heads, kv_heads, width;
    bool fused; /* q, k and v are parts of one tensor */
    bool causal;
    int window;
    double dropout;
    int holes;     /* masks: 0 none, 1 some keys, 2 the first keys (left padding), 3 all keys of the second
                      sequence */
    bool shuffled; /* positions in no order */
    bool cross;    /* keys are other rows: lengths + 3 */
};

static const struct shape shapes[] = {
    { "one row", { 1 }, 1, 1, 1, .causal = true },
    { "causal", { 5, 1, 70 }, 3, 3, 16, .fused = true, .causal = true },
    { "wide", { 130 }, 2, 2, 64, .fused = true, .causal = true },
    { "odd width", { 67, 12 }, 2, 2, 37, .fused = true, .causal = true },
    { "very wide", { 20 }, 1, 1, 150, .causal = true },
    { "both ways", { 33, 129 }, 2, 2, 20 },
    { "dropout", { 66, 7 }, 2, 2, 24, .fused = true, .causal = true, .dropout = 0.2 },
    { "window", { 200 }, 1, 1, 16, .causal = true, .window = 30 },
    { "narrow window", { 150, 9 }, 1, 1, 16, .causal = true, .window = 1, .dropout = 0.5 },
    { "two-sided window", { 150 }, 1, 1, 8, .window = 17 },
    { "groups", { 70, 3 }, 6, 2, 16, .causal = true, .dropout = 0.1 },
    { "one key head", { 70 }, 5, 1, 8, .causal = true },
    { "holes", { 150, 20 }, 2, 2, 16, .fused = true, .causal = true, .holes = 1 },
    { "left padding", { 150, 20 }, 2, 2, 16, .fused = true, .causal = true, .holes = 2, .dropout = 0.3 },
    { "nothing allowed", { 10, 80, 4 }, 2, 2, 16, .holes = 3, .dropout = 0.3 },
    { "any order", { 140, 30 }, 2, 2, 16, .causal = true, .shuffled = true },
    { "any order, window", { 140 }, 1, 1, 16, .causal = true, .shuffled = true, .window = 40, .holes = 1 },
    { "cross", { 65, 2 }, 2, 2, 16, .cross = true, .holes = 1 },
    { "cross, groups", { 65, 2 }, 4, 2, 16, .cross = true, .dropout = 0.1 },
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static int64_t total_rows(const struct shape *s, int64_t more)
{
    int64_t rows = 0;
    for (int i = 0; i < 4 && s->lengths[i]; i++)
        rows += s->lengths[i] + more;
    return rows;
}

static int sequences(const struct shape *s)
{
    int n = 0;
    while (n < 4 && s->lengths[n])
        n++;
    return n;
}

static void set_offsets(const struct shape *s, struct view *offsets, int64_t more)
{
    int32_t *at = offsets->data;
    for (int i = 0; i < sequences(s); i++)
        at[i + 1] = at[i] + (int32_t)(s->lengths[i] + more);
}

static bool hole(const struct shape *s, int sequence, int64_t row)
{
    return (s->holes == 1 && row * 7 % 5 == 1) || (s->holes == 2 && row < 11) ||
           (s->holes == 3 && sequence == 1);
}

static void set_positions(const struct shape *s, struct view *positions, int64_t more, bool keys)
{
    int32_t *at = positions->data;
    for (int q = 0; q < sequences(s); q++) {
        int64_t n = s->lengths[q] + more;
        for (int64_t i = 0; i < n; i++)
            *at++ = keys && hole(s, q, i) ? -1 : (int32_t)(s->shuffled ? i * 37 % n : i);
    }
}

static void add_projections(struct kernel_case *c, const struct shape *s, int64_t n, int64_t m)
{
    if (s->fused) {
        case_input(c, DT_F32, DIMS(n, 3, s->heads, s->width));
        case_same_input(c, 0);
        case_same_input(c, 0);
        c->node.attr[ATTENTION_K_PART] = 1;
        c->node.attr[ATTENTION_V_PART] = 2;
    } else {
        case_input(c, DT_F32, DIMS(n, 1, s->heads, s->width));
        case_input(c, DT_F32, DIMS(m, 1, s->kv_heads, s->width));
        case_input(c, DT_F32, DIMS(m, 1, s->kv_heads, s->width));
    }
}

static void forward_case(struct kernel_case *c, const struct shape *s, enum op_id op)
{
    int64_t more = s->cross ? 3 : 0, n = total_rows(s, 0), m = total_rows(s, more);

    case_init(c, op);
    c->counts.of[COUNT_SEQUENCES] = sequences(s);
    c->node.attr[ATTENTION_CAUSAL] = s->causal;
    c->node.attr[ATTENTION_SCALE] = 0.7 / sqrt((double)s->width);
    c->node.attr[ATTENTION_WINDOW] = s->window;
    c->node.attr[ATTENTION_DROPOUT] = s->dropout;
    add_projections(c, s, n, m);
    set_offsets(s, case_input(c, DT_I32, DIMS(7)), 0);
    set_offsets(s, case_input(c, DT_I32, DIMS(7)), more);
    set_positions(s, case_input(c, DT_I32, DIMS(n)), 0, false);
    set_positions(s, case_input(c, DT_I32, DIMS(m)), more, true);
    int64_t *place = case_input(c, DT_I64, DIMS(n))->data;
    for (int64_t i = 0; i < n; i++)
        place[i] = i * 12345678901 + 5;
    case_absent_input(c); /* the table */
}

static void test_forward(void **state)
{
    for (int k = 0; k < SHAPES; k++) {
        const struct shape *s = &shapes[k];
        struct kernel_case c;
        forward_case(&c, s, OP_attention);
        case_output(&c, DT_F32, DIMS(total_rows(s, 0), s->heads, s->width));
        case_output(&c, DT_F32, DIMS(total_rows(s, 0), s->heads));
        case_compare(&c, 2e-6);
        case_release(&c);
    }
}

/* out and lse are those of a forward pass, as the gradient expects them. */
static void backward_case(struct kernel_case *c, const struct shape *s, bool separate)
{
    int64_t n = total_rows(s, 0);
    struct kernel_case f;

    forward_case(&f, s, OP_attention);
    struct view *out = case_output(&f, DT_F32, DIMS(n, s->heads, s->width));
    struct view *lse = case_output(&f, DT_F32, DIMS(n, s->heads));
    case_run(&f, case_reference(&f), 1);
    forward_case(c, s, OP_attention_grad);
    memcpy(case_input(c, DT_F32, DIMS(n, s->heads, s->width))->data, out->data, (size_t)view_count(out) * 4);
    memcpy(case_input(c, DT_F32, DIMS(n, s->heads))->data, lse->data, (size_t)view_count(lse) * 4);
    case_input(c, DT_F32, DIMS(n, s->heads, s->width));
    case_release(&f);
    for (int i = 0; i < 3; i++) {
        const int64_t *d = c->view_in[i].dim;
        if (i == 0 || !s->fused || separate)
            case_output(c, DT_F32, DIMS(d[0], d[1], d[2], d[3]));
        else
            case_absent_output(c);
    }
}

static void test_backward(void **state)
{
    for (int k = 0; k < SHAPES; k++) {
        struct kernel_case c;
        backward_case(&c, &shapes[k], false);
        case_compare(&c, 1e-5);
        case_release(&c);
    }
}

/* A fused tensor whose gradients go to outputs of their own: the parts in between are zero. */
static void test_backward_separate(void **state)
{
    struct kernel_case c;
    backward_case(&c, &shapes[1], true);
    case_compare(&c, 1e-5);
    case_run(&c, case_reference(&c), 1);
    const struct view *dk = &c.view_out[ATTENTION_GRAD_DK];
    int64_t part = dk->dim[2] * dk->dim[3];
    for (int64_t i = 0; i < view_count(dk); i++)
        if (i / part % 3 != 1)
            assert_true(((float *)dk->data)[i] == 0);
    case_release(&c);
}

/* A share of the heads drops what the whole would, and heads that are padding make zeros. */
static void test_share(void **state)
{
    for (int backward = 0; backward < 2; backward++) {
        struct shape s = shapes[10];
        struct kernel_case c;
        s.heads = 4, s.kv_heads = 2; /* heads 4 .. 7, key heads 2, 3 of 6 and 3: two of each are padding */
        if (backward)
            backward_case(&c, &s, false);
        else
            forward_case(&c, &s, OP_attention);
        if (!backward) {
            case_output(&c, DT_F32, DIMS(total_rows(&s, 0), s.heads, s.width));
            case_output(&c, DT_F32, DIMS(total_rows(&s, 0), s.heads));
        }
        for (int i = 0; i < 3; i++) {
            c.view_in[i].first[2] = i ? 2 : 4;
            c.view_in[i].whole[2] = i ? 3 : 6;
        }
        case_compare(&c, 1e-5);
        case_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_backward_separate),
        cmocka_unit_test(test_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
