/* References of adafactor's three nodes. */
#include "cpu/factored.h"

void ref_adafactor_sums(const struct kernel_args *a)
{
    const struct view *x = &a->in[0];
    int k = (int)a->node->attr[ADAFACTOR_SPLIT];
    int64_t rows = view_product(x, 0, k), cols = view_product(x, k, x->ndim);

    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < cols; c++)
            sum += ref_load(x, r * cols + c) * ref_load(x, r * cols + c);
        ref_put(a, ADAFACTOR_SUMS_ROWS, r, sum);
    }
    for (int64_t c = 0; c < cols; c++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++)
            sum += ref_load(x, r * cols + c) * ref_load(x, r * cols + c);
        ref_put(a, ADAFACTOR_SUMS_COLS, c, sum);
    }
}

/* u of entry i; mean: of the moments, where there are two. */
static double step_of(const struct kernel_args *a, int64_t i, double mean)
{
    const struct view *v = &a->in[ADAFACTOR_V], *col = &a->in[ADAFACTOR_COL];
    double g = ref_load(&a->in[ADAFACTOR_GRAD], i) * ref_load(&a->in[ADAFACTOR_CONTROL], CONTROL_SCALE);
    int64_t cols;

    if (view_is_padding(&a->in[ADAFACTOR_PARAM], i))
        return 0;
    if (!col->data)
        return g / sqrt(ref_load(v, i));
    cols = view_count(col);
    return g * factored_factor(v, i / cols, mean) * factored_factor(col, i % cols, 1);
}

static void update_whole(const struct kernel_args *a)
{
    const struct view *v = &a->in[ADAFACTOR_V];
    double scale = ref_load(&a->in[ADAFACTOR_CONTROL], CONTROL_SCALE);

    for (int64_t i = 0; i < view_count(v); i++) {
        double g = ref_load(&a->in[ADAFACTOR_GRAD], i) * scale;
        if (!view_is_padding(v, i))
            ref_store(v, i, factored_next(a, ref_load(v, i), g * g));
    }
}

void ref_adafactor_norms(const struct kernel_args *a)
{
    bool apply = ref_load(&a->in[ADAFACTOR_CONTROL], CONTROL_APPLY) != 0;
    bool factored = a->in[ADAFACTOR_COL].data != NULL;
    double step = 0, size = 0, mean = 0;

    if (apply && factored)
        factored_update_both(a);
    else if (apply)
        update_whole(a);
    if (factored)
        mean = factored_share_mean(a);
    for (int64_t i = 0; apply && i < view_count(&a->in[ADAFACTOR_PARAM]); i++) {
        double u = step_of(a, i, mean), p = ref_load(&a->in[ADAFACTOR_PARAM], i);
        step += u * u;
        size += p * p;
    }
    ref_put(a, 0, ADAFACTOR_NORM_STEP, factored && step > 0 ? step / mean : step);
    ref_put(a, 0, ADAFACTOR_NORM_PARAM, size);
    ref_put(a, 0, ADAFACTOR_NORM_MOMENT, apply && factored ? factored_moment(a) : 0);
}

void ref_adafactor(const struct kernel_args *a)
{
    const struct view *param = &a->in[ADAFACTOR_PARAM];
    struct factored_step s;
    double mean = 0;

    if (ref_load(&a->in[ADAFACTOR_CONTROL], CONTROL_APPLY) == 0)
        return;
    s = factored_step(a);
    if (a->in[ADAFACTOR_COL].data)
        mean = factored_mean(a);
    for (int64_t i = 0; i < view_count(param); i++)
        ref_store(param, i, ref_load(param, i) * s.shrink - s.rate * step_of(a, i, mean));
}
