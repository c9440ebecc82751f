/* attention -- scaled dot-product attention over packed sequences (ops.h has the formula); the one op of all
 * models. The forward pass keeps only the output and the log-sum-exp of each row: Dao et al.,
 * "FlashAttention-2", 2023. */
#include "ops/bucket.h"
#include "ops/card.h"

static int check_table(const struct node *n, const struct tensor *table)
{
    const struct tensor *q = n->in[ATTENTION_Q];
    struct bucketing b = { .buckets = table->dims[0].size,
                           .max_distance = (int64_t)n->attr[ATTENTION_MAX_DISTANCE],
                           .bidirectional = n->attr[ATTENTION_BIDIRECTIONAL] != 0 };

    if (table->ndim != 2 || table->dims[1].size != q->dims[2].size)
        return fail(ERR_INTERNAL, "attention: the table of relative positions does not fit the heads");
    if (bucket_exact(&b) < 1 || b.max_distance <= bucket_exact(&b))
        return fail(ERR_CONFIG, "attention: %" PRId64 " buckets do not fit a largest distance of %" PRId64,
                    b.buckets, b.max_distance);
    return OK;
}

static int infer(const struct node *n, struct tensor out[])
{
    const struct tensor *q = n->in[ATTENTION_Q], *k = n->in[ATTENTION_K], *v = n->in[ATTENTION_V];

    if (q->ndim != 4 || k->ndim != 4 || v->ndim != 4 || q->dims[3].size != k->dims[3].size ||
        k->dims[2].size != v->dims[2].size || v->dims[3].size != k->dims[3].size)
        return fail(ERR_INTERNAL, "attention: q, k and v do not fit together");
    if (q->dims[2].size % k->dims[2].size != 0)
        return fail(ERR_CONFIG,
                    "attention: %" PRId64 " heads are not a multiple of %" PRId64 " key/value heads",
                    q->dims[2].size, k->dims[2].size);
    if (n->in[ATTENTION_TABLE])
        TRY(check_table(n, n->in[ATTENTION_TABLE]));
    out[ATTENTION_OUT] =
        (struct tensor){ .dtype = q->dtype, .ndim = 3, .dims = { q->dims[0], q->dims[2], q->dims[3] } };
    out[ATTENTION_LSE] = (struct tensor){ .dtype = DT_F32, .ndim = 2, .dims = { q->dims[0], q->dims[2] } };
    return OK;
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct tensor *in[ATTENTION_GRAD_DOUT + 1] = { 0 };
    struct attr_value attrs[ATTENTION_ATTRS + 1] = { 0 };
    struct node *g;

    for (int i = 0; i < n->nin; i++)
        in[i] = n->in[i];
    in[ATTENTION_GRAD_OUT] = n->out[ATTENTION_OUT];
    in[ATTENTION_GRAD_LSE] = n->out[ATTENTION_LSE];
    in[ATTENTION_GRAD_DOUT] = dout[ATTENTION_OUT];
    for (int i = 0; i < ATTENTION_ATTRS; i++)
        attrs[i] = (struct attr_value){ n->op->attrs[i].name, n->attr[i] };
    g = graph_node(b, &op_attention_grad, ATTENTION_GRAD_DOUT + 1, in, attrs);
    if (!g)
        return;
    g->stream = n->stream;
    din[ATTENTION_Q] = g->out[ATTENTION_GRAD_DQ];
    for (int i = ATTENTION_K; i <= ATTENTION_V; i++) {
        if (n->in[i] == n->in[ATTENTION_Q])
            continue; /* its gradient lies in dq's part */
        node_want(b, g, ATTENTION_GRAD_DQ + i);
        din[i] = g->out[ATTENTION_GRAD_DQ + i];
    }
    if (in[ATTENTION_TABLE] && wants[ATTENTION_TABLE])
        grad_accumulate(b, g, ATTENTION_GRAD_DTABLE, in[ATTENTION_TABLE]);
}

static void shard_samples(const struct node *n, struct shard_rules *r)
{
    struct placement in[ATTENTION_GRAD_DOUT + 1], out[MAX_OUTPUTS];

    for (int i = 0; i < n->nin; i++)
        in[i] = i == ATTENTION_TABLE ? ON_ALL : ON_SHARD(0);
    for (int j = 0; j < MAX_OUTPUTS; j++)
        out[j] = j == ATTENTION_GRAD_DTABLE ? ON_SUM : ON_SHARD(0);
    shard_rules_add(r, n, in, out, true);
}

/* Heads are dealt out whole, and the key/value heads that they read with them where equal shares of both keep
 * h -> h / (H/G) on the rank. Where they do not, every rank has all key/value heads and makes a part of their
 * gradients. */
static void shard_heads(const struct node *n, struct shard_rules *r, bool backward)
{
    int64_t heads = n->in[ATTENTION_Q]->dims[2].size, groups = n->in[ATTENTION_K]->dims[2].size;
    bool with_keys = heads == groups || groups % r->size == 0;
    struct placement in[ATTENTION_GRAD_DOUT + 1], out[MAX_OUTPUTS];

    for (int i = 0; i < n->nin; i++)
        in[i] = i <= ATTENTION_V ? ON_SHARD(2) : i < ATTENTION_TABLE ? ON_ALL : ON_SHARD(1);
    for (int j = 0; j < MAX_OUTPUTS; j++)
        out[j] = ON_SHARD(backward && j != ATTENTION_GRAD_DTABLE ? 2 : 1);
    for (int i = ATTENTION_K; i <= ATTENTION_V && !with_keys; i++)
        in[i] = ON_ALL;
    for (int j = ATTENTION_GRAD_DK; j <= ATTENTION_GRAD_DV && backward && !with_keys; j++)
        out[j] = ON_SUM;
    shard_rules_add(r, n, in, out, true);
}

static void shard_both(const struct node *n, struct shard_rules *r, bool backward)
{
    if (r->axis == AXIS_DP)
        shard_samples(n, r);
    shard_heads(n, r, backward);
}

static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_both(n, r, false);
}

/* Rows attend to half of the rows on average at most; sequences are not known at build, so this is an upper
 * bound. */
/* Each row meets the keys of its own sequence, half of them where it sees none that come later. */
static struct op_cost cost(const struct node *n)
{
    const struct tensor *q = n->in[ATTENTION_Q], *k = n->in[ATTENTION_K];
    double rows = (double)tensor_rows(q), width = (double)(q->dims[2].size * q->dims[3].size);
    double sequences = (double)tensor_rows(n->in[ATTENTION_KV_OFFSETS]) - 1,
           window = n->attr[ATTENTION_WINDOW];
    double keys = (double)tensor_rows(k) / (sequences > 1 ? sequences : 1);

    if (window > 0 && window < keys)
        keys = window;
    if (n->attr[ATTENTION_CAUSAL] != 0)
        keys /= 2;
    return (struct op_cost){ .flops = 4.0 * rows * keys * width, .bytes = 16.0 * rows * width };
}

const struct op_def op_attention = {
    .name = "attention",
    .inputs = { "q", "k", "v", "q_offsets", "kv_offsets", "q_positions", "kv_positions", "?place", "?table" },
    .outputs = { "out", "lse" },
    .attrs = { { "causal", 1 },
               { "scale", 1 },
               { "window", 0 },
               { "dropout", 0 },
               { "q_part", 0 },
               { "k_part", 0 },
               { "v_part", 0 },
               { "max_distance", 0 },
               { "bidirectional", 0 },
               { "blank", BLANK_ZERO } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .keeps_f32 = 1 << ATTENTION_LSE,
    .reads_random = true,
};

static int infer_grad(const struct node *n, struct tensor out[])
{
    for (int i = ATTENTION_Q; i <= ATTENTION_V; i++)
        out[i] = *n->in[i];
    if (n->in[ATTENTION_TABLE])
        out[ATTENTION_GRAD_DTABLE] = *n->in[ATTENTION_TABLE];
    return OK;
}

static void shard_grad(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_both(n, r, true);
}

static struct op_cost cost_grad(const struct node *n)
{
    struct op_cost c = cost(n);

    return (struct op_cost){ .flops = 2.5 * c.flops, .bytes = 2.0 * c.bytes };
}

const struct op_def op_attention_grad = {
    .name = "attention_grad",
    .inputs = { "q", "k", "v", "q_offsets", "kv_offsets", "q_positions", "kv_positions", "?place", "?table",
                "out", "lse", "dout" },
    .outputs = { "dq", "?dk", "?dv", "?dtable" },
    .attrs = { { "causal", 1 },
               { "scale", 1 },
               { "window", 0 },
               { "dropout", 0 },
               { "q_part", 0 },
               { "k_part", 0 },
               { "v_part", 0 },
               { "max_distance", 0 },
               { "bidirectional", 0 },
               { "blank", BLANK_ZERO } },
    .infer = infer_grad,
    .no_gradient = true,
    .shard = shard_grad,
    .cost = cost_grad,
};

struct tensor *attention(struct builder *b, const struct attention_inputs *x, const struct sequences *q_rows,
                         const struct sequences *kv_rows, const struct attention_options *o)
{
    struct tensor *const in[] = {
        [ATTENTION_Q] = x->q,
        [ATTENTION_K] = x->k,
        [ATTENTION_V] = x->v,
        [ATTENTION_Q_OFFSETS] = q_rows->offsets,
        [ATTENTION_KV_OFFSETS] = kv_rows->offsets,
        [ATTENTION_Q_POSITIONS] = q_rows->positions,
        [ATTENTION_KV_POSITIONS] = kv_rows->positions,
        [ATTENTION_PLACE] = q_rows->place,
        [ATTENTION_TABLE] = o->table,
    };

    return output_of(graph_node(b, &op_attention, ATTENTION_TABLE + 1, in,
                                (struct attr_value[]){ { "causal", o->causal },
                                                       { "scale", o->scale },
                                                       { "window", o->window },
                                                       { "dropout", b->training ? o->dropout : 0 },
                                                       { "q_part", o->q_part },
                                                       { "k_part", o->k_part },
                                                       { "v_part", o->v_part },
                                                       { "max_distance", (double)o->max_distance },
                                                       { "bidirectional", o->bidirectional },
                                                       { "blank", o->blank },
                                                       { 0 } }),
                     ATTENTION_OUT);
}
