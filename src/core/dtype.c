#include "core/dtype.h"

#include <string.h>

#include "base/err.h"

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

int dtype_find(const char *name, enum dtype *out)
{
    for (int t = 0; t < DTYPE_COUNT; t++) {
        if (strcmp(dtypes[t].name, name) == 0) {
            *out = (enum dtype)t;
            return OK;
        }
    }
    return fail(ERR_DATA, "unknown dtype \"%s\"", name);
}
