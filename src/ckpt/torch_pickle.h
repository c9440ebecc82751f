/* torch_pickle -- what the names in a pickle of torch.save stand for: tensors, storages, OrderedDict. */
#ifndef PLAIT_CKPT_TORCH_PICKLE_H
#define PLAIT_CKPT_TORCH_PICKLE_H

#include "base/map.h"
#include "ckpt/element.h"
#include "ckpt/pickle.h"

struct torch_storage {
    const char *key;               /* escaped for messages where it has to be; without NULs */
    const struct element *element; /* NULL: bytes, `count` of them */
    int64_t count;
};

struct torch_tensor {
    const struct torch_storage *storage;
    const struct element *element;
    int64_t offset, extent; /* elements of the storage before the first one, and up to the last one */
    int ndim;
    const int64_t *shape, *stride;
};

struct torch_pickle {
    struct pickle machine;
    /* private */
    struct map keys; /* -> index into storages */
    const struct torch_storage **storages;
    size_t count, capacity;
};

void torch_pickle_init(struct torch_pickle *p, struct cursor *c);
void torch_pickle_release(struct torch_pickle *p);
const struct torch_tensor *torch_tensor_of(const struct pickle_value *v); /* NULL: it is none */
const struct torch_storage *torch_storage_find(const struct torch_pickle *p, const char *key); /* or NULL */

#endif
