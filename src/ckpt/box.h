/* box -- which part of a tensor, and copying such parts. A piece of a parameter is (parameter, box in the
 * dims of the file): what a rank reads of a file, what one layout holds of another, what a merge puts where.
 * One function copies the common part of two boxes, whatever the strides and element types of the two
 * memories. */
#ifndef PLAIT_CKPT_BOX_H
#define PLAIT_CKPT_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "ckpt/element.h"

enum { BOX_MAX_DIMS = 16 };

struct box {
    int ndim; /* 0: a scalar */
    int64_t start[BOX_MAX_DIMS], size[BOX_MAX_DIMS];
};

void box_whole(struct box *b, int ndim, const int64_t *shape);
int64_t box_count(const struct box *b);
bool box_contains(const struct box *outer, const struct box *inner);
/* False when they have nothing in common. Both have the same ndim. */
bool box_intersect(const struct box *a, const struct box *b, struct box *common);

/* Memory that holds a box. `data` is the element at box.start; the next along dim d lies stride[d] elements
 * further. */
struct box_view {
    const struct element *element;
    void *data;
    struct box box;
    int64_t stride[BOX_MAX_DIMS];
};
void box_view_contiguous(struct box_view *v); /* sets stride from box: row-major, no gaps */

/* Copies what both hold; what `to` holds beyond stays as it is. The element types are the same, or `to` is
 * F32 and `from` any floating-point type. */
void box_copy(const struct box_view *to, const struct box_view *from);

#endif
