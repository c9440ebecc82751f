/* One rank's part of a graph. A value that another stage reads goes from stage to stage until it is there:
 * forward values to later stages, gradients back to earlier ones. What is computed from inputs alone (tables
 * of positions), or is but another placement of a parameter, is made again instead of sent. */
#include <string.h>

#include "base/err.h"
#include "ops/ops.h"
#include "plan/cut.h"

static bool is_update(const struct node *n)
{
    return n->unit == UNIT_UPDATE;
}

/* ---- What lies where ---- */

bool cut_is_collective(const struct node *n)
{
    return n->op == &op_all_reduce || n->op == &op_all_gather || n->op == &op_reduce_scatter ||
           n->op == &op_keep_shard || n->op == &op_keep_first;
}

/* A value that is a parameter has its `param`: it is free, but what is computed with it is not. */
static bool reads_freely(const struct cut *c, const struct node *n, const struct tensor *t)
{
    if (!t || t->kind == TENSOR_INPUT)
        return true;
    if (t->param && !cut_is_collective(n))
        return false;
    return t->kind == TENSOR_PARAM || (t->producer && c->free[t->producer->id]);
}

/* From inputs alone, or another placement of a parameter. What the host reads is made once. */
static bool is_free(const struct cut *c, const struct node *n)
{
    if (n->unit != UNIT_FORWARD)
        return false;
    for (int i = 0; i < n->nin; i++)
        if (!reads_freely(c, n, n->in[i]))
            return false;
    for (int j = 0; j < n->nout; j++)
        if (n->out[j] && c->results[n->out[j]->id])
            return false;
    return true;
}

static void find_reach(struct cut *c, const struct node *n, const struct tensor *t)
{
    int at = c->stage[n->id];
    bool forward;

    if (!t || !t->producer || c->free[t->producer->id])
        return;
    forward = t->producer->unit == UNIT_FORWARD;
    if (forward ? at < c->stage[t->producer->id] : at > c->stage[t->producer->id])
        BUG("%s (%s) reads what a later pass makes: %s (%s)", n->op->name, n->scope, t->producer->op->name,
            t->producer->scope);
    if (forward ? at > c->reach[t->id] : at < c->reach[t->id])
        c->reach[t->id] = at;
}

static void find_places(struct cut *c)
{
    const struct graph *g = c->g;

    for (size_t k = 0; k < g->node_count; k++) {
        const struct node *n = g->nodes[k];
        if (is_update(n))
            continue;
        c->stage[k] = stage_of_layer(c->s, n->layer);
        c->free[k] = is_free(c, n);
        for (int j = 0; j < n->nout; j++)
            if (n->out[j])
                c->reach[n->out[j]->id] = c->stage[k];
        for (int i = 0; i < n->nin; i++)
            find_reach(c, n, n->in[i]);
    }
}

static enum unit unit_of(const struct cut *c, const struct node *n)
{
    return c->early[n->id] ? UNIT_BACKWARD_INPUT : n->unit;
}

/* What is made for a weight gradient may be read by others too (a gathered value): then it is not put off.
 * From the last node to the first, as what such a node reads is not put off either. */
static void find_early(struct cut *c)
{
    bool *wanted = mem_alloc_array(c->g->tensor_count + 1, sizeof(wanted[0]));

    for (size_t k = c->g->node_count; k-- > 0;) {
        const struct node *n = c->g->nodes[k];
        if (is_update(n))
            continue;
        for (int j = 0; j < n->nout && n->unit == UNIT_BACKWARD_WEIGHT; j++)
            c->early[k] = c->early[k] || (n->out[j] && !n->out[j]->into && wanted[n->out[j]->id]);
        for (int i = 0; i < n->nin; i++) {
            const struct tensor *t = n->in[i];
            if (!t)
                continue;
            wanted[t->id] = wanted[t->id] || unit_of(c, n) == UNIT_BACKWARD_INPUT ||
                            (t->producer && c->stage[t->producer->id] != c->stage[k]);
        }
    }
    mem_free(wanted);
}

/* Parameters that n reads, itself or through what is repeated for it. */
static void add_members(struct cut *c, const struct node *n, uint64_t rank)
{
    for (int i = 0; i < n->nin; i++) {
        const struct tensor *t = n->in[i];
        if (t && t->kind == TENSOR_PARAM)
            c->members[t->id] |= rank;
        else if (t && t->producer && c->free[t->producer->id])
            add_members(c, t->producer, rank);
    }
}

static void find_members(struct cut *c)
{
    for (size_t k = 0; k < c->g->node_count; k++)
        if (!is_update(c->g->nodes[k]) && !c->free[k])
            add_members(c, c->g->nodes[k], (uint64_t)1 << (c->stage[k] % c->s->ranks));
}

/* ---- Copies ---- */

struct tensor **cut_copy_of(const struct cut *c, const struct tensor *t)
{
    return &c->copy[(size_t)c->chunk * c->g->tensor_count + (size_t)t->id];
}

static struct tensor *add_root(struct cut *c, const struct tensor *t)
{
    struct tensor root = *t;

    if (t->kind == TENSOR_INPUT && c->chunk > 0 && c->chunk < c->s->chunks)
        root.name = arena_printf(&c->mine->arena, "%s@%d", t->name, c->chunk);
    root.grad = NULL;
    return graph_add_tensor(c->mine, &root);
}

struct tensor *cut_newest(struct cut *c, struct tensor *root)
{
    if (!c->kept[root->id])
        c->kept[root->id] = add_root(c, root);
    return c->kept[root->id];
}

static struct node *copy_node(struct cut *c, const struct node *n);

struct tensor *cut_take(struct cut *c, struct tensor *t)
{
    struct tensor **copy = cut_copy_of(c, t), *root;

    if (*copy)
        return *copy;
    if (t->kind == TENSOR_INPUT)
        return *copy = add_root(c, t);
    if (t->producer && c->free[t->producer->id]) {
        copy_node(c, t->producer)->unit = c->unit;
        return *copy;
    }
    root = tensor_storage(t);
    if (root->kind == TENSOR_VALUE)
        BUG("a value of another stage is read before it is received");
    return cut_newest(c, root);
}

struct node *cut_new_node(struct cut *c, const struct node *like)
{
    struct node *n = arena_alloc(&c->mine->arena, sizeof(*n));

    *n = *like;
    n->in = arena_alloc(&c->mine->arena, (size_t)like->nin * sizeof(n->in[0]) + 1);
    memset(n->out, 0, sizeof(n->out));
    n->stage = c->chunk < c->s->chunks ? c->chunk * c->s->ranks + c->rank : 0;
    return n;
}

void cut_outputs(struct cut *c, const struct node *from, struct node *n)
{
    for (int j = 0; j < from->nout; j++) {
        struct tensor *t = from->out[j], *root;
        if (!t)
            continue;
        root = tensor_storage(t);
        n->out[j] = graph_add_tensor(c->mine, t);
        n->out[j]->producer = n;
        *cut_copy_of(c, t) = n->out[j];
        if (!t->into)
            continue;
        n->out[j]->into = root->kind == TENSOR_VALUE ? cut_take(c, t->into) : cut_newest(c, root);
        if (root->kind != TENSOR_VALUE)
            c->kept[root->id] = n->out[j];
    }
}

static struct node *copy_node(struct cut *c, const struct node *from)
{
    struct node *n = cut_new_node(c, from);

    n->unit = unit_of(c, from);
    for (int i = 0; i < from->nin; i++)
        n->in[i] = from->in[i] ? cut_take(c, from->in[i]) : NULL;
    cut_outputs(c, from, n);
    graph_append(c->mine, n);
    return n;
}

/* ---- Transfers: they stand with what follows the last layer, so no layer is made again with them ---- */

static struct node *transfer_node(struct cut *c, const struct op_def *op, enum unit unit, int peer, int tag)
{
    const struct node like = {
        .op = op, .unit = unit, .layer = c->s->layers, .scope = "", .nin = op == &op_send
    };
    struct node *n = cut_new_node(c, &like);

    n->attr[TRANSFER_STAGE] = peer;
    n->attr[TRANSFER_TAG] = tag;
    return n;
}

static void add_receive(struct cut *c, struct tensor *t, enum unit unit, int peer, int tag)
{
    struct node *n = transfer_node(c, &op_receive, unit, peer, tag);
    struct tensor like = *t;

    like.producer = n;
    like.output = 0;
    like.into = NULL;
    n->attr[TRANSFER_KEEPS_F32] = t->producer->op->keeps_f32 >> t->output & 1 || t->producer->op->alias;
    n->nout = 1;
    n->out[0] = *cut_copy_of(c, t) = graph_add_tensor(c->mine, &like);
    graph_append(c->mine, n);
}

static void add_send(struct cut *c, struct tensor *t, enum unit unit, int peer, int tag)
{
    struct node *n = transfer_node(c, &op_send, unit, peer, tag);

    n->in[0] = cut_take(c, t);
    graph_append(c->mine, n);
}

/* t goes from stage `from` to the neighbour `to` */
static bool crosses(const struct cut *c, const struct tensor *t, bool forward, int from, int to)
{
    int made;

    if (!t->producer || is_update(t->producer) || c->free[t->producer->id])
        return false;
    if ((t->producer->unit == UNIT_FORWARD) != forward)
        return false;
    made = c->stage[t->producer->id];
    return forward ? made <= from && c->reach[t->id] >= to : made >= from && c->reach[t->id] <= to;
}

/* All transfers between this stage and a neighbour, in the same order on both. Each way over each cut has a
 * tag of its own: two ranks may be neighbours at several. */
static void add_transfers(struct cut *c, bool forward, bool send)
{
    int stage = c->chunk * c->s->ranks + c->rank, peer = forward == send ? stage + 1 : stage - 1;
    int tag = 2 * (peer < stage ? peer : stage) + (forward ? 0 : 1);
    enum unit unit = forward ? UNIT_FORWARD : UNIT_BACKWARD_INPUT;

    for (size_t i = 0; i < c->g->tensor_count; i++) {
        struct tensor *t = c->g->tensors[i];
        if (!crosses(c, t, forward, send ? stage : peer, send ? peer : stage))
            continue;
        if (send)
            add_send(c, t, unit, peer, tag);
        else
            add_receive(c, t, unit, peer, tag);
    }
}

/* ---- Forward and backward ---- */

/* The nodes of one unit; whole: weight gradients as well as input gradients. */
static void copy_stage(struct cut *c, enum unit unit, bool whole)
{
    int stage = c->chunk * c->s->ranks + c->rank;

    c->unit = unit;
    for (size_t k = 0; k < c->g->node_count; k++) {
        const struct node *n = c->g->nodes[k];
        bool wanted = unit_of(c, n) == unit || (whole && unit_of(c, n) == UNIT_BACKWARD_WEIGHT);
        if (wanted && c->stage[k] == stage && !c->free[k])
            copy_node(c, n);
    }
}

static void copy_passes(struct cut *c, bool split)
{
    for (c->chunk = 0; c->chunk < c->s->chunks; c->chunk++) {
        add_transfers(c, true, false);
        copy_stage(c, UNIT_FORWARD, false);
        add_transfers(c, true, true);
    }
    for (c->chunk = c->s->chunks - 1; c->chunk >= 0; c->chunk--) {
        add_transfers(c, false, false);
        copy_stage(c, UNIT_BACKWARD_INPUT, !split);
        add_transfers(c, false, true);
        if (split)
            copy_stage(c, UNIT_BACKWARD_WEIGHT, false);
    }
}

/* ---- The whole ---- */

static void map_outputs(const struct cut *c, struct tensor **const outputs[], int count)
{
    for (int i = 0; i < count; i++) {
        struct tensor *found = NULL;
        for (int chunk = 0; *outputs[i] && chunk <= c->s->chunks && !found; chunk++)
            found = c->copy[(size_t)chunk * c->g->tensor_count + (size_t)(*outputs[i])->id];
        *outputs[i] = found && found->producer && found->producer->op != &op_receive ? found : NULL;
    }
}

/* Parameters that nothing reads belong to the model too: the first rank has them. */
static void keep_unread(struct cut *c)
{
    for (size_t i = 0; i < c->g->tensor_count && c->rank == 0; i++)
        if (c->g->tensors[i]->kind == TENSOR_PARAM && !c->g->tensors[i]->producer && !c->members[i])
            cut_newest(c, c->g->tensors[i]);
}

static void map_gradients(const struct cut *c)
{
    for (size_t i = 0; i < c->g->tensor_count; i++) {
        const struct tensor *p = c->g->tensors[i];
        if (p->kind == TENSOR_PARAM && p->grad && c->kept[i])
            graph_find(c->mine, p->name, TENSOR_PARAM)->grad = c->kept[tensor_storage(p->grad)->id];
    }
}

struct graph *stages_cut(const struct stages *s, const struct graph *g, int rank, bool split,
                         struct tensor **const outputs[], int count)
{
    struct cut c = { .s = s, .g = g, .mine = graph_create(), .rank = rank };
    size_t tensors = g->tensor_count + 1;

    c.stage = mem_alloc_array(g->node_count + 1, sizeof(c.stage[0]));
    c.free = mem_alloc_array(g->node_count + 1, sizeof(c.free[0]));
    c.early = mem_alloc_array(g->node_count + 1, sizeof(c.early[0]));
    c.reach = mem_alloc_array(tensors, sizeof(c.reach[0]));
    c.members = mem_alloc_array(tensors, sizeof(c.members[0]));
    c.copy = mem_alloc_array(tensors * ((size_t)s->chunks + 1), sizeof(c.copy[0]));
    c.kept = mem_alloc_array(tensors, sizeof(c.kept[0]));
    c.partial = mem_alloc_array(tensors, sizeof(c.partial[0]));
    c.results = mem_alloc_array(tensors, sizeof(c.results[0]));
    for (int i = 0; i < count; i++)
        if (*outputs[i])
            c.results[(*outputs[i])->id] = true;
    find_places(&c);
    find_early(&c);
    find_members(&c);
    copy_passes(&c, split);
    cut_update(&c);
    keep_unread(&c);
    map_outputs(&c, outputs, count);
    map_gradients(&c);
    mem_free(c.stage);
    mem_free(c.free);
    mem_free(c.early);
    mem_free(c.reach);
    mem_free(c.members);
    mem_free(c.copy);
    mem_free(c.kept);
    mem_free(c.partial);
    mem_free(c.results);
    graph_check(c.mine);
    return c.mine;
}
