/* Conversions between element types: exhaustive where 16 bits allow it. */
#include "ckpt/element.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* The value of a binary16 number by its definition. */
static double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    double size = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31)
        size = mantissa ? (double)NAN : (double)INFINITY;
    return h & 0x8000 ? -size : size;
}

static void every_half_goes_there_and_back(void **state)
{
    for (uint32_t h = 0; h < 65536; h++) {
        float f = half_to_float((uint16_t)h);
        double expected = half_value((uint16_t)h);
        if (isnan(expected)) {
            assert_true(isnan(f));
            assert_true(isnan(half_to_float(float_to_half(f))));
        } else {
            assert_true((double)f == expected && !signbit(f) == !signbit(expected));
            assert_int_equal(float_to_half(f), h);
        }
    }
}

static void every_bfloat16_goes_there_and_back(void **state)
{
    for (uint32_t b = 0; b < 65536; b++) {
        float f = bfloat16_to_float((uint16_t)b);
        if (isnan(f))
            assert_true(isnan(bfloat16_to_float(float_to_bfloat16(f))));
        else
            assert_int_equal(float_to_bfloat16(f), b);
    }
}

/* Between two neighbours: below the middle goes down, above goes up, the middle to the even one. */
static void rounds_halves_to_nearest_even(void **state)
{
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float low = half_to_float((uint16_t)h), high = half_to_float((uint16_t)(h + 1));
        float middle = (low + high) / 2; /* exact in float32 */
        assert_int_equal(float_to_half(middle), h % 2 ? h + 1 : h);
        assert_int_equal(float_to_half(nextafterf(middle, low)), h);
        assert_int_equal(float_to_half(nextafterf(middle, high)), h + 1);
        assert_int_equal(float_to_half(-middle), 0x8000 | (h % 2 ? h + 1 : h));
    }
    assert_int_equal(float_to_half(65519.99f), 0x7bff);
    assert_int_equal(float_to_half(65520.0f), 0x7c00);
    assert_int_equal(float_to_half(INFINITY), 0x7c00);
    assert_int_equal(float_to_half(1e-45f), 0);
}

static void rounds_bfloat16_to_nearest_even(void **state)
{
    for (uint32_t b = 0; b < 0x7f7f; b++) {
        assert_int_equal(float_to_bfloat16(from_bits(b << 16 | 0x7fff)), b);
        assert_int_equal(float_to_bfloat16(from_bits(b << 16 | 0x8000)), b % 2 ? b + 1 : b);
        assert_int_equal(float_to_bfloat16(from_bits(b << 16 | 0x8001)), b + 1);
    }
    assert_int_equal(float_to_bfloat16(3.4e38f), 0x7f80); /* beyond the largest finite one */
    assert_true(isnan(bfloat16_to_float(float_to_bfloat16(from_bits(0x7f800001)))));
}

static void counts_what_overflows(void **state)
{
    const float values[] = { 1, 70000, -70000, INFINITY, NAN, 65504 };
    uint16_t out[6];
    assert_int_equal(element_from_float(element_named("F16"), values, out, 6), 2);
    assert_int_equal(out[0], 0x3c00);
    assert_int_equal(element_from_float(element_named("BF16"), values, out, 6), 0);
    float same[6];
    assert_int_equal(element_from_float(element_named("F32"), values, same, 6), 0);
    assert_memory_equal(values, same, sizeof(values));
}

static void reads_every_float_type(void **state)
{
    float out[2];
    const double d[] = { 0.1, -1e300 };
    element_to_float(element_named("F64"), d, out, 2);
    assert_true(out[0] == 0.1f && isinf(out[1]));
    char odd[9] = { 0 };
    memcpy(odd + 1, d, 8); /* no alignment asked */
    element_to_float(element_named("F64"), odd + 1, out, 1);
    assert_true(out[0] == 0.1f);
    const uint16_t b[] = { 0x3f80, 0xc000 };
    element_to_float(element_named("BF16"), b, out, 2);
    assert_true(out[0] == 1 && out[1] == -2);
}

static void reads_every_integer_type(void **state)
{
    static const struct {
        const char *name;
        int64_t low, all_ones;
    } cases[] = {
        { "I8", -128, -1 },
        { "U8", 128, 255 },
        { "BOOL", 128, 255 },
        { "I16", -32768, -1 },
        { "U16", 32768, 65535 },
        { "I32", INT32_MIN, -1 },
        { "U32", 1LL << 31, 0xffffffff },
        { "I64", INT64_MIN, -1 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct element *e = element_named(cases[i].name);
        size_t bytes = (size_t)e->bits / 8;
        unsigned char in[16] = { 0 };
        int64_t out[2];
        in[bytes - 1] = 0x80;
        memset(in + bytes, 0xff, bytes);
        assert_true(element_to_int64(e, in, out, 2));
        assert_int_equal(out[0], cases[i].low);
        assert_int_equal(out[1], cases[i].all_ones);
    }
    uint64_t large = 1ull << 63;
    int64_t out;
    assert_false(element_to_int64(element_named("U64"), &large, &out, 1));
}

static void knows_its_names(void **state)
{
    assert_null(element_named("F33"));
    assert_null(element_named(""));
    assert_null(element_find("F32x", 5));
    assert_int_equal(element_find("F32x", 3)->bits, 32);
    assert_int_equal(element_named("F8_E8M0")->bits, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_goes_there_and_back),
        cmocka_unit_test(every_bfloat16_goes_there_and_back),
        cmocka_unit_test(rounds_halves_to_nearest_even),
        cmocka_unit_test(rounds_bfloat16_to_nearest_even),
        cmocka_unit_test(counts_what_overflows),
        cmocka_unit_test(reads_every_float_type),
        cmocka_unit_test(reads_every_integer_type),
        cmocka_unit_test(knows_its_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
