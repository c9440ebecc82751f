/* A loss of the caller's own: the builder as plait.h shows it. plait_tensor is the graph's tensor under a
 * public name. What ops take for granted is checked here, because here the caller is a stranger. */
#include <math.h>
#include <string.h>

#include "api/api.h"

struct plait_builder {
    struct builder *b;
    const struct model_outputs *out;
    const struct model_inputs *in;
    struct tensor *label_rows, *labels;
};

static struct plait_tensor *shown(struct tensor *t)
{
    return (struct plait_tensor *)t;
}

static struct tensor *inner(struct plait_tensor *t)
{
    return (struct tensor *)t;
}

/* ---- checks: true when the op may be added ---- */

static bool refuse(struct plait_builder *b, const char *op, const char *why)
{
    b->b->status = fail(ERR_USAGE, "%s: %s", op, why);
    return false;
}

static bool may_add(struct plait_builder *b, const char *op, const struct plait_tensor *x)
{
    const struct tensor *t = (const struct tensor *)x;

    if (!b || builder_status(b->b) != OK)
        return false;
    if (!t)
        return refuse(b, op, "a tensor is NULL");
    if (t->dtype != DT_F32 && t->dtype != DT_F64)
        return refuse(b, op, "takes floating-point numbers");
    return true;
}

static bool has_rows(struct plait_builder *b, const char *op, struct plait_tensor *x, int ndim,
                     enum count count)
{
    const struct tensor *t = inner(x);

    if (!may_add(b, op, x))
        return false;
    if (t->dtype == DT_F32 && t->ndim == ndim && t->dims[0].count == count)
        return true;
    return refuse(b, op,
                  count == COUNT_ROWS ? "takes (N, D) floats: a row for each token"
                                      : "takes (R) floats: a number for each label");
}

/* ---- what there is ---- */

struct plait_tensor *plait_builder_hidden(struct plait_builder *b)
{
    return b ? shown(b->out->hidden) : NULL;
}

struct plait_tensor *plait_builder_ids(struct plait_builder *b)
{
    return b ? shown(b->in->rows.ids) : NULL;
}

struct plait_tensor *plait_builder_label_rows(struct plait_builder *b)
{
    return b ? shown(b->label_rows) : NULL;
}

struct plait_tensor *plait_builder_labels(struct plait_builder *b)
{
    return b ? shown(b->labels) : NULL;
}

/* ---- ops ---- */

static bool has_head(struct plait_builder *b, const char *op, struct plait_tensor *x)
{
    if (!has_rows(b, op, x, 2, COUNT_ROWS))
        return false;
    return b->out->head.weight ? true : refuse(b, op, "this model has no head");
}

struct plait_tensor *plait_op_token_losses(struct plait_builder *b, struct plait_tensor *x)
{
    const struct head *head;
    struct node *n;

    if (!has_head(b, "plait_op_token_losses", x))
        return NULL;
    head = &b->out->head;
    n = graph_node(b->b, &op_head_stats, 5,
                   (struct tensor *const[]){ inner(x), head->weight, head->bias, b->label_rows, b->labels },
                   (struct attr_value[]){ { "out_first", head->out_first }, { 0 } });
    return n ? shown(add(b->b, n->out[HEAD_STATS_LSE], scale(b->b, n->out[HEAD_STATS_TARGET], -1))) : NULL;
}

struct plait_tensor *plait_op_head_loss(struct plait_builder *b, struct plait_tensor *x)
{
    if (!has_head(b, "plait_op_head_loss", x))
        return NULL;
    return shown(head_loss(b->b, inner(x), &b->out->head, b->label_rows, b->labels));
}

struct plait_tensor *plait_op_sum(struct plait_builder *b, struct plait_tensor *x)
{
    struct tensor *zero;
    struct node *n;

    if (!has_rows(b, "plait_op_sum", x, 1, COUNT_LABELS))
        return NULL;
    zero = scale(b->b, inner(x), 0);
    n = zero ? graph_node(b->b, &op_token_loss, 2, (struct tensor *const[]){ inner(x), zero }, NULL) : NULL;
    return n ? shown(n->out[0]) : NULL;
}

struct plait_tensor *plait_op_add(struct plait_builder *b, struct plait_tensor *x, struct plait_tensor *y)
{
    const struct tensor *p = inner(x), *q = inner(y);

    if (!may_add(b, "plait_op_add", x) || !may_add(b, "plait_op_add", y))
        return NULL;
    if (p->dtype != q->dtype || p->ndim != q->ndim ||
        memcmp(p->dims, q->dims, (size_t)p->ndim * sizeof(p->dims[0])) != 0) {
        refuse(b, "plait_op_add", "the tensors differ in shape or type");
        return NULL;
    }
    return shown(add(b->b, inner(x), inner(y)));
}

struct plait_tensor *plait_op_scale(struct plait_builder *b, struct plait_tensor *x, double factor)
{
    if (!may_add(b, "plait_op_scale", x))
        return NULL;
    if (!isfinite(factor)) {
        refuse(b, "plait_op_scale", "the factor is not finite");
        return NULL;
    }
    return shown(scale(b->b, inner(x), factor));
}

struct plait_tensor *plait_op_activation(struct plait_builder *b, struct plait_tensor *x, const char *name)
{
    enum activation_kind kind;

    if (!may_add(b, "plait_op_activation", x))
        return NULL;
    if (!name) {
        refuse(b, "plait_op_activation", "the name is NULL");
        return NULL;
    }
    b->b->status = activation_find(name, &kind);
    return b->b->status == OK ? shown(activation(b->b, inner(x), kind)) : NULL;
}

struct plait_tensor *plait_op_dropout(struct plait_builder *b, struct plait_tensor *x, double p)
{
    if (!has_rows(b, "plait_op_dropout", x, 2, COUNT_ROWS))
        return NULL;
    if (!(p >= 0 && p < 1)) {
        refuse(b, "plait_op_dropout", "p is not in [0, 1)");
        return NULL;
    }
    return shown(dropout(b->b, inner(x), b->in->rows.sequences.place, p));
}

/* ---- the way in ---- */

struct tensor *api_loss_build(struct builder *b, const struct model_outputs *out,
                              const struct model_inputs *in, struct tensor *label_rows, struct tensor *labels,
                              void *context)
{
    const struct plait_loss *own = context;
    struct plait_builder shown_builder = {
        .b = b, .out = out, .in = in, .label_rows = label_rows, .labels = labels
    };
    struct tensor *loss;

    scope_begin(b, "loss");
    loss = inner(own->build(own->context, &shown_builder));
    scope_end(b, "loss");
    if (builder_status(b) != OK)
        return NULL;
    if (!loss)
        b->status = fail(ERR_USAGE, "the loss that was built is NULL");
    else if (loss->ndim != 0 || !loss->producer || (loss->dtype != DT_F32 && loss->dtype != DT_F64))
        b->status =
            fail(ERR_USAGE, "the loss that was built is no scalar (found %d dims, expected 0)", loss->ndim);
    return builder_status(b) == OK ? loss : NULL;
}
