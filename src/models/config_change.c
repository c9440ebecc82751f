/* Changing keys. Changes are made on a copy, all of them, and the copy is read as a file would be: relations
 * between keys hold for the result, not for what lies between two changes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "models/config_internal.h"

/* A copy of name and keys; nothing has been read from them. */
static void copy_keys(const struct config *c, struct config *copy)
{
    *copy = (struct config){ .name = mem_strdup(c->name) };
    for (size_t i = 0; i < c->key_count; i++)
        config_put_key(copy, c->keys[i].name, c->keys[i].json, strlen(c->keys[i].json));
}

/* Reads the changed copy; c becomes it when that goes well. */
static int take(struct config *c, struct config *changed)
{
    int status = config_read_values(changed);

    if (status != OK) {
        config_release(changed);
        return status;
    }
    changed->no_pooler = c->no_pooler && c->head == changed->head;
    config_release(c);
    *c = *changed;
    return OK;
}

/* Under the name that the config uses already. */
static const char *spelling(const struct config *c, const char *key)
{
    const struct field *f = c->def ? config_find_field(c->def, key) : NULL;

    if (!f || !f->alias)
        return key;
    return !config_get(c, f->key) && config_get(c, f->alias) ? f->alias : f->key;
}

static void change(struct config *c, const struct model_def *def, const char *key, const char *json)
{
    const struct field *f = config_find_field(def, key);
    const char *name = key;

    c->def = def;
    name = spelling(c, key);
    config_put_key(c, name, json, strlen(json));
    if (f && f->alias && config_get(c, f->key) &&
        config_get(c, f->alias)) /* both are there: keep them equal */
        config_put_key(c, name == f->alias ? f->key : f->alias, json, strlen(json));
}

int config_set(struct config *c, const char *key, const char *json)
{
    struct config copy;

    copy_keys(c, &copy);
    change(&copy, c->def, key, json);
    return take(c, &copy);
}

int config_set_int(struct config *c, const char *key, int64_t value)
{
    char json[32] = "null";

    if (value != INT_NONE)
        snprintf(json, sizeof(json), "%" PRId64, value);
    return config_set(c, key, json);
}

/* ---- --config_overrides ---- */

/* What every config may have; none of them is in a published one. */
static const struct {
    const char *key, *json;
} of_all[] = {
    { "num_labels", "2" }, { "id2label", "{}" }, { "label2id", "{}" }, { "problem_type", "null" }
};
enum { OF_ALL = sizeof(of_all) / sizeof(of_all[0]) };

/* The JSON that tells which type a key has: its value, or the default; NULL: nobody knows this key. */
static const char *known_value(const struct config *c, const struct config *defaults, const char *key)
{
    const struct field *f = config_find_field(c->def, key);
    const char *json = config_get(c, key);

    if (f)
        return config_get_field(c, f);
    if (!json)
        json = config_get(defaults, key);
    for (int i = 0; i < OF_ALL && !json; i++)
        json = strcmp(of_all[i].key, key) == 0 ? of_all[i].json : NULL;
    return json || !c->def->encoder || strcmp(key, "decoder_start_token_id") != 0 ? json : "0";
}

static bool is_integer(const char *text)
{
    size_t sign = text[0] == '-' || text[0] == '+';

    return text[sign] && text[sign + strspn(text + sign, "0123456789")] == '\0';
}

static bool is_number(const char *text)
{
    char *end;

    strtod(text, &end);
    return *text && !*end && text[strspn(text, "0123456789+-.eE")] == '\0';
}

static bool parse_bool(const char *text, bool *v)
{
    static const char *const words[] = { "false", "0", "n", "no", "off", "true", "1", "y", "yes", "on" };

    for (int i = 0; i < 10; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *v = i >= 5;
            return true;
        }
    }
    return false;
}

enum value_kind { VALUE_INT, VALUE_NUMBER, VALUE_BOOL, VALUE_STRING, VALUE_ANY, VALUE_MANY };

static enum value_kind kind_of(const struct field *f, const char *json)
{
    static const enum value_kind of_field[] = {
        [FIELD_INT] = VALUE_INT,           [FIELD_DOUBLE] = VALUE_NUMBER, [FIELD_BOOL] = VALUE_BOOL,
        [FIELD_ACTIVATION] = VALUE_STRING, [FIELD_TOKEN] = VALUE_INT,     [FIELD_TEXT] = VALUE_STRING,
        [FIELD_MAYBE] = VALUE_BOOL
    };

    if (f)
        return of_field[f->type];
    if (strcmp(json, "null") == 0)
        return VALUE_ANY;
    if (strcmp(json, "true") == 0 || strcmp(json, "false") == 0)
        return VALUE_BOOL;
    if (json[0] == '"')
        return VALUE_STRING;
    if (json[0] == '{' || json[0] == '[')
        return VALUE_MANY;
    return is_integer(json) ? VALUE_INT : VALUE_NUMBER;
}

/* An array or object of JSON. */
static bool is_many(const char *value)
{
    struct json_reader r;
    bool many;

    json_reader_init(&r, "", value, strlen(value));
    many = json_peek(&r) == JSON_ARRAY || json_peek(&r) == JSON_OBJECT;
    json_skip(&r);
    many = json_end(&r) == OK && many;
    json_reader_release(&r);
    error_clear();
    return many;
}

/* The value as JSON of the kind; false: it is none. */
static bool to_json(enum value_kind kind, const char *value, struct str *out)
{
    struct json_writer w;
    bool b;

    json_writer_init(&w, out, -1);
    if ((kind == VALUE_INT || kind == VALUE_ANY) && is_integer(value))
        json_write_int(&w, strtoll(value, NULL, 10));
    else if ((kind == VALUE_NUMBER || kind == VALUE_ANY) && is_number(value))
        json_write_double(&w, strtod(value, NULL));
    else if (kind == VALUE_BOOL && parse_bool(value, &b))
        json_write_bool(&w, b);
    else if ((kind == VALUE_MANY || kind == VALUE_ANY) && is_many(value))
        str_append(out, value);
    else if (kind == VALUE_STRING || kind == VALUE_ANY)
        json_write_string(&w, value);
    else
        return false;
    return true;
}

static int fail_unknown(const struct config *c, const struct config *defaults, const char *key)
{
    const char **names = NULL, *nearest;
    size_t count = 0, capacity = 0;

    for (size_t i = 0; i < c->key_count + defaults->key_count; i++) {
        names = mem_grow(names, count, &capacity, sizeof(names[0]));
        names[count++] = i < c->key_count ? c->keys[i].name : defaults->keys[i - c->key_count].name;
    }
    nearest = str_nearest(key, names, count);
    fail(ERR_USAGE, "--config_overrides: key %s isn't in the original config dict of %s%s%s%s", key,
         c->def->name, nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
    mem_free(names);
    return ERR_USAGE;
}

/* One class: its name makes the list. */
static void change_class(const struct config *c, struct config *changed, const char *name)
{
    struct json_writer w;
    struct str text;

    str_init(&text);
    json_writer_init(&w, &text, -1);
    json_write_array_begin(&w);
    json_write_string(&w, name);
    json_write_array_end(&w);
    change(changed, c->def, "architectures", text.data);
    str_release(&text);
}

static int override_one(struct config *c, struct config *changed, const struct config *defaults, char *pair)
{
    static const char *const wanted[] = { "an integer", "a number", "true or false",
                                          "a string",   "a value",  "a JSON array or object" };
    char *equals = strchr(pair, '='), *value;
    const char *json;
    enum value_kind kind;
    struct str text;
    int status = OK;

    if (!equals || equals == pair)
        return fail(ERR_USAGE, "--config_overrides: no assignment (found \"%s\", expected KEY=VALUE,...)",
                    pair);
    *equals = '\0';
    value = equals + 1;
    if (strcmp(pair, "architectures") == 0 && value[0] != '[' && strcmp(value, "null") != 0) {
        change_class(c, changed, value);
        return OK;
    }
    json = known_value(c, defaults, pair);
    if (!json)
        return fail_unknown(c, defaults, pair);
    kind = kind_of(config_find_field(c->def, pair), json);
    str_init(&text);
    if (strcmp(value, "null") == 0 || strcmp(value, "None") == 0)
        str_append(&text, "null");
    else if (!to_json(kind, value, &text))
        status = fail(ERR_USAGE, "--config_overrides: %s: wrong value (found \"%s\", expected %s)", pair,
                      value, wanted[kind]);
    if (status == OK)
        change(changed, c->def, pair, text.data);
    for (int i = 1; i < OF_ALL - 1 && strcmp(pair, of_all[0].key) == 0; i++)
        if (config_get(changed, of_all[i].key)) /* names of as many as there were */
            change(changed, c->def, of_all[i].key, "null");
    str_release(&text);
    return status;
}

/* Up to the comma behind an assignment: those of arrays, objects and strings of JSON belong to it. */
static size_t assignment_length(const char *text)
{
    bool string = false;
    int depth = 0;
    const char *p = text;

    for (; *p && (string || depth > 0 || *p != ','); p++) {
        if (string && *p == '\\' && p[1])
            p++;
        else if (*p == '"' && (depth > 0 || string))
            string = !string;
        else if (!string)
            depth += (*p == '[' || *p == '{') - (*p == ']' || *p == '}');
    }
    return (size_t)(p - text);
}

int config_override(struct config *c, const char *overrides)
{
    struct config changed, defaults;
    const char *text = config_default_text(c->def->name);
    char *name;
    int status;

    defaults = (struct config){ .name = mem_strdup(c->def->name) };
    status = text ? config_read_keys(&defaults, text, strlen(text)) : OK;
    copy_keys(c, &changed);
    mem_free(changed.name);
    changed.name = mem_strdup("--config_overrides");
    while (*overrides && status == OK) {
        size_t length = assignment_length(overrides);
        char *pair = mem_strndup(overrides, length);
        status = override_one(c, &changed, &defaults, pair);
        mem_free(pair);
        overrides += length + (overrides[length] == ',');
    }
    config_release(&defaults);
    if (status != OK) {
        config_release(&changed);
        return status;
    }
    if (c->def->adapt)
        c->def->adapt(&changed);
    name = mem_strdup(c->name);
    status = take(c, &changed);
    if (status == OK) {
        mem_free(c->name);
        c->name = name;
        return OK;
    }
    mem_free(name);
    return ERR_USAGE;
}
