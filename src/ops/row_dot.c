/* row_dot and row_scale -- z[n] = sum over the row of x * y, and y[n, ...] = s[n] * x[n, ...]: with them a
 * loss of rows is put together. Each is the other's gradient. */
#include "ops/card.h"

static int infer_dot(const struct node *n, struct tensor out[])
{
    const struct tensor *x = n->in[ROW_DOT_X], *y = n->in[ROW_DOT_Y];

    if (x->ndim < 2 || !same_shape(x, y))
        return fail(ERR_INTERNAL, "row_dot: rows of %" PRId64 " and of %" PRId64 " entries",
                    tensor_row_count(x), tensor_row_count(y));
    out[0] = rows_with(x, DT_F32);
    return OK;
}

static void grad_dot(struct builder *b, const struct node *n, struct tensor *const dout[],
                     struct tensor *din[], const bool wants[])
{
    for (int i = 0; i < 2; i++)
        din[i] = wants[i] ? row_scale(b, n->in[1 - i], dout[0]) : NULL;
}

static void shard_dot(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    for (int d = 0; d < n->in[ROW_DOT_X]->ndim; d++)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(d), ON_SHARD(d) },
                        (struct placement[]){ d == 0 ? ON_SHARD(0) : ON_SUM }, true);
}

static struct op_cost cost(const struct node *n)
{
    double count = (double)tensor_count(n->in[0]);

    return (struct op_cost){ .flops = 2.0 * count, .bytes = 8.0 * count };
}

const struct op_def op_row_dot = {
    .name = "row_dot",
    .inputs = { "x", "y" },
    .outputs = { "z" },
    .infer = infer_dot,
    .grad = grad_dot,
    .shard = shard_dot,
    .cost = cost,
};

struct tensor *row_dot(struct builder *b, struct tensor *x, struct tensor *y)
{
    return output_of(graph_node(b, &op_row_dot, 2, (struct tensor *const[]){ x, y }, NULL), 0);
}

static int infer_scale(const struct node *n, struct tensor out[])
{
    const struct tensor *x = n->in[ROW_SCALE_X], *s = n->in[ROW_SCALE_S];

    if (x->ndim < 2 || s->ndim != 1 || s->dims[0].size != x->dims[0].size ||
        s->dims[0].count != x->dims[0].count)
        return fail(ERR_INTERNAL, "row_scale: %" PRId64 " rows and %" PRId64 " factors", tensor_rows(x),
                    tensor_count(s));
    out[0] = *x;
    return OK;
}

static void grad_scale(struct builder *b, const struct node *n, struct tensor *const dout[],
                       struct tensor *din[], const bool wants[])
{
    if (wants[ROW_SCALE_X])
        din[ROW_SCALE_X] = row_scale(b, dout[0], n->in[ROW_SCALE_S]);
    if (wants[ROW_SCALE_S])
        din[ROW_SCALE_S] = row_dot(b, dout[0], n->in[ROW_SCALE_X]);
}

static void shard_scale(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    for (int d = 0; d < n->in[ROW_SCALE_X]->ndim; d++)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(d), d == 0 ? ON_SHARD(0) : ON_ALL },
                        (struct placement[]){ ON_SHARD(d) }, true);
}

const struct op_def op_row_scale = {
    .name = "row_scale",
    .inputs = { "x", "s" },
    .outputs = { "y" },
    .infer = infer_scale,
    .grad = grad_scale,
    .shard = shard_scale,
    .cost = cost,
    .in_place = { 1 },
};

struct tensor *row_scale(struct builder *b, struct tensor *x, struct tensor *s)
{
    return output_of(graph_node(b, &op_row_scale, 2, (struct tensor *const[]){ x, s }, NULL), 0);
}
