/* Training a tokenizer as `plait tokenizer train` and plait_tokenizer_train are told to. */
#include "api/tokenizer_train.h"

#include <string.h>

#include "base/err.h"
#include "data/cache.h"
#include "data/train_text.h"

static const char *const types[] = { "byte_level_bpe", "wordpiece", "unigram", "sentencepiece_bpe", NULL };

static const char *const post_processors[] = { "none", "roberta", "bert", "t5", NULL };

#define ROLE(i) \
    OPTION_STRING, offsetof(struct tokenizer_train_values, roles) + (i) * sizeof(const char *), NULL

static const struct option train_options[] = {
    { "files", OPTION_LIST, offsetof(struct tokenizer_train_values, files), NULL,
      "text, or rows (.csv, .json, .jsonl), .gz and .zst of them: files, patterns such as data/*.txt, or -",
      .aliases = (const char *const[]){ "train_file", NULL } },
    { "text_column", OPTION_STRING, offsetof(struct tokenizer_train_values, text_column), NULL,
      "column of rows that is the text; without it text, then context, then the first that is not numeric" },
    { "json_field", OPTION_STRING, offsetof(struct tokenizer_train_values, json_field), NULL,
      "member of a JSON object that is the array of rows" },
    { "tokenizer_type", OPTION_CHOICE, offsetof(struct tokenizer_train_values, type), "byte_level_bpe",
      "kind of tokenizer", .choices = types },
    { "vocab_size", OPTION_INT, offsetof(struct tokenizer_train_values, vocab_size), "50265",
      "entries, special tokens and the alphabet included", .min = 1, .max = 1 << 30 },
    { "min_frequency", OPTION_INT, offsetof(struct tokenizer_train_values, min_frequency), "2",
      "how often a pair must occur to become an entry", .min = 0, .max = INT32_MAX },
    { "special_tokens", OPTION_LIST, offsetof(struct tokenizer_train_values, specials), NULL,
      "tokens that text is never cut into, first in the vocabulary, between commas; without it "
      "<s>,<pad>,</s>,<unk>,<mask> (wordpiece: [PAD],[UNK],[CLS],[SEP],[MASK]; unigram: <pad>,</s>,<unk>; "
      "sentencepiece_bpe: <unk>,<s>,</s>)" },
    { "normalizer", OPTION_STRING, offsetof(struct tokenizer_train_values, normalizer), NULL,
      "what text goes through first: none, or of nfc, nfd, nfkc, nfkd, nmt, lowercase, strip, strip_accents, "
      "spaces, bert, bert_cased several between commas, or JSON as in tokenizer.json; without it bert "
      "(wordpiece), nmt,nfkc,spaces,lowercase (unigram), nfkc (sentencepiece_bpe)" },
    { "pre_tokenizer", OPTION_STRING, offsetof(struct tokenizer_train_values, pre_tokenizer), NULL,
      "how text is cut into words: none, or of metaspace, digits, punctuation, whitespace, whitespace_split, "
      "bert several between commas, or JSON; without it bert (wordpiece), metaspace,digits,punctuation "
      "(unigram), metaspace (sentencepiece_bpe)" },
    { "limit_alphabet", OPTION_INT, offsetof(struct tokenizer_train_values, limit_alphabet), "1000",
      "characters that become entries, the most frequent ones, of wordpiece and sentencepiece_bpe; 0: all",
      .min = 0, .max = 0x110000 },
    { "byte_fallback", OPTION_BOOL, offsetof(struct tokenizer_train_values, byte_fallback), "false",
      "256 entries for the bytes of characters that are no entries, of unigram and sentencepiece_bpe" },
    { "max_token_length", OPTION_INT, offsetof(struct tokenizer_train_values, max_token_length), NULL,
      "as in HF's BpeTrainer: merges of more than two characters stay below it (bytes, of byte_level_bpe)",
      .min = 1, .max = 1 << 30 },
    { "max_piece_length", OPTION_INT, offsetof(struct tokenizer_train_values, max_piece_length), "16",
      "characters of an entry of unigram", .min = 1, .max = 1000 },
    { "shrinking_factor", OPTION_DOUBLE, offsetof(struct tokenizer_train_values, shrinking_factor), "0.75",
      "share of its entries that unigram keeps in a round" },
    { "n_sub_iterations", OPTION_INT, offsetof(struct tokenizer_train_values, sub_iterations), "2",
      "passes over the words in a round of unigram", .min = 1, .max = 1000 },
    { "seed_size", OPTION_INT, offsetof(struct tokenizer_train_values, seed_size), "1000000",
      "entries that unigram begins with", .min = 1, .max = 1 << 28 },
    { "add_prefix_space", OPTION_BOOL, offsetof(struct tokenizer_train_values, add_prefix_space), "false",
      "treat the first word of a text as if a space stood before it" },
    { "post_processor", OPTION_CHOICE, offsetof(struct tokenizer_train_values, post_processor), "none",
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

const struct option_part tokenizer_train_parts[] = { { "Training a tokenizer", train_options, 0 }, { 0 } };

static int feed_files(const struct tokenizer_train_values *v, const char *output_dir, struct tok_trainer *t)
{
    char *directory = token_cache_directory(NULL, output_dir);
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

static int name_roles(const struct tokenizer_train_values *v, struct tokenizer *t)
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

static int check_types(const struct tokenizer_train_values *v)
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

static int train(const struct tokenizer_train_values *v, const char *output_dir,
                 const struct option_list *specials, struct tokenizer **out)
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
    status = feed_files(v, output_dir, trainer);
    if (status == OK)
        status = tok_trainer_finish(trainer, NULL, NULL, out);
    tok_trainer_free(trainer);
    return status;
}

int tokenizer_train_run(const struct tokenizer_train_values *v, const char *output_dir,
                        struct tokenizer **out)
{
    const char *items[1] = { usual_specials[v->type] };
    const struct option_list usual = { items, 1 };
    struct option_list specials;
    struct tokenizer *t = NULL;
    struct arena memory;
    int status;

    if (v->files.count == 0)
        return fail(ERR_USAGE, "--files is missing");
    TRY(check_types(v));
    arena_init(&memory);
    split_specials(v->specials.count ? &v->specials : &usual, &memory, &specials);
    status = train(v, output_dir, &specials, &t);
    if (status == OK)
        status = name_roles(v, t);
    if (status == OK)
        status = tokenizer_set_post_processor(t, post_processors[v->post_processor]);
    if (status == OK)
        *out = t;
    else
        tokenizer_free(t);
    mem_free(specials.items);
    arena_release(&memory);
    return status;
}
