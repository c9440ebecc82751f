/* How often an element is covered is a sum of functions that are 1 in a box and 0 elsewhere. Such a function
 * is given by its differences along all dims, which are not 0 at the box's corners alone: +1 at those with
 * an even number of ends among their coordinates, -1 at the others. So the boxes cover the tensor once when
 * their corners cancel, one by one, but for the tensor's own. The first corner in lexicographic order that
 * is left is an element covered wrongly, and what is left there is how wrongly: nothing comes before it. */
#include "ckpt/cover.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct corner {
    int64_t at[COVER_MAX_CUTS], sign;
};

struct corners {
    struct corner *list;
    size_t count;
    int dims[COVER_MAX_CUTS]; /* those along which a box is not the whole */
    int cuts;
};

static bool find_cuts(struct corners *c, int ndim, const int64_t *shape, const struct cover_box *boxes,
                      size_t count)
{
    for (int d = 0; d < ndim; d++) {
        bool cut = false;
        for (size_t i = 0; i < count && !cut; i++)
            cut = boxes[i].start[d] != 0 || boxes[i].size[d] != shape[d];
        if (cut && c->cuts == COVER_MAX_CUTS)
            return false;
        if (cut)
            c->dims[c->cuts++] = d;
    }
    return true;
}

static void add_corners(struct corners *c, const int64_t *start, const int64_t *size, int64_t sign)
{
    for (int which = 0; which < 1 << c->cuts; which++) {
        struct corner *k = &c->list[c->count++];
        *k = (struct corner){ .sign = sign };
        for (int i = 0; i < c->cuts; i++) {
            int d = c->dims[i];
            bool end = which >> i & 1;
            k->at[i] = (start ? start[d] : 0) + (end ? size[d] : 0);
            k->sign = end ? -k->sign : k->sign;
        }
    }
}

static int compare(const void *a, const void *b)
{
    const struct corner *x = a, *y = b;

    for (int i = 0; i < COVER_MAX_CUTS; i++)
        if (x->at[i] != y->at[i])
            return x->at[i] < y->at[i] ? -1 : 1;
    return 0;
}

static bool all_cancel(const struct corners *c, struct cover_fault *fault)
{
    for (size_t i = 0, end; i < c->count; i = end) {
        int64_t sum = 0;
        for (end = i; end < c->count && compare(&c->list[i], &c->list[end]) == 0; end++)
            sum += c->list[end].sign;
        if (sum == 0)
            continue;
        *fault = (struct cover_fault){ .times = sum + 1 };
        for (int k = 0; k < c->cuts; k++)
            fault->at[c->dims[k]] = c->list[i].at[k];
        return false;
    }
    return true;
}

static bool is_empty(int ndim, const int64_t *shape)
{
    for (int d = 0; d < ndim; d++)
        if (shape[d] == 0)
            return true;
    return false;
}

bool cover_exact(int ndim, const int64_t *shape, const struct cover_box *boxes, size_t count,
                 struct cover_fault *fault)
{
    struct corners c = { 0 };
    bool exact;

    if (is_empty(ndim, shape))
        return true;
    if (!find_cuts(&c, ndim, shape, boxes, count)) {
        *fault = (struct cover_fault){ .times = -1 };
        return false;
    }
    c.list = mem_alloc_array((count + 1) << c.cuts, sizeof(c.list[0]));
    for (size_t i = 0; i < count; i++)
        add_corners(&c, boxes[i].start, boxes[i].size, 1);
    add_corners(&c, NULL, shape, -1);
    qsort(c.list, c.count, sizeof(c.list[0]), compare);
    exact = all_cancel(&c, fault);
    mem_free(c.list);
    return exact;
}
