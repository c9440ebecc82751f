/* References of glu and its gradient. */
#include "cpu/ref.h"
#include "ops/ops.h"

void ref_glu(const struct kernel_args *a)
{
    int kind = (int)a->node->attr[GLU_KIND];

    for (int64_t i = 0; i < view_count(&a->out[0]); i++)
        ref_put(a, 0, i, ref_activate(kind, ref_load(&a->in[GLU_GATE], i)) * ref_load(&a->in[GLU_UP], i));
}

void ref_glu_grad(const struct kernel_args *a)
{
    int kind = (int)a->node->attr[GLU_KIND];

    for (int64_t i = 0; i < view_count(&a->in[GLU_GRAD_DY]); i++) {
        double dy = ref_load(&a->in[GLU_GRAD_DY], i);
        double gate = ref_load(&a->in[GLU_GRAD_GATE], i), up = ref_load(&a->in[GLU_GRAD_UP], i);
        ref_put(a, GLU_GRAD_DGATE, i, dy * up * ref_activate_grad(kind, gate));
        ref_put(a, GLU_GRAD_DUP, i, dy * ref_activate(kind, gate));
    }
}
