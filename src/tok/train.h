/* train -- tokenizers learned from text, in three steps: text is normalized and cut into words, which are
 * counted as it comes in (train_pipeline.c, train_count.c); a vocabulary is made; the result is written as
 * a tokenizer.json and read back (train.c).
 *
 * Byte pair encoding (train_chars.c, train_merge.c): the most frequent pair of symbols is merged again and
 * again. The merges are those of tokenizers' BpeTrainer, entry for entry, so its rules are kept to the
 * letter: the highest count first, then the smaller pair of ids; a pair is pushed at the end of the step
 * that made it, with the words of that step; the count of a merged pair is never taken back; a token two
 * merges arrive at is one token. WordPiece is trained the same way there; only the order of its
 * characters' tokens is not told by tokenizers, whose tables have none: here it is that of code points.
 *
 * Unigram (train_unigram.c): see there. */
#ifndef PLAIT_TOK_TRAIN_H
#define PLAIT_TOK_TRAIN_H

#include "base/map.h"
#include "base/str.h"
#include "tok/tok.h"
#include "tok/word_counts.h"

enum { TRAIN_LONG_WORD = 256 }; /* symbols; longer words are merged by train_long.c */

/* ---- pairs ---- */

enum { PAIR_WORDS = 7 };

struct pair_words {             /* some words of the list of a pair, in half a cache line */
    uint32_t words[PAIR_WORDS]; /* index + 1; 0 behind the last */
    uint32_t next;              /* index + 1 into the pool */
};

struct pair_entry {
    uint64_t pair; /* left << 32 | right */
    int64_t count;
    uint32_t first, last; /* words where this step made the pair: index + 1 into the pool; 0: none */
};

struct pairs {
    struct pair_entry *entries;
    size_t count, capacity;
    uint32_t *slots; /* index + 1, open addressing */
    size_t slot_mask;
    struct pair_words *pool;
    size_t pool_count, pool_capacity;
    uint32_t free_pool; /* index + 1 */
    uint32_t *touched;  /* entries with words since the last step */
    size_t touched_count, touched_capacity;
    int64_t max_length;    /* characters that a merge does not reach, beyond two; 0: any */
    const struct map *ids; /* of the tokens that are merged */
};

static inline uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* A pair has come to stand in a word (weight > 0) or stands there no more (weight < 0), that many times in
 * the text. */
void pairs_change(struct pairs *p, int32_t left, int32_t right, uint32_t word, int64_t weight);

/* ---- words ---- */

struct long_word;

struct train_word {
    size_t begin; /* in symbols */
    uint32_t length;
    int64_t count;
    struct long_word *longer; /* NULL: a short one */
};

struct train_words {
    int32_t *symbols;
    struct train_word *items;
    size_t count;
};

struct long_word *long_word_create(const int32_t *symbols, size_t length);
void long_word_free(struct long_word *w);
/* Merges left and right everywhere in the word, left to right, and tells the pairs. */
void long_word_merge(struct long_word *w, uint64_t pair, int32_t result, struct pairs *p, uint32_t word,
                     int64_t count);

/* ---- the vocabulary that grows ---- */

struct train_merge {
    uint64_t pair;
    int32_t result;
};

struct train_result {
    struct map ids;             /* token -> id, in the order of ids */
    struct train_merge *merges; /* by rank */
    size_t merge_count, merge_capacity;
};

struct train_progress {
    void (*call)(void *context, int64_t done, int64_t total); /* may be NULL */
    void *context;
};

struct train_merge_options {
    int64_t vocab_size, min_frequency;
    int64_t max_token_length; /* 0: any */
    const char *continuing;   /* what tokens begin with that do not begin a word; "": nothing */
    struct train_progress progress;
};

/* Adds merged tokens to result->ids until there are vocab_size. words are used up. */
void train_merges(struct train_words *words, const struct train_merge_options *options,
                  struct train_result *result);

/* ---- characters (train_chars.c) ---- */

void train_add_token(struct train_result *r, const char *text, size_t length);
void train_add_bytes(struct train_result *r); /* <0x00> to <0xFF> */
/* Adds the characters of the words as tokens, the most frequent `limit` of them (0: all), and those inside
 * a word once more behind `continuing`; then the words in these symbols. */
int train_chars(const struct word_counts *counts, int64_t limit, const char *continuing,
                struct train_result *r, struct train_words *out);

/* ---- Unigram (train_unigram.c) ---- */

struct unigram_entry {
    char *text; /* owned */
    size_t length;
    double score;
};

struct unigram_entries {
    struct unigram_entry *items;
    size_t count, capacity;
};
void unigram_entries_release(struct unigram_entries *e);
/* The pieces, best first, `most` of them at most; special tokens are not among them. */
int train_unigram(const struct word_counts *counts, const struct tok_train_options *o, int64_t most,
                  struct unigram_entries *out);

/* ---- the counter ---- */

struct tok_trainer {
    struct tok_train_options options;
    char **specials;            /* copies; options.specials points here */
    char *unk_token;            /* of options */
    struct tokenizer *pipeline; /* normalizer, pre_tokenizer, decoder; no model */
    struct word_counts *counts; /* one for each thread; the first is the sum after trainer_gather */
    int count_tables;
};
void trainer_gather(struct tok_trainer *t);
/* The token for what is unknown: *unk (owned) where it is set, else the one of the usual spelling. */
int train_choose_unk(struct tok_train_options *o, char **unk);

/* ---- the pipeline (train_pipeline.c) ---- */

/* Sets the sections of a tokenizer without a model. ERR_CONFIG. */
int train_pipeline(const struct tok_train_options *o, struct tokenizer *t);

#endif
