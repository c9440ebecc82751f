#include "gen/top.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

/* Whether a comes after b. */
static bool worse(const struct top *a, const struct top *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    if (a->beam != b->beam)
        return a->beam > b->beam;
    return a->token > b->token;
}

static void sink(struct top_list *t, int64_t at)
{
    struct top x = t->items[at];

    for (int64_t child = 2 * at + 1; child < t->count; child = 2 * at + 1) {
        if (child + 1 < t->count && worse(&t->items[child + 1], &t->items[child]))
            child++;
        if (!worse(&t->items[child], &x))
            break;
        t->items[at] = t->items[child];
        at = child;
    }
    t->items[at] = x;
}

void top_add(struct top_list *t, const struct top *x)
{
    if (t->count < t->room) {
        t->items[t->count++] = *x;
        for (int64_t i = t->count / 2; t->count == t->room && i-- > 0;)
            sink(t, i);
    } else if (worse(&t->items[0], x)) {
        t->items[0] = *x;
        sink(t, 0);
    }
}

static int by_order(const void *a, const void *b)
{
    return worse(a, b) - worse(b, a);
}

void top_sort(struct top_list *t)
{
    qsort(t->items, (size_t)t->count, sizeof(t->items[0]), by_order);
}

static void sink_value(float *heap, int64_t at, int64_t count)
{
    float x = heap[at];

    for (int64_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (x <= heap[child])
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = x;
}

float top_value(const float *x, int64_t count, int64_t k)
{
    float *heap = mem_alloc_array((size_t)k, sizeof(heap[0])), value;

    for (int64_t i = 0; i < k; i++)
        heap[i] = x[i];
    for (int64_t i = k / 2; i-- > 0;)
        sink_value(heap, i, k);
    for (int64_t i = k; i < count; i++) {
        if (x[i] <= heap[0])
            continue;
        heap[0] = x[i];
        sink_value(heap, 0, k);
    }
    value = heap[0];
    mem_free(heap);
    return value;
}
