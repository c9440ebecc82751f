/* wire -- protocol buffers' wire format: a bounded reader and a writer that appends to a str, and TFRecord
 * framing (length, masked CRC-32C) for TensorBoard event files. */
#ifndef PLAIT_BASE_WIRE_H
#define PLAIT_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

void wire_put_varint(struct str *s, int field, uint64_t v);
void wire_put_double(struct str *s, int field, double v);
void wire_put_float(struct str *s, int field, float v);
/* Also strings and messages. */
void wire_put_bytes(struct str *s, int field, const void *bytes, size_t length);
uint32_t crc32c(const void *bytes, size_t length);
void wire_put_record(struct str *s, const void *bytes, size_t length); /* one TFRecord */

#endif
