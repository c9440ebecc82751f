/* overlap -- pulls the start of a collective and the wait for it apart, so that the ranks compute while data
 * moves. The shard pass has put each collective right before its first reader; it is started right behind
 * what makes its input instead, and waited for there. In between both ends' memory is taken, so the two stay
 * within one layer (a parameter's gather: within two) and one part of a pipeline's stage.
 *
 * The sum of a gradient over the ranks of an axis belongs to the update. It is started in the last microbatch
 * behind the last node that adds to it (Li et al., "PyTorch Distributed", VLDB 2020, with parameters for
 * buckets). What ZeRO gathers after it goes on while the next parameter is changed.
 *
 * The ranks of dp and of tp run the same nodes in the same order, so their transfers match whatever the
 * order is. Those of pp do not: their collectives stay where they are. */
#include <string.h>

#include "base/err.h"
#include "comm/kernels.h"
#include "ops/ops.h"
#include "plan/shard.h"

/* What must be there to do for a start of its own: two ranks that meet take about as long. Gradients below
 * this size are reduced where they stand. */
static const double WORTH_SECONDS = 50e-6;
enum { WORTH_BYTES = 1 << 16 };

struct pass {
    struct graph *g;
    const struct mesh *mesh;
    const struct cluster *cluster;
    bool split;
    struct tensor *const *keep;
    int keep_count;
    size_t count, tensor_count; /* before the pass */
    struct node **order;        /* NULL: was split */
    int *readers;               /* [tensor] */
    struct node ***before;      /* [place]: NULL-terminated lists of nodes to be put there */
};

static bool is_collective(const struct node *n)
{
    bool known = n->op == &op_all_reduce || n->op == &op_all_gather || n->op == &op_reduce_scatter;

    return known && n->attr[COLLECTIVE_AXIS] != AXIS_PP;
}

static bool is_kept(const struct pass *s, const struct tensor *t)
{
    for (int i = 0; i < s->keep_count; i++)
        if (s->keep[i] == t)
            return true;
    return false;
}

/* ---- Where nodes may go ---- */

enum phase { FORWARD, BACKWARD, WEIGHT, UPDATE };

static enum phase phase_of(const struct pass *s, const struct node *n)
{
    switch (n->unit) {
    case UNIT_FORWARD: return FORWARD;
    case UNIT_BACKWARD_WEIGHT: return s->split ? WEIGHT : BACKWARD;
    case UNIT_UPDATE: return UPDATE;
    default: return BACKWARD;
    }
}

static bool may_pass(const struct pass *s, const struct node *n, const struct node *other, int layers)
{
    int apart;

    if (!other)
        return true;
    apart = n->layer > other->layer ? n->layer - other->layer : other->layer - n->layer;
    return other->op != &op_send && other->op != &op_receive && n->stage == other->stage && apart <= layers &&
           phase_of(s, n) == phase_of(s, other);
}

static bool reads(const struct node *n, const struct tensor *t)
{
    for (int i = 0; n && i < n->nin; i++)
        if (n->in[i] == t)
            return true;
    for (int j = 0; n && j < n->nout; j++)
        if (n->out[j] && n->out[j]->into == t)
            return true;
    return false;
}

static bool gathers_param(const struct node *n)
{
    return n && n->op == &op_all_gather && n->in[0]->kind == TENSOR_PARAM;
}

/* A gather of a parameter may reach into the layer before, but not past another, which is wanted sooner. */
static int layers_of(const struct node *n)
{
    return gathers_param(n);
}

static bool stops(const struct pass *s, const struct node *n, const struct node *other)
{
    return (other && n->in[0]->producer == other) || (gathers_param(n) && gathers_param(other)) ||
           !may_pass(s, n, other, layers_of(n));
}

static int first_place(const struct pass *s, int k)
{
    const struct node *n = s->order[k];
    int at = k;

    if (n->in[0]->producer && n->in[0]->producer->op == &op_wait)
        return k; /* for which a place has been chosen */
    while (at > 0 && !stops(s, n, s->order[at - 1]))
        at--;
    return at;
}

static int last_place(const struct pass *s, int k)
{
    const struct node *n = s->order[k];
    size_t at = (size_t)k + 1;

    while (at < s->count && !reads(s->order[at], n->out[0]) && may_pass(s, n, s->order[at], 0))
        at++;
    return (int)at;
}

/* ---- Whether it is worth it ---- */

static double seconds_between(const struct pass *s, int first, int end, int without)
{
    const struct axis_cost whole = { .axis = AXIS_TP, .size = 1, .cluster = s->cluster };
    double seconds = 0;

    for (int k = first; k < end; k++)
        if (k != without && s->order[k] && !is_collective(s->order[k]))
            seconds += node_seconds(&whole, s->order[k], 1);
    return seconds;
}

/* An accumulator that nodes of one chunk's microbatches add to, of which none runs in a later part than the
 * last. Its sum needs no workspace, which would be gone in the update. */
static bool is_complete_gradient(const struct pass *s, const struct node *n)
{
    struct tensor *last = n->in[0];
    int64_t bytes;

    if (n->op != &op_all_reduce && (n->op != &op_reduce_scatter || !collective_whole(n, s->mesh, &bytes)))
        return false;
    if (n->unit != UNIT_UPDATE || n->out[0]->into != last || !last->producer ||
        tensor_storage(last)->kind != TENSOR_GRAD || tensor_bytes(last) < WORTH_BYTES)
        return false;
    for (const struct tensor *t = last; t && t->producer; t = t->into)
        if (t->producer->unit == UNIT_UPDATE || t->producer->stage != last->producer->stage ||
            phase_of(s, t->producer) > phase_of(s, last->producer))
            return false;
    return true;
}

/* ZeRO: gathers a slice into the parameter that it was cut from, which nothing reads before the next step. */
static bool writes_back(const struct node *n)
{
    return n && n->op == &op_all_gather && n->unit == UNIT_UPDATE && n->out[0]->into &&
           tensor_storage(n->out[0])->kind == TENSOR_PARAM;
}

static int next_write_back(const struct pass *s, int k)
{
    size_t at = (size_t)k + 1;

    while (at < s->count && !writes_back(s->order[at]))
        at++;
    return (int)at;
}

/* ---- Splitting ---- */

static void put_before(struct pass *s, int place, struct node *n)
{
    struct node **list = s->before[place], **longer;
    size_t count = 0;

    while (list && list[count])
        count++;
    longer = arena_alloc(&s->g->arena, (count + 2) * sizeof(longer[0]));
    if (list)
        memcpy(longer, list, count * sizeof(longer[0]));
    longer[count] = n;
    s->before[place] = longer;
}

static void replace(struct pass *s, struct tensor *old, struct tensor *with, int from)
{
    for (size_t k = (size_t)from; k < s->count; k++) {
        struct node *n = s->order[k];
        for (int i = 0; n && i < n->nin; i++)
            n->in[i] = n->in[i] == old ? with : n->in[i];
        for (int j = 0; n && j < n->nout; j++)
            if (n->out[j] && n->out[j]->into == old)
                n->out[j]->into = with;
    }
}

/* What is reduced in place is not held beside its result. */
static bool reduces_in_place(const struct pass *s, struct node *n)
{
    struct tensor *x = n->in[0];

    if (n->out[0]->into)
        return n->out[0]->into == x;
    if (n->op != &op_all_reduce || x->kind != TENSOR_VALUE || !x->producer || x->producer->op->alias ||
        tensor_storage(x)->kind != TENSOR_VALUE || (size_t)x->id >= s->tensor_count ||
        s->readers[x->id] > 1 || is_kept(s, x))
        return false;
    node_write_into(n, 0, x, false);
    return true;
}

static struct node *make_wait(struct pass *s, struct node *n, bool in_place)
{
    struct node *w = arena_alloc(&s->g->arena, sizeof(*w));
    struct tensor *y;

    *w = *n;
    w->op = &op_wait;
    w->nin = 2;
    w->in = arena_alloc(&s->g->arena, 2 * sizeof(w->in[0]));
    w->in[0] = n->out[0];
    w->in[1] = in_place ? NULL : n->in[0];
    memset(w->accumulate, 0, sizeof(w->accumulate));
    y = graph_add_tensor(s->g, n->out[0]);
    y->producer = w;
    y->into = NULL;
    w->out[0] = y;
    node_write_into(w, 0, n->out[0], false);
    return w;
}

/* The node at place k starts before `first` and is waited for before `end`. */
static void split(struct pass *s, int k, int first, int end)
{
    struct node *n = s->order[k];

    n->wait = make_wait(s, n, reduces_in_place(s, n));
    replace(s, n->out[0], n->wait->out[0], end);
    put_before(s, first, n);
    put_before(s, end, n->wait);
    s->order[k] = NULL;
}

static void consider(struct pass *s, int k, const int place[])
{
    struct node *n = s->order[k];
    int first, end;

    if (!is_collective(n) || is_kept(s, n->out[0]))
        return;
    if (is_complete_gradient(s, n)) {
        const struct node *last = n->in[0]->producer;
        first = place[last->id] + 1;
        n->unit = last->unit;
        n->layer = last->layer;
        n->stage = last->stage;
        n->last_only = true;
        split(s, k, first, k + 1);
        n->wait->unit = UNIT_UPDATE;
        n->wait->last_only = false;
        return;
    }
    if (writes_back(n) && tensor_bytes(n->out[0]) >= WORTH_BYTES) {
        split(s, k, k, next_write_back(s, k));
        return;
    }
    first = first_place(s, k);
    end = last_place(s, k);
    if (n->unit != UNIT_UPDATE && seconds_between(s, first, end, k) >= WORTH_SECONDS)
        split(s, k, first, end);
}

static void emit(struct graph *g, struct node *const list[])
{
    for (; list && *list; list++)
        graph_append(g, *list);
}

void overlap_collectives(struct graph *g, const struct mesh *mesh, const struct cluster *cluster,
                         bool split_weights, struct tensor *const keep[], int count)
{
    struct pass s = {
        .g = g, .mesh = mesh, .cluster = cluster, .split = split_weights, .keep = keep, .keep_count = count
    };
    int *place = mem_alloc_array(g->node_count + 1, sizeof(place[0]));

    s.count = g->node_count;
    s.tensor_count = g->tensor_count;
    s.readers = mem_alloc_array(g->tensor_count + 1, sizeof(s.readers[0]));
    s.order = mem_alloc_array(s.count + 1, sizeof(s.order[0]));
    s.before = mem_alloc_array(s.count + 1, sizeof(s.before[0]));
    memcpy(s.order, g->nodes, s.count * sizeof(s.order[0]));
    for (size_t k = 0; k < s.count; k++) {
        place[s.order[k]->id] = (int)k;
        for (int i = 0; i < s.order[k]->nin; i++)
            if (s.order[k]->in[i])
                s.readers[s.order[k]->in[i]->id]++;
    }
    for (size_t k = 0; k < s.count; k++)
        consider(&s, (int)k, place);
    g->node_count = 0;
    for (size_t k = 0; k <= s.count; k++) {
        emit(g, s.before[k]);
        if (k < s.count && s.order[k])
            graph_append(g, s.order[k]);
    }
    mem_free(s.readers);
    mem_free(s.order);
    mem_free(s.before);
    mem_free(place);
    graph_check(g);
}
