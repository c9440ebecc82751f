#include "ckpt/element.h"

#include <math.h>
#include <string.h>

#include "base/err.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights files are little-endian");

static const struct element elements[] = {
    { "F32", 32, ELEMENT_FLOAT },        { "BF16", 16, ELEMENT_FLOAT },   { "F16", 16, ELEMENT_FLOAT },
    { "F64", 64, ELEMENT_FLOAT },        { "I64", 64, ELEMENT_INT },      { "I32", 32, ELEMENT_INT },
    { "I16", 16, ELEMENT_INT },          { "I8", 8, ELEMENT_INT },        { "U8", 8, ELEMENT_INT },
    { "BOOL", 8, ELEMENT_INT },          { "U16", 16, ELEMENT_INT },      { "U32", 32, ELEMENT_INT },
    { "U64", 64, ELEMENT_INT },          { "C64", 64, ELEMENT_OTHER },    { "F8_E5M2", 8, ELEMENT_OTHER },
    { "F8_E4M3", 8, ELEMENT_OTHER },     { "F8_E8M0", 8, ELEMENT_OTHER }, { "F8_E4M3FNUZ", 8, ELEMENT_OTHER },
    { "F8_E5M2FNUZ", 8, ELEMENT_OTHER }, { "F6_E2M3", 6, ELEMENT_OTHER }, { "F6_E3M2", 6, ELEMENT_OTHER },
    { "F4", 4, ELEMENT_OTHER },
};

const struct element *element_find(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
        if (strlen(elements[i].name) == length && memcmp(elements[i].name, name, length) == 0)
            return &elements[i];
    }
    return NULL;
}

const struct element *element_named(const char *name)
{
    return element_find(name, strlen(name));
}

static float float_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

/* binary16: 1 sign, 5 exponent (bias 15), 10 mantissa bits. */
float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 31, mantissa = h & 0x3ffu;
    if (exponent == 0) /* zero and subnormals: mantissa x 2^-24, exact in float32 */
        return float_from_bits(sign | bits_of_float((float)mantissa * 0x1p-24f));
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000u | mantissa << 13);
    return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

/* Drops the low `shift` bits (1..31), to nearest, ties to even. */
static uint32_t shift_round(uint32_t value, uint32_t shift)
{
    uint32_t half = 1u << (shift - 1), rest = value & (2 * half - 1), kept = value >> shift;
    return kept + (rest > half || (rest == half && (kept & 1)));
}

uint16_t float_to_half(float f)
{
    uint32_t bits = bits_of_float(f), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    uint32_t h;
    if (size > 0x7f800000u) /* NaN stays NaN, made quiet */
        h = 0x7e00u | (size >> 13 & 0x3ffu);
    else if (size >= 0x477ff000u) /* 65520, half way to 2^16, and more */
        h = 0x7c00u;
    else if (size >= 0x38800000u) /* 2^-14 and more: normal */
        h = shift_round(size - (112u << 23), 13);
    else if (size >= 0x33000000u) /* 2^-25 and more: a multiple of 2^-24 */
        h = shift_round((size & 0x7fffffu) | 0x800000u, 126 - (size >> 23));
    else
        h = 0;
    return (uint16_t)(sign | h);
}

float bfloat16_to_float(uint16_t b)
{
    return float_from_bits((uint32_t)b << 16);
}

uint16_t float_to_bfloat16(float f)
{
    uint32_t bits = bits_of_float(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

void element_to_float(const struct element *e, const void *from, float *to, size_t count)
{
    const char *bytes = from;
    if (e->bits == 32) {
        memcpy(to, from, count * 4);
    } else if (e->bits == 64) {
        for (size_t i = 0; i < count; i++) {
            double d;
            memcpy(&d, bytes + 8 * i, 8);
            to[i] = (float)d;
        }
    } else if (e->name[0] == 'B') {
        for (size_t i = 0; i < count; i++) {
            uint16_t b;
            memcpy(&b, bytes + 2 * i, 2);
            to[i] = bfloat16_to_float(b);
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            uint16_t h;
            memcpy(&h, bytes + 2 * i, 2);
            to[i] = half_to_float(h);
        }
    }
}

size_t element_from_float(const struct element *e, const float *from, void *to, size_t count)
{
    if (e->kind != ELEMENT_FLOAT || e->bits == 64)
        BUG("no conversion from float32 to %s", e->name);
    if (e->bits == 32) {
        memcpy(to, from, count * 4);
        return 0;
    }
    bool bfloat16 = e->name[0] == 'B';
    uint16_t infinity = bfloat16 ? 0x7f80u : 0x7c00u;
    size_t overflows = 0;
    char *bytes = to;
    for (size_t i = 0; i < count; i++) {
        uint16_t v = bfloat16 ? float_to_bfloat16(from[i]) : float_to_half(from[i]);
        overflows += (v & 0x7fffu) == infinity && isfinite(from[i]);
        memcpy(bytes + 2 * i, &v, 2);
    }
    return overflows;
}

static int64_t read_int(const char *bytes, int bits, bool is_unsigned)
{
    uint64_t v = 0;
    memcpy(&v, bytes, (size_t)bits / 8);
    if (!is_unsigned && bits < 64 && (v >> (bits - 1) & 1))
        v |= ~(uint64_t)0 << bits;
    return (int64_t)v;
}

bool element_to_int64(const struct element *e, const void *from, int64_t *to, size_t count)
{
    bool is_unsigned = e->name[0] != 'I';
    const char *bytes = from;
    for (size_t i = 0; i < count; i++) {
        int64_t v = read_int(bytes + i * ((size_t)e->bits / 8), e->bits, is_unsigned);
        if (v < 0 && is_unsigned)
            return false;
        to[i] = v;
    }
    return true;
}
