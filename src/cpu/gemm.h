/* gemm -- C (m, n) = op(A) (m, k) * op(B) (k, n), or C += that, fp32, with an epilogue on each piece of C
 * while it is in cache. Every matrix is row-major with a leading dimension (elements from row to row).
 *
 * One element of C is summed over k in an order fixed by constants alone: equal blocks of at most GEMM_BLOCK
 * in order, a running sum within each. So the bits depend on the instruction set (with or without fused
 * multiply-add), but neither on the number of threads nor on the shape of the other dims -- except that few
 * rows times a turned B (few.h) are dot products, summed lane by lane. */
#ifndef PLAIT_CPU_GEMM_H
#define PLAIT_CPU_GEMM_H

#include "cpu/isa.h"
#include "ops/ops.h"

/* Longest running sum over k; most rows, columns and k that are packed at a time; B with at most GEMM_NARROW
 * columns is narrow: A is not packed. */
enum {
    GEMM_BLOCK = 384,
    GEMM_ROWS = 1056,
    GEMM_COLUMNS = 768,
    GEMM_DEPTH = 3 * GEMM_BLOCK,
    GEMM_NARROW = 512
};

/* What is done to a finished element c at (i, j); all pointers optional. Matrices have C's leading dim.
 *     c += bias[j];  pre = c;  c = act(c)  -- or, when grad_at is given, c *= act'(grad_at);  c += residual
 */
struct gemm_after {
    const float *bias; /* (n) */
    float *pre;        /* (m, n) */
    enum activation_kind act;
    const float *grad_at, *residual; /* (m, n) */
};

struct gemm {
    int64_t m, n, k;
    const float *a, *b;
    int64_t a_step, b_step, c_step; /* leading dims */
    bool a_turned, b_turned;        /* A lies as (k, m), B as (n, k) */
    float *c;
    bool add;                       /* C += */
    const struct gemm_after *after; /* NULL: nothing */
    float *a_sums, *b_sums; /* optional: (m) sums over k of a turned A, (n) of a B that is not turned */
    bool sums_add;
    void *workspace; /* gemm_workspace bytes, aligned to 64 */
};

/* Bytes of scratch: enough for any m, n and k up to these, on any instruction set; at most 9 MB. */
static inline int64_t gemm_workspace(int64_t m, int64_t n, int64_t k)
{
    const int64_t most_b = GEMM_COLUMNS * (GEMM_DEPTH + 8), row = n / 32 * 32 + 32;
    int64_t b = k + 8 < most_b / row ? row * (k + 8) : most_b;
    int64_t rows = m + 64 < GEMM_ROWS ? m + 64 : GEMM_ROWS;
    int64_t sums = (k + GEMM_BLOCK - 1) / GEMM_BLOCK, most = GEMM_DEPTH / GEMM_BLOCK;
    int64_t a = n > GEMM_NARROW ? rows * GEMM_BLOCK * (sums < most ? sums : most) : 0;

    return (a + b + 16) * (int64_t)sizeof(float);
}

#ifdef ISA_NAME
void ISA(gemm)(const struct gemm *g);
#endif

#endif
