#ifndef PLAIT_COMM_KERNELS_H
#define PLAIT_COMM_KERNELS_H

#include "core/kernel.h"

/* Kernels of the collective ops, for kernel_choose; NULL for all others. */
extern const struct kernel *const comm_kernels[OP_COUNT];

/* The whole that an all_gather makes or a reduce_scatter deals out, where its shares lie in it one after the
 * other, and the bytes that they take there, padding behind the last included: the plan gives it as many.
 * NULL where shares go through workspace. */
const struct tensor *collective_whole(const struct node *n, const struct mesh *mesh, int64_t *bytes);

#endif
