#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_activation)[] = { { "reference", .run = ref_activation }, { 0 } };
const struct kernel ISA(cpu_activation_grad)[] = { { "reference", .run = ref_activation_grad }, { 0 } };
