/* rotary -- rotary position embeddings (Su et al., "RoFormer", 2021) on queries and keys, and the table of
 * cosines and sines that all layers share. The ways to a longer context: linear (Chen et al., "Extending
 * Context Window of Large Language Models via Positional Interpolation", 2023), dynamic (NTK-aware, u/bloc97
 * and u/emozilla), llama3 (Llama 3.1), YaRN (Peng et al., 2023). A rotation is linear, and its gradient is
 * the rotation back. */
#include <math.h>

#include "ops/card.h"

/* ---- The table ---- */

static int infer_table(const struct node *n, struct tensor out[])
{
    const struct tensor *positions = n->in[ROTARY_TABLE_POSITIONS];
    int64_t width = (int64_t)n->attr[ROTARY_TABLE_WIDTH];

    if (width < 2 || width % 2 != 0)
        return fail(ERR_CONFIG, "rotary: %" PRId64 " features cannot be rotated in pairs", width);
    if (n->attr[ROTARY_TABLE_KIND] == ROTARY_DYNAMIC && !n->in[ROTARY_TABLE_LONGEST])
        return fail(ERR_INTERNAL, "rotary: the length of sequences is missing");
    out[0] = rows_with(positions, DT_F32);
    out[0].ndim = 2;
    out[0].dims[1] = (struct dim){ .size = width };
    return OK;
}

static void shard_table(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0) },
                    (struct placement[]){ ON_SHARD(0) }, true);
}

static struct op_cost cost_table(const struct node *n)
{
    double count = (double)tensor_count(n->out[0]);

    return (struct op_cost){ .flops = 20.0 * count, .bytes = 4.0 * count };
}

const struct op_def op_rotary_table = {
    .name = "rotary_table",
    .inputs = { "positions", "?longest" },
    .outputs = { "table" },
    .attrs = { { "width", 0 },
               { "kind", ROTARY_DEFAULT },
               { "theta", 10000 },
               { "factor", 1 },
               { "low", 0 },
               { "high", 0 },
               { "original", 0 },
               { "attention", 1 } },
    .infer = infer_table,
    .no_gradient = true,
    .shard = shard_table,
    .cost = cost_table,
    .keeps_f32 = 1 << 0,
};

struct tensor *rotary_table(struct builder *b, struct tensor *positions, struct tensor *longest,
                            const struct rotary *r)
{
    return output_of(graph_node(b, &op_rotary_table, 2, (struct tensor *const[]){ positions, longest },
                                (struct attr_value[]){ { "width", (double)r->width },
                                                       { "kind", r->kind },
                                                       { "theta", r->theta },
                                                       { "factor", r->factor },
                                                       { "low", r->low },
                                                       { "high", r->high },
                                                       { "original", r->original },
                                                       { "attention", r->attention },
                                                       { 0 } }),
                     0);
}

static float inverse_power(double theta, int64_t i, int64_t width)
{
    return 1.0F / (float)pow(theta, (float)(2 * i) / (float)width);
}

static float llama3(const struct node *n, float inverse)
{
    float factor = (float)n->attr[ROTARY_TABLE_FACTOR], original = (float)n->attr[ROTARY_TABLE_ORIGINAL];
    float low = (float)n->attr[ROTARY_TABLE_LOW], high = (float)n->attr[ROTARY_TABLE_HIGH];
    float wavelength = (float)(2 * 3.14159265358979323846) / inverse, smooth;

    if (wavelength < original / high)
        return inverse;
    if (wavelength > original / low)
        return inverse / factor;
    smooth = (original / wavelength - low) / (high - low);
    return (1 - smooth) * inverse / factor + smooth * inverse;
}

static float yarn(const struct node *n, int64_t i, int64_t width)
{
    float power = (float)pow(n->attr[ROTARY_TABLE_THETA], (float)(2 * i) / (float)width);
    float low = (float)n->attr[ROTARY_TABLE_LOW], high = (float)n->attr[ROTARY_TABLE_HIGH];
    float ramp = ((float)i - low) / (high - low), kept;

    kept = 1 - (ramp < 0 ? 0 : ramp > 1 ? 1 : ramp);
    return 1 / ((float)n->attr[ROTARY_TABLE_FACTOR] * power) * (1 - kept) + 1 / power * kept;
}

/* In fp32 step by step, since transformers makes it with a tensor. */
static double grown(const struct node *n, int64_t longest)
{
    double theta = n->attr[ROTARY_TABLE_THETA], factor = n->attr[ROTARY_TABLE_FACTOR];
    double original = n->attr[ROTARY_TABLE_ORIGINAL], width = n->attr[ROTARY_TABLE_WIDTH];
    float ratio = (float)factor * (float)longest / (float)original - (float)(factor - 1);

    if ((double)longest <= original)
        return theta;
    return (float)theta * (float)pow(ratio, (float)(width / (width - 2)));
}

float rotary_frequency(const struct node *n, int64_t i, int64_t longest)
{
    double theta = n->attr[ROTARY_TABLE_THETA], factor = n->attr[ROTARY_TABLE_FACTOR];
    int64_t width = (int64_t)n->attr[ROTARY_TABLE_WIDTH];

    switch ((enum rotary_kind)n->attr[ROTARY_TABLE_KIND]) {
    case ROTARY_LINEAR: return inverse_power(theta, i, width) / (float)factor;
    case ROTARY_LLAMA3: return llama3(n, inverse_power(theta, i, width));
    case ROTARY_YARN: return yarn(n, i, width);
    case ROTARY_DYNAMIC: return inverse_power(grown(n, longest), i, width);
    case ROTARY_DEFAULT: break;
    }
    return inverse_power(theta, i, width);
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

/* Rows and heads are independent. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0) },
                    (struct placement[]){ ON_SHARD(0) }, true);
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(2), ON_ALL }, (struct placement[]){ ON_SHARD(2) },
                    true);
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
