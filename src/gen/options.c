#include "gen/options.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"

enum { MAX_FILE = 1 << 20, MAX_SEQUENCES = 1 << 16 };

enum value_type { VALUE_INT, VALUE_DOUBLE, VALUE_BOOL };

static const struct value {
    const char *key;
    enum value_type type;
    size_t offset;
} values[] = {
    { "max_new_tokens", VALUE_INT, offsetof(struct generation_options, max_new_tokens) },
    { "max_length", VALUE_INT, offsetof(struct generation_options, max_length) },
    { "min_new_tokens", VALUE_INT, offsetof(struct generation_options, min_new_tokens) },
    { "min_length", VALUE_INT, offsetof(struct generation_options, min_length) },
    { "do_sample", VALUE_BOOL, offsetof(struct generation_options, do_sample) },
    { "temperature", VALUE_DOUBLE, offsetof(struct generation_options, temperature) },
    { "top_k", VALUE_INT, offsetof(struct generation_options, top_k) },
    { "top_p", VALUE_DOUBLE, offsetof(struct generation_options, top_p) },
    { "num_beams", VALUE_INT, offsetof(struct generation_options, num_beams) },
    { "num_return_sequences", VALUE_INT, offsetof(struct generation_options, num_return_sequences) },
    { "length_penalty", VALUE_DOUBLE, offsetof(struct generation_options, length_penalty) },
    { "repetition_penalty", VALUE_DOUBLE, offsetof(struct generation_options, repetition_penalty) },
    { "no_repeat_ngram_size", VALUE_INT, offsetof(struct generation_options, no_repeat_ngram_size) },
    { NULL, VALUE_INT, 0 },
};

/* Keys that change what comes out and that plait has not, each with the number at which it does nothing (so
 * do null, false and what is empty). */
static const struct refusal {
    const char *key;
    double neutral;
    bool sampling;
} refusals[] = {
    { "min_p", 0, true },
    { "top_h", NAN, true },
    { "typical_p", 1, true },
    { "epsilon_cutoff", 0, true },
    { "eta_cutoff", 0, true },
    { "penalty_alpha", 0, false },
    { "num_beam_groups", 1, false },
    { "diversity_penalty", 0, false },
    { "encoder_repetition_penalty", 1, false },
    { "encoder_no_repeat_ngram_size", 0, false },
    { "guidance_scale", 1, false },
    { "max_time", NAN, false },
    { "bad_words_ids", NAN, false },
    { "sequence_bias", NAN, false },
    { "constraints", NAN, false },
    { "force_words_ids", NAN, false },
    { "forced_bos_token_id", NAN, false },
    { "forced_eos_token_id", NAN, false },
    { "exponential_decay_length_penalty", NAN, false },
    { "suppress_tokens", NAN, false },
    { "begin_suppress_tokens", NAN, false },
    { "renormalize_logits", NAN, false },
    { "token_healing", NAN, false },
    { "watermarking_config", NAN, false },
    { "prompt_lookup_num_tokens", NAN, false },
    { "dola_layers", NAN, false },
    { "use_mtp", NAN, false },
    { "low_memory", NAN, false },
    { NULL, 0, false },
};

void generation_options_init(struct generation_options *o)
{
    *o = (struct generation_options){ .max_new_tokens = INT_NONE,
                                      .max_length = INT_NONE,
                                      .temperature = 1,
                                      .top_p = 1,
                                      .top_k = 50,
                                      .num_beams = 1,
                                      .num_return_sequences = 1,
                                      .length_penalty = 1,
                                      .repetition_penalty = 1,
                                      .bos = INT_NONE,
                                      .pad = INT_NONE,
                                      .decoder_start = INT_NONE,
                                      .seed = 42 };
}

void generation_options_release(struct generation_options *o)
{
    for (size_t i = 0; i < o->stop_count; i++)
        mem_free(o->stop_strings[i]);
    mem_free(o->stop_strings);
    mem_free(o->source);
    o->stop_strings = NULL;
    o->source = NULL;
    o->stop_count = o->stop_capacity = 0;
}

void generation_options_add_stop(struct generation_options *o, const char *text, size_t length)
{
    if (length == 0 || text[0] == '\0')
        return;
    o->stop_strings = mem_grow(o->stop_strings, o->stop_count, &o->stop_capacity, sizeof(o->stop_strings[0]));
    o->stop_strings[o->stop_count++] = mem_strndup(text, length);
}

/* ---- Reading ---- */

static void read_value(struct json_reader *r, const struct value *v, struct generation_options *o)
{
    void *to = (char *)o + v->offset;

    if (v->type == VALUE_INT)
        *(int64_t *)to = json_int(r, -1, INT32_MAX);
    else if (v->type == VALUE_DOUBLE)
        *(double *)to = json_double(r);
    else
        *(bool *)to = json_bool(r);
}

/* A token id; what is below zero is none. */
static int64_t read_id(struct json_reader *r)
{
    int64_t id = json_int(r, INT32_MIN, INT32_MAX);

    return id < 0 ? INT_NONE : id;
}

static void add_eos(struct json_reader *r, struct generation_options *o)
{
    int64_t id = read_id(r);

    if (id == INT_NONE)
        return;
    if (o->eos_count == GENERATION_MAX_EOS) {
        json_fail(r, "too many end tokens (expected at most %d)", GENERATION_MAX_EOS);
        return;
    }
    o->eos[o->eos_count++] = id;
}

static void read_eos(struct json_reader *r, struct generation_options *o)
{
    o->eos_count = 0;
    if (json_peek(r) != JSON_ARRAY) {
        add_eos(r, o);
        return;
    }
    json_array_begin(r);
    while (json_next_element(r))
        add_eos(r, o);
}

static void read_early(struct json_reader *r, struct generation_options *o)
{
    struct json_string s;

    if (json_peek(r) != JSON_STRING)
        o->early_stopping = json_bool(r) ? EARLY_TRUE : EARLY_FALSE;
    else if (json_string(r, &s) && s.length == 5 && memcmp(s.data, "never", 5) == 0)
        o->early_stopping = EARLY_NEVER;
    else
        json_fail(r, "`early_stopping` must be a boolean or 'never'");
}

static void read_stops(struct json_reader *r, struct generation_options *o)
{
    struct json_string s;

    generation_options_release(o);
    if (json_peek(r) != JSON_ARRAY) {
        if (json_string(r, &s))
            generation_options_add_stop(o, s.data, s.length);
        return;
    }
    json_array_begin(r);
    while (json_next_element(r))
        if (json_string(r, &s))
            generation_options_add_stop(o, s.data, s.length);
}

/* [] or {}; nothing at all, where reading it has failed. */
static bool holds_nothing(struct json_string raw)
{
    for (size_t i = 1; i + 1 < raw.length; i++)
        if (!strchr(" \t\r\n", raw.data[i]))
            return false;
    return true;
}

static void read_refused(struct json_reader *r, const struct refusal *x, struct generation_options *o)
{
    enum json_type type = json_peek(r);
    struct json_string raw = json_raw(r);
    double number = NAN;
    struct json_reader again;
    bool neutral = type == JSON_BOOL && raw.length == 5; /* false */

    if (type == JSON_NUMBER) {
        json_reader_init(&again, r->name, raw.data, raw.length);
        number = json_double(&again);
        json_reader_release(&again);
    }
    if (type == JSON_ARRAY || type == JSON_OBJECT)
        neutral = holds_nothing(raw);
    if (neutral || number == x->neutral)
        return;
    if (x->sampling)
        o->refused_sampling = x->key;
    else
        o->refused = x->key;
}

void generation_options_read_key(struct generation_options *o, struct json_reader *r, const char *key)
{
    const struct value *v = values;
    const struct refusal *x = refusals;

    while (v->key && strcmp(v->key, key) != 0)
        v++;
    while (x->key && strcmp(x->key, key) != 0)
        x++;
    if (json_peek(r) == JSON_NULL)
        json_null(r);
    else if (v->key)
        read_value(r, v, o);
    else if (x->key)
        read_refused(r, x, o);
    else if (strcmp(key, "eos_token_id") == 0)
        read_eos(r, o);
    else if (strcmp(key, "bos_token_id") == 0)
        o->bos = read_id(r);
    else if (strcmp(key, "pad_token_id") == 0)
        o->pad = read_id(r);
    else if (strcmp(key, "decoder_start_token_id") == 0)
        o->decoder_start = read_id(r);
    else if (strcmp(key, "early_stopping") == 0)
        read_early(r, o);
    else if (strcmp(key, "stop_strings") == 0)
        read_stops(r, o);
    else
        json_skip(r);
}

int generation_options_parse(struct generation_options *o, const char *name, const char *bytes, size_t length)
{
    struct json_reader r;
    struct json_string key;
    int status;

    json_reader_init(&r, name, bytes, length);
    if (json_object_begin(&r)) {
        while (json_next_key(&r, &key)) {
            char *copy = mem_strndup(key.data, key.length);
            generation_options_read_key(o, &r, copy);
            mem_free(copy);
        }
    }
    status = json_end(&r);
    json_reader_release(&r);
    return status;
}

static int read_file(struct generation_options *o, const char *path)
{
    struct str text;
    int status;

    str_init(&text);
    status = file_read(path, MAX_FILE, &text);
    if (status == OK)
        status = generation_options_parse(o, path, text.data, text.length);
    str_release(&text);
    return status;
}

static int read_config(struct generation_options *o, const struct config *c)
{
    int status = OK;

    for (size_t i = 0; i < c->key_count && status == OK; i++) {
        struct json_reader r;
        json_reader_init(&r, c->name, c->keys[i].json, strlen(c->keys[i].json));
        generation_options_read_key(o, &r, c->keys[i].name);
        status = json_end(&r);
        if (status != OK)
            error_prefix("%s: ", c->keys[i].name);
        json_reader_release(&r);
    }
    o->bos = c->bos;
    o->pad = c->pad;
    o->eos_count = c->eos_count;
    memcpy(o->eos, c->eos, sizeof(c->eos[0]) * (size_t)c->eos_count);
    return status;
}

_Static_assert((int)GENERATION_MAX_EOS >= (int)CONFIG_MAX_EOS, "a config's end tokens fit");

int generation_options_load(struct generation_options *o, const char *directory, const struct config *config)
{
    char *path = directory ? path_join(directory, "generation_config.json") : NULL;
    bool own = path && file_exists(path);
    int status;

    generation_options_init(o);
    status = own ? read_file(o, path) : read_config(o, config);
    if (o->decoder_start == INT_NONE)
        o->decoder_start = config->decoder_start;
    if (status != OK)
        generation_options_release(o);
    else
        o->source = mem_strdup(own ? path : config->name);
    mem_free(path);
    return status;
}

/* ---- Checking ---- */

static int check_sampling(const struct generation_options *o)
{
    const char *advice =
        o->temperature == 0 ? " If you're looking for greedy decoding strategies, set `do_sample=False`" : "";

    if (o->refused_sampling)
        return fail(ERR_CONFIG, "%s: plait has no %s", o->source, o->refused_sampling);
    if (!(o->temperature > 0) || isinf(o->temperature))
        return fail(
            ERR_CONFIG,
            "`temperature` (=%g) has to be a strictly positive float, otherwise your next token scores "
            "will be invalid.%s",
            o->temperature, advice);
    if (o->top_k < 0)
        return fail(ERR_CONFIG, "`top_k` has to be a strictly positive integer, but is %lld",
                    (long long)o->top_k);
    if (!(o->top_p >= 0 && o->top_p <= 1))
        return fail(ERR_CONFIG, "`top_p` has to be a float > 0 and < 1, but is %g", o->top_p);
    return OK;
}

static int check_sequences(const struct generation_options *o)
{
    int64_t returned = o->num_return_sequences;

    if (o->num_beams < 1)
        return fail(ERR_CONFIG, "`num_beams` has to be a strictly positive integer, but is %lld",
                    (long long)o->num_beams);
    if (returned < 1)
        return fail(ERR_CONFIG, "`num_return_sequences` has to be a strictly positive integer, but is %lld",
                    (long long)returned);
    if (o->num_beams > MAX_SEQUENCES || returned > MAX_SEQUENCES)
        return fail(ERR_CONFIG, "%lld sequences of one prompt are too many (expected at most %d)",
                    (long long)generation_width(o), MAX_SEQUENCES);
    if (o->num_beams == 1 && !o->do_sample && returned > 1)
        return fail(ERR_CONFIG,
                    "Greedy methods (do_sample != True) without beam search do not support "
                    "`num_return_sequences` different than 1 (got %lld)",
                    (long long)returned);
    if (o->num_beams > 1 && returned > o->num_beams)
        return fail(ERR_CONFIG,
                    "`num_return_sequences` (%lld) has to be smaller or equal to `num_beams` (%lld)",
                    (long long)returned, (long long)o->num_beams);
    return OK;
}

static int check_lengths(const struct generation_options *o)
{
    if (o->max_new_tokens > INT32_MAX || o->max_length > INT32_MAX)
        return fail(ERR_CONFIG, "`%s` is too large (found %lld, expected at most %d)",
                    o->max_new_tokens > INT32_MAX ? "max_new_tokens" : "max_length",
                    (long long)(o->max_new_tokens > INT32_MAX ? o->max_new_tokens : o->max_length),
                    INT32_MAX);
    if (o->max_new_tokens != INT_NONE && o->max_new_tokens <= 0)
        return fail(ERR_CONFIG, "`max_new_tokens` must be greater than 0, but is %lld",
                    (long long)o->max_new_tokens);
    if (o->min_length < 0)
        return fail(ERR_CONFIG, "`min_length` has to be a non-negative integer, but is %lld",
                    (long long)o->min_length);
    if (o->min_new_tokens < 0)
        return fail(ERR_CONFIG, "`min_new_tokens` has to be a positive integer, but is %lld",
                    (long long)o->min_new_tokens);
    return OK;
}

int generation_options_check(const struct generation_options *o)
{
    if (o->refused)
        return fail(ERR_CONFIG, "%s: plait has no %s", o->source, o->refused);
    TRY(check_lengths(o));
    TRY(check_sequences(o));
    if (o->do_sample)
        TRY(check_sampling(o));
    if (!(o->repetition_penalty > 0) || isinf(o->repetition_penalty))
        return fail(ERR_CONFIG, "`penalty` has to be a strictly positive float, but is %g",
                    o->repetition_penalty);
    if (o->no_repeat_ngram_size < 0)
        return fail(ERR_CONFIG, "`ngram_size` has to be a strictly positive integer, but is %lld",
                    (long long)o->no_repeat_ngram_size);
    if (!isfinite(o->length_penalty))
        return fail(ERR_CONFIG, "`length_penalty` has to be a finite float, but is %g", o->length_penalty);
    return OK;
}

int generation_limit(const struct generation_options *o, int64_t length, int64_t positions, int64_t *limit)
{
    int64_t most = o->max_length;

    if (length > positions)
        return fail(ERR_CONFIG,
                    "the prompt is longer than the model's positions (found %lld tokens, expected at "
                    "most %lld)",
                    (long long)length, (long long)positions);
    if (o->max_new_tokens != INT_NONE) {
        most = length + o->max_new_tokens;
    } else if (most == INT_NONE) {
        most = length + GENERATION_DEFAULT_NEW;
        most = most > positions ? positions : most;
    }
    if (length >= most)
        return fail(
            ERR_CONFIG,
            "Input length of input_ids is %lld, but `max_length` is set to %lld. This can lead to unexpected "
            "behavior. You should consider increasing `max_length` or, better yet, setting "
            "`max_new_tokens`",
            (long long)length, (long long)most);
    /* The last token needs no position: nothing comes after it. */
    *limit = most > positions + 1 ? positions + 1 : most;
    return OK;
}

int64_t generation_width(const struct generation_options *o)
{
    return o->num_beams > o->num_return_sequences ? o->num_beams : o->num_return_sequences;
}
