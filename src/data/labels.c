#include "data/labels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

enum { MOST_CLASSES = 1 << 20, SEED = 0x6c61626c };

struct look {
    struct label_set *set;
    bool lists, names, fractions; /* seen so far: arrays; what is no number; numbers that are no integers */
    int64_t numbers;              /* of an array, at most */
};

/* ---- one cell ---- */

static bool is_number(const char *bytes, size_t length, double *value)
{
    char text[64], *end;
    if (length == 0 || length >= sizeof(text))
        return false;
    memcpy(text, bytes, length);
    text[length] = '\0';
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value) && !strpbrk(text, "xX \t\n");
}

static bool is_list(const struct cell *c)
{
    return c->length > 0 && c->bytes[0] == '[';
}

typedef int label_fn(void *context, const char *bytes, size_t length);

/* Calls for each label of a cell; failures of the call end it. */
static int each_label(const struct cell *c, label_fn *fn, void *context)
{
    struct json_reader r;
    struct json_string s;
    int status = OK;
    if (!is_list(c))
        return fn(context, c->bytes, c->length);
    json_reader_init(&r, "label", c->bytes, c->length);
    if (json_array_begin(&r))
        while (status == OK && json_next_element(&r)) {
            if (json_peek(&r) == JSON_STRING)
                json_string(&r, &s);
            else
                s = json_raw(&r);
            if (json_status(&r) == OK)
                status = fn(context, s.data, s.length);
        }
    if (status == OK)
        status = json_end(&r);
    json_reader_release(&r);
    return status;
}

/* ---- collecting ---- */

static int look_at_label(void *context, const char *bytes, size_t length)
{
    struct look *l = context;
    double value;
    l->numbers++;
    if (!is_number(bytes, length, &value))
        l->names = true;
    else if (memchr(bytes, '.', length) || memchr(bytes, 'e', length) || memchr(bytes, 'E', length))
        l->fractions = true;
    if (l->set->classes.count < MOST_CLASSES) /* more: these are numbers, or it is told below */
        map_add(&l->set->classes, bytes, length, 0);
    return OK;
}

static int look_at_document(void *context, const struct document *d)
{
    struct look *l = context;
    const struct cell *c = &d->cells[COLUMN_LABEL];
    int64_t most = l->numbers;
    if (!c->given || c->length == 0)
        return OK;
    l->lists |= is_list(c);
    l->numbers = 0;
    int status = each_label(c, look_at_label, l);
    l->numbers = most > l->numbers ? most : l->numbers;
    return status;
}

static int read_files(struct look *l, const struct source_options *o)
{
    struct source_options lenient = *o;
    struct source_reader r;
    struct source_set set;
    lenient.max_bad = INT64_MAX;
    TRY(source_set_open(&set, &lenient));
    source_reader_init(&r, &set);
    int status = source_reader_next(&r);
    while (status == OK && r.tile_count > 0) {
        for (size_t i = 0; i < r.tile_count; i++)
            source_tile_read(&r.tiles[i], look_at_document, l);
        status = source_reader_next(&r);
    }
    source_reader_release(&r);
    source_set_close(&set);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    const struct map_entry *x = a, *y = b;
    double p, q;
    if (is_number(x->key, x->length, &p) && is_number(y->key, y->length, &q) && p != q)
        return p < q ? -1 : 1;
    return strcmp(x->key, y->key);
}

static void sort_names(struct map *names)
{
    struct map_entry *all = mem_alloc_array(names->count + 1, sizeof(*all));
    struct map sorted;
    memcpy(all, names->entries, names->count * sizeof(*all));
    qsort(all, names->count, sizeof(*all), compare_names);
    map_init(&sorted);
    for (size_t i = 0; i < names->count; i++)
        map_add(&sorted, all[i].key, all[i].length, (int64_t)i);
    mem_free(all);
    map_release(names);
    *names = sorted;
}

int label_set_collect(struct label_set *l, const struct source_options *o)
{
    struct label_set set = { 0 };
    struct look look = { .set = &set };
    map_init(&set.classes);
    int status = read_files(&look, o);
    if (status == OK && set.classes.count == 0) {
        status = fail(ERR_DATA, "`%s`: no labels in column \"%s\"", o->option, o->columns[COLUMN_LABEL]);
        error_hint("--label_column names another column");
    }
    if (status == OK && look.fractions && !look.names)
        set.kind = LABEL_NUMBERS;
    else if (status == OK && set.classes.count == MOST_CLASSES)
        status = fail(ERR_DATA, "`%s`: too many classes in column \"%s\" (found more than %d)", o->option,
                      o->columns[COLUMN_LABEL], MOST_CLASSES);
    else if (look.lists)
        set.kind = LABEL_CLASSES;
    if (status != OK) {
        label_set_release(&set);
        return status;
    }
    sort_names(&set.classes);
    set.count = set.kind == LABEL_NUMBERS ? look.numbers : (int64_t)set.classes.count;
    *l = set;
    return OK;
}

void label_set_release(struct label_set *l)
{
    map_release(&l->classes);
    *l = (struct label_set){ 0 };
}

/* ---- reading ---- */

int64_t label_set_words(const struct label_set *l)
{
    return l->kind == LABEL_CLASS ? 1 : l->count;
}

struct filling {
    const struct label_set *set;
    int32_t *words;
    int64_t at;
};

static void put_float(int32_t *word, float value)
{
    memcpy(word, &value, sizeof(value));
}

static int put_number(struct filling *f, const char *bytes, size_t length)
{
    double value;
    if (!is_number(bytes, length, &value))
        return fail(ERR_DATA, "no label (found \"%.*s\", expected a number)",
                    (int)(length < 40 ? length : 40), bytes);
    if (f->at == f->set->count)
        return fail(ERR_DATA, "too many numbers as labels (expected %lld)", (long long)f->set->count);
    put_float(&f->words[f->at++], (float)value);
    return OK;
}

static int put_label(void *context, const char *bytes, size_t length)
{
    struct filling *f = context;
    int64_t class;
    if (f->set->kind == LABEL_NUMBERS)
        return put_number(f, bytes, length);
    if (!map_get(&f->set->classes, bytes, length, &class))
        return fail(ERR_DATA, "label \"%.*s\" is none of the %lld that the training data or the model has",
                    (int)(length < 40 ? length : 40), bytes, (long long)f->set->count);
    if (f->set->kind == LABEL_CLASSES)
        put_float(&f->words[class], 1);
    else
        f->words[0] = (int32_t) class;
    f->at++;
    return OK;
}

int label_set_read(const struct label_set *l, const struct cell *cell, int32_t *words)
{
    struct filling f = { .set = l, .words = words };
    memset(words, 0, (size_t)label_set_words(l) * sizeof(*words));
    if (!cell->given || (cell->length == 0 && l->kind != LABEL_CLASSES))
        return fail(ERR_DATA, "no label");
    if (cell->length > 0)
        TRY(each_label(cell, put_label, &f));
    if (l->kind == LABEL_CLASS && f.at != 1)
        return fail(ERR_DATA, "not one label (found %lld)", (long long)f.at);
    if (l->kind == LABEL_NUMBERS && f.at != l->count)
        return fail(ERR_DATA, "not a number for each label (found %lld, expected %lld)", (long long)f.at,
                    (long long)l->count);
    return OK;
}

uint64_t label_set_hash(const struct label_set *l)
{
    uint64_t hash = hash_bytes(&l->kind, sizeof(l->kind), SEED) + (uint64_t)l->count;
    for (size_t i = 0; i < l->classes.count && l->kind != LABEL_NUMBERS; i++) {
        const struct map_entry *e = &l->classes.entries[i];
        hash = hash_bytes(e->key, e->length, hash ^ (uint64_t)e->value);
    }
    return hash;
}
