/* Boxes that cover a tensor once, and such that do not: against counting element by element. */
#include "ckpt/cover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

enum { MOST = 64, ELEMENTS = 512 };

struct tiling {
    int ndim;
    int64_t shape[3];
    int64_t start[MOST][3], size[MOST][3];
    size_t count;
    uint64_t seed, drawn;
};

static int64_t draw(struct tiling *t, int64_t below)
{
    return (int64_t)(rng_uniform((struct rng_key){ .seed = t->seed }, 0, t->drawn++) * (double)below);
}

/* Cuts the box into two, and these again, a few times. */
static void cut(struct tiling *t, const int64_t *start, const int64_t *size, int depth)
{
    int d = (int)draw(t, t->ndim);
    int64_t at = size[d] > 1 ? 1 + draw(t, size[d] - 1) : 0, a[3], b[3];

    if (depth == 0 || at == 0) {
        memcpy(t->start[t->count], start, sizeof(a));
        memcpy(t->size[t->count++], size, sizeof(a));
        return;
    }
    memcpy(a, size, sizeof(a));
    a[d] = at;
    cut(t, start, a, depth - 1);
    memcpy(b, start, sizeof(b));
    memcpy(a, size, sizeof(a));
    b[d] += at;
    a[d] -= at;
    cut(t, b, a, depth - 1);
}

/* One of the boxes goes, comes twice, or is moved or changed. */
static void spoil(struct tiling *t)
{
    size_t i = (size_t)draw(t, (int64_t)t->count);
    int d = (int)draw(t, t->ndim);

    switch (draw(t, 4)) {
    case 0:
        t->count--;
        memcpy(t->start[i], t->start[t->count], sizeof(t->start[i]));
        memcpy(t->size[i], t->size[t->count], sizeof(t->size[i]));
        break;
    case 1:
        memcpy(t->start[t->count], t->start[i], sizeof(t->start[i]));
        memcpy(t->size[t->count++], t->size[i], sizeof(t->size[i]));
        break;
    case 2: t->start[i][d] = draw(t, t->shape[d] - t->size[i][d] + 1); break;
    default: t->size[i][d] = draw(t, t->shape[d] - t->start[i][d] + 1);
    }
}

static void count_times(const struct tiling *t, int times[])
{
    memset(times, 0, ELEMENTS * sizeof(times[0]));
    for (size_t i = 0; i < t->count; i++)
        for (int64_t x = 0; x < t->size[i][0]; x++)
            for (int64_t y = 0; y < t->size[i][1]; y++)
                for (int64_t z = 0; z < t->size[i][2]; z++)
                    times[((t->start[i][0] + x) * t->shape[1] + t->start[i][1] + y) * t->shape[2] +
                          t->start[i][2] + z]++;
}

static void compare(const struct tiling *t)
{
    struct cover_box boxes[MOST] = { 0 };
    struct cover_fault f;
    int times[ELEMENTS];
    int64_t elements = t->shape[0] * t->shape[1] * t->shape[2];
    bool exact = true;

    count_times(t, times);
    for (int64_t i = 0; i < elements; i++)
        exact = exact && times[i] == 1;
    for (size_t i = 0; i < t->count; i++)
        boxes[i] = (struct cover_box){ t->start[i], t->size[i] };
    assert_int_equal(cover_exact(t->ndim, t->shape, boxes, t->count, &f), exact);
    if (exact)
        return;
    assert_true(f.times != 1);
    assert_int_equal(times[(f.at[0] * t->shape[1] + f.at[1]) * t->shape[2] + f.at[2]], f.times);
}

static void agrees_with_counting(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct tiling t = { .ndim = 1 + (int)(seed % 3), .shape = { 1, 1, 1 }, .seed = seed };
        static const int64_t zero[3];
        for (int d = 0; d < t.ndim; d++)
            t.shape[d] = 1 + draw(&t, 8);
        for (int d = t.ndim; d < 3; d++)
            t.size[0][d] = 1;
        cut(&t, zero, t.shape, (int)draw(&t, 5));
        compare(&t);
        for (int64_t i = draw(&t, 4); i > 0 && t.count > 0; i--)
            spoil(&t);
        compare(&t);
    }
}

static void knows_the_ends(void **state)
{
    static const int64_t empty[] = { 4, 0 }, five[] = { 2, 2, 2, 2, 2 }, one[] = { 1, 1, 1, 1, 1 }, zero[5];
    const struct cover_box whole = { zero, NULL };
    struct cover_box corner = { zero, one };
    struct cover_fault f;

    (void)state;
    assert_true(cover_exact(2, empty, NULL, 0, &f));
    assert_true(cover_exact(0, NULL, &whole, 1, &f));
    assert_false(cover_exact(0, NULL, NULL, 0, &f));
    assert_int_equal(f.times, 0);
    assert_false(cover_exact(5, five, &corner, 1, &f));
    assert_int_equal(f.times, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_counting),
        cmocka_unit_test(knows_the_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
