#include "api/forward_inputs.h"
#include "base/mem.h"
#include "ckpt/safetensors.h"

static int read_tensor(const void *context, const struct named_tensor *t, int64_t *ints, float *floats)
{
    const struct safetensors *st = context;

    return ints ? safetensors_read_int64(st, t->from, ints) : safetensors_read_float(st, t->from, floats);
}

void named_tensors_init(struct named_tensors *list, const struct safetensors *st)
{
    struct named_tensor *tensors = mem_alloc_array(st->count + 1, sizeof(tensors[0]));

    for (size_t i = 0; i < st->count; i++) {
        const struct safetensors_tensor *t = &st->tensors[i];
        tensors[i] = (struct named_tensor){ .name = t->name,
                                            .type = t->element->name,
                                            .kind = t->element->kind == ELEMENT_INT     ? NAMED_INT
                                                    : t->element->kind == ELEMENT_FLOAT ? NAMED_FLOAT
                                                                                        : NAMED_OTHER,
                                            .ndim = t->ndim,
                                            .shape = t->shape,
                                            .count = t->count,
                                            .from = t };
    }
    *list = (struct named_tensors){
        .path = st->path, .list = tensors, .count = st->count, .read = read_tensor, .context = st
    };
}

void named_tensors_release(struct named_tensors *list)
{
    mem_free((void *)list->list);
}
