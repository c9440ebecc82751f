/* Each list is made by src/cpu/<op>.c, compiled once per instruction set (isa.h). A new op is one line here.
 */
#include "cpu/kernels.h"

#define ROWS(isa)                                                                                           \
    {                                                                                                       \
        [OP_embedding] = cpu_embedding_##isa, [OP_embedding_grad] = cpu_embedding_grad_##isa,               \
        [OP_add] = cpu_add_##isa, [OP_activation] = cpu_activation_##isa,                                   \
        [OP_activation_grad] = cpu_activation_grad_##isa, [OP_dropout] = cpu_dropout_##isa,                 \
        [OP_layernorm] = cpu_layernorm_##isa, [OP_layernorm_grad] = cpu_layernorm_grad_##isa,               \
        [OP_glu] = cpu_glu_##isa, [OP_glu_grad] = cpu_glu_grad_##isa, [OP_rmsnorm] = cpu_rmsnorm_##isa,     \
        [OP_rmsnorm_grad] = cpu_rmsnorm_grad_##isa, [OP_linear] = cpu_linear_##isa,                         \
        [OP_linear_grad_input] = cpu_linear_grad_input_##isa,                                               \
        [OP_linear_grad_weight] = cpu_linear_grad_weight_##isa, [OP_attention] = cpu_attention_##isa,       \
        [OP_attention_grad] = cpu_attention_grad_##isa, [OP_cache_append] = cpu_cache_append_##isa,         \
        [OP_attention_cached] = cpu_attention_cached_##isa, [OP_head_stats] = cpu_head_stats_##isa,         \
        [OP_head_grad] = cpu_head_grad_##isa, [OP_token_loss] = cpu_token_loss_##isa,                       \
        [OP_token_loss_grad] = cpu_token_loss_grad_##isa, [OP_head_loss] = cpu_head_loss_##isa,             \
        [OP_rotary_table] = cpu_rotary_table_##isa, [OP_rotary] = cpu_rotary_##isa,                         \
        [OP_target_loss] = cpu_target_loss_##isa, [OP_target_loss_grad] = cpu_target_loss_grad_##isa,       \
        [OP_row_dot] = cpu_row_dot_##isa, [OP_row_scale] = cpu_row_scale_##isa, [OP_fill] = cpu_fill_##isa, \
        [OP_scale] = cpu_scale_##isa, [OP_cast] = cpu_cast_##isa, [OP_sum_squares] = cpu_sum_squares_##isa, \
        [OP_step_control] = cpu_step_control_##isa, [OP_adamw] = cpu_adamw_##isa,                           \
        [OP_adafactor_sums] = cpu_adafactor_sums_##isa, [OP_adafactor_norms] = cpu_adafactor_norms_##isa,   \
        [OP_adafactor] = cpu_adafactor_##isa,                                                               \
    }

#define OP(name) extern const struct kernel cpu_##name##_base[];
#include "core/ops.def"
#undef OP
static const struct kernel *const base[OP_COUNT] = ROWS(base);

#if defined(__x86_64__)
#define OP(name) extern const struct kernel cpu_##name##_avx2[], cpu_##name##_avx512[];
#include "core/ops.def"
#undef OP
static const struct kernel *const avx2[OP_COUNT] = ROWS(avx2);
static const struct kernel *const avx512[OP_COUNT] = ROWS(avx512);
#endif

const struct kernel *const *cpu_kernel_table(enum isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX2)
        return avx2;
    if (isa == ISA_AVX512)
        return avx512;
#endif
    (void)isa;
    return base;
}
