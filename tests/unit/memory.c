/* Offsets of values that live together never overlap, and the arena is near the least it can be. */
#include "plan/memory.h"

#include <setjmp.h>
#include <stdarg.h>

#include "base/mem.h"
#include "base/rng.h"

#include <cmocka.h>

enum { MOST = 400 };

static int64_t aligned(int64_t bytes)
{
    return (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

static int64_t largest_live(const struct interval *v, int count)
{
    int64_t largest = 0;

    for (int i = 0; i < count; i++) { /* where one begins is where the most may live */
        int64_t live = 0;
        for (int j = 0; j < count; j++)
            if (v[j].first <= v[i].first && v[i].first <= v[j].last)
                live += aligned(v[j].bytes);
        largest = live > largest ? live : largest;
    }
    return largest;
}

static int64_t check(struct interval *v, int count, int64_t *live)
{
    int64_t size = memory_assign(v, (size_t)count, live);

    assert_true(*live == largest_live(v, count));
    assert_true(size >= *live);
    for (int i = 0; i < count; i++) {
        assert_int_equal(v[i].offset % MEMORY_ALIGNMENT, 0);
        assert_true(v[i].offset >= 0 && v[i].offset + v[i].bytes <= size);
        for (int j = 0; j < i; j++) {
            bool together = v[i].first <= v[j].last && v[j].first <= v[i].last;
            bool apart = v[i].offset + v[i].bytes <= v[j].offset || v[j].offset + v[j].bytes <= v[i].offset;
            if (together && !apart && v[i].bytes > 0 && v[j].bytes > 0)
                fail_msg("%d [%d, %d] and %d [%d, %d] overlap", i, v[i].first, v[i].last, j, v[j].first,
                         v[j].last);
        }
    }
    return size;
}

static void random_intervals(void **state)
{
    struct interval v[MOST];
    int64_t live;

    for (uint32_t run = 0; run < 200; run++) {
        struct rng_key key = { 7, run };
        int count = (int)rng_below(key, 0, 0, 60) + 1;
        for (int i = 0; i < count; i++) {
            v[i].bytes = (int64_t)rng_below(key, 1, (uint64_t)i, run % 2 ? 5000 : 100);
            v[i].first = (int)rng_below(key, 2, (uint64_t)i, 40);
            v[i].last = v[i].first + (int)rng_below(key, 3, (uint64_t)i, run % 3 ? 10 : 40);
        }
        check(v, count, &live);
    }
}

/* What a training step looks like: each layer keeps values until its backward part, and needs short-lived
 * ones both ways. */
static int step_like(struct interval *v, int layers, struct rng_key key)
{
    int count = 0, nodes = 4 * layers, end = 2 * nodes;

    for (int k = 0; k < nodes; k++) {
        int64_t unit = 64 * (1 + (int64_t)rng_below(key, 4, (uint64_t)k % 4, 64));
        v[count++] = (struct interval){ unit * 16, k, end - k - 1, 0 }; /* kept */
        v[count++] = (struct interval){ unit * (k % 4 == 2 ? 64 : 16), k, k + 1, 0 };
        v[count++] = (struct interval){ unit * 16, end - k - 1, end - k, 0 };
        if (k % 4 == 1)
            v[count++] = (struct interval){ unit * 4, end - k - 1, end - k - 1, 0 }; /* workspace */
    }
    return count;
}

static void near_the_floor(void **state)
{
    struct interval v[MOST];
    int64_t live;

    for (uint32_t run = 0; run < 20; run++) {
        int count = step_like(v, 2 + (int)run, (struct rng_key){ 8, run });
        int64_t size = check(v, count, &live);
        if ((double)size > 1.1 * (double)live)
            fail_msg("arena of %lld bytes, %lld are alive together", (long long)size, (long long)live);
    }
}

static void storage_is_used_again(void **state)
{
    struct interval v[] = { { 1000, 0, 1, 0 }, { 1000, 2, 3, 0 }, { 1000, 4, 5, 0 }, { 64, 0, 5, 0 } };
    int64_t live;

    assert_int_equal(check(v, 4, &live), 1024 + 64);
    assert_int_equal(live, 1024 + 64);
}

static void nothing(void **state)
{
    struct interval v[] = { { 0, 3, 3, 0 } };
    int64_t live = -1;

    assert_int_equal(memory_assign(v, 0, &live), 0);
    assert_int_equal(live, 0);
    assert_int_equal(memory_assign(v, 1, &live), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_intervals),
        cmocka_unit_test(near_the_floor),
        cmocka_unit_test(storage_is_used_again),
        cmocka_unit_test(nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
