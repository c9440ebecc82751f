/* Long words, so that a text without white space does not cost its length for every merge: symbols in a
 * linked list, and for every pair the places where it stood when it came up. Places are taken in ascending
 * order, because that is the order in which the pairs beside them change. */
#include <stdlib.h>

#include "base/mem.h"
#include "tok/train.h"

enum { NO_SYMBOL = -1 };
#define NOWHERE UINT32_MAX

struct place {         /* of a symbol; in the list of a pair */
    uint32_t at, next; /* next: index + 1 */
};

struct place_list {
    uint64_t pair;
    uint32_t first; /* index + 1 */
};

struct long_word {
    int32_t *symbols;
    uint32_t *previous, *next;
    struct place *places;
    size_t place_count, place_capacity;
    struct place_list *lists;
    size_t list_count, list_capacity;
    uint32_t *slots; /* index + 1 into lists, open addressing */
    size_t slot_mask;
    uint32_t *taken;
    size_t taken_capacity;
};

static size_t slot_of(const struct long_word *w, uint64_t pair)
{
    uint64_t h = pair * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h ^ h >> 32) & w->slot_mask;

    while (w->slots[i] && w->lists[w->slots[i] - 1].pair != pair)
        i = (i + 1) & w->slot_mask;
    return i;
}

static void slots_grow(struct long_word *w)
{
    size_t count = w->slots ? (w->slot_mask + 1) * 2 : 64;

    mem_free(w->slots);
    w->slots = mem_alloc_array(count, sizeof(*w->slots));
    w->slot_mask = count - 1;
    for (size_t i = 0; i < w->list_count; i++)
        w->slots[slot_of(w, w->lists[i].pair)] = (uint32_t)i + 1;
}

static struct place_list *list_of(struct long_word *w, uint64_t pair)
{
    size_t slot;

    if (!w->slots || w->list_count * 2 > w->slot_mask)
        slots_grow(w);
    slot = slot_of(w, pair);
    if (!w->slots[slot]) {
        w->lists = mem_grow(w->lists, w->list_count, &w->list_capacity, sizeof(*w->lists));
        w->lists[w->list_count] = (struct place_list){ pair, 0 };
        w->slots[slot] = (uint32_t)++w->list_count;
    }
    return &w->lists[w->slots[slot] - 1];
}

static void list_add(struct long_word *w, uint64_t pair, uint32_t at)
{
    struct place_list *l = list_of(w, pair);

    w->places = mem_grow(w->places, w->place_count, &w->place_capacity, sizeof(*w->places));
    w->places[w->place_count] = (struct place){ at, l->first };
    l->first = (uint32_t)++w->place_count;
}

struct long_word *long_word_create(const int32_t *symbols, size_t length)
{
    struct long_word *w = mem_alloc(sizeof(*w));

    w->symbols = mem_alloc_array(length, sizeof(*w->symbols));
    w->previous = mem_alloc_array(length, sizeof(*w->previous));
    w->next = mem_alloc_array(length, sizeof(*w->next));
    for (size_t i = 0; i < length; i++) {
        w->symbols[i] = symbols[i];
        w->previous[i] = i > 0 ? (uint32_t)i - 1 : NOWHERE;
        w->next[i] = i + 1 < length ? (uint32_t)i + 1 : NOWHERE;
        if (i > 0)
            list_add(w, pair_of(symbols[i - 1], symbols[i]), (uint32_t)i - 1);
    }
    return w;
}

void long_word_free(struct long_word *w)
{
    mem_free(w->symbols);
    mem_free(w->previous);
    mem_free(w->next);
    mem_free(w->places);
    mem_free(w->lists);
    mem_free(w->slots);
    mem_free(w->taken);
    mem_free(w);
}

static int compare_places(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The places of a pair, ascending; its list is empty then. They were added in ascending runs, the last one
 * first. */
static size_t take_places(struct long_word *w, uint64_t pair)
{
    struct place_list *l = list_of(w, pair);
    bool descending = true;
    size_t n = 0;

    for (uint32_t p = l->first; p; p = w->places[p - 1].next) {
        w->taken = mem_grow(w->taken, n, &w->taken_capacity, sizeof(*w->taken));
        w->taken[n++] = w->places[p - 1].at;
        descending = descending && (n < 2 || w->taken[n - 1] < w->taken[n - 2]);
    }
    l->first = 0;
    for (size_t i = 0; descending && i < n / 2; i++) {
        uint32_t swap = w->taken[i];
        w->taken[i] = w->taken[n - 1 - i];
        w->taken[n - 1 - i] = swap;
    }
    if (!descending)
        qsort(w->taken, n, sizeof(*w->taken), compare_places);
    return n;
}

static void unlink_symbol(struct long_word *w, uint32_t at)
{
    w->symbols[at] = NO_SYMBOL;
    w->next[w->previous[at]] = w->next[at];
    if (w->next[at] != NOWHERE)
        w->previous[w->next[at]] = w->previous[at];
}

void long_word_merge(struct long_word *w, uint64_t pair, int32_t result, struct pairs *p, uint32_t word,
                     int64_t count)
{
    int32_t left = (int32_t)(pair >> 32), right = (int32_t)(uint32_t)pair;
    size_t n = take_places(w, pair);

    for (size_t i = 0; i < n; i++) {
        uint32_t at = w->taken[i], after = w->next[at], before = w->previous[at];
        if (w->symbols[at] != left || after == NOWHERE || w->symbols[after] != right)
            continue;
        unlink_symbol(w, after);
        w->symbols[at] = result;
        if (before != NOWHERE) {
            pairs_change(p, w->symbols[before], left, word, -count);
            pairs_change(p, w->symbols[before], result, word, count);
            list_add(w, pair_of(w->symbols[before], result), before);
        }
        after = w->next[at];
        if (after != NOWHERE) {
            pairs_change(p, right, w->symbols[after], word, -count);
            pairs_change(p, result, w->symbols[after], word, count);
            list_add(w, pair_of(result, w->symbols[after]), at);
        }
    }
}
