/* The JSON reader: texts that must be taken or refused (among them the pitfalls that N. Seriot lists in
 * "Parsing JSON is a minefield", 2016) and the sentences of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#include <cmocka.h>

#define TEXT(s)          \
    {                    \
        s, sizeof(s) - 1 \
    }

struct text {
    const char *data;
    size_t length;
};

static const struct text accepted[] = {
    TEXT("[]"),
    TEXT("{}"),
    TEXT("[[]   ]"),
    TEXT("[\"\"]"),
    TEXT("[false]"),
    TEXT("[null, 1, \"1\", {}]"),
    TEXT("[1\n]"),
    TEXT(" [1]"),
    TEXT("[1,null,null,null,2]"),
    TEXT("[2] "),
    TEXT("\t[\r\n1 , 2\t]\r\n"),
    TEXT("[123e65]"),
    TEXT("[0e+1]"),
    TEXT("[0e1]"),
    TEXT("[ 4]"),
    TEXT("[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]"),
    TEXT("[20e1]"),
    TEXT("[-0]"),
    TEXT("[-123]"),
    TEXT("[-1]"),
    TEXT("[1E22]"),
    TEXT("[1E-2]"),
    TEXT("[1E+2]"),
    TEXT("[123.456e78]"),
    TEXT("[1e-400]"),
    TEXT("[0e99999999999999999999]"),
    TEXT("[100000000000000000000000000000000000000]"),
    TEXT("[NaN, Infinity, -Infinity]"),
    TEXT("{\"asd\":\"sdf\", \"dfg\":\"fgh\"}"),
    TEXT("{\"\":0}"),
    TEXT("{\"foo\\u0000bar\": 42}"),
    TEXT("{\"a\\\\\":1,\"a\\\\\\\\\":2,\"a\":3}"),
    TEXT("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}"),
    TEXT("[\"\\u0060\\u012a\\u12AB\"]"),
    TEXT("[\"\\uD801\\udc37\"]"),
    TEXT("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    TEXT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    TEXT("[\"\\\\u0000\"]"),
    TEXT("[\"a/*b*/c/*d//e\"]"),
    TEXT("[\"\\u0000\"]"),
    TEXT("[\"\xEF\xBF\xBF\"]"),
    TEXT("[\"\xF4\x8F\xBF\xBF\"]"),
    TEXT("[\"\xE2\x82\xAC\xF0\x9D\x84\x9E\"]"),
    TEXT("[\"\\uFFFF\\uFDD0\"]"),
    TEXT("[\"\x7F\"]"),
    TEXT("\" \""),
    TEXT("42"),
    TEXT("-0.1"),
    TEXT("null"),
    TEXT("true"),
    TEXT("\"\""),
    TEXT("\xEF\xBB\xBF{}"),
    TEXT("[\"0123456\\\"89\", \"01234567\\\\\", \"0123456789012345\"]"),
};

static const struct text refused[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("[1 true]"),
    TEXT("[\"\": 1]"),
    TEXT("[\"\"],"),
    TEXT("[,1]"),
    TEXT("[1,,2]"),
    TEXT("[\"x\",,]"),
    TEXT("[\"x\"]]"),
    TEXT("[\"\",]"),
    TEXT("[\"x\""),
    TEXT("[x"),
    TEXT("[3[4]]"),
    TEXT("[1:2]"),
    TEXT("[,]"),
    TEXT("[-]"),
    TEXT("[   , \"\"]"),
    TEXT("[\"a\",\n4\n,1,"),
    TEXT("[1,]"),
    TEXT("[*]"),
    TEXT("[1,\n1\n,1"),
    TEXT("[fals]"),
    TEXT("[nul]"),
    TEXT("[tru]"),
    TEXT("[True]"),
    TEXT("[truee]"),
    TEXT("[nullnull]"),
    TEXT("[++1234]"),
    TEXT("[+1]"),
    TEXT("[-01]"),
    TEXT("[-1.0.]"),
    TEXT("[-2.]"),
    TEXT("[.-1]"),
    TEXT("[.2e-3]"),
    TEXT("[0.1.2]"),
    TEXT("[0.3e+]"),
    TEXT("[0.3e]"),
    TEXT("[0.e1]"),
    TEXT("[0E+]"),
    TEXT("[0e]"),
    TEXT("[1.0e-]"),
    TEXT("[1 000.0]"),
    TEXT("[1eE2]"),
    TEXT("[2.e3]"),
    TEXT("[9.e+]"),
    TEXT("[Inf]"),
    TEXT("[-NaN]"),
    TEXT("[nan]"),
    TEXT("[+Infinity]"),
    TEXT("[Infinityy]"),
    TEXT("[- 1]"),
    TEXT("[-a]"),
    TEXT("[012]"),
    TEXT("[0x1]"),
    TEXT("[1_000]"),
    TEXT("[1E400]"),
    TEXT("[-1e309]"),
    TEXT("[1.2a-3]"),
    TEXT("[\xEF\xBC\x91]"),
    TEXT("{\"x\", null}"),
    TEXT("{\"x\"::\"b\"}"),
    TEXT("{a: \"b\"}"),
    TEXT("{\"a\":\"a\" 123}"),
    TEXT("{key: 'value'}"),
    TEXT("{\"a\" b}"),
    TEXT("{:\"b\"}"),
    TEXT("{\"a\" \"b\"}"),
    TEXT("{\"a\":"),
    TEXT("{\"a\""),
    TEXT("{\"a"),
    TEXT("{1:1}"),
    TEXT("{null:null}"),
    TEXT("{\"id\":0,,,,,}"),
    TEXT("{\"id\":0,}"),
    TEXT("{\"a\":\"b\",,\"c\":\"d\"}"),
    TEXT("{'a':0}"),
    TEXT("{\"a\":\"b\"}/**/"),
    TEXT("{\"a\":\"b\"}//"),
    TEXT("{\"a\": 1, \"a\": 1}"),
    TEXT("{\"a\": 1, \"\\u0061\": 1}"),
    TEXT("{\"\\u0061\": 1, \"b\": 1, \"a\": 1}"),
    TEXT("{\"\\u0061\": 1, \"\\u0061\": 1}"),
    TEXT("{\"\": 1, \"\": 1}"),
    TEXT("[\"\\uD800\"]"),
    TEXT("[\"\\uD800\\\"]"),
    TEXT("[\"\\uD800\\u1\"]"),
    TEXT("[\"\\uD800\\u0061\"]"),
    TEXT("[\"\\uDC00\\uD800\"]"),
    TEXT("[\"\\uDFAA\"]"),
    TEXT("[\"\\uD800abc\"]"),
    TEXT("[\"\\u00A\"]"),
    TEXT("[\"\\u\"]"),
    TEXT("[\"\\u00G0\"]"),
    TEXT("[\"\\x00\"]"),
    TEXT("[\"\\a\"]"),
    TEXT("[\"\\\0\"]"),
    TEXT("[\"\\"),
    TEXT("[\"\\\""),
    TEXT("[\"\\u12"),
    TEXT("[\"new\nline\"]"),
    TEXT("[\"\t\"]"),
    TEXT("[\"a\0a\"]"),
    TEXT("[\"12345678\x1F\"]"),
    TEXT("[\"\xFF\"]"),
    TEXT("[\"\xE9\"]"),
    TEXT("[\"1234\xE9 678901234567890\"]"),
    TEXT("[\"\x81\"]"),
    TEXT("[\"\xC0\xAF\"]"),
    TEXT("[\"\xF4\xBF\xBF\xBF\"]"),
    TEXT("[\"\xED\xA0\x80\"]"),
    TEXT("[\"\xE0\xFF\"]"),
    TEXT("[\"\xF0\x9D\x84"),
    TEXT("[\xE2\x80\x8B]"),
    TEXT("\xEF\xBB\xBF"),
    TEXT("\xEF\xBB\xBF\xEF\xBB\xBF{}"),
    TEXT("\xFF\xFE[\0]\0"),
    TEXT("\0[\0]"),
    TEXT("[\0]\0"),
    TEXT("\0"),
    TEXT("['single']"),
    TEXT("abc"),
    TEXT("<null>"),
    TEXT("[<null>]"),
    TEXT("[1]x"),
    TEXT("1]"),
    TEXT("{}}"),
    TEXT("{\"\":"),
    TEXT("{]"),
    TEXT("[}"),
    TEXT("[\f]"),
    TEXT("[\xC2\xA0]"),
    TEXT("[][]"),
    TEXT("]"),
    TEXT("{[: \"x\"}"),
};

/* Reads the text from a block of just its size, so that the sanitizer sees a step beyond. */
static int read_status(const char *data, size_t length)
{
    struct json_reader r;
    char *copy = mem_alloc(length);
    memcpy(copy, data, length);
    error_clear();
    json_reader_init(&r, "t", copy, length);
    json_skip(&r);
    int status = json_end(&r);
    json_reader_release(&r);
    mem_free(copy);
    return status;
}

static void takes_what_is_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
        if (read_status(accepted[i].data, accepted[i].length) != OK)
            fail_msg("refused: %s: %s", accepted[i].data, error_message());
}

static void refuses_what_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (read_status(refused[i].data, refused[i].length) != ERR_DATA)
            fail_msg("taken: %s", refused[i].data);
        assert_true(strlen(error_message()) > 0);
    }
}

static void cut_texts_are_refused(void **state)
{
    static const char whole[] =
        "{\"a\": [1.5e3, \"x\\u00e9\\n\", true], \"b\": {\"c\": null, \"\\ud83d\\ude39\": -0}}";
    (void)state;
    assert_int_equal(read_status(whole, sizeof(whole) - 1), OK);
    for (size_t n = 0; n < sizeof(whole) - 1; n++)
        assert_int_equal(read_status(whole, n), ERR_DATA);
}

struct sentence {
    const char *text, *message, *hint;
};

static const struct sentence sentences[] = {
    { "{\"a\": {\"b\": [1,\n2,\n  x]}}", "t:3:3: $.a.b[2]: no value (found 'x', expected a value)", "" },
    { "[1, \"\xC3\xA9\", tru]",
      "t:1:10: $[2]: no value (found \"tru\", expected null, true, false, a number, "
      "a string, an array or an object)",
      "" },
    { "{\"w.0\": 01}", "t:1:9: $[\"w.0\"]: bad number (found 01)", "" },
    { "{\"a\": [0], \"b\": 1, \"a\": 2}", "t:1:20: duplicate key \"a\"", "" },
    { "{\"a\": 1 \"b\"}", "t:1:9: no comma (found '\"', expected ',' or '}')", "" },
    { "{\"a\": {\"b\" 1}}", "t:1:12: $.a.b: no colon after a key (found 1, expected ':')", "" },
    { "[\"a\nb\"]", "t:1:4: $[0]: raw control character in a string (found byte 0x0a, expected an escape)",
      "" },
    { "[\"\xFF\"]", "t:1:3: $[0]: not UTF-8 (found byte 0xff)", "" },
    { "[", "t:1:2: $[0]: no value (found the end of the text, expected a value)", "" },
    { "[1] 2", "t:1:5: text after the value (found 2)", "" },
    { "<!DOCTYPE html>", "t:1:1: no value (found '<', expected a value)",
      "t looks like an error page of a web server saved in place of the file" },
    { "version https://git-lfs.github.com/spec/v1\n", "t:1:1: no value (found \"version\", expected a value)",
      "t is a Git LFS pointer, the object was not downloaded" },
};

static void errors_name_place_and_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
        assert_int_equal(read_status(sentences[i].text, strlen(sentences[i].text)), ERR_DATA);
        assert_string_equal(error_message(), sentences[i].message);
        assert_string_equal(error_hint_text(), sentences[i].hint);
    }
}

static void wrong_types_are_named(void **state)
{
    struct json_reader r;
    struct json_string s;
    (void)state;
    error_clear();
    json_reader_init(&r, "config.json", "404: Not Found", 14);
    assert_false(json_object_begin(&r));
    assert_string_equal(error_message(), "config.json:1:1: wrong type (found a number, expected an object)");
    assert_non_null(strstr(error_hint_text(), "error page"));
    json_reader_release(&r);

    error_clear();
    json_reader_init(&r, "c", "{\"n\":null}", 10);
    assert_true(json_object_begin(&r) && json_next_key(&r, &s));
    assert_false(json_string(&r, &s));
    assert_string_equal(s.data, "");
    assert_string_equal(error_message(), "c:1:6: $.n: wrong type (found null, expected a string)");
    /* sticky: everything after it is empty and the first sentence stays */
    assert_int_equal(json_int(&r, 1, 2), 0);
    assert_int_equal(json_peek(&r), JSON_NONE);
    assert_false(json_next_key(&r, &s));
    assert_int_equal(json_raw(&r).length, 0);
    assert_int_equal(json_fail(&r, "other"), ERR_DATA);
    assert_int_equal(json_end(&r), ERR_DATA);
    assert_string_equal(error_message(), "c:1:6: $.n: wrong type (found null, expected a string)");
    json_reader_release(&r);
}

static void meaning_failures_carry_the_path(void **state)
{
    static const char text[] = "{\"m\": {\"id\":\n  7}, \"z\": 1}";
    struct json_reader r;
    struct json_string key;
    (void)state;
    error_clear();
    json_reader_init(&r, "c", text, sizeof(text) - 1);
    r.meaning_status = ERR_CONFIG;
    assert_true(json_object_begin(&r) && json_next_key(&r, &key) && json_object_begin(&r) &&
                json_next_key(&r, &key));
    assert_true(json_key_is(&r, "id") && !json_key_is(&r, "i") && !json_key_is(&r, "id2"));
    int64_t id = json_int(&r, 0, 10);
    assert_int_equal(json_fail(&r, "id %lld used twice", (long long)id), ERR_CONFIG);
    assert_string_equal(error_message(), "c:2:3: $.m.id: id 7 used twice");
    json_reader_release(&r);

    /* after an object has ended the place is its start; at a key it is the key */
    error_clear();
    json_reader_init(&r, "c", text, sizeof(text) - 1);
    assert_true(json_object_begin(&r) && json_next_key(&r, &key));
    json_skip(&r);
    json_fail(&r, "bad object");
    assert_string_equal(error_message(), "c:1:7: $.m: bad object");
    json_reader_release(&r);
    error_clear();
    json_reader_init(&r, "c", text, sizeof(text) - 1);
    assert_true(json_object_begin(&r) && json_next_key(&r, &key));
    json_fail(&r, "unknown key");
    assert_string_equal(error_message(), "c:1:2: $.m: unknown key");
    json_reader_release(&r);
}

static void depth_is_bounded(void **state)
{
    struct str s;
    (void)state;
    str_init(&s);
    for (int i = 0; i < JSON_MAX_DEPTH; i++)
        str_append(&s, i % 2 ? "[" : "{\"a\":");
    str_append(&s, "1");
    for (int i = JSON_MAX_DEPTH - 1; i >= 0; i--)
        str_append(&s, i % 2 ? "]" : "}");
    assert_int_equal(read_status(s.data, s.length), OK);
    str_clear(&s);
    for (int i = 0; i < 100000; i++)
        str_append(&s, "[");
    assert_int_equal(read_status(s.data, s.length), ERR_DATA);
    assert_non_null(strstr(error_message(), "t:1:65: "));
    assert_non_null(strstr(error_message(), "nesting deeper than 64"));
    str_release(&s);
}

static void comments_only_where_allowed(void **state)
{
    static const char text[] = "// head\n{ // one\n\"a\": // two\n 1 // three\n} // end";
    struct json_reader r;
    struct json_string key;
    (void)state;
    assert_int_equal(read_status(text, sizeof(text) - 1), ERR_DATA);
    error_clear();
    json_reader_init(&r, "t", text, sizeof(text) - 1);
    r.allow_comments = true;
    assert_true(json_object_begin(&r) && json_next_key(&r, &key));
    assert_int_equal(json_int(&r, 0, 9), 1);
    assert_false(json_next_key(&r, &key));
    assert_int_equal(json_end(&r), OK);
    json_reader_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_is_json),    cmocka_unit_test(refuses_what_is_not),
        cmocka_unit_test(cut_texts_are_refused), cmocka_unit_test(errors_name_place_and_path),
        cmocka_unit_test(wrong_types_are_named), cmocka_unit_test(meaning_failures_carry_the_path),
        cmocka_unit_test(depth_is_bounded),      cmocka_unit_test(comments_only_where_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
