#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_embedding)[] = { { "reference", .run = ref_embedding }, { 0 } };
const struct kernel ISA(cpu_embedding_grad)[] = { { "reference", .run = ref_embedding_grad }, { 0 } };
