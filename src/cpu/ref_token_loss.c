/* References of token_loss and its gradient. */
#include "cpu/ref.h"
#include "ops/ops.h"

void ref_token_loss(const struct kernel_args *a)
{
    const struct view *lse = &a->in[TOKEN_LOSS_LSE], *target = &a->in[TOKEN_LOSS_TARGET];
    const double *attr = a->node->attr;
    double loss = 0, smoothing = attr[TOKEN_LOSS_SMOOTHING];

    for (int64_t r = 0; r < lse->dim[0]; r++)
        loss += ref_load(lse, r) * (1 + attr[TOKEN_LOSS_Z] * ref_load(lse, r)) -
                (1 - smoothing) * ref_load(target, r) - smoothing * ref_load(&a->in[TOKEN_LOSS_MEAN], r);
    ref_put(a, 0, 0, loss);
}

void ref_token_loss_grad(const struct kernel_args *a)
{
    double dloss = ref_load(&a->in[TOKEN_LOSS_GRAD_DLOSS], 0);
    double smoothing = a->node->attr[TOKEN_LOSS_SMOOTHING], z = a->node->attr[TOKEN_LOSS_Z];

    for (int64_t r = 0; r < a->in[TOKEN_LOSS_GRAD_LIKE].dim[0]; r++) {
        double lse = z != 0 ? ref_load(&a->in[TOKEN_LOSS_GRAD_LIKE], r) : 0;
        ref_put(a, TOKEN_LOSS_GRAD_DLSE, r, dloss * (1 + 2 * z * lse));
        ref_put(a, TOKEN_LOSS_GRAD_DTARGET, r, -dloss * (1 - smoothing));
        ref_put(a, TOKEN_LOSS_GRAD_DMEAN, r, -dloss * smoothing);
    }
}
