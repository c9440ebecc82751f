/* Options in JSON: files with arguments, and the run.json of an earlier run. Every scalar is turned into the
 * text it would be on a command line, so that both have the same checks. */
#include <string.h>

#include "base/err.h"
#include "base/options_internal.h"

static void unknown_fail(const struct options *o, struct json_reader *r, const char *name)
{
    struct str why;
    str_init(&why);
    option_append_unknown(o, name, &why);
    json_fail(r, "%s", why.data);
    str_release(&why);
}

/* The scalar that comes next as text; NULL: an error, or no scalar (not read, no error recorded). */
static const char *read_scalar(struct options *o, struct json_reader *r)
{
    struct json_string s;
    switch (json_peek(r)) {
    case JSON_BOOL: return json_bool(r) ? "true" : "false";
    case JSON_NUMBER: s = json_raw(r); return arena_strndup(&o->memory, s.data, s.length);
    case JSON_STRING:
        if (!json_string(r, &s))
            return NULL;
        if (memchr(s.data, 0, s.length)) {
            json_fail(r, "a zero byte in an option's value");
            return NULL;
        }
        return arena_strndup(&o->memory, s.data, s.length);
    default: return NULL;
    }
}

static const char **read_list(struct options *o, struct json_reader *r, size_t *count)
{
    const char **texts = NULL;
    size_t n = 0, capacity = 0;
    if (!json_array_begin(r))
        return NULL;
    while (json_next_element(r)) {
        const char *text = read_scalar(o, r);
        if (!text) {
            json_fail(r, "no value for a list (expected a string or a number)");
            break;
        }
        texts = mem_grow(texts, n, &capacity, sizeof(*texts));
        texts[n++] = text;
    }
    *count = n;
    return texts;
}

static void assign(struct options *o, struct json_reader *r, const struct option_ref *ref,
                   struct option_input *in)
{
    struct str why;
    if (json_status(r) != OK)
        return;
    str_init(&why);
    if (!option_assign(o, ref, in, &why))
        json_fail(r, "%s", why.data);
    str_release(&why);
}

static bool is_inert(const struct option_ref *ref)
{
    return ref->option->type == OPTION_NOTE || ref->option->type == OPTION_REFUSE;
}

static void wrong_type(const struct option_ref *ref, struct json_reader *r, const char *found)
{
    struct str expected;
    str_init(&expected);
    option_append_expected(ref->option, &expected);
    json_fail(r, "wrong type (found %s, expected %s)", found, expected.data);
    str_release(&expected);
}

/* An array or object as it stands; NULL: it is empty. */
static const char *read_raw(struct options *o, struct json_reader *r)
{
    struct json_string s = json_raw(r);
    size_t blank = 0;
    while (blank + 2 < s.length && strchr(" \t\r\n", s.data[blank + 1]))
        blank++;
    return blank + 2 < s.length ? arena_strndup(&o->memory, s.data, s.length) : NULL;
}

/* A value as the texts of a command line; none: as good as not given. */
static const char **read_texts(struct options *o, struct json_reader *r, const struct option_ref *ref,
                               size_t *count)
{
    enum json_type type = json_peek(r);
    bool object = type == JSON_OBJECT, array = type == JSON_ARRAY;
    const char *text = NULL, **texts;
    *count = 0;
    if (type == JSON_NULL)
        json_null(r);
    else if (array && ref->option->type == OPTION_LIST && !ref->fixed)
        return read_list(o, r, count);
    else if ((array || object) && is_inert(ref))
        text = read_raw(o, r);
    else if (object && ref->option->json)
        text = read_raw(o, r);
    else if (array || object)
        wrong_type(ref, r, array ? "an array" : "an object");
    else
        text = read_scalar(o, r);
    if (!text)
        return NULL;
    texts = mem_alloc(sizeof(*texts));
    texts[(*count)++] = text;
    return texts;
}

static void read_option(struct options *o, struct json_reader *r, struct json_string key, bool quiet_default)
{
    char *name = arena_strndup(&o->memory, key.data, key.length);
    struct option_ref ref;
    struct option_input in = { .source = SOURCE_FILE, .name = name, .quiet_default = quiet_default };
    if (strlen(name) != key.length || !option_find(o, name, key.length, &ref)) {
        unknown_fail(o, r, name);
        return;
    }
    bool list = json_peek(r) == JSON_ARRAY && ref.option->type == OPTION_LIST;
    const char **texts = read_texts(o, r, &ref, &in.count);
    in.texts = texts;
    if (texts || list)
        assign(o, r, &ref, &in);
    mem_free(texts);
}

static void read_options(struct options *o, struct json_reader *r, bool quiet_default)
{
    struct json_string key;
    if (!json_object_begin(r))
        return;
    while (json_next_key(r, &key))
        read_option(o, r, key, quiet_default);
}

/* Reads the whole text once for its form alone: is there a member "options" that is an object? */
static int find_options_object(const char *name, const char *bytes, size_t length, bool *found)
{
    struct json_reader r;
    struct json_string key;
    json_reader_init(&r, name, bytes, length);
    r.allow_comments = true;
    *found = false;
    if (json_object_begin(&r)) {
        while (json_next_key(&r, &key)) {
            bool here = json_key_is(&r, "options");
            if (json_peek(&r) == JSON_OBJECT)
                *found |= here;
            json_skip(&r);
        }
    }
    int status = json_end(&r);
    json_reader_release(&r);
    return status;
}

int options_parse_json(struct options *o, const char *name, const char *bytes, size_t length)
{
    struct json_reader r;
    struct json_string key;
    bool nested;
    TRY(find_options_object(name, bytes, length, &nested));
    json_reader_init(&r, name, bytes, length);
    r.allow_comments = true;
    r.meaning_status = ERR_USAGE;
    if (!nested) {
        read_options(o, &r, false);
    } else if (json_object_begin(&r)) {
        while (json_next_key(&r, &key)) {
            if (json_key_is(&r, "options"))
                read_options(o, &r, true);
            else
                json_skip(&r);
        }
    }
    int status = json_end(&r);
    json_reader_release(&r);
    return status;
}

/* ---- writing ---- */

static bool has_value(const struct option *option, const void *member, const struct option_seen *seen)
{
    bool set = option->preset || seen->source != SOURCE_NONE;
    switch (option->type) {
    case OPTION_BOOL: return set || *(const bool *)member;
    case OPTION_INT: return set || *(const int64_t *)member != 0;
    case OPTION_DOUBLE: return set || *(const double *)member != 0;
    case OPTION_STRING: return *(const char *const *)member != NULL;
    case OPTION_LIST: return set || ((const struct option_list *)member)->count > 0;
    case OPTION_CHOICE: return *(const int *)member >= 0;
    default: return false;
    }
}

static void write_value(const struct option *option, const void *member, struct json_writer *w)
{
    const struct option_list *list = member;
    struct str text;
    if (option->type == OPTION_LIST) {
        json_write_array_begin(w);
        for (size_t i = 0; i < list->count; i++)
            json_write_string(w, list->items[i]);
        json_write_array_end(w);
        return;
    }
    str_init(&text);
    option_append_value(option, member, &text);
    bool number =
        option->type == OPTION_DOUBLE ||
        (option->type == OPTION_INT && (text.data[0] == '-' || (text.data[0] >= '0' && text.data[0] <= '9')));
    if (number || option->type == OPTION_BOOL)
        json_write_raw(w, text.data, text.length);
    else
        json_write_bytes(w, text.data, text.length);
    str_release(&text);
}

void options_write_json(const struct options *o, struct json_writer *w)
{
    for (size_t t = 0; o->tables[t].options; t++) {
        const struct option_table *table = &o->tables[t];
        for (size_t i = 0; table->options[i].name; i++) {
            const struct option *option = &table->options[i];
            const void *member = (const char *)table->target + option->offset;
            if (option->type == OPTION_NOTE || option->type == OPTION_REFUSE || option->once)
                continue;
            json_write_key(w, option->name);
            if (has_value(option, member, &o->seen[t][i]))
                write_value(option, member, w);
            else
                json_write_null(w);
        }
    }
}
