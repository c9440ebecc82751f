#include "tok/prefix.h"

#include "base/err.h"
#include "base/mem.h"

enum { FIRST_EDGES = 1 << 10 };

void prefix_init(struct prefix *t)
{
    *t = (struct prefix){ .edges = mem_alloc_array(FIRST_EDGES, sizeof(*t->edges)), .mask = FIRST_EDGES - 1 };
}

void prefix_release(struct prefix *t)
{
    mem_free(t->edges);
    *t = (struct prefix){ 0 };
}

static struct prefix_edge *place_of(struct prefix *t, uint64_t key)
{
    size_t i = prefix_place(t, key);

    while (t->edges[i].key && t->edges[i].key != key)
        i = (i + 1) & t->mask;
    return &t->edges[i];
}

static void grow(struct prefix *t)
{
    struct prefix_edge *old = t->edges;
    size_t slots = t->mask + 1;

    t->edges = mem_alloc_array(slots * 2, sizeof(*t->edges));
    t->mask = slots * 2 - 1;
    for (size_t i = 0; i < slots; i++)
        if (old[i].key)
            *place_of(t, old[i].key) = old[i];
    mem_free(old);
}

void prefix_add(struct prefix *t, const char *bytes, size_t length, int32_t value)
{
    struct prefix_edge *edge = NULL;
    uint32_t node = PREFIX_ROOT;

    for (size_t i = 0; i < length; i++, node = edge->child) {
        uint64_t key = (uint64_t)node << 8 | (uint8_t)bytes[i];
        if (t->count * 2 > t->mask)
            grow(t);
        edge = place_of(t, key);
        if (edge->key)
            continue;
        if (++t->count >= UINT32_MAX - PREFIX_ROOT)
            BUG("a trie of more than 2^32 nodes");
        *edge = (struct prefix_edge){ key, (uint32_t)t->count + PREFIX_ROOT, -1 };
    }
    if (edge)
        edge->value = value;
}
