/* adafactor -- tiles of whole rows (for sums along columns: of columns), each added up in a fixed order; the
 * moments themselves are vectors and go the reference's way. Parameters whose moments are not factored are
 * small: the reference takes them. Bound by memory. */
#include <string.h>

#include "base/parallel.h"
#include "cpu/factored.h"
#include "cpu/isa.h"
#include "cpu/refuse.h"

enum { TILE = 1 << 15 /* floats */, COLS = 64, LANE_SUMS = 16 };

struct work {
    const struct kernel_args *a;
    const float *grad;
    float *param;
    int64_t rows, cols, unit; /* unit: rows of a tile */
    float *row, *col;         /* what each row and column is multiplied with */
    double *step, *size;      /* [tile] */
    float scale, shrink, rate;
};

static int64_t unit_of(int64_t cols)
{
    return cols < TILE ? TILE / (cols > 0 ? cols : 1) : 1;
}

/* ---- Sums of squares ---- */

static double squares(const float *x, int64_t n)
{
    double sum[LANE_SUMS] = { 0 }, total = 0;
    int64_t i = 0;

    for (; i + LANE_SUMS <= n; i += LANE_SUMS)
        for (int k = 0; k < LANE_SUMS; k++)
            sum[k] += (double)x[i + k] * x[i + k];
    for (int k = 0; k < LANE_SUMS; k++)
        total += sum[k];
    for (; i < n; i++)
        total += (double)x[i] * x[i];
    return total;
}

static void row_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    double *out = w->a->out[ADAFACTOR_SUMS_ROWS].data;

    for (int64_t r = tile * w->unit; r < (tile + 1) * w->unit && r < w->rows; r++)
        out[r] = squares(w->grad + r * w->cols, w->cols);
}

static void col_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    int64_t from = tile * COLS, n = w->cols - from < COLS ? w->cols - from : COLS;
    double sum[COLS] = { 0 };

    for (int64_t r = 0; r < w->rows; r++) {
        const float *x = w->grad + r * w->cols + from;
        for (int64_t c = 0; c < n; c++)
            sum[c] += (double)x[c] * x[c];
    }
    memcpy((double *)w->a->out[ADAFACTOR_SUMS_COLS].data + from, sum, (size_t)n * sizeof(sum[0]));
}

static void run_sums(const struct kernel_args *a)
{
    const struct view *x = &a->in[0];
    int k = (int)a->node->attr[ADAFACTOR_SPLIT];
    struct work w = {
        .a = a, .grad = x->data, .rows = view_product(x, 0, k), .cols = view_product(x, k, x->ndim)
    };

    if (!w.grad) {
        ref_adafactor_sums(a);
        return;
    }
    w.unit = unit_of(w.cols);
    parallel_for(ceil_div(w.rows, w.unit), row_tile, &w);
    parallel_for(ceil_div(w.cols, COLS), col_tile, &w);
}

/* ---- Norms, and the step ---- */

static struct work work_of(const struct kernel_args *a, double mean)
{
    const struct view *v = &a->in[ADAFACTOR_V], *col = &a->in[ADAFACTOR_COL];
    struct work w = { .a = a,
                      .grad = a->in[ADAFACTOR_GRAD].data,
                      .param = a->in[ADAFACTOR_PARAM].data,
                      .rows = view_count(v),
                      .cols = view_count(col),
                      .scale = (float)ref_load(&a->in[ADAFACTOR_CONTROL], CONTROL_SCALE) };

    w.unit = unit_of(w.cols);
    w.step = a->workspace;
    w.size = w.step + ceil_div(w.rows, w.unit);
    w.row = (float *)(w.size + ceil_div(w.rows, w.unit));
    w.col = w.row + w.rows;
    for (int64_t r = 0; r < w.rows; r++)
        w.row[r] = (float)factored_factor(v, r, mean);
    for (int64_t c = 0; c < w.cols; c++)
        w.col[c] = (float)factored_factor(col, c, 1);
    return w;
}

static void norm_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    double step[LANE_SUMS] = { 0 }, size = 0;

    for (int64_t r = tile * w->unit; r < (tile + 1) * w->unit && r < w->rows; r++) {
        const float *g = w->grad + r * w->cols;
        float factor = w->scale * w->row[r];
        int64_t c = 0;
        for (; c + LANE_SUMS <= w->cols; c += LANE_SUMS) {
            for (int k = 0; k < LANE_SUMS; k++) {
                float u = g[c + k] * factor * w->col[c + k];
                step[k] += (double)u * u;
            }
        }
        for (; c < w->cols; c++) {
            float u = g[c] * factor * w->col[c];
            step[0] += (double)u * u;
        }
        size += squares(w->param + r * w->cols, w->cols);
    }
    w->step[tile] = 0;
    for (int k = 0; k < LANE_SUMS; k++)
        w->step[tile] += step[k];
    w->size[tile] = size;
}

static void run_norms(const struct kernel_args *a)
{
    double *out = a->out[0].data, mean;
    struct work w;

    if (ref_load(&a->in[ADAFACTOR_CONTROL], CONTROL_APPLY) == 0 || !a->in[ADAFACTOR_GRAD].data) {
        ref_adafactor_norms(a);
        return;
    }
    factored_update_both(a);
    mean = factored_share_mean(a);
    w = work_of(a, mean);
    parallel_for(ceil_div(w.rows, w.unit), norm_tile, &w);
    out[ADAFACTOR_NORM_STEP] = out[ADAFACTOR_NORM_PARAM] = 0;
    for (int64_t t = 0; t < ceil_div(w.rows, w.unit); t++) {
        out[ADAFACTOR_NORM_STEP] += w.step[t];
        out[ADAFACTOR_NORM_PARAM] += w.size[t];
    }
    if (out[ADAFACTOR_NORM_STEP] > 0)
        out[ADAFACTOR_NORM_STEP] /= mean;
    out[ADAFACTOR_NORM_MOMENT] = factored_moment(a);
}

static void step_tile(void *context, int64_t tile)
{
    const struct work *w = context;

    for (int64_t r = tile * w->unit; r < (tile + 1) * w->unit && r < w->rows; r++) {
        const float *g = w->grad + r * w->cols;
        float *p = w->param + r * w->cols, factor = w->scale * w->row[r];
        for (int64_t c = 0; c < w->cols; c++)
            p[c] = p[c] * w->shrink - w->rate * (g[c] * factor * w->col[c]);
    }
}

static void run_step(const struct kernel_args *a)
{
    struct factored_step s;
    struct work w;

    if (ref_load(&a->in[ADAFACTOR_CONTROL], CONTROL_APPLY) == 0 || !a->in[ADAFACTOR_GRAD].data) {
        ref_adafactor(a);
        return;
    }
    s = factored_step(a);
    w = work_of(a, factored_mean(a));
    w.shrink = (float)s.shrink;
    w.rate = (float)s.rate;
    parallel_for(ceil_div(w.rows, w.unit), step_tile, &w);
}

/* ---- Kernels ---- */

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    int64_t rows = 1, cols = 1;

    for (int d = 0; d < n->in[ADAFACTOR_V]->ndim; d++)
        rows *= tensor_local_dim(n->in[ADAFACTOR_V], d, mesh);
    for (int d = 0; d < n->in[ADAFACTOR_COL]->ndim; d++)
        cols *= tensor_local_dim(n->in[ADAFACTOR_COL], d, mesh);
    return 16 * ceil_div(rows, unit_of(cols)) + (int64_t)sizeof(float) * (rows + cols);
}

static const char *refuses_sums(const struct node *n, const struct machine *m)
{
    if (n->in[0]->dtype != DT_F32)
        return "the gradient is not fp32";
    return refuse_sums(n);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    if (!n->in[ADAFACTOR_COL])
        return "the moments are not factored";
    if (n->in[ADAFACTOR_PARAM]->dtype != DT_F32 || n->in[ADAFACTOR_GRAD]->dtype != DT_F32)
        return "the parameter or its gradient is not fp32";
    return refuse_sums(n);
}

const struct kernel ISA(cpu_adafactor_sums)[] = {
    { "rows " ISA_TEXT, .refuses = refuses_sums, .run = run_sums },
    { "reference", .run = ref_adafactor_sums },
    { 0 },
};
const struct kernel ISA(cpu_adafactor_norms)[] = {
    { "rows " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run_norms },
    { "reference", .run = ref_adafactor_norms },
    { 0 },
};
const struct kernel ISA(cpu_adafactor)[] = {
    { "rows " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run_step },
    { "reference", .run = ref_adafactor },
    { 0 },
};
