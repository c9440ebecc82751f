/* map -- byte string -> int64_t, open addressing over xxHash. Keys are copied, may hold NULs; the order of
 * insertion is kept and is the order of iteration. */
#ifndef PLAIT_BASE_MAP_H
#define PLAIT_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    const char *key; /* NUL-terminated copy owned by the map */
    size_t length;
    uint64_t hash;
    int64_t value;
};

struct map {
    struct map_entry *entries; /* count of them, in order of insertion */
    size_t count, capacity;
    uint32_t *slots; /* index + 1 into entries, 0 empty */
    size_t slot_count;
    struct arena_block *keys;
};

void map_init(struct map *m);
void map_release(struct map *m);
/* True when the key was new. An old key keeps its place; with map_set it takes the new value, with map_add it
 * keeps its own. */
bool map_set(struct map *m, const char *key, size_t length, int64_t value);
bool map_add(struct map *m, const char *key, size_t length, int64_t value);
bool map_get(const struct map *m, const char *key, size_t length, int64_t *value);
struct map_entry *map_find(const struct map *m, const char *key, size_t length); /* NULL when absent */
uint64_t hash_bytes(const void *bytes, size_t length, uint64_t seed);            /* XXH3 64 */

#endif
