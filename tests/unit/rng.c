/* Philox against the vectors of its authors; the mapping of keys and places against values worked out by
 * another program; distributions by chi-square. All inputs are fixed, so a result is the same on every run.
 */
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"
#include "lib/child.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct rng_key key = { .seed = 42, .stream = 7 };

/* kat_vectors of the Random123 library: philox4x32 10. */
static void philox_gives_the_published_vectors(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } rows[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const uint32_t *c = rows[i].counter, *k = rows[i].key;
        uint32_t out[4];
        rng_philox((uint64_t)k[1] << 32 | k[0], (uint64_t)c[3] << 32 | c[2], (uint64_t)c[1] << 32 | c[0],
                   out);
        assert_memory_equal(out, rows[i].out, sizeof(out));
    }
}

static void keys_and_places_stay_what_they_are(void **state)
{
    static const struct {
        struct rng_key key;
        uint64_t hi, lo;
        uint32_t out[4];
    } rows[] = {
        { { 0, 0 }, 0, 0, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 42, 7 }, 1, 2, { 0xf5cae1eb, 0x33787139, 0x9a0f48bb, 0x59128d92 } },
        { { 0xfedcba9876543210, 0xffffffff },
          0x0123456789abcdef,
          0x8000000000000001,
          { 0x87018bf7, 0x9b24e954, 0x3f3289cd, 0xd2edd159 } },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t out[4];
        rng_bits(rows[i].key, rows[i].hi, rows[i].lo, out);
        assert_memory_equal(out, rows[i].out, sizeof(out));
    }
    assert_int_equal(rng_stream(""), 0xab3e7c0b);
    assert_int_equal(rng_stream("init"), 0x8c86adf9);
    assert_int_equal(rng_stream("layers.0.dropout"), 0x746e20e6);
    assert_true(rng_uniform(key, 1, 2) == 0x1.9bc389cfae570p-3);
    assert_int_equal(rng_below(key, 1, 2, 1000), 201);
    assert_true(fabs(rng_normal(key, 1, 2) - -1.0339813395002877) < 1e-12);
    assert_true(rng_below(key, 5, 0, UINT64_C(3) << 62) ==
                UINT64_C(170004782598924801)); /* both words are refused there */
    static const uint64_t few[10] = { 5, 0, 7, 9, 4, 6, 8, 2, 1, 3 };
    static const uint64_t many[10] = { 19, 1, 6, 4, 34, 9, 86, 20, 74, 72 };
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(rng_permute(key, 10, i), few[i]);
        assert_int_equal(rng_permute(key, 100, i), many[i]);
    }
    assert_int_equal(rng_permute(key, 1000000000000, 123456789), 488010984537);
}

/* Seeds, streams and places that differ in one bit give words that have nothing in common. */
static void every_bit_of_the_input_counts(void **state)
{
    struct map seen;
    map_init(&seen);
    for (int bit = -1; bit < 224; bit++) {
        struct rng_key k = { 0 };
        uint64_t hi = 0, lo = 0;
        uint32_t out[4];
        if (bit >= 160)
            k.seed = UINT64_C(1) << (bit - 160);
        else if (bit >= 128)
            k.stream = UINT32_C(1) << (bit - 128);
        else if (bit >= 64)
            hi = UINT64_C(1) << (bit - 64);
        else if (bit >= 0)
            lo = UINT64_C(1) << bit;
        rng_bits(k, hi, lo, out);
        for (int i = 0; i < 4; i += 2)
            assert_true(map_add(&seen, (const char *)&out[i], 8, bit));
    }
    map_release(&seen);
}

/* Sum of (found - expected)^2 / expected over equally likely bins, in standard deviations from its mean. */
static double deviations(const int64_t *found, int bins, double total)
{
    double expected = total / bins, sum = 0;
    for (int i = 0; i < bins; i++)
        sum += ((double)found[i] - expected) * ((double)found[i] - expected) / expected;
    return (sum - (bins - 1)) / sqrt(2.0 * (bins - 1));
}

static void uniform_numbers_are_uniform(void **state)
{
    enum { DRAWS = 200000, BINS = 128 };
    int64_t top[BINS] = { 0 }, fine[BINS] = { 0 };
    for (uint64_t i = 0; i < DRAWS; i++) {
        double u = rng_uniform(key, i >> 10, i & 1023);
        assert_true(u >= 0 && u < 1);
        top[(int)(u * BINS)]++;
        fine[(int)(fmod(u * 0x1p46, 1) * BINS)]++; /* the last 7 of 53 bits */
    }
    assert_true(fabs(deviations(top, BINS, DRAWS)) < 4);
    assert_true(fabs(deviations(fine, BINS, DRAWS)) < 4);
}

static void bounded_numbers_are_uniform(void **state)
{
    static const int bounds[] = { 2, 3, 7, 10, 100 };
    enum { DRAWS = 100000 };
    for (size_t b = 0; b < COUNT(bounds); b++) {
        int64_t found[100] = { 0 };
        for (uint64_t i = 0; i < DRAWS; i++) {
            uint64_t v = rng_below(key, b, i, (uint64_t)bounds[b]);
            assert_true(v < (uint64_t)bounds[b]);
            found[v]++;
        }
        assert_true(fabs(deviations(found, bounds[b], DRAWS)) < 4);
    }
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(rng_below(key, 0, i, 1), 0);
}

/* With 3 * 2^62 a quarter of all words is refused; without that the lowest third would come up half the time.
 */
static void large_bounds_have_no_bias(void **state)
{
    enum { DRAWS = 60000 };
    const uint64_t n = UINT64_C(3) << 62;
    int64_t thirds[3] = { 0 };
    int64_t last_digit[3] = { 0 };
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t v = rng_below(key, i, 0, n);
        assert_true(v < n);
        thirds[v >> 62]++;
        last_digit[v % 3]++;
    }
    assert_true(fabs(deviations(thirds, 3, DRAWS)) < 4);
    assert_true(fabs(deviations(last_digit, 3, DRAWS)) < 4);
    assert_true(rng_below(key, 0, 0, UINT64_MAX) < UINT64_MAX);
}

static double normal_below(double x)
{
    return 0.5 * erfc(-x / sqrt(2));
}

static void normal_numbers_are_normal(void **state)
{
    enum { DRAWS = 200000, BINS = 64 };
    int64_t found[BINS] = { 0 };
    double sum = 0, squares = 0, neighbours = 0, before = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double v = rng_normal(key, 3, i);
        assert_true(isfinite(v) && fabs(v) < 9);
        found[(int)fmin(normal_below(v) * BINS, BINS - 1)]++;
        sum += v;
        squares += v * v;
        neighbours += v * before;
        before = v;
    }
    double error = 1 / sqrt(DRAWS);
    assert_true(fabs(sum / DRAWS) < 4 * error);
    assert_true(fabs(squares / DRAWS - 1) < 4 * sqrt(2) * error);
    assert_true(fabs(neighbours / DRAWS) < 4 * error);
    assert_true(fabs(deviations(found, BINS, DRAWS)) < 4);
}

static void permutations_are_bijections(void **state)
{
    enum { LAST = 2000 };
    static bool seen[LAST];
    for (uint64_t n = 1; n <= LAST; n++) {
        struct rng_key k = { .seed = n % 7, .stream = (uint32_t)n };
        memset(seen, 0, sizeof(seen));
        for (uint64_t i = 0; i < n; i++) {
            uint64_t p = rng_permute(k, n, i);
            assert_true(p < n && !seen[p]);
            seen[p] = true;
        }
    }
}

static void large_permutations_do_not_repeat(void **state)
{
    static const uint64_t sizes[] = { 65536,
                                      65537,
                                      UINT64_C(1) << 32,
                                      (UINT64_C(1) << 32) + 1,
                                      UINT64_C(1) << 62,
                                      (UINT64_C(1) << 62) + 1,
                                      UINT64_MAX };
    for (size_t s = 0; s < COUNT(sizes); s++) {
        enum { DRAWS = 20000, BINS = 16 };
        struct map seen;
        int64_t found[BINS] = { 0 };
        map_init(&seen);
        for (uint64_t i = 0; i < DRAWS; i++) {
            uint64_t p = rng_permute(key, sizes[s], i % 2 ? sizes[s] - 1 - i : i);
            assert_true(p < sizes[s]);
            assert_true(map_add(&seen, (const char *)&p, sizeof(p), 0));
            found[(int)fmin((double)p / (double)sizes[s] * BINS, BINS - 1)]++;
        }
        assert_true(fabs(deviations(found, BINS, DRAWS)) < 4);
        map_release(&seen);
    }
}

/* All orders of n things, numbered by their factorial digits. */
static int order_of(struct rng_key k, int n)
{
    uint64_t p[8];
    int order = 0;
    for (int i = 0; i < n; i++)
        p[i] = rng_permute(k, (uint64_t)n, (uint64_t)i);
    for (int i = 0; i < n; i++) {
        int smaller = 0;
        for (int j = i + 1; j < n; j++)
            smaller += p[j] < p[i];
        order = order * (n - i) + smaller;
    }
    return order;
}

static void small_permutations_are_all_as_likely(void **state)
{
    int orders = 1;
    for (int n = 2; n <= 6; n++) {
        int64_t found[720] = { 0 };
        int draws = (orders *= n) * 200;
        for (int i = 0; i < draws; i++)
            found[order_of((struct rng_key){ .seed = (uint64_t)i, .stream = 5 }, n)]++;
        assert_true(fabs(deviations(found, orders, draws)) < 4);
    }
}

/* Where a thing lands, and where two neighbours land, for a size whose domain (256) is walked through. */
static void places_of_permutations_are_uniform(void **state)
{
    enum { N = 70, DRAWS = 50000 };
    static int64_t one[N * N], two[N * N];
    for (int i = 0; i < DRAWS; i++) {
        struct rng_key k = { .seed = (uint64_t)i * 1000, .stream = 1 };
        int place[N];
        for (int j = 0; j < N; j++) {
            place[j] = (int)rng_permute(k, N, (uint64_t)j);
            one[j * N + place[j]]++;
        }
        two[place[3] * N + place[4]]++;
    }
    for (int j = 0; j < N; j++) {
        assert_true(fabs(deviations(one + j * N, N, DRAWS)) < 4.5);
        assert_int_equal(two[j * N + j], 0);
        two[j * N + j] = DRAWS / (N * (N - 1)); /* cannot happen; counted as expected */
    }
    assert_true(fabs(deviations(two, N * N, (double)DRAWS * N / (N - 1))) < 4.5);
}

/* A second epoch (another place of the stream) and another size are other orders. */
static void permutations_of_other_keys_differ(void **state)
{
    enum { N = 1000 };
    int same_seed = 0, same_stream = 0, same_size = 0, fixed = 0;
    for (uint64_t i = 0; i < N; i++) {
        uint64_t p = rng_permute(key, N, i);
        fixed += p == i;
        same_seed += p == rng_permute((struct rng_key){ 43, 7 }, N, i);
        same_stream += p == rng_permute((struct rng_key){ 42, 8 }, N, i);
        same_size += p == rng_permute(key, N + 1, i);
    }
    assert_true(fixed < 8 && same_seed < 8 && same_stream < 8 && same_size < 8);
}

static int below_nothing(void)
{
    return (int)rng_below(key, 0, 0, 0);
}

static int permute_beyond(void)
{
    return (int)rng_permute(key, 5, 5);
}

static void impossible_calls_are_bugs(void **state)
{
    static struct child c;
    child_run(&c, below_nothing);
    assert_int_equal(c.signal, SIGABRT);
    child_run(&c, permute_beyond);
    assert_int_equal(c.signal, SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_vectors),
        cmocka_unit_test(keys_and_places_stay_what_they_are),
        cmocka_unit_test(every_bit_of_the_input_counts),
        cmocka_unit_test(uniform_numbers_are_uniform),
        cmocka_unit_test(bounded_numbers_are_uniform),
        cmocka_unit_test(large_bounds_have_no_bias),
        cmocka_unit_test(normal_numbers_are_normal),
        cmocka_unit_test(permutations_are_bijections),
        cmocka_unit_test(large_permutations_do_not_repeat),
        cmocka_unit_test(small_permutations_are_all_as_likely),
        cmocka_unit_test(places_of_permutations_are_uniform),
        cmocka_unit_test(permutations_of_other_keys_differ),
        cmocka_unit_test(impossible_calls_are_bugs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
