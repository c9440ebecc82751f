/* many -- cuts many arrays of different sizes into tiles of one size, so that one parallel_for goes over all
 * of them. Numbers only; the kernels know which arrays they mean. */
#ifndef PLAIT_CPU_MANY_H
#define PLAIT_CPU_MANY_H

#include <stdint.h>

#include "base/parallel.h"

struct many {
    int arrays;
    int64_t tile;   /* elements of a tile */
    int64_t *first; /* [arrays + 1]: each array's first tile; the last one: all tiles */
};

struct piece { /* elements first .. first + count - 1 of an array */
    int array;
    int64_t first, count;
};

/* Adds an array of `count` elements behind the others; m->first is large enough, m starts with arrays 0. */
static inline void many_add(struct many *m, int64_t count)
{
    if (m->arrays == 0)
        m->first[0] = 0;
    m->first[m->arrays + 1] = m->first[m->arrays] + ceil_div(count, m->tile);
    m->arrays++;
}

static inline int64_t many_tiles(const struct many *m)
{
    return m->arrays > 0 ? m->first[m->arrays] : 0;
}

/* The array that tile lies in. */
static inline int many_array(const struct many *m, int64_t tile)
{
    int low = 0, high = m->arrays;

    while (high - low > 1) { /* first[low] <= tile < first[high] */
        int middle = (low + high) / 2;
        if (m->first[middle] <= tile)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Which piece tile is, where that array has `count` elements: ask many_array first. */
static inline struct piece many_piece(const struct many *m, int64_t tile, int array, int64_t count)
{
    int64_t first = (tile - m->first[array]) * m->tile;

    return (struct piece){ array, first, count - first < m->tile ? count - first : m->tile };
}

#endif
