/* element -- element types as weights files name them, more of them than graphs know (core/dtype.h), so that
 * any file can be inspected; and conversion between them and plait's float32. Files are little-endian, and so
 * is every machine plait is built for. */
#ifndef PLAIT_CKPT_ELEMENT_H
#define PLAIT_CKPT_ELEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum element_kind { ELEMENT_FLOAT, ELEMENT_INT, ELEMENT_OTHER };

struct element {
    const char *name;       /* "F32" */
    int bits;               /* of one element: 4 and 6 exist */
    enum element_kind kind; /* OTHER: can be listed and copied, not converted */
};

const struct element *element_find(const char *name, size_t length); /* NULL when unknown */
const struct element *element_named(const char *name);               /* NULL when unknown */

/* F64, F32, F16, BF16 -> float32; e->kind must be ELEMENT_FLOAT. `from` needs no alignment. */
void element_to_float(const struct element *e, const void *from, float *to, size_t count);

/* float32 -> F32, F16, BF16, to nearest, ties to even. Returns how many finite values became infinite. */
size_t element_from_float(const struct element *e, const float *from, void *to, size_t count);

/* Integers and BOOL -> int64; e->kind must be ELEMENT_INT. U64 values beyond 2^63-1 give false. */
bool element_to_int64(const struct element *e, const void *from, int64_t *to, size_t count);

float half_to_float(uint16_t h);
uint16_t float_to_half(float f);
float bfloat16_to_float(uint16_t b);
uint16_t float_to_bfloat16(float f);

#endif
