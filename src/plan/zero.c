/* zero -- what ZeRO (Rajbhandari et al., "ZeRO: memory optimizations toward training trillion parameter
 * models", 2020) deals out over dp, and how. A parameter is cut along one of its own dims: so its gradient,
 * its moments and its pieces in files lie by the same placements as everything else, and only the shard pass
 * knows. The dim is one that tp does not cut, so that shares of both lie side by side, with the least
 * padding.
 *
 * Vectors (biases, norm weights) stay whole: they are a thousandth of the bytes, and each would cost messages
 * of its own in every layer. So does what has no such dim, or none as large as there are ranks. */
#include <math.h>

#include "plan/shard.h"

/* Shares along the first dim lie side by side: padding of a hundredth is better than to copy them. */
static const double COPIED = 0.01;

static struct placement share_of(const struct tensor *param, int size)
{
    struct placement best = { .kind = REPLICATE };
    double least = INFINITY;

    for (int d = 0; d < param->ndim && param->param->file_ndim > 1; d++) {
        struct placement tp = param->layout.on[AXIS_TP];
        int64_t n = param->dims[d].size;
        double padded = (double)((n + size - 1) / size * size) / (double)n + (d > 0 ? COPIED : 0);
        if (n < size || (tp.kind == SHARD && tp.dim == d) || padded >= least)
            continue;
        least = padded;
        best = (struct placement){ .kind = SHARD, .dim = d };
    }
    return best;
}

struct placement *zero_shares(const struct graph *g, int size, struct arena *arena)
{
    struct placement *share = arena_alloc(arena, (g->tensor_count + 1) * sizeof(share[0]));

    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct tensor *t = g->tensors[i], *param = t;
        if (t->kind == TENSOR_GRAD && t->param && !t->producer)
            param = graph_find(g, t->name, TENSOR_PARAM);
        if (!t->producer && param && param->kind == TENSOR_PARAM)
            share[i] = share_of(param, size);
    }
    return share;
}
