/* Meaning and defaults of the keys are those of transformers' modeling_rope_utils.py; keys it does not know
 * are passed over, as there. */
#include "models/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "models/config_internal.h"

struct keys { /* NAN: not said, or null */
    double theta, factor, original, attention, fast, slow, low, high, mscale, mscale_all, partial;
    bool truncate, typed;
    enum rope_kind kind;
    float factors[2][ROPE_MOST_FACTORS]; /* short_factor, long_factor */
    int64_t factor_count[2];             /* -1: not said */
};

struct source { /* the object that is read, for messages too */
    const struct config *config;
    const char *key;
    struct keys k;
};

static const struct number {
    const char *name;
    size_t offset;
} numbers[] = {
    { "rope_theta", offsetof(struct keys, theta) },
    { "factor", offsetof(struct keys, factor) },
    { "original_max_position_embeddings", offsetof(struct keys, original) },
    { "attention_factor", offsetof(struct keys, attention) },
    { "beta_fast", offsetof(struct keys, fast) },
    { "beta_slow", offsetof(struct keys, slow) },
    { "low_freq_factor", offsetof(struct keys, low) },
    { "high_freq_factor", offsetof(struct keys, high) },
    { "mscale", offsetof(struct keys, mscale) },
    { "mscale_all_dim", offsetof(struct keys, mscale_all) },
    { "partial_rotary_factor", offsetof(struct keys, partial) },
};
enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

static const char *const kinds[ROPE_KINDS] = { [ROPE_DEFAULT] = "default",
                                               [ROPE_LINEAR] = "linear",
                                               [ROPE_DYNAMIC] = "dynamic",
                                               [ROPE_LLAMA3] = "llama3",
                                               [ROPE_YARN] = "yarn",
                                               [ROPE_LONGROPE] = "longrope",
                                               [ROPE_PROPORTIONAL] = "proportional" };
static const char *const factor_keys[] = { "short_factor", "long_factor" };

/* ---- Reading the object ---- */

static void read_number(struct json_reader *r, double *out)
{
    if (json_peek(r) == JSON_NULL) {
        json_null(r);
        return;
    }
    *out = json_double(r);
    if (json_status(r) == OK && !isfinite(*out))
        json_fail(r, "wrong value (expected a finite number)");
}

static void read_kind(struct json_reader *r, struct keys *k)
{
    struct json_string name;

    if (json_peek(r) == JSON_NULL) {
        json_null(r);
        return;
    }
    if (!json_string(r, &name))
        return;
    for (int kind = ROPE_DEFAULT; kind < ROPE_KINDS; kind++) {
        if (strlen(kinds[kind]) == name.length && memcmp(kinds[kind], name.data, name.length) == 0) {
            k->kind = (enum rope_kind)kind;
            k->typed = true;
            return;
        }
    }
    r->meaning_status = ERR_CONFIG;
    json_fail(r,
              "not supported (found \"%.*s\", expected default, linear, dynamic, llama3, yarn, longrope or "
              "proportional)",
              (int)(name.length < 40 ? name.length : 40), name.data);
}

static void read_factors(struct json_reader *r, float out[], int64_t *count)
{
    int64_t n = 0;

    if (json_peek(r) == JSON_NULL) {
        json_null(r);
        return;
    }
    json_array_begin(r);
    for (; json_next_element(r); n++) {
        double factor = json_double(r);
        if (json_status(r) == OK && (n == ROPE_MOST_FACTORS || !isfinite(factor) || (float)factor <= 0))
            json_fail(r, "wrong value (expected at most %d numbers greater than 0)", ROPE_MOST_FACTORS);
        if (json_status(r) == OK)
            out[n] = (float)factor;
    }
    *count = n;
}

/* "rope_type" holds where "type", its older name, stands beside it. */
static void read_member(struct json_reader *r, struct keys *k)
{
    for (int i = 0; i < NUMBERS; i++) {
        if (json_key_is(r, numbers[i].name)) {
            read_number(r, (double *)(void *)((char *)k + numbers[i].offset));
            return;
        }
    }
    for (int i = 0; i < 2; i++) {
        if (json_key_is(r, factor_keys[i])) {
            read_factors(r, k->factors[i], &k->factor_count[i]);
            return;
        }
    }
    if (json_key_is(r, "rope_type") || (json_key_is(r, "type") && !k->typed))
        read_kind(r, k);
    else if (json_key_is(r, "truncate") && json_peek(r) == JSON_BOOL)
        k->truncate = json_bool(r);
    else
        json_skip(r);
}

static int read_object(struct source *s, const char *json)
{
    struct json_reader r;
    struct json_string key;
    int status;

    for (int i = 0; i < NUMBERS; i++)
        *(double *)(void *)((char *)&s->k + numbers[i].offset) = NAN;
    s->k.factor_count[0] = s->k.factor_count[1] = -1;
    s->k.truncate = true;
    if (!json)
        return OK;
    json_reader_init(&r, s->key, json, strlen(json));
    if (json_object_begin(&r))
        while (json_next_key(&r, &key))
            read_member(&r, &s->k);
    status = json_end(&r);
    json_reader_release(&r);
    return status == OK ? OK : error_prefix("%s: ", s->config->name);
}

/* ---- What it means ---- */

static bool is_empty(const char *json)
{
    return !json || strcmp(json, "null") == 0 || strcmp(json, "{}") == 0;
}

static int positive(const struct source *s, const char *key, double value)
{
    if (value > 0)
        return OK;
    if (isnan(value))
        return fail(ERR_DATA, "%s: $.%s.%s is missing (expected a number greater than 0)", s->config->name,
                    s->key, key);
    return fail(ERR_DATA, "%s: $.%s.%s: wrong value (found %g, expected a number greater than 0)",
                s->config->name, s->key, key, value);
}

static int use_llama3(const struct source *s, struct rope *out)
{
    out->low = s->k.low;
    out->high = s->k.high;
    TRY(positive(s, "factor", out->factor));
    TRY(positive(s, "low_freq_factor", out->low));
    TRY(positive(s, "high_freq_factor", out->high));
    if (out->high <= out->low)
        return fail(ERR_CONFIG, "%s: $.%s.high_freq_factor %g is not greater than low_freq_factor %g",
                    s->config->name, s->key, out->high, out->low);
    return OK;
}

/* The feature that turns `turns` times within the original context. */
static double turning(double turns, const struct rope *r)
{
    return (double)r->width * log(r->original / (turns * 2 * 3.14159265358979323846)) / (2 * log(r->theta));
}

static double mscale(double factor, double scale)
{
    return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

static int use_yarn(const struct source *s, const struct rope_options *o, struct rope *out)
{
    const struct keys *k = &s->k;
    double fast = isnan(k->fast) || k->fast == 0 ? 32 : k->fast;
    double slow = isnan(k->slow) || k->slow == 0 ? 1 : k->slow;

    if (isnan(out->factor))
        out->factor = (double)o->positions / out->original;
    TRY(positive(s, "factor", out->factor));
    TRY(positive(s, "beta_fast", fast));
    TRY(positive(s, "beta_slow", slow));
    if (out->theta <= 1)
        return fail(ERR_CONFIG, "%s: rope_theta %g: yarn needs one greater than 1", s->config->name,
                    out->theta);
    out->low = turning(fast, out);
    out->high = turning(slow, out);
    if (k->truncate) {
        out->low = floor(out->low);
        out->high = ceil(out->high);
    }
    out->low = fmax(out->low, 0);
    out->high = fmin(out->high, (double)out->width - 1);
    if (out->high == out->low)
        out->high += 0.001;
    if (!isnan(k->attention))
        out->attention = k->attention;
    else if (k->mscale > 0 && k->mscale_all > 0)
        out->attention = mscale(out->factor, k->mscale) / mscale(out->factor, k->mscale_all);
    else
        out->attention = mscale(out->factor, 1);
    return positive(s, "attention_factor", out->attention);
}

static int use_longrope(const struct source *s, const struct rope_options *o, struct rope *out)
{
    for (int i = 0; i < 2; i++) {
        int64_t count = s->k.factor_count[i];
        if (count < 0)
            return fail(ERR_DATA, "%s: $.%s.%s is missing (expected a list of %lld numbers)", s->config->name,
                        s->key, factor_keys[i], (long long)(out->width / 2));
        if (count != out->width / 2)
            return fail(ERR_CONFIG,
                        "%s: $.%s.%s: wrong length (found %lld numbers, expected %lld for heads of %lld)",
                        s->config->name, s->key, factor_keys[i], (long long)count,
                        (long long)(out->width / 2), (long long)out->width);
        memcpy(out->factors[i], s->k.factors[i], (size_t)count * sizeof(float));
    }
    if (isnan(out->factor))
        out->factor = (double)o->positions / out->original;
    if (!isnan(s->k.attention))
        out->attention = s->k.attention;
    else if (out->factor > 1 && out->original <= 1)
        return fail(ERR_CONFIG,
                    "%s: $.%s.original_max_position_embeddings %g: longrope needs one greater than 1",
                    s->config->name, s->key, out->original);
    else if (out->factor > 1)
        out->attention = sqrt(1 + log(out->factor) / log(out->original));
    return positive(s, "attention_factor", out->attention);
}

/* As transformers' LLaMA: the default kind does not look at the key, proportional turns the first pairs, and
 * the others could only cut the table. */
static int use_partial(const struct source *s, struct rope *out)
{
    const char *json = config_get(s->config, "partial_rotary_factor");
    double width = (double)out->width, part = s->k.partial;
    char *end = NULL;

    if (isnan(part) && !is_empty(json)) {
        part = strtod(json, &end);
        if (*end || !isfinite(part))
            return config_wrong(s->config, "partial_rotary_factor", json, "a number");
    }
    out->turned = out->width / 2;
    if (isnan(part) || out->kind == ROPE_DEFAULT)
        return OK;
    if (out->kind == ROPE_PROPORTIONAL && part >= 0 && floor(part * width / 2) <= width / 2)
        out->turned = (int64_t)floor(part * width / 2);
    else if (out->kind == ROPE_PROPORTIONAL || trunc(width * part) != width)
        return fail(
            ERR_CONFIG, "%s: partial_rotary_factor %g: heads of %lld cannot be turned so (expected %s)",
            s->config->name, part, (long long)out->width,
            out->kind == ROPE_PROPORTIONAL ? "a number from 0 to 1" : "1, or the kind \"proportional\"");
    return OK;
}

static int use(const struct source *s, const struct rope_options *o, struct rope *out)
{
    switch (out->kind) {
    case ROPE_LINEAR: return positive(s, "factor", out->factor);
    case ROPE_LLAMA3: return use_llama3(s, out);
    case ROPE_YARN: return use_yarn(s, o, out);
    case ROPE_LONGROPE: return use_longrope(s, o, out);
    case ROPE_PROPORTIONAL:
        out->factor = isnan(out->factor) ? 1 : out->factor;
        return positive(s, "factor", out->factor);
    case ROPE_DYNAMIC:
        if (out->width < 4)
            return fail(ERR_CONFIG, "%s: $.%s: heads of width %lld are too small for dynamic scaling",
                        s->config->name, s->key, (long long)out->width);
        out->original = (double)o->positions;
        return positive(s, "factor", out->factor);
    case ROPE_DEFAULT:
    case ROPE_KINDS: break;
    }
    return OK;
}

/* ---- The whole ---- */

static int find_object(struct source *s, const char **json)
{
    const char *scaling = config_get(s->config, "rope_scaling");
    const char *parameters = config_get(s->config, "rope_parameters");

    if (!is_empty(scaling) && !is_empty(parameters) && strcmp(scaling, parameters) != 0)
        return fail(ERR_CONFIG, "%s: $.rope_scaling and $.rope_parameters are names of one key but differ",
                    s->config->name);
    s->key = is_empty(parameters) ? "rope_scaling" : "rope_parameters";
    *json = is_empty(parameters) ? scaling : parameters;
    if (is_empty(*json))
        *json = NULL;
    return OK;
}

/* A key beside the object holds before the one in it, as in transformers. */
static int find_original(const struct source *s, const struct rope_options *o, double *original)
{
    const char *json = config_get(s->config, "original_max_position_embeddings");
    char *end;

    *original = isnan(s->k.original) ? (double)o->positions : s->k.original;
    if (!is_empty(json)) {
        *original = strtod(json, &end);
        if (*end)
            *original = 0;
    }
    return positive(s, "original_max_position_embeddings", *original);
}

int rope_read(const struct config *c, const struct rope_options *o, struct rope *out)
{
    struct source s = { .config = c };
    const char *json = NULL;

    *out = (struct rope){ .width = o->width, .theta = o->theta, .attention = 1 };
    TRY(find_object(&s, &json));
    TRY(read_object(&s, json));
    if (!isnan(s.k.theta) && !is_empty(config_get(c, "rope_theta")) && s.k.theta != o->theta)
        return fail(ERR_CONFIG, "%s: $.rope_theta %g and $.%s.rope_theta %g are one key but differ", c->name,
                    o->theta, s.key, s.k.theta);
    if (!isnan(s.k.theta))
        out->theta = s.k.theta;
    TRY(positive(&s, "rope_theta", out->theta));
    out->kind = s.k.kind;
    out->factor = out->kind == ROPE_DEFAULT ? 1 : s.k.factor;
    TRY(find_original(&s, o, &out->original));
    TRY(use(&s, o, out));
    return use_partial(&s, out);
}
