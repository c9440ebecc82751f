#include "core/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct reader_list {
    struct node **nodes;
    size_t count, capacity;
};

static void add_reader(struct rewrite *r, const struct tensor *t, struct node *n)
{
    struct reader_list *l = &r->readers[t->id];

    for (size_t i = 0; i < l->count; i++)
        if (l->nodes[i] == n)
            return;
    l->nodes = mem_grow(l->nodes, l->count, &l->capacity, sizeof(l->nodes[0]));
    l->nodes[l->count++] = n;
}

static void drop_reader(struct rewrite *r, const struct tensor *t, const struct node *n)
{
    struct reader_list *l = &r->readers[t->id];

    for (size_t i = 0; i < l->count; i++) {
        if (l->nodes[i] == n) {
            memmove(&l->nodes[i], &l->nodes[i + 1], (l->count - i - 1) * sizeof(l->nodes[0]));
            l->count--;
            return;
        }
    }
}

static void rewrite_begin(struct rewrite *r, struct graph *g)
{
    *r = (struct rewrite){ .graph = g, .count = g->node_count };
    r->readers = mem_alloc_array(g->tensor_count + 1, sizeof(r->readers[0]));
    r->place = mem_alloc_array(g->node_count + 1, sizeof(r->place[0]));
    r->order = mem_alloc_array(g->node_count + 1, sizeof(r->order[0]));
    for (size_t k = 0; k < g->node_count; k++) {
        struct node *n = g->nodes[k];
        r->order[k] = n;
        r->place[n->id] = (int)k;
        for (int i = 0; i < n->nin; i++)
            if (n->in[i])
                add_reader(r, n->in[i], n);
    }
}

/* tensors: how many there were at rewrite_begin. */
static void rewrite_end(struct rewrite *r, size_t tensors)
{
    struct graph *g = r->graph;

    g->node_count = 0;
    for (size_t k = 0; k < r->count; k++)
        if (r->order[k])
            graph_append(g, r->order[k]);
    for (size_t i = 0; i < tensors; i++)
        mem_free(r->readers[i].nodes);
    mem_free(r->readers);
    mem_free(r->place);
    mem_free(r->order);
    graph_check(g);
}

int rewrite_reader_count(const struct rewrite *r, const struct tensor *t)
{
    return (int)r->readers[t->id].count;
}

struct node *rewrite_reader(const struct rewrite *r, const struct tensor *t, int i)
{
    const struct reader_list *l = &r->readers[t->id];
    struct node *found = NULL;
    int after = -1;

    for (int k = 0; k <= i; k++) { /* few readers: pick the i-th by place */
        found = NULL;
        for (size_t m = 0; m < l->count; m++) {
            int place = r->place[l->nodes[m]->id];
            if (place > after && (!found || place < r->place[found->id]))
                found = l->nodes[m];
        }
        if (!found)
            return NULL;
        after = r->place[found->id];
    }
    return found;
}

bool rewrite_precedes(const struct rewrite *r, const struct tensor *t, const struct node *n)
{
    return !t->producer || r->place[t->producer->id] < r->place[n->id];
}

void rewrite_take_output(struct rewrite *r, struct node *n, int j, struct tensor *t)
{
    (void)r;
    t->producer->out[t->output] = NULL;
    t->producer = n;
    t->output = j;
    n->out[j] = t;
}

void rewrite_set_input(struct rewrite *r, struct node *n, int i, struct tensor *t)
{
    struct tensor *old = n->in[i];

    n->in[i] = t;
    if (t)
        add_reader(r, t, n);
    for (int k = 0; old && k < n->nin; k++)
        if (n->in[k] == old)
            return;
    if (old)
        drop_reader(r, old, n);
}

void rewrite_remove(struct rewrite *r, struct node *n)
{
    for (int j = 0; j < n->nout; j++)
        if (n->out[j] && r->readers[n->out[j]->id].count)
            BUG("%s (%s) is removed but read", n->op->name, n->scope);
        else if (n->out[j])
            n->out[j]->producer = NULL;
    for (int i = 0; i < n->nin; i++)
        if (n->in[i])
            drop_reader(r, n->in[i], n);
    r->order[r->place[n->id]] = NULL;
    r->place[n->id] = -1;
}

void rewrite_fuse(struct graph *g, const struct op_def *only)
{
    struct rewrite r;

    rewrite_begin(&r, g);
    for (size_t k = 0; k < r.count; k++)
        if (r.order[k] && r.order[k]->op->fuse && (!only || r.order[k]->op == only))
            r.order[k]->op->fuse(&r, r.order[k]);
    rewrite_end(&r, g->tensor_count);
}

/* ---- Recompute ---- */

static bool is_backward(const struct node *n)
{
    return n->unit == UNIT_BACKWARD_INPUT || n->unit == UNIT_BACKWARD_WEIGHT;
}

static struct node *first_backward_reader(const struct rewrite *r, const struct tensor *t)
{
    struct node *n;

    for (int i = 0; (n = rewrite_reader(r, t, i)); i++)
        if (is_backward(n))
            return n;
    return NULL;
}

/* Every input of n is there in the backward pass anyway. */
static bool inputs_are_kept(const struct rewrite *r, const struct node *n)
{
    for (int i = 0; i < n->nin; i++)
        if (n->in[i] && n->in[i]->kind == TENSOR_VALUE && !first_backward_reader(r, n->in[i]))
            return false;
    return true;
}

static struct node *clone_backward(struct graph *g, const struct node *n)
{
    struct node *c = arena_alloc(&g->arena, sizeof(*c));

    *c = *n;
    c->unit = UNIT_BACKWARD_INPUT;
    c->in = arena_alloc(&g->arena, (size_t)n->nin * sizeof(c->in[0]) + 1);
    for (int i = 0; i < n->nin; i++)
        c->in[i] = n->in[i];
    for (int j = 0; j < n->nout; j++) {
        if (!n->out[j])
            continue;
        c->out[j] = graph_add_tensor(g, n->out[j]);
        c->out[j]->producer = c;
    }
    return c;
}

static void redirect_backward_readers(const struct rewrite *r, const struct tensor *from, struct tensor *to)
{
    const struct reader_list *l = &r->readers[from->id];

    for (size_t m = 0; m < l->count; m++)
        for (int i = 0; is_backward(l->nodes[m]) && i < l->nodes[m]->nin; i++)
            if (l->nodes[m]->in[i] == from)
                l->nodes[m]->in[i] = to;
}

/* Worth making again: output 0 is what the backward pass reads. Small side outputs (mean, rstd) stay. */
static bool worth_again(const struct rewrite *r, const struct node *n)
{
    return n->op->cheap && n->unit == UNIT_FORWARD && n->out[0] && first_backward_reader(r, n->out[0]) &&
           inputs_are_kept(r, n);
}

struct again {
    struct node *clone;
    int place; /* of the reader it goes before */
};

static int by_place(const void *a, const void *b)
{
    const struct again *x = a, *y = b;

    return x->place != y->place ? (x->place < y->place ? -1 : 1) : x->clone->id - y->clone->id;
}

/* Values made late first: what their inputs' readers are is then known. */
static size_t clone_cheap(struct rewrite *r, struct again *list)
{
    size_t count = 0;

    for (size_t k = r->count; k-- > 0;) {
        struct node *n = r->order[k];
        if (!worth_again(r, n))
            continue;
        list[count].place = r->place[first_backward_reader(r, n->out[0])->id];
        list[count].clone = clone_backward(r->graph, n);
        for (int j = 1; j < n->nout; j++)
            list[count].clone->out[j] = NULL;
        redirect_backward_readers(r, n->out[0], list[count++].clone->out[0]);
    }
    qsort(list, count, sizeof(list[0]), by_place);
    return count;
}

/* Puts clones (sorted by place) into the order and ends the rewriting. */
static void insert_clones(struct rewrite *r, const struct again *list, size_t count, size_t tensors)
{
    struct node **nodes = mem_alloc_array(2 * r->count + 1, sizeof(nodes[0]));
    size_t at = 0;

    for (size_t k = 0, c = 0; k < r->count; k++) {
        while (c < count && list[c].place == (int)k)
            nodes[at++] = list[c++].clone;
        nodes[at++] = r->order[k];
    }
    mem_free(r->order);
    r->order = nodes;
    r->count = at;
    rewrite_end(r, tensors);
}

void rewrite_recompute_cheap(struct graph *g)
{
    struct rewrite r;
    struct again *list;
    size_t tensors = g->tensor_count;

    rewrite_begin(&r, g);
    list = mem_alloc_array(r.count + 1, sizeof(list[0]));
    insert_clones(&r, list, clone_cheap(&r, list), tensors);
    mem_free(list);
}

/* ---- Recomputing whole layers ---- */

/* Place of the first backward node of a layer, -1: none. */
static int first_backward_place(const struct rewrite *r, int layer)
{
    for (size_t k = 0; k < r->count; k++)
        if (r->order[k]->layer == layer && is_backward(r->order[k]))
            return (int)k;
    return -1;
}

/* Readers at `place` or later read `to`: what the layers after this one read before is kept as it is. */
static void redirect_later_readers(const struct rewrite *r, const struct tensor *from, struct tensor *to,
                                   int place)
{
    const struct reader_list *l = &r->readers[from->id];

    for (size_t m = 0; m < l->count; m++)
        for (int i = 0; r->place[l->nodes[m]->id] >= place && i < l->nodes[m]->nin; i++)
            if (l->nodes[m]->in[i] == from)
                l->nodes[m]->in[i] = to;
}

/* Clones the layer's forward nodes for its backward nodes; clones read clones. again: [tensor] its clone. */
static size_t clone_layer(struct rewrite *r, int layer, struct tensor *again[], struct again *list)
{
    int place = first_backward_place(r, layer);
    size_t count = 0;

    for (size_t k = 0; place >= 0 && (int)k < place; k++) {
        struct node *n = r->order[k], *c;
        if (n->layer != layer || n->unit != UNIT_FORWARD)
            continue;
        c = clone_backward(r->graph, n);
        for (int i = 0; i < c->nin; i++)
            if (c->in[i] && again[c->in[i]->id])
                c->in[i] = again[c->in[i]->id];
        for (int j = 0; j < n->nout; j++) {
            if (!n->out[j])
                continue;
            again[n->out[j]->id] = c->out[j];
            redirect_later_readers(r, n->out[j], c->out[j], place);
        }
        list[count++] = (struct again){ c, place };
    }
    return count;
}

void rewrite_recompute_layers(struct graph *g)
{
    struct rewrite r;
    struct again *list;
    struct tensor **again;
    size_t count = 0, tensors = g->tensor_count;
    int layers = 0;

    rewrite_begin(&r, g);
    list = mem_alloc_array(r.count + 1, sizeof(list[0]));
    again = mem_alloc_array(tensors + 1, sizeof(again[0]));
    for (size_t k = 0; k < r.count; k++)
        if (r.order[k]->unit == UNIT_FORWARD && r.order[k]->layer > layers)
            layers = r.order[k]->layer;
    for (int layer = layers - 1; layer >= 0; layer--) /* as the backward pass meets them */
        count += clone_layer(&r, layer, again, list + count);
    insert_clones(&r, list, count, tensors);
    mem_free(list);
    mem_free(again);
}

/* ---- Unused nodes ---- */

static bool is_used(const struct node *n, const bool wanted[])
{
    if (n->nout == 0)
        return true; /* updates in place */
    for (int j = 0; j < n->nout; j++)
        if (n->out[j] && (n->out[j]->into || wanted[n->out[j]->id]))
            return true;
    return false;
}

void rewrite_drop_unused(struct graph *g, struct tensor *const keep[], int count)
{
    bool *wanted = mem_alloc_array(g->tensor_count + 1, sizeof(wanted[0]));
    size_t kept = g->node_count;

    for (int i = 0; i < count; i++)
        if (keep[i])
            wanted[keep[i]->id] = true;
    for (size_t k = g->node_count; k-- > 0;) {
        struct node *n = g->nodes[k];
        if (!is_used(n, wanted))
            continue;
        for (int i = 0; i < n->nin; i++)
            if (n->in[i])
                wanted[n->in[i]->id] = true;
        for (int j = 0; j < n->nout; j++)
            if (n->out[j] && n->out[j]->into)
                wanted[n->out[j]->into->id] = true;
        g->nodes[--kept] = n; /* the used ones gather at the end, in order */
    }
    memmove(g->nodes, g->nodes + kept, (g->node_count - kept) * sizeof(g->nodes[0]));
    g->node_count -= kept;
    for (size_t k = 0; k < g->node_count; k++)
        g->nodes[k]->id = (int)k;
    mem_free(wanted);
}
