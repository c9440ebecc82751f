#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_add)[] = { { "reference", .run = ref_add }, { 0 } };
const struct kernel ISA(cpu_scale)[] = { { "reference", .run = ref_scale }, { 0 } };
const struct kernel ISA(cpu_fill)[] = { { "reference", .run = ref_fill }, { 0 } };
