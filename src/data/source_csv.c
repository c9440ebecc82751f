/* CSV as RFC 4180 has it: fields between commas, records end at "\r\n", "\n" or "\r", the first one names the
 * columns. A field that begins with a quote goes to the next single quote; two quotes stand for one; commas
 * and line breaks within are text. A quote elsewhere in a field is text, as in Python's csv module. Blank
 * lines are passed over, a byte order mark at the beginning, too. NUL is a byte like any other. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "data/source_table.h"

enum { MOST_COLUMNS = TABLE_MOST_COLUMNS };

struct field {
    const char *bytes;
    size_t length;
    bool quoted, doubled;
    const char *trouble; /* where the text after a closing quote begins; where a quote opens that never
                            closes: then bytes is NULL */
};

static bool ends_field(char c)
{
    return c == ',' || c == '\n' || c == '\r';
}

/* The field at p; the place of what ends it, or end. */
static const char *read_field(const char *p, const char *end, struct field *f)
{
    *f = (struct field){ .bytes = p };
    const char *stop = p;
    if (p < end && *p == '"') {
        f->bytes = p + 1;
        f->quoted = true;
        const char *quote = memchr(p + 1, '"', (size_t)(end - p - 1));
        for (; quote && end - quote > 1 && quote[1] == '"';
             quote = memchr(quote + 2, '"', (size_t)(end - quote - 2)))
            f->doubled = true;
        if (!quote) {
            *f = (struct field){ .trouble = p };
            return end;
        }
        f->length = (size_t)(quote - f->bytes);
        stop = quote + 1;
        if (stop < end && !ends_field(*stop))
            f->trouble = stop;
    }
    while (stop < end && !ends_field(*stop))
        stop++;
    if (!f->quoted)
        f->length = (size_t)(stop - p);
    return stop;
}

/* Behind the line break at p. */
static const char *pass_break(const char *p, const char *end)
{
    return p + 1 + (*p == '\r' && end - p > 1 && p[1] == '\n');
}

/* Behind the record at p; NULL when it does not end before `end` for certain. */
static const char *pass_record(const char *p, const char *end)
{
    struct field f;
    for (;;) {
        p = read_field(p, end, &f);
        if (p == end || (*p == '\r' && end - p == 1))
            return NULL;
        if (*p != ',')
            return pass_break(p, end);
        p++;
    }
}

static size_t cut(const char *bytes, size_t begin, size_t goal, size_t length, bool end)
{
    const char *p = bytes + begin;
    do {
        p = pass_record(p, bytes + length);
        if (!p)
            return end ? length : 0;
    } while (p < bytes + goal);
    return (size_t)(p - bytes);
}

/* ---- records ---- */

struct record {
    struct field *fields;
    size_t count, capacity;
};

/* The record at p, with its fields. At most one more than there may be is kept. */
static const char *read_record(const char *p, const char *end, struct record *r)
{
    for (r->count = 0;; p++) {
        if (r->count <= MOST_COLUMNS)
            r->fields = mem_grow(r->fields, r->count, &r->capacity, sizeof(*r->fields));
        struct field f;
        p = read_field(p, end, &f);
        if (r->count <= MOST_COLUMNS)
            r->fields[r->count] = f;
        r->count++;
        if (p == end || *p != ',')
            return p == end ? end : pass_break(p, end);
    }
}

static bool is_blank(const struct record *r)
{
    return r->count == 1 && !r->fields[0].quoted && r->fields[0].length == 0 && r->fields[0].bytes;
}

static int64_t count_breaks(const char *p, const char *end)
{
    int64_t count = 0;
    for (; p < end; p++)
        count += *p == '\n' || (*p == '\r' && (end - p == 1 || p[1] != '\n'));
    return count;
}

/* Line and column, from 1, of a place in a record; the column in characters. */
static void find_place(const char *record, const char *at, long long *line, long long *column)
{
    *line = count_breaks(record, at) + 1;
    *column = 1;
    for (const char *p = at; p > record && p[-1] != '\n' && p[-1] != '\r'; p--)
        *column += ((unsigned char)p[-1] & 0xC0) != 0x80;
}

static int fail_open(const char *path, int64_t lines, const char *record, const char *quote)
{
    long long line, column;
    find_place(record, quote, &line, &column);
    return fail(ERR_DATA, "%s:%lld:%lld: quote opened here is never closed (record limit %zu MiB)", path,
                lines + line, column, source_csv.record_limit >> 20);
}

static int fail_long(const struct source_file *f, int64_t line, const char *record, size_t length)
{
    const char *p = record, *end = record + length;
    struct field field = { 0 };
    for (p = read_field(p, end, &field); p < end && *p == ','; p = read_field(p + 1, end, &field)) {
    }
    if (!field.bytes)
        return fail_open(f->path, line, record, field.trouble);
    return fail(ERR_DATA, "%s:%lld: the row is longer than %zu MiB", f->path, (long long)line + 1,
                f->format->record_limit >> 20);
}

static int fail_bytes(const char *path, const char *record, const char *at, uint64_t offset)
{
    long long line, column;
    unsigned byte = (unsigned char)*at;
    find_place(record, at, &line, &column);
    int status = fail(ERR_DATA, "%s:%lld: byte %llu: 0x%02x is not UTF-8", path, line,
                      (unsigned long long)offset, byte);
    error_hint("looks like Windows-1252: iconv -f WINDOWS-1252 -t UTF-8 makes it readable");
    return status;
}

/* lines: before the record, where a tile does not know them. */
static int check_fields(const struct record *r, const char *path, const char *record, int64_t lines)
{
    long long line, column;
    for (size_t i = 0; i < r->count && i <= MOST_COLUMNS; i++) {
        const struct field *f = &r->fields[i];
        if (!f->bytes)
            return fail_open(path, lines, record, f->trouble);
        if (!f->trouble)
            continue;
        find_place(record, f->trouble, &line, &column);
        return fail(ERR_DATA, "%s:%lld:%lld: text after a closing quote", path, lines + line, column);
    }
    return OK;
}

static void unquote(const struct field *f, struct str *out)
{
    const char *p = f->bytes, *end = p + f->length;
    str_clear(out);
    while (p < end) {
        const char *quote = memchr(p, '"', (size_t)(end - p)), *stop = quote ? quote + 1 : end;
        str_append_bytes(out, p, (size_t)(stop - p));
        p = quote ? quote + 2 : end;
    }
}

/* ---- the beginning ---- */

static int check_wide(const struct source_file *f, const struct str *bytes)
{
    const char *p = bytes->data;
    bool mark = bytes->length > 1 && (memcmp(p, "\xFF\xFE", 2) == 0 || memcmp(p, "\xFE\xFF", 2) == 0);
    if (mark || (bytes->length > 1 && (p[0] == 0) != (p[1] == 0)))
        return fail(ERR_DATA, "%s: not UTF-8 at byte 0: looks like UTF-16", f->path);
    return OK;
}

static int add_columns(const struct source_file *f, const char *begin, int64_t lines, const struct record *r,
                       struct table *table)
{
    struct str name;
    int status = check_fields(r, f->path, begin, lines);
    if (status == OK && r->count > MOST_COLUMNS)
        status = fail(ERR_DATA, "%s:%lld: %zu columns, at most %d", f->path, (long long)lines + 1, r->count,
                      MOST_COLUMNS);
    str_init(&name);
    for (size_t i = 0; i < r->count && status == OK; i++) {
        unquote(&r->fields[i], &name);
        table_add(table, name.data, name.length);
    }
    table->fixed = true;
    str_release(&name);
    return status;
}

/* The header is the first record that is no blank line. */
static int read_header(struct source_file *f, struct source_head *h, struct table *table)
{
    const char *begin = h->bytes.data, *end = begin + h->bytes.length, *p = begin, *next = NULL;
    struct record r = { 0 };
    int status = OK;
    if (h->bytes.length >= 3 && memcmp(begin, "\xEF\xBB\xBF", 3) == 0)
        p += 3;
    do {
        p = next ? next : p;
        next = pass_record(p, end);
        if (!next && !h->whole)
            break;
        next = read_record(p, end, &r);
    } while (next < end && is_blank(&r));
    if (p == end || (next && is_blank(&r)))
        status = fail(ERR_DATA, "%s: no usable rows: the file has no header", f->path);
    else if (!next && h->bytes.length > f->format->record_limit)
        status = fail_long(f, count_breaks(begin, p), p, (size_t)(end - p));
    else if (next)
        status = add_columns(f, p, count_breaks(begin, p), &r, table);
    if (status == OK && next) {
        f->begin = (uint64_t)(next - begin);
        f->line = count_breaks(begin, next);
    }
    h->bytes.length = status == OK && next ? (size_t)(end - next) : 0;
    memmove(h->bytes.data, end - h->bytes.length, h->bytes.length);
    mem_free(r.fields);
    return status;
}

static int head(struct source_file *f, const struct source_options *o, struct source_head *h,
                struct table *table)
{
    (void)o;
    TRY(source_head_read(f, h));
    TRY(check_wide(f, &h->bytes));
    return read_header(f, h, table);
}

static void look(struct table *t, const char *bytes, size_t length)
{
    struct record r = { 0 };
    read_record(bytes, bytes + length, &r);
    if (!is_blank(&r) && r.count == t->count) {
        for (size_t i = 0; i < r.count; i++)
            if (r.fields[i].bytes && cell_is_text(r.fields[i].bytes, r.fields[i].length))
                t->columns[i].text = true;
        t->rows++;
    }
    mem_free(r.fields);
}

/* ---- reading ---- */

struct reading {
    struct source_tile *tile;
    struct record record;
    struct str copies[COLUMN_COUNT];
    struct document document;
};

static int read_cell(struct reading *r, const char *record, int c)
{
    const struct source_tile *t = r->tile;
    const struct field *f = &r->record.fields[t->file->places[c]];
    struct cell *cell = &r->document.cells[c];
    size_t valid = utf8_valid_prefix(f->bytes, f->length);
    if (valid < f->length)
        return fail_bytes(t->file->path, record, f->bytes + valid,
                          t->offset + (uint64_t)(f->bytes + valid - t->bytes));
    *cell = (struct cell){ .bytes = f->bytes, .length = f->length, .given = true };
    if (f->doubled) {
        unquote(f, &r->copies[c]);
        cell->bytes = r->copies[c].data;
        cell->length = r->copies[c].length;
    }
    return OK;
}

static int read_row(struct reading *r, const char *record)
{
    const struct source_file *f = r->tile->file;
    TRY(check_fields(&r->record, f->path, record, 0));
    if (r->record.count != f->width)
        return fail(ERR_DATA, "%s:1: %zu fields, header has %zu", f->path, r->record.count, f->width);
    r->document = (struct document){ 0 };
    for (int c = 0; c < COLUMN_COUNT; c++)
        if (f->places[c] >= 0)
            TRY(read_cell(r, record, c));
    return OK;
}

static void read_rows(struct source_tile *t, document_fn *emit, void *context)
{
    const char *end = t->bytes + t->length, *next;
    struct reading r = { .tile = t };
    for (int c = 0; c < COLUMN_COUNT; c++)
        str_init(&r.copies[c]);
    for (const char *p = t->bytes; p < end && t->bad <= t->set->options->max_bad; p = next) {
        next = read_record(p, end, &r.record);
        if (!is_blank(&r.record)) {
            if (read_row(&r, p) != OK)
                source_tile_bad(t, true);
            else if (emit(context, &r.document) != OK)
                source_tile_bad(t, false);
            t->records++;
        }
        t->lines += count_breaks(p, next);
    }
    for (int c = 0; c < COLUMN_COUNT; c++)
        str_release(&r.copies[c]);
    mem_free(r.record.fields);
}

const struct source_format source_csv = {
    .name = "csv",
    .record = "row",
    .record_limit = 16 << 20,
    .cut = cut,
    .read = read_rows,
    .head = head,
    .look = look,
    .fail_long = fail_long,
};
