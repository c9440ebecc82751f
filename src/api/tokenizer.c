/* Tokenizer handles: a tokenizer and the encoder with its cache of words. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"
#include "api/encode.h"
#include "api/tokenizer_train.h"
#include "base/file.h"

_Static_assert(PLAIT_TOKEN_BOS == (int)TOK_BOS && PLAIT_TOKEN_EOS == (int)TOK_EOS &&
                   PLAIT_TOKEN_UNK == (int)TOK_UNK && PLAIT_TOKEN_SEP == (int)TOK_SEP &&
                   PLAIT_TOKEN_PAD == (int)TOK_PAD && PLAIT_TOKEN_CLS == (int)TOK_CLS &&
                   PLAIT_TOKEN_MASK == (int)TOK_MASK && PLAIT_TOKEN_COUNT == (int)TOK_SPECIAL_COUNT,
               "plait.h has the parts of tok.h");

/* ---- life ---- */

static struct plait_tokenizer *handle_of(struct tokenizer *tokenizer)
{
    struct plait_tokenizer *t = mem_alloc(sizeof(*t));

    t->tokenizer = tokenizer;
    return t;
}

int plait_tokenizer_load(const char *path, struct plait_tokenizer **out)
{
    struct tokenizer *loaded;

    TRY(api_begin("plait_tokenizer_load", path, "path"));
    TRY(api_require("plait_tokenizer_load", out, "out"));
    TRY(tokenizer_load(path, &loaded));
    *out = handle_of(loaded);
    return OK;
}

void plait_tokenizer_free(struct plait_tokenizer *t)
{
    if (!t)
        return;
    encoder_free(t->encoder);
    tokenizer_free(t->tokenizer);
    mem_free(t);
}

int plait_tokenizer_save(const struct plait_tokenizer *t, const char *directory)
{
    TRY(api_begin("plait_tokenizer_save", t, "t"));
    TRY(api_require("plait_tokenizer_save", directory, "directory"));
    TRY(directory_create(directory));
    return tokenizer_save(t->tokenizer, directory);
}

/* ---- training ---- */

int plait_tokenizer_train(const char *const *options, struct plait_tokenizer **out)
{
    struct tokenizer_train_values v = { 0 };
    struct api_options given;
    struct tokenizer *made;
    int status;

    TRY(api_begin("plait_tokenizer_train", out, "out"));
    TRY(api_options_read(&given, "tokenizer train", tokenizer_train_parts, &v, options));
    status = tokenizer_train_run(&v, NULL, &made);
    api_options_release(&given);
    TRY(status);
    *out = handle_of(made);
    return OK;
}

/* ---- tokens and ids ---- */

int64_t plait_tokenizer_size(const struct plait_tokenizer *t)
{
    return t ? tokenizer_size(t->tokenizer) : 0;
}

int32_t plait_tokenizer_id(const struct plait_tokenizer *t, const char *token, size_t length)
{
    return t && token ? tokenizer_id(t->tokenizer, token, length) : -1;
}

const char *plait_tokenizer_token(const struct plait_tokenizer *t, int32_t id, size_t *length)
{
    size_t bytes = 0;
    const char *token = t ? tokenizer_token(t->tokenizer, id, &bytes) : NULL;

    if (length)
        *length = token ? bytes : 0;
    return token;
}

int32_t plait_tokenizer_special_id(const struct plait_tokenizer *t, int which)
{
    if (!t || which < 0 || which >= PLAIT_TOKEN_COUNT)
        return -1;
    return tokenizer_special_id(t->tokenizer, (enum tok_special)which);
}

int64_t plait_tokenizer_encode(struct plait_tokenizer *t, const char *text, size_t length, int special,
                               int32_t *ids, int64_t capacity)
{
    const struct encode_options o = { .no_special_tokens = !special };
    struct encoding e = { 0 };
    int64_t count;
    int status;

    TRY(api_begin("plait_tokenizer_encode", t, "t"));
    TRY(api_require("plait_tokenizer_encode", length > 0 ? text : "", "text"));
    TRY(api_require("plait_tokenizer_encode", capacity > 0 ? (const void *)ids : "", "ids"));
    if (!t->encoder)
        t->encoder = encoder_create(t->tokenizer);
    status = tokenizer_encode(t->encoder, length > 0 ? text : "", length, &o, &e);
    count = (int64_t)e.count;
    if (status == OK && count > 0 && capacity > 0)
        memcpy(ids, e.ids, (size_t)(count < capacity ? count : capacity) * sizeof(ids[0]));
    encoding_release(&e);
    return status == OK ? count : status;
}

int64_t plait_tokenizer_decode(const struct plait_tokenizer *t, const int32_t *ids, int64_t count,
                               int skip_special, char *text, size_t capacity)
{
    struct str s;
    int64_t length;
    size_t kept;
    int status;

    TRY(api_begin("plait_tokenizer_decode", t, "t"));
    TRY(api_require("plait_tokenizer_decode", count > 0 ? (const void *)ids : "", "ids"));
    TRY(api_require("plait_tokenizer_decode", capacity > 0 ? text : "", "text"));
    str_init(&s);
    status = tokenizer_decode(t->tokenizer, ids, count > 0 ? (size_t)count : 0, skip_special != 0, &s);
    length = (int64_t)s.length;
    if (status == OK && capacity > 0) {
        kept = s.length < capacity ? s.length : capacity - 1;
        memcpy(text, s.data, kept);
        text[kept] = '\0';
    }
    str_release(&s);
    return status == OK ? length : status;
}

/* ---- many texts ---- */

struct plait_tokens {
    int32_t *ids, *mask, *types; /* of all texts, one after the other */
    int64_t *begins;             /* [count + 1] */
    int64_t count;
};

static int64_t total(const struct encode_result *r, int64_t count)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += (int64_t)r->list[i].count;
    return sum;
}

static struct plait_tokens *join(const struct encode_result *r, int64_t count)
{
    struct plait_tokens *t = mem_alloc(sizeof(*t));
    int64_t sum = total(r, count), at = 0;

    t->count = count;
    t->ids = mem_alloc_array(3 * (size_t)sum + 1, sizeof(t->ids[0]));
    t->mask = t->ids + sum;
    t->types = t->mask + sum;
    t->begins = mem_alloc_array((size_t)count + 1, sizeof(t->begins[0]));
    for (int64_t i = 0; i < count; i++) {
        const struct encoding *e = &r->list[i];
        int64_t filled = (int64_t)(e->count - r->lengths[i]), first = r->left ? filled : 0;
        for (int64_t k = 0; k < (int64_t)e->count; k++) {
            t->ids[at + k] = e->ids[k];
            t->types[at + k] = e->types ? e->types[k] : 0;
            t->mask[at + k] = k >= first && k < first + (int64_t)r->lengths[i];
        }
        at += (int64_t)e->count;
        t->begins[i + 1] = at;
    }
    return t;
}

static int encode_all(const struct plait_tokenizer *t, const struct encode_values *v,
                      const struct tok_input *texts, int64_t count, struct plait_tokens **out)
{
    struct encode_result r = { .list = mem_alloc_array((size_t)count + 1, sizeof(r.list[0])),
                               .lengths = mem_alloc_array((size_t)count + 1, sizeof(r.lengths[0])) };
    int status = encode_texts(v, t->tokenizer, texts, (size_t)count, &r);

    if (status == OK)
        *out = join(&r, count);
    for (int64_t i = 0; i < count; i++)
        encoding_release(&r.list[i]);
    mem_free(r.list);
    mem_free(r.lengths);
    return status;
}

static struct tok_text text_of(const char *bytes, size_t length)
{
    return (struct tok_text){ bytes, bytes && length == PLAIT_TO_NUL ? strlen(bytes) : length };
}

static int take_texts(const struct plait_text *texts, int64_t count, struct tok_input *out)
{
    for (int64_t i = 0; i < count; i++) {
        if (!texts[i].text)
            return fail(ERR_USAGE, "plait_tokenizer_encode_batch: text %" PRId64 " is NULL", i);
        out[i].text = text_of(texts[i].text, texts[i].length);
        out[i].pair = text_of(texts[i].pair, texts[i].pair_length);
    }
    return OK;
}

int plait_tokenizer_encode_batch(const struct plait_tokenizer *t, const char *const *options,
                                 const struct plait_text *texts, int64_t count, struct plait_tokens **out)
{
    struct encode_values v = { 0 };
    struct api_options given;
    struct tok_input *list;
    int status;

    TRY(api_begin("plait_tokenizer_encode_batch", t, "t"));
    TRY(api_require("plait_tokenizer_encode_batch", texts, "texts"));
    TRY(api_require("plait_tokenizer_encode_batch", out, "out"));
    if (count < 1 || count > INT32_MAX)
        return fail(ERR_USAGE,
                    "plait_tokenizer_encode_batch: wrong number of texts (found %" PRId64
                    ", expected at least 1)",
                    count);
    TRY(api_options_read(&given, "tokenizer encode", encode_parts, &v, options));
    list = mem_alloc_array((size_t)count, sizeof(list[0]));
    v.types = true;
    status = take_texts(texts, count, list);
    if (status == OK)
        status = encode_all(t, &v, list, count, out);
    mem_free(list);
    api_options_release(&given);
    return status;
}

void plait_tokens_free(struct plait_tokens *t)
{
    if (!t)
        return;
    mem_free(t->ids);
    mem_free(t->begins);
    mem_free(t);
}

const int32_t *plait_tokens_ids(const struct plait_tokens *t, int64_t index, int64_t *length)
{
    bool there = t && index >= 0 && index < t->count;

    if (length)
        *length = there ? t->begins[index + 1] - t->begins[index] : 0;
    return there ? t->ids + t->begins[index] : NULL;
}

int plait_tokens_array(const struct plait_tokens *t, const char *name, struct plait_array *out)
{
    static const char *const names[] = { "input_ids", "attention_mask", "token_type_ids" };
    const int32_t *data = NULL;
    int which = 0;

    TRY(api_begin("plait_tokens_array", t, "t"));
    TRY(api_require("plait_tokens_array", name, "name"));
    TRY(api_require("plait_tokens_array", out, "out"));
    for (const int32_t *const all[] = { t->ids, t->mask, t->types }; which < 3 && !data; which++)
        data = strcmp(name, names[which]) == 0 ? all[which] : NULL;
    if (!data)
        return fail(ERR_USAGE,
                    "%.60s: tokens have no such array (expected input_ids, attention_mask or token_type_ids)",
                    name);
    for (int64_t i = 1; i < t->count; i++)
        if (t->begins[i + 1] - t->begins[i] != t->begins[1])
            return fail(ERR_USAGE,
                        "texts are not of one length (found %" PRId64 " tokens in text %" PRId64
                        ", expected %" PRId64 ": the option padding makes them so)",
                        t->begins[i + 1] - t->begins[i], i, t->begins[1]);
    *out = (struct plait_array){ .name = names[which - 1],
                                 .type = PLAIT_INT32,
                                 .ndim = 2,
                                 .shape = { t->count, t->begins[1] },
                                 .data = data };
    return OK;
}

/* ---- text while ids are being made ---- */

struct plait_decoder {
    struct tok_stream *stream;
    struct str text;
};

int plait_decoder_create(const struct plait_tokenizer *t, int skip_special, struct plait_decoder **out)
{
    struct plait_decoder *d;

    TRY(api_begin("plait_decoder_create", t, "t"));
    TRY(api_require("plait_decoder_create", out, "out"));
    d = mem_alloc(sizeof(*d));
    d->stream = tok_stream_create(t->tokenizer, skip_special != 0);
    str_init(&d->text);
    *out = d;
    return OK;
}

void plait_decoder_free(struct plait_decoder *d)
{
    if (!d)
        return;
    tok_stream_free(d->stream);
    str_release(&d->text);
    mem_free(d);
}

static void give_text(const struct plait_decoder *d, const char **text, size_t *length)
{
    *text = d->text.data;
    if (length)
        *length = d->text.length;
}

int plait_decoder_add(struct plait_decoder *d, int32_t id, const char **text, size_t *length)
{
    TRY(api_begin("plait_decoder_add", d, "d"));
    TRY(api_require("plait_decoder_add", text, "text"));
    str_clear(&d->text);
    TRY(tok_stream_add(d->stream, id, &d->text));
    give_text(d, text, length);
    return OK;
}

int plait_decoder_finish(struct plait_decoder *d, const char **text, size_t *length)
{
    TRY(api_begin("plait_decoder_finish", d, "d"));
    TRY(api_require("plait_decoder_finish", text, "text"));
    str_clear(&d->text);
    TRY(tok_stream_finish(d->stream, &d->text));
    give_text(d, text, length);
    return OK;
}
