/* adafactor -- a step whose second moments take little memory: of a matrix, the mean over each row and over
 * each column. Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018; with
 * the settings of transformers' Trainer or of optax. Three nodes for each parameter, cut where sharded
 * parameters need a sum over ranks: adafactor_sums (squares along rows and columns), adafactor_norms (moments
 * in place; how large the step and the parameter are), adafactor (the parameter in place). */
#include "ops/card.h"

static int split_of(const struct node *n)
{
    return (int)n->attr[ADAFACTOR_SPLIT];
}

static struct op_cost cost_passes(const struct node *n, int first, double passes)
{
    double bytes = 0;

    for (int i = first; i < n->nin; i++)
        bytes += n->in[i] ? (double)tensor_bytes(n->in[i]) : 0;
    return (struct op_cost){ .flops = passes * bytes, .bytes = bytes };
}

/* ---- Squares along rows and columns ---- */

static int infer_sums(const struct node *n, struct tensor out[])
{
    const struct tensor *x = n->in[0];
    int k = split_of(n);

    if (k < 1 || k >= x->ndim)
        BUG("adafactor_sums: %d dims cannot be split at %d", x->ndim, k);
    out[ADAFACTOR_SUMS_ROWS] = (struct tensor){ .dtype = DT_F64, .ndim = k };
    out[ADAFACTOR_SUMS_COLS] = (struct tensor){ .dtype = DT_F64, .ndim = x->ndim - k };
    for (int d = 0; d < x->ndim; d++)
        *(d < k ? &out[ADAFACTOR_SUMS_ROWS].dims[d] : &out[ADAFACTOR_SUMS_COLS].dims[d - k]) = x->dims[d];
    return OK;
}

static void shard_sums(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    int k = split_of(n);

    for (int d = 0; d < n->in[0]->ndim; d++) {
        if (r->axis == AXIS_DP && !placement_equal(have[0], ON_SHARD(d)))
            continue; /* as it is dealt out, or not at all */
        shard_rules_add(
            r, n, (struct placement[]){ ON_SHARD(d) },
            (struct placement[]){ d < k ? ON_SHARD(d) : ON_SUM, d < k ? ON_SUM : ON_SHARD(d - k) }, true);
    }
}

static struct op_cost cost_sums(const struct node *n)
{
    return cost_passes(n, 0, 0.5);
}

const struct op_def op_adafactor_sums = {
    .name = "adafactor_sums",
    .inputs = { "grad" },
    .outputs = { "rows", "cols" },
    .attrs = { { "split", 1 } },
    .infer = infer_sums,
    .no_gradient = true,
    .shard = shard_sums,
    .cost = cost_sums,
    .keeps_f32 = true,
};

/* ---- Moments and norms ---- */

static int infer_norms(const struct node *n, struct tensor out[])
{
    (void)n;
    out[0] = (struct tensor){ .dtype = DT_F64, .ndim = 1, .dims = { { ADAFACTOR_NORMS, COUNT_FIXED } } };
    return OK;
}

/* Moments lie where their parameter is changed: v (or that of rows), col, and sums along rows and columns.
 * false: everywhere. */
static bool place(const struct node *n, const struct placement have[], const struct shard_rules *r,
                  struct placement in[])
{
    struct placement p = card_update_placement(have[ADAFACTOR_PARAM], have[ADAFACTOR_GRAD], r);
    int k = split_of(n);
    bool factored = n->in[ADAFACTOR_COL] != NULL;

    for (int i = 0; i < n->nin; i++)
        in[i] = ON_ALL;
    if (p.kind != SHARD)
        return false;
    in[ADAFACTOR_PARAM] = in[ADAFACTOR_GRAD] = p;
    if (!factored || p.dim < k)
        in[ADAFACTOR_V] = p;
    else
        in[ADAFACTOR_COL] = ON_SHARD(p.dim - k);
    return true;
}

static void shard_norms(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    struct placement in[ADAFACTOR_COLS + 1];

    if (!place(n, have, r, in))
        return;
    in[ADAFACTOR_ROWS] = in[ADAFACTOR_V];
    in[ADAFACTOR_COLS] = in[ADAFACTOR_COL];
    shard_rules_add(r, n, in, (struct placement[]){ ON_SUM }, true);
}

static struct op_cost cost_norms(const struct node *n)
{
    return cost_passes(n, ADAFACTOR_PARAM, 1.5);
}

const struct op_def op_adafactor_norms = {
    .name = "adafactor_norms",
    .inputs = { "control", "param", "grad", "v", "?col", "?rows", "?cols" },
    .outputs = { "norms" },
    .attrs = { { "split", 1 }, { "power", 0.8 }, { "eps", 1e-30 } },
    .infer = infer_norms,
    .no_gradient = true,
    .shard = shard_norms,
    .cost = cost_norms,
    .keeps_f32 = true,
};

/* ---- The step ---- */

static int infer_step(const struct node *n, struct tensor out[])
{
    (void)n;
    (void)out;
    return OK;
}

static void shard_step(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    struct placement in[ADAFACTOR_NORM + 1];

    if (place(n, have, r, in))
        shard_rules_add(r, n, in, NULL, true);
}

static struct op_cost cost_step(const struct node *n)
{
    return cost_passes(n, ADAFACTOR_PARAM, 1);
}

const struct op_def op_adafactor = {
    .name = "adafactor",
    .inputs = { "control", "param", "grad", "v", "?col", "norms" },
    .attrs = { { "split", 1 }, { "decay", 0 }, { "clip", 1 }, { "relative", 0 }, { "least_scale", 1e-3 } },
    .infer = infer_step,
    .no_gradient = true,
    .shard = shard_step,
    .cost = cost_step,
    .keeps_f32 = true,
};
