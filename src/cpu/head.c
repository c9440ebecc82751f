#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_head_stats)[] = { { "reference", .run = ref_head_stats }, { 0 } };
const struct kernel ISA(cpu_head_grad)[] = {
    { "reference", .workspace = ref_head_workspace, .run = ref_head_grad }, { 0 }
};
const struct kernel ISA(cpu_head_loss)[] = {
    { "reference", .workspace = ref_head_workspace, .run = ref_head_loss }, { 0 }
};
