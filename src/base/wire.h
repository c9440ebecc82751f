/* wire -- protocol buffers' wire format: a bounded reader and a writer that appends to a str, and TFRecord
 * framing (length, masked CRC-32C) for TensorBoard event files.
 *
 *     wire_reader_init(&r, "spiece.model", bytes, length);
 *     while (wire_next(&r, &f))
 *         if (f.number == 2 && f.type == WIRE_32_BIT) score = wire_float(&f);
 *     status = wire_status(&r);
 *
 * A message inside a message is a field of bytes, read by a reader of its own. Nothing is copied: the bytes
 * must outlive what points into them. */
#ifndef PLAIT_BASE_WIRE_H
#define PLAIT_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64_BIT = 1, WIRE_BYTES = 2, WIRE_32_BIT = 5 };

struct wire_reader {
    const char *name; /* for messages; borrowed */
    const unsigned char *begin, *p, *end;
    int status;
};

struct wire_field {
    int number;
    enum wire_type type;
    uint64_t value;    /* of a number; the length of bytes */
    const char *bytes; /* NULL for numbers */
};

void wire_reader_init(struct wire_reader *r, const char *name, const void *bytes, size_t length);
/* False at the end and after an error: wire_status tells which, its sentence is "NAME: byte N: WHAT". */
bool wire_next(struct wire_reader *r, struct wire_field *f);
int wire_status(const struct wire_reader *r);
float wire_float(const struct wire_field *f); /* of a WIRE_32_BIT field */

void wire_put_varint(struct str *s, int field, uint64_t v);
void wire_put_double(struct str *s, int field, double v);
void wire_put_float(struct str *s, int field, float v);
void wire_put_bytes(struct str *s, int field, const void *bytes, size_t length); /* also strings, messages */

uint32_t crc32c(const void *bytes, size_t length);
void wire_put_record(struct str *s, const void *bytes, size_t length); /* one TFRecord */

#endif
