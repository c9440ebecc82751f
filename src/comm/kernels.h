#ifndef PLAIT_COMM_KERNELS_H
#define PLAIT_COMM_KERNELS_H

#include "core/kernel.h"

/* Kernels of the collective ops, for kernel_choose; NULL for all others. */
extern const struct kernel *const comm_kernels[OP_COUNT];

#endif
