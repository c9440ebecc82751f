#include "models/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"

/* ---- Keys ---- */

const char *config_get(const struct config *c, const char *key)
{
    for (size_t i = 0; i < c->key_count; i++)
        if (strcmp(c->keys[i].name, key) == 0)
            return c->keys[i].json;
    return NULL;
}

static void put_key(struct config *c, const char *key, const char *json, size_t length)
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

static int read_keys(struct config *c, const char *bytes, size_t length)
{
    struct json_reader r;
    struct json_string key;
    int status;

    json_reader_init(&r, c->name, bytes, length);
    if (json_object_begin(&r)) {
        while (json_next_key(&r, &key)) {
            char *name = mem_strndup(key.data, key.length);
            struct json_string raw = json_raw(&r);
            if (json_status(&r) == OK)
                put_key(c, name, raw.data, raw.length);
            mem_free(name);
        }
    }
    status = json_end(&r);
    json_reader_release(&r);
    return status;
}

/* ---- Values ---- */

static int wrong(const struct config *c, const char *key, const char *json, const char *expected)
{
    struct str found;

    str_init(&found);
    str_append_escaped(&found, json, strlen(json), 60);
    fail(ERR_DATA, "%s: $.%s is %s, expected %s", c->name, key, found.data, expected);
    str_release(&found);
    return ERR_DATA;
}

static int parse_int(const struct config *c, const struct field *f, const char *json, int64_t *out)
{
    char range[80], *end;
    long long v;

    if (strcmp(json, "null") == 0 && f->preset && strcmp(f->preset, "null") == 0) {
        *out = INT_NONE;
        return OK;
    }
    if (json[0] == '"')
        return wrong(c, f->key, json, "an integer");
    v = strtoll(json, &end, 10);
    snprintf(range, sizeof(range), "an integer in %.0f..%.0f", f->min, f->max);
    if (*end || end == json || (double)v < f->min || (double)v > f->max)
        return wrong(c, f->key, json, f->max > 0 ? range : "an integer");
    *out = v;
    return OK;
}

static int parse_double(const struct config *c, const struct field *f, const char *json, double *out)
{
    char range[80], *end;
    double v = strtod(json, &end);

    snprintf(range, sizeof(range), "a number in %g..%g", f->min, f->max);
    if (*end || end == json || !isfinite(v) || v < f->min || (f->max > f->min && v > f->max))
        return wrong(c, f->key, json, range);
    *out = v;
    return OK;
}

static int parse_activation(const struct config *c, const struct field *f, const char *json, int *out)
{
    size_t length = strlen(json);
    enum activation_kind kind;
    char name[64];
    int status;

    if (length < 2 || json[0] != '"' || length - 2 >= sizeof(name))
        return wrong(c, f->key, json, "the name of an activation");
    memcpy(name, json + 1, length - 2);
    name[length - 2] = '\0';
    status = activation_find(name, &kind);
    if (status != OK)
        return error_prefix("%s: $.%s: ", c->name, f->key);
    *out = (int)kind;
    return OK;
}

static const char *field_json(const struct config *c, const struct field *f)
{
    const char *json = config_get(c, f->key);

    if (!json && f->alias)
        json = config_get(c, f->alias);
    return json ? json : f->preset;
}

static int parse_field(const struct config *c, const struct field *f, char *values)
{
    const char *json = field_json(c, f);
    void *at = values + f->offset;

    if (!json)
        return fail(ERR_CONFIG, "%s: $.%s is missing", c->name, f->key);
    switch (f->type) {
    case FIELD_INT: return parse_int(c, f, json, at);
    case FIELD_DOUBLE: return parse_double(c, f, json, at);
    case FIELD_ACTIVATION: return parse_activation(c, f, json, at);
    case FIELD_BOOL: break;
    }
    if (strcmp(json, "true") != 0 && strcmp(json, "false") != 0)
        return wrong(c, f->key, json, "true or false");
    *(bool *)at = json[0] == 't';
    return OK;
}

/* A token id, or the first of a list of them; absent and null give INT_NONE. */
static int parse_ids(const struct config *c, const char *key, int64_t ids[], int most, int *count)
{
    const char *json = config_get(c, key);
    struct json_reader r;
    int status;

    *count = 0;
    if (!json || strcmp(json, "null") == 0)
        return OK;
    json_reader_init(&r, key, json, strlen(json));
    if (json_peek(&r) == JSON_ARRAY) {
        json_array_begin(&r);
        while (json_next_element(&r) && *count < most)
            ids[(*count)++] = json_int(&r, 0, INT32_MAX);
    } else {
        ids[(*count)++] = json_int(&r, -1, INT32_MAX);
    }
    status = json_status(&r);
    json_reader_release(&r);
    if (status != OK)
        return error_prefix("%s: ", c->name);
    if (*count == 1 && ids[0] < 0)
        *count = 0;
    return OK;
}

static int parse_id(const struct config *c, const char *key, int64_t *id)
{
    int count;

    *id = INT_NONE;
    return parse_ids(c, key, id, 1, &count);
}

static int parse_special_ids(struct config *c)
{
    TRY(parse_id(c, "bos_token_id", &c->bos));
    TRY(parse_id(c, "pad_token_id", &c->pad));
    TRY(parse_id(c, "unk_token_id", &c->unk));
    TRY(parse_id(c, "decoder_start_token_id", &c->decoder_start));
    return parse_ids(c, "eos_token_id", c->eos, CONFIG_MAX_EOS, &c->eos_count);
}

/* ---- Architecture ---- */

static bool quoted_equals(const char *json, const char *text)
{
    size_t length = strlen(text);

    return json[0] == '"' && strncmp(json + 1, text, length) == 0 && strcmp(json + 1 + length, "\"") == 0;
}

static int find_def(struct config *c)
{
    const char *json = config_get(c, "model_type");
    struct str known;

    if (!json)
        return fail(ERR_CONFIG, "%s: $.model_type is missing", c->name);
    for (int i = 0; model_table[i]; i++) {
        if (quoted_equals(json, model_table[i]->name)) {
            c->def = model_table[i];
            return OK;
        }
    }
    str_init(&known);
    for (int i = 0; model_table[i]; i++)
        str_appendf(&known, "%s%s", i ? ", " : "", model_table[i]->name);
    fail(ERR_CONFIG, "%s: $.model_type %s is not supported (supported: %s)", c->name, json, known.data);
    str_release(&known);
    return ERR_CONFIG;
}

static int find_architecture(struct config *c)
{
    const char *json = config_get(c, "architectures");
    size_t length = json ? strlen(json) : 0;

    c->architecture = c->def->architectures[0];
    if (!json || strcmp(json, "null") == 0 || strcmp(json, "[]") == 0)
        return OK;
    for (int i = 0; c->def->architectures[i]; i++) {
        const char *found = strstr(json, c->def->architectures[i]);
        size_t name = strlen(c->def->architectures[i]);
        if (found && found > json && found[-1] == '"' && (size_t)(found - json) + name < length && found[name] == '"') {
            c->architecture = c->def->architectures[i];
            return OK;
        }
    }
    return fail(ERR_CONFIG, "%s: $.architectures %s is not supported (supported: %s)", c->name, json,
                c->def->architectures[0]);
}

static int refuse(const struct config *c)
{
    const char *quantized = config_get(c, "quantization_config");

    if (quantized && strcmp(quantized, "null") != 0)
        return fail(ERR_CONFIG, "%s: $.quantization_config is not supported: weights must be fp32, bf16 or fp16",
                    c->name);
    for (const struct field *f = c->def->refused; f->key; f++) {
        const char *json = config_get(c, f->key);
        if (json && strcmp(json, f->preset) != 0 && strcmp(json, "null") != 0)
            return fail(ERR_CONFIG, "%s: $.%s %s changes the computation and is not supported (supported: %s)", c->name,
                        f->key, json, f->preset);
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
        if (quoted_equals(json, names[i]))
            c->dtype = names[i];
}

static int read_values(struct config *c)
{
    char *values;
    int status;

    TRY(find_def(c));
    TRY(find_architecture(c));
    TRY(refuse(c));
    values = mem_alloc(c->def->config_bytes);
    for (const struct field *f = c->def->fields; f->key; f++) {
        status = parse_field(c, f, values);
        if (status != OK) {
            mem_free(values);
            return status;
        }
    }
    mem_free(c->values);
    c->values = values;
    status = c->def->check(values);
    if (status != OK)
        return error_prefix("%s: ", c->name);
    c->def->sizes(values, &c->sizes);
    find_dtype(c);
    return parse_special_ids(c);
}

int config_parse(struct config *c, const char *name, const char *bytes, size_t length)
{
    int status;

    *c = (struct config){ .name = mem_strdup(name) };
    status = read_keys(c, bytes, length);
    if (status == OK)
        status = read_values(c);
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
    status = file_read(file, 64 << 20, &text);
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

/* ---- Changes ---- */

int config_set(struct config *c, const char *key, const char *json)
{
    const char *old = config_get(c, key);
    char *before = old ? mem_strdup(old) : NULL;
    int status;

    put_key(c, key, json, strlen(json));
    status = read_values(c);
    if (status != OK) { /* back to what it was, which was readable; the failure stays recorded */
        if (before)
            put_key(c, key, before, strlen(before));
        else
            c->key_count--, mem_free(c->keys[c->key_count].name), mem_free(c->keys[c->key_count].json);
        if (read_values(c) != OK)
            BUG("a config that was readable no longer is");
    }
    mem_free(before);
    return status;
}

static bool key_is_known(const struct config *c, const char *key)
{
    for (const struct field *f = c->def->fields; f->key; f++)
        if (strcmp(f->key, key) == 0 || (f->alias && strcmp(f->alias, key) == 0))
            return true;
    return config_get(c, key) != NULL;
}

/* A value as written on a command line, as JSON: numbers, true, false and null as they are, anything else a string. */
static void value_to_json(const char *value, struct str *out)
{
    struct json_writer w;
    char lower[8] = "";
    char *end;

    for (size_t i = 0; i + 1 < sizeof(lower) && value[i]; i++)
        lower[i] = (char)(value[i] | 0x20);
    strtod(value, &end);
    if ((*value && !*end) || strcmp(value, "null") == 0)
        str_append(out, value);
    else if (strcmp(value, "None") == 0)
        str_append(out, "null");
    else if (strcmp(lower, "true") == 0 || strcmp(lower, "false") == 0)
        str_append(out, lower);
    else {
        json_writer_init(&w, out, -1);
        json_write_string(&w, value);
    }
}

static int override_one(struct config *c, const char *pair, size_t length)
{
    char *text = mem_strndup(pair, length), *equals = strchr(text, '=');
    struct str json;
    int status;

    str_init(&json);
    if (!equals)
        status = fail(ERR_USAGE, "--config_overrides: \"%s\" is not key=value", text);
    else {
        *equals = '\0';
        value_to_json(equals + 1, &json);
        status = key_is_known(c, text)
                     ? config_set(c, text, json.data)
                     : fail(ERR_USAGE, "--config_overrides: key %s is no key of %s's config", text, c->def->name);
    }
    str_release(&json);
    mem_free(text);
    return status;
}

int config_override(struct config *c, const char *overrides)
{
    while (*overrides) {
        size_t length = strcspn(overrides, ",");
        TRY(override_one(c, overrides, length));
        overrides += length + (overrides[length] == ',');
    }
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct config_key *)a)->name, ((const struct config_key *)b)->name);
}

void config_write(const struct config *c, struct str *out)
{
    struct config_key *sorted = mem_alloc_array(c->key_count + 1, sizeof(sorted[0]));
    struct json_writer w;

    if (c->key_count)
        memcpy(sorted, c->keys, c->key_count * sizeof(sorted[0]));
    qsort(sorted, c->key_count, sizeof(sorted[0]), by_name);
    json_writer_init(&w, out, 2);
    json_write_object_begin(&w);
    for (size_t i = 0; i < c->key_count; i++) {
        json_write_key(&w, sorted[i].name);
        json_write_raw(&w, sorted[i].json, strlen(sorted[i].json));
    }
    json_write_object_end(&w);
    str_append(out, "\n");
    mem_free(sorted);
}
