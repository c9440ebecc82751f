/* Slots hold indices of entries and are probed linearly; at most two thirds of them are taken. Nothing is
 * ever removed, so entries keep their order and an empty slot ends every search. */
#include "base/map.h"

#include <string.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/mem.h"

void map_init(struct map *m)
{
    memset(m, 0, sizeof(*m));
}

void map_release(struct map *m)
{
    struct arena keys = { m->keys };
    arena_release(&keys);
    mem_free(m->entries);
    mem_free(m->slots);
    map_init(m);
}

uint64_t hash_bytes(const void *bytes, size_t length, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, length, seed);
}

/* The slot that holds the key, or the empty one where it would go. slot_count > 0. */
static size_t find_slot(const struct map *m, const char *key, size_t length, uint64_t hash)
{
    size_t mask = m->slot_count - 1;
    size_t slot = hash & mask;
    for (; m->slots[slot]; slot = (slot + 1) & mask) {
        const struct map_entry *e = &m->entries[m->slots[slot] - 1];
        if (e->hash == hash && e->length == length && (!length || memcmp(e->key, key, length) == 0))
            break;
    }
    return slot;
}

static void grow_slots(struct map *m)
{
    if (m->count >= UINT32_MAX / 2)
        out_of_memory(SIZE_MAX);
    size_t wanted = m->slot_count ? m->slot_count * 2 : 16;
    mem_free(m->slots);
    m->slots = mem_alloc_array(wanted, sizeof(*m->slots));
    m->slot_count = wanted;
    for (size_t i = 0; i < m->count; i++) {
        size_t slot = m->entries[i].hash & (wanted - 1);
        while (m->slots[slot])
            slot = (slot + 1) & (wanted - 1);
        m->slots[slot] = (uint32_t)i + 1;
    }
}

/* The key's entry; *is_new tells whether it was made. */
static struct map_entry *insert(struct map *m, const char *key, size_t length, bool *is_new)
{
    if (m->count >= m->slot_count / 3 * 2)
        grow_slots(m);
    uint64_t hash = hash_bytes(key, length, 0);
    size_t slot = find_slot(m, key, length, hash);
    *is_new = !m->slots[slot];
    if (!*is_new)
        return &m->entries[m->slots[slot] - 1];
    m->entries = mem_grow(m->entries, m->count, &m->capacity, sizeof(*m->entries));
    struct arena keys = { m->keys };
    struct map_entry *e = &m->entries[m->count++];
    *e = (struct map_entry){ .key = arena_strndup(&keys, key, length), .length = length, .hash = hash };
    m->keys = keys.blocks;
    m->slots[slot] = (uint32_t)m->count;
    return e;
}

bool map_set(struct map *m, const char *key, size_t length, int64_t value)
{
    bool is_new;
    insert(m, key, length, &is_new)->value = value;
    return is_new;
}

bool map_add(struct map *m, const char *key, size_t length, int64_t value)
{
    bool is_new;
    struct map_entry *e = insert(m, key, length, &is_new);
    if (is_new)
        e->value = value;
    return is_new;
}

struct map_entry *map_find(const struct map *m, const char *key, size_t length)
{
    if (!m->count)
        return NULL;
    size_t slot = find_slot(m, key, length, hash_bytes(key, length, 0));
    return m->slots[slot] ? &m->entries[m->slots[slot] - 1] : NULL;
}

bool map_get(const struct map *m, const char *key, size_t length, int64_t *value)
{
    const struct map_entry *e = map_find(m, key, length);
    if (e)
        *value = e->value;
    return e != NULL;
}
