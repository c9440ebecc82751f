#include "data/source_table.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

enum { LOOK_BYTES = 1 << 20, LOOK_ROWS = 1000, NAMES_SHOWN = 300 };

/* ---- tables ---- */

void table_init(struct table *t)
{
    *t = (struct table){ 0 };
    map_init(&t->places);
}

void table_release(struct table *t)
{
    map_release(&t->places);
    for (size_t i = 0; i < t->count; i++)
        mem_free(t->columns[i].name);
    mem_free(t->columns);
    *t = (struct table){ 0 };
}

struct table_column *table_find(const struct table *t, const char *name, size_t length)
{
    int64_t place;
    return map_get(&t->places, name, length, &place) ? &t->columns[place] : NULL;
}

struct table_column *table_add(struct table *t, const char *name, size_t length)
{
    map_add(&t->places, name, length, (int64_t)t->count);
    t->columns = mem_grow(t->columns, t->count, &t->capacity, sizeof(*t->columns));
    t->columns[t->count] = (struct table_column){ .name = mem_strndup(name, length) };
    return &t->columns[t->count++];
}

static const char *digits_end(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

bool cell_is_text(const char *p, size_t length)
{
    const char *end = p + length;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (p == end)
        return false;
    p += *p == '-' || *p == '+';
    const char *whole = digits_end(p, end);
    bool number = whole > p;
    if (whole < end && *whole == '.') {
        p = whole + 1;
        whole = digits_end(p, end);
        number |= whole > p;
    }
    if (number && whole < end && (*whole == 'e' || *whole == 'E')) {
        p = whole + 1;
        p += p < end && (*p == '-' || *p == '+');
        whole = digits_end(p, end);
        number = whole > p;
    }
    return !number || whole < end;
}

/* ---- looking ---- */

static void look_at_rows(const struct source_file *f, const struct source_head *h, struct table *t)
{
    size_t length = h->bytes.length, next;
    for (size_t at = 0; at < length && t->rows < LOOK_ROWS; at = next) {
        next = f->format->cut(h->bytes.data, at, at + 1, length, h->whole);
        if (!next && !h->whole)
            return;
        next = next ? next : length;
        f->format->look(t, h->bytes.data + at, next - at);
    }
}

/* Whether the first record ends within its limit, all bytes of which are there. */
static int check_first(const struct source_file *f, const struct source_head *h)
{
    const struct str *s = &h->bytes;
    return f->format->cut(s->data, 0, 1, s->length, false) ? OK
                                                           : source_fail_long(f, f->line, s->data, s->length);
}

static int look(struct source_file *f, const struct source_options *o, size_t limit, struct table *t)
{
    struct source_head h = { .limit = limit };
    str_init(&h.bytes);
    table_release(t);
    table_init(t);
    int status = f->format->head ? f->format->head(f, o, &h, t) : source_head_read(f, &h);
    if (status == OK)
        look_at_rows(f, &h, t);
    if (status == OK && t->rows == 0 && !h.whole)
        status = limit <= f->format->record_limit ? look(f, o, f->format->record_limit + 1, t)
                                                  : check_first(f, &h);
    str_release(&h.bytes);
    return status;
}

/* ---- choosing ---- */

static void append_names(struct str *s, const struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (s->length > NAMES_SHOWN) {
            str_append(s, ", ...");
            return;
        }
        str_append(s, i ? ", " : "");
        str_append_escaped(s, t->columns[i].name, strlen(t->columns[i].name), 60);
    }
}

static int fail_columns(const struct source_file *f, const struct table *t, const char *what)
{
    struct str names;
    str_init(&names);
    append_names(&names, t);
    int status = fail(ERR_DATA, "%s: %s; columns: %s", f->path, what, names.data);
    str_release(&names);
    return status;
}

static bool has(const struct table *t, const char *name)
{
    return table_find(t, name, strlen(name)) != NULL;
}

static int refuse(const struct source_file *f, const struct table *t)
{
    if (has(t, "messages") || has(t, "conversations")) {
        int status = fail(ERR_DATA, "%s: columns of conversations (\"%s\") are not read by this version",
                          f->path, has(t, "messages") ? "messages" : "conversations");
        error_hint("--text_column names a column of text");
        return status;
    }
    if (has(t, "input_ids")) {
        int status = fail(ERR_DATA, "%s: rows of input_ids are read from JSON, not from CSV", f->path);
        error_hint("--text_column names a column of text");
        return status;
    }
    return OK;
}

/* Rows that could not be read tell nothing: reading will say what is wrong with them. */
static int choose_text(struct source_set *s, const struct source_file *f, const struct table *t)
{
    const char *likely[] = { s->options->likely_text, "text", "context" };
    const char *name = t->count ? NULL : "text", *label = s->options->columns[COLUMN_LABEL];
    bool sentences = s->options->sentences && has(t, "sentence1") && has(t, "sentence2");
    if (sentences)
        name = "sentence1";
    for (size_t i = 0; i < 3 && t->count && !name; i++)
        name = likely[i] && has(t, likely[i]) ? likely[i] : NULL;
    if (!name)
        TRY(refuse(f, t));
    for (size_t i = 0; i < t->count && !name; i++)
        if ((t->columns[i].text || t->rows == 0) && !(label && strcmp(t->columns[i].name, label) == 0))
            name = t->columns[i].name;
    if (!name) {
        TRY(fail_columns(f, t, "no column of text"));
        return OK;
    }
    struct str all;
    str_init(&all);
    append_names(&all, t);
    s->chosen = mem_strdup(name);
    s->chosen_of = str_detach(&all);
    s->names[COLUMN_TEXT] = s->chosen;
    s->names[COLUMN_TEXT_PAIR] = sentences ? "sentence2" : NULL;
    return OK;
}

/* The places of the columns in rows that have a header. */
static int place_columns(const struct source_set *s, struct source_file *f, const struct table *t)
{
    char name[80];
    for (int c = 0; c < COLUMN_COUNT; c++) {
        f->places[c] = -1;
        for (size_t i = 0; s->names[c] && i < t->count; i++) {
            if (strcmp(t->columns[i].name, s->names[c]) != 0)
                continue;
            if (f->places[c] >= 0)
                return fail(ERR_DATA, "%s: column \"%.60s\" twice", f->path, s->names[c]);
            f->places[c] = (int)i;
        }
        snprintf(name, sizeof(name), "no column \"%.60s\"", s->names[c] ? s->names[c] : "");
        if (s->names[c] && f->places[c] < 0)
            return fail_columns(f, t, name);
    }
    f->width = t->count;
    return OK;
}

static bool is_named(const struct source_options *o)
{
    return o->columns[COLUMN_TEXT] || o->columns[COLUMN_SOURCE] || o->columns[COLUMN_TARGET];
}

/* A text file gives text alone. */
static int check_plain(const struct source_options *o, const struct source_file *f)
{
    for (int c = 0; c < COLUMN_COUNT; c++)
        if (o->columns[c] && c != COLUMN_TEXT)
            return fail(ERR_DATA, "%s: no column \"%s\": text files have no columns", f->path, o->columns[c]);
    return OK;
}

int source_find_columns(struct source_set *s, struct source_file *f)
{
    if (!f->format->look)
        return check_plain(s->options, f);
    struct table t;
    table_init(&t);
    int status = look(f, s->options, LOOK_BYTES, &t);
    f->tokenized = !t.fixed && !is_named(s->options) && has(&t, "input_ids");
    if (status == OK && !f->tokenized && !is_named(s->options) && !s->names[COLUMN_TEXT])
        status = choose_text(s, f, &t);
    if (status == OK && t.fixed)
        status = place_columns(s, f, &t);
    table_release(&t);
    return status;
}

void source_set_tell(const struct source_set *s)
{
    if (s->chosen && *s->chosen_of)
        inform("Text column%s of %s: %s%s%s (of %s)", s->names[COLUMN_TEXT_PAIR] ? "s" : "",
               s->options->option, s->chosen, s->names[COLUMN_TEXT_PAIR] ? ", " : "",
               s->names[COLUMN_TEXT_PAIR] ? s->names[COLUMN_TEXT_PAIR] : "", s->chosen_of);
}
