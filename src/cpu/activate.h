/* activate -- activations and their derivatives on vectors, for the activation op and for the epilogues of
 * linear. With s = sigmoid, the tanh form of GELU is x s(2u), u = sqrt(2/pi) (x + 0.044715 x^3), since 1 +
 * tanh u = 2 s(2u): one exponential and no cancellation. */
#ifndef PLAIT_CPU_ACTIVATE_H
#define PLAIT_CPU_ACTIVATE_H

#include "cpu/simd.h"
#include "ops/ops.h"

/* s(2u) */
static inline vec gelu_tanh_gate(vec x)
{
    vec xx = x * x;
    return vec_sigmoid(x * vec_fma(xx, vec_set(0.0713548163f), vec_set(1.59576912f)));
}

struct sigmoid { /* s(z) and s'(z) = s (1 - s), without cancellation where s is near 1 */
    vec s, slope;
};

static inline struct sigmoid sigmoid_both(vec z)
{
    vec e = vec_exp(vec_zero() - vec_abs(z)), r = vec_set(1.0f) / (vec_set(1.0f) + e);
    return (struct sigmoid){ vec_if_less(z, vec_zero(), e * r, r), e * r * r };
}

static inline vec gelu_tanh_grad(vec x)
{
    x = vec_min(vec_set(20.0f), vec_max(vec_set(-20.0f), x)); /* beyond it is 0 or 1: keeps x^3 in range */
    vec xx = x * x;
    struct sigmoid gate = sigmoid_both(x * vec_fma(xx, vec_set(0.0713548163f), vec_set(1.59576912f)));
    vec slope = vec_fma(xx, vec_set(0.214064449f), vec_set(1.59576912f)); /* (2u)' */
    return vec_fma(x * slope, gate.slope, gate.s);
}

/* Phi(x) = (1 + erf(x / sqrt 2)) / 2 */
static inline vec gelu_erf_gate(vec x)
{
    vec half = vec_set(0.5f);
    return vec_fma(half, vec_erf(x * vec_set(0.707106781f)), half);
}

static inline vec gelu_erf_grad(vec x)
{
    vec density = vec_set(0.398942280f) * vec_exp(vec_set(-0.5f) * x * x);
    return vec_fma(x, density, gelu_erf_gate(x));
}

/* x s(a x): silu with a = 1, quick_gelu with a = 1.702 */
static inline vec swish(vec x, float a)
{
    return x * vec_sigmoid(vec_set(a) * x);
}

static inline vec swish_grad(vec x, float a)
{
    vec ax = vec_set(a) * x;
    struct sigmoid gate = sigmoid_both(ax);
    return vec_fma(ax, gate.slope, gate.s);
}

static inline vec vec_activate(enum activation_kind kind, vec x)
{
    switch (kind) {
    case ACT_GELU_TANH: return x * gelu_tanh_gate(x);
    case ACT_GELU_ERF: return x * gelu_erf_gate(x);
    case ACT_RELU: return vec_max(vec_zero(), x);
    case ACT_SILU: return swish(x, 1.0f);
    case ACT_TANH: return vec_tanh(x);
    case ACT_QUICK_GELU: return swish(x, 1.702f);
    case ACT_EXP: return vec_exp(x);
    case ACT_LOG: return vec_log(x);
    default: return x;
    }
}

/* f'(x); 0 for relu at 0 */
static inline vec vec_activate_grad(enum activation_kind kind, vec x)
{
    vec one = vec_set(1.0f);
    switch (kind) {
    case ACT_GELU_TANH: return gelu_tanh_grad(x);
    case ACT_GELU_ERF: return gelu_erf_grad(x);
    case ACT_RELU: return vec_if_less(vec_zero(), x, one, vec_zero());
    case ACT_SILU: return swish_grad(x, 1.0f);
    case ACT_TANH: return one - vec_tanh(x) * vec_tanh(x);
    case ACT_QUICK_GELU: return swish_grad(x, 1.702f);
    case ACT_EXP: return vec_exp(x);
    case ACT_LOG: return one / x;
    default: return one;
    }
}

#endif
