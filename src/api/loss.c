/* A loss of the caller's own: the builder as plait.h shows it. plait_tensor is the graph's tensor under a
 * public name. What ops take for granted is checked here, because here the caller is a stranger. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"

struct plait_builder {
    struct builder *b;
    struct loss_inputs *x;
    int constants; /* made so far */
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

/* Floats, rows of tokens or of labels, that have ndim dims. */
static bool has_rows(struct plait_builder *b, const char *op, struct plait_tensor *x, int ndim,
                     const char *why)
{
    const struct tensor *t = inner(x);

    if (!may_add(b, op, x))
        return false;
    if (t->dtype == DT_F32 && t->ndim == ndim &&
        (t->dims[0].count == COUNT_LABELS || t->dims[0].count == COUNT_ROWS))
        return true;
    return refuse(b, op, why);
}

static bool has_token_rows(struct plait_builder *b, const char *op, struct plait_tensor *x)
{
    const char *why = "takes (N, D) floats: a row for each token";

    return has_rows(b, op, x, 2, why) && (inner(x)->dims[0].count == COUNT_ROWS || refuse(b, op, why));
}

static bool has_label_rows(struct plait_builder *b, const char *op, struct plait_tensor *x, int ndim)
{
    const char *why = ndim == 1 ? "takes (R) floats: a number for each label"
                                : "takes (R, W) floats: some numbers for each label";

    return has_rows(b, op, x, ndim, why) && (inner(x)->dims[0].count == COUNT_LABELS || refuse(b, op, why));
}

static bool same_dim(const struct tensor *x, const struct tensor *y, int d)
{
    return x->dims[d].size == y->dims[d].size && x->dims[d].count == y->dims[d].count;
}

static bool are_alike(struct plait_builder *b, const char *op, struct plait_tensor *x, struct plait_tensor *y)
{
    const struct tensor *p = inner(x), *q = inner(y);
    bool alike;

    if (!may_add(b, op, x) || !may_add(b, op, y))
        return false;
    alike = p->dtype == q->dtype && p->ndim == q->ndim;
    for (int d = 0; d < p->ndim && alike; d++)
        alike = same_dim(p, q, d);
    return alike || refuse(b, op, "the tensors differ in shape or type");
}

/* ---- what there is ---- */

struct plait_tensor *plait_builder_hidden(struct plait_builder *b)
{
    return b ? shown(b->x->out->hidden) : NULL;
}

struct plait_tensor *plait_builder_labels(struct plait_builder *b)
{
    return b ? shown(b->x->labels) : NULL;
}

struct plait_tensor *plait_builder_targets(struct plait_builder *b)
{
    if (!b || builder_status(b->b) != OK)
        return NULL;
    if (!b->x->targets)
        refuse(b, "plait_builder_targets", "there are no numbers beside labels (expected targets)");
    return shown(b->x->targets);
}

void plait_builder_divide(struct plait_builder *b, struct plait_tensor *count)
{
    const struct tensor *t = inner(count);

    if (!may_add(b, "plait_builder_divide", count))
        return;
    if (t->ndim != 0 || !t->producer)
        refuse(b, "plait_builder_divide", "takes a scalar");
    else
        b->x->count = inner(count);
}

/* A number each: those of a table, by the ids. */
static struct tensor *look_up(struct plait_builder *b, const float *values, int64_t count, struct tensor *ids)
{
    struct tensor *table, *found;
    char name[40];

    snprintf(name, sizeof(name), "constant.%d", b->constants++);
    table = graph_constant(b->b, name, count, 1, values);
    found = table ? embedding(b->b, table, ids) : NULL;
    return found ? row_dot(b->b, found, fill(b->b, found, 1)) : NULL;
}

/* ---- the head ---- */

/* What the head's projection takes of token rows x: of labelled rows, prepared. */
static struct tensor *prepared(struct plait_builder *b, const char *op, struct plait_tensor *x)
{
    const struct loss_inputs *in = b ? b->x : NULL;

    if (!has_token_rows(b, op, x))
        return NULL;
    if (!in->out->head.weight) {
        refuse(b, op, "this model has no head");
        return NULL;
    }
    if (inner(x) == in->out->hidden)
        return in->rows;
    return head_input(b->b, &in->out->head, inner(x), in->label_rows, in->in->rows.sequences.place);
}

static struct tensor *head_statistic(struct plait_builder *b, struct tensor *x, int which)
{
    const struct head *head = &b->x->out->head;
    struct tensor *const in[] = { x, head->weight, head->bias, NULL, b->x->labels };
    struct node *n = x ? graph_node(b->b, &op_head_stats, 5, in,
                                    (struct attr_value[]){ { "out_first", head->out_first }, { 0 } })
                       : NULL;

    if (!n)
        return NULL;
    if (which == HEAD_STATS_LSE)
        return n->out[HEAD_STATS_LSE];
    return add(b->b, n->out[HEAD_STATS_LSE], scale(b->b, n->out[HEAD_STATS_TARGET], -1));
}

struct plait_tensor *plait_op_token_losses(struct plait_builder *b, struct plait_tensor *x)
{
    return shown(head_statistic(b, prepared(b, "plait_op_token_losses", x), HEAD_STATS_TARGET));
}

struct plait_tensor *plait_op_log_sum_exp(struct plait_builder *b, struct plait_tensor *x)
{
    return shown(head_statistic(b, prepared(b, "plait_op_log_sum_exp", x), HEAD_STATS_LSE));
}

struct plait_tensor *plait_op_logits(struct plait_builder *b, struct plait_tensor *x)
{
    struct tensor *rows = prepared(b, "plait_op_logits", x);

    return rows ? shown(head_logits(b->b, &b->x->out->head, rows)) : NULL;
}

struct plait_tensor *plait_op_head_loss(struct plait_builder *b, struct plait_tensor *x)
{
    const struct head *head;
    struct tensor *rows;

    if (!has_token_rows(b, "plait_op_head_loss", x))
        return NULL;
    head = &b->x->out->head;
    if (head->weight && !head->prepare) /* the rows need not be gathered */
        return shown(head_loss(b->b, inner(x), head, b->x->label_rows, b->x->labels));
    rows = prepared(b, "plait_op_head_loss", x);
    return rows ? shown(head_loss(b->b, rows, head, NULL, b->x->labels)) : NULL;
}

struct plait_tensor *plait_op_label_rows(struct plait_builder *b, struct plait_tensor *x)
{
    return has_token_rows(b, "plait_op_label_rows", x) ? shown(embedding(b->b, inner(x), b->x->label_rows))
                                                       : NULL;
}

struct plait_tensor *plait_op_label_weights(struct plait_builder *b, const float *weights, int64_t count)
{
    const struct head *head = b ? &b->x->out->head : NULL;
    int64_t classes;

    if (!b || builder_status(b->b) != OK)
        return NULL;
    if (!weights || !head->weight) {
        refuse(b, "plait_op_label_weights", weights ? "this model has no head" : "weights is NULL");
        return NULL;
    }
    classes = head->weight->dims[head->out_first ? 0 : 1].size;
    if (count != classes) {
        b->b->status = fail(ERR_USAGE,
                            "plait_op_label_weights: wrong number of weights (found %" PRId64
                            ", expected %" PRId64 ": one for each logit)",
                            count, classes);
        return NULL;
    }
    return shown(look_up(b, weights, count, b->x->labels));
}

/* ---- rows ---- */

struct plait_tensor *plait_op_row_sum(struct plait_builder *b, struct plait_tensor *x)
{
    if (!has_rows(b, "plait_op_row_sum", x, 2, "takes rows of floats: (N, D) or (R, W)"))
        return NULL;
    return shown(row_dot(b->b, inner(x), fill(b->b, inner(x), 1)));
}

struct plait_tensor *plait_op_row_dot(struct plait_builder *b, struct plait_tensor *x, struct plait_tensor *y)
{
    if (!has_rows(b, "plait_op_row_dot", x, 2, "takes rows of floats: (N, D) or (R, W)") ||
        !are_alike(b, "plait_op_row_dot", x, y))
        return NULL;
    return shown(row_dot(b->b, inner(x), inner(y)));
}

struct plait_tensor *plait_op_column(struct plait_builder *b, struct plait_tensor *x, int64_t column)
{
    struct tensor *one, *y;
    float *values;
    int64_t width;
    char name[40];

    if (!has_rows(b, "plait_op_column", x, 2, "takes rows of floats: (N, D) or (R, W)"))
        return NULL;
    width = inner(x)->dims[1].size;
    if (column < 0 || column >= width) {
        b->b->status =
            fail(ERR_USAGE, "plait_op_column: no such column (found %" PRId64 ", expected 0 to %" PRId64 ")",
                 column, width - 1);
        return NULL;
    }
    values = mem_alloc_array((size_t)width, sizeof(values[0]));
    values[column] = 1;
    snprintf(name, sizeof(name), "constant.%d", b->constants++);
    one = graph_constant(b->b, name, width, 1, values);
    mem_free(values);
    y = one ? linear(b->b, inner(x), one, NULL, 1, false) : NULL;
    return y ? shown(row_dot(b->b, y, fill(b->b, y, 1))) : NULL;
}

struct plait_tensor *plait_op_sum(struct plait_builder *b, struct plait_tensor *x)
{
    struct tensor *zero;
    struct node *n;

    if (!has_label_rows(b, "plait_op_sum", x, 1))
        return NULL;
    zero = scale(b->b, inner(x), 0);
    n = zero ? graph_node(b->b, &op_token_loss, 2, (struct tensor *const[]){ inner(x), zero }, NULL) : NULL;
    return n ? shown(n->out[0]) : NULL;
}

/* ---- entries ---- */

struct plait_tensor *plait_op_add(struct plait_builder *b, struct plait_tensor *x, struct plait_tensor *y)
{
    return are_alike(b, "plait_op_add", x, y) ? shown(add(b->b, inner(x), inner(y))) : NULL;
}

struct plait_tensor *plait_op_multiply(struct plait_builder *b, struct plait_tensor *x,
                                       struct plait_tensor *y)
{
    const struct tensor *p = inner(x), *q = inner(y);

    if (!may_add(b, "plait_op_multiply", x) || !may_add(b, "plait_op_multiply", y))
        return NULL;
    if (p->dtype == DT_F32 && q->dtype == DT_F32 && p->ndim == 2 && q->ndim == 1 && same_dim(p, q, 0))
        return shown(row_scale(b->b, inner(x), inner(y)));
    if (!are_alike(b, "plait_op_multiply", x, y))
        return NULL;
    return shown(glu(b->b, inner(x), inner(y), ACT_NONE));
}

static bool is_finite(struct plait_builder *b, const char *op, double x)
{
    return isfinite(x) || refuse(b, op, "the number is not finite");
}

struct plait_tensor *plait_op_scale(struct plait_builder *b, struct plait_tensor *x, double factor)
{
    if (!may_add(b, "plait_op_scale", x) || !is_finite(b, "plait_op_scale", factor))
        return NULL;
    return shown(scale(b->b, inner(x), factor));
}

struct plait_tensor *plait_op_shift(struct plait_builder *b, struct plait_tensor *x, double term)
{
    if (!may_add(b, "plait_op_shift", x) || !is_finite(b, "plait_op_shift", term))
        return NULL;
    return shown(add(b->b, inner(x), fill(b->b, inner(x), term)));
}

static int find_function(const char *name, enum activation_kind *kind)
{
    if (strcmp(name, "exp") == 0 || strcmp(name, "log") == 0) {
        *kind = name[0] == 'e' ? ACT_EXP : ACT_LOG;
        return OK;
    }
    return activation_find(name, kind);
}

struct plait_tensor *plait_op_function(struct plait_builder *b, struct plait_tensor *x, const char *name)
{
    enum activation_kind kind;

    if (!may_add(b, "plait_op_function", x))
        return NULL;
    if (!name) {
        refuse(b, "plait_op_function", "the name is NULL");
        return NULL;
    }
    b->b->status = find_function(name, &kind);
    return b->b->status == OK ? shown(activation(b->b, inner(x), kind)) : NULL;
}

struct plait_tensor *plait_op_dropout(struct plait_builder *b, struct plait_tensor *x, double p)
{
    if (!has_token_rows(b, "plait_op_dropout", x))
        return NULL;
    if (!(p >= 0 && p < 1)) {
        refuse(b, "plait_op_dropout", "p is not in [0, 1)");
        return NULL;
    }
    return shown(dropout(b->b, inner(x), b->x->in->rows.sequences.place, p));
}

/* ---- the way in ---- */

struct tensor *api_loss_build(struct builder *b, struct loss_inputs *x, void *context)
{
    const struct plait_loss *own = context;
    struct plait_builder shown_builder = { .b = b, .x = x };
    struct tensor *loss;

    loss = inner(own->build(own->context, &shown_builder));
    if (builder_status(b) != OK)
        return NULL;
    if (!loss)
        b->status = fail(ERR_USAGE, "the loss that was built is NULL");
    else if (loss->ndim != 0 || !loss->producer || (loss->dtype != DT_F32 && loss->dtype != DT_F64))
        b->status =
            fail(ERR_USAGE, "the loss that was built is no scalar (found %d dims, expected 0)", loss->ndim);
    else if (loss == x->count)
        b->status = fail(ERR_USAGE, "the loss that was built is divided by itself");
    return builder_status(b) == OK ? loss : NULL;
}
