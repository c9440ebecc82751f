/* From counted words to a tokenizer: special tokens first, then the alphabet of bytes, then what is merged.
 */
#include "tok/train.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/byte_level.h"
#include "tok/class.h"

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

static void add_token(struct train_result *r, const char *text, size_t length)
{
    map_add(&r->ids, text, length, (int64_t)r->ids.count);
}

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
        add_token(r, form, (size_t)n);
        map_get(&r->ids, form, (size_t)n, &id);
        byte_ids[byte] = (int32_t)id;
    }
}

/* ---- the result as a tokenizer.json ---- */

static void write_byte_level(struct json_writer *w, const char *key, bool add_prefix_space, bool trim_offsets)
{
    json_write_key(w, key);
    json_write_object_begin(w);
    json_write_key(w, "type");
    json_write_string(w, "ByteLevel");
    json_write_key(w, "add_prefix_space");
    json_write_bool(w, add_prefix_space);
    json_write_key(w, "trim_offsets");
    json_write_bool(w, trim_offsets);
    json_write_key(w, "use_regex");
    json_write_bool(w, true);
    json_write_object_end(w);
}

static void write_specials(struct json_writer *w, const struct tok_train_options *o,
                           const struct train_result *r)
{
    struct map seen;
    int64_t id = 0;

    map_init(&seen);
    json_write_key(w, "added_tokens");
    json_write_array_begin(w);
    for (size_t i = 0; i < o->special_count; i++) {
        struct added_token a = {
            .content = (char *)o->specials[i],
            .length = strlen(o->specials[i]),
            .special = true,
        };
        if (!map_add(&seen, a.content, a.length, 0))
            continue;
        map_get(&r->ids, a.content, a.length, &id);
        json_write_object_begin(w);
        json_write_key(w, "id");
        json_write_int(w, id);
        added_token_write(w, &a);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    map_release(&seen);
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

static void write_result(const struct tok_train_options *o, const struct train_result *r, struct str *out)
{
    struct json_writer w;

    json_writer_init(&w, out, -1);
    json_write_object_begin(&w);
    write_specials(&w, o, r);
    write_byte_level(&w, "pre_tokenizer", o->add_prefix_space, true);
    write_byte_level(&w, "post_processor", true, false);
    write_byte_level(&w, "decoder", true, true);
    json_write_key(&w, "model");
    json_write_object_begin(&w);
    json_write_key(&w, "type");
    json_write_string(&w, "BPE");
    json_write_key(&w, "vocab");
    json_write_object_begin(&w);
    for (size_t i = 0; i < r->ids.count; i++) {
        json_write_key_bytes(&w, r->ids.entries[i].key, r->ids.entries[i].length);
        json_write_int(&w, (int64_t)i);
    }
    json_write_object_end(&w);
    write_merges(&w, r);
    json_write_object_end(&w);
    json_write_object_end(&w);
}

static int finish(const struct tok_train_options *o, const struct train_result *r, struct tokenizer **out)
{
    struct str json;
    int status;

    str_init(&json);
    write_result(o, r, &json);
    status = tokenizer_parse("trained tokenizer", json.data, json.length, out);
    if (status == OK)
        name_specials(*out);
    str_release(&json);
    return status;
}

int tok_trainer_finish(struct tok_trainer *t, void (*progress)(void *context, int64_t done, int64_t total),
                       void *context, struct tokenizer **out)
{
    struct train_progress p = { progress, context };
    struct train_result r = { 0 };
    struct train_words words;
    int32_t byte_ids[256];
    int status;

    trainer_gather(t);
    map_init(&r.ids);
    for (size_t i = 0; i < t->options.special_count; i++)
        add_token(&r, t->specials[i], strlen(t->specials[i]));
    add_alphabet(&r, byte_ids);
    status = words_init(&words, &t->counts[0], byte_ids);
    if (status == OK) {
        train_merges(&words, &t->options, &p, &r);
        words_release(&words);
        status = finish(&t->options, &r, out);
    }
    map_release(&r.ids);
    mem_free(r.merges);
    return status;
}
