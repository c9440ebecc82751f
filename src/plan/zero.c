/* zero -- what ZeRO (Rajbhandari et al., "ZeRO: memory optimizations toward training trillion parameter
 * models", 2020) deals out over dp, and how. A parameter is cut along one of its own dims: so its gradient,
 * its moments and its pieces in files lie by the same placements as everything else, and only the shard pass
 * knows. The dim is one that tp cuts neither of the parameter nor of its gradient, so that shares lie
 * side by side, with the least padding.
 *
 * Vectors (biases, norm weights) stay whole: they are a thousandth of the bytes, and each would cost messages
 * of its own in every layer. So does what has no such dim, or none as large as there are ranks. */
#include <math.h>

#include "ops/ops.h"
#include "plan/partition.h"
#include "plan/shard.h"

/* Shares along the first dim lie side by side: padding of a hundredth is better than to copy them. */
static const double COPIED = 0.01;

/* The user may say so of single parameters, whatever the stage. */
static int stage_of(const struct shard_options *o, const struct tensor *param)
{
    struct placement p;

    if (!partition_rules_find(o->rules, param, AXIS_DP, &p))
        return o->zero_stage;
    return p.kind == SHARD ? 3 : o->zero_stage < 2 ? o->zero_stage : 2;
}

static bool is_cut(const struct tensor *t, int d)
{
    return t && t->layout.on[AXIS_TP].kind == SHARD && t->layout.on[AXIS_TP].dim == d;
}

/* grad: its accumulator, which tp may have cut otherwise; NULL: none. */
static struct placement share_of(const struct tensor *param, const struct tensor *grad,
                                 const struct shard_options *o, int size)
{
    struct placement best = { .kind = REPLICATE }, said;
    double least = INFINITY;

    if (partition_rules_find(o->rules, param, AXIS_DP, &said) && said.kind == SHARD)
        return said;
    for (int d = 0; d < param->ndim && param->param->file_ndim > 1 && o->zero_stage > 0; d++) {
        int64_t n = param->dims[d].size;
        double padded = (double)((n + size - 1) / size * size) / (double)n + (d > 0 ? COPIED : 0);
        if (n < size || is_cut(param, d) || is_cut(grad, d) || padded >= least)
            continue;
        least = padded;
        best = (struct placement){ .kind = SHARD, .dim = d };
    }
    return best;
}

static const struct tensor *param_of(const struct graph *g, const struct tensor *t)
{
    if (t->kind == TENSOR_GRAD && t->param)
        return graph_find(g, t->name, TENSOR_PARAM);
    return t->kind == TENSOR_PARAM ? t : NULL;
}

/* A layer that is made again in the backward pass gathers its parameters there: what its gradients read too
 * is not gathered twice. */
void zero_merge_gathers(struct graph *g)
{
    struct node **last = mem_alloc_array(g->tensor_count + 1, sizeof(last[0])); /* [what is gathered] */
    struct tensor **instead = mem_alloc_array(g->tensor_count + 1, sizeof(instead[0]));

    for (size_t k = 0; k < g->node_count; k++) {
        struct node *n = g->nodes[k], *before;
        for (int i = 0; i < n->nin; i++)
            if (n->in[i] && instead[n->in[i]->id])
                n->in[i] = instead[n->in[i]->id];
        if (n->op != &op_all_gather || n->unit != UNIT_BACKWARD_INPUT || !n->out[0]->param)
            continue;
        before = last[n->in[0]->id];
        if (before && before->layer == n->layer && before->stage == n->stage &&
            before->attr[COLLECTIVE_AXIS] == n->attr[COLLECTIVE_AXIS])
            instead[n->out[0]->id] = before->out[0];
        else
            last[n->in[0]->id] = n;
    }
    mem_free(last);
    mem_free(instead);
}

/* ---- What several nodes add to ---- */

static struct node *scatter_of(const struct tensor *t)
{
    struct node *n = t ? t->producer : NULL;

    return n && n->op == &op_reduce_scatter && n->attr[COLLECTIVE_AXIS] == AXIS_DP ? n : NULL;
}

/* Whether what `second` deals out can be added to what `first` does, and be dealt out with that. */
static bool may_join(const struct node *first, const struct node *second, bool split)
{
    const struct tensor *a = first->in[0], *b = second->in[0];
    const struct node *from = b->producer;

    if (!a->producer || !from || node_moves(from) || a->kind != TENSOR_VALUE || b->kind != TENSOR_VALUE ||
        b->into || a->producer == from || a->producer->stage != from->stage || a->producer->id > from->id ||
        (split && a->producer->unit != from->unit))
        return false;
    for (int axis = 0; axis < PLACEMENT_AXES; axis++)
        if (!placement_equal(a->layout.on[axis], b->layout.on[axis]))
            return false;
    return first->attr[COLLECTIVE_DIM] == second->attr[COLLECTIVE_DIM];
}

/* A table that two nodes add to, as tied ones are, is dealt out once, when both have: it is there in between,
 * which is no more at once than where the first has made it, as long as values of the forward pass are given
 * back meanwhile. */
void zero_merge_scatters(struct graph *g, bool split)
{
    bool *gone = mem_alloc_array(g->node_count + 1, sizeof(gone[0]));
    size_t count = g->node_count;

    for (size_t k = 0; k < count; k++) {
        struct node *n = scatter_of(g->nodes[k]->out[0]), *before = n ? scatter_of(n->out[0]->into) : NULL;
        if (n != g->nodes[k] || !before || !may_join(before, n, split))
            continue;
        node_write_into(n->in[0]->producer, n->in[0]->output, before->in[0], true);
        node_write_into(n, 0, before->out[0]->into, before->accumulate[0]);
        gone[before->id] = true;
    }
    g->node_count = 0;
    for (size_t k = 0; k < count; k++)
        if (!gone[k])
            graph_append(g, g->nodes[k]);
    mem_free(gone);
}

/* ---- Shares ---- */

struct placement *zero_shares(const struct graph *g, const struct shard_options *o, int size,
                              struct arena *arena)
{
    struct placement *share = arena_alloc(arena, (g->tensor_count + 1) * sizeof(share[0]));

    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct tensor *t = g->tensors[i], *grad;
        if (t->kind != TENSOR_PARAM)
            continue;
        grad = graph_find(g, t->name, TENSOR_GRAD);
        share[i] = share_of(t, grad, o, size);
        if (grad && !is_cut(grad, share[i].dim)) /* else the user has said so of the parameter */
            share[grad->id] = share[i];
    }
    return share;
}

/* Gradients lie as they are made, or are dealt out; moments follow gradients. */
struct placement zero_known(const struct graph *g, const struct shard_options *o, const struct tensor *t,
                            struct placement share)
{
    const struct tensor *param = param_of(g, t);

    if (t->kind == TENSOR_PARAM)
        return stage_of(o, t) >= 3 ? share : (struct placement){ .kind = REPLICATE };
    if (t->kind == TENSOR_GRAD)
        return param && stage_of(o, param) >= 2 && share.kind == SHARD ? share : PLACEMENT_FREE;
    return t->param ? PLACEMENT_FREE : (struct placement){ .kind = REPLICATE };
}
