#include "ckpt/box.h"

#include <string.h>

#include "base/err.h"

void box_whole(struct box *b, int ndim, const int64_t *shape)
{
    *b = (struct box){ .ndim = ndim };
    for (int d = 0; d < ndim; d++)
        b->size[d] = shape[d];
}

int64_t box_count(const struct box *b)
{
    int64_t count = 1;
    for (int d = 0; d < b->ndim; d++)
        count *= b->size[d];
    return count;
}

bool box_contains(const struct box *outer, const struct box *inner)
{
    if (outer->ndim != inner->ndim)
        return false;
    for (int d = 0; d < outer->ndim; d++) {
        int64_t offset = inner->start[d] - outer->start[d];
        if (offset < 0 || inner->size[d] < 0 || inner->size[d] > outer->size[d] ||
            offset > outer->size[d] - inner->size[d])
            return false;
    }
    return true;
}

bool box_intersect(const struct box *a, const struct box *b, struct box *common)
{
    if (a->ndim != b->ndim)
        BUG("boxes of %d and %d dims", a->ndim, b->ndim);
    common->ndim = a->ndim;
    for (int d = 0; d < a->ndim; d++) {
        int64_t a_end = a->start[d] + a->size[d], b_end = b->start[d] + b->size[d];
        int64_t start = a->start[d] > b->start[d] ? a->start[d] : b->start[d];
        int64_t end = a_end < b_end ? a_end : b_end;
        if (end <= start)
            return false;
        common->start[d] = start;
        common->size[d] = end - start;
    }
    return true;
}

void box_view_contiguous(struct box_view *v)
{
    int64_t stride = 1;
    for (int d = v->box.ndim - 1; d >= 0; d--) {
        v->stride[d] = stride;
        stride *= v->box.size[d];
    }
}

/* Address of element `at` (in the dims of the whole tensor). */
static char *view_address(const struct box_view *v, const int64_t *at)
{
    int64_t offset = 0;
    for (int d = 0; d < v->box.ndim; d++)
        offset += (at[d] - v->box.start[d]) * v->stride[d];
    return (char *)v->data + offset * (v->element->bits / 8);
}

/* How to copy one run of elements along the innermost dims. */
struct run {
    const struct element *to, *from;
    int64_t count, to_stride, from_stride;
};

static void copy_run(const struct run *r, char *to, const char *from)
{
    int to_bytes = r->to->bits / 8, from_bytes = r->from->bits / 8;
    if (r->to_stride == 1 && r->from_stride == 1) {
        if (r->to == r->from)
            memcpy(to, from, (size_t)(r->count * to_bytes));
        else
            element_to_float(r->from, from, (float *)(void *)to, (size_t)r->count);
        return;
    }
    for (int64_t i = 0; i < r->count; i++) {
        char *t = to + i * r->to_stride * to_bytes;
        const char *f = from + i * r->from_stride * from_bytes;
        if (r->to == r->from) {
            memcpy(t, f, (size_t)to_bytes);
        } else {
            float value;
            element_to_float(r->from, f, &value, 1);
            memcpy(t, &value, sizeof(value));
        }
    }
}

/* Joins inner dims that are laid out as one in both memories; returns how many outer dims remain. */
static int join_dims(const struct box *common, const struct box_view *to, const struct box_view *from,
                     struct run *r)
{
    int d = common->ndim;
    *r = (struct run){
        .to = to->element, .from = from->element, .count = 1, .to_stride = 1, .from_stride = 1
    };
    if (d == 0)
        return 0;
    d--;
    r->count = common->size[d];
    r->to_stride = to->stride[d];
    r->from_stride = from->stride[d];
    while (d > 0 && to->stride[d - 1] == r->count * r->to_stride &&
           from->stride[d - 1] == r->count * r->from_stride)
        r->count *= common->size[--d];
    return d;
}

void box_copy(const struct box_view *to, const struct box_view *from)
{
    struct box common;
    struct run run;
    if (to->element->bits % 8 != 0 || from->element->bits % 8 != 0)
        BUG("copying boxes of %s", from->element->name);
    if (to->element != from->element && (to->element->bits != 32 || from->element->kind != ELEMENT_FLOAT))
        BUG("copying %s to %s", from->element->name, to->element->name);
    if (!box_intersect(&to->box, &from->box, &common))
        return;

    int outer = join_dims(&common, to, from, &run);
    int64_t at[BOX_MAX_DIMS];
    memcpy(at, common.start, sizeof(at));
    for (;;) {
        copy_run(&run, view_address(to, at), view_address(from, at));
        int d = outer - 1;
        while (d >= 0 && ++at[d] == common.start[d] + common.size[d]) {
            at[d] = common.start[d];
            d--;
        }
        if (d < 0)
            return;
    }
}
