#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_layernorm)[] = { { "reference", .run = ref_layernorm }, { 0 } };
const struct kernel ISA(cpu_layernorm_grad)[] = { { "reference", .run = ref_layernorm_grad }, { 0 } };
