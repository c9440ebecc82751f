/* head -- logits of labelled rows in chunks: a chunk's rows of x are gathered, its logits are one product
 * with the weight, softmax and dlogits take their place, then dx and dW are two more products. Never more
 * than a chunk of logits. */
#include "base/parallel.h"
#include "cpu/gemm.h"
#include "cpu/ref.h"
#include "cpu/simd.h"

#include <string.h>

enum { CHUNK_BYTES = 24 << 20, MOST_ROWS = 512, LEAST_ROWS = 16 };

struct chunks {
    const struct kernel_args *args;
    int64_t width, vocab, valid; /* D, V of this share, entries of it that are not padding */
    int64_t first;               /* of the vocabulary */
    bool out_first;
    const float *weight, *bias;
    int64_t chunk;                     /* rows of a chunk at most */
    int64_t begin, rows;               /* the chunk at hand, in labelled rows */
    float *x, *logits, *scratch;       /* (chunk, D), (chunk, V) */
    const float *lse, *dlse, *dtarget; /* by labelled row; NULL: lse of the chunk itself, 1, -1 */
    double *losses;                    /* (chunk) or NULL */
};

/* A multiple of 16 rows whose logits take about CHUNK_BYTES: depends on shapes alone. */
static int64_t chunk_rows(int64_t labelled, int64_t vocab)
{
    int64_t rows = CHUNK_BYTES / 4 / (vocab > 0 ? vocab : 1) / 16 * 16;

    rows = rows > MOST_ROWS ? MOST_ROWS : rows < LEAST_ROWS ? LEAST_ROWS : rows;
    return rows < labelled ? rows : labelled;
}

static int64_t align64(int64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static int64_t gemm_bytes(int64_t chunk, int64_t vocab, int64_t width)
{
    int64_t logits = gemm_workspace(chunk, vocab, width), dx = gemm_workspace(chunk, width, vocab);
    int64_t dw = gemm_workspace(vocab, width, chunk), turned = gemm_workspace(width, vocab, chunk);
    int64_t most = logits > dx ? logits : dx;

    most = dw > most ? dw : most;
    return turned > most ? turned : most;
}

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *weight = n->in[HEAD_STATS_WEIGHT];
    int v = n->attr[HEAD_OUT_FIRST] != 0 ? 0 : 1;
    int64_t vocab = tensor_local_dim(weight, v, mesh), width = tensor_local_dim(weight, 1 - v, mesh);
    int64_t chunk = chunk_rows(tensor_local_dim(n->in[HEAD_STATS_ROWS], 0, mesh), vocab);

    (void)m;
    return align64(chunk * width * 4) + align64(chunk * vocab * 4) + align64(chunk * 8) +
           gemm_bytes(chunk, vocab, width);
}

static struct chunks chunks_of(const struct kernel_args *a)
{
    const struct view *weight = &a->in[HEAD_STATS_WEIGHT];
    struct chunks h = { .args = a, .out_first = a->node->attr[HEAD_OUT_FIRST] != 0 };
    int v = h.out_first ? 0 : 1;
    char *at = a->workspace;

    h.vocab = weight->dim[v];
    h.width = weight->dim[1 - v];
    h.first = weight->first[v];
    h.valid = weight->whole[v] - h.first < h.vocab ? weight->whole[v] - h.first : h.vocab;
    h.valid = h.valid > 0 ? h.valid : 0;
    h.weight = weight->data;
    h.bias = a->in[HEAD_STATS_BIAS].data;
    h.chunk = chunk_rows(a->node->in[HEAD_STATS_ROWS]->dims[0].size, h.vocab);
    h.x = (float *)at;
    h.logits = (float *)(at += align64(h.chunk * h.width * 4));
    h.losses = (double *)(at += align64(h.chunk * h.vocab * 4));
    h.scratch = (float *)(at + align64(h.chunk * 8));
    return h;
}

static int64_t labelled_rows(const struct chunks *h)
{
    return h->args->in[HEAD_STATS_ROWS].dim[0];
}

static int64_t row_of(const struct chunks *h, int64_t r)
{
    return ((const int32_t *)h->args->in[HEAD_STATS_ROWS].data)[h->begin + r];
}

static int64_t label_of(const struct chunks *h, int64_t r)
{
    return ((const int32_t *)h->args->in[HEAD_STATS_LABELS].data)[h->begin + r] - h->first;
}

/* ---- Products ---- */

static void make_logits(const struct chunks *h)
{
    struct gemm_after after = { .bias = h->bias };
    struct gemm g = { .m = h->rows,
                      .n = h->vocab,
                      .k = h->width,
                      .a = h->x,
                      .a_step = h->width,
                      .b = h->weight,
                      .b_step = h->out_first ? h->width : h->vocab,
                      .b_turned = h->out_first,
                      .c = h->logits,
                      .c_step = h->vocab,
                      .after = h->bias ? &after : NULL,
                      .workspace = h->scratch };
    const float *x = h->args->in[HEAD_STATS_X].data;

    for (int64_t r = 0; r < h->rows; r++)
        memcpy(h->x + r * h->width, x + row_of(h, r) * h->width, (size_t)h->width * sizeof(float));
    ISA(gemm)(&g);
}

static void make_dweight(const struct chunks *h, float *dweight, bool add, float *dbias, bool add_bias)
{
    struct gemm g = { .m = h->out_first ? h->vocab : h->width,
                      .n = h->out_first ? h->width : h->vocab,
                      .k = h->rows,
                      .a = h->out_first ? h->logits : h->x,
                      .a_turned = true,
                      .b = h->out_first ? h->x : h->logits,
                      .c = dweight,
                      .add = add,
                      .a_sums = h->out_first ? dbias : NULL,
                      .b_sums = h->out_first ? NULL : dbias,
                      .sums_add = add_bias,
                      .workspace = h->scratch };

    g.a_step = g.m;
    g.b_step = g.c_step = g.n;
    ISA(gemm)(&g);
}

/* dx of the chunk takes the place of the gathered x, then goes to its rows. */
static void make_dx(const struct chunks *h, float *dx)
{
    struct gemm g = { .m = h->rows,
                      .n = h->width,
                      .k = h->vocab,
                      .a = h->logits,
                      .a_step = h->vocab,
                      .b = h->weight,
                      .b_step = h->out_first ? h->width : h->vocab,
                      .b_turned = !h->out_first,
                      .c = h->x,
                      .c_step = h->width,
                      .workspace = h->scratch };

    ISA(gemm)(&g);
    for (int64_t r = 0; r < h->rows; r++) {
        float *to = dx + row_of(h, r) * h->width;
        for (int64_t d = 0; d < h->width; d++)
            to[d] += h->x[r * h->width + d];
    }
}

/* ---- Rows of logits ---- */

static float largest(const float *logits, int64_t n)
{
    vec most = vec_set(-INFINITY);
    int64_t i = 0;
    float result;

    for (; i + LANES <= n; i += LANES)
        most = vec_max(most, vec_load(logits + i));
    result = vec_largest(most);
    for (; i < n; i++)
        result = logits[i] > result ? logits[i] : result;
    return result;
}

static double sum_exp(const float *logits, int64_t n, float most)
{
    vecd low = vecd_zero(), high = vecd_zero();
    float part[LANES];
    double sum = 0;
    int64_t i = 0;

    for (; i + 8 * LANES <= n; i += 8 * LANES) { /* eight at most in fp32, then double */
        vec eight = vec_zero();
        for (int k = 0; k < 8; k++)
            eight = eight + vec_exp(vec_load(logits + i + k * LANES) - vec_set(most));
        vec_store(part, eight);
        low = low + vecd_load_floats(part);
        high = high + vecd_load_floats(part + LANES / 2);
    }
    for (; i < n; i++)
        sum += exp((double)logits[i] - most);
    return sum + vecd_sum(low) + vecd_sum(high);
}

struct row_work {
    const struct chunks *h;
    float *lse, *target, *best; /* by labelled row; NULL where not wanted */
};

static void stats_row(void *context, int64_t r)
{
    const struct row_work *w = context;
    const struct chunks *h = w->h;
    const float *logits = h->logits + r * h->vocab;
    int64_t at = h->begin + r, label = label_of(h, r);
    float most = largest(logits, h->valid);
    float lse = h->valid > 0 ? (float)(most + log(sum_exp(logits, h->valid, most))) : -INFINITY;

    w->lse[at] = lse;
    w->target[at] = label >= 0 && label < h->valid ? logits[label] : 0;
    if (w->best)
        w->best[at] = most;
}

/* dlogits = softmax * dlse + onehot * dtarget, in place; entries of padding are zero. */
static void gradient_row(const struct chunks *h, int64_t r, float lse, float dlse, float dtarget)
{
    float *logits = h->logits + r * h->vocab;
    int64_t label = label_of(h, r), i = 0;

    for (; i + LANES <= h->valid; i += LANES)
        vec_store(logits + i, vec_exp(vec_load(logits + i) - vec_set(lse)) * vec_set(dlse));
    if (i < h->valid) {
        vec e = vec_exp(vec_load_part(logits + i, h->valid - i) - vec_set(lse)) * vec_set(dlse);
        vec_store_part(logits + i, e, h->valid - i);
    }
    memset(logits + h->valid, 0, (size_t)(h->vocab - h->valid) * sizeof(float));
    if (label >= 0 && label < h->valid)
        logits[label] += dtarget;
}

static void grad_row(void *context, int64_t r)
{
    const struct chunks *h = context;
    int64_t at = h->begin + r;

    gradient_row(h, r, h->lse[at], h->dlse[at], h->dtarget[at]);
}

static void loss_row(void *context, int64_t r)
{
    const struct chunks *h = context;
    const float *logits = h->logits + r * h->vocab;
    int64_t label = label_of(h, r);
    float most = largest(logits, h->valid);
    double lse = most + log(sum_exp(logits, h->valid, most));

    h->losses[r] = lse - logits[label];
    if (h->args->out[HEAD_LOSS_DX].data)
        gradient_row(h, r, (float)lse, 1, -1);
}

/* ---- Kernels ---- */

static void next_chunk(struct chunks *h)
{
    h->rows = labelled_rows(h) - h->begin;
    if (h->rows > h->chunk)
        h->rows = h->chunk;
}

static void run_stats(const struct kernel_args *a)
{
    struct chunks h = chunks_of(a);
    struct row_work w = { .h = &h,
                          .lse = a->out[HEAD_STATS_LSE].data,
                          .target = a->out[HEAD_STATS_TARGET].data,
                          .best = a->out[HEAD_STATS_BEST].data };

    for (; h.begin < labelled_rows(&h); h.begin += h.rows) {
        next_chunk(&h);
        make_logits(&h);
        parallel_for(h.rows, stats_row, &w);
    }
}

static void clear(const struct kernel_args *a, int output)
{
    const struct view *v = &a->out[output];

    if (v->data && !a->add[output])
        memset(v->data, 0, (size_t)view_count(v) * sizeof(float));
}

/* dx, dweight and dbias are outputs dx, dx + 1 and dx + 2; the rows' work is fn. */
static void run_chunks(struct chunks *h, tile_fn *fn, int dx, double *loss)
{
    const struct kernel_args *a = h->args;
    float *dweight = a->out[dx + 1].data, *dbias = a->out[dx + 2].data;

    clear(a, dx);
    if (labelled_rows(h) == 0) {
        clear(a, dx + 1);
        clear(a, dx + 2);
    }
    for (; h->begin < labelled_rows(h); h->begin += h->rows) {
        bool add = h->begin > 0;
        next_chunk(h);
        make_logits(h);
        parallel_for(h->rows, fn, h);
        for (int64_t r = 0; loss && r < h->rows; r++)
            *loss += h->losses[r];
        if (dweight)
            make_dweight(h, dweight, add || a->add[dx + 1], dbias, add || a->add[dx + 2]);
        if (a->out[dx].data)
            make_dx(h, a->out[dx].data);
    }
}

static void run_grad(const struct kernel_args *a)
{
    struct chunks h = chunks_of(a);

    h.lse = a->in[HEAD_GRAD_LSE].data;
    h.dlse = a->in[HEAD_GRAD_DLSE].data;
    h.dtarget = a->in[HEAD_GRAD_DTARGET].data;
    run_chunks(&h, grad_row, HEAD_GRAD_DX, NULL);
}

static void run_loss(const struct kernel_args *a)
{
    struct chunks h = chunks_of(a);
    double loss = 0, *out = a->out[HEAD_LOSS_LOSS].data;

    run_chunks(&h, loss_row, HEAD_LOSS_DX, &loss);
    if (out)
        *out = a->add[HEAD_LOSS_LOSS] ? *out + loss : loss;
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    int dx = n->op == &op_head_loss ? HEAD_LOSS_DX : HEAD_GRAD_DX;

    (void)m;
    for (int i = 0; i < HEAD_STATS_ROWS; i++)
        if (n->in[i] && n->in[i]->dtype != DT_F32)
            return "takes fp32 only";
    if (n->op != &op_head_stats && n->out[dx + 2] && !n->out[dx + 1])
        return "makes the bias' gradient only beside the weight's";
    return NULL;
}

const struct kernel ISA(cpu_head_stats)[] = {
    { "chunks " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run_stats },
    { "reference", .run = ref_head_stats },
    { 0 },
};
const struct kernel ISA(cpu_head_grad)[] = {
    { "chunks " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run_grad },
    { "reference", .workspace = ref_head_workspace, .run = ref_head_grad },
    { 0 },
};
const struct kernel ISA(cpu_head_loss)[] = {
    { "chunks " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run_loss },
    { "reference", .workspace = ref_head_workspace, .run = ref_head_loss },
    { 0 },
};
