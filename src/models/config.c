/* Reading. Keys come in as (name, JSON) pairs; what the architecture reads is then taken from them field by
 * field, so that changing a key and reading a file are one thing. */
#include "models/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "models/config_internal.h"

enum { EXCERPT = 60 };

/* ---- keys ---- */

const char *config_get(const struct config *c, const char *key)
{
    for (size_t i = 0; i < c->key_count; i++)
        if (strcmp(c->keys[i].name, key) == 0)
            return c->keys[i].json;
    return NULL;
}

void config_put_key(struct config *c, const char *key, const char *json, size_t length)
{
    for (size_t i = 0; i < c->key_count; i++) {
        if (strcmp(c->keys[i].name, key) == 0) {
            mem_free(c->keys[i].json);
            c->keys[i].json = mem_strndup(json, length);
            return;
        }
    }
    c->keys = mem_grow(c->keys, c->key_count, &c->key_capacity, sizeof(c->keys[0]));
    c->keys[c->key_count].name = mem_strdup(key);
    c->keys[c->key_count++].json = mem_strndup(json, length);
}

int config_read_keys(struct config *c, const char *bytes, size_t length)
{
    struct json_reader r;
    struct json_string key;
    int status;

    json_reader_init(&r, c->name, bytes, length);
    if (json_object_begin(&r)) {
        while (json_next_key(&r, &key)) {
            char *name = mem_strndup(key.data, key.length);
            struct json_string raw = json_raw(&r);
            if (strlen(name) != key.length)
                json_fail(&r, "a zero byte in a key");
            if (json_status(&r) == OK)
                config_put_key(c, name, raw.data, raw.length);
            mem_free(name);
        }
    }
    status = json_end(&r);
    json_reader_release(&r);
    return status;
}

const struct field *config_find_field(const struct model_def *def, const char *key)
{
    for (const struct field *f = def->fields; f->key; f++)
        if (strcmp(f->key, key) == 0 || (f->alias && strcmp(f->alias, key) == 0))
            return f;
    return NULL;
}

/* ---- values ---- */

bool config_is_null(const char *json)
{
    return !json || strcmp(json, "null") == 0;
}

/* A string keeps the quotes that it has as JSON. */
static void append_found(struct str *out, const char *json)
{
    size_t length = strlen(json), quotes = length >= 2 && json[0] == '"' ? 1 : 0;

    str_append_bytes(out, json, quotes);
    str_append_escaped(out, json + quotes, length - 2 * quotes, EXCERPT);
    str_append_bytes(out, json, quotes);
}

int config_wrong(const struct config *c, const char *key, const char *json, const char *expected)
{
    struct str found;

    str_init(&found);
    append_found(&found, json);
    fail(ERR_DATA, "%s: $.%s: wrong value (found %s, expected %s)", c->name, key, found.data, expected);
    str_release(&found);
    return ERR_DATA;
}

const char *config_get_field(const struct config *c, const struct field *f)
{
    const char *json = config_get(c, f->key);

    if (!json && f->alias)
        json = config_get(c, f->alias);
    return json ? json : f->preset;
}

/* A key under two names with two values would leave it to chance which of them holds. */
static int check_alias(const struct config *c, const struct field *f)
{
    const char *one = config_get(c, f->key), *other = f->alias ? config_get(c, f->alias) : NULL;

    if (one && other && strcmp(one, other) != 0)
        return fail(ERR_CONFIG, "%s: $.%s and $.%s are names of one key but differ (found %.40s and %.40s)",
                    c->name, f->key, f->alias, one, other);
    return OK;
}

static int parse_int(const struct config *c, const struct field *f, const char *json, int64_t *out)
{
    char expected[80], *end;
    long long v;

    if (config_is_null(json) && f->preset && config_is_null(f->preset)) {
        *out = INT_NONE;
        return OK;
    }
    v = strtoll(json, &end,
                10); /* JSON knows no other integers than strtoll does; out of range it saturates */
    snprintf(expected, sizeof(expected), "an integer from %.0f to %.0f", f->min, f->max);
    if (*end || end == json || (double)v < f->min || (double)v > f->max)
        return config_wrong(c, f->key, json, expected);
    *out = v;
    return OK;
}

static int parse_double(const struct config *c, const struct field *f, const char *json, double *out)
{
    char expected[80];
    struct json_reader r;
    double v = NAN;

    if (config_is_null(json) && f->preset && config_is_null(f->preset)) {
        *out = NAN;
        return OK;
    }
    json_reader_init(&r, f->key, json, strlen(json));
    if (json_peek(&r) == JSON_NUMBER)
        v = json_double(&r);
    json_reader_release(&r);
    snprintf(expected, sizeof(expected), "a number from %g to %g", f->min, f->max);
    if (!isfinite(v) || v < f->min || v > f->max)
        return config_wrong(c, f->key, json, expected);
    *out = v;
    return OK;
}

static int parse_activation(const struct config *c, const struct field *f, const char *json, int *out)
{
    size_t length = strlen(json);
    enum activation_kind kind;
    char name[64];

    if (length < 2 || json[0] != '"' || length - 2 >= sizeof(name))
        return config_wrong(c, f->key, json, "the name of an activation");
    memcpy(name, json + 1, length - 2);
    name[length - 2] = '\0';
    if (activation_find(name, &kind) != OK)
        return error_prefix("%s: $.%s: ", c->name, f->key);
    *out = (int)kind;
    return OK;
}

/* An id or a list of at most `most`. Absent, null and negative ones give none. */
static int parse_ids(const struct config *c, const char *key, int64_t ids[], int most, int *count)
{
    const struct field *f = config_find_field(c->def, key);
    const char *json = f ? config_get_field(c, f) : config_get(c, key);
    struct json_reader r;
    int n = 0, status;

    *count = 0;
    if (config_is_null(json))
        return OK;
    json_reader_init(&r, key, json, strlen(json));
    if (json_peek(&r) == JSON_ARRAY) {
        json_array_begin(&r);
        for (; json_next_element(&r); n++) {
            int64_t id = json_int(&r, 0, INT32_MAX);
            if (n < most)
                ids[n] = id;
        }
    } else {
        ids[n++] = json_int(&r, INT32_MIN, INT32_MAX);
    }
    status = json_end(&r);
    json_reader_release(&r);
    if (status != OK || n > most) {
        error_clear();
        return config_wrong(c, key, json,
                            most > 1 ? "a token id, a list of at most 8 or null" : "a token id or null");
    }
    *count = n == 1 && ids[0] < 0 ? 0 : n;
    return OK;
}

static int parse_id(const struct config *c, const char *key, int64_t *id)
{
    int64_t value = INT_NONE;
    int count;

    TRY(parse_ids(c, key, &value, 1, &count));
    *id = count ? value : INT_NONE;
    return OK;
}

/* "null" as default: "" when the key is not there. */
static int parse_text(const struct config *c, const struct field *f, const char *json, char *out)
{
    size_t length = strlen(json);

    memset(out, 0, FIELD_TEXT_MAX);
    if (config_is_null(json) && config_is_null(f->preset))
        return OK;
    if (length < 2 || json[0] != '"' || length - 2 >= FIELD_TEXT_MAX || memchr(json, '\\', length))
        return config_wrong(c, f->key, json, "a short name");
    memcpy(out, json + 1, length - 2);
    return OK;
}

static int parse_maybe(const struct config *c, const struct field *f, const char *json, int *out)
{
    if (!config_is_null(json) && strcmp(json, "true") != 0 && strcmp(json, "false") != 0)
        return config_wrong(c, f->key, json, "true, false or null");
    *out = config_is_null(json) ? -1 : json[0] == 't';
    return OK;
}

static int parse_field(const struct config *c, const struct field *f, char *values)
{
    const char *json = config_get_field(c, f);
    void *at = values + f->offset;

    TRY(check_alias(c, f));
    if (!json)
        return fail(ERR_DATA, "%s: $.%s is missing", c->name, f->key);
    switch (f->type) {
    case FIELD_INT: return parse_int(c, f, json, at);
    case FIELD_DOUBLE: return parse_double(c, f, json, at);
    case FIELD_ACTIVATION: return parse_activation(c, f, json, at);
    case FIELD_TOKEN: return parse_id(c, f->key, at);
    case FIELD_TEXT: return parse_text(c, f, json, at);
    case FIELD_MAYBE: return parse_maybe(c, f, json, at);
    case FIELD_BOOL: break;
    }
    if (strcmp(json, "true") != 0 && strcmp(json, "false") != 0)
        return config_wrong(c, f->key, json, "true or false");
    *(bool *)at = json[0] == 't';
    return OK;
}

/* ---- special tokens ---- */

static int parse_special_ids(struct config *c)
{
    TRY(parse_id(c, "bos_token_id", &c->bos));
    TRY(parse_id(c, "pad_token_id", &c->pad));
    TRY(parse_id(c, "unk_token_id", &c->unk));
    TRY(parse_id(c, "decoder_start_token_id", &c->decoder_start));
    return parse_ids(c, "eos_token_id", c->eos, CONFIG_MAX_EOS, &c->eos_count);
}

/* ---- architecture ---- */

bool config_is_string(const char *json, const char *text)
{
    size_t length = strlen(text);

    return json[0] == '"' && strncmp(json + 1, text, length) == 0 && strcmp(json + 1 + length, "\"") == 0;
}

int config_unsupported(const struct config *c, const char *key, const char *json, const struct str *known)
{
    struct str found;

    str_init(&found);
    append_found(&found, json);
    fail(ERR_CONFIG, "%s: $.%s: not supported (found %s, expected %s)", c->name, key, found.data,
         known->data);
    str_release(&found);
    return ERR_CONFIG;
}

static int find_def(struct config *c)
{
    const char *json = config_get(c, "model_type");
    struct str known;
    int status;

    if (!json)
        return fail(ERR_CONFIG, "%s: $.model_type is missing", c->name);
    str_init(&known);
    for (int i = 0; model_table[i]; i++) {
        str_appendf(&known, "%s\"%s\"", i ? ", " : "", model_table[i]->name);
        if (config_is_string(json, model_table[i]->name)) {
            str_release(&known);
            c->def = model_table[i];
            return OK;
        }
    }
    status = config_unsupported(c, "model_type", json, &known);
    str_release(&known);
    return status;
}

/* ---- what is not supported ---- */

static int refuse_quantized(const struct config *c)
{
    const char *json = config_get(c, "quantization_config");
    struct json_reader r;
    struct json_string key, method = { 0 };
    struct str found;

    if (config_is_null(json))
        return OK;
    str_init(&found);
    json_reader_init(&r, "quantization_config", json, strlen(json));
    if (json_peek(&r) == JSON_OBJECT && json_object_begin(&r))
        while (!method.data && json_next_key(&r, &key)) {
            if (json_key_is(&r, "quant_method"))
                method = json_raw(&r);
            else
                json_skip(&r);
        }
    if (method.data)
        str_append_escaped(&found, method.data, method.length, EXCERPT);
    json_reader_release(&r);
    fail(ERR_CONFIG,
         "%s: $.quantization_config%s%s: quantized weights are not supported (expected float32, bfloat16 or "
         "float16)",
         c->name, found.length ? ".quant_method " : "", found.data);
    str_release(&found);
    return ERR_CONFIG;
}

static int refuse(const struct config *c)
{
    TRY(refuse_quantized(c));
    for (const struct field *f = c->def->refused; f->key; f++) {
        const char *json = config_get(c, f->key);
        if (!config_is_null(json) && strcmp(json, f->preset) != 0)
            return fail(ERR_CONFIG,
                        "%s: $.%s: changes the computation and is not supported (found %.60s, expected %s)",
                        c->name, f->key, json, f->preset);
    }
    return OK;
}

static void find_dtype(struct config *c)
{
    static const char *const names[] = { "float32", "bfloat16", "float16" };
    const char *json = config_get(c, "dtype");

    if (!json)
        json = config_get(c, "torch_dtype");
    c->dtype = NULL;
    for (int i = 0; json && i < 3; i++)
        if (config_is_string(json, names[i]))
            c->dtype = names[i];
}

/* ---- the whole ---- */

int config_read_values(struct config *c)
{
    char *values;
    int status = OK;

    TRY(find_def(c));
    TRY(config_read_head(c));
    TRY(refuse(c));
    values = mem_alloc(c->def->config_bytes);
    for (const struct field *f = c->def->fields; f->key && status == OK; f++)
        status = parse_field(c, f, values);
    mem_free(c->values);
    c->values = values;
    TRY(status);
    if (c->def->check(values) != OK)
        return error_prefix("%s: ", c->name);
    if (c->def->read)
        TRY(c->def->read(c, values));
    c->def->sizes(values, &c->sizes);
    find_dtype(c);
    return parse_special_ids(c);
}

int config_parse(struct config *c, const char *name, const char *bytes, size_t length)
{
    int status;

    *c = (struct config){ .name = mem_strdup(name) };
    status = config_read_keys(c, bytes, length);
    if (status == OK)
        status = config_read_values(c);
    if (status == OK && !config_is_null(config_get(c, "auto_map")))
        warn("%s: $.auto_map names program code that came with the model; it is ignored", name);
    if (status != OK)
        config_release(c);
    return status;
}

int config_load(struct config *c, const char *path)
{
    char *file = file_is_directory(path) ? path_join(path, "config.json") : mem_strdup(path);
    struct str text;
    int status;

    str_init(&text);
    status = file_read(file, CONFIG_MAX_BYTES, &text);
    if (status == OK)
        status = config_parse(c, file, text.data, text.length);
    str_release(&text);
    mem_free(file);
    return status;
}

void config_release(struct config *c)
{
    for (size_t i = 0; i < c->key_count; i++) {
        mem_free(c->keys[i].name);
        mem_free(c->keys[i].json);
    }
    mem_free(c->keys);
    mem_free(c->values);
    mem_free(c->name);
    *c = (struct config){ 0 };
}
