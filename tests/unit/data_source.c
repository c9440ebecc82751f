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
#include "lib/documents.h"
#include "lib/scratch.h"

static int count_bytes(void *context, const struct document *d)
{
    uint64_t *sums = context; /* documents, bytes, a hash that depends on where documents end */
    sums[0]++;
    sums[1] += d->cells[COLUMN_TEXT].length;
    for (size_t i = 0; i < d->cells[COLUMN_TEXT].length; i++)
        sums[2] = sums[2] * 31 + (unsigned char)d->cells[COLUMN_TEXT].bytes[i];
    sums[2] = rng_mix(sums[2] + 1);
    return OK;
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
        struct document d = { 0 };
        d.cells[COLUMN_TEXT] = (struct cell){ .bytes = p, .length = (size_t)(stop - p) + (stop < end) };
        count_bytes(expected, &d);
        p = next;
    }
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    assert_int_equal(documents_read(&o, count_bytes, found), OK);
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
    source_tile_read(&r.tiles[0], documents_tell, &s);
    assert_int_equal(r.tiles[0].strange, 0x80);
    assert_int_equal(r.tiles[0].lines, 3);
    assert_int_equal(s.length, 256 + 6);
    source_reader_release(&r);
    source_set_close(&set);
    str_release(&s);
    mem_free(path);
}

static void wrong_files_are_refused(void **state)
{
    char *missing = scratch_path(state, "none.txt"), *table = scratch_path(state, "a.parquet");
    char *directory = scratch_path(state, "d.txt"), *glob = scratch_path(state, "*.none.txt");
    scratch_put(table, "x", 1);
    assert_int_equal(mkdir(directory, 0777), 0);
    assert_documents_fail(missing, ERR_OPEN, "none.txt: cannot open");
    error_clear();
    assert_documents_fail(table, ERR_USAGE, "`train_file` should be a csv, a json or a txt file (found \"");
    error_clear();
    assert_documents_fail(directory, ERR_OPEN, "is a directory");
    error_clear();
    assert_documents_fail(glob, ERR_OPEN, "no file matches");
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
    assert_int_equal(documents_read(&o, documents_tell, &s), OK);
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
    source_tile_read(&r.tiles[0], documents_tell, &s);
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
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(patterns_are_expanded_in_order),
        cmocka_unit_test(pipes_are_read_twice),
        cmocka_unit_test(every_byte_is_in_the_hash),
        cmocka_unit_test(a_file_that_changes_is_noticed),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
