/* JSON values: numbers at their limits, strings, keys by the hundred thousand, and documents written and read
 * back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"

#include <cmocka.h>

static double double_of(const char *text, int *status)
{
    struct json_reader r;
    error_clear();
    json_reader_init(&r, "t", text, strlen(text));
    double v = json_double(&r);
    *status = json_end(&r);
    json_reader_release(&r);
    return v;
}

static int64_t int_of(const char *text, int64_t min, int64_t max, int *status)
{
    struct json_reader r;
    error_clear();
    json_reader_init(&r, "t", text, strlen(text));
    int64_t v = json_int(&r, min, max);
    *status = json_end(&r);
    json_reader_release(&r);
    return v;
}

static void integers_are_exact(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = { { "0", 0 },
                 { "-0", 0 },
                 { "9223372036854775807", INT64_MAX },
                 { "-9223372036854775808", INT64_MIN },
                 { "9007199254740993", 9007199254740993 } };
    static const char *const bad[] = { "9223372036854775808",
                                       "-9223372036854775809",
                                       "2.0",
                                       "1e3",
                                       "\"1\"",
                                       "true",
                                       "99999999999999999999999",
                                       "NaN",
                                       "null" };
    int status;
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(int_of(good[i].text, INT64_MIN, INT64_MAX, &status) == good[i].value);
        assert_int_equal(status, OK);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(int_of(bad[i], INT64_MIN, INT64_MAX, &status), 0);
        assert_int_equal(status, ERR_DATA);
    }
    int_of("7", 1, 6, &status);
    assert_string_equal(error_message(), "t:1:1: out of range (found 7, expected an integer from 1 to 6)");
    int_of("2.5", 1, 6, &status);
    assert_string_equal(error_message(), "t:1:1: no integer (found 2.5, expected an integer from 1 to 6)");
}

static void unsigned_integers_are_exact(void **state)
{
    static const char *const bad[] = { "18446744073709551616", "-1", "1.0", "1e2" };
    struct json_reader r;
    (void)state;
    error_clear();
    json_reader_init(&r, "t", "18446744073709551615", 20);
    assert_true(json_uint64(&r) == UINT64_MAX);
    assert_int_equal(json_end(&r), OK);
    json_reader_release(&r);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        error_clear();
        json_reader_init(&r, "t", bad[i], strlen(bad[i]));
        assert_true(json_uint64(&r) == 0);
        assert_int_equal(json_end(&r), ERR_DATA);
        json_reader_release(&r);
    }
}

static void doubles_are_correctly_rounded(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = { { "0.1", 0.1 },
                 { "-0.0", -0.0 },
                 { "1e22", 1e22 },
                 { "1e23", 1e23 },
                 { "123456789012345678901234567890", 123456789012345678901234567890.0 },
                 { "9007199254740993", 9007199254740992.0 },
                 { "9007199254740991e22", 9007199254740991e22 },
                 { "2.2250738585072011e-308", 2.2250738585072011e-308 },
                 { "4.9e-324", 4.9e-324 },
                 { "1e-400", 0 },
                 { "1.7976931348623157e308", 1.7976931348623157e308 },
                 { "0.00000000000000000000000000000000000000001e45", 1e4 },
                 { "Infinity", (double)INFINITY },
                 { "-Infinity", -(double)INFINITY } };
    static const char *const bad[] = { "1E400", "-1e309", "1.8e308" };
    int status;
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        double v = double_of(good[i].text, &status);
        assert_int_equal(status, OK);
        if (memcmp(&v, &good[i].value, sizeof(v)) != 0)
            fail_msg("%s read as %.17g", good[i].text, v);
    }
    assert_true(isnan(double_of("NaN", &status)) && status == OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        double_of(bad[i], &status);
        assert_int_equal(status, ERR_DATA);
        assert_non_null(strstr(error_message(), "bad number"));
    }
}

static void strings_are_unescaped(void **state)
{
    static const char text[] = "[\"plain\", \"a\\\"b\\\\c\\/\\b\\f\\n\\r\\td\", "
                               "\"\\u00e9\\ud83d\\ude00\\u0000x\", \"\xC3\xA9\\n\xC3\xA9\"]";
    static const struct json_string want[] = { { "plain", 5 },
                                               { "a\"b\\c/\b\f\n\r\td", 12 },
                                               { "\xC3\xA9\xF0\x9F\x98\x80\0x", 8 },
                                               { "\xC3\xA9\n\xC3\xA9", 5 } };
    struct json_reader r;
    struct json_string s;
    size_t n = 0;
    (void)state;
    error_clear();
    json_reader_init(&r, "t", text, sizeof(text) - 1);
    assert_true(json_array_begin(&r));
    for (; json_next_element(&r); n++) {
        assert_true(n < 4 && json_string(&r, &s));
        assert_int_equal(s.length, want[n].length);
        assert_memory_equal(s.data, want[n].data, s.length);
    }
    assert_int_equal(n, 4);
    assert_int_equal(json_end(&r), OK);
    json_reader_release(&r);
}

static void raw_gives_the_bytes(void **state)
{
    static const char text[] = "{\"a\" :  {\"x\": [1, 2 ]} , \"b\":1e3}";
    struct json_reader r;
    struct json_string key, raw;
    (void)state;
    error_clear();
    json_reader_init(&r, "t", text, sizeof(text) - 1);
    assert_true(json_object_begin(&r) && json_next_key(&r, &key));
    assert_int_equal(json_peek(&r), JSON_OBJECT);
    raw = json_raw(&r);
    assert_int_equal(raw.length, 14);
    assert_memory_equal(raw.data, "{\"x\": [1, 2 ]}", 14);
    assert_true(json_next_key(&r, &key));
    raw = json_raw(&r);
    assert_int_equal(raw.length, 3);
    assert_memory_equal(raw.data, "1e3", 3);
    assert_false(json_next_key(&r, &key));
    assert_int_equal(json_end(&r), OK);
    json_reader_release(&r);
}

/* Many keys, among them small objects after the large one, and one duplicate at the very end. */
static void many_keys(void **state)
{
    enum { KEYS = 200000 };
    struct json_reader r;
    struct json_string key;
    struct str s;
    int64_t sum = 0;
    (void)state;
    str_init(&s);
    str_append(&s, "[{");
    for (int i = 0; i < KEYS; i++)
        str_appendf(&s, "\"%s%d\":%d,", i % 3 ? "k" : "\\u006b", i, i);
    size_t keep = s.length - 1;
    str_append(&s, "\"k4242\":0}]");
    error_clear();
    json_reader_init(&r, "t", s.data, s.length);
    json_skip(&r);
    assert_int_equal(json_end(&r), ERR_DATA);
    assert_non_null(strstr(error_message(), "$[0]: duplicate key \"k4242\""));
    json_reader_release(&r);

    s.data[s.length = keep] = 0;
    str_append(&s, "}");
    for (int i = 0; i < 1000; i++)
        str_append(&s, ",{\"k1\":1,\"k2\":2}");
    str_append(&s, "]");
    error_clear();
    json_reader_init(&r, "t", s.data, s.length);
    assert_true(json_array_begin(&r));
    while (json_next_element(&r) && json_object_begin(&r))
        while (json_next_key(&r, &key))
            sum += json_int(&r, 0, KEYS);
    assert_int_equal(json_end(&r), OK);
    assert_true(sum == (int64_t)KEYS * (KEYS - 1) / 2 + 3000);
    json_reader_release(&r);
    str_release(&s);
}

static void write_sample(struct json_writer *w)
{
    json_write_object_begin(w);
    json_write_key(w, "a");
    json_write_array_begin(w);
    json_write_int(w, INT64_MIN);
    json_write_uint64(w, UINT64_MAX);
    json_write_bool(w, true);
    json_write_null(w);
    json_write_array_end(w);
    json_write_key(w, "\xC3\xA9");
    json_write_string(w, "\"\\\b\f\n\r\t\x01\x7F\xC3\xA9\xF0\x9F\x98\x80/");
    json_write_key(w, "e");
    json_write_object_begin(w);
    json_write_object_end(w);
    json_write_key_bytes(w, "r\0", 2);
    json_write_raw(w, "[1]", 3);
    json_write_object_end(w);
}

static void writes_as_python_does(void **state)
{
    static const struct {
        int indent;
        bool ascii;
        const char *want;
    } cases[] = {
        { 0, false,
          "{\"a\": [-9223372036854775808, 18446744073709551615, true, null], \"\xC3\xA9\": "
          "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\x7F\xC3\xA9\xF0\x9F\x98\x80/\", \"e\": {}, \"r\\u0000\": [1]}" },
        { -1, true,
          "{\"a\":[-9223372036854775808,18446744073709551615,true,null],\"\\u00e9\":"
          "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u007f\\u00e9\\ud83d\\ude00/\",\"e\":{},\"r\\u0000\":[1]}" },
        { 2, false,
          "{\n  \"a\": [\n    -9223372036854775808,\n    18446744073709551615,\n    true,\n    null\n  ],\n  "
          "\"\xC3\xA9\": \"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\x7F\xC3\xA9\xF0\x9F\x98\x80/\",\n  \"e\": {},\n  "
          "\"r\\u0000\": [1]\n}" },
    };
    struct json_writer w;
    struct str s;
    (void)state;
    str_init(&s);
    for (size_t i = 0; i < 3; i++) {
        str_clear(&s);
        json_writer_init(&w, &s, cases[i].indent);
        w.ascii = cases[i].ascii;
        write_sample(&w);
        assert_string_equal(s.data, cases[i].want);
    }
    str_clear(&s);
    json_writer_init(&w, &s, 0);
    json_write_bytes(&w, "a\xFF\xC3", 3);
    assert_string_equal(s.data, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
    str_release(&s);
}

/* The right column is what Python's repr prints. */
static void doubles_are_written_as_python_does(void **state)
{
    static const struct {
        double value;
        const char *want;
    } cases[] = { { 0.0, "0.0" },
                  { -0.0, "-0.0" },
                  { 1.0, "1.0" },
                  { 0.1, "0.1" },
                  { 1e-5, "1e-05" },
                  { 0.0001, "0.0001" },
                  { 0.00012345, "0.00012345" },
                  { 5e-5, "5e-05" },
                  { 1e15, "1000000000000000.0" },
                  { 1e16, "1e+16" },
                  { 123456789012345680.0, "1.2345678901234568e+17" },
                  { 9999999999999998.0, "9999999999999998.0" },
                  { 1.0 / 3, "0.3333333333333333" },
                  { 0.1 + 0.2, "0.30000000000000004" },
                  { 4.9e-324, "5e-324" },
                  { 2.2250738585072014e-308, "2.2250738585072014e-308" },
                  { 1.7976931348623157e308, "1.7976931348623157e+308" },
                  { 0x1p-44, "5.684341886080802e-14" },
                  { 0x1p-1017, "7.120236347223045e-307" },
                  { 0x1p+89, "6.189700196426902e+26" },
                  { -2.5, "-2.5" },
                  { 100, "100.0" },
                  { (double)NAN, "NaN" },
                  { -(double)INFINITY, "-Infinity" } };
    struct json_writer w;
    struct str s;
    (void)state;
    str_init(&s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        str_clear(&s);
        json_writer_init(&w, &s, 0);
        json_write_double(&w, cases[i].value);
        assert_string_equal(s.data, cases[i].want);
    }
    str_release(&s);
}

static void random_doubles_read_back_equal(void **state)
{
    struct rng_key key = { .seed = 1, .stream = 7 };
    struct json_writer w;
    struct str s;
    uint32_t bits[4];
    double v;
    int status;
    (void)state;
    str_init(&s);
    for (uint64_t i = 0; i < 20000; i++) {
        rng_bits(key, 0, i, bits);
        memcpy(&v, bits, sizeof(v));
        if (!isfinite(v))
            continue;
        str_clear(&s);
        json_writer_init(&w, &s, 0);
        json_write_double(&w, v);
        double back = double_of(s.data, &status);
        assert_int_equal(status, OK);
        if (memcmp(&back, &v, sizeof(v)) != 0)
            fail_msg("%.17g written as %s", v, s.data);
    }
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(unsigned_integers_are_exact),
        cmocka_unit_test(doubles_are_correctly_rounded),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(raw_gives_the_bytes),
        cmocka_unit_test(many_keys),
        cmocka_unit_test(writes_as_python_does),
        cmocka_unit_test(doubles_are_written_as_python_does),
        cmocka_unit_test(random_doubles_read_back_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
