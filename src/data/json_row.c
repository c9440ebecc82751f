#include "data/json_row.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

void json_row_init(struct json_row *row)
{
    *row = (struct json_row){ 0 };
    for (int c = 0; c < COLUMN_COUNT; c++)
        str_init(&row->copies[c]);
}

void json_row_release(struct json_row *row)
{
    mem_free(row->ids.values);
    mem_free(row->labels.values);
    mem_free(row->types.values);
    mem_free(row->mask.values);
    for (int c = 0; c < COLUMN_COUNT; c++)
        str_release(&row->copies[c]);
}

/* ---- numbers ---- */

static void read_numbers(struct json_reader *r, struct json_numbers *n, int64_t least)
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

static void check_count(struct json_reader *r, const struct json_row *row, const struct json_numbers *n,
                        const char *what)
{
    if (n->given && n->count != row->ids.count)
        json_fail(r, "not a %s for each id (found %zu, expected %zu)", what, n->count, row->ids.count);
}

static void check_ids(struct json_reader *r, const struct json_row *row)
{
    if (json_status(r) == OK && !row->ids.given)
        json_fail(r, "$.input_ids missing");
    check_count(r, row, &row->types, "token type");
    check_count(r, row, &row->mask, "mask");
    for (size_t i = 0; i < row->mask.count && json_status(r) == OK; i++)
        if (row->mask.values[i] > 1)
            json_fail(r, "attention_mask[%zu] is %d (expected 0 or 1)", i, row->mask.values[i]);
}

static void drop_masked(const struct json_numbers *mask, struct json_numbers *n)
{
    size_t kept = 0;
    for (size_t i = 0; n->given && i < mask->count; i++)
        if (mask->values[i])
            n->values[kept++] = n->values[i];
    n->count = kept;
}

static void drop_padding(struct json_row *row, bool pairs)
{
    drop_masked(&row->mask, &row->ids);
    drop_masked(&row->mask, &row->types);
    if (!pairs)
        drop_masked(&row->mask, &row->labels);
}

/* ---- cells ---- */

/* What the reader keeps until its next call is copied. */
static void keep_string(struct json_reader *r, struct cell *cell, struct str *copy)
{
    struct json_string s = { .data = "" };
    *cell = (struct cell){ .bytes = "" };
    if (!json_string(r, &s))
        return;
    bool in_place = s.data >= r->begin && s.data < r->end;
    if (!in_place) {
        str_clear(copy);
        str_append_bytes(copy, s.data, s.length);
    }
    *cell = (struct cell){ .bytes = in_place ? s.data : copy->data, .length = s.length, .given = true };
}

static void read_cell(struct json_reader *r, struct json_row *row, int c)
{
    struct cell *cell = &row->document.cells[c];
    enum json_type type = json_peek(r);
    if (c == COLUMN_LABEL && type == JSON_NULL) {
        json_fail(r, "no label (found null)");
        return;
    }
    if (c != COLUMN_LABEL || type == JSON_STRING) {
        keep_string(r, cell, &row->copies[c]);
        return;
    }
    struct json_string raw = json_raw(r);
    *cell = (struct cell){ .bytes = raw.data, .length = raw.length, .given = json_status(r) == OK };
}

/* The column of this name, COLUMN_COUNT when it is not wanted. */
static int find_column(const char *const *names, const struct json_string *key)
{
    int c = 0;
    while (c < COLUMN_COUNT &&
           !(names[c] && strlen(names[c]) == key->length && memcmp(names[c], key->data, key->length) == 0))
        c++;
    return c;
}

static void read_ids(struct json_reader *r, struct json_row *row, const struct source_options *o)
{
    const char *label = o->columns[COLUMN_LABEL];
    struct document *d = &row->document;
    struct json_string key;
    row->ids.count = row->labels.count = row->types.count = row->mask.count = 0;
    row->ids.given = row->labels.given = row->types.given = row->mask.given = false;
    while (json_next_key(r, &key)) {
        if (label && json_key_is(r, label))
            read_cell(r, row, COLUMN_LABEL);
        else if (json_key_is(r, "input_ids"))
            read_numbers(r, &row->ids, 0);
        else if (json_key_is(r, "labels"))
            read_numbers(r, &row->labels, -100);
        else if (json_key_is(r, "token_type_ids"))
            read_numbers(r, &row->types, 0);
        else if (json_key_is(r, "attention_mask"))
            read_numbers(r, &row->mask, 0);
        else
            json_skip(r);
    }
    check_ids(r, row);
    if (!o->pairs)
        check_count(r, row, &row->labels, "label");
    if (label && json_status(r) == OK && !d->cells[COLUMN_LABEL].given)
        json_fail(r, "$.%s missing", label);
    if (row->mask.given && json_status(r) == OK)
        drop_padding(row, o->pairs);
    d->tokenized = true;
    d->ids = row->ids.values;
    d->count = row->ids.count;
    d->labels = row->labels.given ? row->labels.values : NULL;
    d->label_count = row->labels.count;
    d->types = row->types.given ? row->types.values : NULL;
}

static bool same_name(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static void read_cells(struct json_reader *r, struct json_row *row, const char *const *names)
{
    struct cell *cells = row->document.cells;
    struct json_string key;
    while (json_next_key(r, &key)) {
        int found = find_column(names, &key);
        if (found == COLUMN_COUNT)
            json_skip(r);
        else
            read_cell(r, row, found);
        for (int c = found + 1; c < COLUMN_COUNT; c++)
            if (same_name(names[c], names[found]))
                cells[c] = cells[found];
    }
    for (int c = 0; c < COLUMN_COUNT && json_status(r) == OK; c++)
        if (names[c] && !cells[c].given)
            json_fail(r, "$.%s missing", names[c]);
}

int json_row_read(struct json_row *row, const struct source_tile *t, const char *bytes, size_t length)
{
    struct json_reader r;
    row->document = (struct document){ 0 };
    json_reader_init(&r, t->file->path, bytes, length);
    if (json_object_begin(&r)) {
        if (t->file->tokenized)
            read_ids(&r, row, t->set->options);
        else
            read_cells(&r, row, t->set->names);
    }
    int status = json_end(&r);
    if (status != OK && r.depth == 0 && r.p < r.end && (*r.p == '{' || *r.p == '['))
        error_hint("there is a second value on the line");
    json_reader_release(&r);
    return status;
}

/* ---- looking ---- */

static void look_at_member(struct json_reader *r, struct table *t, const struct json_string *key)
{
    struct table_column *column = table_find(t, key->data, key->length);
    struct json_string s;
    if (!column && t->rows == 0 && t->count < TABLE_MOST_COLUMNS)
        column = table_add(t, key->data, key->length);
    if (json_peek(r) != JSON_STRING)
        json_skip(r);
    else if (json_string(r, &s) && column && cell_is_text(s.data, s.length))
        column->text = true;
}

static bool is_object(const char *bytes, size_t length)
{
    struct json_reader r;
    json_reader_init(&r, "", bytes, length);
    bool object = json_peek(&r) == JSON_OBJECT;
    json_skip(&r);
    object &= json_status(&r) == OK;
    json_reader_release(&r);
    error_clear();
    return object;
}

void json_row_look(struct table *t, const char *bytes, size_t length)
{
    struct json_reader r;
    struct json_string key;
    if (!is_object(bytes, length))
        return;
    json_reader_init(&r, "", bytes, length);
    if (json_object_begin(&r))
        while (json_next_key(&r, &key))
            look_at_member(&r, t, &key);
    t->rows++;
    json_reader_release(&r);
}
