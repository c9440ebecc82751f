/* layernorm, with the residual added in the same pass over memory, and its gradient. The gradients of weight
 * and bias are sums over all rows: each block of rows makes its own sums, and then every column adds the
 * blocks in order. The cut into blocks depends on the number of rows alone, so the sums do not depend on the
 * number of threads. */
#include <math.h>

#include "base/parallel.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/simd.h"
#include "ops/ops.h"

enum { TILE = 1 << 14, BLOCKS = 64, COLUMNS = 256 };

struct norm {
    const float *x, *residual, *weight, *bias;
    float *y, *mean, *rstd, *sum;
    int64_t rows, width, tile_rows;
    float eps;
};

struct norm_grad {
    const float *dy, *x, *weight, *mean, *rstd, *dsum;
    float *dx, *dweight, *dbias;
    const bool *add;
    float *partial; /* [blocks][2][width]: dweight, dbias */
    int64_t rows, width, block_rows, blocks;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static vec load_sum(const float *x, const float *residual, int64_t i, int64_t n)
{
    vec v = vec_load_upto(x + i, n);
    return residual ? v + vec_load_upto(residual + i, n) : v;
}

static void norm_row(const struct norm *w, int64_t row)
{
    int64_t width = w->width;
    const float *x = w->x + row * width, *residual = w->residual ? w->residual + row * width : NULL;
    float *y = w->y + row * width;
    vec total = vec_zero(), square = vec_zero();

    for (int64_t i = 0; i < width; i += LANES) {
        vec s = load_sum(x, residual, i, width - i);
        total += s;
        if (w->sum)
            vec_store_upto(w->sum + row * width + i, s, width - i);
    }
    if (w->sum) {
        x = w->sum + row * width;
        residual = NULL;
    }
    float mean = vec_sum(total) / (float)width;
    for (int64_t i = 0; i < width; i += LANES) {
        vec d = vec_first(load_sum(x, residual, i, width - i) - vec_set(mean), width - i);
        square = vec_fma(d, d, square);
    }
    float rstd = 1 / sqrtf(vec_sum(square) / (float)width + w->eps);
    for (int64_t i = 0; i < width; i += LANES) {
        vec h = (load_sum(x, residual, i, width - i) - vec_set(mean)) * vec_set(rstd);
        vec bias = w->bias ? vec_load_upto(w->bias + i, width - i) : vec_zero();
        vec_store_upto(y + i, vec_fma(h, vec_load_upto(w->weight + i, width - i), bias), width - i);
    }
    if (w->mean)
        w->mean[row] = mean;
    if (w->rstd)
        w->rstd[row] = rstd;
}

static void norm_tile(void *context, int64_t tile)
{
    const struct norm *w = context;

    for (int64_t n = tile * w->tile_rows; n < least(w->rows, (tile + 1) * w->tile_rows); n++)
        norm_row(w, n);
}

static const float *optional(const struct kernel_args *a, int input)
{
    return input < a->node->nin ? a->in[input].data : NULL;
}

static float *wanted(const struct kernel_args *a, int output)
{
    return output < a->node->nout ? a->out[output].data : NULL;
}

static void forward(const struct kernel_args *a)
{
    const struct view *x = &a->in[LAYERNORM_X];
    struct norm w = { .x = x->data,
                      .residual = optional(a, LAYERNORM_RESIDUAL),
                      .weight = a->in[LAYERNORM_WEIGHT].data,
                      .bias = optional(a, LAYERNORM_BIAS),
                      .y = a->out[LAYERNORM_Y].data,
                      .mean = wanted(a, LAYERNORM_MEAN),
                      .rstd = wanted(a, LAYERNORM_RSTD),
                      .sum = wanted(a, LAYERNORM_SUM),
                      .width = x->dim[x->ndim - 1],
                      .eps = (float)a->node->attr[LAYERNORM_EPS] };

    if (w.width == 0)
        return;
    w.rows = view_count(x) / w.width;
    w.tile_rows = ceil_div(TILE, w.width);
    parallel_for(ceil_div(w.rows, w.tile_rows), norm_tile, &w);
}

/* With g = dy * weight and h = (x - mean) * rstd: dx = rstd * (g - mean(g) - h * mean(g h)) + dsum. */
static void grad_row(const struct norm_grad *w, int64_t row, float *dweight, float *dbias)
{
    int64_t width = w->width, at = row * width;
    vec mean = vec_set(w->mean[row]), rstd = vec_set(w->rstd[row]);
    vec sum_g = vec_zero(), sum_gh = vec_zero();

    for (int64_t i = 0; i < width; i += LANES) {
        vec g = vec_load_upto(w->dy + at + i, width - i) * vec_load_upto(w->weight + i, width - i);
        vec h = (vec_load_upto(w->x + at + i, width - i) - mean) * rstd;
        sum_g += g;
        sum_gh = vec_fma(g, h, sum_gh);
    }
    vec mean_g = vec_set(vec_sum(sum_g) / (float)width), mean_gh = vec_set(vec_sum(sum_gh) / (float)width);
    for (int64_t i = 0; i < width; i += LANES) {
        int64_t n = width - i;
        vec dy = vec_load_upto(w->dy + at + i, n), h = (vec_load_upto(w->x + at + i, n) - mean) * rstd;
        vec dx = rstd * (dy * vec_load_upto(w->weight + i, n) - mean_g - h * mean_gh);
        vec_store_upto(dweight + i, vec_fma(dy, h, vec_load_upto(dweight + i, n)), n);
        vec_store_upto(dbias + i, dy + vec_load_upto(dbias + i, n), n);
        if (w->dsum)
            dx += vec_load_upto(w->dsum + at + i, n);
        if (w->dx)
            vec_store_upto(w->dx + at + i, dx, n);
    }
}

static void grad_block(void *context, int64_t block)
{
    const struct norm_grad *w = context;
    float *dweight = w->partial + block * 2 * w->width;

    memset(dweight, 0, (size_t)w->width * 2 * sizeof(float));
    for (int64_t n = block * w->block_rows; n < least(w->rows, (block + 1) * w->block_rows); n++)
        grad_row(w, n, dweight, dweight + w->width);
}

static void add_blocks(const struct norm_grad *w, int64_t first, int64_t last, const float *partial,
                       float *out, bool add)
{
    for (int64_t i = first; i < last; i += LANES) {
        vec sum = add ? vec_load_upto(out + i, last - i) : vec_zero();
        for (int64_t b = 0; b < w->blocks; b++)
            sum += vec_load_upto(partial + b * 2 * w->width + i, last - i);
        vec_store_upto(out + i, sum, last - i);
    }
}

static void column_tile(void *context, int64_t tile)
{
    const struct norm_grad *w = context;
    int64_t first = tile * COLUMNS, last = least(w->width, first + COLUMNS);

    if (w->dweight)
        add_blocks(w, first, last, w->partial, w->dweight, w->add[LAYERNORM_GRAD_DWEIGHT]);
    if (w->dbias)
        add_blocks(w, first, last, w->partial + w->width, w->dbias, w->add[LAYERNORM_GRAD_DBIAS]);
}

static void backward(const struct kernel_args *a)
{
    const struct view *x = &a->in[LAYERNORM_GRAD_X];
    struct norm_grad w = { .dy = a->in[LAYERNORM_GRAD_DY].data,
                           .x = x->data,
                           .weight = a->in[LAYERNORM_GRAD_WEIGHT].data,
                           .mean = a->in[LAYERNORM_GRAD_MEAN].data,
                           .rstd = a->in[LAYERNORM_GRAD_RSTD].data,
                           .dsum = optional(a, LAYERNORM_GRAD_DSUM),
                           .dx = a->out[LAYERNORM_GRAD_DX].data,
                           .dweight = wanted(a, LAYERNORM_GRAD_DWEIGHT),
                           .dbias = wanted(a, LAYERNORM_GRAD_DBIAS),
                           .add = a->add,
                           .partial = a->workspace,
                           .width = x->dim[x->ndim - 1] };

    if (w.width == 0)
        return;
    w.rows = view_count(x) / w.width;
    w.block_rows = w.rows > 8 * BLOCKS ? ceil_div(w.rows, BLOCKS) : 8;
    w.blocks = ceil_div(w.rows, w.block_rows);
    parallel_for(w.blocks, grad_block, &w);
    parallel_for(ceil_div(w.width, COLUMNS), column_tile, &w);
}

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *x = n->in[LAYERNORM_GRAD_X];

    return (int64_t)sizeof(float) * BLOCKS * 2 * tensor_local_dim(x, x->ndim - 1, mesh);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, n->nin);
}

static const char *refuses_grad(const struct node *n, const struct machine *m)
{
    if (n->accumulate[LAYERNORM_GRAD_DX])
        return "adds to dx";
    return refuse_other_than_f32(n, n->nin);
}

const struct kernel ISA(cpu_layernorm)[] = {
    { "rows " ISA_TEXT, .refuses = refuses, .run = forward },
    { "reference", .run = ref_layernorm },
    { 0 },
};
const struct kernel ISA(cpu_layernorm_grad)[] = {
    { "blocks " ISA_TEXT, .refuses = refuses_grad, .workspace = workspace, .run = backward },
    { "reference", .run = ref_layernorm_grad },
    { 0 },
};
