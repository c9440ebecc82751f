/* view -- small questions about the views a kernel is given. */
#ifndef PLAIT_CPU_VIEW_H
#define PLAIT_CPU_VIEW_H

#include "core/kernel.h"

/* Elements used; 1 for a scalar. */
static inline int64_t view_count(const struct view *v)
{
    int64_t n = 1;
    for (int d = 0; d < v->ndim; d++)
        n *= v->dim[d];
    return n;
}

/* Elements of one row: the product of the dims after the first. */
static inline int64_t view_row(const struct view *v)
{
    int64_t n = 1;
    for (int d = 1; d < v->ndim; d++)
        n *= v->dim[d];
    return n;
}

static inline int64_t view_rows(const struct view *v)
{
    return v->ndim > 0 ? v->dim[0] : 1;
}

/* Data of an input or output that may be absent or not wanted: then NULL. */
static inline void *input_data(const struct kernel_args *a, int i)
{
    return i < a->node->nin ? a->in[i].data : NULL;
}

static inline void *output_data(const struct kernel_args *a, int j)
{
    return j < a->node->nout ? a->out[j].data : NULL;
}

/* Index in the whole tensor's row of entry f of this share's row. */
static inline int64_t view_whole_feature(const struct view *v, int64_t f)
{
    int64_t whole = 0, stride = 1;
    for (int d = v->ndim - 1; d > 0; d--) {
        whole += (v->first[d] + f % v->dim[d]) * stride;
        f /= v->dim[d];
        stride *= v->whole[d];
    }
    return whole;
}

/* Sequences of attention: how many the offsets hold now. */
static inline int64_t sequence_count(const struct kernel_args *a, const struct view *offsets)
{
    int64_t n = a->counts->of[COUNT_SEQUENCES];
    return n < offsets->dim[0] - 1 ? n : offsets->dim[0] - 1;
}

#endif
