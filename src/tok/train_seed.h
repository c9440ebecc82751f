/* train_seed -- the pieces a Unigram model begins with: all characters, and every substring of the words that
 * is followed by two different things somewhere, by frequency times length. */
#ifndef PLAIT_TOK_TRAIN_SEED_H
#define PLAIT_TOK_TRAIN_SEED_H

#include <stdint.h>

#include "base/mem.h"
#include "tok/train.h"

struct unigram_word {
    const char *bytes;
    uint32_t length;
    int64_t count;
};

struct unigram_words { /* in the order of their bytes */
    struct unigram_word *items;
    size_t count;
    int64_t sum; /* of counts */
    struct arena memory;
};

int unigram_words_init(struct unigram_words *w, const struct word_counts *counts); /* ERR_DATA: too much */
void unigram_words_release(struct unigram_words *w);

struct seed {
    const char *text; /* in words->memory */
    uint32_t length;
    double weight;
};

struct seeds {
    struct seed *items;
    size_t count;
    uint32_t *chars; /* all characters, ascending */
    size_t char_count;
};

void seeds_init(struct seeds *s, struct unigram_words *w, const struct tok_train_options *o);
void seeds_release(struct seeds *s);

#endif
