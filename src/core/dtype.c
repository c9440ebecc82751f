#include "core/dtype.h"

static const struct {
    size_t bytes;
    const char *name;
} dtypes[DTYPE_COUNT] = {
#define DTYPE(name, bytes, text, type) [DT_##name] = { bytes, text },
#include "core/dtypes.def"
#undef DTYPE
};

size_t dtype_bytes(enum dtype t)
{
    return dtypes[t].bytes;
}

const char *dtype_name(enum dtype t)
{
    return dtypes[t].name;
}
