#include "tok/word_counts.h"

#include "base/mem.h"
#include "tok/word_cache.h"

enum { FIRST_SLOTS = 1 << 12 };

void word_counts_release(struct word_counts *c)
{
    mem_free(c->slots);
    if (c->has_longer)
        map_release(&c->longer);
    *c = (struct word_counts){ 0 };
}

static struct word_count *slot_of(const struct word_counts *c, const uint64_t key[2])
{
    uint64_t h = (key[0] ^ key[1] * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    size_t mask = c->slot_count - 1, i;

    h ^= h >> 32;
    for (i = (size_t)h & mask; c->slots[i].key[1] != 0; i = (i + 1) & mask)
        if (c->slots[i].key[0] == key[0] && c->slots[i].key[1] == key[1])
            break;
    return &c->slots[i];
}

static void grow(struct word_counts *c)
{
    struct word_counts larger = *c;

    larger.slot_count = c->slot_count ? c->slot_count * 2 : FIRST_SLOTS;
    larger.slots = mem_alloc_array(larger.slot_count, sizeof(*larger.slots));
    for (size_t i = 0; i < c->slot_count; i++)
        if (c->slots[i].key[1] != 0)
            *slot_of(&larger, c->slots[i].key) = c->slots[i];
    mem_free(c->slots);
    *c = larger;
}

static void add_long(struct word_counts *c, const char *word, size_t length, int64_t count)
{
    struct map_entry *e;

    if (!c->has_longer)
        map_init(&c->longer);
    c->has_longer = true;
    e = map_find(&c->longer, word, length);
    if (e)
        e->value += count;
    else
        map_add(&c->longer, word, length, count);
}

void word_counts_add(struct word_counts *c, const char *word, size_t length, int64_t count)
{
    struct word_count *slot;
    uint64_t key[2];

    if (length == 0)
        return;
    if (length > WORD_KEY_BYTES) {
        add_long(c, word, length, count);
        return;
    }
    if (c->used * 2 >= c->slot_count)
        grow(c);
    word_key(word, length, key);
    slot = slot_of(c, key);
    if (slot->key[1] == 0) {
        slot->key[0] = key[0];
        slot->key[1] = key[1];
        c->used++;
    }
    slot->count += count;
}

size_t word_counts_size(const struct word_counts *c)
{
    return c->used + (c->has_longer ? c->longer.count : 0);
}

bool word_counts_next(const struct word_counts *c, size_t *place, struct word_counts_item *out)
{
    const struct map_entry *e;

    while (*place < c->slot_count && c->slots[*place].key[1] == 0)
        ++*place;
    if (*place < c->slot_count) {
        const struct word_count *slot = &c->slots[(*place)++];
        memcpy(out->space, slot->key, sizeof(out->space));
        out->bytes = out->space;
        out->length = slot->key[1] >> 56;
        out->count = slot->count;
        return true;
    }
    if (!c->has_longer || *place - c->slot_count >= c->longer.count)
        return false;
    e = &c->longer.entries[(*place)++ - c->slot_count];
    out->bytes = e->key;
    out->length = e->length;
    out->count = e->value;
    return true;
}
