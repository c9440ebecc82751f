/* dropout -- keeps an entry with probability 1 - p and scales it by 1 / (1 - p). Which entries are kept is a
 * function of (seed, step, stream, place of the row, feature): nothing is stored, the gradient is the same op
 * with the same stream. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    out[0] = *n->in[DROPOUT_X];
    return OK;
}

static struct node *emit(struct builder *b, struct tensor *x, struct tensor *place, double p)
{
    struct tensor *const in[] = { x, place };

    return graph_node(b, &op_dropout, 2, in, (struct attr_value[]){ { "p", p }, { 0 } });
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct node *g = wants[DROPOUT_X] ? emit(b, dout[0], n->in[DROPOUT_PLACE], n->attr[DROPOUT_P]) : NULL;

    if (g)
        g->stream = n->stream;
    din[DROPOUT_X] = output_of(g, 0);
}

/* Linear in x: the mask is the same on every rank, so partial sums may be masked before they are reduced. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0) },
                    (struct placement[]){ ON_SHARD(0) }, true);
    for (int d = 1; d < n->in[DROPOUT_X]->ndim; d++)
        shard_rules_add(r, n, (struct placement[]){ ON_SHARD(d), ON_ALL },
                        (struct placement[]){ ON_SHARD(d) }, true);
    shard_rules_add(r, n, (struct placement[]){ ON_SUM, ON_ALL }, (struct placement[]){ ON_SUM }, false);
}

static struct op_cost cost(const struct node *n)
{
    double count = (double)tensor_count(n->out[0]);

    return (struct op_cost){ .flops = 20.0 * count, .bytes = 8.0 * count };
}

const struct op_def op_dropout = {
    .name = "dropout",
    .inputs = { "x", "place" },
    .outputs = { "y" },
    .attrs = { { "p", 0 } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .cheap = true,
    .reads_random = true,
    .in_place = { 1 },
};

struct tensor *dropout(struct builder *b, struct tensor *x, struct tensor *place, double p)
{
    return p > 0 && b->training ? output_of(emit(b, x, place, p), 0) : x;
}
