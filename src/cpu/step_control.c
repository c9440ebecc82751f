#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_step_control)[] = { { "reference", .run = ref_step_control }, { 0 } };
