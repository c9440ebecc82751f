/* unigram -- a unigram language model over pieces (Kudo, "Subword regularization", ACL 2018): of all ways to
 * cut a word into entries the one with the greatest sum of scores, which are logarithms of probabilities. */
#ifndef PLAIT_TOK_UNIGRAM_H
#define PLAIT_TOK_UNIGRAM_H

#include "tok/component.h"
#include "tok/prefix.h"
#include "tok/word_cache.h"

struct unigram {
    const struct vocab *vocab;
    double *scores, *given; /* by id: those that count, and what the file says */
    struct prefix entries;
    double unk_score;
    int32_t unk_id; /* -1: none */
    bool byte_fallback;
    int32_t fallback_ids[256];
};

/* Takes scores for what they say to the last bit, as transformers' own classes do. */
void unigram_use_given(void *state);

void *unigram_scratch_create(const void *state);
void unigram_scratch_free(void *scratch);
int unigram_encode(const void *state, void *scratch, const struct piece *word, struct encoding *out);

#endif
