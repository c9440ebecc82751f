/* Any bytes as a safetensors file: refused with a message, or every tensor can be read. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/safetensors.h"

/* Tensors of zeros may be large on paper only: what is read is in the input. */
static void read_tensor(const struct safetensors *st, const struct safetensors_tensor *t)
{
    size_t count = (size_t)t->count;
    if (safetensors_find(st, t->name) != t)
        BUG("a tensor is not found by its name");
    if (t->element->kind == ELEMENT_FLOAT) {
        float *values = mem_alloc_array(count, sizeof(*values));
        if (safetensors_read_float(st, t, values) != OK)
            BUG("a float tensor cannot be read");
        mem_free(values);
    } else if (t->element->kind == ELEMENT_INT) {
        int64_t *values = mem_alloc_array(count, sizeof(*values));
        int status = safetensors_read_int64(st, t, values);
        if (status != OK && strcmp(t->element->name, "U64") != 0)
            BUG("an integer tensor cannot be read");
        error_clear();
        mem_free(values);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors st;
    error_clear();
    int status = safetensors_open_memory(&st, "f", data, size);
    if (status != OK) {
        if (status != ERR_DATA || strncmp(error_message(), "f: ", 3) != 0)
            BUG("status %d, message %s", status, error_message());
        return 0;
    }
    for (size_t i = 0; i < st.count; i++)
        read_tensor(&st, &st.tensors[i]);
    safetensors_close(&st);
    return 0;
}
