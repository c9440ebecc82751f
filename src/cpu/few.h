/* few -- products with few rows of A, as when one token after the other is generated. What counts is to read
 * B once, at the rate of memory; it is not packed. */
#ifndef PLAIT_CPU_FEW_H
#define PLAIT_CPU_FEW_H

#include "cpu/finish.h"

enum { FEW_ROWS = 8 };

/* ---- B lies as (k, n): sums for some columns are kept near while B's rows go by. The order of each sum is
 * that of gemm's blocks, and so are the bits. ---- */

enum { FEW_COLUMNS = 128 };

/* sum (m, FEW_COLUMNS) += A (m, k) B (k, columns) */
static void few_add(const struct gemm *g, struct range k, struct range columns, float *sum)
{
    enum { AT_ONCE = 8, AHEAD = 8 };

    for (int64_t i = k.first; i < k.first + k.count; i += AT_ONCE) {
        int64_t count = k.first + k.count - i < AT_ONCE ? k.first + k.count - i : AT_ONCE;
        const float *b = g->b + i * g->b_step + columns.first;
        for (int64_t j = 0; j < columns.count; j += LANES) {
            vec row[AT_ONCE];
            for (int64_t q = 0; q < AT_ONCE; q++) {
                __builtin_prefetch(b + (q + AHEAD) * g->b_step + j);
                row[q] = q < count ? vec_load_upto(b + q * g->b_step + j, columns.count - j) : vec_zero();
            }
            for (int64_t r = 0; r < g->m; r++) {
                const float *a = g->a + r * g->a_step + i;
                vec s = vec_load(sum + r * FEW_COLUMNS + j);
                for (int64_t q = 0; q < count; q++)
                    s = vec_fma(vec_set(a[q]), row[q], s);
                vec_store(sum + r * FEW_COLUMNS + j, s);
            }
        }
    }
}

/* C (+)= sum */
static void few_put(const struct gemm *g, struct range columns, bool add, const float *sum)
{
    for (int64_t r = 0; r < g->m; r++) {
        for (int64_t j = 0; j < columns.count; j += LANES) {
            float *c = g->c + r * g->c_step + columns.first + j;
            int64_t n = columns.count - j;
            vec s = vec_load(sum + r * FEW_COLUMNS + j);
            vec_store_upto(c, add ? vec_load_upto(c, n) + s : s, n);
        }
    }
}

/* FEW_COLUMNS columns of C; block: most of k in one running sum */
static void few_straight(const struct gemm *g, int64_t tile, int64_t block)
{
    int64_t first = tile * FEW_COLUMNS, left = g->n - first;
    struct range columns = { first, left < FEW_COLUMNS ? left : FEW_COLUMNS }, k = { 0, 0 };
    _Alignas(64) float sum[FEW_ROWS * FEW_COLUMNS];

    do {
        k.count = g->k - k.first < block ? g->k - k.first : block;
        memset(sum, 0, (size_t)g->m * FEW_COLUMNS * sizeof(float));
        few_add(g, k, columns, sum);
        few_put(g, columns, g->add || k.first > 0, sum);
        k.first += k.count;
    } while (k.first < g->k);
    if (g->after)
        finish(g, (struct range){ 0, g->m }, columns);
}

/* ---- B lies as (n, k): dot products of rows ---- */

enum { FEW_DOTS = 16, FEW_B = LANES > 8 ? 4 : 2, FEW_A = 4 }; /* FEW_A * FEW_B sums are kept in registers */

/* Adds the products of `rows` of A and FEW_B of B, n (up to LANES) elements of each. */
__attribute__((always_inline)) static inline void few_step(const float *a, int64_t a_step,
                                                           const float *const b[FEW_B], int64_t n,
                                                           vec sum[FEW_A][FEW_B], const int rows)
{
    vec y[FEW_B];

#pragma GCC unroll 4
    for (int j = 0; j < FEW_B; j++)
        y[j] = vec_load_upto(b[j], n);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        vec x = vec_load_upto(a + i * a_step, n);
#pragma GCC unroll 4
        for (int j = 0; j < FEW_B; j++)
            sum[i][j] = vec_fma(x, y[j], sum[i][j]);
    }
}

/* C's rows from r on, `rows` (a constant up to FEW_A) of them; columns from j on, up to FEW_B */
__attribute__((always_inline)) static inline void few_dots(const struct gemm *g, int64_t r, int64_t j,
                                                           const int rows)
{
    const float *a = g->a + r * g->a_step, *b[FEW_B];
    int64_t columns = g->n - j < FEW_B ? g->n - j : FEW_B, k = 0;
    vec sum[FEW_A][FEW_B];

#pragma GCC unroll 4
    for (int q = 0; q < FEW_B; q++) {
        b[q] = g->b + (j + (q < columns ? q : 0)) * g->b_step;
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
            sum[i][q] = vec_zero();
    }
    for (; k + LANES <= g->k; k += LANES) {
        const float *at[FEW_B];
#pragma GCC unroll 4
        for (int q = 0; q < FEW_B; q++)
            at[q] = b[q] + k;
        few_step(a + k, g->a_step, at, LANES, sum, rows);
    }
    if (k < g->k) {
        const float *at[FEW_B];
        for (int q = 0; q < FEW_B; q++)
            at[q] = b[q] + k;
        few_step(a + k, g->a_step, at, g->k - k, sum, rows);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        float *c = g->c + (r + i) * g->c_step + j;
#pragma GCC unroll 4
        for (int q = 0; q < FEW_B; q++)
            if (q < columns)
                c[q] = (g->add ? c[q] : 0) + vec_sum(sum[i][q]);
    }
}

/* FEW_DOTS columns of C */
static void few_turned(const struct gemm *g, int64_t tile)
{
    int64_t first = tile * FEW_DOTS, left = g->n - first;
    struct range columns = { first, left < FEW_DOTS ? left : FEW_DOTS };

    for (int64_t j = first; j < first + columns.count; j += FEW_B) {
        for (int64_t r = 0; r < g->m; r += FEW_A) {
            switch (g->m - r) {
            case 1: few_dots(g, r, j, 1); break;
            case 2: few_dots(g, r, j, 2); break;
            case 3: few_dots(g, r, j, 3); break;
            default: few_dots(g, r, j, FEW_A); break;
            }
        }
    }
    if (g->after)
        finish(g, (struct range){ 0, g->m }, columns);
}

#endif
