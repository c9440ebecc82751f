/* A JSON array of objects, each a row (json_row.h): the whole file, or the member of an object that
 * --json_field names. What is around the array is looked at for its brackets and strings alone: a scan of the
 * file, as a stream, finds where the array begins and ends, and its elements are then records like lines. */
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "data/json_row.h"

enum { STEP = 256 << 10, KEY_LIMIT = 1 << 16 };

/* ---- brackets and strings ---- */

struct nest { /* where in JSON a byte stands */
    int64_t depth;
    bool string, escape;
};

/* Takes a byte; true when it closes or divides what was begun at depth 0. */
static inline bool nest_step(struct nest *n, char c)
{
    if (n->string) {
        if (n->escape)
            n->escape = false;
        else if (c == '\\')
            n->escape = true;
        else if (c == '"')
            n->string = false;
        return false;
    }
    if (c == '"')
        n->string = true;
    else if (c == '[' || c == '{')
        n->depth++;
    else if (c == ']' || c == '}')
        return --n->depth < 0;
    return c == ',' && n->depth == 0;
}

/* The comma that ends the element at p, or end. */
static const char *element_end(const char *p, const char *end)
{
    struct nest n = { 0 };
    while (p < end && !nest_step(&n, *p))
        p++;
    return p;
}

static size_t cut(const char *bytes, size_t begin, size_t goal, size_t length, bool end)
{
    const char *p = bytes + begin;
    (void)end;
    do {
        p = element_end(p, bytes + length);
        if (p == bytes + length)
            return 0;
        p++;
    } while (p < bytes + goal);
    return (size_t)(p - bytes);
}

static bool is_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p == end;
}

static int64_t count_lines(const char *p, const char *end)
{
    int64_t count = 0;
    while ((p = memchr(p, '\n', (size_t)(end - p))) && p++ < end)
        count++;
    return count;
}

/* ---- the scan ---- */

struct scan {
    struct unpacker *unpacker;
    const char *path;
    char *buffer;
    size_t at, fill;
    uint64_t before; /* bytes before the buffer */
    int64_t line;
    bool over;
};

static int scan_begin(struct scan *s, const char *path, enum packing packing, int fd)
{
    *s = (struct scan){ .path = path };
    TRY(unpacker_create(packing, fd, path, &s->unpacker));
    s->buffer = mem_alloc(STEP);
    return OK;
}

static void scan_end(struct scan *s)
{
    unpacker_free(s->unpacker);
    mem_free(s->buffer);
}

static uint64_t scan_place(const struct scan *s)
{
    return s->before + s->at;
}

static int scan_fail(const struct scan *s, const char *what)
{
    return fail(ERR_DATA, "%s:%lld: byte %llu: %s", s->path, (long long)s->line + 1,
                (unsigned long long)scan_place(s), what);
}

static int scan_fill(struct scan *s)
{
    if (s->at < s->fill || s->over)
        return OK;
    s->before += s->fill;
    s->at = s->fill = 0;
    TRY(unpacker_read(s->unpacker, s->buffer, STEP, &s->fill));
    s->over = s->fill == 0;
    return OK;
}

/* Passes what can be passed over and gives the byte that follows, still to be taken; 0: none. */
static int scan_peek(struct scan *s, char *c)
{
    for (;; s->at++) {
        TRY(scan_fill(s));
        *c = s->at < s->fill ? s->buffer[s->at] : 0;
        s->line += *c == '\n';
        if (s->at >= s->fill || !strchr(" \t\r\n", *c) || !*c)
            return OK;
    }
}

/* Takes the rest of what was begun, up to the byte that closes or divides it: that one is not taken. */
static int scan_rest(struct scan *s, bool divide)
{
    struct nest n = { 0 };
    for (;; s->at++) {
        TRY(scan_fill(s));
        if (s->at >= s->fill)
            return scan_fail(s, "the file ends within the JSON text");
        if (nest_step(&n, s->buffer[s->at]) && (divide || n.depth < 0))
            return OK;
        s->line += s->buffer[s->at] == '\n';
    }
}

/* A key, unescaped. */
static int scan_key(struct scan *s, struct str *key)
{
    struct str raw;
    struct nest n = { 0 };
    struct json_reader r;
    struct json_string text = { .data = "" };
    int status = OK;
    str_init(&raw);
    do {
        status = scan_fill(s);
        if (status == OK && (s->at >= s->fill || raw.length > KEY_LIMIT))
            status = scan_fail(s, "no end of a key");
        if (status != OK)
            break;
        str_append_char(&raw, s->buffer[s->at]);
        nest_step(&n, s->buffer[s->at++]);
    } while (n.string);
    if (status == OK) {
        json_reader_init(&r, s->path, raw.data, raw.length);
        if (json_string(&r, &text)) {
            str_clear(key);
            str_append_bytes(key, text.data, text.length);
        }
        status = json_end(&r);
        json_reader_release(&r);
    }
    str_release(&raw);
    return status;
}

static int scan_expect(struct scan *s, char wanted, const char *what)
{
    char c;
    TRY(scan_peek(s, &c));
    if (c != wanted)
        return scan_fail(s, what);
    s->at++;
    return OK;
}

/* From the start of a member to its value. */
static int scan_member(struct scan *s, struct str *key)
{
    char c;
    TRY(scan_peek(s, &c));
    if (c != '"')
        return scan_fail(s, "no key of an object");
    TRY(scan_key(s, key));
    TRY(scan_expect(s, ':', "no colon after a key"));
    return scan_peek(s, &c);
}

static int fail_no_field(const struct scan *s, const char *field)
{
    return fail(ERR_DATA, "%s: no member \"%s\" with an array in the object (--json_field)", s->path, field);
}

/* Passes members until the array of the one wanted begins. */
static int scan_to_member(struct scan *s, const char *field)
{
    struct str key;
    char c = 0;
    int status = scan_expect(s, '{', "no object, and --json_field names a member of one");
    str_init(&key);
    while (status == OK) {
        status = scan_peek(s, &c);
        if (status == OK && c == '}')
            status = fail_no_field(s, field);
        if (status == OK)
            status = scan_member(s, &key);
        if (status == OK && strlen(field) == key.length && memcmp(field, key.data, key.length) == 0)
            break;
        if (status == OK)
            status = scan_rest(s, true);
        s->at += status == OK && s->buffer[s->at] == ',';
    }
    str_release(&key);
    TRY(status);
    return scan_expect(s, '[', "no array in the member that --json_field names");
}

/* Up to the array's first byte. */
static int scan_to_array(struct scan *s, const char *field)
{
    TRY(scan_fill(s));
    if (s->fill >= 3 && memcmp(s->buffer, "\xEF\xBB\xBF", 3) == 0)
        s->at = 3;
    return field ? scan_to_member(s, field) : scan_expect(s, '[', "no JSON array");
}

/* What follows the array's end. */
static int scan_tail(struct scan *s, const char *field)
{
    char c;
    if (s->buffer[s->at] != ']')
        return scan_fail(s, "an array of JSON does not end with ']'");
    s->at++;
    if (field) {
        TRY(scan_rest(s, false));
        s->at++;
    }
    TRY(scan_peek(s, &c));
    return s->over ? OK : scan_fail(s, "something follows the JSON text");
}

/* ---- a file ---- */

static int frame(const struct source_file *f, const struct source_options *o, struct source_body *body)
{
    struct scan s;
    int status = scan_begin(&s, f->path, PACKING_NONE, body->fd);
    if (status == OK)
        status = scan_to_array(&s, o->json_field);
    if (status == OK) {
        body->begin = scan_place(&s);
        body->line = s.line;
        status = scan_rest(&s, false);
    }
    if (status == OK) {
        body->end = scan_place(&s);
        status = scan_tail(&s, o->json_field);
    }
    scan_end(&s);
    return status;
}

static int collect(struct scan *s, struct source_head *h)
{
    while (h->bytes.length < h->limit && !s->over) {
        size_t left = h->limit - h->bytes.length, some = s->fill - s->at;
        str_append_bytes(&h->bytes, s->buffer + s->at, some < left ? some : left);
        s->at = s->fill;
        TRY(scan_fill(s));
    }
    return OK;
}

/* The bytes behind the array come along: nobody can tell yet, and they are no rows. */
static int head(struct source_file *f, const struct source_options *o, struct source_head *h,
                struct table *table)
{
    struct scan s;
    int fd;
    (void)table;
    TRY(source_file_open(f, &fd));
    int status = scan_begin(&s, f->path, f->packing, fd);
    if (status == OK)
        status = scan_to_array(&s, o->json_field);
    if (status == OK)
        status = collect(&s, h);
    h->whole = s.over;
    scan_end(&s);
    close(fd);
    return status;
}

static void look(struct table *t, const char *bytes, size_t length)
{
    const char *end = bytes + length;
    json_row_look(t, bytes, (size_t)(element_end(bytes, end) - bytes));
}

/* ---- reading ---- */

static void read_element(struct source_tile *t, struct json_row *row, const char *p, const char *stop,
                         bool last)
{
    bool blank = is_blank(p, stop);
    if (blank && last)
        fail(ERR_DATA, "%s:1: a comma before the end of the array", t->file->path);
    else if (blank)
        fail(ERR_DATA, "%s:1: no value before a comma", t->file->path);
    if (blank || json_row_read(row, t, p, (size_t)(stop - p)) != OK)
        source_tile_bad(t, true);
}

static void read_elements(struct source_tile *t, document_fn *emit, void *context)
{
    const char *end = t->bytes + t->length, *p = t->bytes;
    struct json_row row;
    bool more = true;
    json_row_init(&row);
    if (t->first && t->last && is_blank(p, end))
        p = end, more = false;
    /* The last element has no comma: one more begins behind each comma of the last tile. */
    while ((t->last ? more : p < end) && t->bad <= t->set->options->max_bad) {
        const char *stop = element_end(p, end);
        int64_t bad = t->bad;
        more = stop < end;
        read_element(t, &row, p, stop, t->last && !more);
        if (t->bad == bad && emit(context, &row.document) != OK)
            source_tile_bad(t, false);
        t->records++;
        t->lines += count_lines(p, stop);
        p = stop + more;
    }
    json_row_release(&row);
}

const struct source_format source_array = {
    .name = "json",
    .record = "element",
    .record_limit = 64 << 20,
    .numbered = true,
    .cut = cut,
    .read = read_elements,
    .head = head,
    .look = look,
    .frame = frame,
};
