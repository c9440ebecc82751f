/* ref -- the plain references: one source over all dtypes, every element read as a double and every sum a
 * double. They are slow, always right, and the last row of every kernel list. Here are their ways to read and
 * write elements. */
#ifndef PLAIT_CPU_REF_H
#define PLAIT_CPU_REF_H

#include <math.h>

#include "base/err.h"
#include "cpu/view.h"

void ref_embedding(const struct kernel_args *a);
void ref_embedding_grad(const struct kernel_args *a);
void ref_add(const struct kernel_args *a);
void ref_scale(const struct kernel_args *a);
void ref_fill(const struct kernel_args *a);
void ref_cast(const struct kernel_args *a);
void ref_activation(const struct kernel_args *a);
void ref_activation_grad(const struct kernel_args *a);
void ref_glu(const struct kernel_args *a);
void ref_glu_grad(const struct kernel_args *a);
void ref_row_dot(const struct kernel_args *a);
void ref_row_scale(const struct kernel_args *a);
void ref_dropout(const struct kernel_args *a);
void ref_layernorm(const struct kernel_args *a);
void ref_layernorm_grad(const struct kernel_args *a);
void ref_rmsnorm(const struct kernel_args *a);
void ref_rmsnorm_grad(const struct kernel_args *a);
void ref_linear(const struct kernel_args *a);
void ref_linear_grad_input(const struct kernel_args *a);
void ref_linear_grad_weight(const struct kernel_args *a);
void ref_head_stats(const struct kernel_args *a);
void ref_head_grad(const struct kernel_args *a);
void ref_head_loss(const struct kernel_args *a);
void ref_rotary_table(const struct kernel_args *a);
void ref_rotary(const struct kernel_args *a);
void ref_attention(const struct kernel_args *a);
void ref_attention_grad(const struct kernel_args *a);
/* For every kernel of the two, in the end: what rows with no allowed key give, and their gradient. */
void ref_attention_blank(const struct kernel_args *a);
void ref_attention_blank_grad(const struct kernel_args *a);
void ref_cache_append(const struct kernel_args *a);
void ref_attention_cached(const struct kernel_args *a);
void ref_token_loss(const struct kernel_args *a);
void ref_token_loss_grad(const struct kernel_args *a);
void ref_target_loss(const struct kernel_args *a);
void ref_target_loss_grad(const struct kernel_args *a);
void ref_sum_squares(const struct kernel_args *a);
void ref_step_control(const struct kernel_args *a);
void ref_adamw(const struct kernel_args *a);
void ref_adafactor_sums(const struct kernel_args *a);
void ref_adafactor_norms(const struct kernel_args *a);
void ref_adafactor(const struct kernel_args *a);

/* Scratch of head_grad's and head_loss' references: dx in doubles and a few vectors. */
const char *ref_head_refuses(const struct node *n, const struct machine *m);
int64_t ref_head_workspace(const struct node *n, const struct mesh *mesh, const struct machine *m);
/* Scratch of the attention references: sums over one row, or over the table of relative positions. */
int64_t ref_attention_workspace(const struct node *n, const struct mesh *mesh, const struct machine *m);
int64_t ref_attention_grad_workspace(const struct node *n, const struct mesh *mesh, const struct machine *m);

/* f(x) and f'(x) for an activation_kind. */
double ref_activate(int kind, double x);
double ref_activate_grad(int kind, double x);

/* A float of fewer bits: `mantissa` stored bits, exponents from `least`; infinity is at `top` << mantissa. */
static inline uint16_t ref_pack(double x, int mantissa, int least, int top)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    if (isnan(x))
        return (uint16_t)(sign | ((top << mantissa) + (1 << (mantissa - 1))));
    int e = x == 0 || isinf(x) || ilogb(x) < least ? least : ilogb(x);
    double steps = isinf(x) ? x : nearbyint(ldexp(fabs(x), mantissa - e)); /* ties to even */
    double bits = fabs(steps) + ldexp(e - least, mantissa);
    double limit = ldexp(top, mantissa);
    return (uint16_t)(sign | (uint16_t)(bits < limit ? bits : limit));
}

static inline double ref_unpack(uint16_t bits, int mantissa, int least, int top)
{
    int e = (bits & 0x7fff) >> mantissa, m = bits & ((1 << mantissa) - 1);
    double x = e == top ? (m ? NAN : INFINITY)
                        : ldexp(e ? m + (1 << mantissa) : m, (e ? e - 1 : 0) + least - mantissa);
    return bits & 0x8000 ? -x : x;
}

/* Element i of a view; NULL data counts as zeros. */
static inline double ref_load(const struct view *v, int64_t i)
{
    if (!v->data)
        return 0;
    switch (v->dtype) {
    case DT_F32: return ((const float *)v->data)[i];
    case DT_F64: return ((const double *)v->data)[i];
    case DT_BF16: return ref_unpack(((const uint16_t *)v->data)[i], 7, -126, 255);
    case DT_F16: return ref_unpack(((const uint16_t *)v->data)[i], 10, -14, 31);
    case DT_I32: return ((const int32_t *)v->data)[i];
    case DT_I64: return (double)((const int64_t *)v->data)[i];
    default: BUG("element of dtype %d", v->dtype);
    }
}

static inline void ref_store(const struct view *v, int64_t i, double x)
{
    switch (v->dtype) {
    case DT_F32: ((float *)v->data)[i] = (float)x; break;
    case DT_F64: ((double *)v->data)[i] = x; break;
    case DT_BF16: ((uint16_t *)v->data)[i] = ref_pack(x, 7, -126, 255); break;
    case DT_F16: ((uint16_t *)v->data)[i] = ref_pack(x, 10, -14, 31); break;
    case DT_I32: ((int32_t *)v->data)[i] = (int32_t)x; break;
    case DT_I64: ((int64_t *)v->data)[i] = (int64_t)x; break;
    default: BUG("element of dtype %d", v->dtype);
    }
}

/* Stores, or adds when output j of the node accumulates; an output that is not wanted (data NULL) is skipped.
 */
static inline void ref_put(const struct kernel_args *a, int j, int64_t i, double x)
{
    if (a->out[j].data)
        ref_store(&a->out[j], i, a->add[j] ? ref_load(&a->out[j], i) + x : x);
}

#endif
