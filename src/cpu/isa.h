/* isa -- how kernels for several instruction sets live in one program. Every src/cpu/<op>.c is compiled once
 * for each (cmake/isa.cmake), with ISA_NAME defined to base, avx2 or avx512. All its functions are static;
 * what it exports are kernel lists whose names end in the instruction set's:
 *
 *     const struct kernel ISA(cpu_add)[] = { { "simd " ISA_TEXT, .run = add }, { "reference", .run = ref_add
 * }, { 0 } };
 *
 * A list holds the kernels of one op for one instruction set, best first, the plain reference (ref_<op>.c,
 * compiled once, declared in ref.h) last. kernels.c gathers the lists into one table per instruction set. */
#ifndef PLAIT_CPU_ISA_H
#define PLAIT_CPU_ISA_H

#ifdef ISA_NAME
#define ISA_PASTE_(name, isa) name##_##isa
#define ISA_PASTE(name, isa)  ISA_PASTE_(name, isa)
#define ISA(name)             ISA_PASTE(name, ISA_NAME)
#define ISA_TEXT_(isa)        #isa
#define ISA_QUOTE(isa)        ISA_TEXT_(isa)
#define ISA_TEXT              ISA_QUOTE(ISA_NAME)
#endif

#endif
