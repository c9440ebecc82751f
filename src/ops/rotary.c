/* rotary -- rotary position embeddings (Su et al., "RoFormer", 2021) on queries and keys, and the table of
 * cosines and sines that all layers share. Frequencies come from models/rope.h; only those that change with
 * every length are made here (dynamic NTK scaling, u/bloc97 and u/emozilla). A rotation is linear, and its
 * gradient is the rotation back. */
#include <math.h>

#include "ops/card.h"

/* ---- The table ---- */

static int infer_table(const struct node *n, struct tensor out[])
{
    const struct tensor *f = n->in[ROTARY_TABLE_FREQUENCIES];

    if (f->ndim != 2 || f->dims[0].size > 2)
        return fail(ERR_INTERNAL, "rotary: %" PRId64 " rows of frequencies", f->dims[0].size);
    out[0] = rows_with(n->in[ROTARY_TABLE_POSITIONS], DT_F32);
    out[0].ndim = 2;
    out[0].dims[1] = (struct dim){ .size = 2 * f->dims[1].size };
    return OK;
}

static void shard_table(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_ALL, ON_SHARD(0) },
                    (struct placement[]){ ON_SHARD(0) }, true);
}

static struct op_cost cost_table(const struct node *n)
{
    double count = (double)tensor_count(n->out[0]);

    return (struct op_cost){ .flops = 20.0 * count, .bytes = 4.0 * count };
}

const struct op_def op_rotary_table = {
    .name = "rotary_table",
    .inputs = { "positions", "frequencies", "?longest" },
    .outputs = { "table" },
    .attrs = { { "attention", 1 }, { "original", 0 }, { "theta", 10000 }, { "factor", 1 } },
    .infer = infer_table,
    .no_gradient = true,
    .shard = shard_table,
    .cost = cost_table,
    .keeps_f32 = 1 << 0,
};

struct tensor *rotary_table(struct builder *b, struct tensor *positions, struct tensor *frequencies,
                            struct tensor *longest, const struct rotary_options *o)
{
    struct tensor *const in[] = { positions, frequencies, longest };

    return output_of(graph_node(b, &op_rotary_table, 3, in,
                                (struct attr_value[]){ { "attention", o->attention },
                                                       { "original", o->original },
                                                       { "theta", o->theta },
                                                       { "factor", o->factor },
                                                       { 0 } }),
                     0);
}

/* In fp32 step by step, since transformers makes theta with a tensor. */
float rotary_grown(const struct node *n, int64_t i, int64_t longest)
{
    double theta = n->attr[ROTARY_TABLE_THETA], factor = n->attr[ROTARY_TABLE_FACTOR];
    double original = n->attr[ROTARY_TABLE_ORIGINAL], width = (double)n->out[0]->dims[1].size;
    float ratio = (float)factor * (float)longest / (float)original - (float)(factor - 1);

    theta = (float)theta * (float)pow(ratio, (float)(width / (width - 2)));
    return 1.0F / (float)pow(theta, (float)(2 * i) / (float)width);
}

/* ---- The rotation ---- */

static int infer(const struct node *n, struct tensor out[])
{
    const struct tensor *x = n->in[ROTARY_X], *table = n->in[ROTARY_TABLE];

    if (x->ndim != 4 || table->ndim != 2 || x->dims[0].size != table->dims[0].size ||
        table->dims[1].size > x->dims[3].size)
        return fail(ERR_INTERNAL, "rotary: %" PRId64 " features of heads of %" PRId64, table->dims[1].size,
                    x->dims[x->ndim - 1].size);
    if (n->attr[ROTARY_PARTS] > (double)x->dims[1].size)
        return fail(ERR_INTERNAL, "rotary: %g of %" PRId64 " parts", n->attr[ROTARY_PARTS], x->dims[1].size);
    out[0] = *x;
    return OK;
}

static struct node *rotate(struct builder *b, struct tensor *x, struct tensor *table, double parts,
                           bool inverse)
{
    return graph_node(b, &op_rotary, 2, (struct tensor *const[]){ x, table },
                      (struct attr_value[]){ { "parts", parts }, { "inverse", inverse }, { 0 } });
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    (void)wants;
    din[ROTARY_X] = output_of(
        rotate(b, dout[0], n->in[ROTARY_TABLE], n->attr[ROTARY_PARTS], n->attr[ROTARY_INVERSE] == 0), 0);
}

/* Rows and heads are independent, and a rotation is linear. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0) },
                    (struct placement[]){ ON_SHARD(0) }, true);
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(2), ON_ALL }, (struct placement[]){ ON_SHARD(2) },
                    true);
    shard_rules_add(r, n, (struct placement[]){ ON_SUM, ON_ALL }, (struct placement[]){ ON_SUM }, false);
}

static struct op_cost cost(const struct node *n)
{
    double count = (double)tensor_count(n->in[ROTARY_X]);

    return (struct op_cost){ .flops = 3.0 * count, .bytes = 8.0 * count };
}

const struct op_def op_rotary = {
    .name = "rotary",
    .inputs = { "x", "table" },
    .outputs = { "y" },
    .attrs = { { "parts", 1 }, { "inverse", 0 } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .in_place = { 1 },
};

struct tensor *rotary(struct builder *b, struct tensor *x, struct tensor *table, int parts)
{
    return output_of(rotate(b, x, table, parts, false), 0);
}
