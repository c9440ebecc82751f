/* word_cache -- ids of words seen before, for one encoder. Short words with few ids lie in a table of fixed
 * size where a new one replaces an old one; longer words lie in a map that is emptied when it is full. */
#ifndef PLAIT_TOK_WORD_CACHE_H
#define PLAIT_TOK_WORD_CACHE_H

#include <string.h>

#include "base/map.h"
#include "tok/encoding.h"

enum {
    WORD_CACHE_BITS = 15,  /* of the number of lines */
    WORD_KEY_BYTES = 15,   /* of a short word */
    WORD_IDS = 4,          /* of a short word */
    WORD_LONG_BYTES = 256, /* longer words are not kept, as in tokenizers */
};

struct word_slot {   /* 32 bytes: two to a cache line */
    uint64_t key[2]; /* the bytes, zero-filled; above them the length and, in the top 4 bits, ids - 1 */
    int32_t ids[WORD_IDS];
};

struct word_cache {
    void *memory;
    struct word_slot *slots; /* in memory, at a cache line */
    struct map words;        /* long word -> its place in ids */
    int32_t *ids;            /* count, then the ids, one after the other */
    size_t count, capacity;
};

void word_cache_init(struct word_cache *c);
void word_cache_release(struct word_cache *c);

/* The ids of a word, or NULL. Valid until the next put. */
const int32_t *word_cache_get_long(const struct word_cache *c, const char *word, size_t length,
                                   size_t *count);
void word_cache_put(struct word_cache *c, const char *word, size_t length, const int32_t *ids, size_t count);

/* The bytes of a short word, 1 to 15 of them, by loads that overlap and stay inside it (little-endian
 * machines). */
static inline void word_key(const char *word, size_t length, uint64_t key[2])
{
    uint32_t low, high;

    key[1] = 0;
    if (length >= 8) {
        memcpy(&key[0], word, 8);
        memcpy(&key[1], word + length - 8, 8);
        key[1] = length == 8 ? 0 : key[1] >> (8 * (16 - length));
    } else if (length >= 4) {
        memcpy(&low, word, 4);
        memcpy(&high, word + length - 4, 4);
        key[0] = low | (uint64_t)high << (8 * (length - 4));
    } else {
        key[0] = (uint8_t)word[0] | (uint64_t)(uint8_t)word[length / 2] << (8 * (length / 2)) |
                 (uint64_t)(uint8_t)word[length - 1] << (8 * (length - 1));
    }
    key[1] |= (uint64_t)length << 56;
}

static inline struct word_slot *word_line_of(const struct word_cache *c, const uint64_t key[2])
{
    uint64_t h = (key[0] ^ key[1] * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;

    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    return &c->slots[(h >> (64 - WORD_CACHE_BITS)) * 2];
}

static inline bool word_slot_has(const struct word_slot *s, const uint64_t key[2])
{
    return s->key[0] == key[0] && (s->key[1] & ~(uint64_t)0 >> 4) == key[1];
}

/* The slot that holds a short word, or NULL. */
static inline const struct word_slot *word_cache_get(const struct word_cache *c, const char *word,
                                                     size_t length)
{
    const struct word_slot *line;
    uint64_t key[2];

    word_key(word, length, key);
    line = word_line_of(c, key);
    if (word_slot_has(line, key))
        return line;
    return word_slot_has(line + 1, key) ? line + 1 : NULL;
}

static inline size_t word_slot_count(const struct word_slot *s)
{
    return (size_t)(s->key[1] >> 60) + 1;
}

/* Appends the ids of a word that was seen before, without spans. False: it is a new one, or spans are wanted.
 * length > 0. */
static inline bool word_cache_append(const struct word_cache *c, const char *word, size_t length,
                                     struct encoding *out)
{
    const struct word_slot *slot;
    const int32_t *ids;
    size_t count;

    if (out->spans)
        return false;
    if (length <= WORD_KEY_BYTES && (slot = word_cache_get(c, word, length)) != NULL) {
        if (out->capacity - out->count < WORD_IDS)
            encoding_reserve(out, WORD_IDS);
        memcpy(out->ids + out->count, slot->ids, sizeof(slot->ids));
        out->count += word_slot_count(slot);
        return true;
    }
    ids = word_cache_get_long(c, word, length, &count);
    if (!ids)
        return false;
    encoding_reserve(out, count);
    memcpy(out->ids + out->count, ids, count * sizeof(*ids));
    out->count += count;
    return true;
}

#endif
