/* micro -- the innermost part of gemm: a piece of C, up to MICRO_ROWS x MICRO_COLUMNS, held in registers over
 * one block of k. It reads panels of A, in which MICRO_ROWS elements of a column of A stand side by side, and
 * strips of B, in which MICRO_COLUMNS of a row do (pack.h). Sizes: as many accumulators as leave registers
 * for two vectors of B and a broadcast element of A. While it computes, it asks for memory that is needed
 * next: the following piece of C, of B, and the part of A that is copied next. */
#ifndef PLAIT_CPU_MICRO_H
#define PLAIT_CPU_MICRO_H

#include "cpu/gemm.h"
#include "cpu/simd.h"

#if defined(__AVX512F__)
enum { MICRO_ROWS = 14 };
#elif defined(__AVX2__)
enum { MICRO_ROWS = 6 };
#else
enum { MICRO_ROWS = 4 };
#endif
enum { MICRO_COLUMNS = 2 * LANES };

/* Memory to bring near, a few lines at a time: `rows` runs of `run` floats, `step` floats apart. */
struct ahead {
    const float *at;
    int64_t rows, run, step;
    int64_t left; /* of the run that `at` is in */
};

struct micro {
    int64_t k;          /* length of the sum, up to GEMM_BLOCK */
    const float *a, *b; /* panel: k times MICRO_ROWS; strip: k times MICRO_COLUMNS */
    float *c;           /* (rows, columns) */
    int64_t c_step, rows, columns;
    bool add;
    const float *next_c; /* the piece after this one */
    struct ahead *next_a, *next_b;
};

static inline void look_ahead(struct ahead *h, const int lines)
{
    if (h->rows == 0)
        return;
    for (int i = 0; i < lines; i++)
        __builtin_prefetch(h->at + 16 * i, 0, 2);
    h->at += 16 * lines;
    h->left -= 16 * lines;
    if (h->left <= 0) {
        h->at += h->step - h->run + h->left;
        h->left = h->run;
        h->rows--;
    }
}

/* Row i of a piece that is not whole. */
static inline void micro_put(const struct micro *t, int i, vec low, vec high)
{
    float *c = t->c + i * t->c_step;
    int64_t first = t->columns < LANES ? t->columns : LANES, rest = t->columns - first;

    vec_store_part(c, t->add ? vec_load_part(c, first) + low : low, first);
    vec_store_part(c + LANES, t->add ? vec_load_part(c + LANES, rest) + high : high, rest);
}

/* rows is even and constant in each call; t->rows may be one less. */
__attribute__((always_inline)) static inline void micro_rows(const struct micro *t, const int rows)
{
    vec low[MICRO_ROWS], high[MICRO_ROWS];
    const float *a = t->a, *b = t->b, *next_c = t->next_c;
    int64_t step = t->c_step;
    bool add = t->add;
    float *c = t->c;

#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        low[i] = high[i] = vec_zero();
    for (int64_t k = 0, count = t->k; k < count;) {
        int64_t stop = k + 16 < count ? k + 16 : count;
        if (k < rows * 16) {
            __builtin_prefetch(next_c, 1);
            __builtin_prefetch(next_c + MICRO_COLUMNS - 1, 1);
            next_c += step;
        }
        look_ahead(t->next_a, 4);
        look_ahead(t->next_b, 8);
#pragma GCC unroll 1
        for (; k < stop; k++, a += MICRO_ROWS, b += MICRO_COLUMNS) {
            vec b0 = vec_load(b), b1 = vec_load(b + LANES);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                vec x = vec_set(a[i]);
                low[i] = vec_fma(x, b0, low[i]);
                high[i] = vec_fma(x, b1, high[i]);
            }
        }
    }
    if (t->rows != rows || t->columns != MICRO_COLUMNS) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
            if (i < t->rows)
                micro_put(t, i, low[i], high[i]);
        return;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++, c += step) {
        vec_store(c, add ? vec_load(c) + low[i] : low[i]);
        vec_store(c + LANES, add ? vec_load(c + LANES) + high[i] : high[i]);
    }
}

/* One instance for each even number of rows. */
__attribute__((noinline)) static void micro(const struct micro *t)
{
    switch ((t->rows + 1) / 2) {
    case 1: micro_rows(t, 2); break;
    case 2: micro_rows(t, 4); break;
#if defined(__AVX2__)
    case 3: micro_rows(t, 6); break;
#endif
#if defined(__AVX512F__)
    case 4: micro_rows(t, 8); break;
    case 5: micro_rows(t, 10); break;
    case 6: micro_rows(t, 12); break;
    case 7: micro_rows(t, 14); break;
#endif
    default: break;
    }
}

#endif
