/* Any bytes as Flax's weights: refused with a message, or every tensor of numbers can be read. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weights_file f;
    error_clear();
    int status = weights_file_open_memory(&f, "f", data, size);
    if (status != OK) {
        if (status != ERR_DATA || strncmp(error_message(), "f", 1) != 0)
            BUG("status %d, message %s", status, error_message());
        return 0;
    }
    for (size_t i = 0; i < f.count; i++) {
        const struct weights_tensor *t = &f.tensors[i]; /* its elements are in the input */
        if (t->info->element->kind != ELEMENT_FLOAT)
            continue;
        float *values = mem_alloc_array((size_t)t->info->count, sizeof(*values));
        if (weights_read(t, NULL, values, NULL) != OK)
            BUG("a tensor cannot be read: %s", error_message());
        mem_free(values);
    }
    weights_file_close(&f);
    return 0;
}
