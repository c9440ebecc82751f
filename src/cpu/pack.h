/* pack -- copies of A and B in the order in which the innermost loop of gemm (micro.h) reads them. */
#ifndef PLAIT_CPU_PACK_H
#define PLAIT_CPU_PACK_H

#include "cpu/micro.h"
#include "cpu/transpose.h"

enum { PACK_STRIPS = 4 }; /* strips of B that are packed side by side */

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- A: panels of MICRO_ROWS rows; element (i, k) of a panel lies at k * MICRO_ROWS + i ---- */

enum { PANELS = 4, GROUP_ROWS = PANELS * MICRO_ROWS };
enum { PANEL_FLOATS = MICRO_ROWS * GEMM_BLOCK, GROUP_FLOATS = PANELS * PANEL_FLOATS };

/* Column k of a panel of `count`; what is written beyond it the next column overwrites. */
static inline void put_column(float *panel, int64_t k, int64_t count, vec v)
{
    if (k < count - 1)
        vec_store(panel + k * MICRO_ROWS, v);
    else
        vec_store_part(panel + k * MICRO_ROWS, v, MICRO_ROWS);
}

/* A panel of (rows, k) from a matrix that lies straight; rows past the last are zero. */
static void copy_straight(const float *from, int64_t step, int64_t rows, int64_t k, float *to)
{
    vec r[LANES];

    for (int64_t i = 0; i < k; i += LANES) {
        for (int q = 0; q < LANES; q++)
            r[q] = q < rows && q < MICRO_ROWS ? vec_load_upto(from + q * step + i, k - i) : vec_zero();
        vec_transpose(r);
        for (int q = 0; q < LANES && i + q < k; q++)
            put_column(to, i + q, k, r[q]);
    }
}

/* A group of panels of (rows, k) from a matrix that lies as (k, rows); sums (rows) get the sums over k added
 * when not NULL. */
static void copy_turned(const float *from, int64_t step, int64_t rows, int64_t k, float *to, float *sums)
{
    vec total[PANELS] = { vec_zero(), vec_zero(), vec_zero(), vec_zero() };

    for (int64_t i = 0; i < k; i++) {
        for (int p = 0; p < PANELS && p * MICRO_ROWS < rows; p++) {
            const float *at = from + i * step + p * MICRO_ROWS;
            vec v = vec_load_part(at, least(rows - p * MICRO_ROWS, MICRO_ROWS));
            total[p] += v;
            put_column(to + p * PANEL_FLOATS, i, k, v);
        }
    }
    for (int p = 0; sums && p * MICRO_ROWS < rows; p++) {
        int64_t left = least(rows - p * MICRO_ROWS, MICRO_ROWS);
        float *s = sums + p * MICRO_ROWS;
        vec_store_part(s, vec_load_part(s, left) + total[p], left);
    }
}

/* ---- B: strips of MICRO_COLUMNS columns; strip s starts at to + s * MICRO_COLUMNS * to_k ---- */

/* Up to PACK_STRIPS strips of a B that lies as (k, columns); columns is a constant where they are whole. */
__attribute__((always_inline)) static inline void pack_rows(const float *from, int64_t step, int64_t columns,
                                                            int64_t k, float *to, vec *total)
{
    enum { AHEAD = 16 }; /* rows: the processor does not see a pattern in them */

    for (int64_t i = 0; i < k; i++) {
        for (int s = 0; s < PACK_STRIPS && s * MICRO_COLUMNS < columns; s++) {
            float *row = to + (s * k + i) * MICRO_COLUMNS;
            __builtin_prefetch(from + (i + AHEAD) * step + s * MICRO_COLUMNS);
            __builtin_prefetch(from + (i + AHEAD) * step + s * MICRO_COLUMNS + LANES);
            for (int j = 0; j < 2; j++) {
                int64_t at = s * MICRO_COLUMNS + j * LANES, left = columns - at;
                vec v = left > 0 ? vec_load_upto(from + i * step + at, left) : vec_zero();
                total[2 * s + j] += v;
                vec_store(row + j * LANES, v);
            }
        }
    }
}

/* sums (columns) get the sums over k added when not NULL. */
static void pack_straight(const float *from, int64_t step, int64_t columns, int64_t k, float *to, float *sums)
{
    enum { WHOLE = PACK_STRIPS * MICRO_COLUMNS };
    vec total[2 * PACK_STRIPS];

    for (int j = 0; j < 2 * PACK_STRIPS; j++)
        total[j] = vec_zero();
    if (columns >= WHOLE)
        pack_rows(from, step, WHOLE, k, to, total);
    else
        pack_rows(from, step, columns, k, to, total);
    for (int64_t j = 0; sums && j * LANES < columns && j < 2 * PACK_STRIPS; j++) {
        float *s = sums + j * LANES;
        int64_t left = columns - j * LANES;
        vec_store_upto(s, vec_load_upto(s, left) + total[j], left);
    }
}

/* One strip of a B that lies as (columns, k). */
static void pack_turned(const float *from, int64_t step, int64_t columns, int64_t k, float *to)
{
    vec r[LANES];

    for (int64_t j = 0; j < MICRO_COLUMNS; j += LANES) {
        for (int64_t i = 0; i < k; i += LANES) {
            for (int q = 0; q < LANES; q++)
                r[q] = j + q < columns ? vec_load_upto(from + (j + q) * step + i, k - i) : vec_zero();
            vec_transpose(r);
            for (int q = 0; q < LANES && i + q < k; q++)
                vec_store(to + (i + q) * MICRO_COLUMNS + j, r[q]);
        }
    }
}

#endif
