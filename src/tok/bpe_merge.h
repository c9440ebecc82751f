/* bpe_merge -- symbols of one word to tokens. */
#ifndef PLAIT_TOK_BPE_MERGE_H
#define PLAIT_TOK_BPE_MERGE_H

#include "tok/bpe.h"

/* Merges all that can be merged; lists is scratch space that is kept between words. d NULL: no dropout. */
void bpe_merge(const struct bpe *b, struct bpe_symbols *s, struct bpe_lists *lists, struct bpe_dropout *d);
struct bpe_lists *bpe_lists_create(void);
void bpe_lists_free(struct bpe_lists *l);

/* Whether each part of a merge comes only from merges before it. id_count: largest id + 1. */
bool bpe_is_ordered(const struct bpe_merge *merges, int32_t count, int32_t id_count);

#endif
