/* weights_file -- one file of weights, whatever its format, as a table of tensors under the names that
 * Hugging Face's PyTorch models have for them. The first bytes tell the format:
 *
 *     safetensors                      ckpt/safetensors.h
 *     what torch.save writes           ckpt/torch.h
 *     what Flax's to_bytes writes      ckpt/flax.h
 *
 * All three hold the elements as plain bytes, so a tensor is a place in the file, a shape and a stride. */
#ifndef PLAIT_CKPT_WEIGHTS_FILE_H
#define PLAIT_CKPT_WEIGHTS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "ckpt/byte_file.h"
#include "ckpt/safetensors.h"

/* In the metadata of each shard of one save: shards with different values do not belong together. */
#define WEIGHTS_SAVE_KEY "plait_save"

enum { WEIGHTS_MAX_TENSORS = 1 << 18 }; /* in a file of torch or Flax */

struct weights_chunk { /* the tensor's bytes from `offset` on lie at `begin` of the file */
    uint64_t offset, begin;
};

struct weights_tensor {
    const char *name;
    const struct weights_file *file;
    const struct safetensors_tensor *info; /* element, shape, ndim, count; begin: of the first element */
    bool used;                             /* somebody found it: what is not used may deserve a word */
    /* private */
    const int64_t *stride;              /* elements in the file from one to the next along each dim, none
                                           negative; NULL: row-major */
    const struct weights_chunk *chunks; /* NULL: all bytes follow the first */
    size_t chunk_count;
    struct weights_piece *pieces; /* NULL: all of it lies in `file`; see ckpt/pieces.h */
    size_t piece_count;
};

struct weights_piece { /* a box of a tensor that lies in several files */
    const struct weights_tensor *tensor;
    const int64_t *start; /* within the whole */
};

struct weights_file {
    const char *path;
    const char *tag; /* the value of WEIGHTS_SAVE_KEY, or NULL */
    struct weights_tensor *tensors;
    size_t count;
    /* private */
    struct byte_file bytes; /* of torch and Flax files */
    struct safetensors safetensors;
    size_t capacity;
    struct arena memory;
};

/* ERR_OPEN, ERR_DATA. */
int weights_file_open(struct weights_file *f, const char *path);
int weights_file_open_memory(struct weights_file *f, const char *name, const void *bytes, size_t length);
void weights_file_close(struct weights_file *f);

/* `count` elements of the tensor as they lie in the file, from the `first` after the first one. ERR_IO. */
int weights_file_read(const struct weights_tensor *t, int64_t first, int64_t count, void *bytes);

/* For readers of formats: keeps a copy of t and of what it points to, but not of t->name; ndim is at most
 * SAFETENSORS_MAX_DIMS. Checks name, shape and number of bytes, sets info->count and info->end. */
int weights_file_add(struct weights_file *f, const struct weights_tensor *t);

#endif
