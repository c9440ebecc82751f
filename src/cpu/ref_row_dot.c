/* References of row_dot and row_scale. */
#include "cpu/ref.h"
#include "ops/ops.h"

void ref_row_dot(const struct kernel_args *a)
{
    int64_t width = view_row(&a->in[ROW_DOT_X]);

    for (int64_t n = 0; n < view_rows(&a->in[ROW_DOT_X]); n++) {
        double sum = 0;
        for (int64_t i = n * width; i < (n + 1) * width; i++)
            sum += ref_load(&a->in[ROW_DOT_X], i) * ref_load(&a->in[ROW_DOT_Y], i);
        ref_put(a, 0, n, sum);
    }
}

void ref_row_scale(const struct kernel_args *a)
{
    int64_t width = view_row(&a->in[ROW_SCALE_X]);

    for (int64_t i = 0; i < view_count(&a->out[0]); i++)
        ref_put(a, 0, i, ref_load(&a->in[ROW_SCALE_S], i / width) * ref_load(&a->in[ROW_SCALE_X], i));
}
