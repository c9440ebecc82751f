/* CSV: which cells are read, which columns are chosen, and in which words bad rows are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "lib/documents.h"
#include "lib/scratch.h"

struct text { /* with its length: NULs are text */
    const char *bytes;
    size_t length;
};
#define TEXT(s)          \
    {                    \
        s, sizeof(s) - 1 \
    }

static void rows_are_read(void **state)
{
    static const struct {
        struct text file;
        const char *documents;
    } cases[] = {
        { TEXT("text\na\nb\n"), "|a||b|" },
        { TEXT("text\r\na\r\nb"), "|a||b|" },
        { TEXT("text\ra\rb\r"), "|a||b|" },
        { TEXT("id,text\n1,a\n2,\n"), "|a|||" },
        { TEXT("\xef\xbb\xbftext,id\na,1\n"), "|a|" },
        { TEXT("\n\r\ntext,id\n\na,1\r\n\r\nb,2"), "|a||b|" },
        { TEXT("text\n\"a, \"\"b\"\"\"\n\"c\r\nd\"\n\"\"\n"), "|a, \"b\"||c\r\nd|||" },
        { TEXT("text,x\na\"b\", \"c\"\n"), "|a\"b\"|" },
        { TEXT("\"te\"\"xt\",text\n1,\"\"\"\"\n"), "|\"|" },
        { TEXT("text\n"), "" },
    };
    char *path = scratch_path(state, "a.csv");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        scratch_put(path, cases[i].file.bytes, cases[i].file.length);
        char *found = documents_of(path, false);
        assert_string_equal(found, cases[i].documents);
        mem_free(found);
    }
    mem_free(path);
}

static int count_bytes(void *context, const struct document *d)
{
    *(size_t *)context += d->cells[COLUMN_TEXT].length;
    return OK;
}

static void a_nul_is_a_byte(void **state)
{
    char *path = scratch_path(state, "nul.csv");
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    size_t bytes = 0;
    scratch_put(path, "text\na\0b\n\"\0\"\n", 13);
    assert_int_equal(documents_read(&o, count_bytes, &bytes), OK);
    assert_int_equal(bytes, 4);
    mem_free(path);
}

static void columns_are_chosen(void **state)
{
    static const struct {
        const char *file, *chosen, *documents;
    } cases[] = {
        { "a,text,context\nx,y,z\n", "text", "|y|" },
        { "a,context\nx,z\n", "context", "|z|" },
        { "id,score,when,body\n1,-2.5e3,.5,hello\n2,3,,you\n", "body", "|hello||you|" },
        { "id,n\n1,2\n2,two\n", "n", "|2||two|" },
        { "a,b\n", "a", "" },
        { "a,b,\n1,x,\n", "b", "|x|" },
    };
    char *path = scratch_path(state, "columns.csv");
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct source_set set;
        scratch_put(path, cases[i].file, strlen(cases[i].file));
        assert_int_equal(source_set_open(&set, &o), OK);
        assert_string_equal(set.chosen, cases[i].chosen);
        source_set_close(&set);
        char *found = documents_of(path, false);
        assert_string_equal(found, cases[i].documents);
        mem_free(found);
    }
    mem_free(path);
}

/* Two sentences where they are wanted; a label is no text. */
static void pairs_are_chosen(void **state)
{
    static const char rows[] = "label,sentence1,sentence2\nno,a,\"b \"\"c\"\"\"\n";
    static const char other[] = "label,sentence1,more\nno,a,b\n";
    const struct source_options both = { .columns = { [COLUMN_LABEL] = "label" }, .sentences = true };
    const struct source_options one = { .columns = { [COLUMN_LABEL] = "label" } };
    const struct source_options named = {
        .columns = { [COLUMN_TEXT] = "sentence2", [COLUMN_TEXT_PAIR] = "sentence1" }, .sentences = true
    };
    char *path = scratch_path(state, "pairs.csv"), *found;
    scratch_put(path, rows, strlen(rows));
    found = documents_with(&both, path);
    assert_string_equal(found, "|a|+b \"c\"+=no=");
    mem_free(found);
    found = documents_with(&one, path);
    assert_string_equal(found, "|a|=no=");
    mem_free(found);
    found = documents_with(&named, path);
    assert_string_equal(found, "|b \"c\"|+a+");
    mem_free(found);
    scratch_put(path, other, strlen(other));
    found = documents_with(&both, path);
    assert_string_equal(found, "|a|=no=");
    mem_free(found);
    mem_free(path);
}

static void columns_are_named(void **state)
{
    static const char rows[] = "id,from,to,kind,kind\n1,a,\"b \"\"c\"\"\",x,y\n";
    const struct source_options pairs = { .columns = { [COLUMN_SOURCE] = "from", [COLUMN_TARGET] = "to" } };
    const struct source_options labels = { .columns = { [COLUMN_TEXT] = "to", [COLUMN_LABEL] = "id" } };
    const struct source_options absent = { .columns = { [COLUMN_TEXT] = "text" } };
    const struct source_options twice = { .columns = { [COLUMN_TEXT] = "to", [COLUMN_LABEL] = "kind" } };
    char *path = scratch_path(state, "named.csv"), *found, *text = scratch_path(state, "named.txt");
    scratch_put(path, rows, strlen(rows));
    found = documents_with(&pairs, path);
    assert_string_equal(found, "<a<>b \"c\">");
    mem_free(found);
    found = documents_with(&labels, path);
    assert_string_equal(found, "|b \"c\"|=1=");
    mem_free(found);
    assert_documents_fail_with(&absent, path, ERR_DATA,
                               "named.csv: no column \"text\"; columns: id, from, to, kind, kind");
    error_clear();
    assert_documents_fail_with(&twice, path, ERR_DATA, "named.csv: column \"kind\" twice");
    error_clear();
    scratch_put(text, "a\n", 2);
    assert_documents_fail_with(&pairs, text, ERR_DATA, "no column \"from\": text files have no columns");
    error_clear();
    mem_free(path);
    mem_free(text);
}

static void one_choice_holds_for_all_files(void **state)
{
    char *a = scratch_path(state, "all-1.csv"), *b = scratch_path(state, "all-2.jsonl");
    char *all = scratch_path(state, "all-*"), *found;
    const struct source_options o = { 0 };
    scratch_put(a, "id,body\n1,x\n", 12);
    scratch_put(b, "{\"text\": \"no\", \"body\": \"y\"}\n", 28);
    found = documents_with(&o, all);
    assert_string_equal(found, "|x||y|");
    mem_free(found);
    scratch_put(b, "{\"text\": \"no\"}\n", 15);
    assert_documents_fail(all, ERR_DATA, "all-2.jsonl:1:1: $.body missing");
    error_clear();
    mem_free(a);
    mem_free(b);
    mem_free(all);
}

static void bad_rows_are_named(void **state)
{
    static const struct {
        struct text file;
        const char *words;
    } cases[] = {
        { TEXT("text,b\n1,2\n\n\"x\ny\",\"z\n"),
          "b.csv:5:4: quote opened here is never closed (record limit 16 MiB)" },
        { TEXT("text,b\n1,2\n1,2,3\n"), "b.csv:3: 3 fields, header has 2" },
        { TEXT("text,b\n\"1\n\",2\n1\n"), "b.csv:4: 1 fields, header has 2" },
        { TEXT("text\nx\n\"a\"b\n"), "b.csv:3:4: text after a closing quote" },
        { TEXT("text,\"b\" c\nx,y\n"), "b.csv:1:9: text after a closing quote" },
        { TEXT("text\nok\nit\x92s\n"), "b.csv:3: byte 10: 0x92 is not UTF-8" },
        { TEXT("\xff\xfet\0e\0"), "b.csv: not UTF-8 at byte 0: looks like UTF-16" },
        { TEXT("t\0e\0x\0t\0\n\0"), "b.csv: not UTF-8 at byte 0: looks like UTF-16" },
        { TEXT(""), "b.csv: no usable rows: the file has no header" },
        { TEXT("\n\n"), "b.csv: no usable rows: the file has no header" },
        { TEXT("\"text\n1\n"), "b.csv:1:1: quote opened here is never closed" },
        { TEXT("id,n\n1,2\n3,\n"), "b.csv: no column of text; columns: id, n" },
        { TEXT("messages,x\na,b\n"), "columns of conversations (\"messages\") are not read by this version" },
        { TEXT("input_ids\n\"[1, 2]\"\n"), "rows of input_ids are read from JSON, not from CSV" },
    };
    char *path = scratch_path(state, "b.csv");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        scratch_put(path, cases[i].file.bytes, cases[i].file.length);
        assert_documents_fail(path, ERR_DATA, cases[i].words);
        error_clear();
    }
    mem_free(path);
}

static void bad_rows_may_be_skipped(void **state)
{
    const struct source_options o = { .max_bad = 3 };
    static const char rows[] = "text,n\na,1\nb\n\"c\"c,2\nd,3\ne\xff,4\nf,5\n";
    char *path = scratch_path(state, "skip.csv");
    scratch_put(path, rows, strlen(rows));
    char *found = documents_with(&o, path);
    assert_string_equal(found, "|a||d||f|");
    mem_free(found);
    mem_free(path);
}

/* A hole costs no disk. */
static void limits_are_named(void **state)
{
    char *path = scratch_path(state, "long.csv");
    struct str s;
    scratch_put(path, "text\nx\n\"y\n", 10);
    assert_int_equal(truncate(path, (off_t)17 << 20), 0);
    assert_documents_fail(path, ERR_DATA, "long.csv:3:1: quote opened here is never closed");
    error_clear();
    scratch_put(path, "text\nx\ny", 8);
    assert_int_equal(truncate(path, (off_t)17 << 20), 0);
    assert_documents_fail(path, ERR_DATA, "long.csv:3: the row is longer than 16 MiB");
    error_clear();
    str_init(&s);
    for (int i = 0; i < 1000000; i++)
        str_append(&s, "c,");
    scratch_put(path, s.data, s.length);
    assert_documents_fail(path, ERR_DATA, "long.csv:1: 1000001 columns, at most 16384");
    error_clear();
    scratch_put(path, "\"text", 5);
    assert_int_equal(truncate(path, (off_t)40 << 20), 0);
    assert_documents_fail(path, ERR_DATA, "long.csv:1:1: quote opened here is never closed");
    error_clear();
    str_release(&s);
    mem_free(path);
}

struct sums {
    uint64_t documents, hash;
};

static void add_sum(struct sums *s, const char *bytes, size_t length)
{
    s->documents++;
    for (size_t i = 0; i < length; i++)
        s->hash = s->hash * 31 + (unsigned char)bytes[i];
    s->hash = rng_mix(s->hash + 1);
}

static int sum_document(void *context, const struct document *d)
{
    add_sum(context, d->cells[COLUMN_TEXT].bytes, d->cells[COLUMN_TEXT].length);
    return OK;
}

static void append_quoted(struct str *file, const char *text, size_t length)
{
    str_append_char(file, '"');
    for (size_t i = 0; i < length; i++) {
        str_append_char(file, text[i]);
        if (text[i] == '"')
            str_append_char(file, '"');
    }
    str_append_char(file, '"');
}

/* What is written by the rules is read by them, wherever windows and tiles end. */
static void what_is_written_is_read(void **state)
{
    char *path = scratch_path(state, "big.csv"), text[400];
    const char *patterns[] = { path };
    struct source_options o = { .option = "train_file", .patterns = patterns, .pattern_count = 1 };
    struct sums wanted = { 0 }, found = { 0 };
    struct rng_key key = { .seed = 5 };
    struct str file;
    uint64_t n = 0;
    str_init(&file);
    str_append(&file, "id,text,more\r\n");
    while (file.length < 20 << 20) {
        size_t length = (size_t)rng_below(key, 0, n++, sizeof(text));
        for (size_t i = 0; i < length; i++)
            text[i] = "abc \",\n\r"[rng_below(key, 1, n * sizeof(text) + i, 8)];
        str_append(&file, "17,");
        append_quoted(&file, text, length);
        str_append(&file, n % 3 ? ",\"x\"\"\ny\"\r\n" : ",\n");
        add_sum(&wanted, text, length);
    }
    scratch_put(path, file.data, file.length);
    assert_int_equal(documents_read(&o, sum_document, &found), OK);
    assert_memory_equal(&found, &wanted, sizeof(found));
    str_release(&file);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read),      cmocka_unit_test(a_nul_is_a_byte),
        cmocka_unit_test(columns_are_chosen), cmocka_unit_test(pairs_are_chosen),
        cmocka_unit_test(columns_are_named),  cmocka_unit_test(one_choice_holds_for_all_files),
        cmocka_unit_test(bad_rows_are_named), cmocka_unit_test(bad_rows_may_be_skipped),
        cmocka_unit_test(limits_are_named),   cmocka_unit_test(what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
