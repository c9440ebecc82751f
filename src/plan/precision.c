/* precision -- values wait in bfloat16, computing stays fp32.
 *
 * Every node computes in fp32 from fp32. A value of rows that is read beyond its own layer and pass (the
 * residual stream, what the backward pass needs of the forward pass) lies in bfloat16 until then: rounded
 * where it is made, widened again right before each such reader; what is read nearby is read as it was made.
 * So what fills memory takes half of it, while sums, softmax, statistics of norms, losses, gradients of
 * parameters and what ranks reduce stay in fp32, and no op knows. The pass runs when the graph is otherwise
 * finished. Outputs that the card says keeps_f32 of, what is added to or written into, scalars and what the
 * host reads are left alone.
 *
 * A kernel that reads bfloat16 itself would take over the casts around it (as `fuse` does with
 * neighbours). */
#include "ops/ops.h"
#include "plan/plan.h"

struct narrowing {
    struct graph *graph;
    struct node **nodes; /* as they were */
    size_t node_count;
    bool *kept, *waits;     /* [tensor]: the host reads it; a node far away reads it */
    struct tensor **narrow; /* [tensor]: the same value in bfloat16, NULL: stays as it is */
};

static bool is_partial(const struct tensor *t)
{
    for (int a = 0; a < PLACEMENT_AXES; a++)
        if (t->layout.on[a].kind == PARTIAL)
            return true;
    return false;
}

static bool is_forward(const struct node *n)
{
    return n->unit == UNIT_FORWARD;
}

static bool is_far(const struct tensor *t, const struct node *reader)
{
    const struct node *n = t->producer;

    return n && (is_forward(n) != is_forward(reader) || n->layer != reader->layer || n->op == &op_receive ||
                 reader->op == &op_send);
}

static bool keeps_f32(const struct node *n, int j)
{
    return n->op == &op_receive ? n->attr[TRANSFER_KEEPS_F32] != 0 : n->op->keeps_f32 >> j & 1;
}

static bool narrows(const struct narrowing *w, const struct node *n, int j)
{
    const struct tensor *t = n->out[j];

    return t && n->unit != UNIT_UPDATE && t->kind == TENSOR_VALUE && t->dtype == DT_F32 && !t->into &&
           t->ndim >= 2 && t->dims[0].count != COUNT_FIXED && !keeps_f32(n, j) && !n->op->alias &&
           !w->kept[t->id] && w->waits[t->id] && !is_partial(t);
}

/* A node beside `by` that makes x in another dtype. */
static struct tensor *cast(struct narrowing *w, const struct node *by, struct tensor *x, enum dtype dtype)
{
    struct node *n = arena_alloc(&w->graph->arena, sizeof(*n));
    struct tensor like = *x;

    *n = (struct node){ .op = &op_cast,
                        .nin = 1,
                        .nout = 1,
                        .unit = by->unit,
                        .stage = by->stage,
                        .layer = by->layer,
                        .scope = by->scope };
    n->in = arena_alloc(&w->graph->arena, sizeof(n->in[0]));
    n->in[0] = x;
    n->attr[CAST_DTYPE] = dtype;
    like.name = NULL;
    like.dtype = dtype;
    like.producer = n;
    like.output = 0;
    n->out[0] = graph_add_tensor(w->graph, &like);
    graph_append(w->graph, n);
    return n->out[0];
}

/* What goes from stage to stage is in bfloat16 on the way. */
static struct tensor *narrowed(struct narrowing *w, const struct node *n, int j)
{
    if (n->op != &op_receive)
        return cast(w, n, n->out[j], DT_BF16);
    n->out[j]->dtype = DT_BF16;
    return n->out[j];
}

/* Of values from far; once for each, however many inputs of n it is. */
static void widen_inputs(struct narrowing *w, struct node *n, size_t tensors)
{
    for (int i = 0; i < n->nin; i++) {
        struct tensor *t = n->in[i], *wide;
        if (!t || (size_t)t->id >= tensors || !w->narrow[t->id] || !is_far(t, n))
            continue;
        wide = n->op == &op_send ? w->narrow[t->id] : cast(w, n, w->narrow[t->id], DT_F32);
        for (int k = i; k < n->nin; k++)
            if (n->in[k] == t)
                n->in[k] = wide;
    }
}

void precision_narrow(struct graph *g, struct tensor *const keep[], int count)
{
    size_t tensors = g->tensor_count;
    struct narrowing w = { .graph = g, .node_count = g->node_count };

    w.kept = mem_alloc_array(tensors + 1, sizeof(w.kept[0]));
    w.waits = mem_alloc_array(tensors + 1, sizeof(w.waits[0]));
    w.narrow = mem_alloc_array(tensors + 1, sizeof(w.narrow[0]));
    w.nodes = mem_alloc_array(w.node_count + 1, sizeof(w.nodes[0]));
    for (int i = 0; i < count; i++)
        if (keep[i])
            w.kept[keep[i]->id] = true;
    for (size_t k = 0; k < w.node_count; k++) {
        w.nodes[k] = g->nodes[k];
        for (int i = 0; i < w.nodes[k]->nin; i++)
            if (w.nodes[k]->in[i] && is_far(w.nodes[k]->in[i], w.nodes[k]))
                w.waits[w.nodes[k]->in[i]->id] = true;
    }
    g->node_count = 0;
    for (size_t k = 0; k < w.node_count; k++) {
        struct node *n = w.nodes[k];
        widen_inputs(&w, n, tensors);
        graph_append(g, n);
        for (int j = 0; j < n->nout; j++)
            if (narrows(&w, n, j))
                w.narrow[n->out[j]->id] = narrowed(&w, n, j);
    }
    mem_free(w.kept);
    mem_free(w.waits);
    mem_free(w.narrow);
    mem_free(w.nodes);
    graph_check(g);
}
