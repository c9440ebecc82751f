/* weights_index -- reads model.safetensors.index.json:
 *     {"metadata": {"total_size": 123}, "weight_map": {"tensor": "model-00001-of-00002.safetensors", ...}} */
#ifndef PLAIT_CKPT_WEIGHTS_INDEX_H
#define PLAIT_CKPT_WEIGHTS_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

struct weights_index {
    struct map tensors;  /* name -> index into shards */
    struct map shards;   /* plain file names, in order of appearance; value: own index */
    uint64_t total_size; /* 0: not said */
};

/* `path` is used in messages only. ERR_DATA. */
int weights_index_parse(struct weights_index *x, const char *path, const char *bytes, size_t length);
void weights_index_release(struct weights_index *x);

#endif
