#include "lib/documents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"

int documents_tell(void *context, const struct document *d)
{
    struct str *s = context;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        if (!d->cells[i].given)
            continue;
        str_append_char(s, "|+<>="[i]);
        str_append_bytes(s, d->cells[i].bytes, d->cells[i].length);
        str_append_char(s, "|+<>="[i]);
    }
    if (!d->tokenized)
        return OK;
    str_append_char(s, '[');
    for (size_t i = 0; i < d->count; i++)
        str_appendf(s, "%s%d", i ? "," : "", d->ids[i]);
    for (size_t i = 0; d->labels && i < d->count; i++)
        str_appendf(s, "%s%d", i ? "," : "/", d->labels[i]);
    for (size_t i = 0; d->types && i < d->count; i++)
        str_appendf(s, "%s%d", i ? "," : ":", d->types[i]);
    str_append_char(s, ']');
    return OK;
}

int documents_read(const struct source_options *o, document_fn *emit, void *context)
{
    struct source_set set;
    struct source_reader r;
    TRY(source_set_open(&set, o));
    source_reader_init(&r, &set);
    int status = source_reader_next(&r);
    while (status == OK && r.tile_count) {
        for (size_t i = 0; i < r.tile_count && status == OK; i++) {
            source_tile_read(&r.tiles[i], emit, context);
            if (r.tiles[i].bad > o->max_bad)
                status = source_reader_fail(&r, &r.tiles[i]);
        }
        if (status == OK)
            status = source_reader_next(&r);
    }
    if (status == OK)
        assert_int_equal(source_reader_place(&r), set.bytes);
    source_reader_release(&r);
    source_set_close(&set);
    return status;
}

char *documents_with(const struct source_options *options, const char *path)
{
    const char *patterns[] = { path };
    struct source_options o = *options;
    struct str s;
    o.option = "train_file";
    o.patterns = patterns;
    o.pattern_count = 1;
    str_init(&s);
    if (documents_read(&o, documents_tell, &s) != OK)
        fail_msg("%s", error_message());
    return str_detach(&s);
}

char *documents_of(const char *path, bool drop_linebreaks)
{
    return documents_with(&(struct source_options){ .drop_linebreaks = drop_linebreaks }, path);
}

void assert_documents_fail_with(const struct source_options *options, const char *path, int expected,
                                const char *words)
{
    const char *patterns[] = { path };
    struct source_options o = *options;
    struct str s;
    o.option = "train_file";
    o.patterns = patterns;
    o.pattern_count = 1;
    str_init(&s);
    assert_int_equal(documents_read(&o, documents_tell, &s), expected);
    if (!strstr(error_message(), words))
        fail_msg("found \"%s\", expected \"%s\"", error_message(), words);
    str_release(&s);
}

void assert_documents_fail(const char *path, int expected, const char *words)
{
    assert_documents_fail_with(&(struct source_options){ 0 }, path, expected, words);
}
