/* share -- where a rank's share of a parameter lies in the tensor of a file. Shares are cut along logical
 * dims, files have their own: c_attn.weight, (D, 3D) in a file, is (D, 3, H, K) and cut along H, which leaves
 * three boxes in the file for each rank. */
#ifndef PLAIT_CKPT_SHARE_H
#define PLAIT_CKPT_SHARE_H

#include "ckpt/box.h"
#include "exec/exec.h"

/* One box of the file's tensor: its first element is element `offset` of the share, and one step along dim d
 * of the file is stride[d] elements further. Returns a status; other than OK ends the walk. */
typedef int share_box_fn(void *context, const struct box *box, int64_t offset, const int64_t *stride);

/* Calls fn for boxes that cover the share without its padding, in order. */
int share_each_box(const struct stored *s, share_box_fn *fn, void *context);
bool share_is_whole(const struct stored *s); /* the share is the whole tensor, without padding */
int64_t share_count(const struct stored *s); /* elements in memory, padding included */

#endif
