/* prefix -- all entries of a vocabulary that a text begins with: a trie over bytes whose edges lie in one
 * hash table, so that a step costs one cache line however many children a node has.
 *
 *     uint32_t node = PREFIX_ROOT;
 *     for (p = begin; p < end && (edge = prefix_step(t, node, *p)); p++, node = edge->child)
 *         if (edge->value >= 0) ... begin .. p + 1 is an entry
 */
#ifndef PLAIT_TOK_PREFIX_H
#define PLAIT_TOK_PREFIX_H

#include <stddef.h>
#include <stdint.h>

enum { PREFIX_ROOT = 1 };

struct prefix_edge {
    uint64_t key;   /* node << 8 | byte; 0: empty */
    uint32_t child; /* a node */
    int32_t value;  /* of the entry that ends here; -1: none */
};

struct prefix {
    struct prefix_edge *edges; /* open addressing */
    size_t mask, count;
};

void prefix_init(struct prefix *t);
void prefix_release(struct prefix *t); /* of a zeroed or made one */
/* value >= 0. An empty entry is passed over: it is in no text. The last of two equal entries counts. */
void prefix_add(struct prefix *t, const char *bytes, size_t length, int32_t value);

static inline size_t prefix_place(const struct prefix *t, uint64_t key)
{
    uint64_t h = key * 0x9E3779B97F4A7C15u;

    return (size_t)(h ^ h >> 32) & t->mask;
}

/* The edge of a byte, or NULL. */
static inline const struct prefix_edge *prefix_step(const struct prefix *t, uint32_t node, uint8_t byte)
{
    uint64_t key = (uint64_t)node << 8 | byte;

    for (size_t i = prefix_place(t, key); t->edges[i].key; i = (i + 1) & t->mask)
        if (t->edges[i].key == key)
            return &t->edges[i];
    return NULL;
}

#endif
