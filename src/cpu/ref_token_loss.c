/* References of token_loss and its gradient. */
#include "cpu/ref.h"
#include "ops/ops.h"

void ref_token_loss(const struct kernel_args *a)
{
    const struct view *lse = &a->in[TOKEN_LOSS_LSE], *target = &a->in[TOKEN_LOSS_TARGET];
    double loss = 0;

    for (int64_t r = 0; r < lse->dim[0]; r++)
        loss += ref_load(lse, r) - ref_load(target, r);
    ref_put(a, 0, 0, loss);
}

void ref_token_loss_grad(const struct kernel_args *a)
{
    double dloss = ref_load(&a->in[TOKEN_LOSS_GRAD_DLOSS], 0);

    for (int64_t r = 0; r < a->in[TOKEN_LOSS_GRAD_LIKE].dim[0]; r++) {
        ref_put(a, TOKEN_LOSS_GRAD_DLSE, r, dloss);
        ref_put(a, TOKEN_LOSS_GRAD_DTARGET, r, -dloss);
    }
}
