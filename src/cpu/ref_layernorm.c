/* References of layernorm and its gradient. */
#include "cpu/ref.h"
#include "ops/ops.h"

static double summed(const struct kernel_args *a, int64_t i)
{
    bool residual = a->node->nin > LAYERNORM_RESIDUAL && a->in[LAYERNORM_RESIDUAL].data;
    return ref_load(&a->in[LAYERNORM_X], i) + (residual ? ref_load(&a->in[LAYERNORM_RESIDUAL], i) : 0);
}

void ref_layernorm(const struct kernel_args *a)
{
    const struct view *x = &a->in[LAYERNORM_X];
    bool has_bias = a->node->nin > LAYERNORM_BIAS && a->in[LAYERNORM_BIAS].data;
    int64_t width = x->dim[x->ndim - 1], rows = view_count(x) / (width ? width : 1);

    for (int64_t n = 0; n < rows; n++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < width; i++)
            mean += summed(a, n * width + i) / (double)width;
        for (int64_t i = 0; i < width; i++)
            square += (summed(a, n * width + i) - mean) * (summed(a, n * width + i) - mean);
        double rstd = 1 / sqrt(square / (double)width + a->node->attr[LAYERNORM_EPS]);
        ref_put(a, LAYERNORM_MEAN, n, mean);
        ref_put(a, LAYERNORM_RSTD, n, rstd);
        for (int64_t i = 0; i < width; i++) {
            double s = summed(a, n * width + i);
            double y = (s - mean) * rstd * ref_load(&a->in[LAYERNORM_WEIGHT], i);
            if (a->node->nout > LAYERNORM_SUM)
                ref_put(a, LAYERNORM_SUM, n * width + i, s);
            ref_put(a, LAYERNORM_Y, n * width + i, y + (has_bias ? ref_load(&a->in[LAYERNORM_BIAS], i) : 0));
        }
    }
}

/* With g = dy * weight and h = (x - mean) * rstd: dx = rstd * (g - mean(g) - h * mean(g h)) + dsum. */
static void input_row(const struct kernel_args *a, int64_t n, int64_t width)
{
    const struct view *dy = &a->in[LAYERNORM_GRAD_DY], *x = &a->in[LAYERNORM_GRAD_X];
    const struct view *weight = &a->in[LAYERNORM_GRAD_WEIGHT];
    bool has_sum = a->node->nin > LAYERNORM_GRAD_DSUM && a->in[LAYERNORM_GRAD_DSUM].data;
    double mean = ref_load(&a->in[LAYERNORM_GRAD_MEAN], n), rstd = ref_load(&a->in[LAYERNORM_GRAD_RSTD], n);
    double mean_g = 0, mean_gh = 0;

    for (int64_t i = n * width; i < (n + 1) * width; i++) {
        double g = ref_load(dy, i) * ref_load(weight, i - n * width);
        mean_g += g / (double)width;
        mean_gh += g * (ref_load(x, i) - mean) * rstd / (double)width;
    }
    for (int64_t i = n * width; i < (n + 1) * width; i++) {
        double g = ref_load(dy, i) * ref_load(weight, i - n * width), h = (ref_load(x, i) - mean) * rstd;
        double dsum = has_sum ? ref_load(&a->in[LAYERNORM_GRAD_DSUM], i) : 0;
        ref_put(a, LAYERNORM_GRAD_DX, i, rstd * (g - mean_g - h * mean_gh) + dsum);
    }
}

void ref_layernorm_grad(const struct kernel_args *a)
{
    const struct view *dy = &a->in[LAYERNORM_GRAD_DY], *x = &a->in[LAYERNORM_GRAD_X];
    int64_t width = x->dim[x->ndim - 1], rows = view_count(x) / (width ? width : 1);

    for (int64_t i = 0; i < width; i++) {
        double dweight = 0, dbias = 0;
        for (int64_t n = 0; n < rows; n++) {
            double mean = ref_load(&a->in[LAYERNORM_GRAD_MEAN], n);
            double rstd = ref_load(&a->in[LAYERNORM_GRAD_RSTD], n), d = ref_load(dy, n * width + i);
            dweight += d * (ref_load(x, n * width + i) - mean) * rstd;
            dbias += d;
        }
        if (a->node->nout > LAYERNORM_GRAD_DWEIGHT)
            ref_put(a, LAYERNORM_GRAD_DWEIGHT, i, dweight);
        if (a->node->nout > LAYERNORM_GRAD_DBIAS)
            ref_put(a, LAYERNORM_GRAD_DBIAS, i, dbias);
    }
    for (int64_t n = 0; n < rows; n++) /* last: dx may overwrite dy */
        input_row(a, n, width);
}
