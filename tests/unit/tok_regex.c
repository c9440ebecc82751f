/* Patterns of tokenizer.json: those that must be refused, and the time the others may take. What they match
 * is compared in tok_components.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tok/tok.h"

#include <cmocka.h>

#define MODEL         "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define WITH(section) "{" section "," MODEL "}"

struct bad {
    const char *json, *message; /* message: how it begins */
};

#define SPLIT(pattern)                                                                                       \
    WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"" pattern \
         "\"}}")
#define AT "t:1:75: $.pre_tokenizer.pattern.Regex: byte "

static const struct bad broken_patterns[] = {
    { WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\"}"),
      "t:1:18: $.pre_tokenizer: \"pattern\" is missing" },
    { WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"}}"),
      "t:1:18: $.pre_tokenizer: \"behavior\" is missing" },
    { WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"removed\",\"pattern\":{\"String\":\"a\"}}"),
      "t:1:45: $.pre_tokenizer.behavior: not known (expected Removed" },
    { WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Removed\",\"pattern\":\"a\"}"),
      "t:1:65: $.pre_tokenizer.pattern: no pattern" },
    { SPLIT("(a"), AT "2 of the pattern: a group is not closed" },
    { SPLIT("a)"), AT "1 of the pattern: a group is closed that is not open" },
    { SPLIT("[a"), AT "2 of the pattern: a class is not closed" },
    { SPLIT("a|*"), AT "2 of the pattern: nothing to repeat" },
    { SPLIT("a{3,2}"), AT "6 of the pattern: a repetition whose most is less than its least" },
    { SPLIT("a{100001}"), AT "9 of the pattern: a repetition of more than 100000" },
    { SPLIT("(a{1000}){1000}"), AT "0 of the pattern: the pattern is too large" },
    { SPLIT("((((){9999}){9999}){9999}){9999}"), AT "0 of the pattern: the pattern is too large" },
    { SPLIT("(a)\\\\1"), AT "3 of the pattern: back-references and calls are not supported" },
    { SPLIT("\\\\k<a>"), AT "0 of the pattern: back-references and calls are not supported" },
    { SPLIT("(?<=a*)b"), AT "0 of the pattern: what a look behind matches has no bound" },
    { SPLIT("(?~a)"), AT "2 of the pattern: this kind of group is not supported" },
    { SPLIT("\\\\p{Nothing}"), AT "3 of the pattern: no property of this name" },
    { SPLIT("\\\\p"), AT "2 of the pattern: { is missing" },
    { SPLIT("\\\\x{110000}"), AT "9 of the pattern: no code point" },
    { SPLIT("[b-a]"), AT "4 of the pattern: a range whose end is before its beginning" },
    { SPLIT("a\\\\"), AT "1 of the pattern: a backslash at the end" },
};

static void check(const struct bad *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tokenizer *t = NULL;
        size_t length = strlen(list[i].json);
        int status = tokenizer_parse("t", list[i].json, length, &t);
        if (status != ERR_DATA || strncmp(error_message(), list[i].message, strlen(list[i].message)) != 0)
            fail_msg("%s\n  gave %d: %s\n  expected %s", list[i].json, status, error_message(),
                     list[i].message);
        assert_null(t);
        error_clear();
    }
}

static void test_refused(void **state)
{
    check(broken_patterns, sizeof(broken_patterns) / sizeof(broken_patterns[0]));
}

/* Patterns that make careless engines quadratic or worse, on texts of a million bytes. */
static void test_linear_patterns(void **state)
{
    static const char *const patterns[] = {
        "(a+)+",  "(a+)+$", "(a|aa)+$", "(a*)*c",        "a*b?a*c",          "(a|b|ab)*c",
        "a+[cd]", ".*.*=",  "\\\\s+$",  "(?=a*$)b|c{2}", "(x+x+)+y|(b|a)*d", "(a?){20}a{20}c",
    };
    double begin = clock_seconds();
    struct str text;

    str_init(&text);
    for (int i = 0; i < 1000000; i++)
        str_append_char(&text, i < 500000 ? 'a' : ' ');
    str_append_char(&text, 'b');
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct encoding out = { 0 };
        struct tokenizer *t;
        struct encoder *e;
        struct str json;
        str_init(&json);
        str_appendf(
            &json,
            WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":"
                 "\"%s\"}}"),
            patterns[i]);
        assert_int_equal(tokenizer_parse("t", json.data, json.length, &t), OK);
        e = encoder_create(t);
        if (tokenizer_encode(e, text.data, text.length, NULL, &out) != OK)
            fail_msg("%s: %s", patterns[i], error_message());
        encoding_release(&out);
        encoder_free(e);
        tokenizer_free(t);
        str_release(&json);
    }
    str_release(&text);
    assert_true(clock_seconds() - begin < 60);
}

/* What would take ages ends with an error. */
static void test_too_long(void **state)
{
    static const char pattern[] = SPLIT("(?>a+)c");
    struct encoding out = { 0 };
    struct tokenizer *t;
    struct encoder *e;
    char *text = mem_alloc(200001);

    memset(text, 'a', 200000);
    assert_int_equal(tokenizer_parse("t", pattern, sizeof(pattern) - 1, &t), OK);
    e = encoder_create(t);
    assert_int_equal(tokenizer_encode(e, text, 200000, NULL, &out), ERR_DATA);
    assert_string_equal(error_message(),
                        "a pattern of the tokenizer takes too long on a text of 200000 bytes");
    error_clear();
    tokenizer_free(t);
    encoder_free(e);
    mem_free(text);
    encoding_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_linear_patterns),
        cmocka_unit_test(test_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
