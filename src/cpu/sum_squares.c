#include "cpu/isa.h"
#include "cpu/ref.h"

const struct kernel ISA(cpu_sum_squares)[] = { { "reference", .run = ref_sum_squares }, { 0 } };
