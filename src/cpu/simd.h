/* simd -- one vector of floats of the width this file is compiled for: 16 (avx512), 8 (avx2) or 4 (base:
 * plain vector extensions of the compiler, any processor). Functions are static inline and hold no state; + -
 * * / work on the type itself. Loads and stores need no alignment. The order of every reduction is fixed.
 *
 * The elementary functions are right to about 2 units in the last place over the whole range, overflow to
 * infinity and pass NaN on; polynomials are minimax fits (Lawson's iteration) made for this file, the range
 * reductions are the usual ones (Muller, Elementary Functions, ch. 11). */
#ifndef PLAIT_CPU_SIMD_H
#define PLAIT_CPU_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t veci __attribute__((vector_size(LANES * 4)));
typedef uint32_t vecu __attribute__((vector_size(LANES * 4)));
typedef double vecd __attribute__((vector_size(LANES * 4))); /* LANES / 2 of them */
typedef float vech __attribute__((vector_size(LANES * 2)));  /* half as many floats */

/* ---- Moving ---- */
static inline vec vec_set(float x)
{
#if defined(__AVX512F__)
    return _mm512_set1_ps(x);
#elif defined(__AVX2__)
    return _mm256_set1_ps(x);
#else
    return (vec){ x, x, x, x };
#endif
}

static inline vec vec_zero(void)
{
    return vec_set(0.0f);
}

static inline vec vec_load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof(v));
}

#if defined(__AVX2__) && !defined(__AVX512F__)
static inline __m256i lane_mask_(int64_t n)
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0 };
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - n));
}
#endif

/* The first n floats, 0 <= n <= LANES; the other lanes are zero and their memory is not touched. */
static inline vec vec_load_part(const float *p, int64_t n)
{
#if defined(__AVX512F__)
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(__AVX2__)
    return _mm256_maskload_ps(p, lane_mask_(n));
#else
    vec v = vec_zero();
    for (int64_t i = 0; i < n; i++)
        v[i] = p[i];
    return v;
#endif
}

static inline void vec_store_part(float *p, vec v, int64_t n)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
#elif defined(__AVX2__)
    _mm256_maskstore_ps(p, lane_mask_(n), v);
#else
    for (int64_t i = 0; i < n; i++)
        p[i] = v[i];
#endif
}

/* Up to LANES floats of the n that are left. */
static inline vec vec_load_upto(const float *p, int64_t n)
{
    return n >= LANES ? vec_load(p) : vec_load_part(p, n);
}

static inline void vec_store_upto(float *p, vec v, int64_t n)
{
    if (n >= LANES)
        vec_store(p, v);
    else
        vec_store_part(p, v, n);
}

/* Lanes from n on set to zero. */
static inline vec vec_first(vec v, int64_t n)
{
    if (n >= LANES)
        return v;
#if defined(__AVX512F__)
    return _mm512_maskz_mov_ps((__mmask16)((1u << n) - 1), v);
#elif defined(__AVX2__)
    return _mm256_and_ps(v, _mm256_castsi256_ps(lane_mask_(n)));
#else
    for (int64_t i = n; i < LANES; i++)
        v[i] = 0;
    return v;
#endif
}

/* Past the caches; p is aligned to a vector. vec_stream_end() before others may read. */
static inline void vec_stream(float *p, vec v)
{
#if defined(__AVX512F__)
    _mm512_stream_ps(p, v);
#elif defined(__AVX2__)
    _mm256_stream_ps(p, v);
#else
    vec_store(p, v);
#endif
}

static inline void vec_stream_end(void)
{
#if defined(__AVX512F__) || defined(__AVX2__)
    _mm_sfence();
#endif
}

/* p[0 .. n) = x; past the caches where that is asked for: for what is larger than they are. */
static inline void vec_fill(float *p, float x, int64_t n, int past_caches)
{
    int64_t i = 0, head = (int64_t)(-(uintptr_t)p % sizeof(vec) /
                                    sizeof(float)); /* up to the first aligned vector */
    vec v = vec_set(x);

    if (past_caches && n > head) {
        vec_store_upto(p, v, head);
        for (i = head; i + LANES <= n; i += LANES)
            vec_stream(p + i, v);
        vec_stream_end();
    }
    for (; i < n; i += LANES)
        vec_store_upto(p + i, v, n - i);
}

/* ---- Arithmetic ---- */
/* a * b + c; one rounding where the processor has it. */
static inline vec vec_fma(vec a, vec b, vec c)
{
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
    return _mm256_fmadd_ps(a, b, c);
#else
    return a * b + c;
#endif
}

/* a < b ? yes : no */
static inline vec vec_if_less(vec a, vec b, vec yes, vec no)
{
#if defined(__AVX512F__)
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
#elif defined(__AVX2__)
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
#else
    veci m = a < b;
    return (vec)((m & (veci)yes) | (~m & (veci)no));
#endif
}

/* The larger; b where either is NaN. */
static inline vec vec_max(vec a, vec b)
{
#if defined(__AVX512F__)
    return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
    return _mm256_max_ps(a, b);
#else
    return vec_if_less(b, a, a, b);
#endif
}

/* The smaller; b where either is NaN. */
static inline vec vec_min(vec a, vec b)
{
#if defined(__AVX512F__)
    return _mm512_min_ps(a, b);
#elif defined(__AVX2__)
    return _mm256_min_ps(a, b);
#else
    return vec_if_less(a, b, a, b);
#endif
}

static inline vec vec_abs(vec x)
{
    return (vec)((veci)x & (veci) ~(veci)vec_set(-0.0f));
}

/* |x| with the sign of s */
static inline vec vec_copysign(vec x, vec s)
{
    veci sign = (veci)vec_set(-0.0f);
    return (vec)(((veci)x & ~sign) | ((veci)s & sign));
}

/* To the nearest integer, ties to even; |x| < 2^22. */
static inline vec vec_round(vec x)
{
#if defined(__AVX512F__)
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    vec shift = vec_set(12582912.0f); /* 1.5 * 2^23 */
    return x + shift - shift;
#endif
}

static inline vec vec_sqrt(vec x)
{
#if defined(__AVX512F__)
    return _mm512_sqrt_ps(x);
#elif defined(__AVX2__)
    return _mm256_sqrt_ps(x);
#else
    for (int i = 0; i < LANES; i++)
        x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

/* ---- Reductions ---- */
static inline float vec_sum(vec v)
{
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps(v);
#elif defined(__AVX2__)
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
#else
    return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}

/* The largest lane; unspecified when one is NaN. */
static inline float vec_largest(vec v)
{
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps(v);
#elif defined(__AVX2__)
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
#else
    float a = v[0] > v[2] ? v[0] : v[2], b = v[1] > v[3] ? v[1] : v[3];
    return a > b ? a : b;
#endif
}

/* ---- Doubles ---- */
static inline vecd vecd_zero(void)
{
    return (vecd){ 0 };
}

/* LANES / 2 floats */
static inline vecd vecd_load_floats(const float *p)
{
    vech h;
    memcpy(&h, p, sizeof(h));
    return __builtin_convertvector(h, vecd);
}

static inline double vecd_sum(vecd v)
{
    double s = 0;
    for (int i = 0; i < LANES / 2; i++)
        s += v[i];
    return s;
}

/* ---- Elementary functions ---- */
/* x * 2^n for whole n, |n| <= 252; result may be denormal */
static inline vec vec_scale2(vec x, vec n)
{
#if defined(__AVX512F__)
    return _mm512_scalef_ps(x, n);
#else
    veci whole = __builtin_convertvector(n, veci);
    veci half = whole >> 1;
    veci rest = whole - half;
    return x * (vec)((half + 127) << 23) * (vec)((rest + 127) << 23);
#endif
}

static inline vec vec_exp(vec x)
{
    x = vec_min(vec_set(89.0f), vec_max(vec_set(-104.0f), x)); /* beyond: infinity, 0 */
    vec n = vec_round(x * vec_set(1.442695041f));
    vec r = vec_fma(n, vec_set(-0.693359375f), x); /* ln 2 in two parts, the first exact in products with n */
    r = vec_fma(n, vec_set(2.12194440e-4f), r);
    vec q = vec_set(1.381461298e-03f);
    q = vec_fma(q, r, vec_set(8.368709843e-03f));
    q = vec_fma(q, r, vec_set(4.166838737e-02f));
    q = vec_fma(q, r, vec_set(1.666652069e-01f));
    q = vec_fma(q, r, vec_set(4.999999345e-01f));
    return vec_scale2(vec_set(1.0f) + vec_fma(r * r, q, r), n);
}

/* 2^x for x < 129: what softmax takes, with its scores in units of log 2. */
static inline vec vec_exp2_below(vec x)
{
    x = vec_max(vec_set(-151.0f), x); /* below: 0 */
    vec n = vec_round(x), r = x - n;
    vec q = vec_set(1.535336181e-04f);
    q = vec_fma(q, r, vec_set(1.339887445e-03f));
    q = vec_fma(q, r, vec_set(9.618437358e-03f));
    q = vec_fma(q, r, vec_set(5.550332471e-02f));
    q = vec_fma(q, r, vec_set(2.402264791e-01f));
    q = vec_fma(q, r, vec_set(6.931472029e-01f));
    return vec_scale2(vec_fma(q, r, vec_set(1.0f)), n);
}

static inline vec vec_exp2(vec x)
{
    return vec_exp2_below(vec_min(vec_set(129.0f), x)); /* beyond: infinity */
}

static inline vec vec_log(vec x)
{
    vec least = vec_set(1.17549435e-38f), one = vec_set(1.0f);
    vec tiny = vec_if_less(x, least, one, vec_zero());
    vec y = vec_if_less(x, least, x * vec_set(8388608.0f), x); /* denormals: times 2^23 */
    veci e = (veci)((vecu)y - 0x3f3504f3u) >>
             23; /* y = m * 2^e, m in [sqrt(1/2), sqrt(2)); wraps for negative x */
    vec f = (vec)((vecu)y - ((vecu)e << 23)) - one;
    vec k = vec_fma(tiny, vec_set(-23.0f), __builtin_convertvector(e, vec));
    vec q = vec_set(-7.634493023e-02f);
    q = vec_fma(q, f, vec_set(1.276157564e-01f));
    q = vec_fma(q, f, vec_set(-1.316018306e-01f));
    q = vec_fma(q, f, vec_set(1.420175823e-01f));
    q = vec_fma(q, f, vec_set(-1.662335730e-01f));
    q = vec_fma(q, f, vec_set(2.000122687e-01f));
    q = vec_fma(q, f, vec_set(-2.500082104e-01f));
    q = vec_fma(q, f, vec_set(3.333333171e-01f));
    vec ff = f * f;
    vec low = vec_fma(q * f, ff, vec_fma(k, vec_set(-2.12194440e-4f), vec_set(-0.5f) * ff));
    vec r = vec_fma(k, vec_set(0.693359375f), f + low);
    r = vec_if_less(vec_zero(), x, r, vec_set(-__builtin_inff()));
    r = vec_if_less(x, vec_zero(), vec_set(__builtin_nanf("")), r);
    return vec_if_less(x, vec_set(__builtin_inff()), r, x); /* infinity and NaN are their own */
}

static inline vec vec_tanh(vec x)
{
    vec a = vec_abs(x), one = vec_set(1.0f), z = x * x;
    vec far = one - vec_set(2.0f) / (vec_exp(a + a) + one);
    vec q = vec_set(-5.717044511e-03f);
    q = vec_fma(q, z, vec_set(2.065058678e-02f));
    q = vec_fma(q, z, vec_set(-5.374349792e-02f));
    q = vec_fma(q, z, vec_set(1.333149128e-01f));
    q = vec_fma(q, z, vec_set(-3.333328393e-01f));
    vec near = vec_fma(z * a, q, a);
    return vec_copysign(vec_if_less(a, vec_set(0.625f), near, far), x);
}

static inline vec vec_erf(vec x)
{
    vec a = vec_abs(x), t = vec_min(vec_set(4.0f), a), z = x * x, one = vec_set(1.0f);
    vec p = vec_set(1.855740712e-04f); /* log(1 - erf t), t in [1, 4] */
    p = vec_fma(p, t, vec_set(-2.939607888e-03f));
    p = vec_fma(p, t, vec_set(2.180532060e-02f));
    p = vec_fma(p, t, vec_set(-1.030373734e-01f));
    p = vec_fma(p, t, vec_set(-6.382256721e-01f));
    p = vec_fma(p, t, vec_set(-1.127040039e+00f));
    p = vec_fma(p, t, vec_set(-3.537187598e-04f));
    vec far = one - vec_exp(p);
    vec q = vec_set(7.853860981e-05f);
    q = vec_fma(q, z, vec_set(-8.010193513e-04f));
    q = vec_fma(q, z, vec_set(5.188327673e-03f));
    q = vec_fma(q, z, vec_set(-2.685381193e-02f));
    q = vec_fma(q, z, vec_set(1.128358515e-01f));
    q = vec_fma(q, z, vec_set(-3.761262582e-01f));
    q = vec_fma(q, z, vec_set(1.283791671e-01f)); /* 2 / sqrt(pi) - 1: x is added whole */
    vec near = vec_fma(a, q, a);
    return vec_copysign(vec_if_less(a, one, near, far), x);
}

static inline vec vec_sigmoid(vec x)
{
    vec one = vec_set(1.0f);
    return one / (one + vec_exp(vec_zero() - x));
}

#endif
