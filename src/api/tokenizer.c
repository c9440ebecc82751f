/* Tokenizer handles: a tokenizer and the encoder with its cache of words. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"
#include "base/file.h"
#include "data/cache.h"
#include "data/train_text.h"
#include "tok/train.h"

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

int plait_tokenizer_options_init(struct plait_tokenizer_options *o, size_t size)
{
    const struct plait_tokenizer_options preset = { .vocab_size = 30000, .min_frequency = 2 };

    TRY(api_begin("plait_tokenizer_options_init", o, "o"));
    return api_give("plait_tokenizer_options", o, size, &preset, sizeof(preset), sizeof(preset));
}

static int check_strings(const char *what, const char *const *list, int64_t count)
{
    if (count < 0 || (count > 0 && !list))
        return fail(ERR_USAGE, "plait_tokenizer_train: wrong number of %s (found %" PRId64 ")", what, count);
    for (int64_t i = 0; i < count; i++)
        if (!list[i])
            return fail(ERR_USAGE, "plait_tokenizer_train: %s[%" PRId64 "] is NULL", what, i);
    return OK;
}

static int train(const char *const *files, int64_t count, const struct tok_train_options *o,
                 struct tokenizer **out)
{
    struct tok_trainer *trainer;
    char *directory;
    int status;

    TRY(tok_trainer_create(o, &trainer));
    directory = token_cache_directory(NULL, NULL);
    status = train_text_feed(trainer, &(struct source_options){ .option = "files",
                                                                .patterns = files,
                                                                .pattern_count = (size_t)count,
                                                                .spool_directory = directory,
                                                                .corpus = true });
    mem_free(directory);
    if (status == OK)
        status = tok_trainer_finish(trainer, NULL, NULL, out);
    tok_trainer_free(trainer);
    return status;
}

int plait_tokenizer_train(const char *const *files, int64_t file_count,
                          const struct plait_tokenizer_options *options, struct plait_tokenizer **out)
{
    struct plait_tokenizer_options o = { .vocab_size = 30000, .min_frequency = 2 };
    struct tokenizer *made;

    TRY(api_begin("plait_tokenizer_train", files, "files"));
    TRY(api_require("plait_tokenizer_train", out, "out"));
    if (options)
        TRY(api_take("plait_tokenizer_options", options, &o, sizeof(o), sizeof(o)));
    TRY(check_strings("files", files, file_count));
    TRY(check_strings("specials", o.specials, o.special_count));
    TRY(train(files, file_count,
              &(struct tok_train_options){ .vocab_size = o.vocab_size,
                                           .min_frequency = o.min_frequency,
                                           .specials = o.specials,
                                           .special_count = (size_t)o.special_count,
                                           .add_prefix_space = o.add_prefix_space != 0 },
              &made));
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
