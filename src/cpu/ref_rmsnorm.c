/* References of rmsnorm and its gradient. */
#include "cpu/ref.h"
#include "ops/ops.h"

static double summed(const struct kernel_args *a, int64_t i)
{
    bool residual = a->node->nin > RMSNORM_RESIDUAL && a->in[RMSNORM_RESIDUAL].data;
    return ref_load(&a->in[RMSNORM_X], i) + (residual ? ref_load(&a->in[RMSNORM_RESIDUAL], i) : 0);
}

void ref_rmsnorm(const struct kernel_args *a)
{
    const struct view *x = &a->in[RMSNORM_X];
    int64_t width = x->dim[x->ndim - 1], rows = view_count(x) / (width ? width : 1);

    for (int64_t n = 0; n < rows; n++) {
        double square = 0;
        for (int64_t i = n * width; i < (n + 1) * width; i++)
            square += summed(a, i) * summed(a, i);
        double rstd = 1 / sqrt(square / (double)width + a->node->attr[RMSNORM_EPS]);
        ref_put(a, RMSNORM_RSTD, n, rstd);
        for (int64_t i = n * width; i < (n + 1) * width; i++) {
            double s = summed(a, i);
            if (a->node->nout > RMSNORM_SUM)
                ref_put(a, RMSNORM_SUM, i, s);
            ref_put(a, RMSNORM_Y, i, s * rstd * ref_load(&a->in[RMSNORM_WEIGHT], i - n * width));
        }
    }
}

/* With g = dy * weight and h = x * rstd: dx = rstd * (g - h * mean(g h)) + dsum. */
static void input_row(const struct kernel_args *a, int64_t n, int64_t width)
{
    const struct view *dy = &a->in[RMSNORM_GRAD_DY], *x = &a->in[RMSNORM_GRAD_X];
    const struct view *weight = &a->in[RMSNORM_GRAD_WEIGHT];
    bool has_sum = a->node->nin > RMSNORM_GRAD_DSUM && a->in[RMSNORM_GRAD_DSUM].data;
    double rstd = ref_load(&a->in[RMSNORM_GRAD_RSTD], n), mean = 0;

    for (int64_t i = n * width; i < (n + 1) * width; i++)
        mean += ref_load(dy, i) * ref_load(weight, i - n * width) * ref_load(x, i) * rstd / (double)width;
    for (int64_t i = n * width; i < (n + 1) * width; i++) {
        double g = ref_load(dy, i) * ref_load(weight, i - n * width), h = ref_load(x, i) * rstd;
        double dsum = has_sum ? ref_load(&a->in[RMSNORM_GRAD_DSUM], i) : 0;
        ref_put(a, RMSNORM_GRAD_DX, i, rstd * (g - h * mean) + dsum);
    }
}

void ref_rmsnorm_grad(const struct kernel_args *a)
{
    const struct view *dy = &a->in[RMSNORM_GRAD_DY], *x = &a->in[RMSNORM_GRAD_X];
    int64_t width = x->dim[x->ndim - 1], rows = view_count(x) / (width ? width : 1);

    for (int64_t i = 0; i < width && a->node->nout > RMSNORM_GRAD_DWEIGHT; i++) {
        double sum = 0;
        for (int64_t n = 0; n < rows; n++)
            sum += ref_load(dy, n * width + i) * ref_load(x, n * width + i) *
                   ref_load(&a->in[RMSNORM_GRAD_RSTD], n);
        ref_put(a, RMSNORM_GRAD_DWEIGHT, i, sum);
    }
    for (int64_t n = 0; n < rows; n++) /* last: dx may overwrite dy */
        input_row(a, n, width);
}
