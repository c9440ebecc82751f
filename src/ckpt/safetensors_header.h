/* safetensors_header -- private to the safetensors reader. */
#ifndef PLAIT_CKPT_SAFETENSORS_HEADER_H
#define PLAIT_CKPT_SAFETENSORS_HEADER_H

#include "base/json.h"
#include "ckpt/safetensors.h"

/* Fills tensors, names and metadata; st->path, file_bytes and data_begin are set. */
int safetensors_parse_header(struct safetensors *st, struct json_reader *r);

#endif
