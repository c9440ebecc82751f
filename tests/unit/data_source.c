/* Sources: which documents files hold, in which words bad ones are refused. */
#include "data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "lib/scratch.h"

/* What a document says, in one line: |text| or [ids/labels]. */
static int tell(void *context, const struct document *d)
{
    struct str *s = context;
    if (d->text) {
        str_append_char(s, '|');
        str_append_bytes(s, d->text, d->length);
        str_append_char(s, '|');
        return OK;
    }
    str_append_char(s, '[');
    for (size_t i = 0; i < d->count; i++)
        str_appendf(s, "%s%d", i ? "," : "", d->ids[i]);
    for (size_t i = 0; d->labels && i < d->count; i++)
        str_appendf(s, "%s%d", i ? "," : "/", d->labels[i]);
    str_append_char(s, ']');
    return OK;
}

static int count_bytes(void *context, const struct document *d)
{
    uint64_t *sums = context; /* documents, bytes, a hash that depends on where documents end */
    sums[0]++;
    sums[1] += d->length;
    for (size_t i = 0; i < d->length; i++)
        sums[2] = sums[2] * 31 + (unsigned char)d->text[i];
    sums[2] = rng_mix(sums[2] + 1);
    return OK;
}

static int read_everything(const struct source_options *o, document_fn *emit, void *context)
{
    struct source_set set;
    struct source_reader r;
    TRY(source_set_open(&set, o));
    source_reader_init(&r, &set);
    int status = source_reader_next(&r);
    while (status == OK && r.tile_count) {
        for (size_t i = 0; i < r.tile_count && status == OK; i++) {
            source_tile_read(&r.tiles[i], emit, context);
            if (r.tiles[i].bad)
                status = source_reader_fail(&r, &r.tiles[i]);
        }
        if (status == OK)
            status = source_reader_next(&r);
    }
    if (status == OK)
        assert_int_equal(r.done, set.bytes);
    source_reader_release(&r);
    source_set_close(&set);
    return status;
}

/* The documents of one file as tell says them; the caller frees it. */
static char *documents_of(const char *path, bool drop_linebreaks)
{
    const char *patterns[] = { path };
    struct source_options o = {
        .option = "train_file", .patterns = patterns, .pattern_count = 1, .drop_linebreaks = drop_linebreaks
    };
    struct str s;
    str_init(&s);
    assert_int_equal(read_everything(&o, tell, &s), OK);
    return str_detach(&s);
}

static void assert_fails(const char *path, int expected, const char *words)
{
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    struct str s;
    str_init(&s);
    assert_int_equal(read_everything(&o, tell, &s), expected);
    if (!strstr(error_message(), words))
        fail_msg("found \"%s\", expected \"%s\"", error_message(), words);
    str_release(&s);
}

static void text_is_cut_at_universal_newlines(void **state)
{
    static const struct {
        const char *bytes, *kept, *dropped;
    } cases[] = {
        { "a\nb\n", "|a\n||b\n|", "|a||b|" },
        { "a\r\nb\rc\n", "|a\n||b\n||c\n|", "|a||b||c|" },
        { "a\n\n\r\r\nb", "|a\n||\n||\n||\n||b|", "|a||||||||b|" },
        { "last", "|last|", "|last|" },
        { "a\r", "|a\n|", "|a|" },
        { "\n", "|\n|", "||" },
        { "", "", "" },
        { "x\x0b\x0c\x1c\xc2\x85\xe2\x80\xa8y\n", "|x\x0b\x0c\x1c\xc2\x85\xe2\x80\xa8y\n|",
          "|x\x0b\x0c\x1c\xc2\x85\xe2\x80\xa8y|" },
        { "\xef\xbb\xbf"
          "a\n",
          "|\xef\xbb\xbf"
          "a\n|",
          "|\xef\xbb\xbf"
          "a|" },
    };
    char *path = scratch_path(state, "a.txt");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        scratch_put(path, cases[i].bytes, strlen(cases[i].bytes));
        char *kept = documents_of(path, false), *dropped = documents_of(path, true);
        assert_string_equal(kept, cases[i].kept);
        assert_string_equal(dropped, cases[i].dropped);
        mem_free(kept);
        mem_free(dropped);
    }
    mem_free(path);
}

/* Line breaks of every kind, long lines, and tiles and windows that end anywhere: the whole file at once,
 * read by a loop of its own, is the measure. */
static void windows_and_tiles_change_nothing(void **state)
{
    enum { LENGTH = 40 << 20, LONG_BEGIN = 3 << 20, LONG_END = 27 << 20 };
    char *bytes = mem_alloc(LENGTH + 1), *path = scratch_path(state, "big.txt");
    uint64_t word = 1;
    for (size_t i = 0; i < LENGTH; i++) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        unsigned dice = (unsigned)(word >> 33) & 127;
        bool may_end = i < LONG_BEGIN || i > LONG_END;
        bytes[i] = may_end && dice < 3 ? "\r\n\n"[dice] : (char)('a' + dice % 26);
    }
    scratch_put(path, bytes, LENGTH);
    uint64_t expected[3] = { 0 }, found[3] = { 0 };
    for (char *p = bytes, *end = bytes + LENGTH; p < end;) {
        char *stop = p;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        bool pair = end - stop > 1 && stop[0] == '\r' && stop[1] == '\n';
        char *next = stop + (stop < end) + pair;
        if (stop < end)
            *stop = '\n';
        struct document d = { .text = p, .length = (size_t)(stop - p) + (stop < end) };
        count_bytes(expected, &d);
        p = next;
    }
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    assert_int_equal(read_everything(&o, count_bytes, found), OK);
    assert_memory_equal(found, expected, sizeof(found));
    assert_true(found[0] > 10000);
    mem_free(bytes);
    mem_free(path);
}

static void any_bytes_are_text(void **state)
{
    char bytes[259] = "", *path = scratch_path(state, "bytes.txt");
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    struct source_set set;
    struct source_reader r;
    struct str s;
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    scratch_put(path, bytes, 256);
    str_init(&s);
    assert_int_equal(source_set_open(&set, &o), OK);
    source_reader_init(&r, &set);
    assert_int_equal(source_reader_next(&r), OK);
    assert_int_equal(r.tile_count, 1);
    source_tile_read(&r.tiles[0], tell, &s);
    assert_int_equal(r.tiles[0].strange, 0x80);
    assert_int_equal(r.tiles[0].lines, 3);
    assert_int_equal(s.length, 256 + 6);
    source_reader_release(&r);
    source_set_close(&set);
    str_release(&s);
    mem_free(path);
}

static void rows_are_read(void **state)
{
    static const char rows[] =
        "{\"input_ids\": [1, 2, 3]}\r\n"
        "  \n"
        "{\"text\": \"x\", \"attention_mask\": [1, 1], \"input_ids\": [4, 0], \"labels\": [-100, 7]}\n"
        "{\"input_ids\": []}";
    char *path = scratch_path(state, "a.jsonl");
    scratch_put(path, rows, strlen(rows));
    char *found = documents_of(path, false);
    assert_string_equal(found, "[1,2,3][4,0/-100,7][]");
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
        { "{\"input_ids\": [1]}\n\n{\"text\": \"x\"}\n", "r.jsonl:3:1: no \"input_ids\"" },
        { "{\"input_ids\": null}\n", "r.jsonl:1:15: $.input_ids" },
        { "{\"input_ids\": [1.5]}\n", "r.jsonl:1:16: $.input_ids[0]" },
        { "{\"input_ids\": [-1]}\n", "r.jsonl:1:16: $.input_ids[0]" },
        { "{\"input_ids\": [2147483648]}\n", "r.jsonl:1:16: $.input_ids[0]" },
        { "{\"input_ids\": [1], \"labels\": [-7]}\n", "$.labels[0]: no label (found -7" },
        { "{\"input_ids\": [1, 2], \"labels\": [1]}\n", "found 1 labels, expected 2" },
        { "{\"input_ids\": [1, 2], \"attention_mask\": [1]}\n", "not a mask for each id" },
        { "{\"input_ids\": [1, 2], \"attention_mask\": [1, 0]}\n", "attention_mask[1] is 0" },
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
        assert_fails(path, ERR_DATA, cases[i].words);
        error_clear();
    }
    mem_free(path);
}

static void hints_help(void **state)
{
    char *path = scratch_path(state, "r.jsonl");
    scratch_put(path, "[\n", 2);
    assert_fails(path, ERR_DATA, "r.jsonl:1:");
    assert_non_null(strstr(error_hint_text(), "JSON array"));
    error_clear();
    scratch_put(path, "{\"input_ids\": [1]}\n{\"input", 26);
    assert_fails(path, ERR_DATA, "r.jsonl:2:");
    assert_non_null(strstr(error_hint_text(), "has no line break"));
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
    assert_fails(path, ERR_DATA, "deep.jsonl:1:");
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
            source_tile_read(&r.tiles[i], tell, &s);
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
    source_tile_read(&r.tiles[0], tell, &s);
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
    assert_fails(path, ERR_DATA, "far.jsonl:876544:19: $.input_ids[1]");
    error_clear();
    str_release(&s);
    mem_free(path);
}

static void wrong_files_are_refused(void **state)
{
    char *missing = scratch_path(state, "none.txt"), *table = scratch_path(state, "a.parquet");
    char *directory = scratch_path(state, "d.txt"), *glob = scratch_path(state, "*.none.txt");
    scratch_put(table, "x", 1);
    assert_int_equal(mkdir(directory, 0777), 0);
    assert_fails(missing, ERR_OPEN, "none.txt: cannot open");
    error_clear();
    assert_fails(table, ERR_USAGE, "`train_file` should be ");
    error_clear();
    assert_fails(directory, ERR_OPEN, "is a directory");
    error_clear();
    assert_fails(glob, ERR_OPEN, "no file matches");
    error_clear();
    mem_free(missing);
    mem_free(table);
    mem_free(directory);
    mem_free(glob);
}

static void patterns_are_expanded_in_order(void **state)
{
    char *b = scratch_path(state, "g-b.txt"), *a = scratch_path(state, "g-a.txt"),
         *all = scratch_path(state, "g-*");
    const char *patterns[] = { b, all };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 2 };
    struct str s;
    scratch_put(a, "a", 1);
    scratch_put(b, "b", 1);
    str_init(&s);
    assert_int_equal(read_everything(&o, tell, &s), OK);
    assert_string_equal(s.data, "|b||a||b|");
    str_release(&s);
    mem_free(a);
    mem_free(b);
    mem_free(all);
}

static void *feed(void *context)
{
    int fd = open(context, O_WRONLY);
    if (fd >= 0) {
        if (write(fd, "from a\n", 7) == 7 && write(fd, "pipe", 4) == 4)
            close(fd);
    }
    return NULL;
}

static void pipes_are_read_twice(void **state)
{
    char *path = scratch_path(state, "pipe.txt"), *spool = scratch_path(state, "spool/deep");
    const char *patterns[] = { path };
    struct source_options o = {
        .option = "train_file", .patterns = patterns, .pattern_count = 1, .spool_directory = spool
    };
    struct source_set set;
    struct source_reader r;
    struct str s;
    pthread_t thread;
    uint64_t piped, plain;
    char **names;
    size_t count;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&thread, NULL, feed, path), 0);
    assert_int_equal(source_set_open(&set, &o), OK);
    pthread_join(thread, NULL);
    str_init(&s);
    assert_int_equal(source_set_hash(&set, &piped), OK);
    source_reader_init(&r, &set);
    assert_int_equal(source_reader_next(&r), OK);
    source_tile_read(&r.tiles[0], tell, &s);
    assert_string_equal(s.data, "|from a\n||pipe|");
    source_reader_release(&r);
    source_set_close(&set);
    assert_int_equal(directory_list(spool, &names, &count), OK);
    assert_int_equal(count, 0);
    names_free(names, count);

    assert_int_equal(unlink(path), 0);
    scratch_put(path, "from a\npipe", 11);
    assert_int_equal(source_set_open(&set, &o), OK);
    assert_int_equal(source_set_hash(&set, &plain), OK);
    assert_int_equal(piped, plain);
    source_set_close(&set);
    str_release(&s);
    mem_free(path);
    mem_free(spool);
}

static uint64_t hash_of(const char *path)
{
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    struct source_set set;
    uint64_t hash;
    assert_int_equal(source_set_open(&set, &o), OK);
    assert_int_equal(source_set_hash(&set, &hash), OK);
    source_set_close(&set);
    return hash;
}

static void every_byte_is_in_the_hash(void **state)
{
    enum { LENGTH = (3 << 20) + 17 };
    char *bytes = mem_alloc(LENGTH), *path = scratch_path(state, "h.txt"),
         *copy = scratch_path(state, "copy.txt");
    char *other = scratch_path(state, "h.json");
    scratch_put(path, bytes, LENGTH);
    scratch_put(copy, bytes, LENGTH);
    scratch_put(other, bytes, LENGTH);
    uint64_t before = hash_of(path);
    assert_int_equal(hash_of(copy), before);
    assert_int_not_equal(hash_of(other), before); /* another format */
    static const size_t places[] = { 0, 1 << 20, (2 << 20) - 1, LENGTH - 1 };
    for (int i = 0; i < 4; i++) {
        bytes[places[i]] ^= 1;
        scratch_put(path, bytes, LENGTH);
        bytes[places[i]] ^= 1;
        assert_int_not_equal(hash_of(path), before);
    }
    scratch_put(path, bytes, LENGTH - 1);
    assert_int_not_equal(hash_of(path), before);
    mem_free(bytes);
    mem_free(path);
    mem_free(copy);
    mem_free(other);
}

static void a_file_that_changes_is_noticed(void **state)
{
    char *path = scratch_path(state, "c.txt");
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    struct source_set set;
    struct source_reader r;
    scratch_put(path, "one\n", 4);
    assert_int_equal(source_set_open(&set, &o), OK);
    assert_int_equal(source_set_check(&set), OK);
    scratch_put(path, "t\n", 2);
    assert_int_equal(source_set_check(&set), ERR_IO);
    assert_non_null(strstr(error_message(), "c.txt: the file changed during reading"));
    error_clear();
    source_reader_init(&r, &set);
    assert_int_equal(source_reader_next(&r), ERR_IO); /* what was there when it was opened is no more */
    error_clear();
    source_reader_release(&r);
    source_set_close(&set);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_at_universal_newlines),
        cmocka_unit_test(windows_and_tiles_change_nothing),
        cmocka_unit_test(any_bytes_are_text),
        cmocka_unit_test(rows_are_read),
        cmocka_unit_test(bad_rows_are_named),
        cmocka_unit_test(hints_help),
        cmocka_unit_test(deep_rows_are_refused),
        cmocka_unit_test(long_rows_are_refused),
        cmocka_unit_test(bad_rows_are_passed_over_when_they_may_be),
        cmocka_unit_test(lines_far_into_a_file_are_named),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(patterns_are_expanded_in_order),
        cmocka_unit_test(pipes_are_read_twice),
        cmocka_unit_test(every_byte_is_in_the_hash),
        cmocka_unit_test(a_file_that_changes_is_noticed),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
