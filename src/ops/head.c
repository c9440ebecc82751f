/* head -- logits of labelled rows and their cross-entropy, without holding more than some logits. Three nodes
 * carry it through differentiation and sharding: head_stats makes log-sum-exp and target logit of each
 * labelled row, token_loss sums their difference, head_grad has the gradient, for which it makes the logits
 * again that were not kept. Dealt out over
 * the vocabulary, only the (R) vectors are reduced. Where a rank holds the whole vocabulary the fuse pass
 * turns all of them into one head_loss, which makes logits once. */
#include "ops/card.h"

static int vocab_dim(const struct node *n)
{
    return n->attr[HEAD_OUT_FIRST] != 0 ? 0 : 1;
}

static struct tensor kept_logits(const struct node *n)
{
    struct tensor t = rows_with(n->in[HEAD_STATS_LABELS], DT_F32);

    t.ndim = 2;
    t.dims[0].size = (int64_t)n->attr[HEAD_KEPT];
    t.dims[1] = n->in[HEAD_STATS_WEIGHT]->dims[vocab_dim(n)];
    return t;
}

static int infer(const struct node *n, struct tensor out[])
{
    const struct tensor *x = n->in[HEAD_STATS_X], *weight = n->in[HEAD_STATS_WEIGHT];

    if (x->ndim != 2 || weight->ndim != 2 || weight->dims[1 - vocab_dim(n)].size != x->dims[1].size)
        return fail(ERR_CONFIG,
                    "head: hidden width %" PRId64 " does not fit the head's weight (%" PRId64 ", %" PRId64
                    ")",
                    tensor_row_count(x), weight->dims[0].size, weight->dims[1].size);
    for (int j = HEAD_STATS_LSE; j <= HEAD_STATS_MEAN; j++)
        out[j] = rows_with(n->in[HEAD_STATS_LABELS], DT_F32);
    out[HEAD_STATS_LOGITS] = kept_logits(n);
    return OK;
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct tensor *lse = n->out[HEAD_STATS_LSE], *dlse = dout[HEAD_STATS_LSE],
                  *dtarget = dout[HEAD_STATS_TARGET];
    struct tensor *const in[] = { n->in[HEAD_STATS_X],
                                  n->in[HEAD_STATS_WEIGHT],
                                  n->in[HEAD_STATS_BIAS],
                                  n->in[HEAD_STATS_ROWS],
                                  n->in[HEAD_STATS_LABELS],
                                  lse,
                                  dlse ? dlse : fill(b, lse, 0), /* a loss may read one of the two alone */
                                  dtarget ? dtarget : fill(b, lse, 0),
                                  dout[HEAD_STATS_MEAN] };
    struct node *g = graph_node(b, &op_head_grad, HEAD_GRAD_DMEAN + 1, in,
                                (struct attr_value[]){ { "out_first", n->attr[HEAD_OUT_FIRST] }, { 0 } });

    if (wants[HEAD_STATS_WEIGHT])
        grad_accumulate(b, g, HEAD_GRAD_DWEIGHT, n->in[HEAD_STATS_WEIGHT]);
    if (n->in[HEAD_STATS_BIAS] && wants[HEAD_STATS_BIAS])
        grad_accumulate(b, g, HEAD_GRAD_DBIAS, n->in[HEAD_STATS_BIAS]);
    din[HEAD_STATS_X] = output_of(g, HEAD_GRAD_DX);
}

static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    int v = vocab_dim(n);

    (void)have;
    if (r->axis == AXIS_DP)
        shard_rules_add(
            r, n, (struct placement[]){ ON_SHARD(0), ON_ALL, ON_ALL, ON_SHARD(0), ON_SHARD(0) },
            (struct placement[]){ ON_SHARD(0), ON_SHARD(0), ON_SHARD(0), ON_SHARD(0), ON_SHARD(0) }, true);
    else
        shard_rules_add(r, n, (struct placement[]){ ON_ALL, ON_SHARD(v), ON_SHARD(0), ON_ALL, ON_ALL },
                        (struct placement[]){ ON_LSE, ON_SUM, ON_MAX, ON_SUM, ON_SHARD(1) }, true);
}

static struct op_cost cost(const struct node *n)
{
    double w = (double)tensor_count(n->in[HEAD_STATS_WEIGHT]);

    return (struct op_cost){ .flops = 2.0 * w * (double)tensor_rows(n->in[HEAD_STATS_LABELS]),
                             .bytes = 4.0 * w };
}

/* Finds the chain stats -> token_loss -> (fill -> token_loss_grad) -> head_grad when nothing else reads its
 * parts. */
struct chain {
    struct node *loss, *seed, *loss_grad, *grad;
};

/* The gradient reads what the loss reads, but may have gathered it, or made it, again. */
static bool lies_alike(const struct tensor *a, const struct tensor *b)
{
    for (int axis = 0; a && b && axis < PLACEMENT_AXES; axis++)
        if (!placement_equal(a->layout.on[axis], b->layout.on[axis]))
            return false;
    return !a == !b;
}

static bool find_chain(const struct rewrite *r, const struct node *stats, struct chain *c)
{
    struct tensor *lse = stats->out[HEAD_STATS_LSE], *target = stats->out[HEAD_STATS_TARGET];
    struct node *n;

    *c = (struct chain){ 0 };
    for (int i = 0; (n = rewrite_reader(r, lse, i)); i++) {
        if (n->op == &op_token_loss)
            c->loss = n;
        else if (n->op == &op_token_loss_grad)
            c->loss_grad = n;
        else if (n->op == &op_head_grad)
            c->grad = n;
        else
            return false;
    }
    if (c->loss && (c->loss->attr[TOKEN_LOSS_SMOOTHING] != 0 || c->loss->attr[TOKEN_LOSS_Z] != 0))
        return false; /* gradients of rows differ: head_loss knows one kind */
    if (!c->loss || stats->out[HEAD_STATS_BEST] || stats->out[HEAD_STATS_MEAN] ||
        stats->out[HEAD_STATS_LOGITS] || rewrite_reader_count(r, target) != 1)
        return false;
    if (!c->grad)
        return !c->loss_grad;
    if (!c->loss_grad || c->loss_grad->in[TOKEN_LOSS_GRAD_DLOSS]->producer->op != &op_fill)
        return false;
    for (int i = HEAD_STATS_X; i <= HEAD_STATS_LABELS; i++)
        if (!lies_alike(c->grad->in[i], stats->in[i]))
            return false; /* one has the vocabulary whole, the other a share of it */
    for (int j = HEAD_GRAD_DX; j <= HEAD_GRAD_DBIAS; j++)
        if (c->grad->out[j] && c->grad->out[j]->into && !rewrite_precedes(r, c->grad->out[j]->into, stats))
            return false; /* another node adds to that gradient before */
    c->seed = c->loss_grad->in[TOKEN_LOSS_GRAD_DLOSS]->producer;
    return c->seed->attr[FILL_VALUE] == 1 && c->grad->in[HEAD_GRAD_DLSE]->producer == c->loss_grad &&
           c->grad->in[HEAD_GRAD_DTARGET]->producer == c->loss_grad;
}

static void fuse(struct rewrite *r, struct node *n)
{
    struct chain c;

    if (!find_chain(r, n, &c))
        return;
    n->op = &op_head_loss;
    n->nout = HEAD_LOSS_DBIAS + 1;
    n->out[HEAD_STATS_LSE] = n->out[HEAD_STATS_TARGET] = NULL;
    rewrite_take_output(r, n, HEAD_LOSS_LOSS, c.loss->out[0]);
    n->accumulate[HEAD_LOSS_LOSS] = c.loss->accumulate[0];
    if (c.grad) {
        for (int j = HEAD_GRAD_DX; j <= HEAD_GRAD_DBIAS; j++) {
            if (!c.grad->out[j])
                continue;
            n->accumulate[HEAD_LOSS_DX + j] = c.grad->accumulate[j];
            rewrite_take_output(r, n, HEAD_LOSS_DX + j, c.grad->out[j]);
        }
        rewrite_remove(r, c.grad);
        rewrite_remove(r, c.loss_grad);
        if (rewrite_reader_count(r, c.seed->out[0]) == 0)
            rewrite_remove(r, c.seed);
    }
    rewrite_remove(r, c.loss);
}

const struct op_def op_head_stats = {
    .name = "head_stats",
    .inputs = { "x", "weight", "?bias", "?rows", "labels" },
    .outputs = { "lse", "target", "?best", "?mean", "?logits" },
    .attrs = { { "out_first", 1 }, { "kept", 0 } },
    .keeps_f32 = 1 << HEAD_STATS_LOGITS,
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .fuse = fuse,
};

/* ---- Gradient ---- */

static int infer_grad(const struct node *n, struct tensor out[])
{
    out[HEAD_GRAD_DX] = *n->in[HEAD_STATS_X];
    out[HEAD_GRAD_DWEIGHT] = *n->in[HEAD_STATS_WEIGHT];
    if (n->in[HEAD_STATS_BIAS])
        out[HEAD_GRAD_DBIAS] = *n->in[HEAD_STATS_BIAS];
    out[HEAD_GRAD_DLOGITS] = kept_logits(n);
    return OK;
}

static void shard_grad(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    int v = vocab_dim(n);

    (void)have;
    if (r->axis == AXIS_DP)
        shard_rules_add(r, n,
                        (struct placement[]){ ON_SHARD(0), ON_ALL, ON_ALL, ON_SHARD(0), ON_SHARD(0),
                                              ON_SHARD(0), ON_SHARD(0), ON_SHARD(0), ON_SHARD(0),
                                              ON_SHARD(0) },
                        (struct placement[]){ ON_SHARD(0), ON_SUM, ON_SUM, ON_SHARD(0) }, true);
    else
        shard_rules_add(r, n,
                        (struct placement[]){ ON_ALL, ON_SHARD(v), ON_SHARD(0), ON_ALL, ON_ALL, ON_ALL,
                                              ON_ALL, ON_ALL, ON_ALL, ON_SHARD(1) },
                        (struct placement[]){ ON_SUM, ON_SHARD(v), ON_SHARD(0), ON_SHARD(1) }, true);
}

static struct op_cost cost_grad(const struct node *n)
{
    struct op_cost c = cost(n);
    double rows = (double)tensor_rows(n->in[HEAD_STATS_LABELS]),
           again = n->attr[HEAD_KEPT] < rows ? 1 - n->attr[HEAD_KEPT] / rows : 0;

    return (struct op_cost){ .flops = (2 + again) * c.flops, .bytes = (2 + again) * c.bytes };
}

const struct op_def op_head_grad = {
    .name = "head_grad",
    .inputs = { "x", "weight", "?bias", "?rows", "labels", "lse", "dlse", "dtarget", "?dmean", "?logits" },
    .outputs = { "dx", "?dweight", "?dbias", "?dlogits" },
    .attrs = { { "out_first", 1 }, { "kept", 0 } },
    .infer = infer_grad,
    .no_gradient = true,
    .shard = shard_grad,
    .cost = cost_grad,
};

/* ---- Loss of the rows ---- */

static int infer_loss(const struct node *n, struct tensor out[])
{
    (void)n;
    out[0] = scalar_of(DT_F64);
    return OK;
}

static void grad_loss(struct builder *b, const struct node *n, struct tensor *const dout[],
                      struct tensor *din[], const bool wants[])
{
    struct tensor *const in[] = { dout[0], n->in[TOKEN_LOSS_LSE] };
    const double *attr = n->attr;
    struct node *g =
        graph_node(b, &op_token_loss_grad, 2, in,
                   (struct attr_value[]){
                       { "smoothing", attr[TOKEN_LOSS_SMOOTHING] }, { "z", attr[TOKEN_LOSS_Z] }, { 0 } });

    (void)wants;
    if (n->in[TOKEN_LOSS_MEAN])
        node_want(b, g, TOKEN_LOSS_GRAD_DMEAN);
    din[TOKEN_LOSS_MEAN] = output_of(g, TOKEN_LOSS_GRAD_DMEAN);
    din[TOKEN_LOSS_LSE] = output_of(g, TOKEN_LOSS_GRAD_DLSE);
    din[TOKEN_LOSS_TARGET] = output_of(g, TOKEN_LOSS_GRAD_DTARGET);
}

static void shard_loss(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0), ON_SHARD(0) },
                    (struct placement[]){ ON_SUM }, true);
}

static struct op_cost cost_rows(const struct node *n)
{
    return (struct op_cost){ .bytes = 8.0 * (double)tensor_rows(n->in[1]) };
}

const struct op_def op_token_loss = {
    .name = "token_loss",
    .inputs = { "lse", "target", "?mean" },
    .outputs = { "loss" },
    .attrs = { { "smoothing", 0 }, { "z", 0 } },
    .infer = infer_loss,
    .grad = grad_loss,
    .shard = shard_loss,
    .cost = cost_rows,
};

static int infer_loss_grad(const struct node *n, struct tensor out[])
{
    for (int j = TOKEN_LOSS_GRAD_DLSE; j <= TOKEN_LOSS_GRAD_DMEAN; j++)
        out[j] = *n->in[TOKEN_LOSS_GRAD_LIKE];
    return OK;
}

static void shard_loss_grad(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(r, n, (struct placement[]){ ON_ALL, ON_SHARD(0) },
                    (struct placement[]){ ON_SHARD(0), ON_SHARD(0), ON_SHARD(0) }, true);
}

const struct op_def op_token_loss_grad = {
    .name = "token_loss_grad",
    .inputs = { "dloss", "like" },
    .outputs = { "dlse", "dtarget", "?dmean" },
    .attrs = { { "smoothing", 0 }, { "z", 0 } },
    .infer = infer_loss_grad,
    .no_gradient = true,
    .shard = shard_loss_grad,
    .cost = cost_rows,
};

/* ---- All in one, made by fuse ---- */

static int infer_all(const struct node *n, struct tensor out[])
{
    out[HEAD_LOSS_LOSS] = scalar_of(DT_F64);
    out[HEAD_LOSS_DX] = *n->in[HEAD_STATS_X];
    out[HEAD_LOSS_DWEIGHT] = *n->in[HEAD_STATS_WEIGHT];
    if (n->in[HEAD_STATS_BIAS])
        out[HEAD_LOSS_DBIAS] = *n->in[HEAD_STATS_BIAS];
    return OK;
}

static struct op_cost cost_all(const struct node *n)
{
    struct op_cost c = cost(n);
    double passes = n->out[HEAD_LOSS_DX] ? 3 : 1;

    return (struct op_cost){ .flops = passes * c.flops, .bytes = passes * c.bytes };
}

const struct op_def op_head_loss = {
    .name = "head_loss",
    .inputs = { "x", "weight", "?bias", "?rows", "labels" },
    .outputs = { "loss", "?dx", "?dweight", "?dbias" },
    .attrs = { { "out_first", 1 } },
    .infer = infer_all,
    .no_gradient = true,
    .cost = cost_all,
};

struct tensor *head_loss_with(struct builder *b, struct tensor *x, const struct head *head,
                              struct tensor *rows, struct tensor *labels, const struct head_loss_options *o)
{
    struct tensor *const in[] = { x, head->weight, head->bias, rows, labels };
    struct node *stats = graph_node(b, &op_head_stats, 5, in,
                                    (struct attr_value[]){ { "out_first", head->out_first }, { 0 } });
    struct tensor *of_rows[] = { output_of(stats, HEAD_STATS_LSE), output_of(stats, HEAD_STATS_TARGET),
                                 NULL };
    const struct attr_value attrs[] = { { "smoothing", o->smoothing }, { "z", o->z }, { 0 } };

    if (stats && o->scores) {
        node_want(b, stats, HEAD_STATS_BEST);
        o->scores->target = stats->out[HEAD_STATS_TARGET];
        o->scores->best = stats->out[HEAD_STATS_BEST];
    }
    if (stats && o->smoothing > 0) {
        node_want(b, stats, HEAD_STATS_MEAN);
        of_rows[TOKEN_LOSS_MEAN] = stats->out[HEAD_STATS_MEAN];
    }
    return output_of(graph_node(b, &op_token_loss, 3, of_rows, attrs), 0);
}

struct tensor *head_loss(struct builder *b, struct tensor *x, const struct head *head, struct tensor *rows,
                         struct tensor *labels)
{
    return head_loss_with(b, x, head, rows, labels, &(struct head_loss_options){ 0 });
}
