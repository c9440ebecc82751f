#include "tok/word_cache.h"

#include "base/mem.h"

enum { LINE = 64, LONG_WORDS = 1 << 15 }; /* kept before the map is emptied */

void word_cache_init(struct word_cache *c)
{
    *c = (struct word_cache){ 0 };
    c->memory = mem_alloc(((size_t)2 << WORD_CACHE_BITS) * sizeof(*c->slots) + LINE);
    c->slots = (struct word_slot *)(((uintptr_t)c->memory + LINE - 1) / LINE * LINE);
    map_init(&c->words);
}

void word_cache_release(struct word_cache *c)
{
    mem_free(c->memory);
    map_release(&c->words);
    mem_free(c->ids);
    *c = (struct word_cache){ 0 };
}

const int32_t *word_cache_get_long(const struct word_cache *c, const char *word, size_t length, size_t *count)
{
    int64_t place;

    if (length > WORD_LONG_BYTES || !map_get(&c->words, word, length, &place))
        return NULL;
    *count = (size_t)c->ids[place];
    return c->ids + place + 1;
}

static void put_long(struct word_cache *c, const char *word, size_t length, const int32_t *ids, size_t count)
{
    if (c->words.count >= LONG_WORDS) {
        map_release(&c->words);
        map_init(&c->words);
        c->count = 0;
    }
    if (!map_add(&c->words, word, length, (int64_t)c->count))
        return;
    while (c->count + count + 1 > c->capacity) {
        c->capacity = c->capacity ? c->capacity * 2 : 4096;
        c->ids = mem_resize(c->ids, c->capacity * sizeof(*c->ids));
    }
    c->ids[c->count++] = (int32_t)count;
    memcpy(c->ids + c->count, ids, count * sizeof(*ids));
    c->count += count;
}

void word_cache_put(struct word_cache *c, const char *word, size_t length, const int32_t *ids, size_t count)
{
    struct word_slot *slot;
    uint64_t key[2];

    if (length > WORD_LONG_BYTES || length == 0 || count == 0)
        return;
    if (length > WORD_KEY_BYTES || count > WORD_IDS) {
        put_long(c, word, length, ids, count);
        return;
    }
    word_key(word, length, key);
    slot = word_line_of(c, key);
    slot[1] = slot[0];
    slot->key[0] = key[0];
    slot->key[1] = key[1] | (uint64_t)(count - 1) << 60;
    memcpy(slot->ids, ids, count * sizeof(*ids));
}
