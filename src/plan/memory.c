/* Interval packing is NP-hard; what is used in practice is greedy by size (Pisarchyk and Lee, "Efficient
 * memory management for deep neural net inference", 2020): place the largest first, each in the lowest gap
 * that is free during its life. Three orders are tried and the smallest arena is kept. */
#include "plan/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int64_t aligned(int64_t bytes)
{
    return (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

static int by_size(const void *a, const void *b)
{
    const struct interval *x = *(const struct interval *const *)a, *y = *(const struct interval *const *)b;

    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x < y ? -1 : 1);
}

static int by_life(const void *a, const void *b)
{
    const struct interval *x = *(const struct interval *const *)a, *y = *(const struct interval *const *)b;
    int life = x->last - x->first, other = y->last - y->first;

    return life != other ? (life < other ? 1 : -1) : by_size(a, b);
}

static int by_area(const void *a, const void *b)
{
    const struct interval *x = *(const struct interval *const *)a, *y = *(const struct interval *const *)b;
    double area = (double)x->bytes * (x->last - x->first + 1),
           other = (double)y->bytes * (y->last - y->first + 1);

    return area != other ? (area < other ? 1 : -1) : by_size(a, b);
}

/* Puts v into the tightest gap between placed intervals (sorted by offset) that live at the same time;
 * returns where v belongs among the placed. */
static size_t place(struct interval *v, struct interval *const placed[], size_t count)
{
    int64_t end = 0, best = -1, best_gap = INT64_MAX;
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        const struct interval *p = placed[i];
        if (p->last < v->first || p->first > v->last)
            continue;
        if (p->offset - end >= aligned(v->bytes) && p->offset - end < best_gap) {
            best_gap = p->offset - end;
            best = end;
        }
        if (p->offset + aligned(p->bytes) > end)
            end = p->offset + aligned(p->bytes);
    }
    v->offset = best >= 0 ? best : end;
    while (at < count && placed[at]->offset <= v->offset)
        at++;
    return at;
}

/* Stops where it takes no less than `best`. */
static int64_t assign_in_order(struct interval *const order[], struct interval **placed, size_t count,
                               int64_t best)
{
    int64_t size = 0;

    for (size_t i = 0; i < count && size < best; i++) {
        size_t at = place(order[i], placed, i);
        memmove(&placed[at + 1], &placed[at], (i - at) * sizeof(placed[0]));
        placed[at] = order[i];
        if (order[i]->offset + aligned(order[i]->bytes) > size)
            size = order[i]->offset + aligned(order[i]->bytes);
    }
    return size;
}

static int64_t largest_live(const struct interval *intervals, size_t count)
{
    int last = 0;
    int64_t live = 0, largest = 0, *change;

    for (size_t i = 0; i < count; i++)
        last = intervals[i].last > last ? intervals[i].last : last;
    change = mem_alloc_array((size_t)last + 2, sizeof(change[0]));
    for (size_t i = 0; i < count; i++) {
        change[intervals[i].first] += aligned(intervals[i].bytes);
        change[intervals[i].last + 1] -= aligned(intervals[i].bytes);
    }
    for (int k = 0; k <= last; k++) {
        live += change[k];
        largest = live > largest ? live : largest;
    }
    mem_free(change);
    return largest;
}

int64_t memory_assign(struct interval *intervals, size_t count, int64_t *live)
{
    static int (*const orders[])(const void *, const void *) = { by_size, by_life, by_area };
    struct interval **order = mem_alloc_array(count + 1, sizeof(order[0]));
    struct interval **placed = mem_alloc_array(count + 1, sizeof(placed[0]));
    int64_t *best_offset = mem_alloc_array(count + 1, sizeof(best_offset[0]));
    int64_t best = INT64_MAX;

    *live = largest_live(intervals, count);
    for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]) && best > *live; o++) {
        int64_t size;
        for (size_t i = 0; i < count; i++)
            order[i] = &intervals[i];
        qsort(order, count, sizeof(order[0]), orders[o]);
        size = assign_in_order(order, placed, count, best);
        if (size >= best)
            continue;
        best = size;
        for (size_t i = 0; i < count; i++)
            best_offset[i] = intervals[i].offset;
    }
    for (size_t i = 0; i < count; i++)
        intervals[i].offset = best_offset[i];
    mem_free(order);
    mem_free(placed);
    mem_free(best_offset);
    return best;
}
