/* Each dim of the file is made of a group of logical dims. Within a group, the dims after the last one that
 * is cut run through without gaps in file and share alike, so they and the cut one make one stretch of the
 * file's dim; the dims before it are counted through, each combination giving one box. */
#include "ckpt/share.h"

#include "base/err.h"

struct group {
    int first, end; /* logical dims */
    int split;      /* the last that is cut, else `first`: those before it are counted through */
};

struct walk {
    const struct stored *s;
    int64_t used[MAX_DIMS];   /* entries of each logical dim that are no padding */
    int64_t stride[MAX_DIMS]; /* of the share, in elements */
    int64_t index[MAX_DIMS];  /* of the dims counted through */
    struct group groups[MAX_DIMS];
};

static bool is_cut(const struct stored *s, int d)
{
    return s->first[d] != 0 || s->local[d] != s->dims[d];
}

static void find_groups(struct walk *w)
{
    const struct stored *s = w->s;
    int d = 0;

    for (int f = 0; f < s->param.file_ndim; f++) {
        struct group *g = &w->groups[f];
        int64_t product = 1;
        g->first = g->split = d;
        while (d < s->ndim && product < s->param.file_dims[f])
            product *= s->dims[d++];
        if (product != s->param.file_dims[f])
            BUG("%s: logical dims do not split dim %d of the file", s->name, f);
        if (f + 1 == s->param.file_ndim)
            d = s->ndim; /* dims of one entry that are left */
        g->end = d;
        for (int i = g->first; i < g->end; i++)
            if (is_cut(s, i))
                g->split = i;
    }
}

static void make_box(const struct walk *w, struct box *box, int64_t *offset, int64_t stride[])
{
    const struct stored *s = w->s;

    *offset = 0;
    box->ndim = s->param.file_ndim;
    for (int f = 0; f < box->ndim; f++) {
        const struct group *g = &w->groups[f];
        int64_t start = 0, size = 1, unit = 1;
        for (int d = g->first; d < g->end; d++) {
            bool counted = d < g->split;
            start = start * s->dims[d] + s->first[d] + (counted ? w->index[d] : 0);
            size *= counted ? 1 : w->used[d];
            unit = w->stride[d];
            *offset += counted ? w->index[d] * w->stride[d] : 0;
        }
        box->start[f] = start;
        box->size[f] = size;
        stride[f] = unit;
    }
}

/* To the next combination of the dims that are counted through; false after the last. */
static bool next(struct walk *w)
{
    for (int f = w->s->param.file_ndim - 1; f >= 0; f--) {
        const struct group *g = &w->groups[f];
        for (int d = g->split - 1; d >= g->first; d--) {
            if (++w->index[d] < w->used[d])
                return true;
            w->index[d] = 0;
        }
    }
    return false;
}

int share_each_box(const struct stored *s, share_box_fn *fn, void *context)
{
    struct walk w = { .s = s };
    int64_t unit = 1, stride[BOX_MAX_DIMS], offset;
    struct box box;

    for (int d = s->ndim - 1; d >= 0; d--) {
        w.used[d] = s->dims[d] - s->first[d] < s->local[d] ? s->dims[d] - s->first[d] : s->local[d];
        if (w.used[d] <= 0)
            return OK; /* all is padding */
        w.stride[d] = unit;
        unit *= s->local[d];
    }
    find_groups(&w);
    do {
        make_box(&w, &box, &offset, stride);
        TRY(fn(context, &box, offset, stride));
    } while (next(&w));
    return OK;
}

bool share_is_whole(const struct stored *s)
{
    for (int d = 0; d < s->ndim; d++)
        if (is_cut(s, d))
            return false;
    return true;
}

int64_t share_count(const struct stored *s)
{
    int64_t count = 1;

    for (int d = 0; d < s->ndim; d++)
        count *= s->local[d];
    return count;
}
