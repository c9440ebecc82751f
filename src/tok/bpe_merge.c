/* Merging, three ways with one result.
 *
 * Short words: the pair of least rank is looked for again after every merge. O(n^2), but n is small and all
 * of it lies in the first cache lines.
 *
 * By rank, when merges are *ordered*: each part of a merge comes only from merges before it. Then no merge
 * gives rise to a pair of a rank that has been passed, and ranks can be taken in ascending order with a list
 * of places for each: linear in the length. Places of one rank cannot overlap and may be taken in any order,
 * unless the pair is one symbol twice: then left to right.
 *
 * Words longer than a block are cut. With ordered merges the symbols inside what becomes one token are never
 * touched from outside, so two encodings side by side are the encoding of the whole just when their two
 * tokens at the seam, encoded together, are still these two. A block ends wherever it ends, so its last
 * tokens are dropped and the next block begins there; if the seam does not hold, more tokens are dropped and
 * a larger block is tried.
 *
 * By heap of (rank, place), when merges are not ordered: the definition itself, O(n log n). With dropout
 * (Provilkov, Emelianenko and Voita, "BPE-dropout", ACL 2020), as tokenizers has it: a merge that comes up is
 * put aside with that probability, until another one has come up and was not. */
#include "tok/bpe_merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SHORT = 40, BLOCK = 4096, DROPPED = 8, NO_SYMBOL = -1 };
#define NOWHERE UINT32_MAX

struct symbol {
    int32_t id;
    uint32_t previous, next;
};

struct entry {            /* a place in the list of a rank */
    uint32_t place, next; /* next: index + 1 */
};

struct token {
    int32_t id;
    uint32_t first; /* symbol of the word */
};

struct tokens {
    struct token *items;
    size_t count, capacity;
};

struct bpe_lists {
    struct symbol *symbols;
    size_t symbol_count, symbol_capacity;
    uint32_t *heads;  /* by rank: index + 1 into entries; all 0 between words */
    uint64_t *filled; /* a bit for each rank whose list is not empty */
    struct entry *entries;
    size_t entry_count, entry_capacity;
    uint32_t *places; /* of one rank */
    size_t place_capacity;
    uint64_t *heap; /* rank << 32 | place */
    size_t heap_count, heap_capacity;
    uint64_t *aside; /* dropped out of the heap */
    size_t aside_count, aside_capacity;
    struct tokens done, block, seam;
};

struct bpe_lists *bpe_lists_create(void)
{
    return mem_alloc(sizeof(struct bpe_lists));
}

void bpe_lists_free(struct bpe_lists *l)
{
    mem_free(l->symbols);
    mem_free(l->heads);
    mem_free(l->filled);
    mem_free(l->entries);
    mem_free(l->places);
    mem_free(l->heap);
    mem_free(l->aside);
    mem_free(l->done.items);
    mem_free(l->block.items);
    mem_free(l->seam.items);
    mem_free(l);
}

bool bpe_is_ordered(const struct bpe_merge *merges, int32_t count, int32_t id_count)
{
    int32_t *made = mem_alloc_array((size_t)id_count, sizeof(*made)); /* last merge that gives an id, + 1 */
    bool ordered = true;

    for (int32_t i = 0; i < count; i++)
        made[merges[i].result] = i + 1;
    for (int32_t i = 0; i < count && ordered; i++)
        ordered = made[merges[i].left] <= i && made[merges[i].right] <= i;
    mem_free(made);
    return ordered;
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

/* ---- symbols in a linked list ---- */

static void link_symbols(struct bpe_lists *l, const int32_t *ids, size_t n)
{
    if (n > l->symbol_capacity) {
        l->symbol_capacity = n;
        l->symbols = mem_resize(l->symbols, n * sizeof(*l->symbols));
    }
    l->symbol_count = n;
    for (size_t i = 0; i < n; i++)
        l->symbols[i] = (struct symbol){
            .id = ids[i],
            .previous = i > 0 ? (uint32_t)i - 1 : NOWHERE,
            .next = i + 1 < n ? (uint32_t)i + 1 : NOWHERE,
        };
}

/* The merge of the symbol at a place with the next one, or NULL. */
static const struct bpe_slot *slot_at(const struct bpe *b, const struct bpe_lists *l, uint32_t place)
{
    const struct symbol *s = &l->symbols[place];

    return s->next == NOWHERE ? NULL : bpe_find(b, s->id, l->symbols[s->next].id);
}

/* Merges at a place if the pair still stands there. */
static bool join(struct bpe_lists *l, const struct bpe_merge *m, uint32_t place)
{
    struct symbol *left = &l->symbols[place], *right;

    if (left->id != m->left || left->next == NOWHERE || l->symbols[left->next].id != m->right)
        return false;
    right = &l->symbols[left->next];
    left->id = m->result;
    left->next = right->next;
    right->id = NO_SYMBOL;
    if (right->next != NOWHERE)
        l->symbols[right->next].previous = place;
    return true;
}

static void collect(const struct bpe_lists *l, size_t first, struct tokens *out)
{
    for (size_t i = 0; i < l->symbol_count; i++) {
        if (l->symbols[i].id == NO_SYMBOL)
            continue;
        out->items = mem_grow(out->items, out->count, &out->capacity, sizeof(*out->items));
        out->items[out->count++] = (struct token){ l->symbols[i].id, (uint32_t)(first + i) };
    }
}

/* ---- by rank ---- */

static void push_place(const struct bpe *b, struct bpe_lists *l, uint32_t place)
{
    const struct bpe_slot *slot = place == NOWHERE ? NULL : slot_at(b, l, place);

    if (!slot)
        return;
    l->entries = mem_grow(l->entries, l->entry_count, &l->entry_capacity, sizeof(*l->entries));
    l->entries[l->entry_count] = (struct entry){ place, l->heads[slot->rank] };
    l->heads[slot->rank] = (uint32_t)++l->entry_count;
    l->filled[slot->rank / 64] |= (uint64_t)1 << (slot->rank % 64);
}

static int compare_places(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Lists are filled from left to right and read from the last entry on, so most of them are descending. */
static void sort_places(uint32_t *places, size_t n)
{
    size_t i = 1;

    while (i < n && places[i] < places[i - 1])
        i++;
    if (i < n) {
        qsort(places, n, sizeof(*places), compare_places);
        return;
    }
    for (i = 0; i < n / 2; i++) {
        uint32_t swap = places[i];
        places[i] = places[n - 1 - i];
        places[n - 1 - i] = swap;
    }
}

/* The places of a rank, ascending where that matters. Its list is empty then. */
static size_t take_places(const struct bpe *b, struct bpe_lists *l, int32_t rank)
{
    size_t n = 0;

    for (uint32_t e = l->heads[rank]; e; e = l->entries[e - 1].next) {
        l->places = mem_grow(l->places, n, &l->place_capacity, sizeof(*l->places));
        l->places[n++] = l->entries[e - 1].place;
    }
    l->heads[rank] = 0;
    l->filled[rank / 64] &= ~((uint64_t)1 << (rank % 64));
    if (b->merges[rank].left == b->merges[rank].right)
        sort_places(l->places, n);
    return n;
}

static void merge_rank(const struct bpe *b, struct bpe_lists *l, int32_t rank)
{
    size_t n = take_places(b, l, rank);

    for (size_t i = 0; i < n; i++) {
        if (!join(l, &b->merges[rank], l->places[i]))
            continue;
        push_place(b, l, l->places[i]);
        push_place(b, l, l->symbols[l->places[i]].previous);
    }
}

/* Symbols begin .. end of the word, alone, to tokens. */
static void merge_by_rank(const struct bpe *b, struct bpe_lists *l, const int32_t *ids, size_t begin,
                          size_t end, struct tokens *out)
{
    if (!l->heads) {
        l->heads = mem_alloc_array((size_t)b->merge_count, sizeof(*l->heads));
        l->filled = mem_alloc_array((size_t)b->merge_count / 64 + 1, sizeof(*l->filled));
    }
    link_symbols(l, ids + begin, end - begin);
    l->entry_count = 0;
    for (size_t i = 0; i < l->symbol_count; i++)
        push_place(b, l, (uint32_t)i);
    for (int32_t word = 0; word <= b->merge_count / 64; word++)
        while (l->filled[word])
            merge_rank(b, l, word * 64 + __builtin_ctzll(l->filled[word]));
    out->count = 0;
    collect(l, begin, out);
}

/* Whether the last token done and the first of the block stay as they are side by side. */
static bool seam_holds(const struct bpe *b, struct bpe_lists *l, const int32_t *ids, size_t end)
{
    size_t begin, middle = l->block.items[0].first;

    if (l->done.count == 0)
        return true;
    begin = l->done.items[l->done.count - 1].first;
    if (l->block.count > 1)
        end = l->block.items[1].first;
    merge_by_rank(b, l, ids, begin, end, &l->seam);
    return l->seam.count == 2 && l->seam.items[1].first == middle;
}

static void merge_in_blocks(const struct bpe *b, struct bpe_lists *l, const int32_t *ids, size_t n)
{
    size_t begin = 0, size = BLOCK, dropped = DROPPED;

    l->done.count = 0;
    while (begin < n) {
        size_t end = n - begin > size ? begin + size : n, kept;
        merge_by_rank(b, l, ids, begin, end, &l->block);
        if (!seam_holds(b, l, ids, end)) {
            l->done.count -= dropped < l->done.count ? dropped : l->done.count;
            begin = l->done.count ? l->done.items[l->done.count].first : 0;
            dropped *= 2;
            size *= 2;
            continue;
        }
        kept = end == n ? l->block.count : l->block.count > 2 * DROPPED ? l->block.count - DROPPED : 0;
        size = kept ? BLOCK : size * 2;
        dropped = kept ? DROPPED : dropped;
        for (size_t i = 0; i < kept; i++) {
            l->done.items = mem_grow(l->done.items, l->done.count, &l->done.capacity, sizeof(*l->done.items));
            l->done.items[l->done.count++] = l->block.items[i];
        }
        if (kept)
            begin = end == n ? n : l->block.items[kept].first;
    }
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

static void heap_push_place(const struct bpe *b, struct bpe_lists *l, uint32_t place)
{
    const struct bpe_slot *slot = place == NOWHERE ? NULL : slot_at(b, l, place);

    if (slot)
        heap_push(l, slot->rank, place);
}

static bool is_dropped(struct bpe_dropout *d)
{
    return d && rng_uniform(d->key, d->text, d->count++) < d->rate;
}

static void put_aside(struct bpe_lists *l, uint64_t item)
{
    l->aside = mem_grow(l->aside, l->aside_count, &l->aside_capacity, sizeof(*l->aside));
    l->aside[l->aside_count++] = item;
}

static void put_back(struct bpe_lists *l)
{
    while (l->aside_count > 0) {
        uint64_t item = l->aside[--l->aside_count];
        heap_push(l, (int32_t)(item >> 32), (uint32_t)item);
    }
}

static void merge_by_heap(const struct bpe *b, struct bpe_lists *l, const int32_t *ids, size_t n,
                          struct bpe_dropout *d)
{
    link_symbols(l, ids, n);
    l->heap_count = l->aside_count = 0;
    for (size_t i = 0; i < n; i++)
        heap_push_place(b, l, (uint32_t)i);
    while (l->heap_count > 0) {
        uint64_t top = heap_pop(l);
        uint32_t place = (uint32_t)top;
        if (is_dropped(d)) {
            put_aside(l, top);
            continue;
        }
        put_back(l);
        if (!join(l, &b->merges[top >> 32], place))
            continue;
        heap_push_place(b, l, l->symbols[place].previous);
        heap_push_place(b, l, place);
    }
    l->done.count = 0;
    collect(l, 0, &l->done);
}

/* ---- a word ---- */

/* The tokens in place of the symbols, with the bytes they cover. */
static void put_tokens(struct bpe_symbols *s, const struct tokens *t)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t end = i + 1 < t->count ? t->items[i + 1].first : s->count;
        uint32_t length = 0;
        for (size_t k = t->items[i].first; k < end; k++)
            length += s->lengths[k];
        s->ids[i] = t->items[i].id;
        s->lengths[i] = length;
    }
    s->count = t->count;
}

void bpe_merge(const struct bpe *b, struct bpe_symbols *s, struct bpe_lists *l, struct bpe_dropout *d)
{
    if (s->count <= SHORT && !d) {
        merge_short(b, s);
        return;
    }
    if (b->is_ordered && !d)
        merge_in_blocks(b, l, s->ids, s->count);
    else
        merge_by_heap(b, l, s->ids, s->count, d);
    put_tokens(s, &l->done);
}
