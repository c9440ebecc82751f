#include "core/autodiff.h"

#include <string.h>

#include "base/err.h"

struct gradients {
    struct builder *b;
    bool *needed;         /* [tensor id]: depends on a trainable parameter */
    struct tensor **grad; /* [tensor id]: sum of the gradients that have arrived */
    size_t count;
};

static void mark_needed(struct gradients *s, const struct graph *g)
{
    for (size_t i = 0; i < g->tensor_count; i++)
        s->needed[i] = g->tensors[i]->kind == TENSOR_PARAM && g->tensors[i]->param->trainable;
    for (size_t k = 0; k < g->node_count; k++) {
        const struct node *n = g->nodes[k];
        bool any = false;
        for (int i = 0; i < n->nin; i++)
            any = any || (n->in[i] && s->needed[n->in[i]->id]);
        for (int j = 0; j < n->nout; j++)
            if (n->out[j])
                s->needed[n->out[j]->id] = any;
    }
}

static void arrive(struct gradients *s, struct tensor *t, struct tensor *d)
{
    struct tensor *sum = s->grad[t->id];

    if (sum) {
        struct tensor *const both[] = { sum, d };
        struct node *n = graph_node(s->b, &op_add, 2, both, NULL);
        d = n ? n->out[0] : NULL;
    }
    s->grad[t->id] = d;
}

static int differentiate(struct gradients *s, const struct node *n)
{
    struct tensor *dout[MAX_OUTPUTS] = { 0 };
    struct tensor **din;
    bool any = false, wanted = false, *wants;

    for (int j = 0; j < n->nout; j++) {
        dout[j] = n->out[j] ? s->grad[n->out[j]->id] : NULL;
        any = any || dout[j];
    }
    wants = arena_alloc(&s->b->graph->arena, (size_t)n->nin + 1);
    din = arena_alloc(&s->b->graph->arena, (size_t)(n->nin + 1) * sizeof(din[0]));
    for (int i = 0; i < n->nin; i++) {
        wants[i] = n->in[i] && s->needed[n->in[i]->id];
        wanted = wanted || wants[i];
    }
    if (!any || !wanted)
        return OK;
    if (!n->op->grad)
        return fail(ERR_CONFIG, "%s: op %s has no gradient", n->scope, n->op->name);
    s->b->unit = UNIT_BACKWARD_INPUT;
    s->b->layer = n->layer;
    memcpy(s->b->scope, n->scope, strlen(n->scope) + 1);
    n->op->grad(s->b, n, dout, din, wants);
    s->b->unit = UNIT_BACKWARD_INPUT;
    for (int i = 0; i < n->nin; i++)
        if (din[i] && wants[i])
            arrive(s, n->in[i], din[i]);
    return s->b->status;
}

int autodiff(struct builder *b, struct tensor *loss)
{
    struct graph *g = b->graph;
    size_t forward_nodes = g->node_count;
    struct gradients s = { .b = b, .count = g->tensor_count };
    struct builder saved = *b;
    struct node *seed;
    int status = b->status;

    if (status != OK)
        return status;
    s.needed = mem_alloc_array(s.count + 1, sizeof(s.needed[0]));
    s.grad = mem_alloc_array(s.count + 1, sizeof(s.grad[0]));
    mark_needed(&s, g);
    b->unit = UNIT_BACKWARD_INPUT;
    seed = graph_node(b, &op_fill, 1, &loss, (struct attr_value[]){ { "value", 1 }, { 0 } });
    if (seed)
        s.grad[loss->id] = seed->out[0];
    for (size_t k = forward_nodes; k-- > 0 && status == OK;)
        status = differentiate(&s, g->nodes[k]);
    mem_free(s.needed);
    mem_free(s.grad);
    saved.status = b->status;
    *b = saved;
    return status;
}
