/* transpose -- square blocks of LANES x LANES floats in registers, and the two ways attention moves rows with
 * them. */
#ifndef PLAIT_CPU_TRANSPOSE_H
#define PLAIT_CPU_TRANSPOSE_H

#include "cpu/simd.h"

#if defined(__AVX512F__)
/* Rows 4g .. 4g+3 to: register 4g + w holds, in its 128-bit part l, column 4l + w of those rows. */
static inline void transpose_four(vec *r)
{
    __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
    __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
    __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
    __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
    r[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    r[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    r[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    r[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
}

static inline void vec_transpose(vec r[LANES])
{
    for (int g = 0; g < 4; g++)
        transpose_four(r + 4 * g);
    for (int w = 0; w < 4; w++) { /* a 4 x 4 block of 128-bit parts */
        vec a = _mm512_shuffle_f32x4(r[w], r[4 + w], 0x88), b = _mm512_shuffle_f32x4(r[w], r[4 + w], 0xdd);
        vec c = _mm512_shuffle_f32x4(r[8 + w], r[12 + w], 0x88);
        vec d = _mm512_shuffle_f32x4(r[8 + w], r[12 + w], 0xdd);
        r[w] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[4 + w] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[8 + w] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[12 + w] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}
#elif defined(__AVX2__)
static inline void transpose_four(vec *r)
{
    __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1]));
    __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
    __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3]));
    __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
    r[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
    r[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
    r[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
    r[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
}

static inline void vec_transpose(vec r[LANES])
{
    transpose_four(r);
    transpose_four(r + 4);
    for (int w = 0; w < 4; w++) {
        vec a = r[w], b = r[4 + w];
        r[w] = _mm256_permute2f128_ps(a, b, 0x20);
        r[4 + w] = _mm256_permute2f128_ps(a, b, 0x31);
    }
}
#else
static inline void vec_transpose(vec r[LANES])
{
    for (int i = 0; i < LANES; i++) {
        for (int j = 0; j < i; j++) {
            float x = r[i][j];
            r[i][j] = r[j][i];
            r[j][i] = x;
        }
    }
}
#endif

enum { COLUMN = 64 }; /* floats from column to column: as many rows at most */

/* columns[c][i] = scale * rows[i * row + c] for i < count, c < width; zero for count <= i < COLUMN. */
static inline void rows_to_columns(float *columns, const float *rows, int64_t row, int64_t count,
                                   int64_t width, float scale)
{
    vec r[LANES];

    for (int64_t i = 0; i < COLUMN; i += LANES) {
        for (int64_t c = 0; c < width; c += LANES) {
            for (int k = 0; k < LANES; k++)
                r[k] = i + k < count ? vec_load_upto(rows + (i + k) * row + c, width - c) : vec_zero();
            vec_transpose(r);
            for (int k = 0; k < LANES && c + k < width; k++)
                vec_store(columns + (c + k) * COLUMN + i, r[k] * vec_set(scale));
        }
    }
}

/* rows[i * row + c] = factor[i] * columns[c][i]; factor NULL: 1. */
static inline void columns_to_rows(float *rows, int64_t row, const float *columns, int64_t count,
                                   int64_t width, const float *factor)
{
    vec r[LANES];

    for (int64_t i = 0; i < count; i += LANES) {
        vec scale = factor ? vec_load(factor + i) : vec_set(1.0f);
        for (int64_t c = 0; c < width; c += LANES) {
            for (int k = 0; k < LANES; k++)
                r[k] = c + k < width ? scale * vec_load(columns + (c + k) * COLUMN + i) : vec_zero();
            vec_transpose(r);
            for (int k = 0; k < LANES && i + k < count; k++)
                vec_store_upto(rows + (i + k) * row + c, r[k], width - c);
        }
    }
}

#endif
