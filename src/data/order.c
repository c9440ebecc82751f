#include "data/order.h"

#include <stdlib.h>

#include "base/mem.h"

enum { MOST_BATCHES = 50 };

struct length_item {
    int64_t length, place, index;
};

int64_t order_at(const struct order *o, int64_t place)
{
    return (int64_t)rng_permute(o->key, (uint64_t)o->source->count, (uint64_t)place);
}

void length_group_init(struct length_group *g, int64_t count, int64_t batch)
{
    int64_t batches = count / (4 * batch);
    batches = batches < 1 ? 1 : batches > MOST_BATCHES ? MOST_BATCHES : batches;
    *g = (struct length_group){ .size = batches * batch, .epoch = -1 };
    g->items = mem_alloc_array((size_t)g->size, sizeof(*g->items));
}

void length_group_release(struct length_group *g)
{
    mem_free(g->items);
    *g = (struct length_group){ 0 };
}

static int longest_first(const void *a, const void *b)
{
    const struct length_item *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? 1 : -1;
    return x->place < y->place ? -1 : x->place > y->place;
}

int64_t length_group_at(struct length_group *g, const struct order *o, int64_t place)
{
    int64_t first = place - place % g->size, left = o->source->count - first;
    int64_t size = left < g->size ? left : g->size;
    if (g->epoch != o->epoch || g->first != first) {
        for (int64_t i = 0; i < size; i++) {
            int64_t index = order_at(o, first + i);
            g->items[i] = (struct length_item){ o->source->length(o->source->context, index), i, index };
        }
        qsort(g->items, (size_t)size, sizeof(*g->items), longest_first);
        g->epoch = o->epoch;
        g->first = first;
    }
    return g->items[place - first].index;
}
