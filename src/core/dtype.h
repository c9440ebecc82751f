/* dtype -- element types of tensors in graphs. (Files may hold more: ckpt/safetensors.h.) */
#ifndef PLAIT_CORE_DTYPE_H
#define PLAIT_CORE_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum dtype {
#define DTYPE(name, bytes, text, type) DT_##name,
#include "core/dtypes.def"
#undef DTYPE
    DTYPE_COUNT
};

size_t dtype_bytes(enum dtype t);
const char *dtype_name(enum dtype t);

#endif
