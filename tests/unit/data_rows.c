/* Rows of ids: what is read, and in which words bad ones are refused. */
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

static void rows_are_read(void **state)
{
    static const char rows[] =
        "{\"input_ids\": [1, 2, 3]}\r\n"
        "  \n"
        "{\"text\": \"x\", \"attention_mask\": [1, 1], \"input_ids\": [4, 0], \"labels\": [-100, 7]}\n"
        "{\"attention_mask\": [0, 1, 1, 0], \"input_ids\": [9, 4, 5, 9], \"labels\": [-100, 7, 6, 8]}\n"
        "{\"input_ids\": []}";
    char *path = scratch_path(state, "a.jsonl");
    scratch_put(path, rows, strlen(rows));
    char *found = documents_of(path, false);
    assert_string_equal(found, "[1,2,3][4,0/-100,7][4,5/7,6][]");
    mem_free(found);
    mem_free(path);
}

static void bad_rows_are_named(void **state)
{
    static const struct {
        const char *bytes, *words;
    } cases[] = {
        { "{\"input_ids\": [1]}\n{\"input_ids\": [1 2]}\n", "r.jsonl:2:18: $.input_ids" },
        { "{\"input_ids\": [1]} {\"input_ids\": [2]}\n", "r.jsonl:1:20: " },
        { "{\"input_ids\": [1]}\n\n{\"text\": \"x\"}\n", "r.jsonl:3:1: $.input_ids missing" },
        { "{\"input_ids\": null}\n", "r.jsonl:1:15: $.input_ids" },
        { "{\"input_ids\": [1.5]}\n", "r.jsonl:1:16: $.input_ids[0]" },
        { "{\"input_ids\": [-1]}\n", "r.jsonl:1:16: $.input_ids[0]" },
        { "{\"input_ids\": [2147483648]}\n", "r.jsonl:1:16: $.input_ids[0]" },
        { "{\"input_ids\": [1], \"labels\": [-7]}\n", "$.labels[0]: no label (found -7" },
        { "{\"input_ids\": [1, 2], \"labels\": [1]}\n", "not a label for each id (found 1, expected 2)" },
        { "{\"input_ids\": [1, 2], \"attention_mask\": [1]}\n", "not a mask for each id" },
        { "{\"input_ids\": [1, 2], \"attention_mask\": [1, 2]}\n", "attention_mask[1] is 2" },
        { "{\"input_ids\": [1], \"input_ids\": [1]}\n", "r.jsonl:1:20: " },
        { "{\"input_ids\": [1], \"x\": \"\\ud800\"}\n", "r.jsonl:1:" },
        { "{\"input_ids\": [1]}\n[1, 2]\n", "r.jsonl:2:1: " },
        { "{\"input_ids\": [1]}\n{\"input_ids\": [1", "r.jsonl:2:" },
        { "\x1f\x8b\x08\x00 data", "not text: looks like gzip" },
        { "\x28\xb5\x2f\xfd data", "not text: looks like zstd" },
        { "PK\x03\x04 data", "not text: looks like zip" },
        { "PAR1 data", "not text: looks like parquet" },
    };
    char *path = scratch_path(state, "r.jsonl");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        scratch_put(path, cases[i].bytes, strlen(cases[i].bytes));
        assert_documents_fail(path, ERR_DATA, cases[i].words);
        error_clear();
    }
    mem_free(path);
}

static void put(const char *path, const char *text)
{
    scratch_put(path, text, strlen(text));
}

static void hints_help(void **state)
{
    char *path = scratch_path(state, "r.jsonl");
    put(path, "[\n");
    assert_documents_fail(path, ERR_DATA, "r.jsonl:1:");
    assert_non_null(strstr(error_hint_text(), "JSON array"));
    error_clear();
    put(path, "{\"input_ids\": [1]}\n{\"input");
    assert_documents_fail(path, ERR_DATA, "r.jsonl:2:");
    assert_non_null(strstr(error_hint_text(), "incomplete last line"));
    error_clear();
    put(path, "{\"input_ids\": [1]}\n{\"input_ids\": 2}");
    assert_documents_fail(path, ERR_DATA, "r.jsonl:2:");
    assert_string_equal(error_hint_text(), ""); /* it is wrong, not cut off */
    error_clear();
    put(path, "{\"version\": 1,\n\"rows\": []}\n");
    assert_documents_fail(path, ERR_DATA, "r.jsonl:1:");
    assert_non_null(strstr(error_hint_text(), "an object over several lines?"));
    error_clear();
    mem_free(path);
}

static void deep_rows_are_refused(void **state)
{
    enum { DEPTH = 200000 };
    struct str s;
    char *path = scratch_path(state, "deep.jsonl");
    str_init(&s);
    str_append(&s, "{\"x\": ");
    for (int i = 0; i < DEPTH; i++)
        str_append_char(&s, '[');
    scratch_put(path, s.data, s.length);
    assert_documents_fail(path, ERR_DATA, "deep.jsonl:1:");
    error_clear();
    str_release(&s);
    mem_free(path);
}

/* A hole costs no disk; 64 MiB are the limit of a row. */
static void long_rows_are_refused(void **state)
{
    char *path = scratch_path(state, "long.jsonl");
    scratch_put(path, "{}\n", 3);
    assert_int_equal(truncate(path, ((off_t)64 << 20) + 100), 0);
    const char *patterns[] = { path };
    struct source_options o = {
        .option = "train_file", .patterns = patterns, .pattern_count = 1, .max_bad = 1
    };
    struct source_set set;
    struct source_reader r;
    struct str s;
    str_init(&s);
    assert_int_equal(source_set_open(&set, &o), OK);
    source_reader_init(&r, &set);
    int status = source_reader_next(&r);
    while (status == OK && r.tile_count) {
        for (size_t i = 0; i < r.tile_count; i++)
            source_tile_read(&r.tiles[i], documents_tell, &s);
        status = source_reader_next(&r);
    }
    assert_int_equal(status, ERR_DATA);
    assert_non_null(strstr(error_message(), "long.jsonl:2: the line is longer than 64 MiB"));
    error_clear();
    source_reader_release(&r);
    source_set_close(&set);
    str_release(&s);
    mem_free(path);
}

static void bad_rows_are_passed_over_when_they_may_be(void **state)
{
    static const char rows[] =
        "{\"input_ids\": [1]}\nno\n{\"input_ids\": [2]}\nno\n\nno\n{\"input_ids\": [3]}\n";
    char *path = scratch_path(state, "some.jsonl");
    const char *patterns[] = { path };
    struct source_options o = {
        .option = "train_file", .patterns = patterns, .pattern_count = 1, .max_bad = 9
    };
    struct source_set set;
    struct source_reader r;
    struct str s;
    scratch_put(path, rows, strlen(rows));
    str_init(&s);
    assert_int_equal(source_set_open(&set, &o), OK);
    source_reader_init(&r, &set);
    assert_int_equal(source_reader_next(&r), OK);
    source_tile_read(&r.tiles[0], documents_tell, &s);
    assert_string_equal(s.data, "[1][2][3]");
    assert_int_equal(r.tiles[0].bad, 3);
    assert_int_equal(r.tiles[0].lines, 7);
    assert_int_equal(source_reader_fail(&r, &r.tiles[0]), ERR_DATA);
    assert_non_null(strstr(error_message(), "some.jsonl:2:1: "));
    error_clear();
    source_reader_release(&r);
    source_set_close(&set);
    str_release(&s);
    mem_free(path);
}

/* Lines are counted over tiles and windows. */
static void lines_far_into_a_file_are_named(void **state)
{
    struct str s;
    char *path = scratch_path(state, "far.jsonl");
    str_init(&s);
    for (int i = 0; i < 900000; i++)
        str_append(&s, i == 876543 ? "{\"input_ids\": [1, x]}\n" : "{\"input_ids\": [1, 2]}\n");
    scratch_put(path, s.data, s.length);
    assert_true(s.length > (17 << 20));
    str_clear(&s);
    assert_documents_fail(path, ERR_DATA, "far.jsonl:876544:19: $.input_ids[1]");
    error_clear();
    str_release(&s);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read),
        cmocka_unit_test(bad_rows_are_named),
        cmocka_unit_test(hints_help),
        cmocka_unit_test(deep_rows_are_refused),
        cmocka_unit_test(long_rows_are_refused),
        cmocka_unit_test(bad_rows_are_passed_over_when_they_may_be),
        cmocka_unit_test(lines_far_into_a_file_are_named),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
