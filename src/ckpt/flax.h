/* flax -- reads what flax.serialization.to_bytes writes, the format of flax_model.msgpack: MessagePack, maps
 * in maps, whose leaves are arrays:
 *
 *     extension 1, an array, and 3, a scalar: [shape, name of the type, bytes]
 *     above 1 GiB {"__msgpack_chunked_array__": true, "shape": {"0": n}, "chunks": {"0": part, ...}}
 *
 * A tensor's name is its path. transformers' Flax models differ from its PyTorch models by this, for all
 * architectures (modeling_flax_pytorch_utils.py): "kernel" is "weight" and transposed, "scale" and
 * "embedding" are "weight". (GPT-2 too: its PyTorch Conv1D has (in, out), and its Flax Conv1D, unlike Flax's
 * Dense, has (out, in).) */
#ifndef PLAIT_CKPT_FLAX_H
#define PLAIT_CKPT_FLAX_H

#include "base/str.h"
#include "ckpt/weights_file.h"

/* Whether a file that begins with these 16 bytes is one: a map whose first key is a string. */
bool flax_is_file(const unsigned char *head);
/* Fills f->tensors from f->bytes. ERR_DATA, ERR_IO. */
int flax_read(struct weights_file *f);
/* Appends PyTorch's name for a path that is joined by '.' or, as in an index, by '/'. */
void flax_append_name(struct str *s, const char *path, size_t length);

#endif
