/* weights -- the parameters of a model on disk, in one file or many, read by name and by part, whatever their
 * element type.
 *
 *     weights_open(&w, "gpt2-dir");
 *     weights_get(&w, "h.0.attn.c_attn.weight", "transformer.", &t);
 *     weights_read(t, NULL, data, NULL);
 *     weights_close(&w);
 *
 * A directory holds model.safetensors, pytorch_model.bin or flax_model.msgpack (the first that is there),
 * each in one file or in shards named by its .index.json, or the pieces of a sharded checkpoint (pieces.h).
 * Shard names in an index are untrusted: plain file names only; links are followed. */
#ifndef PLAIT_CKPT_WEIGHTS_H
#define PLAIT_CKPT_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckpt/box.h"
#include "ckpt/weights_file.h"

struct weights {
    const char *path;           /* as given */
    struct weights_file *files; /* by name */
    size_t file_count;
    struct weights_tensor *tensors; /* by file, then in its order */
    size_t count;
    /* private */
    struct map names;    /* -> index into tensors */
    struct map promised; /* named by the index, absent from its shard -> index into files */
    struct arena memory;
};

/* `path`: a model directory, one file, or an index. A directory with both model.safetensors and its index:
 * the first is taken, as transformers does, with a warning. ERR_OPEN, ERR_DATA. */
int weights_open(struct weights *w, const char *path);
/* BASE.safetensors of a directory, or the pieces BASE_tp_... */
int weights_open_base(struct weights *w, const char *directory, const char *base);
bool weights_base_found(const char *directory, const char *base); /* whether there is something to open */
bool weights_found(const char *directory);                        /* whether there is something to open */
bool weights_in_pieces(const char *directory); /* and that is the pieces of a sharded checkpoint */
void weights_close(struct weights *w);

/* By name, by prefix + name, or by the name without the prefix, in this order. `prefix` ("transformer.") may
 * be NULL. */
struct weights_tensor *weights_find(struct weights *w, const char *name,
                                    const char *prefix); /* NULL when absent */
int weights_get(struct weights *w, const char *name, const char *prefix,
                struct weights_tensor **t); /* ERR_DATA */
/* ERR_DATA unless the shape is this one. */
int weights_check_shape(const struct weights_tensor *t, int ndim, const int64_t *shape);

/* Reads the part `box` (NULL: everything) into float32. The element at offset o[] within the box goes to
 * out[sum of o[d] * stride[d]]; stride NULL: row-major without gaps. ERR_DATA when the elements are no
 * floating-point numbers, ERR_IO. Thread-safe. */
int weights_read(const struct weights_tensor *t, const struct box *box, float *out, const int64_t *stride);
/* The same for `count` elements in row-major order from `first` on. */
int weights_read_range(const struct weights_tensor *t, int64_t first, int64_t count, float *out);
/* Whether both are the same part of a file, as torch.save writes what is tied. */
bool weights_same_place(const struct weights_tensor *a, const struct weights_tensor *b);
/* ERR_DATA when the elements are no floating-point numbers: what weights_read would say. */
int weights_check_float(const struct weights_tensor *t);

#endif
