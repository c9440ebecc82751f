/* Rows that are tokenized already, a JSON object a line:
 *     {"input_ids": [5, 9, 2], "labels": [-100, 9, 2]}
 * labels: as many as ids, -100 where there is no loss. attention_mask may be there when it is all ones; other
 * members are not looked at. Lines of white space alone are passed over. */
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/source.h"

struct numbers {
    int32_t *values;
    size_t count, capacity;
    bool given;
};

struct row {
    struct numbers ids, labels, mask;
};

static size_t cut(const char *bytes, size_t begin, size_t goal, size_t length, bool end)
{
    size_t at = goal > begin + 1 ? goal - 1 : begin;
    const char *stop = at < length ? memchr(bytes + at, '\n', length - at) : NULL;
    return stop ? (size_t)(stop - bytes) + 1 : 0;
}

static void read_numbers(struct json_reader *r, struct numbers *n, int64_t least)
{
    n->given = true;
    if (!json_array_begin(r))
        return;
    while (json_next_element(r)) {
        int64_t value = json_int(r, least, INT32_MAX);
        if (value < 0 && value != -100)
            json_fail(r, "no label (found %lld, expected an id or -100)", (long long)value);
        n->values = mem_grow(n->values, n->count, &n->capacity, sizeof(*n->values));
        n->values[n->count++] = (int32_t)value;
    }
}

static void check_row(struct json_reader *r, const struct row *row)
{
    if (json_status(r) != OK)
        return;
    if (!row->ids.given)
        json_fail(r, "no \"input_ids\"");
    else if (row->labels.given && row->labels.count != row->ids.count)
        json_fail(r, "not a label for each id (found %zu labels, expected %zu)", row->labels.count,
                  row->ids.count);
    else if (row->mask.given && row->mask.count != row->ids.count)
        json_fail(r, "not a mask for each id (found %zu, expected %zu)", row->mask.count, row->ids.count);
    for (size_t i = 0; i < row->mask.count && json_status(r) == OK; i++)
        if (row->mask.values[i] != 1)
            json_fail(r, "attention_mask[%zu] is %d (expected 1: padding is to be left out of rows)", i,
                      row->mask.values[i]);
}

static void begin_row(struct row *row)
{
    row->ids.count = row->labels.count = row->mask.count = 0;
    row->ids.given = row->labels.given = row->mask.given = false;
}

static int parse_row(struct row *row, const char *name, const char *line, size_t length)
{
    struct json_reader r;
    struct json_string key;
    begin_row(row);
    json_reader_init(&r, name, line, length);
    if (json_object_begin(&r))
        while (json_next_key(&r, &key)) {
            if (json_key_is(&r, "input_ids"))
                read_numbers(&r, &row->ids, 0);
            else if (json_key_is(&r, "labels"))
                read_numbers(&r, &row->labels, -100);
            else if (json_key_is(&r, "attention_mask"))
                read_numbers(&r, &row->mask, 0);
            else
                json_skip(&r);
        }
    check_row(&r, row);
    int status = json_end(&r);
    json_reader_release(&r);
    return status;
}

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!strchr(" \t\r", line[i]) || !line[i])
            return false;
    return true;
}

static void read_row(struct source_tile *t, struct row *row, const char *line, size_t length, bool complete)
{
    bool too_long = length > t->file->format->record_limit;
    const char *path = t->file->path;
    if (too_long)
        fail(ERR_DATA, "%s:1: the line is longer than %zu MiB", path, t->file->format->record_limit >> 20);
    if (!too_long && parse_row(row, path, line, length) == OK)
        return;
    if (*line == '[')
        error_hint("%s holds a JSON array; what is wanted is one object a line", path);
    else if (!complete)
        error_hint("the last line of %s has no line break: was its writer stopped?", path);
    source_tile_bad(t, true);
}

static void read_rows(struct source_tile *t, document_fn *emit, void *context)
{
    const char *end = t->bytes + t->length, *next;
    struct row row = { 0 };
    for (const char *p = t->bytes; p < end && t->bad <= t->options->max_bad; p = next, t->lines++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t length = (size_t)((stop ? stop : end) - p);
        int64_t bad = t->bad;
        next = stop ? stop + 1 : end;
        if (is_blank(p, length))
            continue;
        read_row(t, &row, p, length, stop != NULL);
        if (t->bad > bad)
            continue;
        struct document d = { .tokenized = true, .ids = row.ids.values, .count = row.ids.count };
        if (row.labels.given)
            d.labels = row.labels.values;
        if (emit(context, &d) != OK)
            source_tile_bad(t, false);
    }
    mem_free(row.ids.values);
    mem_free(row.labels.values);
    mem_free(row.mask.values);
}

const struct source_format source_rows = {
    .name = "rows",
    .endings = (const char *const[]){ ".json", ".jsonl", NULL },
    .record_limit = 64 << 20,
    .cut = cut,
    .read = read_rows,
};
