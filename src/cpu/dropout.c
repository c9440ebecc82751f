#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_dropout)[] = { { "reference", .run = ref_dropout }, { 0 } };
