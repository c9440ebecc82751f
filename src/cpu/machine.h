/* machine -- what this machine is: the description that kernels are chosen by. */
#ifndef PLAIT_CPU_MACHINE_H
#define PLAIT_CPU_MACHINE_H

#include "core/kernel.h"

/* Describes the machine this process runs on, with the calling thread's number of threads. The environment's
 * PLAIT_ISA (base, avx2 or avx512) caps the instruction set; any other word fails with ERR_CONFIG. */
int machine_detect(struct machine *out);

const char *isa_name(enum isa isa);

#endif
