/* kernel_case -- a node made by hand, without a graph, and the comparison every kernel has to stand: for each
 * instruction set of this machine each kernel that takes the node makes what the reference makes, and the
 * same bits on 1, 2, 3 and 5 threads. Buffers have their exact sizes, so that a sanitizer sees a step beyond.
 */
#ifndef TESTS_LIB_KERNEL_CASE_H
#define TESTS_LIB_KERNEL_CASE_H

#include "core/kernel.h"

enum { CASE_INPUTS = 64 };

struct kernel_case {
    struct node node;
    struct tensor tensor_in[CASE_INPUTS], tensor_out[MAX_OUTPUTS];
    struct tensor *in[CASE_INPUTS];
    struct view view_in[CASE_INPUTS], view_out[MAX_OUTPUTS];
    bool add[MAX_OUTPUTS];
    struct run_counts counts;
    uint64_t seed, step;
    enum op_id op;
};

void case_init(struct kernel_case *c, enum op_id op);
void case_release(struct kernel_case *c);

/* Adds an input (output) of these dims, ending with 0 or less; floats are normal random numbers, integers
 * zero. The view stays the case's. Dims may be changed afterwards in the view (first, whole) for shares. */
struct view *case_input(struct kernel_case *c, enum dtype dtype, const int64_t dims[]);
struct view *case_output(struct kernel_case *c, enum dtype dtype, const int64_t dims[]);
void case_absent_input(struct kernel_case *c);
void case_absent_output(struct kernel_case *c);
/* The next input is an earlier one again. */
void case_same_input(struct kernel_case *c, int input);

void case_run(struct kernel_case *c, const struct kernel *k, int threads);
const struct kernel *case_reference(const struct kernel_case *c);
/* Elements may differ by tolerance * (1 + |reference|). At least one kernel beside the reference must have
 * run. */
void case_compare(struct kernel_case *c, double tolerance);

bool isa_runs_here(enum isa isa);

/* #define-free list of dims: DIMS(2, 3) */
#define DIMS(...)              \
    (const int64_t[])          \
    {                          \
        __VA_ARGS__, INT64_MIN \
    }

#endif
