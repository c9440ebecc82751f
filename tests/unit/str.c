/* Byte strings, UTF-8 over all code points, escaping, distances, human forms. */
#include "base/str.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void strings_grow(void **state)
{
    struct str s;
    str_init(&s);
    assert_string_equal(s.data, "");
    str_append(&s, "");
    str_append_bytes(&s, NULL, 0);
    assert_int_equal(s.length, 0);
    str_append(&s, "ab");
    str_append_char(&s, '\0');
    str_append_bytes(&s, "c\0d", 3);
    assert_int_equal(s.length, 6);
    assert_memory_equal(s.data, "ab\0c\0d", 7);
    str_clear(&s);
    assert_string_equal(s.data, "");
    for (int i = 0; i < 20000; i++)
        str_appendf(&s, "%d,", i % 10);
    assert_int_equal(s.length, 40000);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(s.data[2 * i], '0' + i % 10);
    assert_int_equal(s.data[s.length], 0);
    str_release(&s);
    assert_string_equal(s.data, "");
    str_release(&s);
}

static void a_zeroed_struct_may_be_appended_to(void **state)
{
    struct str s = { 0 };
    str_append_utf8(&s, 0x20ac);
    assert_string_equal(s.data, "\xe2\x82\xac");
    str_release(&s);
}

static void detach_hands_over(void **state)
{
    struct str s;
    str_init(&s);
    char *nothing = str_detach(&s);
    assert_string_equal(nothing, "");
    str_append(&s, "text");
    char *text = str_detach(&s);
    assert_string_equal(text, "text");
    assert_string_equal(s.data, "");
    str_append(&s, "more");
    assert_string_equal(text, "text");
    mem_free(nothing);
    mem_free(text);
    str_release(&s);
}

static void outside_text_is_escaped(void **state)
{
    static const struct {
        const char *in;
        size_t length, limit;
        const char *out;
    } rows[] = {
        { "plain", 5, 99, "plain" },
        { "a\"b\\c", 5, 99, "a\\\"b\\\\c" },
        { "\n\r\t\0\x1b\x7f", 6, 99, "\\n\\r\\t\\x00\\x1b\\x7f" },
        { "\xc3\xa9\xf0\x9f\x98\x80", 6, 99, "\xc3\xa9\xf0\x9f\x98\x80" },
        { "a\xff\xc3", 3, 99, "a\\xff\\xc3" },
        { "\xed\xa0\x80", 3, 99, "\\xed\\xa0\\x80" },
        { "\xc2\x9b", 2, 99, "\\u009b" },
        { "\xe2\x80\xae", 3, 99, "\\u202e" },
        { "abcdef", 6, 6, "abcdef" },
        { "abcdef", 6, 5, "abcde..." },
        { "abcd\xc3\xa9", 6, 5, "abcd..." },
        { "abc", 3, 0, "..." },
        { "", 0, 0, "" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str s;
        str_init(&s);
        str_append(&s, "<");
        str_append_escaped(&s, rows[i].in, rows[i].length, rows[i].limit);
        assert_string_equal(s.data + 1, rows[i].out);
        str_release(&s);
    }
}

static void ends_are_compared(void **state)
{
    assert_true(str_starts_with("model.safetensors", "model"));
    assert_true(str_starts_with("x", ""));
    assert_false(str_starts_with("mode", "model"));
    assert_true(str_ends_with("model.safetensors", ".safetensors"));
    assert_true(str_ends_with("", ""));
    assert_false(str_ends_with("json", ".json"));
    assert_false(str_ends_with("a.json ", ".json"));
}

static void edits_are_counted(void **state)
{
    assert_int_equal(str_distance("", ""), 0);
    assert_int_equal(str_distance("abc", ""), 3);
    assert_int_equal(str_distance("", "ab"), 2);
    assert_int_equal(str_distance("kitten", "sitting"), 3);
    assert_int_equal(str_distance("sitting", "kitten"), 3);
    assert_int_equal(str_distance("flaw", "lawn"), 2);
    assert_int_equal(str_distance("intention", "execution"), 5);
}

static void the_nearest_word_is_found(void **state)
{
    static const char *const words[] = { "learning_rate", "max_steps", "lr",
                                         "seed",          "seek",      "gradient_accumulation_steps" };
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        { "learning-rate", "learning_rate" },
        { "learnig_rat", "learning_rate" },
        { "max_step", "max_steps" },
        { "sed", "seed" },
        { "seef", "seed" },
        { "xy", NULL },
        { "", NULL },
        { "gradient_accumulation", "gradient_accumulation_steps" },
        { "something_else", NULL },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *nearest = str_nearest(rows[i].word, words, COUNT(words));
        if (rows[i].nearest)
            assert_string_equal(nearest ? nearest : "nothing", rows[i].nearest);
        else
            assert_null(nearest);
    }
    assert_null(str_nearest("seed", words, 0));
}

static void numbers_get_human_forms(void **state)
{
    static const struct {
        int64_t count;
        const char *text;
    } counts[] = { { 0, "0" },
                   { 999, "999" },
                   { 1000, "1,000" },
                   { 1234567, "1,234,567" },
                   { -123456, "-123,456" },
                   { INT64_MIN, "-9,223,372,036,854,775,808" },
                   { INT64_MAX, "9,223,372,036,854,775,807" } };
    static const struct {
        double bytes;
        const char *text;
    } sizes[] = { { 0, "0 B" },           { 999, "999 B" },       { 1000, "1.00 kB" },
                  { 4.42e9, "4.42 GB" },  { 44.2e6, "44.2 MB" },  { 442e6, "442 MB" },
                  { 9.994e3, "9.99 kB" }, { 9.996e3, "10.0 kB" }, { 999.4e3, "999 kB" },
                  { 999.6e3, "1.00 MB" }, { 2e21, "2000 EB" } };
    static const struct {
        double seconds;
        const char *text;
    } times[] = { { 0, "0:00" },     { 5.99, "0:05" },    { 65, "1:05" },
                  { 3599, "59:59" }, { 3725, "1:02:05" }, { 360000, "100:00:00" },
                  { -1, "?" },       { INFINITY, "?" },   { NAN, "?" } };
    struct str s;
    str_init(&s);
    for (size_t i = 0; i < COUNT(counts); i++, str_clear(&s)) {
        str_append_count(&s, counts[i].count);
        assert_string_equal(s.data, counts[i].text);
    }
    for (size_t i = 0; i < COUNT(sizes); i++, str_clear(&s)) {
        str_append_bytes_human(&s, sizes[i].bytes);
        assert_string_equal(s.data, sizes[i].text);
    }
    for (size_t i = 0; i < COUNT(times); i++, str_clear(&s)) {
        str_append_duration(&s, times[i].seconds);
        assert_string_equal(s.data, times[i].text);
    }
    str_release(&s);
}

static void every_character_makes_the_round_trip(void **state)
{
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char bytes[4];
        uint32_t back = 0;
        if (c == 0xd800)
            c = 0xe000;
        int length = utf8_encode(c, bytes);
        assert_int_equal(length, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        assert_int_equal(utf8_decode(bytes, bytes + length, &back), length);
        assert_int_equal(back, c);
        assert_int_equal(utf8_decode(bytes, bytes + length - 1, &back), 0); /* cut off */
    }
}

/* There are as many good sequences as there are characters: no overlong forms, no surrogates, none too high.
 */
static void nothing_else_is_utf8(void **state)
{
    static const unsigned char last[4] = { 0x7f, 0x80, 0xbf, 0xc0 };
    long of_length[5] = { 0 };
    uint32_t c;
    for (uint32_t i = 0; i < 1u << 24; i++) {
        const char bytes[3] = { (char)(i >> 16), (char)(i >> 8), (char)i };
        of_length[utf8_decode(bytes, bytes + 3, &c)]++;
    }
    assert_int_equal(of_length[1], 128 * 65536);
    assert_int_equal(of_length[2], 1920 * 256);
    assert_int_equal(of_length[3], 65536 - 2048 - 2048);
    assert_int_equal(of_length[4], 0);
    for (uint32_t i = 0; i < 1u << 22; i++) {
        const char bytes[4] = { (char)(0xf0 | i >> 18), (char)(i >> 10), (char)(i >> 2), (char)last[i & 3] };
        of_length[4] += utf8_decode(bytes, bytes + 4, &c) == 4;
    }
    assert_int_equal(of_length[4], (1 << 20) / 64 * 2);
}

static void the_valid_prefix_ends_at_the_first_bad_byte(void **state)
{
    assert_int_equal(utf8_valid_prefix("", 0), 0);
    assert_int_equal(utf8_valid_prefix("a\0b", 3), 3);
    assert_int_equal(utf8_valid_prefix("\xc3\xa9\xe2\x82\xac", 5), 5);
    assert_int_equal(utf8_valid_prefix("\xc3\xa9\xe2\x82", 4), 2);
    assert_int_equal(utf8_valid_prefix("ab\x80", 3), 2);
    assert_int_equal(utf8_valid_prefix("ab\xc0\x80", 4), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_grow),
        cmocka_unit_test(a_zeroed_struct_may_be_appended_to),
        cmocka_unit_test(detach_hands_over),
        cmocka_unit_test(outside_text_is_escaped),
        cmocka_unit_test(ends_are_compared),
        cmocka_unit_test(edits_are_counted),
        cmocka_unit_test(the_nearest_word_is_found),
        cmocka_unit_test(numbers_get_human_forms),
        cmocka_unit_test(every_character_makes_the_round_trip),
        cmocka_unit_test(nothing_else_is_utf8),
        cmocka_unit_test(the_valid_prefix_ends_at_the_first_bad_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
