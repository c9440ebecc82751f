/* cache_append and attention_cached: histories of different lengths, shared prefixes, windows, groups, shares
 * of heads. */
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
    int64_t rows, slots, length, heads, kv_heads, width;
    int window;
    bool share; /* heads of a share, some of them padding */
};

static const struct shape shapes[] = {
    { 1, 1, 5, 1, 1, 1 },
    { 1, 2, 900, 3, 3, 64 },
    { 5, 5, 300, 4, 2, 37 },
    { 5, 7, 513, 6, 1, 16, .window = 100 },
    { 3, 3, 600, 2, 2, 80, .window = 1 },
    { 40, 40, 300, 2, 2, 16 }, /* many rows: one span */
    { 4, 4, 257, 4, 2, 16, .share = true },
};

static void cached_case(struct kernel_case *c, const struct shape *s)
{
    case_init(c, OP_attention_cached);
    c->node.attr[ATTENTION_CACHED_SCALE] = 0.3;
    c->node.attr[ATTENTION_CACHED_WINDOW] = s->window;
    c->node.attr[ATTENTION_CACHED_Q_PART] = 1;
    struct view *q = case_input(c, DT_F32, DIMS(s->rows, 2, s->heads, s->width));
    for (int i = 0; i < 2; i++)
        case_input(c, DT_F32, DIMS(s->slots, s->length, s->kv_heads, s->width));
    int32_t *slot = case_input(c, DT_I32, DIMS(s->rows))->data;
    int32_t *positions = case_input(c, DT_I32, DIMS(s->rows))->data;
    int32_t *source = case_input(c, DT_I32, DIMS(s->slots, s->length))->data;
    for (int64_t n = 0; n < s->rows; n++) {
        slot[n] = (int32_t)(s->rows - 1 - n);
        positions[n] = (int32_t)(n == 0 ? s->length - 1 : n * 97 % s->length);
    }
    for (int64_t i = 0; i < s->slots * s->length; i++)
        source[i] = (int32_t)(i * 31 % s->slots);
    case_output(c, DT_F32, DIMS(s->rows, s->heads, s->width));
    if (s->share) {
        q->first[2] = 4;
        q->whole[2] = 6; /* heads 4, 5 and two of padding, under key heads 2 and one of padding */
        for (int i = 1; i <= 2; i++) {
            c->view_in[i].first[2] = 2;
            c->view_in[i].whole[2] = 3;
        }
    }
}

static void test_attention_cached(void **state)
{
    for (size_t k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++) {
        struct kernel_case c;
        cached_case(&c, &shapes[k]);
        case_compare(&c, 2e-6);
        case_release(&c);
    }
}

/* A row that has no history gives zeros. */
static void test_no_history(void **state)
{
    struct kernel_case c;
    cached_case(&c, &shapes[2]);
    ((int32_t *)c.view_in[ATTENTION_CACHED_POSITIONS].data)[1] = -1;
    case_compare(&c, 2e-6);
    case_release(&c);
}

static void test_cache_append(void **state)
{
    struct kernel_case c;
    case_init(&c, OP_cache_append);
    c.node.attr[CACHE_APPEND_K_PART] = 1;
    c.node.attr[CACHE_APPEND_V_PART] = 2;
    struct view *k = case_input(&c, DT_F32, DIMS(4, 3, 2, 5));
    case_same_input(&c, 0);
    case_absent_input(&c);
    case_absent_input(&c);
    int32_t *slot = case_input(&c, DT_I32, DIMS(4))->data, *positions = case_input(&c, DT_I32, DIMS(4))->data;
    memcpy(slot, (int32_t[]){ 2, 0, 2, 1 }, 16);
    memcpy(positions, (int32_t[]){ 6, 0, 3, -1 }, 16); /* the last one is not kept */
    struct view *new_k = case_output(&c, DT_F32, DIMS(3, 7, 2, 5));
    case_output(&c, DT_F32, DIMS(3, 7, 2, 5));
    case_compare(&c, 0);
    case_run(&c, case_reference(&c), 1);
    const float *row = (float *)k->data + 10; /* part 1 of row 0 */
    assert_memory_equal((float *)new_k->data + (2 * 7 + 6) * 10, row, 40);
    case_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_cached),
        cmocka_unit_test(test_no_history),
        cmocka_unit_test(test_cache_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
