/* ops -- the harness of ops. Each op of ops.def has a list of cases, tests/ops/<op>.c; a case builds a tiny
 * graph with the node under test in it, and the harness asks of every case:
 *
 *   golden     the reference gives what PyTorch gives (tests/golden/ops, made by tests/oracle/ops.py)
 *   gradient   what autodiff emits agrees with central differences, all in double
 *   kernels    every other kernel agrees with the reference, and has the same bits on 1, 2 and 3 threads
 *   sharding   every rule of the card, on 2 and on 4 ranks: shares of the inputs give shares of the outputs
 *   cost       flops and bytes are within sane bounds
 *   fusion     a graph gives the same before and after the card's fuse (lists of graphs of their own)
 *
 * and of collectives that ranks get what the names say. A case that lacks something says so in its flags. */
#ifndef TESTS_LIB_OPS_H
#define TESTS_LIB_OPS_H

#include "core/kernel.h"
#include "ops/ops.h"

enum { OPS_INPUTS = 24, OPS_LEAVES = 24, OPS_GROUPS = 6, OPS_RANKS = 4 };

/* Dims that follow a run-time count: capacity is larger than what is used, and no two groups have the same.
 */
struct ops_group {
    struct dim dim;
    int64_t used;
    int offsets;   /* leaf whose entries cut these rows into sequences, -1: none */
    int row_index; /* leaf that says which row each label belongs to, -1: none */
};

enum ops_role { OPS_PLAIN, OPS_OFFSETS, OPS_ROW_INDEX };

struct ops_leaf { /* a tensor that no node makes */
    struct tensor *tensor;
    double *data; /* entries used, as doubles */
    enum ops_role role;
};

struct ops_case {
    const struct op_def *op; /* whose list it is in: ops that are alike may share one */
    const void *with;
    struct graph *graph;
    struct builder b;
    struct node *node; /* under test; what it reads is made by the nodes before it */
    struct ops_leaf leaf[OPS_LEAVES];
    int leaves;
    struct ops_group group[OPS_GROUPS];
    int groups;
    bool updated[OPS_INPUTS]; /* inputs that the node changes in place */
    int only_trainable;       /* index of the one leaf that is trained, -1: all are */
    unsigned probes;          /* bits of the outputs whose gradient is asked for; 0: the first */
    uint64_t seed, step;
    /* What the case is not asked for. */
    bool no_gradient; /* a form that only the fuse pass makes, or a gradient without meaning */
    bool large;       /* for tiles of kernels: neither golden nor gradient nor sharding */
    bool no_dp;       /* its rows cannot be dealt out */
    bool dry;         /* moves less than it is given: no lower bound on the bytes */
};

struct ops_case_def {
    const char *name; /* NULL ends a list */
    void (*build)(struct ops_case *c);
    const void *with; /* becomes c->with: what the cases of one builder differ in */
};

struct op_cases {
    double tolerance; /* kernels in fp32: |found - reference| <= tolerance * (1 + |reference|) */
    bool matmul;      /* flops must be counted */
    const struct ops_case_def *cases;
    const struct ops_case_def *fuses; /* graphs for the card's fuse: c->node makes the loss */
};

#define OP(name) extern const struct op_cases cases_##name;
#include "core/ops.def"
#undef OP

/* ---- For cases ---- */

/* Lists of dims: SHAPE(rows, FIX(6)), SCALAR */
#define FIX(n)      \
    {               \
        .size = (n) \
    }
#define SHAPE(...) ((const struct dim[]){ __VA_ARGS__, { .size = -1 } })
#define SCALAR     ((const struct dim[]){ { .size = -1 } })
#define ATTRS(...) ((const struct attr_value[]){ __VA_ARGS__, { 0 } })

struct dim ops_rows(struct ops_case *c, int64_t used);
/* Integers [count]; offsets cut `rows` into count - 1 sequences, row_index gives labels their rows
 * (ascending). */
struct tensor *ops_offsets(struct ops_case *c, struct dim rows, int64_t count, const int64_t values[]);
struct tensor *ops_row_index(struct ops_case *c, int64_t count, const int64_t values[], struct dim *labels);
struct tensor *ops_ints(struct ops_case *c, enum dtype dtype, const struct dim dims[],
                        const int64_t values[]);
/* fp32 and normally distributed: a trained parameter; a value as other nodes make it; a state. F64: a value.
 */
struct tensor *ops_param(struct ops_case *c, const struct dim dims[]);
struct tensor *ops_value(struct ops_case *c, const struct dim dims[]);
struct tensor *ops_double(struct ops_case *c, const struct dim dims[]);
struct tensor *ops_state(struct ops_case *c, const struct dim dims[]);
double *ops_data(struct ops_case *c, const struct tensor *t); /* entries of a leaf, to be changed */
/* n is the node under test; wants: bits of optional outputs that are made. */
void ops_under_test(struct ops_case *c, struct node *n, unsigned wants);
/* Output j of the node under test is added to an accumulator that holds something already. */
void ops_accumulate(struct ops_case *c, int j);
/* Sum over t's entries, each times a weight of its own: F64 scalar. */
struct tensor *ops_weighted_sum(struct ops_case *c, struct tensor *t);

/* ---- For the harness ---- */

struct ops_values { /* [tensor id]: entries used, as doubles; NULL: not made yet */
    double **of;
    size_t count;
};

/* A node with the views of one rank. */
struct ops_call {
    const struct ops_case *c;
    struct node *node;
    struct view in[OPS_INPUTS], out[MAX_OUTPUTS];
    bool add[MAX_OUTPUTS];
    struct run_counts counts;
    struct mesh mesh;
};

void ops_case_init(struct ops_case *c, const struct op_def *op, const struct ops_case_def *def,
                   int only_trainable);
void ops_case_release(struct ops_case *c);
const struct ops_group *ops_group_of(const struct ops_case *c, struct dim dim); /* NULL: a fixed dim */
bool ops_is_test_op(const struct op_def *op);

void ops_values_init(struct ops_values *v, const struct ops_case *c);
void ops_values_release(struct ops_values *v);
/* Runs nodes first .. last-1 by the references, in double. */
void ops_run(struct ops_case *c, struct ops_values *v, size_t first, size_t last);

/* The whole node on one rank. real: the dtype that takes fp32's place. Outputs hold what they are added to.
 */
void ops_call_init(struct ops_call *call, struct ops_case *c, struct node *n, const struct ops_values *v,
                   enum dtype real);
void ops_call_release(struct ops_call *call);
void ops_call_run(struct ops_call *call, const struct kernel *k, int threads);
const struct kernel *ops_reference(const struct op_def *op);
/* Calls fn for every kernel of the op but the reference, on each instruction set of this machine. */
void ops_each_kernel(const struct node *n, void (*fn)(void *context, const struct kernel *k), void *context);

/* Results are outputs 0 .. MAX_OUTPUTS-1, then the inputs that are updated; NULL: there is no such result. */
enum { OPS_RESULTS = MAX_OUTPUTS + OPS_INPUTS };
struct view *ops_result(struct ops_call *call, int r);
const char *ops_result_name(const struct ops_call *call, int r, char buffer[32]);
void ops_fill(const struct view *v, const double *values); /* NULL: not a number */
const double *ops_value_of(const struct ops_case *c, const struct ops_values *v, const struct tensor *t);
void ops_compare(const struct ops_call *found, const struct ops_call *want, double tolerance,
                 const char *what);

int64_t ops_count(const struct view *v);
double ops_get(const struct view *v, int64_t i);
void ops_set(const struct view *v, int64_t i, double x);
bool ops_near(double x, double want, double tolerance);

void ops_check_golden(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def);
void ops_check_gradient(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def);
void ops_check_kernels(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def);
void ops_check_sharding(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def);
void ops_check_cost(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def);
void ops_check_fusion(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def);
void ops_check_collective(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def);

#endif
