/* torch -- reads what torch.save writes, the format of pytorch_model.bin: a state dict, in one of two forms
 * (torch/serialization.py).
 *
 * Since 1.6, a ZIP archive of stored entries: NAME/data.pkl, a pickle in which a storage (a row of elements)
 * is a persistent id ("storage", type, key, device, number of elements), and NAME/data/KEY, its bytes. A
 * tensor is a call of torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...).
 *
 * Before, pickles one after the other: a magic number, a version, facts of the machine, the state dict, the
 * list of the storages' keys; then for each its number of elements in 8 bytes, and its bytes.
 *
 * Nothing is executed: ckpt/pickle.h. A name other than those of torch.c is refused. */
#ifndef PLAIT_CKPT_TORCH_H
#define PLAIT_CKPT_TORCH_H

#include "ckpt/weights_file.h"

/* Whether a file that begins with these 16 bytes is one: an archive, or a pickle. */
bool torch_is_file(const unsigned char *head);
/* Fills f->tensors from f->bytes. ERR_DATA, ERR_IO. */
int torch_read(struct weights_file *f);

#endif
