/* product -- small matrix products from strided operands, for the tiles of attention:
 *     c[rows, cols] (+)= a[rows, depth] * b[depth, cols]      or      c = c * shrink[cols] + a * b
 * a may lie in either order (its entries are broadcast one by one), b and c have their cols side by side.
 * Blocks of 6 rows and as many vectors of columns as the registers hold are summed in registers. */
#ifndef PLAIT_CPU_PRODUCT_H
#define PLAIT_CPU_PRODUCT_H

#include <stdbool.h>

#include "cpu/simd.h"

struct product {
    float *c;
    const float *a, *b;
    int64_t c_row, a_row, a_depth, b_row; /* strides in floats */
    int64_t rows, depth, cols;            /* b's rows are readable up to cols rounded up to LANES */
    bool add;                             /* to what c holds */
    const float *shrink;                  /* times this, for each column; NULL: times 1 */
};

/* Vectors of columns in a block: 6 x 4 sums of 32 registers, or 6 x 2 of 16. */
#if defined(__AVX512F__)
enum { BLOCK_VECS = 4 };
#else
enum { BLOCK_VECS = 2 };
#endif
enum { BLOCK_ROWS = 6 };

/* Rows row .. row+R-1, columns col .. col+V*LANES-1. R and V are constants where this is inlined. */
static inline __attribute__((always_inline)) void product_block(const struct product *p, int64_t row,
                                                                int64_t col, const int R, const int V)
{
    vec sum[BLOCK_ROWS][BLOCK_VECS], b[BLOCK_VECS];
    const float *pa = p->a + row * p->a_row, *pb = p->b + col;
    float *pc = p->c + row * p->c_row + col;
    int64_t a_row = p->a_row, a_depth = p->a_depth, b_row = p->b_row;

#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++)
            sum[r][v] = vec_zero();
    for (int r = 0; p->add && r < R; r++)
        for (int v = 0; v < V; v++)
            __builtin_prefetch(pc + r * p->c_row + v * LANES, 1);
    for (int64_t t = p->depth; t > 0; t--) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++)
            b[v] = vec_load(pb + v * LANES);
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            vec a = vec_set(pa[r * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < V; v++)
                sum[r][v] = vec_fma(a, b[v], sum[r][v]);
        }
        pa += a_depth;
        pb += b_row;
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            float *at = pc + r * p->c_row + v * LANES;
            int64_t left = p->cols - col - v * LANES;
            if (p->shrink)
                sum[r][v] =
                    vec_fma(vec_load_upto(at, left), vec_load(p->shrink + col + v * LANES), sum[r][v]);
            else if (p->add)
                sum[r][v] += vec_load_upto(at, left);
            vec_store_upto(at, sum[r][v], left);
        }
    }
}

static inline __attribute__((always_inline)) void product_columns(const struct product *p, int64_t col,
                                                                  const int V)
{
    int64_t row = 0;

    for (; row + BLOCK_ROWS <= p->rows; row += BLOCK_ROWS)
        product_block(p, row, col, BLOCK_ROWS, V);
    switch (p->rows - row) {
    case 5: product_block(p, row, col, 5, V); break;
    case 4: product_block(p, row, col, 4, V); break;
    case 3: product_block(p, row, col, 3, V); break;
    case 2: product_block(p, row, col, 2, V); break;
    case 1: product_block(p, row, col, 1, V); break;
    default: break;
    }
}

static void product(const struct product *p)
{
    int64_t col = 0;

    for (; p->cols - col > (BLOCK_VECS - 1) * LANES; col += BLOCK_VECS * LANES)
        product_columns(p, col, BLOCK_VECS);
    for (; BLOCK_VECS > 2 && p->cols - col > LANES; col += 2 * LANES)
        product_columns(p, col, 2);
    if (p->cols > col)
        product_columns(p, col, 1);
}

#endif
