#include "lib/ops.h"

struct head_form {
    int64_t rows, width, vocab, labelled;
    const int64_t *row, *label; /* NULL: every row, labels of all sorts */
    bool out_first, bias, adds;
    unsigned wants; /* bits of optional outputs */
    bool every;     /* x has labelled rows alone */
    bool smooth;    /* with a gradient of the mean */
};

/* The five inputs; returns the dim of labels. */
static struct dim head_inputs(struct ops_case *c, const struct head_form *f, struct tensor *in[])
{
    struct dim rows = ops_rows(c, f->rows), labels;
    int64_t row[1024], label[1024];

    for (int64_t i = 0; i < f->labelled; i++) {
        row[i] = f->row ? f->row[i] : i;
        label[i] = f->label ? f->label[i] : i * 31 % f->vocab;
    }
    in[HEAD_STATS_X] = ops_value(c, SHAPE(rows, FIX(f->width)));
    in[HEAD_STATS_WEIGHT] = ops_param(c, f->out_first ? SHAPE(FIX(f->vocab), FIX(f->width))
                                                      : SHAPE(FIX(f->width), FIX(f->vocab)));
    in[HEAD_STATS_BIAS] = f->bias ? ops_param(c, SHAPE(FIX(f->vocab))) : NULL;
    if (f->every) {
        in[HEAD_STATS_ROWS] = NULL;
        labels = rows;
    } else {
        in[HEAD_STATS_ROWS] = ops_row_index(c, f->labelled, row, &labels);
    }
    in[HEAD_STATS_LABELS] = ops_ints(c, DT_I32, SHAPE(labels), label);
    c->large = f->vocab > 100;
    return labels;
}

/* ---- head_stats ---- */

static void build_head_stats(struct ops_case *c)
{
    const struct head_form *f = c->with;
    struct tensor *in[5];

    head_inputs(c, f, in);
    c->probes = 1 << HEAD_STATS_LSE | 1 << HEAD_STATS_TARGET | (f->wants & 1 << HEAD_STATS_MEAN);
    ops_under_test(c, graph_node(&c->b, &op_head_stats, 5, in, ATTRS({ "out_first", f->out_first })),
                   f->wants);
}

static void build_lse_alone(struct ops_case *c) /* a loss may read one output of the two */
{
    build_head_stats(c);
    c->probes = 1 << HEAD_STATS_LSE;
}

static void build_target_alone(struct ops_case *c)
{
    build_head_stats(c);
    c->probes = 1 << HEAD_STATS_TARGET;
}

static const struct ops_case_def list_head_stats[] = {
    { "plain", build_head_stats,
      &(struct head_form){ 6, 5, 7, 4, (const int64_t[]){ 0, 2, 3, 5 }, (const int64_t[]){ 6, 0, 3, 3 }, true,
                           false, .wants = 1 << HEAD_STATS_BEST } },
    { "in_first", build_head_stats,
      &(struct head_form){ 5, 4, 6, 3, (const int64_t[]){ 1, 2, 4 }, (const int64_t[]){ 5, 1, 2 }, false,
                           true } },
    { "bias", build_head_stats,
      &(struct head_form){ 4, 3, 9, 4, (const int64_t[]){ 0, 1, 2, 3 }, (const int64_t[]){ 8, 4, 0, 2 }, true,
                           true } },
    { "every_row", build_head_stats, &(struct head_form){ 5, 4, 6, 5, .bias = true, .every = true } },
    { "mean", build_head_stats,
      &(struct head_form){ 4, 3, 7, 3, (const int64_t[]){ 0, 1, 3 }, (const int64_t[]){ 6, 4, 0 }, true, true,
                           .wants = 1 << HEAD_STATS_MEAN } },
    { "lse_alone", build_lse_alone,
      &(struct head_form){ 3, 4, 5, 2, (const int64_t[]){ 0, 2 }, (const int64_t[]){ 4, 1 }, true, true } },
    { "target_alone", build_target_alone,
      &(struct head_form){ 3, 4, 5, 2, (const int64_t[]){ 1, 2 }, (const int64_t[]){ 0, 3 }, false, true } },
    { "no_labels", build_head_stats,
      &(struct head_form){ 4, 3, 5, 0, .out_first = true, .wants = 1 << HEAD_STATS_BEST } },
    { "large", build_head_stats, &(struct head_form){ 70, 77, 1003, 70, .out_first = true, .bias = true } },
    { "large_in_first", build_head_stats,
      &(struct head_form){ 40, 33, 517, 33, .wants = 1 << HEAD_STATS_BEST | 1 << HEAD_STATS_MEAN } },
    { 0 },
};

/* stats and token_loss with and without the gradient become head_loss */
static void chain(struct ops_case *c)
{
    const struct head_form *f = c->with;
    struct tensor *in[5];
    struct head head = { .out_first = f->out_first };

    head_inputs(c, f, in);
    head.weight = in[HEAD_STATS_WEIGHT];
    head.bias = in[HEAD_STATS_BIAS];
    c->node = head_loss(&c->b, in[HEAD_STATS_X], &head, in[HEAD_STATS_ROWS], in[HEAD_STATS_LABELS])->producer;
}

static const struct ops_case_def fuses[] = {
    { "loss", chain,
      &(struct head_form){ 6, 5, 7, 4, (const int64_t[]){ 0, 2, 3, 5 }, (const int64_t[]){ 6, 0, 3, 3 }, true,
                           true } },
    { "loss_every_row", chain, &(struct head_form){ 5, 4, 6, 5, .every = true } },
    { "loss_in_first", chain,
      &(struct head_form){ 5, 4, 6, 3, (const int64_t[]){ 1, 2, 4 }, (const int64_t[]){ 5, 1, 2 }, false,
                           false } },
    { 0 },
};

const struct op_cases cases_head_stats = {
    .tolerance = 1e-4, .matmul = true, .cases = list_head_stats, .fuses = fuses
};

/* ---- head_grad ---- */

static void build_head_grad(struct ops_case *c)
{
    const struct head_form *f = c->with;
    struct tensor *in[HEAD_GRAD_DMEAN + 1];
    struct dim labels = head_inputs(c, f, in);
    struct node *stats = graph_node(&c->b, &op_head_stats, 5, in, ATTRS({ "out_first", f->out_first }));

    in[HEAD_GRAD_LSE] = stats->out[HEAD_STATS_LSE];
    in[HEAD_GRAD_DLSE] = ops_value(c, SHAPE(labels));
    in[HEAD_GRAD_DTARGET] = ops_value(c, SHAPE(labels));
    in[HEAD_GRAD_DMEAN] = f->smooth ? ops_value(c, SHAPE(labels)) : NULL;
    ops_under_test(
        c, graph_node(&c->b, &op_head_grad, HEAD_GRAD_DMEAN + 1, in, ATTRS({ "out_first", f->out_first })),
        f->wants);
    for (int j = HEAD_GRAD_DWEIGHT; f->adds && j <= HEAD_GRAD_DBIAS; j++)
        if (c->node->out[j])
            ops_accumulate(c, j);
}

enum { DWEIGHT = 1 << HEAD_GRAD_DWEIGHT, DBIAS = 1 << HEAD_GRAD_DBIAS };

static const struct ops_case_def list_head_grad[] = {
    { "plain", build_head_grad,
      &(struct head_form){ 6, 5, 7, 4, (const int64_t[]){ 0, 2, 3, 5 }, (const int64_t[]){ 6, 0, 3, 3 }, true,
                           false, .wants = DWEIGHT } },
    { "in_first", build_head_grad,
      &(struct head_form){ 5, 4, 6, 3, (const int64_t[]){ 1, 2, 4 }, (const int64_t[]){ 5, 1, 2 }, false,
                           true, true, DWEIGHT | DBIAS } },
    { "twice", build_head_grad, /* two labels of one row */
      &(struct head_form){ 4, 3, 9, 4, (const int64_t[]){ 0, 1, 1, 3 }, (const int64_t[]){ 8, 4, 0, 2 }, true,
                           true, true, DWEIGHT | DBIAS } },
    { "every_row", build_head_grad,
      &(struct head_form){ 5, 4, 6, 5, .out_first = true, .bias = true, .wants = DWEIGHT | DBIAS,
                           .every = true } },
    { "frozen", build_head_grad,
      &(struct head_form){ 4, 3, 5, 2, (const int64_t[]){ 0, 3 }, (const int64_t[]){ 4, 1 }, true, false } },
    { "no_labels", build_head_grad, &(struct head_form){ 4, 3, 5, 0, .out_first = true, .wants = DWEIGHT } },
    { "large", build_head_grad,
      &(struct head_form){ 70, 77, 1003, 70, .out_first = true, .bias = true, .adds = true,
                           .wants = DWEIGHT | DBIAS } },
    { "smooth", build_head_grad,
      &(struct head_form){ 6, 5, 7, 4, (const int64_t[]){ 0, 2, 3, 5 }, (const int64_t[]){ 6, 0, 3, 3 }, true,
                           true, true, DWEIGHT | DBIAS, .smooth = true } },
    { "large_in_first", build_head_grad,
      &(struct head_form){ 40, 33, 517, 33, .wants = DWEIGHT, .smooth = true } },
    { 0 },
};

const struct op_cases cases_head_grad = { .tolerance = 1e-4, .matmul = true, .cases = list_head_grad };

/* ---- head_loss ---- */

static void build_head_loss(struct ops_case *c)
{
    const struct head_form *f = c->with;
    struct tensor *in[5];

    head_inputs(c, f, in);
    c->no_gradient = true;
    ops_under_test(c, graph_node(&c->b, &op_head_loss, 5, in, ATTRS({ "out_first", f->out_first })),
                   f->wants);
    for (int j = HEAD_LOSS_LOSS; f->adds && j <= HEAD_LOSS_DBIAS; j++)
        if (j != HEAD_LOSS_DX && c->node->out[j])
            ops_accumulate(c, j);
}

enum { X = 1 << HEAD_LOSS_DX, WEIGHT = 1 << HEAD_LOSS_DWEIGHT, BIAS = 1 << HEAD_LOSS_DBIAS };

static const struct ops_case_def list_head_loss[] = {
    { "loss", build_head_loss,
      &(struct head_form){ 6, 5, 7, 4, (const int64_t[]){ 0, 2, 3, 5 }, (const int64_t[]){ 6, 0, 3, 3 }, true,
                           true } },
    { "plain", build_head_loss,
      &(struct head_form){ 6, 5, 7, 4, (const int64_t[]){ 0, 2, 3, 5 }, (const int64_t[]){ 6, 0, 3, 3 }, true,
                           false, .wants = X | WEIGHT } },
    { "in_first", build_head_loss,
      &(struct head_form){ 5, 4, 6, 3, (const int64_t[]){ 1, 2, 4 }, (const int64_t[]){ 5, 1, 2 }, false,
                           true, true, X | WEIGHT | BIAS } },
    { "every_row", build_head_loss, &(struct head_form){ 5, 4, 6, 5, .wants = X | WEIGHT, .every = true } },
    { "frozen", build_head_loss,
      &(struct head_form){ 4, 3, 5, 2, (const int64_t[]){ 0, 3 }, (const int64_t[]){ 4, 1 }, true, false,
                           .wants = X } },
    { "no_labels", build_head_loss,
      &(struct head_form){ 4, 3, 5, 0, .out_first = true, .wants = X | WEIGHT } },
    { "large", build_head_loss,
      &(struct head_form){ 70, 77, 1003, 70, .out_first = true, .bias = true, .adds = true,
                           .wants = X | WEIGHT | BIAS } },
    { "large_in_first", build_head_loss, &(struct head_form){ 40, 33, 517, 33, .wants = X | WEIGHT } },
    { 0 },
};

const struct op_cases cases_head_loss = { .tolerance = 1e-4, .matmul = true, .cases = list_head_loss };

/* ---- token_loss ---- */

static void build_token_loss(struct ops_case *c)
{
    const int64_t *count = c->with;
    struct dim rows = ops_rows(c, *count);
    struct tensor *in[] = { ops_value(c, SHAPE(rows)), ops_value(c, SHAPE(rows)) };

    c->large = *count > 100;
    ops_under_test(c, graph_node(&c->b, &op_token_loss, 2, in, NULL), 0);
}

static void build_smooth_loss(struct ops_case *c)
{
    struct dim rows = ops_rows(c, 5);
    struct tensor *in[] = { ops_value(c, SHAPE(rows)), ops_value(c, SHAPE(rows)), ops_value(c, SHAPE(rows)) };

    c->node = graph_node(&c->b, &op_token_loss, 3, in, ATTRS({ "smoothing", 0.1 }, { "z", 0.02 }));
    ops_under_test(c, c->node, 0);
}

static void adds_token_loss(struct ops_case *c) /* over microbatches */
{
    build_token_loss(c);
    c->no_gradient = true;
    ops_accumulate(c, 0);
}

static const struct ops_case_def list_token_loss[] = {
    { "plain", build_token_loss, &(int64_t){ 7 } },    { "smooth", build_smooth_loss, NULL },
    { "adds", adds_token_loss, &(int64_t){ 3 } },      { "empty", build_token_loss, &(int64_t){ 0 } },
    { "large", build_token_loss, &(int64_t){ 5000 } }, { 0 },
};

const struct op_cases cases_token_loss = { .tolerance = 1e-12, .cases = list_token_loss };

/* ---- token_loss_grad ---- */

static void build_token_loss_grad(struct ops_case *c)
{
    const int64_t *count = c->with;
    struct tensor *in[] = { ops_double(c, SCALAR), ops_value(c, SHAPE(ops_rows(c, *count))) };

    ops_under_test(c, graph_node(&c->b, &op_token_loss_grad, 2, in, NULL), 0);
}

static void build_smooth_grad(struct ops_case *c)
{
    struct tensor *in[] = { ops_double(c, SCALAR), ops_value(c, SHAPE(ops_rows(c, 4))) };

    ops_under_test(c,
                   graph_node(&c->b, &op_token_loss_grad, 2, in, ATTRS({ "smoothing", 0.1 }, { "z", 0.02 })),
                   1 << TOKEN_LOSS_GRAD_DMEAN);
}

static const struct ops_case_def list_token_loss_grad[] = {
    { "smooth", build_smooth_grad, NULL },
    { "plain", build_token_loss_grad, &(int64_t){ 7 } },
    { "empty", build_token_loss_grad, &(int64_t){ 0 } },
    { 0 }
};

const struct op_cases cases_token_loss_grad = { .cases = list_token_loss_grad };
