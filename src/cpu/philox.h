/* philox -- the generator of base/rng.h on vectors, bit for bit: LANES places at once. */
#ifndef PLAIT_CPU_PHILOX_H
#define PLAIT_CPU_PHILOX_H

#include <math.h>

#include "base/rng.h"
#include "cpu/simd.h"

/* Both halves of the products of 32-bit lanes with m. */
static inline void multiply_wide(vecu a, uint32_t m, vecu *high, vecu *low)
{
#if defined(__AVX512F__)
    __m512i factor = _mm512_set1_epi32((int)m);
    __m512i even = _mm512_mul_epu32((__m512i)a, factor);
    __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)a, 32), factor);
    *high = (vecu)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
    *low = (vecu)_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
#elif defined(__AVX2__)
    __m256i factor = _mm256_set1_epi32((int)m);
    __m256i even = _mm256_mul_epu32((__m256i)a, factor);
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)a, 32), factor);
    *high = (vecu)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    *low = (vecu)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
#else
    for (int i = 0; i < LANES; i++) {
        uint64_t product = (uint64_t)a[i] * m;
        (*high)[i] = (uint32_t)(product >> 32);
        (*low)[i] = (uint32_t)product;
    }
#endif
}

static inline vecu vecu_set(uint32_t x)
{
    return (vecu){ 0 } + x;
}

/* x[4]: counters in, random words out. key: rng_key_word's. */
static inline void philox(uint64_t key, vecu x[4])
{
    uint32_t k = (uint32_t)key, l = (uint32_t)(key >> 32);
    vecu a = x[0], b = x[1], c = x[2], d = x[3];

    for (int round = 0; round < 10; round++) {
        vecu high_a, low_a, high_c, low_c;
        multiply_wide(a, 0xd2511f53u, &high_a, &low_a);
        multiply_wide(c, 0xcd9e8d57u, &high_c, &low_c);
        a = high_c ^ b ^ vecu_set(k);
        b = low_c;
        c = high_a ^ d ^ vecu_set(l);
        d = low_a;
        k += 0x9e3779b9u;
        l += 0xbb67ae85u;
    }
    x[0] = a;
    x[1] = b;
    x[2] = c;
    x[3] = d;
}

/* Dropout as a factor for each entry: 0 where its bits are below the threshold, else 1 / (1 - p). */
struct keep {
    uint64_t key;
    uint32_t threshold;
    float scale;
};

static inline struct keep keep_init(struct rng_key key, double p)
{
    return (struct keep){ .key = rng_key_word(key),
                          .threshold = (uint32_t)ceil(p * 4294967296.0),
                          .scale = (float)(1 / (1 - p)) };
}

/* Whether the threshold fits its word. */
static inline int keep_fits(double p)
{
    return p >= 0 && p * 4294967296.0 <= 4294967295.0;
}

static inline vec keep_factor(const struct keep *k, vecu bits)
{
    return (vec)((veci)(bits >= vecu_set(k->threshold)) & (veci)vec_set(k->scale));
}

/* out[r] = row r of each 4 x 4 block of x, whose columns are the x[w]: x[w][4 g + r] -> out[r][4 g + w]. */
static inline void transpose_quads(const vecu x[4], vecu out[4])
{
#if defined(__AVX512F__)
    __m512i lo0 = _mm512_unpacklo_epi32((__m512i)x[0], (__m512i)x[1]);
    __m512i lo1 = _mm512_unpacklo_epi32((__m512i)x[2], (__m512i)x[3]);
    __m512i hi0 = _mm512_unpackhi_epi32((__m512i)x[0], (__m512i)x[1]);
    __m512i hi1 = _mm512_unpackhi_epi32((__m512i)x[2], (__m512i)x[3]);
    out[0] = (vecu)_mm512_unpacklo_epi64(lo0, lo1);
    out[1] = (vecu)_mm512_unpackhi_epi64(lo0, lo1);
    out[2] = (vecu)_mm512_unpacklo_epi64(hi0, hi1);
    out[3] = (vecu)_mm512_unpackhi_epi64(hi0, hi1);
#elif defined(__AVX2__)
    __m256i lo0 = _mm256_unpacklo_epi32((__m256i)x[0], (__m256i)x[1]);
    __m256i lo1 = _mm256_unpacklo_epi32((__m256i)x[2], (__m256i)x[3]);
    __m256i hi0 = _mm256_unpackhi_epi32((__m256i)x[0], (__m256i)x[1]);
    __m256i hi1 = _mm256_unpackhi_epi32((__m256i)x[2], (__m256i)x[3]);
    out[0] = (vecu)_mm256_unpacklo_epi64(lo0, lo1);
    out[1] = (vecu)_mm256_unpackhi_epi64(lo0, lo1);
    out[2] = (vecu)_mm256_unpacklo_epi64(hi0, hi1);
    out[3] = (vecu)_mm256_unpackhi_epi64(hi0, hi1);
#else
    for (int r = 0; r < 4; r++)
        for (int w = 0; w < 4; w++)
            out[r][w] = x[w][r];
#endif
}

/* Factors of 4 * LANES consecutive entries of one row, the first at 4 * quad. Lane 4 g + r makes quad
 * r * (LANES / 4) + g, so that transposing quads in place puts the words in order. */
static inline void keep_row(const struct keep *k, uint64_t hi, uint64_t quad, float out[4 * LANES])
{
    vecu lane = { 0 }, x[4], words[4] = { 0 };

    for (int i = 0; i < LANES; i++)
        lane[i] = (uint32_t)(i % 4 * (LANES / 4) + i / 4);
    x[0] = vecu_set((uint32_t)quad) + lane;
    x[1] = vecu_set((uint32_t)(quad >> 32)) - (vecu)(x[0] < lane); /* carry: true is -1 */
    x[2] = vecu_set((uint32_t)hi);
    x[3] = vecu_set((uint32_t)(hi >> 32));
    philox(k->key, x);
    transpose_quads(x, words);
    for (int r = 0; r < 4; r++)
        vec_store(out + r * LANES, keep_factor(k, words[r]));
}

#endif
