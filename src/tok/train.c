/* From counted words to a tokenizer: special tokens first, then the alphabet, then what is merged; or the
 * pieces of a Unigram model. */
#include "tok/train.h"
#include "tok/tokenizer.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/byte_level.h"
#include "tok/model.h"

/* ---- which special token plays which part ---- */

static const char *const usual[TOK_SPECIAL_COUNT][6] = {
    [TOK_BOS] = { "<s>", "<bos>", "[BOS]", "<|begin_of_text|>", "<|endoftext|>" },
    [TOK_EOS] = { "</s>", "<eos>", "[EOS]", "<|end_of_text|>", "<|endoftext|>" },
    [TOK_UNK] = { "<unk>", "[UNK]", "<|unk|>", "<|endoftext|>" },
    [TOK_SEP] = { "[SEP]", "<sep>" },
    [TOK_PAD] = { "<pad>", "[PAD]", "<|pad|>", "<|padding|>" },
    [TOK_CLS] = { "[CLS]", "<cls>" },
    [TOK_MASK] = { "<mask>", "[MASK]", "<|mask|>" },
};

static void name_specials(struct tokenizer *t)
{
    for (int i = 0; i < TOK_SPECIAL_COUNT; i++) {
        for (int k = 0; k < 6 && usual[i][k] && t->specials[i] < 0; k++) {
            const struct added_token *a = added_find(&t->added, usual[i][k], strlen(usual[i][k]));
            if (a && a->special)
                t->specials[i] = a->id;
        }
    }
}

int train_choose_unk(struct tok_train_options *o, char **unk)
{
    bool needed = o->type == TOK_TRAIN_WORDPIECE || o->type == TOK_TRAIN_UNIGRAM;

    for (size_t i = 0; *unk && i < o->special_count; i++)
        if (strcmp(o->specials[i], *unk) == 0)
            return OK;
    if (*unk)
        return fail(ERR_CONFIG, "unk_token \"%s\" is not among the special tokens", *unk);
    for (size_t i = 0; o->type != TOK_TRAIN_BYTE_LEVEL && i < o->special_count && !*unk; i++)
        for (int k = 0; k < 6 && usual[TOK_UNK][k] && !*unk; k++)
            if (strcmp(o->specials[i], usual[TOK_UNK][k]) == 0)
                *unk = mem_strdup(o->specials[i]);
    o->unk_token = *unk;
    if (needed && !*unk)
        return fail(ERR_CONFIG, "no special token stands for what is unknown (expected <unk> or [UNK] among "
                                "them, or unk_token)");
    return OK;
}

/* ---- words ---- */

static int check_lengths(const struct word_counts *counts, size_t *total)
{
    struct word_counts_item e;
    size_t place = 0;

    *total = 0;
    while (word_counts_next(counts, &place, &e)) {
        if (e.length > INT32_MAX)
            return fail(ERR_DATA, "a word of %zu bytes (expected at most %d)", e.length, INT32_MAX);
        *total += e.length;
    }
    return OK;
}

/* Symbols of all words, one after the other. byte_ids: of the alphabet. */
static int words_init(struct train_words *w, const struct word_counts *counts, const int32_t byte_ids[256])
{
    struct word_counts_item e;
    size_t total, place = 0, symbol = 0;

    TRY(check_lengths(counts, &total));
    w->symbols = mem_alloc_array(total, sizeof(*w->symbols));
    w->items = mem_alloc_array(word_counts_size(counts), sizeof(*w->items));
    w->count = 0;
    while (word_counts_next(counts, &place, &e)) {
        w->items[w->count++] =
            (struct train_word){ .begin = symbol, .length = (uint32_t)e.length, .count = e.count };
        for (size_t k = 0; k < e.length; k++)
            w->symbols[symbol++] = byte_ids[(uint8_t)e.bytes[k]];
    }
    return OK;
}

static void words_release(struct train_words *w)
{
    mem_free(w->symbols);
    mem_free(w->items);
}

/* ---- the vocabulary before merging ---- */

/* The characters of all bytes, by code point. */
static void add_alphabet(struct train_result *r, int32_t byte_ids[256])
{
    char form[4];
    int64_t id;

    for (uint32_t c = 0; c < 0x200; c++) {
        int byte = byte_level_byte(c), n;
        if (byte < 0)
            continue;
        n = utf8_encode(c, form);
        train_add_token(r, form, (size_t)n);
        map_get(&r->ids, form, (size_t)n, &id);
        byte_ids[byte] = (int32_t)id;
    }
}

/* ---- the result as a tokenizer.json ---- */

static void write_specials(struct json_writer *w, const struct tok_train_options *o)
{
    struct map seen;

    map_init(&seen);
    json_write_key(w, "added_tokens");
    json_write_array_begin(w);
    for (size_t i = 0; i < o->special_count; i++) {
        struct added_token a = {
            .content = (char *)o->specials[i],
            .length = strlen(o->specials[i]),
            .special = true,
        };
        int64_t id = (int64_t)seen.count;
        if (!map_add(&seen, a.content, a.length, id))
            continue;
        json_write_object_begin(w);
        json_write_key(w, "id");
        json_write_int(w, id);
        added_token_write(w, &a);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    map_release(&seen);
}

static void write_pipeline(struct json_writer *w, const struct tokenizer *pipeline)
{
    for (int i = 0; i < SECTION_COUNT; i++) {
        if (!pipeline->sections[i])
            continue;
        json_write_key(w, section_keys[i]);
        json_write_raw(w, pipeline->sections[i], strlen(pipeline->sections[i]));
    }
}

static void write_ids(struct json_writer *w, const struct train_result *r)
{
    json_write_key(w, "vocab");
    json_write_object_begin(w);
    for (size_t i = 0; i < r->ids.count; i++) {
        json_write_key_bytes(w, r->ids.entries[i].key, r->ids.entries[i].length);
        json_write_int(w, (int64_t)i);
    }
    json_write_object_end(w);
}

/* The same pair may be merged twice, when its words came up in two steps: the later rank counts. */
static void write_merges(struct json_writer *w, const struct train_result *r)
{
    struct map last;

    map_init(&last);
    for (size_t i = 0; i < r->merge_count; i++)
        map_set(&last, (const char *)&r->merges[i].pair, sizeof(uint64_t), (int64_t)i);
    json_write_key(w, "merges");
    json_write_array_begin(w);
    for (size_t i = 0; i < r->merge_count; i++) {
        uint64_t pair = r->merges[i].pair;
        const struct map_entry *left = &r->ids.entries[pair >> 32], *right = &r->ids.entries[(uint32_t)pair];
        if (map_find(&last, (const char *)&pair, sizeof(pair))->value != (int64_t)i)
            continue;
        json_write_array_begin(w);
        json_write_bytes(w, left->key, left->length);
        json_write_bytes(w, right->key, right->length);
        json_write_array_end(w);
    }
    json_write_array_end(w);
    map_release(&last);
}

static void write_scores(struct json_writer *w, const struct tok_train_options *o,
                         const struct train_result *r, const struct unigram_entries *entries)
{
    json_write_key(w, "vocab");
    json_write_array_begin(w);
    for (size_t i = 0; i < r->ids.count; i++) { /* special tokens and bytes */
        json_write_array_begin(w);
        json_write_bytes(w, r->ids.entries[i].key, r->ids.entries[i].length);
        json_write_double(w, 0);
        json_write_array_end(w);
    }
    for (size_t i = 0; i < entries->count; i++) {
        json_write_array_begin(w);
        json_write_bytes(w, entries->items[i].text, entries->items[i].length);
        json_write_double(w, entries->items[i].score);
        json_write_array_end(w);
    }
    json_write_array_end(w);
    model_write_flag(w, "byte_fallback", o->byte_fallback);
}

static void write_model(struct json_writer *w, const struct tok_train_options *o,
                        const struct train_result *r, const struct unigram_entries *entries)
{
    static const char *const types[] = { "BPE", "WordPiece", "Unigram", "BPE" };
    int64_t unk_id = -1;

    json_write_key(w, "type");
    json_write_string(w, types[o->type]);
    if (o->unk_token)
        map_get(&r->ids, o->unk_token, strlen(o->unk_token), &unk_id);
    if (o->type == TOK_TRAIN_UNIGRAM) {
        json_write_key(w, "unk_id");
        json_write_int(w, unk_id);
        write_scores(w, o, r, entries);
        return;
    }
    if (o->type != TOK_TRAIN_BYTE_LEVEL && unk_id >= 0)
        model_write_text(w, "unk_token", o->unk_token);
    if (o->type == TOK_TRAIN_SENTENCEPIECE) {
        model_write_flag(w, "fuse_unk", true);
        model_write_flag(w, "byte_fallback", o->byte_fallback);
    }
    write_ids(w, r);
    if (o->type != TOK_TRAIN_WORDPIECE)
        write_merges(w, r);
}

static int finish(const struct tok_trainer *t, const struct train_result *r,
                  const struct unigram_entries *entries, struct tokenizer **out)
{
    struct json_writer w;
    struct str json;
    int status;

    str_init(&json);
    json_writer_init(&w, &json, -1);
    json_write_object_begin(&w);
    write_specials(&w, &t->options);
    write_pipeline(&w, t->pipeline);
    json_write_key(&w, "model");
    json_write_object_begin(&w);
    write_model(&w, &t->options, r, entries);
    json_write_object_end(&w);
    json_write_object_end(&w);
    status = tokenizer_parse("trained tokenizer", json.data, json.length, out);
    if (status == OK)
        name_specials(*out);
    if (status == OK && t->options.unk_token)
        status = tokenizer_set_special(*out, TOK_UNK, t->options.unk_token);
    str_release(&json);
    return status;
}

/* ---- the types ---- */

static int train_pairs(struct tok_trainer *t, const struct train_progress *progress, struct train_result *r)
{
    bool pieces = t->options.type == TOK_TRAIN_WORDPIECE;
    const struct train_merge_options o = { .vocab_size = t->options.vocab_size,
                                           .min_frequency = t->options.min_frequency,
                                           .max_token_length = t->options.max_token_length,
                                           .continuing = pieces ? "##" : "",
                                           .progress = *progress };
    struct train_words words;
    int32_t byte_ids[256];

    if (t->options.type == TOK_TRAIN_BYTE_LEVEL) {
        add_alphabet(r, byte_ids);
        TRY(words_init(&words, &t->counts[0], byte_ids));
    } else {
        TRY(train_chars(&t->counts[0], t->options.limit_alphabet, o.continuing, r, &words));
    }
    train_merges(&words, &o, r);
    words_release(&words);
    return OK;
}

static int train_vocabulary(struct tok_trainer *t, const struct train_progress *progress,
                            struct train_result *r, struct unigram_entries *entries)
{
    const struct tok_train_options *o = &t->options;

    for (size_t i = 0; i < o->special_count; i++)
        train_add_token(r, t->specials[i], strlen(t->specials[i]));
    if (o->byte_fallback && (o->type == TOK_TRAIN_UNIGRAM || o->type == TOK_TRAIN_SENTENCEPIECE))
        train_add_bytes(r);
    if (o->type != TOK_TRAIN_UNIGRAM)
        return train_pairs(t, progress, r);
    if (o->vocab_size <= (int64_t)r->ids.count)
        return fail(ERR_CONFIG, "vocab_size %lld (expected more than the %zu special and byte tokens)",
                    (long long)o->vocab_size, r->ids.count);
    return train_unigram(&t->counts[0], o, o->vocab_size - (int64_t)r->ids.count, entries);
}

int tok_trainer_finish(struct tok_trainer *t, void (*progress)(void *context, int64_t done, int64_t total),
                       void *context, struct tokenizer **out)
{
    const struct train_progress p = { progress, context };
    struct unigram_entries entries = { 0 };
    struct train_result r = { 0 };
    int status;

    trainer_gather(t);
    map_init(&r.ids);
    status = train_vocabulary(t, &p, &r, &entries);
    if (status == OK)
        status = finish(t, &r, &entries, out);
    unigram_entries_release(&entries);
    map_release(&r.ids);
    mem_free(r.merges);
    return status;
}
