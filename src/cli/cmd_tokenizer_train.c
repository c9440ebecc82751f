/* plait tokenizer train -- from text to a tokenizer. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parallel.h"
#include "cli/cli.h"
#include "data/cache.h"
#include "data/train_text.h"
#include "tok/tok.h"

struct values {
    struct option_list files, specials;
    int type, post_processor;
    int64_t vocab_size, min_frequency, limit_alphabet, max_token_length, max_piece_length, seed_size,
        sub_iterations;
    double shrinking_factor;
    const char *output_dir, *text_column, *json_field, *normalizer, *pre_tokenizer, *roles[TOK_SPECIAL_COUNT];
    bool add_prefix_space, byte_fallback;
};

static const char *const types[] = { "byte_level_bpe", "wordpiece", "unigram", "sentencepiece_bpe", NULL };

static const char *const post_processors[] = { "none", "roberta", "bert", "t5", NULL };

#define ROLE(i) OPTION_STRING, offsetof(struct values, roles) + (i) * sizeof(const char *), NULL

static const struct option own_options[] = {
    { "files", OPTION_LIST, offsetof(struct values, files), NULL,
      "text, or rows (.csv, .json, .jsonl), .gz and .zst of them: files, patterns such as data/*.txt, or -",
      .aliases = (const char *const[]){ "train_file", NULL } },
    { "text_column", OPTION_STRING, offsetof(struct values, text_column), NULL,
      "column of rows that is the text; without it text, then context, then the first that is not numeric" },
    { "json_field", OPTION_STRING, offsetof(struct values, json_field), NULL,
      "member of a JSON object that is the array of rows" },
    { "output_dir", OPTION_STRING, offsetof(struct values, output_dir), NULL,
      "directory for tokenizer.json, tokenizer_config.json, and vocab.json with merges.txt or vocab.txt" },
    { "tokenizer_type", OPTION_CHOICE, offsetof(struct values, type), "byte_level_bpe", "kind of tokenizer",
      .choices = types },
    { "vocab_size", OPTION_INT, offsetof(struct values, vocab_size), "50265",
      "entries, special tokens and the alphabet included", .min = 1, .max = 1 << 30 },
    { "min_frequency", OPTION_INT, offsetof(struct values, min_frequency), "2",
      "how often a pair must occur to become an entry", .min = 0, .max = INT32_MAX },
    { "special_tokens", OPTION_LIST, offsetof(struct values, specials), NULL,
      "tokens that text is never cut into, first in the vocabulary, between commas; without it "
      "<s>,<pad>,</s>,<unk>,<mask> (wordpiece: [PAD],[UNK],[CLS],[SEP],[MASK]; unigram: <pad>,</s>,<unk>; "
      "sentencepiece_bpe: <unk>,<s>,</s>)" },
    { "normalizer", OPTION_STRING, offsetof(struct values, normalizer), NULL,
      "what text goes through first: none, or of nfc, nfd, nfkc, nfkd, nmt, lowercase, strip, strip_accents, "
      "spaces, bert, bert_cased several between commas, or JSON as in tokenizer.json; without it bert "
      "(wordpiece), nmt,nfkc,spaces,lowercase (unigram), nfkc (sentencepiece_bpe)" },
    { "pre_tokenizer", OPTION_STRING, offsetof(struct values, pre_tokenizer), NULL,
      "how text is cut into words: none, or of metaspace, digits, punctuation, whitespace, whitespace_split, "
      "bert several between commas, or JSON; without it bert (wordpiece), metaspace,digits,punctuation "
      "(unigram), metaspace (sentencepiece_bpe)" },
    { "limit_alphabet", OPTION_INT, offsetof(struct values, limit_alphabet), "1000",
      "characters that become entries, the most frequent ones, of wordpiece and sentencepiece_bpe; 0: all",
      .min = 0, .max = 0x110000 },
    { "byte_fallback", OPTION_BOOL, offsetof(struct values, byte_fallback), "false",
      "256 entries for the bytes of characters that are no entries, of unigram and sentencepiece_bpe" },
    { "max_token_length", OPTION_INT, offsetof(struct values, max_token_length), NULL,
      "as in HF's BpeTrainer: merges of more than two characters stay below it (bytes, of byte_level_bpe)",
      .min = 1, .max = 1 << 30 },
    { "max_piece_length", OPTION_INT, offsetof(struct values, max_piece_length), "16",
      "characters of an entry of unigram", .min = 1, .max = 1000 },
    { "shrinking_factor", OPTION_DOUBLE, offsetof(struct values, shrinking_factor), "0.75",
      "share of its entries that unigram keeps in a round" },
    { "n_sub_iterations", OPTION_INT, offsetof(struct values, sub_iterations), "2",
      "passes over the words in a round of unigram", .min = 1, .max = 1000 },
    { "seed_size", OPTION_INT, offsetof(struct values, seed_size), "1000000",
      "entries that unigram begins with", .min = 1, .max = 1 << 28 },
    { "add_prefix_space", OPTION_BOOL, offsetof(struct values, add_prefix_space), "false",
      "treat the first word of a text as if a space stood before it" },
    { "post_processor", OPTION_CHOICE, offsetof(struct values, post_processor), "none",
      "what is put around a text: nothing, or tokens as of RoBERTa (<s> </s>), BERT ([CLS] [SEP]) or T5",
      .choices = post_processors },
    { "bos_token", ROLE(TOK_BOS),
      "which token begins a text; without it, known by its spelling (<s>, <|endoftext|>)" },
    { "eos_token", ROLE(TOK_EOS), "which token ends a text (</s>, <|endoftext|>)" },
    { "unk_token", ROLE(TOK_UNK), "which token stands for what is unknown (<unk>)" },
    { "sep_token", ROLE(TOK_SEP), "which token separates texts ([SEP])" },
    { "pad_token", ROLE(TOK_PAD), "which token fills rows up (<pad>)" },
    { "cls_token", ROLE(TOK_CLS), "which token stands for the whole text ([CLS])" },
    { "mask_token", ROLE(TOK_MASK), "which token hides a word (<mask>)" },
    { 0 },
};

static const struct option_part parts[] = {
    { "Training a tokenizer", own_options, 0 },
    { "", no_compute_options, 0 },
    { 0 },
};

static int feed_files(const struct values *v, struct tok_trainer *t)
{
    char *directory = token_cache_directory(NULL, v->output_dir);
    int status = train_text_feed(t, &(struct source_options){ .option = "files",
                                                              .patterns = v->files.items,
                                                              .pattern_count = v->files.count,
                                                              .spool_directory = directory,
                                                              .columns[COLUMN_TEXT] = v->text_column,
                                                              .json_field = v->json_field,
                                                              .corpus = true });

    mem_free(directory);
    return status;
}

/* "<s>,<pad>" or several words; what stands twice counts once. */
static void split_specials(const struct option_list *list, struct arena *memory, struct option_list *out)
{
    size_t capacity = 0;

    *out = (struct option_list){ 0 };
    for (size_t i = 0; i < list->count; i++) {
        for (const char *p = list->items[i]; *p; p += strspn(p, ",")) {
            size_t length = strcspn(p, ",");
            if (length) {
                out->items = mem_grow(out->items, out->count, &capacity, sizeof(out->items[0]));
                out->items[out->count++] = arena_strndup(memory, p, length);
            }
            p += length;
        }
    }
}

static int name_roles(const struct values *v, struct tokenizer *t)
{
    for (int i = 0; i < TOK_SPECIAL_COUNT; i++)
        if (v->roles[i])
            TRY(tokenizer_set_special(t, (enum tok_special)i, *v->roles[i] ? v->roles[i] : NULL));
    return OK;
}

/* In the order of types. */
static const char *const usual_specials[] = {
    "<s>,<pad>,</s>,<unk>,<mask>",
    "[PAD],[UNK],[CLS],[SEP],[MASK]",
    "<pad>,</s>,<unk>",
    "<unk>,<s>,</s>",
};

static int check_types(const struct values *v)
{
    if (v->byte_fallback && v->type != TOK_TRAIN_UNIGRAM && v->type != TOK_TRAIN_SENTENCEPIECE)
        return fail(ERR_CONFIG, "--byte_fallback is for unigram and sentencepiece_bpe (found %s)",
                    types[v->type]);
    if (v->max_token_length && v->type != TOK_TRAIN_BYTE_LEVEL && v->type != TOK_TRAIN_SENTENCEPIECE)
        return fail(ERR_CONFIG, "--max_token_length is for byte_level_bpe and sentencepiece_bpe (found %s)",
                    types[v->type]);
    if (v->add_prefix_space && v->type != TOK_TRAIN_BYTE_LEVEL)
        return fail(ERR_CONFIG, "--add_prefix_space is for byte_level_bpe (found %s)", types[v->type]);
    return OK;
}

static int train(const struct values *v, const struct option_list *specials, struct tokenizer **out)
{
    const char *unk = v->type == TOK_TRAIN_BYTE_LEVEL ? NULL : v->roles[TOK_UNK];
    const struct tok_train_options options = { .type = (enum tok_train_type)v->type,
                                               .vocab_size = v->vocab_size,
                                               .min_frequency = v->min_frequency,
                                               .specials = specials->items,
                                               .special_count = specials->count,
                                               .unk_token = unk && *unk ? unk : NULL,
                                               .add_prefix_space = v->add_prefix_space,
                                               .normalizer = v->normalizer,
                                               .pre_tokenizer = v->pre_tokenizer,
                                               .byte_fallback = v->byte_fallback,
                                               .limit_alphabet = v->limit_alphabet,
                                               .max_token_length = v->max_token_length,
                                               .max_piece_length = v->max_piece_length,
                                               .seed_size = v->seed_size,
                                               .sub_iterations = v->sub_iterations,
                                               .shrinking_factor = v->shrinking_factor };
    struct tok_trainer *trainer;
    int status;

    TRY(tok_trainer_create(&options, &trainer));
    status = feed_files(v, trainer);
    if (status == OK)
        status = tok_trainer_finish(trainer, NULL, NULL, out);
    tok_trainer_free(trainer);
    return status;
}

static void warn_few(const struct values *v, const struct tokenizer *t)
{
    if (v->type == TOK_TRAIN_UNIGRAM)
        warn("the text gave %" PRId32 " entries, not the %" PRId64 " asked for: no other piece occurs often",
             tokenizer_size(t), v->vocab_size);
    else
        warn("the text gave %" PRId32 " entries, not the %" PRId64 " asked for: no other pair occurs %" PRId64
             " times",
             tokenizer_size(t), v->vocab_size, v->min_frequency);
}

static int run(void *values, struct options *o)
{
    const struct values *v = values;
    const char *items[1] = { usual_specials[v->type] };
    const struct option_list usual = { items, 1 };
    struct option_list specials;
    struct tokenizer *t = NULL;
    int status;

    if (v->files.count == 0)
        return fail(ERR_USAGE, "--files is missing");
    TRY(require_text("output_dir", v->output_dir));
    TRY(check_types(v));
    split_specials(v->specials.count ? &v->specials : &usual, &o->memory, &specials);
    status = train(v, &specials, &t);
    if (status == OK)
        status = name_roles(v, t);
    if (status == OK)
        status = tokenizer_set_post_processor(t, post_processors[v->post_processor]);
    if (status == OK)
        status = directory_create(v->output_dir);
    if (status == OK)
        status = tokenizer_save(t, v->output_dir);
    if (status == OK)
        inform("%s/tokenizer.json: %" PRId32 " entries", v->output_dir, tokenizer_size(t));
    if (status == OK && tokenizer_size(t) < v->vocab_size)
        warn_few(v, t);
    tokenizer_free(t);
    mem_free(specials.items);
    return status;
}

const struct command command_tokenizer_train = {
    .name = "tokenizer train",
    .summary = "make a tokenizer from text",
    .example =
        "plait tokenizer train --files corpus.txt --vocab_size 50265 --min_frequency 2 --output_dir my-gpt2",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};
