/* References of add, scale and fill. */
#include "cpu/ref.h"
#include "ops/ops.h"

void ref_add(const struct kernel_args *a)
{
    for (int64_t i = 0; i < view_count(&a->out[0]); i++)
        ref_put(a, 0, i, ref_load(&a->in[0], i) + ref_load(&a->in[1], i));
}

void ref_scale(const struct kernel_args *a)
{
    for (int64_t i = 0; i < view_count(&a->out[0]); i++)
        ref_put(a, 0, i, a->node->attr[SCALE_FACTOR] * ref_load(&a->in[0], i));
}

void ref_fill(const struct kernel_args *a)
{
    for (int64_t i = 0; i < view_count(&a->out[0]); i++)
        ref_put(a, 0, i, a->node->attr[FILL_VALUE]);
}
