#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_target_loss)[] = { { "reference", .run = ref_target_loss }, { 0 } };
const struct kernel ISA(cpu_target_loss_grad)[] = { { "reference", .run = ref_target_loss_grad }, { 0 } };
