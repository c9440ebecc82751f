/* kernels -- the CPU backend's table: for each op an ordered list of kernels, the plain reference last. */
#ifndef PLAIT_CPU_KERNELS_H
#define PLAIT_CPU_KERNELS_H

#include "core/kernel.h"

/* The table (OP_COUNT entries) for an instruction set, for kernel_choose. NULL entries: collectives, whose
 * kernels are in src/comm. An instruction set this program was not built for gets the base's table. */
const struct kernel *const *cpu_kernel_table(enum isa isa);

#endif
