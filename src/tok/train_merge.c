/* Merging. A pair keeps the list of words it stands in, so a merge costs what it touches; a heap with lazy
 * entries gives the next pair: an entry whose count is out of date goes back with the right one. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tok/train.h"

enum { FIRST_SLOTS = 1 << 12, PROGRESS_STEP = 256, MANY = 64 };

/* ---- pairs ---- */

static size_t slot_of(const struct pairs *p, uint64_t pair)
{
    uint64_t h = pair * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h ^ h >> 32) & p->slot_mask;

    while (p->slots[i] && p->entries[p->slots[i] - 1].pair != pair)
        i = (i + 1) & p->slot_mask;
    return i;
}

static void slots_grow(struct pairs *p)
{
    size_t count = p->slots ? (p->slot_mask + 1) * 2 : FIRST_SLOTS;

    mem_free(p->slots);
    p->slots = mem_alloc_array(count, sizeof(*p->slots));
    p->slot_mask = count - 1;
    for (size_t i = 0; i < p->count; i++)
        p->slots[slot_of(p, p->entries[i].pair)] = (uint32_t)i + 1;
}

static uint32_t entry_of(struct pairs *p, uint64_t pair)
{
    size_t slot;

    if (!p->slots || p->count * 2 > p->slot_mask)
        slots_grow(p);
    slot = slot_of(p, pair);
    if (!p->slots[slot]) {
        p->entries = mem_grow(p->entries, p->count, &p->capacity, sizeof(*p->entries));
        p->entries[p->count] = (struct pair_entry){ .pair = pair };
        p->slots[slot] = (uint32_t)++p->count;
    }
    return p->slots[slot] - 1;
}

static uint32_t pool_take(struct pairs *p, uint32_t word)
{
    uint32_t i = p->free_pool;

    if (i) {
        p->free_pool = p->pool[i - 1].next;
    } else {
        p->pool = mem_grow(p->pool, p->pool_count, &p->pool_capacity, sizeof(*p->pool));
        i = (uint32_t)++p->pool_count;
    }
    p->pool[i - 1] = (struct pair_words){ .words = { word + 1 } };
    return i;
}

/* False: the list has no room where it ends. */
static bool add_word(struct pairs *p, const struct pair_entry *e, uint32_t word)
{
    uint32_t *words, n = 1;

    if (!e->last)
        return false;
    words = p->pool[e->last - 1].words;
    while (n < PAIR_WORDS && words[n])
        n++;
    if (words[n - 1] == word + 1) /* it is there already */
        return true;
    if (n < PAIR_WORDS)
        words[n] = word + 1;
    return n < PAIR_WORDS;
}

static int64_t characters_of(const struct pairs *p, int32_t id)
{
    const struct map_entry *token = &p->ids->entries[id];
    int64_t count = 0;

    for (size_t i = 0; i < token->length; i++)
        count += (token->key[i] & 0xc0) != 0x80;
    return count;
}

/* As tokenizers has it: a pair of characters is never too long, and other tokens stay below the maximum. */
static bool too_long(const struct pairs *p, int32_t left, int32_t right)
{
    int64_t count = p->max_length > 0 ? characters_of(p, left) + characters_of(p, right) : 0;

    return count > 2 && count >= p->max_length;
}

void pairs_change(struct pairs *p, int32_t left, int32_t right, uint32_t word, int64_t weight)
{
    uint32_t index, place;
    struct pair_entry *e;

    if (weight > 0 && too_long(p, left, right))
        return;
    index = entry_of(p, pair_of(left, right));
    e = &p->entries[index];
    e->count += weight;
    if (weight <= 0 || add_word(p, e, word))
        return;
    place = pool_take(p, word);
    if (e->last) {
        p->pool[e->last - 1].next = place;
    } else {
        e->first = place;
        p->touched = mem_grow(p->touched, p->touched_count, &p->touched_capacity, sizeof(*p->touched));
        p->touched[p->touched_count++] = index;
    }
    e->last = place;
}

/* Gives the first of a list back; returns the next. */
static uint32_t pool_give(struct pairs *p, uint32_t first)
{
    uint32_t next = p->pool[first - 1].next;

    p->pool[first - 1].next = p->free_pool;
    p->free_pool = first;
    return next;
}

static void pairs_release(struct pairs *p)
{
    mem_free(p->entries);
    mem_free(p->slots);
    mem_free(p->pool);
    mem_free(p->touched);
}

/* ---- the heap ---- */

struct candidate {
    int64_t count;
    uint64_t pair;
    uint32_t entry, first; /* into pairs; the words to merge in */
};

struct heap {
    struct candidate *items;
    size_t count, capacity;
};

static bool comes_before(const struct candidate *a, const struct candidate *b)
{
    return a->count != b->count ? a->count > b->count : a->pair < b->pair;
}

static void heap_push(struct heap *h, const struct candidate *c)
{
    size_t i = h->count;

    h->items = mem_grow(h->items, h->count++, &h->capacity, sizeof(*h->items));
    for (; i > 0 && comes_before(c, &h->items[(i - 1) / 4]); i = (i - 1) / 4)
        h->items[i] = h->items[(i - 1) / 4];
    h->items[i] = *c;
}

static void heap_pop(struct heap *h, struct candidate *top)
{
    const struct candidate *last = &h->items[--h->count];
    size_t i = 0;

    *top = h->items[0];
    for (;;) {
        size_t child = 4 * i + 1, best = child;
        if (child >= h->count)
            break;
        for (size_t c = child + 1; c < child + 4 && c < h->count; c++)
            if (comes_before(&h->items[c], &h->items[best]))
                best = c;
        if (!comes_before(&h->items[best], last))
            break;
        h->items[i] = h->items[best];
        i = best;
    }
    h->items[i] = *last;
}

/* Pairs of the step that has ended become candidates. */
static void push_touched(struct heap *h, struct pairs *p)
{
    for (size_t i = 0; i < p->touched_count; i++) {
        struct pair_entry *e = &p->entries[p->touched[i]];
        if (e->count > 0)
            heap_push(h, &(struct candidate){ e->count, e->pair, p->touched[i], e->first });
        else
            while (e->first)
                e->first = pool_give(p, e->first);
        e->first = e->last = 0;
    }
    p->touched_count = 0;
}

/* ---- words ---- */

static void short_word_merge(const struct train_words *words, uint32_t index, uint64_t pair, int32_t result,
                             struct pairs *p)
{
    struct train_word *w = &words->items[index];
    int32_t *s = words->symbols + w->begin, left = (int32_t)(pair >> 32), right = (int32_t)(uint32_t)pair;
    uint32_t out = 0, i = 0;

    while (i < w->length) {
        if (s[i] != left || i + 1 == w->length || s[i + 1] != right) {
            s[out++] = s[i++];
            continue;
        }
        if (out > 0) {
            pairs_change(p, s[out - 1], left, index, -w->count);
            pairs_change(p, s[out - 1], result, index, w->count);
        }
        i += 2;
        if (i < w->length) {
            pairs_change(p, right, s[i], index, -w->count);
            pairs_change(p, result, s[i], index, w->count);
        }
        s[out++] = result;
    }
    w->length = out;
}

static void count_pairs(struct train_words *words, struct pairs *p)
{
    for (size_t i = 0; i < words->count; i++) {
        struct train_word *w = &words->items[i];
        const int32_t *s = words->symbols + w->begin;
        for (uint32_t k = 0; k + 1 < w->length; k++)
            pairs_change(p, s[k], s[k + 1], (uint32_t)i, w->count);
        if (w->length > TRAIN_LONG_WORD)
            w->longer = long_word_create(s, w->length);
    }
}

/* Takes the next words of a list away. They lie anywhere in memory, so all are asked for before the first is
 * needed. */
static size_t take_words(const struct train_words *words, struct pairs *p, uint32_t *first,
                         uint32_t taken[MANY])
{
    size_t count = 0;

    while (*first && count + PAIR_WORDS <= MANY) {
        const uint32_t *list = p->pool[*first - 1].words;
        for (int i = 0; i < PAIR_WORDS && list[i]; i++) {
            taken[count] = list[i] - 1;
            __builtin_prefetch(&words->items[taken[count++]], 1);
        }
        *first = pool_give(p, *first);
    }
    for (size_t i = 0; i < count; i++)
        __builtin_prefetch(words->symbols + words->items[taken[i]].begin, 1);
    return count;
}

static void merge_words(const struct train_words *words, const struct candidate *c, int32_t result,
                        struct pairs *p)
{
    uint32_t first = c->first, taken[MANY];

    for (size_t n; (n = take_words(words, p, &first, taken)) > 0;) {
        for (size_t i = 0; i < n; i++) {
            struct train_word *w = &words->items[taken[i]];
            if (w->longer)
                long_word_merge(w->longer, c->pair, result, p, taken[i], w->count);
            else
                short_word_merge(words, taken[i], c->pair, result, p);
        }
    }
}

/* ---- the loop ---- */

/* The id of the token that the parts make. */
static int32_t token_of(struct train_result *r, uint64_t pair, const char *continuing)
{
    const struct map_entry *left = &r->ids.entries[pair >> 32], *right = &r->ids.entries[(uint32_t)pair];
    size_t skip = strlen(continuing);
    struct str joined;
    int64_t id = (int64_t)r->ids.count;

    if (right->length < skip || memcmp(right->key, continuing, skip) != 0)
        skip = 0;
    str_init(&joined);
    str_append_bytes(&joined, left->key, left->length);
    str_append_bytes(&joined, right->key + skip, right->length - skip);
    if (!map_add(&r->ids, joined.data, joined.length, id))
        map_get(&r->ids, joined.data, joined.length, &id);
    str_release(&joined);
    return (int32_t)id;
}

static void add_merge(struct train_result *r, uint64_t pair, int32_t result)
{
    r->merges = mem_grow(r->merges, r->merge_count, &r->merge_capacity, sizeof(*r->merges));
    r->merges[r->merge_count++] = (struct train_merge){ pair, result };
}

static void merge_loop(struct train_words *words, const struct train_merge_options *o, struct pairs *p,
                       struct train_result *r)
{
    const struct train_progress *progress = &o->progress;
    struct heap heap = { 0 };
    struct candidate c;

    push_touched(&heap, p);
    while ((int64_t)r->ids.count < o->vocab_size && heap.count > 0) {
        heap_pop(&heap, &c);
        if (c.count != p->entries[c.entry].count) {
            c.count = p->entries[c.entry].count;
            heap_push(&heap, &c);
            continue;
        }
        if (c.count < 1 || c.count < o->min_frequency)
            break;
        int32_t result = token_of(r, c.pair, o->continuing);
        add_merge(r, c.pair, result);
        merge_words(words, &c, result, p);
        push_touched(&heap, p);
        if (progress->call && r->merge_count % PROGRESS_STEP == 0)
            progress->call(progress->context, (int64_t)r->ids.count, o->vocab_size);
    }
    mem_free(heap.items);
}

void train_merges(struct train_words *words, const struct train_merge_options *options,
                  struct train_result *result)
{
    struct pairs pairs = { .max_length = options->max_token_length, .ids = &result->ids };

    count_pairs(words, &pairs);
    merge_loop(words, options, &pairs, result);
    for (size_t i = 0; i < words->count; i++)
        if (words->items[i].longer)
            long_word_free(words->items[i].longer);
    pairs_release(&pairs);
}
