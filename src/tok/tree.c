#include "tok/tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

enum { EXCERPT = 80 };

struct builder {
    struct tree *tree;
    struct json_reader reader;
};

static const char *const type_names[] = { "nothing",  "null",     "a boolean", "a number",
                                          "a string", "an array", "an object" };

static struct node *node_read(struct builder *b, const struct node *parent);

static void link_child(struct node *parent, struct node **last, struct node *child)
{
    child->index = parent->count++;
    if (*last)
        (*last)->next = child;
    else
        parent->first = child;
    *last = child;
}

static void read_object(struct builder *b, struct node *n)
{
    struct json_string key;
    struct node *last = NULL;

    if (!json_object_begin(&b->reader))
        return;
    while (json_next_key(&b->reader, &key)) {
        const char *copy = arena_strndup(&b->tree->arena, key.data, key.length);
        size_t length = key.length;
        struct node *child = node_read(b, n);
        if (!child)
            return;
        child->key = copy;
        child->key_length = length;
        link_child(n, &last, child);
    }
}

static void read_array(struct builder *b, struct node *n)
{
    struct node *last = NULL;

    if (!json_array_begin(&b->reader))
        return;
    while (json_next_element(&b->reader)) {
        struct node *child = node_read(b, n);
        if (!child)
            return;
        link_child(n, &last, child);
    }
}

/* Depth is bounded by the reader. NULL after an error. */
static struct node *node_read(struct builder *b, const struct node *parent)
{
    struct json_reader *r = &b->reader;
    struct node *n = arena_alloc(&b->tree->arena, sizeof(*n));
    struct json_string s = { "", 0 };

    n->parent = parent;
    n->type = json_peek(r);
    n->offset = (size_t)(r->p - b->tree->bytes);
    switch (n->type) {
    case JSON_NONE: return NULL;
    case JSON_OBJECT: read_object(b, n); break;
    case JSON_ARRAY: read_array(b, n); break;
    case JSON_STRING: json_string(r, &s); break;
    default: s = json_raw(r); break;
    }
    if (json_status(r) != OK)
        return NULL;
    if (n->type != JSON_OBJECT && n->type != JSON_ARRAY) {
        n->text = arena_strndup(&b->tree->arena, s.data, s.length);
        n->length = s.length;
    }
    return n;
}

int tree_parse(struct tree *t, const char *name, const char *bytes, size_t length)
{
    struct builder b = { .tree = t };
    const struct node *root;
    int status;

    memset(t, 0, sizeof(*t));
    t->name = name;
    t->bytes = bytes;
    t->length = length;
    arena_init(&t->arena);
    json_reader_init(&b.reader, name, bytes, length);
    if (json_peek(&b.reader) != JSON_OBJECT)
        json_object_begin(&b.reader); /* every document here is an object: this fails and says so */
    root = node_read(&b, NULL);
    status = json_end(&b.reader);
    json_reader_release(&b.reader);
    if (status == OK) {
        t->root = root;
    } else {
        tree_release(t);
        if (length >= 3 && bytes[0] >= '0' && bytes[0] <= '9')
            error_hint("this looks like an HTTP error page saved in place of the file");
    }
    return status;
}

void tree_release(struct tree *t)
{
    if (t->name)
        arena_release(&t->arena);
    memset(t, 0, sizeof(*t));
}

static bool is_plain_key(const struct node *n)
{
    for (size_t i = 0; i < n->key_length; i++) {
        char c = n->key[i];
        if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return n->key_length > 0 && n->key_length <= EXCERPT;
}

static void append_path(struct str *s, const struct node *n)
{
    if (!n->parent) {
        str_append_char(s, '$');
        return;
    }
    append_path(s, n->parent);
    if (!n->key) {
        str_appendf(s, "[%u]", n->index);
    } else if (is_plain_key(n)) {
        str_append_char(s, '.');
        str_append_bytes(s, n->key, n->key_length);
    } else {
        str_append(s, "[\"");
        str_append_escaped(s, n->key, n->key_length, EXCERPT);
        str_append(s, "\"]");
    }
}

int node_fail(const struct tree *t, const struct node *n, const char *format, ...)
{
    struct str s;
    size_t line = 1, column = 1;
    va_list args;

    for (const char *p = t->bytes; p < t->bytes + n->offset; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
    }
    str_init(&s);
    str_appendf(&s, "%s:%zu:%zu: ", t->name, line, column);
    if (n->parent) {
        append_path(&s, n);
        str_append(&s, ": ");
    }
    va_start(args, format);
    str_append_vf(&s, format, args);
    va_end(args);
    fail(ERR_DATA, "%s", s.data);
    str_release(&s);
    return ERR_DATA;
}

const struct node *node_get(const struct node *object, const char *key)
{
    size_t length = strlen(key);

    for (const struct node *n = object ? object->first : NULL; n; n = n->next)
        if (n->key && n->key_length == length && memcmp(n->key, key, length) == 0)
            return n->type == JSON_NULL ? NULL : n;
    return NULL;
}

bool node_is(const struct node *n, const char *text)
{
    return n && n->type == JSON_STRING && n->length == strlen(text) && memcmp(n->text, text, n->length) == 0;
}

int node_expect(const struct tree *t, const struct node *n, enum json_type type)
{
    if (n->type == type)
        return OK;
    return node_fail(t, n, "wrong type (found %s, expected %s)", type_names[n->type], type_names[type]);
}

int node_require(const struct tree *t, const struct node *object, const char *key, enum json_type type,
                 const struct node **out)
{
    const struct node *n = node_get(object, key);

    if (!n)
        return node_fail(t, object, "\"%s\" is missing (expected %s)", key, type_names[type]);
    TRY(node_expect(t, n, type));
    *out = n;
    return OK;
}

int node_to_int(const struct tree *t, const struct node *n, int64_t min, int64_t max, int64_t *out)
{
    const char *p = n->text;
    char *end;
    long long value;

    TRY(node_expect(t, n, JSON_NUMBER));
    errno = 0;
    value = strtoll(p, &end, 10);
    if (*end != 0 || end == p || errno != 0 || value < min || value > max)
        return node_fail(t, n, "%.40s is out of range (expected an integer from %lld to %lld)", p,
                         (long long)min, (long long)max);
    *out = value;
    return OK;
}

int node_to_bool(const struct tree *t, const struct node *n, bool *out)
{
    TRY(node_expect(t, n, JSON_BOOL));
    *out = n->text[0] == 't';
    return OK;
}

int node_to_double(const struct tree *t, const struct node *n, double *out)
{
    TRY(node_expect(t, n, JSON_NUMBER));
    *out = strtod(n->text, NULL);
    return OK;
}

int node_bool(const struct tree *t, const struct node *object, const char *key, bool *out)
{
    const struct node *n = node_get(object, key);

    return n ? node_to_bool(t, n, out) : OK;
}

int node_int(const struct tree *t, const struct node *object, const char *key, int64_t min, int64_t max,
             int64_t *out)
{
    const struct node *n = node_get(object, key);

    return n ? node_to_int(t, n, min, max, out) : OK;
}

int node_string(const struct tree *t, const struct node *object, const char *key, const char **out)
{
    const struct node *n = node_get(object, key);

    if (!n)
        return OK;
    TRY(node_expect(t, n, JSON_STRING));
    *out = n->text;
    return OK;
}

void node_warn_unknown(const struct tree *t, const struct node *object, const char *const *known)
{
    for (const struct node *n = object->first; n; n = n->next) {
        const char *const *k = known;
        while (*k && strcmp(*k, n->key) != 0)
            k++;
        if (*k)
            continue;
        struct str s;
        str_init(&s);
        append_path(&s, n);
        warn("%s: %s is not known and has no effect", t->name, s.data);
        str_release(&s);
    }
}

void node_write(struct json_writer *w, const struct node *n)
{
    switch (n->type) {
    case JSON_NONE: BUG("a node without a type");
    case JSON_OBJECT:
        json_write_object_begin(w);
        for (const struct node *c = n->first; c; c = c->next) {
            json_write_key_bytes(w, c->key, c->key_length);
            node_write(w, c);
        }
        json_write_object_end(w);
        break;
    case JSON_ARRAY:
        json_write_array_begin(w);
        for (const struct node *c = n->first; c; c = c->next)
            node_write(w, c);
        json_write_array_end(w);
        break;
    case JSON_STRING: json_write_bytes(w, n->text, n->length); break;
    default: json_write_raw(w, n->text, n->length); break;
    }
}
