/* simd_cases -- the tests of src/cpu/simd.h and activate.h, for the instruction set that the including file
 * is compiled for. */
#ifndef TESTS_LIB_SIMD_CASES_H
#define TESTS_LIB_SIMD_CASES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cpu/activate.h"
#include "cpu/philox.h"
#include "cpu/simd.h"

/* Error of `got` in units of the last place of a float near `want`. */
static double ulps(float got, double want)
{
    if (isnan(want) || isinf((float)want))
        return isnan(want) == isnan(got) && (isnan(want) || got == (float)want) ? 0 : 1e9;
    int e = want == 0 ? -126 : ilogb(want);
    return fabs(got - want) / ldexp(1, (e < -126 ? -126 : e) - 23);
}

/* Every 997th float of all that there are, NaNs and infinities among them. */
static double worst_ulps(vec (*f)(vec), double (*exact)(double))
{
    double worst = 0;
    float x[LANES], y[LANES];

    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += LANES * 997) {
        for (int i = 0; i < LANES; i++) {
            uint32_t b = (uint32_t)(bits + (uint64_t)i * 997);
            memcpy(&x[i], &b, sizeof(b));
        }
        vec_store(y, f(vec_load(x)));
        for (int i = 0; i < LANES; i++)
            worst = fmax(worst, ulps(y[i], exact(x[i])));
    }
    return worst;
}

static void test_functions(void **state)
{
    assert_true(worst_ulps(vec_exp, exp) < 1.1);
    assert_true(worst_ulps(vec_exp2, exp2) < 1.5);
    assert_true(worst_ulps(vec_log, log) < 1.1);
    assert_true(worst_ulps(vec_tanh, tanh) < 1.5);
    assert_true(worst_ulps(vec_erf, erf) < 1.5);
    assert_true(worst_ulps(vec_abs, fabs) == 0);
    assert_true(worst_ulps(vec_sqrt, sqrt) <= 0.5);
}

static void test_special_values(void **state)
{
    assert_true(vec_exp(vec_set(INFINITY))[0] == INFINITY && vec_exp(vec_set(-INFINITY))[0] == 0);
    assert_true(vec_log(vec_zero())[0] == -INFINITY && isnan(vec_log(vec_set(-1))[0]));
    assert_true(isnan(vec_exp(vec_set(NAN))[0]) && isnan(vec_log(vec_set(NAN))[0]));
    assert_true(isnan(vec_tanh(vec_set(NAN))[0]) && isnan(vec_erf(vec_set(NAN))[0]));
    assert_true(vec_max(vec_set(1), vec_set(2))[LANES - 1] == 2 && vec_min(vec_set(1), vec_set(2))[0] == 1);
    assert_true(isnan(vec_max(vec_zero(), vec_set(NAN))[0]) && vec_max(vec_set(NAN), vec_zero())[0] == 0);
    assert_true(signbit(vec_tanh(vec_set(-0.0f))[0]));
}

static void test_parts(void **state)
{
    for (int n = 0; n <= LANES; n++) {
        float in[LANES], out[LANES + 1];
        for (int i = 0; i < LANES; i++)
            in[i] = (float)(i + 1);
        for (int i = 0; i <= LANES; i++)
            out[i] = -1;
        vec_store_part(out, vec_load(in), n);
        for (int i = 0; i <= LANES; i++)
            assert_true(out[i] == (i < n ? (float)(i + 1) : -1));
        vec part = vec_load_part(in, n), first = vec_first(vec_load(in), n);
        for (int i = 0; i < LANES; i++)
            assert_true(part[i] == (i < n ? in[i] : 0) && first[i] == part[i]);
    }
}

static void test_reductions(void **state)
{
    float in[LANES];
    double sum = 0;
    for (int i = 0; i < LANES; i++) {
        in[i] = (float)((i * 7 + 3) % LANES) - 2.5f;
        sum += in[i];
    }
    assert_true(vec_sum(vec_load(in)) == (float)sum);
    assert_true(vec_largest(vec_load(in)) == (float)(LANES - 1) - 2.5f);
    vecd d = vecd_load_floats(in) + vecd_load_floats(in + LANES / 2);
    assert_true(vecd_sum(d) == sum);
}

/* The vector generator is the scalar one, also where the low word of the place overflows. */
static void test_keep_row(void **state)
{
    static const uint64_t quads[] = { 0, 5, 0xfffffffdu, UINT64_C(7) << 30 };
    struct rng_key key = { .seed = 42, .stream = 7 };
    struct keep keep = keep_init(key, 0.4);
    for (int k = 0; k < 4; k++) {
        float factor[4 * LANES];
        uint64_t hi = UINT64_C(3) << 40 | 12345;
        keep_row(&keep, hi, quads[k], factor);
        for (int i = 0; i < 4 * LANES; i++) {
            uint32_t bits[4];
            rng_bits(key, hi, quads[k] + (uint64_t)(i / 4), bits);
            assert_true(factor[i] == (bits[i % 4] >= 0.4 * 4294967296.0 ? (float)(1 / 0.6) : 0));
        }
    }
}

static int run_simd_cases(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions), cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_parts),     cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_keep_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
