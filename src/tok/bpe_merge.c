/* Merging, three ways with one result.
 *
 * Short words: the pair of least rank is looked for again after every merge. O(n^2), but n is small and all
 * of it lies in the first cache line or two.
 *
 * Long words: symbols in a linked list and, for every rank, a list of places where its pair stands; ranks are
 * taken in ascending order, so the work is linear in the length. That holds while a merge never gives rise to
 * a pair of a rank that has been passed, which is so whenever each part of a merge is made by merges before
 * it. Places of one rank may be taken in any order, because they cannot overlap, unless the pair is one
 * symbol twice: then left to right.
 *
 * Should a pair of a passed rank appear after all, the word is begun anew with a heap of (rank, place), which
 * is the definition itself: O(n log n). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tok/bpe.h"

enum { SHORT = 40, KEPT = 1 << 16, NO_SYMBOL = -1 }; /* KEPT: space for words so long is kept */
#define NOWHERE UINT32_MAX

struct entry {            /* a place in the list of a rank */
    uint32_t place, next; /* next: index + 1 */
};

struct bpe_lists {
    uint32_t *previous, *next; /* of symbols */
    size_t symbol_capacity;
    uint32_t *heads;  /* by rank: index + 1 into entries; all 0 between words */
    uint64_t *filled; /* a bit for each rank whose list is not empty */
    int32_t rank_count;
    struct entry *entries;
    size_t entry_count, entry_capacity;
    uint32_t *places; /* of one rank, to be sorted */
    size_t place_capacity;
    uint64_t *heap; /* rank << 32 | place */
    size_t heap_count, heap_capacity;
};

struct bpe_lists *bpe_lists_create(void)
{
    return mem_alloc(sizeof(struct bpe_lists));
}

static void lists_clear(struct bpe_lists *l)
{
    mem_free(l->previous);
    mem_free(l->next);
    mem_free(l->heads);
    mem_free(l->filled);
    mem_free(l->entries);
    mem_free(l->places);
    mem_free(l->heap);
    *l = (struct bpe_lists){ 0 };
}

void bpe_lists_free(struct bpe_lists *l)
{
    lists_clear(l);
    mem_free(l);
}

/* ---- short words ---- */

static int32_t rank_of(const struct bpe *b, const struct bpe_symbols *s, size_t i)
{
    const struct bpe_slot *slot = bpe_find(b, s->ids[i], s->ids[i + 1]);

    return slot ? slot->rank : INT32_MAX;
}

static void merge_short(const struct bpe *b, struct bpe_symbols *s)
{
    int32_t ranks[SHORT];
    size_t n = s->count;

    for (size_t i = 0; i + 1 < n; i++)
        ranks[i] = rank_of(b, s, i);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == INT32_MAX)
            break;
        s->ids[best] = b->merges[ranks[best]].result;
        s->lengths[best] += s->lengths[best + 1];
        n--;
        for (size_t i = best + 1; i < n; i++) {
            s->ids[i] = s->ids[i + 1];
            s->lengths[i] = s->lengths[i + 1];
            ranks[i - 1] = ranks[i];
        }
        if (best > 0)
            ranks[best - 1] = rank_of(b, s, best - 1);
        if (best + 1 < n)
            ranks[best] = rank_of(b, s, best);
    }
    s->count = n;
}

/* ---- the linked list of a long word ---- */

static void link_symbols(struct bpe_lists *l, size_t n)
{
    if (n > l->symbol_capacity) {
        l->symbol_capacity = n;
        l->previous = mem_resize(l->previous, n * sizeof(*l->previous));
        l->next = mem_resize(l->next, n * sizeof(*l->next));
    }
    for (size_t i = 0; i < n; i++) {
        l->previous[i] = i > 0 ? (uint32_t)i - 1 : NOWHERE;
        l->next[i] = i + 1 < n ? (uint32_t)i + 1 : NOWHERE;
    }
}

/* Joins the symbol at a place with the next one. */
static void join(struct bpe_lists *l, struct bpe_symbols *s, uint32_t place, int32_t result)
{
    uint32_t right = l->next[place];

    s->ids[place] = result;
    s->lengths[place] += s->lengths[right];
    s->ids[right] = NO_SYMBOL;
    l->next[place] = l->next[right];
    if (l->next[right] != NOWHERE)
        l->previous[l->next[right]] = place;
}

static const struct bpe_slot *slot_at(const struct bpe *b, const struct bpe_lists *l,
                                      const struct bpe_symbols *s, uint32_t place)
{
    return l->next[place] == NOWHERE ? NULL : bpe_find(b, s->ids[place], s->ids[l->next[place]]);
}

static void compact(struct bpe_symbols *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++) {
        if (s->ids[i] == NO_SYMBOL)
            continue;
        s->ids[n] = s->ids[i];
        s->lengths[n++] = s->lengths[i];
    }
    s->count = n;
}

/* ---- by rank ---- */

static void entry_push(struct bpe_lists *l, int32_t rank, uint32_t place)
{
    l->entries = mem_grow(l->entries, l->entry_count, &l->entry_capacity, sizeof(*l->entries));
    l->entries[l->entry_count] = (struct entry){ place, l->heads[rank] };
    l->heads[rank] = (uint32_t)++l->entry_count;
    l->filled[rank / 64] |= (uint64_t)1 << (rank % 64);
}

static int compare_places(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The places of a rank, ascending where that matters. */
static size_t take_places(const struct bpe *b, struct bpe_lists *l, int32_t rank)
{
    size_t n = 0;
    bool descending = true;

    for (uint32_t e = l->heads[rank]; e; e = l->entries[e - 1].next) {
        l->places = mem_grow(l->places, n, &l->place_capacity, sizeof(*l->places));
        l->places[n++] = l->entries[e - 1].place;
        descending = descending && (n < 2 || l->places[n - 1] < l->places[n - 2]);
    }
    l->heads[rank] = 0;
    l->filled[rank / 64] &= ~((uint64_t)1 << (rank % 64));
    for (size_t i = 0; descending && i < n / 2; i++) {
        uint32_t swap = l->places[i];
        l->places[i] = l->places[n - 1 - i];
        l->places[n - 1 - i] = swap;
    }
    if (!descending && b->merges[rank].left == b->merges[rank].right)
        qsort(l->places, n, sizeof(*l->places), compare_places);
    return n;
}

/* False: a pair of a rank that has been passed has appeared. */
static bool merge_rank(const struct bpe *b, struct bpe_lists *l, struct bpe_symbols *s, int32_t rank)
{
    const struct bpe_merge *m = &b->merges[rank];
    size_t n = take_places(b, l, rank);

    for (size_t i = 0; i < n; i++) {
        uint32_t place = l->places[i];
        const struct bpe_slot *slot;
        if (s->ids[place] != m->left || l->next[place] == NOWHERE || s->ids[l->next[place]] != m->right)
            continue;
        join(l, s, place, m->result);
        slot = slot_at(b, l, s, place);
        if (slot && slot->rank <= rank)
            return false;
        if (slot)
            entry_push(l, slot->rank, place);
        if (l->previous[place] == NOWHERE)
            continue;
        slot = slot_at(b, l, s, l->previous[place]);
        if (slot && slot->rank <= rank)
            return false;
        if (slot)
            entry_push(l, slot->rank, l->previous[place]);
    }
    return true;
}

static void ranks_reserve(struct bpe_lists *l, int32_t count)
{
    if (l->heads)
        return;
    l->rank_count = count;
    l->heads = mem_alloc_array((size_t)count, sizeof(*l->heads));
    l->filled = mem_alloc_array((size_t)count / 64 + 1, sizeof(*l->filled));
}

static void ranks_clear(struct bpe_lists *l)
{
    memset(l->heads, 0, (size_t)l->rank_count * sizeof(*l->heads));
    memset(l->filled, 0, ((size_t)l->rank_count / 64 + 1) * sizeof(*l->filled));
}

static bool merge_by_rank(const struct bpe *b, struct bpe_lists *l, struct bpe_symbols *s)
{
    ranks_reserve(l, b->merge_count);
    link_symbols(l, s->count);
    l->entry_count = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct bpe_slot *slot = slot_at(b, l, s, (uint32_t)i);
        if (slot)
            entry_push(l, slot->rank, (uint32_t)i);
    }
    for (int32_t word = 0; word <= l->rank_count / 64; word++) {
        while (l->filled[word]) {
            int32_t rank = word * 64 + __builtin_ctzll(l->filled[word]);
            if (!merge_rank(b, l, s, rank)) {
                ranks_clear(l);
                return false;
            }
        }
    }
    compact(s);
    return true;
}

/* ---- by heap ---- */

static void heap_push(struct bpe_lists *l, int32_t rank, uint32_t place)
{
    uint64_t item = (uint64_t)(uint32_t)rank << 32 | place;
    size_t i = l->heap_count;

    l->heap = mem_grow(l->heap, l->heap_count++, &l->heap_capacity, sizeof(*l->heap));
    for (; i > 0 && l->heap[(i - 1) / 4] > item; i = (i - 1) / 4)
        l->heap[i] = l->heap[(i - 1) / 4];
    l->heap[i] = item;
}

static uint64_t heap_pop(struct bpe_lists *l)
{
    uint64_t top = l->heap[0], item = l->heap[--l->heap_count];
    size_t i = 0;

    for (;;) {
        size_t child = 4 * i + 1, least = child;
        if (child >= l->heap_count)
            break;
        for (size_t c = child + 1; c < child + 4 && c < l->heap_count; c++)
            if (l->heap[c] < l->heap[least])
                least = c;
        if (l->heap[least] >= item)
            break;
        l->heap[i] = l->heap[least];
        i = least;
    }
    l->heap[i] = item;
    return top;
}

static void heap_push_pair(const struct bpe *b, struct bpe_lists *l, const struct bpe_symbols *s,
                           uint32_t place)
{
    const struct bpe_slot *slot = place == NOWHERE ? NULL : slot_at(b, l, s, place);

    if (slot)
        heap_push(l, slot->rank, place);
}

static void merge_by_heap(const struct bpe *b, struct bpe_lists *l, struct bpe_symbols *s)
{
    link_symbols(l, s->count);
    l->heap_count = 0;
    for (size_t i = 0; i < s->count; i++)
        heap_push_pair(b, l, s, (uint32_t)i);
    while (l->heap_count > 0) {
        uint64_t top = heap_pop(l);
        const struct bpe_merge *m = &b->merges[top >> 32];
        uint32_t place = (uint32_t)top;
        if (s->ids[place] != m->left || l->next[place] == NOWHERE || s->ids[l->next[place]] != m->right)
            continue;
        join(l, s, place, m->result);
        heap_push_pair(b, l, s, l->previous[place]);
        heap_push_pair(b, l, s, place);
    }
    compact(s);
}

void bpe_merge(const struct bpe *b, struct bpe_symbols *s, struct bpe_lists *l)
{
    int32_t *ids;
    uint32_t *lengths;

    if (s->count <= SHORT) {
        merge_short(b, s);
        return;
    }
    if (b->merge_count == 0)
        return;
    ids = mem_alloc_array(s->count, sizeof(*ids));
    lengths = mem_alloc_array(s->count, sizeof(*lengths));
    memcpy(ids, s->ids, s->count * sizeof(*ids));
    memcpy(lengths, s->lengths, s->count * sizeof(*lengths));
    if (!merge_by_rank(b, l, s)) {
        memcpy(s->ids, ids, s->count * sizeof(*ids));
        memcpy(s->lengths, lengths, s->count * sizeof(*lengths));
        merge_by_heap(b, l, s);
    }
    mem_free(ids);
    mem_free(lengths);
    if (l->symbol_capacity > KEPT)
        lists_clear(l);
}
