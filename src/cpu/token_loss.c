#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_token_loss)[] = { { "reference", .run = ref_token_loss }, { 0 } };
const struct kernel ISA(cpu_token_loss_grad)[] = { { "reference", .run = ref_token_loss_grad }, { 0 } };
