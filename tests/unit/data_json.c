/* JSON: arrays, members of objects and lines of cells; in which words bad ones are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "lib/documents.h"
#include "lib/scratch.h"

static void arrays_are_read(void **state)
{
    static const struct {
        const char *file, *field, *documents;
    } cases[] = {
        { "[{\"text\": \"a\"}, {\"text\": \"b\"}]", NULL, "|a||b|" },
        { "\xef\xbb\xbf \n[\n {\"text\": \"a\\n\\\"[,\\u00e9\", \"n\": [1, {\"x\": \"]\"}]}\n]\n", NULL,
          "|a\n\"[,\xc3\xa9|" },
        { "[]", NULL, "" },
        { "[ \n ]\n", NULL, "" },
        { "[{\"input_ids\": [1, 2], \"token_type_ids\": [0, 1]},\n"
          "{\"input_ids\": [3], \"labels\": [-100]}]",
          NULL, "[1,2:0,1][3/-100]" },
        { "{\"v\": {\"data\": []}, \"x\": \"]\", \"da\\u0074a\": [{\"text\": \"a\"}\n], "
          "\"z\": [[1], \"]\"]}\n",
          "data", "|a|" },
        { "{\"text\": \"a\"}\n{\"text\": \"b\"}", NULL, "|a||b|" },
        { "\n {\"text\": \"a\"}\n\n", NULL, "|a|" },
        { "{\"id\": 1, \"score\": \"2.5\", \"body\": \"x\"}\n", NULL, "|x|" },
    };
    char *path = scratch_path(state, "a.json");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        scratch_put(path, cases[i].file, strlen(cases[i].file));
        char *found = documents_with(&(struct source_options){ .json_field = cases[i].field }, path);
        assert_string_equal(found, cases[i].documents);
        mem_free(found);
    }
    mem_free(path);
}

static void cells_are_read(void **state)
{
    static const char rows[] = "{\"from\": \"a\\tb\", \"to\": \"c\", \"label\": \"yes\", \"n\": null}\n"
                               "{\"to\": \"\", \"label\": [0, 1.5], \"from\": \"\\u00e9\"}\n"
                               "{\"to\": \"x\", \"label\": true, \"from\": \"y\"}\n";
    struct source_options o = { .columns = { [COLUMN_SOURCE] = "from", [COLUMN_TARGET] = "to" } };
    char *path = scratch_path(state, "cells.jsonl"), *found;
    scratch_put(path, rows, strlen(rows));
    found = documents_with(&o, path);
    assert_string_equal(found, "<a\tb<>c><\xc3\xa9<>><y<>x>");
    mem_free(found);
    o.columns[COLUMN_LABEL] = "label";
    found = documents_with(&o, path);
    assert_string_equal(found, "<a\tb<>c>=yes=<\xc3\xa9<>>=[0, 1.5]=<y<>x>=true=");
    mem_free(found);
    o.columns[COLUMN_TEXT] = "to";
    found = documents_with(&o, path);
    assert_string_equal(found, "|c|<a\tb<>c>=yes=||<\xc3\xa9<>>=[0, 1.5]=|x|<y<>x>=true=");
    mem_free(found);
    o.columns[COLUMN_LABEL] = "none";
    assert_documents_fail_with(&o, path, ERR_DATA, "cells.jsonl:1:1: $.none missing");
    error_clear();
    mem_free(path);
}

static void bad_files_are_named(void **state)
{
    static const struct {
        const char *file, *field, *words;
    } cases[] = {
        { "[{\"text\": \"a\"},\n{\"text\": 1}]", NULL,
          "b.json:2: element 2: $.text: wrong type (found a number" },
        { "[{\"text\": \"a\"}, {\"x\": \"b\"}]", NULL, "b.json:1: element 2: $.text missing" },
        { "[{\"text\": \"a\"},\n{\"text\":\n \"b\"} x]", NULL, "b.json:3: element 2: text after the value" },
        { "[{\"text\": \"a\"}, 5]", NULL,
          "b.json:1: element 2: wrong type (found a number, expected an object)" },
        { "[{\"text\": \"a\"},, {\"text\": \"b\"}]", NULL, "b.json:1: element 2: no value before a comma" },
        { "[{\"text\": \"a\"},]", NULL, "b.json:1: element 2: a comma before the end of the array" },
        { "[{\"text\": \"a\"},\n ]", NULL, "b.json:1: element 2: a comma before the end of the array" },
        { "[{\"text\": \"a\"}", NULL, "b.json:1: byte 14: the file ends within the JSON text" },
        { "[{\"text\": \"a\"}}", NULL, "b.json:1: byte 14: an array of JSON does not end with ']'" },
        { "[{\"text\": \"a\"}]\n[]", NULL, "b.json:2: byte 16: something follows the JSON text" },
        { "{\"a\": [{\"text\": \"a\"}]}", "data", "b.json: no member \"data\" with an array in the object" },
        { "{\"data\": {\"text\": [\"a\"]}}", "data", "no array in the member that --json_field names" },
        { "[{\"text\": \"a\"}]", "data", "no object, and --json_field names a member of one" },
        { "{\"data\": [{\"text\": \"a\"}]", "data", "the file ends within the JSON text" },
        { "{\"data\" [{\"text\": \"a\"}]", "data", "no colon after a key" },
        { "{data: [{\"text\": \"a\"}]", "data", "no key of an object" },
        { "{\"a\xff\": 1}", "data", "b.json:1:3: " },
        { "{\n \"text\": \"a\"\n}\n", NULL, "b.json:1:2: " },
        { "{\"text\": \"a\"} {\"text\": \"b\"}\n", NULL, "b.json:1:15: text after the value" },
        { "{\"text\": \"a\", \"text\": \"b\"}\n", NULL, "b.json:1:15: duplicate key \"text\"" },
        { "{\"text\": \"\\ud800\"}\n", NULL, "b.json:1:11: $.text" },
        { "{\"text\": null}\n", NULL, "b.json:1:10: $.text: wrong type (found null, expected a string)" },
        { "{\"messages\": [{\"role\": \"x\"}]}\n", NULL,
          "columns of conversations (\"messages\") are not read" },
        { "{\"n\": 1, \"m\": [\"a\"], \"d\": \"2\"}\n", NULL, "b.json: no column of text; columns: n, m, d" },
    };
    char *path = scratch_path(state, "b.json");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        scratch_put(path, cases[i].file, strlen(cases[i].file));
        assert_documents_fail_with(&(struct source_options){ .json_field = cases[i].field }, path, ERR_DATA,
                                   cases[i].words);
        error_clear();
    }
    mem_free(path);
}

static void hints_help(void **state)
{
    static const struct {
        const char *file, *words;
    } cases[] = {
        { "[{\"text\": \"a\"}]\n", "this is a JSON array" },
        { "{\"text\": \"a\"}{\"text\": \"a\"}\n", "there is a second value on the line" },
        { "{\n\"text\": \"a\"}\n", "--json_field" },
        { "{\"text\": \"a\"}\n{\"text\": \"b", "has an incomplete last line" },
    };
    char *path = scratch_path(state, "hints.jsonl");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        scratch_put(path, cases[i].file, strlen(cases[i].file));
        assert_documents_fail(path, ERR_DATA, "hints.jsonl:");
        if (!strstr(error_hint_text(), cases[i].words))
            fail_msg("found \"%s\", expected \"%s\"", error_hint_text(), cases[i].words);
        error_clear();
    }
    mem_free(path);
}

static void a_field_needs_a_json_file(void **state)
{
    char *path = scratch_path(state, "field.txt");
    scratch_put(path, "a\n", 2);
    assert_documents_fail_with(&(struct source_options){ .json_field = "data" }, path, ERR_USAGE,
                               "`json_field` is given, and no file of `train_file` is JSON");
    error_clear();
    mem_free(path);
}

static int count_documents(void *context, const struct document *d)
{
    int64_t *sums = context;
    sums[0]++;
    sums[1] += (int64_t)d->cells[COLUMN_TEXT].length;
    return OK;
}

/* One line, longer than a window. */
static void long_arrays_are_read_in_windows(void **state)
{
    char *path = scratch_path(state, "long.json");
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    int64_t sums[2] = { 0 };
    struct str s;
    str_init(&s);
    str_append_char(&s, '[');
    for (int i = 0; i < 300000; i++)
        str_append(&s, "{\"text\": \"one, [two] and \\\"three\\\"\", \"more\": [{}, {\"a\": 1}]}, ");
    str_append(&s, "{\"text\": \"\"}]");
    scratch_put(path, s.data, s.length);
    assert_int_equal(documents_read(&o, count_documents, sums), OK);
    assert_int_equal(sums[0], 300001);
    assert_int_equal(sums[1], 300000 * 22);
    s.data[s.length - 2] = ' ';
    scratch_put(path, s.data, s.length);
    assert_documents_fail(path, ERR_DATA, "long.json:1: byte ");
    error_clear();
    str_release(&s);
    mem_free(path);
}

static void the_last_of_many_elements_is_told(void **state)
{
    char *path = scratch_path(state, "many.json");
    struct str s;
    str_init(&s);
    str_append_char(&s, '[');
    for (int i = 0; i < 400000; i++)
        str_append(&s, i % 2 ? "{\"text\": \"a\"}," : "{\"text\": \"a\"},\n");
    str_append(&s, "\n{\"text\": 5}]");
    scratch_put(path, s.data, s.length);
    assert_documents_fail(path, ERR_DATA, "many.json:200002: element 400001: $.text: wrong type");
    error_clear();
    str_release(&s);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_read),
        cmocka_unit_test(cells_are_read),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(hints_help),
        cmocka_unit_test(a_field_needs_a_json_file),
        cmocka_unit_test(long_arrays_are_read_in_windows),
        cmocka_unit_test(the_last_of_many_elements_is_told),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
