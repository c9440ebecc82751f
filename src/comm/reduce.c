/* reduce -- sums, maxima and log-sum-exps in rank order. A tile of the result is made in a place of its
 * own, so that the loops over it hold no pointer that the result may lie behind. */
#include "comm/reduce.h"

#include <math.h>
#include <string.h>

#include "base/err.h"

enum { TILE = 1024 };

static double log_sum_exp(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;

    return low == -INFINITY ? high : high + log1p(exp(low - high));
}

/* ---- float: also of bfloat16 ---- */

static void add_f32(enum reduction r, const float *x, int64_t n, float *y)
{
    if (r == REDUCE_SUM)
        for (int64_t i = 0; i < n; i++)
            y[i] += x[i];
    else if (r == REDUCE_MAX)
        for (int64_t i = 0; i < n; i++)
            y[i] = y[i] > x[i] ? y[i] : x[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)log_sum_exp(y[i], x[i]);
}

static void widen(const uint16_t *x, int64_t n, float *y)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(&y[i], &bits, sizeof(bits));
    }
}

/* To the nearest, ties to even; a NaN stays one. */
static void narrow(const float *x, int64_t n, uint16_t *y)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof(bits));
        y[i] = (uint16_t)(isnan(x[i]) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

static void tile_f32(enum reduction r, const void *const in[], int ranks, int64_t at, int64_t n, void *out)
{
    float sum[TILE];

    memcpy(sum, (const float *)in[0] + at, (size_t)n * sizeof(float));
    for (int k = 1; k < ranks; k++)
        add_f32(r, (const float *)in[k] + at, n, sum);
    memcpy((float *)out + at, sum, (size_t)n * sizeof(float));
}

static void tile_bf16(enum reduction r, const void *const in[], int ranks, int64_t at, int64_t n, void *out)
{
    float sum[TILE], x[TILE];

    widen((const uint16_t *)in[0] + at, n, sum);
    for (int k = 1; k < ranks; k++) {
        widen((const uint16_t *)in[k] + at, n, x);
        add_f32(r, x, n, sum);
    }
    narrow(sum, n, (uint16_t *)out + at);
}

/* ---- the others ---- */

static void tile_f64(enum reduction r, const void *const in[], int ranks, int64_t at, int64_t n, void *out)
{
    for (int64_t i = at; i < at + n; i++) {
        double y = ((const double *)in[0])[i];
        for (int k = 1; k < ranks; k++) {
            double x = ((const double *)in[k])[i];
            y = r == REDUCE_SUM ? y + x : r == REDUCE_MAX ? (y > x ? y : x) : log_sum_exp(y, x);
        }
        ((double *)out)[i] = y;
    }
}

static void tile_i32(enum reduction r, const void *const in[], int ranks, int64_t at, int64_t n, void *out)
{
    if (r == REDUCE_LOGSUMEXP)
        BUG("the log-sum-exp of whole numbers");
    for (int64_t i = at; i < at + n; i++) {
        int32_t y = ((const int32_t *)in[0])[i];
        for (int k = 1; k < ranks; k++) {
            int32_t x = ((const int32_t *)in[k])[i];
            if (r == REDUCE_SUM)
                y = (int32_t)((uint32_t)y + (uint32_t)x);
            else
                y = y > x ? y : x;
        }
        ((int32_t *)out)[i] = y;
    }
}

void reduce_in_order(enum reduction r, enum dtype t, const void *const in[], int ranks, int64_t count,
                     void *out)
{
    for (int64_t at = 0; at < count; at += TILE) {
        int64_t n = count - at < TILE ? count - at : TILE;
        switch (t) {
        case DT_F32: tile_f32(r, in, ranks, at, n, out); break;
        case DT_F64: tile_f64(r, in, ranks, at, n, out); break;
        case DT_BF16: tile_bf16(r, in, ranks, at, n, out); break;
        case DT_I32: tile_i32(r, in, ranks, at, n, out); break;
        default: BUG("a reduction of %s", dtype_name(t));
        }
    }
}
