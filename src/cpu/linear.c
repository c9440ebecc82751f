#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_linear)[] = { { "reference", .run = ref_linear }, { 0 } };
const struct kernel ISA(cpu_linear_grad_input)[] = { { "reference", .run = ref_linear_grad_input }, { 0 } };
const struct kernel ISA(cpu_linear_grad_weight)[] = { { "reference", .run = ref_linear_grad_weight }, { 0 } };
