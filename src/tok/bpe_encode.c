/* Words to ids: the cache, then symbols, then merges. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/bpe_merge.h"
#include "tok/byte_level.h"
#include "tok/encoding.h"
#include "tok/model.h"

void *bpe_scratch_create(const void *state)
{
    struct bpe_scratch *s = mem_alloc(sizeof(*s));

    s->bpe = state;
    word_cache_init(&s->cache);
    text_init(&s->form, false);
    s->lists = bpe_lists_create();
    return s;
}

void bpe_scratch_free(void *scratch)
{
    struct bpe_scratch *s = scratch;

    word_cache_release(&s->cache);
    text_release(&s->form);
    mem_free(s->symbols.ids);
    mem_free(s->symbols.lengths);
    bpe_lists_free(s->lists);
    mem_free(s);
}

static void symbols_reserve(struct bpe_symbols *s, size_t count)
{
    if (count > s->id_capacity) {
        s->id_capacity = count;
        s->ids = mem_resize(s->ids, count * sizeof(*s->ids));
        s->lengths = mem_resize(s->lengths, count * sizeof(*s->lengths));
    }
}

static void symbols_add(struct bpe_symbols *s, int32_t id, size_t length)
{
    s->ids[s->count] = id;
    s->lengths[s->count++] = (uint32_t)length;
}

/* ---- symbols of a word that is not in byte-level form, or has affixes, or unknown characters ---- */

struct unknown { /* waits to be added, so that neighbours can fuse with it */
    size_t length;
    bool waiting;
};

static void unknown_flush(const struct bpe *b, struct bpe_symbols *s, struct unknown *u)
{
    if (u->waiting)
        symbols_add(s, b->unk_id, u->length);
    *u = (struct unknown){ 0 };
}

static void add_bytes(const struct bpe *b, struct bpe_symbols *s, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        symbols_add(s, b->fallback_ids[(uint8_t)bytes[i]], 1);
}

/* A character without a token of its own, with its affixes in `form`. */
static int add_unknown(const struct bpe *b, struct bpe_symbols *s, const struct str *form, size_t length,
                       struct unknown *u)
{
    if (b->byte_fallback) {
        add_bytes(b, s, form->data, form->length); /* before an unknown that waits, as in tokenizers */
        return OK;
    }
    if (!b->unk_token)
        return OK;
    if (b->unk_id < 0)
        return fail(ERR_DATA, "the tokenizer's unk_token \"%s\" is not in its vocabulary", b->unk_token);
    if (u->waiting && !b->fuse_unk)
        unknown_flush(b, s, u);
    u->waiting = true;
    u->length += length;
    return OK;
}

static int symbols_of_chars(const struct bpe *b, struct bpe_symbols *s, const struct piece *word)
{
    const char *p = word->bytes, *end = p + word->length;
    size_t prefix = b->prefix ? strlen(b->prefix) : 0, suffix = b->suffix ? strlen(b->suffix) : 0;
    struct unknown unknown = { 0 };
    struct str form;
    int status = OK;

    symbols_reserve(s, word->length * (b->byte_fallback ? 1 + prefix + suffix : 1) + 1);
    str_init(&form);
    for (size_t n; p < end && status == OK; p += n) {
        n = model_char_length(p, end);
        str_clear(&form);
        if (p > word->bytes)
            str_append_bytes(&form, b->prefix, prefix);
        str_append_bytes(&form, p, n);
        if (p + n == end)
            str_append_bytes(&form, b->suffix, suffix);
        int32_t id = vocab_id(b->vocab, form.data, form.length);
        if (id >= 0) {
            unknown_flush(b, s, &unknown);
            symbols_add(s, id, n);
        } else {
            status = add_unknown(b, s, &form, n, &unknown);
        }
    }
    unknown_flush(b, s, &unknown);
    str_release(&form);
    return status;
}

void bpe_set_dropout(const void *state, void *scratch, const struct tok_dropout *d)
{
    const struct bpe *b = state;
    struct bpe_scratch *s = scratch;

    s->drops = d && b->dropout > 0;
    if (s->drops)
        s->dropout = (struct bpe_dropout){ .key = { d->seed, rng_stream("bpe.dropout") },
                                           .text = d->text,
                                           .rate = b->dropout };
}

/* ---- one word ---- */

static int symbols_of_word(const struct bpe *b, struct bpe_scratch *s, const struct piece *word)
{
    struct bpe_symbols *y = &s->symbols;

    y->count = 0;
    if (!word->byte_level)
        return symbols_of_chars(b, y, word);
    if (!b->has_bytes) {
        struct piece plain = { word->bytes, word->length, NULL, false };
        struct piece formed = byte_level_form(&plain, &s->form);
        return symbols_of_chars(b, y, &formed);
    }
    symbols_reserve(y, word->length);
    for (size_t i = 0; i < word->length; i++) {
        y->ids[i] = b->byte_ids[(uint8_t)word->bytes[i]];
        y->lengths[i] = 1;
    }
    y->count = word->length;
    return OK;
}

/* The token that the whole word is, or -1. */
static int32_t whole_token(const struct bpe *b, struct bpe_scratch *s, const struct piece *word)
{
    struct piece plain = { word->bytes, word->length, NULL, false };

    if (word->byte_level)
        plain = byte_level_form(&plain, &s->form);
    return vocab_id(b->vocab, plain.bytes, plain.length);
}

static void emit(const struct bpe_scratch *s, const struct piece *word, struct encoding *out)
{
    const struct bpe_symbols *y = &s->symbols;
    size_t begin = 0;

    encoding_reserve(out, y->count);
    for (size_t i = 0; i < y->count; i++) {
        size_t end = begin + y->lengths[i];
        out->ids[out->count] = y->ids[i];
        if (out->spans)
            out->spans[out->count] = piece_origin(word, begin, end);
        out->count++;
        begin = end;
    }
}

static int encode_new(const struct bpe *b, struct bpe_scratch *s, const struct piece *word,
                      struct encoding *out)
{
    int32_t whole = b->ignore_merges && !s->drops ? whole_token(b, s, word) : -1;
    struct piece form = *word;
    struct text scratch;

    if (word->length > MODEL_WORD_MOST)
        return fail(ERR_DATA, "a word of %zu bytes (expected at most %d)", word->length, MODEL_WORD_MOST);
    if (whole >= 0) {
        encoding_add(out, whole, piece_origin(word, 0, word->length));
        return OK;
    }
    TRY(symbols_of_word(b, s, word));
    bpe_merge(b, &s->symbols, s->lists, s->drops ? &s->dropout : NULL);
    if (!out->spans && !s->drops)
        word_cache_put(&s->cache, word->bytes, word->length, s->symbols.ids, s->symbols.count);
    text_init(&scratch, true);
    if (out->spans && word->byte_level && !b->has_bytes)
        form = byte_level_form(word, &scratch); /* lengths count its bytes */
    emit(s, &form, out);
    text_release(&scratch);
    return OK;
}

int bpe_encode(const void *state, void *scratch, const struct piece *word, struct encoding *out)
{
    struct bpe_scratch *s = scratch;

    if (word->length == 0 || (!s->drops && word_cache_append(&s->cache, word->bytes, word->length, out)))
        return OK;
    return encode_new(state, s, word, out);
}
