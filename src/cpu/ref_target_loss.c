/* References of target_loss and its gradient. */
#include "cpu/ref.h"
#include "ops/ops.h"

/* log(1 + e^x) without overflow */
static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

void ref_target_loss(const struct kernel_args *a)
{
    const struct view *logits = &a->in[TARGET_LOSS_LOGITS], *targets = &a->in[TARGET_LOSS_TARGETS];
    bool binary = a->node->attr[TARGET_LOSS_KIND] == TARGET_BINARY;
    int64_t width = view_row(logits);
    double loss = 0;

    for (int64_t i = 0; i < logits->dim[0] * width; i++) {
        double x = ref_load(logits, i), t = ref_load(targets, i);
        loss += binary ? softplus(x) - t * x : (x - t) * (x - t);
    }
    ref_put(a, 0, 0, loss / (double)width);
}

void ref_target_loss_grad(const struct kernel_args *a)
{
    const struct view *logits = &a->in[TARGET_LOSS_GRAD_LOGITS], *targets = &a->in[TARGET_LOSS_GRAD_TARGETS];
    bool binary = a->node->attr[TARGET_LOSS_KIND] == TARGET_BINARY;
    int64_t width = view_row(logits);
    double factor = ref_load(&a->in[TARGET_LOSS_GRAD_DLOSS], 0) / (double)width;

    for (int64_t i = 0; i < logits->dim[0] * width; i++) {
        double x = ref_load(logits, i), t = ref_load(targets, i);
        ref_put(a, 0, i, factor * (binary ? 1 / (1 + exp(-x)) - t : 2 * (x - t)));
    }
}
