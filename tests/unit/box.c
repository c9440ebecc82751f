/* Boxes: intersection, and copying against a plain walk over all elements. */
#include "ckpt/box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

static void intersects(void **state)
{
    struct box a = { .ndim = 2, .start = { 0, 4 }, .size = { 3, 4 } };
    struct box b = { .ndim = 2, .start = { 2, 0 }, .size = { 5, 6 } }, c;
    assert_true(box_intersect(&a, &b, &c));
    assert_true(c.start[0] == 2 && c.size[0] == 1 && c.start[1] == 4 && c.size[1] == 2);
    b.start[1] = 8;
    assert_false(box_intersect(&a, &b, &c)); /* they touch */
    b = a;
    b.size[0] = 0;
    assert_false(box_intersect(&a, &b, &c));
    struct box scalar = { 0 };
    assert_true(box_intersect(&scalar, &scalar, &c));
    assert_int_equal(box_count(&scalar), 1);
}

static void contains(void **state)
{
    struct box outer, inner = { .ndim = 2, .start = { 1, 0 }, .size = { 2, 5 } };
    const int64_t shape[] = { 3, 5 };
    box_whole(&outer, 2, shape);
    assert_true(box_contains(&outer, &outer));
    assert_true(box_contains(&outer, &inner));
    inner.start[0] = 2;
    assert_false(box_contains(&outer, &inner));
    inner.start[0] = -1;
    assert_false(box_contains(&outer, &inner));
    inner = (struct box){ .ndim = 2, .start = { INT64_MAX, 0 }, .size = { INT64_MAX, 1 } };
    assert_false(box_contains(&outer, &inner));
    inner.ndim = 1;
    assert_false(box_contains(&outer, &inner));
}

static int64_t below(uint64_t place, uint64_t lane, uint64_t n)
{
    return (int64_t)rng_below((struct rng_key){ .seed = 7 }, place, lane, n);
}

/* A view of a random box in a 4-dim space, dims in random order in memory, with gaps. */
static void random_view(struct box_view *v, uint64_t place)
{
    int order[4] = { 0, 1, 2, 3 };
    int64_t stride = 1 + below(place, 100, 2);
    *v = (struct box_view){ .element = element_named("F32"), .box.ndim = 4 };
    for (int d = 0; d < 4; d++) {
        v->box.start[d] = below(place, (uint64_t)d, 3);
        v->box.size[d] = 1 + below(place, 10 + (uint64_t)d, 4);
        int64_t other = below(place, 20 + (uint64_t)d, 4);
        int swap = order[d];
        if (place % 3 != 0) { /* every third: row-major */
            order[d] = order[other];
            order[other] = swap;
        }
    }
    for (int i = 3; i >= 0; i--) {
        v->stride[order[i]] = stride;
        stride *= v->box.size[order[i]] + (place % 2 ? below(place, 30 + (uint64_t)i, 2) : 0);
    }
    v->data = mem_alloc_array((size_t)stride, sizeof(float));
}

static int64_t offset(const struct box_view *v, const int64_t *at)
{
    int64_t o = 0;
    for (int d = 0; d < 4; d++) {
        int64_t i = at[d] - v->box.start[d];
        if (i < 0 || i >= v->box.size[d])
            return -1;
        o += i * v->stride[d];
    }
    return o;
}

/* Calls nothing of box.c: for each place of the space, the value there. */
static void check_copy(const struct box_view *to, const struct box_view *from)
{
    for (int64_t i = 0; i < 7 * 7 * 7 * 7; i++) {
        int64_t at[4] = { i / 343, i / 49 % 7, i / 7 % 7, i % 7 };
        int64_t t = offset(to, at), f = offset(from, at);
        if (t >= 0)
            assert_true(((float *)to->data)[t] == (f >= 0 ? (float)(i + 1) : -1.0f));
    }
}

static void fill(const struct box_view *v, bool with_places)
{
    for (int64_t i = 0; i < 7 * 7 * 7 * 7; i++) {
        int64_t at[4] = { i / 343, i / 49 % 7, i / 7 % 7, i % 7 }, o = offset(v, at);
        if (o >= 0)
            ((float *)v->data)[o] = with_places ? (float)(i + 1) : -1.0f;
    }
}

static void copies_the_common_part(void **state)
{
    for (uint64_t i = 0; i < 400; i++) {
        struct box_view to, from;
        random_view(&to, 2 * i);
        random_view(&from, 2 * i + 1 + i / 200);
        fill(&to, false);
        fill(&from, true);
        box_copy(&to, &from);
        check_copy(&to, &from);
        mem_free(to.data);
        mem_free(from.data);
    }
}

static void converts_on_the_way(void **state)
{
    const uint16_t b[6] = { 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0 }; /* 1 to 6 */
    float out[6] = { 0 };
    struct box_view from = { .element = element_named("BF16"),
                             .data = (void *)b,
                             .box = { .ndim = 2, .size = { 2, 3 } } };
    struct box_view to = {
        .element = element_named("F32"), .data = out, .box = from.box, .stride = { 1, 2 }
    };
    box_view_contiguous(&from);
    box_copy(&to, &from);
    const float transposed[] = { 1, 4, 2, 5, 3, 6 };
    assert_memory_equal(out, transposed, sizeof(out));
    box_view_contiguous(&to);
    box_copy(&to, &from);
    const float straight[] = { 1, 2, 3, 4, 5, 6 };
    assert_memory_equal(out, straight, sizeof(out));
}

static void copies_scalars(void **state)
{
    float a = 5, b = 0;
    struct box_view from = { .element = element_named("F32"), .data = &a };
    struct box_view to = { .element = element_named("F32"), .data = &b };
    box_copy(&to, &from);
    assert_true(b == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intersects),
        cmocka_unit_test(contains),
        cmocka_unit_test(copies_the_common_part),
        cmocka_unit_test(converts_on_the_way),
        cmocka_unit_test(copies_scalars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
