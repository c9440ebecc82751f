/* References of activation and its gradient. */
#include "cpu/ref.h"
#include "ops/ops.h"

static const double sqrt_2_over_pi = 0.79788456080286535588, sqrt_half = 0.70710678118654752440;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* x * sigmoid(a x) */
static double swish_grad(double x, double a)
{
    double s = sigmoid(a * x);
    return s + a * x * s * (1 - s);
}

static double gelu_tanh_grad(double x)
{
    double t = tanh(sqrt_2_over_pi * (x + 0.044715 * x * x * x));
    double slope = sqrt_2_over_pi * (1 + 3 * 0.044715 * x * x);
    return t * t == 1 ? 0.5 * (1 + t) : 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope;
}

double ref_activate(int kind, double x)
{
    switch (kind) {
    case ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt_2_over_pi * (x + 0.044715 * x * x * x)));
    case ACT_GELU_ERF: return 0.5 * x * erfc(-x * sqrt_half);
    case ACT_RELU: return x < 0 ? 0 : x;
    case ACT_SILU: return x * sigmoid(x);
    case ACT_TANH: return tanh(x);
    case ACT_QUICK_GELU: return x * sigmoid(1.702 * x);
    case ACT_EXP: return exp(x);
    case ACT_LOG: return log(x);
    default: return x;
    }
}

double ref_activate_grad(int kind, double x)
{
    switch (kind) {
    case ACT_GELU_TANH: return gelu_tanh_grad(x);
    case ACT_GELU_ERF: return 0.5 * erfc(-x * sqrt_half) + x * 0.5 * sqrt_2_over_pi * exp(-0.5 * x * x);
    case ACT_RELU: return x > 0;
    case ACT_SILU: return swish_grad(x, 1);
    case ACT_TANH: return 1 - tanh(x) * tanh(x);
    case ACT_QUICK_GELU: return swish_grad(x, 1.702);
    case ACT_EXP: return exp(x);
    case ACT_LOG: return 1 / x;
    default: return 1;
    }
}

void ref_activation(const struct kernel_args *a)
{
    int kind = (int)a->node->attr[ACTIVATION_KIND];

    for (int64_t i = 0; i < view_count(&a->out[0]); i++)
        ref_put(a, 0, i, ref_activate(kind, ref_load(&a->in[0], i)));
}

void ref_activation_grad(const struct kernel_args *a)
{
    int kind = (int)a->node->attr[ACTIVATION_KIND];
    const struct view *dy = &a->in[ACTIVATION_GRAD_DY], *x = &a->in[ACTIVATION_GRAD_X];

    for (int64_t i = 0; i < view_count(&a->out[0]); i++)
        ref_put(a, 0, i, ref_load(dy, i) * ref_activate_grad(kind, ref_load(x, i)));
}
