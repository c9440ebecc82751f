#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_cache_append)[] = { { "reference", .run = ref_cache_append }, { 0 } };
const struct kernel ISA(cpu_attention_cached)[] = {
    { "reference", .workspace = ref_attention_workspace, .run = ref_attention_cached }, { 0 }
};
