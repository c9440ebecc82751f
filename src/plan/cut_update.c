/* The update of one rank of a pipeline: the optimizer's nodes keep the parameters that the rank's stages
 * read; what they add up over all parameters (the norm), and the loss, which the last stage has, are summed
 * over the pp axis. A parameter that several stages read has its gradients summed over their ranks, and the
 * first of these counts it in the norm. */
#include <string.h>

#include "ops/ops.h"
#include "plan/cut.h"

static bool is_update(const struct node *n)
{
    return n->unit == UNIT_UPDATE;
}

static bool is_member(const struct cut *c, const struct tensor *param)
{
    return c->members[param->id] >> c->rank & 1;
}

/* The first of the ranks that read a parameter has it for all where it must be had once. */
static bool is_owner(const struct cut *c, const struct tensor *param)
{
    return is_member(c, param) && !(c->members[param->id] & (((uint64_t)1 << c->rank) - 1));
}

/* What says which parameter t is, or is a gradient or moment of; NULL: none. */
static const struct param_info *info_of(const struct tensor *t)
{
    const struct tensor *root = tensor_storage((struct tensor *)t);

    if (t->param || root->param)
        return t->param ? t->param : root->param;
    return root->producer && cut_is_collective(root->producer) ? info_of(root->producer->in[0]) : NULL;
}

/* That parameter. Moments of rows or columns have a param_info of their own, but its name behind theirs:
 * "exp_avg_sq_row.NAME". */
static const struct tensor *param_of(const struct cut *c, const struct tensor *t)
{
    const struct param_info *info = info_of(t);
    const char *dot = t->name ? strchr(t->name, '.') : NULL;

    for (size_t i = 0; info && i < c->g->tensor_count; i++)
        if (c->g->tensors[i]->kind == TENSOR_PARAM && c->g->tensors[i]->param == info)
            return c->g->tensors[i];
    return t->kind == TENSOR_STATE && dot ? graph_find(c->g, dot + 1, TENSOR_PARAM) : NULL;
}

/* Adds the sum of x over the pp axis; members: of these ranks alone, 0: of all. */
static struct node *add_sum(struct cut *c, struct tensor *x, uint64_t members)
{
    const struct node like = { .op = &op_all_reduce, .nin = 1, .nout = 1, .unit = UNIT_UPDATE, .scope = "" };
    struct node *n = cut_new_node(c, &like);

    n->attr[COLLECTIVE_AXIS] = AXIS_PP;
    n->attr[COLLECTIVE_REDUCTION] = REDUCE_SUM;
    n->attr[COLLECTIVE_MEMBERS] = (double)members;
    n->in[0] = x;
    n->out[0] = graph_add_tensor(c->mine, x);
    n->out[0]->producer = n;
    n->out[0]->output = 0;
    n->out[0]->into = NULL;
    n->out[0]->name = NULL;
    n->out[0]->kind = TENSOR_VALUE;
    graph_append(c->mine, n);
    return n;
}

static void sum_shared_gradients(struct cut *c)
{
    for (size_t i = 0; i < c->g->tensor_count; i++) {
        struct tensor *p = c->g->tensors[i], *root, *grad;
        struct node *n;
        if (p->kind != TENSOR_PARAM || !p->grad || !is_member(c, p) || !(c->members[i] & (c->members[i] - 1)))
            continue;
        root = tensor_storage(p->grad);
        grad = cut_newest(c, root);
        n = add_sum(c, grad, c->members[i]);
        node_write_into(n, 0, grad, false);
        c->kept[root->id] = n->out[0];
    }
}

static int fixed_inputs(const struct node *n)
{
    int i = 0;

    while (i < n->nin && n->op->inputs[i] && n->op->inputs[i][0] != '*')
        i++;
    return i;
}

/* A sum over the microbatches that belongs to no parameter: the loss. */
static bool is_step_sum(const struct tensor *t)
{
    const struct tensor *root = tensor_storage((struct tensor *)t);

    return root->kind == TENSOR_GRAD && !root->param;
}

static bool is_partial(const struct cut *c, const struct tensor *t)
{
    return is_step_sum(t) || c->partial[t->id];
}

/* This rank has t, or need not: what is summed over the axis it may lack. */
static bool is_here(const struct cut *c, const struct tensor *t)
{
    const struct tensor *root = tensor_storage((struct tensor *)t), *param;

    if (t->kind == TENSOR_INPUT || is_partial(c, t) || *cut_copy_of(c, t))
        return true;
    param = param_of(c, root);
    return root->kind != TENSOR_VALUE && param && is_member(c, param);
}

/* t, or zeros where this rank has no part in the sum. */
static struct tensor *take_part(struct cut *c, struct tensor *t)
{
    struct tensor zero = *t, *root = tensor_storage(t);

    if (*cut_copy_of(c, t) || !is_partial(c, t))
        return cut_take(c, t);
    if (is_step_sum(t))
        return cut_newest(c, root);
    zero.kind = TENSOR_GRAD; /* an accumulator that nobody writes */
    zero.name = arena_printf(&c->mine->arena, "none.%d", t->id);
    zero.producer = NULL;
    zero.into = NULL;
    return *cut_copy_of(c, t) = graph_add_tensor(c->mine, &zero);
}

static void copy_ordinary(struct cut *c, const struct node *from)
{
    bool collective = cut_is_collective(from), partial = false;
    struct node *n;

    for (int i = 0; i < from->nin; i++) {
        if (from->in[i] && !is_here(c, from->in[i]))
            return;
        partial = partial || (from->in[i] && is_partial(c, from->in[i]));
    }
    n = cut_new_node(c, from);
    for (int i = 0; i < from->nin; i++) {
        struct tensor *t = from->in[i];
        n->in[i] = !t ? NULL : partial && is_partial(c, t) ? take_part(c, t) : cut_take(c, t);
        if (t && is_partial(c, t) && !collective)
            n->in[i] = add_sum(c, n->in[i], 0)->out[0];
    }
    cut_outputs(c, from, n);
    graph_append(c->mine, n);
    for (int j = 0; j < from->nout && collective && partial; j++)
        c->partial[from->out[j]->id] = true;
}

/* One that takes any number of parameters: those of this rank. What it makes of them is a part of a sum. */
static void copy_variadic(struct cut *c, const struct node *from)
{
    int fixed = fixed_inputs(from);
    bool sums = from->nout > 0;
    struct node *n = cut_new_node(c, from);

    n->nin = fixed;
    for (int i = 0; i < fixed; i++)
        n->in[i] = from->in[i] ? cut_take(c, from->in[i]) : NULL;
    for (int i = fixed; i < from->nin; i++) {
        const struct tensor *param = param_of(c, from->in[i]);
        if (param && (sums ? is_owner(c, param) : is_member(c, param)))
            n->in[n->nin++] = cut_take(c, from->in[i]);
    }
    for (int j = 0; j < from->nout; j++)
        c->partial[from->out[j]->id] = true;
    if (n->nin == fixed)
        return;
    cut_outputs(c, from, n);
    graph_append(c->mine, n);
}

void cut_update(struct cut *c)
{
    c->chunk = c->s->chunks;
    c->unit = UNIT_UPDATE;
    sum_shared_gradients(c);
    for (size_t k = 0; k < c->g->node_count; k++) {
        const struct node *n = c->g->nodes[k];
        if (!is_update(n))
            continue;
        if (fixed_inputs(n) < n->nin)
            copy_variadic(c, n);
        else
            copy_ordinary(c, n);
    }
}
