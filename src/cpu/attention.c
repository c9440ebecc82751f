#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_attention)[] = {
    { "reference", .workspace = ref_attention_workspace, .run = ref_attention }, { 0 }
};
