/* cover -- whether boxes cover a tensor exactly once: what the pieces of a sharded checkpoint have to do. */
#ifndef PLAIT_CKPT_COVER_H
#define PLAIT_CKPT_COVER_H

#include <stddef.h>

#include "ckpt/box.h"

enum { COVER_MAX_CUTS = 4 };

struct cover_box { /* within the tensor */
    const int64_t *start, *size;
};

struct cover_fault {
    int64_t at[BOX_MAX_DIMS]; /* an element, */
    int64_t times;            /* and how many boxes it lies in: not 1; -1: cut along too many dims */
};

/* True when each element of the tensor lies in exactly one of the boxes; else *fault tells of one that does
 * not. In time n log n, whatever the boxes: they come from files. */
bool cover_exact(int ndim, const int64_t *shape, const struct cover_box *boxes, size_t count,
                 struct cover_fault *fault);

#endif
