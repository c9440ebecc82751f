#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_attention_grad)[] = {
    { "reference", .workspace = ref_attention_workspace, .run = ref_attention_grad }, { 0 }
};
