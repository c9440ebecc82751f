/* rmsnorm, with the residual added in the same pass over memory, and its gradient. The gradient of the weight
 * is a sum over all rows: each block of rows makes its own sum, and then every column adds the blocks in
 * order. The cut into blocks depends on the number of rows alone, so the sums do not depend on the number of
 * threads. */
#include <math.h>

#include "base/parallel.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/simd.h"
#include "ops/ops.h"

enum { TILE = 1 << 14, BLOCKS = 64, COLUMNS = 256 };

struct norm {
    const float *x, *residual, *weight;
    float *y, *rstd, *sum;
    int64_t rows, width, tile_rows;
    float eps;
};

struct norm_grad {
    const float *dy, *x, *weight, *rstd, *dsum;
    float *dx, *dweight;
    bool add;
    float *partial; /* dweight of each block: [blocks][width] */
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
    vec square = vec_zero();

    for (int64_t i = 0; i < width; i += LANES) {
        vec s = load_sum(x, residual, i, width - i);
        square = vec_fma(s, s, square);
        if (w->sum)
            vec_store_upto(w->sum + row * width + i, s, width - i);
    }
    if (w->sum) {
        x = w->sum + row * width;
        residual = NULL;
    }
    float rstd = 1 / sqrtf(vec_sum(square) / (float)width + w->eps);
    for (int64_t i = 0; i < width; i += LANES) {
        vec h = load_sum(x, residual, i, width - i) * vec_set(rstd);
        vec_store_upto(y + i, h * vec_load_upto(w->weight + i, width - i), width - i);
    }
    if (w->rstd)
        w->rstd[row] = rstd;
}

static void norm_tile(void *context, int64_t tile)
{
    const struct norm *w = context;

    for (int64_t n = tile * w->tile_rows; n < least(w->rows, (tile + 1) * w->tile_rows); n++)
        norm_row(w, n);
}

static void forward(const struct kernel_args *a)
{
    const struct view *x = &a->in[RMSNORM_X];
    struct norm w = { .x = x->data,
                      .residual = input_data(a, RMSNORM_RESIDUAL),
                      .weight = a->in[RMSNORM_WEIGHT].data,
                      .y = a->out[RMSNORM_Y].data,
                      .rstd = output_data(a, RMSNORM_RSTD),
                      .sum = output_data(a, RMSNORM_SUM),
                      .width = x->dim[x->ndim - 1],
                      .eps = (float)a->node->attr[RMSNORM_EPS] };

    if (w.width == 0)
        return;
    w.rows = view_count(x) / w.width;
    w.tile_rows = ceil_div(TILE, w.width);
    parallel_for(ceil_div(w.rows, w.tile_rows), norm_tile, &w);
}

/* With g = dy * weight and h = x * rstd: dx = rstd * (g - h * mean(g h)) + dsum. */
static void grad_row(const struct norm_grad *w, int64_t row, float *dweight)
{
    int64_t width = w->width, at = row * width;
    vec rstd = vec_set(w->rstd[row]), sum = vec_zero();

    for (int64_t i = 0; i < width; i += LANES) {
        vec g = vec_load_upto(w->dy + at + i, width - i) * vec_load_upto(w->weight + i, width - i);
        sum = vec_fma(g, vec_load_upto(w->x + at + i, width - i) * rstd, sum);
    }
    vec mean = vec_set(vec_sum(sum) / (float)width);
    for (int64_t i = 0; i < width; i += LANES) {
        int64_t n = width - i;
        vec dy = vec_load_upto(w->dy + at + i, n), h = vec_load_upto(w->x + at + i, n) * rstd;
        vec dx = rstd * (dy * vec_load_upto(w->weight + i, n) - h * mean);
        vec_store_upto(dweight + i, vec_fma(dy, h, vec_load_upto(dweight + i, n)), n);
        if (w->dsum)
            dx += vec_load_upto(w->dsum + at + i, n);
        if (w->dx)
            vec_store_upto(w->dx + at + i, dx, n);
    }
}

static void grad_block(void *context, int64_t block)
{
    const struct norm_grad *w = context;
    float *dweight = w->partial + block * w->width;

    memset(dweight, 0, (size_t)w->width * sizeof(float));
    for (int64_t n = block * w->block_rows; n < least(w->rows, (block + 1) * w->block_rows); n++)
        grad_row(w, n, dweight);
}

static void column_tile(void *context, int64_t tile)
{
    const struct norm_grad *w = context;
    int64_t last = least(w->width, (tile + 1) * COLUMNS);

    for (int64_t i = tile * COLUMNS; i < last; i += LANES) {
        vec sum = w->add ? vec_load_upto(w->dweight + i, last - i) : vec_zero();
        for (int64_t b = 0; b < w->blocks; b++)
            sum += vec_load_upto(w->partial + b * w->width + i, last - i);
        vec_store_upto(w->dweight + i, sum, last - i);
    }
}

static void backward(const struct kernel_args *a)
{
    const struct view *x = &a->in[RMSNORM_GRAD_X];
    struct norm_grad w = { .dy = a->in[RMSNORM_GRAD_DY].data,
                           .x = x->data,
                           .weight = a->in[RMSNORM_GRAD_WEIGHT].data,
                           .rstd = a->in[RMSNORM_GRAD_RSTD].data,
                           .dsum = input_data(a, RMSNORM_GRAD_DSUM),
                           .dx = a->out[RMSNORM_GRAD_DX].data,
                           .dweight = output_data(a, RMSNORM_GRAD_DWEIGHT),
                           .partial = a->workspace,
                           .width = x->dim[x->ndim - 1] };

    if (w.width == 0)
        return;
    w.add = w.dweight && a->add[RMSNORM_GRAD_DWEIGHT];
    w.rows = view_count(x) / w.width;
    w.block_rows = w.rows > 8 * BLOCKS ? ceil_div(w.rows, BLOCKS) : 8;
    w.blocks = ceil_div(w.rows, w.block_rows);
    parallel_for(w.blocks, grad_block, &w);
    if (w.dweight)
        parallel_for(ceil_div(w.width, COLUMNS), column_tile, &w);
}

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *x = n->in[RMSNORM_GRAD_X];

    return (int64_t)sizeof(float) * BLOCKS * tensor_local_dim(x, x->ndim - 1, mesh);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, n->nin);
}

static const char *refuses_grad(const struct node *n, const struct machine *m)
{
    if (n->accumulate[RMSNORM_GRAD_DX])
        return "adds to dx";
    return refuse_other_than_f32(n, n->nin);
}

const struct kernel ISA(cpu_rmsnorm)[] = {
    { "rows " ISA_TEXT, .refuses = refuses, .run = forward },
    { "reference", .run = ref_rmsnorm },
    { 0 },
};
const struct kernel ISA(cpu_rmsnorm_grad)[] = {
    { "blocks " ISA_TEXT, .refuses = refuses_grad, .workspace = workspace, .run = backward },
    { "reference", .run = ref_rmsnorm_grad },
    { 0 },
};
