#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_adamw)[] = { { "reference", .run = ref_adamw }, { 0 } };
