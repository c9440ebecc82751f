/* bpe -- byte pair encoding (Sennrich, Haddow and Birch, "Neural machine translation of rare words with
 * subword units", ACL 2016): a word is a row of symbols; while some neighbouring pair is in the list of
 * merges, the pair that stands first in the list is merged, leftmost first. */
#ifndef PLAIT_TOK_BPE_H
#define PLAIT_TOK_BPE_H

#include "base/rng.h"
#include "tok/component.h"
#include "tok/word_cache.h"

enum { BPE_NO_RANK = -1 };

struct bpe_merge { /* rank is the place in the list */
    int32_t left, right, result;
};

struct bpe_slot {
    uint64_t pair; /* left << 32 | right */
    int32_t rank;  /* BPE_NO_RANK: empty */
    int32_t result;
};

struct bpe {
    const struct vocab *vocab;
    struct bpe_merge *merges;
    int32_t merge_count;
    struct bpe_slot *slots; /* open addressing, slot_mask + 1 of them */
    size_t slot_mask;
    char *unk_token, *prefix, *suffix; /* NULL when there is none; prefix: continuing_subword_prefix */
    int32_t unk_id;
    double dropout; /* of a merge, where it is asked for; 0: none */
    bool fuse_unk, byte_fallback, ignore_merges;
    bool is_ordered;           /* each part of a merge comes only from merges before it */
    bool has_bytes;            /* every byte's character is a token, so byte_ids serves byte-level pieces */
    int32_t byte_ids[256];     /* of a byte's character; -1: not in the vocabulary */
    int32_t fallback_ids[256]; /* of "<0xHH>"; -1: not in the vocabulary */
};

/* The merge of a pair, or NULL. */
static inline const struct bpe_slot *bpe_find(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right, h = pair * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h ^ h >> 32) & b->slot_mask;

    for (; b->slots[i].rank != BPE_NO_RANK; i = (i + 1) & b->slot_mask)
        if (b->slots[i].pair == pair)
            return &b->slots[i];
    return NULL;
}

/* One word on its way: symbols with the bytes each covers. */
struct bpe_symbols {
    int32_t *ids;
    uint32_t *lengths;
    size_t count, id_capacity, length_capacity;
};

/* Merges that are left out at random: numbers of (seed, text, how many were asked for before). */
struct bpe_dropout {
    struct rng_key key;
    uint64_t text, count;
    double rate;
};

struct bpe_scratch {
    const struct bpe *bpe;
    struct word_cache cache;
    struct bpe_symbols symbols;
    struct text form;
    struct bpe_lists *lists; /* bpe_merge.c */
    struct bpe_dropout dropout;
    bool drops;
};

void *bpe_scratch_create(const void *state);
void bpe_scratch_free(void *scratch);
void bpe_set_dropout(const void *state, void *scratch, const struct tok_dropout *d);
int bpe_encode(const void *state, void *scratch, const struct piece *word, struct encoding *out);

#endif
