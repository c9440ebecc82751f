/* head -- logits of labelled rows, their cross-entropy and its gradient, in chunks of rows: never more than a
 * chunk of logits. A chunk's logits lie turned, (V, rows): the weight, which is by far the largest operand,
 * is then the A of every product, is read once from memory for each and never packed; and a vector holds as
 * many rows, so that softmax needs no sums across lanes. With x the chunk's gathered rows (rows, D) and
 * W (V, D):
 *
 *     logits = W x^T    statistics    dlogits in place of logits    dW += dlogits x    dx^T = W^T dlogits
 *
 * Entries of the vocabulary that are padding are taken as -infinity. */
#include <math.h>

#include "base/parallel.h"
#include "cpu/gemm.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/transpose.h"

/* Rows of a chunk: as many as make about 56 MB of logits. Entries of the vocabulary in one tile of softmax.
 */
enum { CHUNK_FLOATS = 14 << 20, LEAST_ROWS = 32, MOST_ROWS = 512, ROW_UNIT = 16, TILE = 128 };

struct chunk {
    const struct kernel_args *args;
    int64_t vocab, width, valid, first;  /* of this share: V, D, entries that are no padding, its first */
    int64_t whole;                       /* V of all ranks */
    int64_t labelled, begin, rows, step; /* R; the chunk: first, count; floats from entry to entry */
    float *x, *dx, *logits;              /* (rows, D), (D, step), (V, step) */
    float *kept, *space;                 /* logits that are kept (NULL: none), and where others are made */
    float *lse, *target, *best, *mean;   /* (step) */
    float *dlse, *dtarget, *dmean;       /* (step); dmean: by entry */
    float *most, *sum;                   /* (tiles of V, step) */
    void *products;                      /* workspace of gemm */
    bool out_first, keeps_all, is_kept;
};

static int64_t rounded_up(int64_t n, int64_t unit)
{
    return ceil_div(n, unit) * unit;
}

/* Depends on the shape alone; grows with labelled. */
static int64_t chunk_rows(int64_t labelled, int64_t vocab)
{
    int64_t most = CHUNK_FLOATS / (vocab > 0 ? vocab : 1) / ROW_UNIT * ROW_UNIT;

    most = most < LEAST_ROWS ? LEAST_ROWS : most > MOST_ROWS ? MOST_ROWS : most;
    return labelled <= most ? rounded_up(labelled, ROW_UNIT)
                            : rounded_up(ceil_div(labelled, ceil_div(labelled, most)), ROW_UNIT);
}

static int64_t most_rows(int64_t vocab)
{
    return chunk_rows(INT64_MAX / 2, vocab);
}

/* There is room for the logits of all rows, each chunk's number of them rounded up. */
static bool keeps_all(const struct node *n, int64_t vocab)
{
    int64_t rows = tensor_rows(n->in[HEAD_STATS_LABELS]);

    return n->op != &op_head_loss &&
           n->attr[HEAD_KEPT] >= (double)(rows + ROW_UNIT * ceil_div(rows, most_rows(vocab)));
}

/* ---- Workspace ---- */

/* Cuts `floats` off the space at *at (NULL: only counts) */
static float *cut(char **at, int64_t *total, int64_t floats)
{
    int64_t bytes = rounded_up(floats * (int64_t)sizeof(float), 64);
    float *p = (float *)(void *)*at;

    *total += bytes;
    if (*at)
        *at += bytes;
    return p;
}

/* Lays c's buffers out for chunks of c->step rows; returns the bytes. */
static int64_t lay_out(struct chunk *c, void *space)
{
    float **const vectors[] = { &c->lse, &c->target, &c->best, &c->mean, &c->dlse, &c->dtarget, &c->dmean };
    int64_t total = 0, tiles = ceil_div(c->vocab, TILE);
    char *at = space;

    c->x = cut(&at, &total, c->step * c->width);
    c->dx = cut(&at, &total, c->step * c->width);
    c->space = cut(&at, &total, c->keeps_all ? 0 : c->step * c->vocab);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        *vectors[i] = cut(&at, &total, c->step);
    c->most = cut(&at, &total, c->step * tiles);
    c->sum = cut(&at, &total, c->step * tiles);
    c->products = cut(&at, &total, 0);
    return total;
}

static int64_t most_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *weight = n->in[HEAD_STATS_WEIGHT];
    int v = n->attr[HEAD_OUT_FIRST] != 0 ? 0 : 1;
    struct chunk c = { .vocab = tensor_local_dim(weight, v, mesh),
                       .width = tensor_local_dim(weight, 1 - v, mesh) };
    int64_t labelled = tensor_local_dim(n->in[HEAD_STATS_LABELS], 0, mesh), products;

    c.keeps_all = keeps_all(n, c.vocab);
    c.step = most_rows(c.vocab);
    c.step = labelled < c.step ? rounded_up(labelled, ROW_UNIT) : c.step;
    products = most_of(gemm_workspace(c.vocab, c.step, c.width), gemm_workspace(c.width, c.step, c.vocab));
    products = most_of(products, v == 0 ? gemm_workspace(c.vocab, c.width, c.step)
                                        : gemm_workspace(c.width, c.vocab, c.step));
    return lay_out(&c, NULL) + products;
}

static struct chunk chunk_of(const struct kernel_args *a)
{
    const struct view *weight = &a->in[HEAD_STATS_WEIGHT];
    struct chunk c = { .args = a, .out_first = a->node->attr[HEAD_OUT_FIRST] != 0 };
    int v = c.out_first ? 0 : 1;

    c.vocab = weight->dim[v];
    c.width = weight->dim[1 - v];
    c.first = weight->first[v];
    c.whole = weight->whole[v];
    c.valid = c.whole - c.first;
    c.valid = c.valid < 0 ? 0 : c.valid < c.vocab ? c.valid : c.vocab;
    c.labelled = view_rows(&a->in[HEAD_STATS_LABELS]);
    c.step = chunk_rows(c.labelled, c.vocab);
    c.keeps_all = keeps_all(a->node, c.vocab);
    lay_out(&c, a->workspace);
    return c;
}

static int64_t row_of(const struct chunk *c, int64_t r)
{
    const int32_t *rows = c->args->in[HEAD_STATS_ROWS].data;

    return rows ? rows[c->begin + r] : c->begin + r;
}

/* In this share when 0 <= it < valid. */
static int64_t label_of(const struct chunk *c, int64_t r)
{
    return ((const int32_t *)c->args->in[HEAD_STATS_LABELS].data)[c->begin + r] - c->first;
}

static float bias_of(const struct chunk *c, int64_t v)
{
    const float *bias = c->args->in[HEAD_STATS_BIAS].data;

    return bias ? bias[v] : 0;
}

/* ---- Logits and their statistics ---- */

static void make_logits(struct chunk *c)
{
    struct gemm g = { .m = c->vocab, .n = c->rows, .k = c->width };

    g.a = c->args->in[HEAD_STATS_WEIGHT].data;
    g.a_turned = !c->out_first;
    g.a_step = c->out_first ? c->width : c->vocab;
    g.b = c->x;
    g.b_turned = true;
    g.b_step = c->width;
    g.c = c->logits;
    g.c_step = c->step;
    g.workspace = c->products;
    ISA(gemm)(&g);
}

/* most and sum of exp(logit - most), for each row, over one tile of the vocabulary. */
static void stats_tile(void *context, int64_t tile)
{
    const struct chunk *c = context;
    int64_t from = tile * TILE, to = from + TILE < c->valid ? from + TILE : c->valid;
    float *most = c->most + tile * c->step, *sum = c->sum + tile * c->step;

    for (int64_t r = 0; r < c->step; r += LANES) {
        vec_store(most + r, vec_set(-INFINITY));
        vec_store(sum + r, vec_zero());
    }
    for (int64_t v = from; v < to; v++) {
        vec bias = vec_set(bias_of(c, v));
        for (int64_t r = 0; r < c->step; r += LANES)
            vec_store(most + r, vec_max(vec_load(most + r), vec_load(c->logits + v * c->step + r) + bias));
    }
    for (int64_t v = from; v < to; v++) {
        vec bias = vec_set(bias_of(c, v));
        for (int64_t r = 0; r < c->step; r += LANES) {
            vec e = vec_exp(vec_load(c->logits + v * c->step + r) + bias - vec_load(most + r));
            vec_store(sum + r, vec_load(sum + r) + e);
        }
    }
}

/* ROW_UNIT rows: their tiles together, in order. */
static void combine_tile(void *context, int64_t tile)
{
    const struct chunk *c = context;
    int64_t tiles = ceil_div(c->valid, TILE), start = tile * ROW_UNIT, stop = start + ROW_UNIT;

    for (int64_t r = start; r < stop; r += LANES) {
        vec most = vec_set(-INFINITY), sum = vec_zero();
        for (int64_t t = 0; t < tiles; t++)
            most = vec_max(most, vec_load(c->most + t * c->step + r));
        for (int64_t t = 0; t < tiles; t++)
            sum += vec_exp(vec_load(c->most + t * c->step + r) - most) * vec_load(c->sum + t * c->step + r);
        vec_store(c->best + r, most);
        vec_store(c->lse + r, sum);
    }
    for (int64_t r = start; r < stop && r < c->rows; r++) {
        int64_t label = label_of(c, r);
        c->lse[r] = c->valid > 0 ? (float)(c->best[r] + log(c->lse[r])) : -INFINITY;
        c->target[r] = 0;
        if (label >= 0 && label < c->valid)
            c->target[r] = c->logits[label * c->step + r] + bias_of(c, label);
    }
}

/* ROW_UNIT rows: means of their logits. */
static void mean_tile(void *context, int64_t tile)
{
    const struct chunk *c = context;
    double sum[ROW_UNIT] = { 0 };

    for (int64_t v = 0; v < c->valid; v++) {
        const float *logits = c->logits + v * c->step + tile * ROW_UNIT;
        float bias = bias_of(c, v);
        for (int r = 0; r < ROW_UNIT; r++)
            sum[r] += (double)logits[r] + bias;
    }
    for (int r = 0; r < ROW_UNIT; r++)
        c->mean[tile * ROW_UNIT + r] = (float)(sum[r] / (double)c->whole);
}

static void make_stats(struct chunk *c)
{
    parallel_for(ceil_div(c->valid, TILE), stats_tile, c);
    parallel_for(ceil_div(c->rows, ROW_UNIT), combine_tile, c);
}

/* ---- Gradients: of the logits in their place, then of the weight and of x ---- */

static void gradient_tile(void *context, int64_t tile)
{
    const struct chunk *c = context;
    int64_t from = tile * TILE, to = from + TILE < c->vocab ? from + TILE : c->vocab;

    for (int64_t v = from; v < to; v++) {
        float *logits = c->logits + v * c->step;
        vec bias = vec_set(bias_of(c, v));
        for (int64_t r = 0; r < c->step; r += LANES) {
            vec d = vec_zero();
            if (v < c->valid)
                d = vec_exp(vec_load(logits + r) + bias - vec_load(c->lse + r)) * vec_load(c->dlse + r) +
                    vec_load(c->dmean + r);
            vec_store(logits + r, d);
        }
    }
    for (int64_t r = 0; r < c->rows; r++) {
        int64_t label = label_of(c, r);
        if (label >= from && label < to && label < c->valid)
            c->logits[label * c->step + r] += c->dtarget[r];
    }
}

/* The bias' gradient: sums over rows */
struct bias_grad {
    const struct chunk *c;
    float *to;
    bool add;
};

static void bias_tile(void *context, int64_t tile)
{
    const struct bias_grad *b = context;
    const struct chunk *c = b->c;

    for (int64_t v = tile * TILE; v < (tile + 1) * TILE && v < c->vocab; v++) {
        vec sum = vec_zero();
        for (int64_t r = 0; r < c->rows; r += LANES)
            sum += vec_first(vec_load(c->logits + v * c->step + r), c->rows - r);
        b->to[v] = (b->add ? b->to[v] : 0) + vec_sum(sum);
    }
}

static void add_dweight(const struct chunk *c, float *to, bool add)
{
    struct gemm g = { .k = c->rows, .c = to, .add = add, .workspace = c->products };

    g.m = c->out_first ? c->vocab : c->width;
    g.n = c->out_first ? c->width : c->vocab;
    g.c_step = g.n;
    g.a = c->out_first ? c->logits : c->x;
    g.a_turned = !c->out_first;
    g.a_step = c->out_first ? c->step : c->width;
    g.b = c->out_first ? c->x : c->logits;
    g.b_turned = !c->out_first;
    g.b_step = c->out_first ? c->width : c->step;
    ISA(gemm)(&g);
}

/* ROW_UNIT rows of dx from their columns in c->dx. */
static void scatter_tile(void *context, int64_t tile)
{
    const struct chunk *c = context;
    float *dx = c->args->out[c->args->node->op == &op_head_loss ? (int)HEAD_LOSS_DX : (int)HEAD_GRAD_DX].data;
    int64_t stop = (tile + 1) * ROW_UNIT;

    for (int64_t r = tile * ROW_UNIT; r < stop && r < c->rows; r++)
        for (int64_t d = 0; d < c->width; d++)
            dx[row_of(c, r) * c->width + d] += c->dx[d * c->step + r];
}

static void add_dx(struct chunk *c)
{
    struct gemm g = { .m = c->width, .n = c->rows, .k = c->vocab };

    g.a = c->args->in[HEAD_STATS_WEIGHT].data;
    g.a_turned = c->out_first;
    g.a_step = c->out_first ? c->width : c->vocab;
    g.b = c->logits;
    g.b_step = c->step;
    g.c = c->dx;
    g.c_step = c->step;
    g.workspace = c->products;
    ISA(gemm)(&g);
    parallel_for(ceil_div(c->rows, ROW_UNIT), scatter_tile, c);
}

/* dx, dweight and dbias are outputs dx, dx + 1, dx + 2 of the node. */
static void make_gradients(struct chunk *c, int dx)
{
    const struct kernel_args *a = c->args;
    struct bias_grad bias = { c, output_data(a, dx + 2), c->begin > 0 || a->add[dx + 2] };
    float *dweight = output_data(a, dx + 1);

    parallel_for(ceil_div(c->vocab, TILE), gradient_tile, c);
    if (bias.to)
        parallel_for(ceil_div(c->vocab, TILE), bias_tile, &bias);
    if (dweight)
        add_dweight(c, dweight, c->begin > 0 || a->add[dx + 1]);
    if (output_data(a, dx))
        add_dx(c);
}

static void clear_tile(void *context, int64_t tile)
{
    const struct view *v = context;
    int64_t count = view_count(v), from = tile << 16;

    memset((float *)v->data + from, 0,
           (size_t)(count - from < 1 << 16 ? count - from : 1 << 16) * sizeof(float));
}

/* An output that only some rows are added to, or none. */
static void clear(const struct kernel_args *a, int output)
{
    if (output_data(a, output) && !a->add[output])
        parallel_for(ceil_div(view_count(&a->out[output]), 1 << 16), clear_tile,
                     (void *)(uintptr_t)&a->out[output]);
}

static void clear_gradients(const struct chunk *c, int dx)
{
    clear(c->args, dx);
    for (int j = dx + 1; j <= dx + 2 && c->labelled == 0; j++)
        clear(c->args, j);
}

/* ---- Kernels ---- */

/* With its rows of x, and the place of its logits, where they stay or are when they are kept. */
static bool next_chunk(struct chunk *c)
{
    const float *x = c->args->in[HEAD_STATS_X].data;

    c->begin += c->rows;
    c->rows = c->labelled - c->begin < c->step ? c->labelled - c->begin : c->step;
    c->is_kept = c->kept && (double)(c->begin + c->step) <= c->args->node->attr[HEAD_KEPT];
    c->logits = c->is_kept ? c->kept + c->begin * c->vocab : c->space;
    for (int64_t r = 0; r < c->rows; r++)
        memcpy(c->x + r * c->width, x + row_of(c, r) * c->width, (size_t)c->width * sizeof(float));
    return c->rows > 0;
}

static void put_rows(const struct chunk *c, int output, const float *from)
{
    float *to = output_data(c->args, output);

    if (to)
        memcpy(to + c->begin, from, (size_t)c->rows * sizeof(float));
}

static void run_stats(const struct kernel_args *a)
{
    struct chunk c = chunk_of(a);

    c.kept = output_data(a, HEAD_STATS_LOGITS);
    while (next_chunk(&c)) {
        make_logits(&c);
        make_stats(&c);
        put_rows(&c, HEAD_STATS_LSE, c.lse);
        put_rows(&c, HEAD_STATS_TARGET, c.target);
        put_rows(&c, HEAD_STATS_BEST, c.best);
        if (output_data(a, HEAD_STATS_MEAN))
            parallel_for(ceil_div(c.rows, ROW_UNIT), mean_tile, &c);
        put_rows(&c, HEAD_STATS_MEAN, c.mean);
    }
}

static void run_grad(const struct kernel_args *a)
{
    struct chunk c = chunk_of(a);
    const float *dmean = input_data(a, HEAD_GRAD_DMEAN);

    c.kept = output_data(a, HEAD_GRAD_DLOGITS);
    clear_gradients(&c, HEAD_GRAD_DX);
    while (next_chunk(&c)) {
        if (!c.is_kept)
            make_logits(&c);
        memset(c.dlse, 0, (size_t)c.step * sizeof(float));
        memset(c.lse, 0, (size_t)c.step * sizeof(float));
        memcpy(c.lse, (float *)a->in[HEAD_GRAD_LSE].data + c.begin, (size_t)c.rows * sizeof(float));
        memcpy(c.dlse, (float *)a->in[HEAD_GRAD_DLSE].data + c.begin, (size_t)c.rows * sizeof(float));
        memcpy(c.dtarget, (float *)a->in[HEAD_GRAD_DTARGET].data + c.begin, (size_t)c.rows * sizeof(float));
        memset(c.dmean, 0, (size_t)c.step * sizeof(float));
        for (int64_t r = 0; dmean && r < c.rows; r++)
            c.dmean[r] = dmean[c.begin + r] / (float)c.whole;
        make_gradients(&c, HEAD_GRAD_DX);
    }
}

static void run_loss(const struct kernel_args *a)
{
    struct chunk c = chunk_of(a);
    double loss = 0, *out = output_data(a, HEAD_LOSS_LOSS);
    bool gradients = false;

    for (int j = HEAD_LOSS_DX; j <= HEAD_LOSS_DBIAS; j++)
        gradients = gradients || output_data(a, j);
    clear_gradients(&c, HEAD_LOSS_DX);
    for (int64_t r = 0; r < c.step; r++) {
        c.dlse[r] = 1;
        c.dtarget[r] = -1;
        c.dmean[r] = 0;
    }
    while (next_chunk(&c)) {
        make_logits(&c);
        make_stats(&c);
        for (int64_t r = 0; r < c.rows; r++)
            loss += (double)c.lse[r] - c.target[r];
        if (gradients)
            make_gradients(&c, HEAD_LOSS_DX);
    }
    if (out)
        *out = a->add[HEAD_LOSS_LOSS] ? *out + loss : loss;
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    int first = n->op == &op_head_loss ? HEAD_LOSS_DX : 0;

    for (int i = 0; i < n->nin; i++)
        if (n->in[i] && i != HEAD_STATS_ROWS && i != HEAD_STATS_LABELS && n->in[i]->dtype != DT_F32)
            return "an input is not fp32";
    for (int j = first; j < n->nout; j++)
        if (n->out[j] && n->out[j]->dtype != DT_F32)
            return "an output is not fp32";
    return n->op == &op_head_stats ? refuse_sums(n) : NULL;
}

const struct kernel ISA(cpu_head_stats)[] = {
    { "chunks " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run_stats },
    { "reference", .refuses = ref_head_refuses, .run = ref_head_stats },
    { 0 }
};
const struct kernel ISA(cpu_head_grad)[] = {
    { "chunks " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run_grad },
    { "reference", .refuses = ref_head_refuses, .workspace = ref_head_workspace, .run = ref_head_grad },
    { 0 }
};
const struct kernel ISA(cpu_head_loss)[] = {
    { "chunks " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run_loss },
    { "reference", .workspace = ref_head_workspace, .run = ref_head_loss },
    { 0 }
};
