/* op -- an op is a name with rules attached, all on one card. Nothing anywhere switches over ops: passes look
 * up the rule they need. Kernels are not on the card; each backend has a table of them (core/kernel.h). */
#ifndef PLAIT_CORE_OP_H
#define PLAIT_CORE_OP_H

#include "core/graph.h"

struct rewrite;

enum { MAX_RULES = 24, MAX_RULE_INPUTS = 12 };

/* One way an op can run sharded on one axis. For a variadic op the rules are made for its actual inputs. */
struct shard_rule {
    struct placement *in; /* nin of them */
    struct placement out[MAX_OUTPUTS];
    double work; /* share of the whole work one rank does, padding included; 1 when it is repeated */
};

struct shard_rules {
    struct arena *arena;
    int size; /* ranks on the axis */
    enum axis axis;
    int count;
    struct shard_rule rule[MAX_RULES];
};

/* Adds a rule; placements are copied. divided: each rank does a share of the work. */
void shard_rules_add(struct shard_rules *r, const struct node *n, const struct placement in[],
                     const struct placement out[], bool divided);

struct op_cost {
    double flops; /* of one run at capacity, whole model */
    double bytes; /* that must move to and from memory at least */
};

struct attr_def {
    const char *name;
    double preset;
};

struct op_def {
    const char *name;
    const char *inputs[MAX_RULE_INPUTS]; /* names; a leading '?' marks an optional input; the last may be
                                            "*name": any number */
    const char *outputs[MAX_OUTPUTS];    /* a leading '?': made only when asked for (node_want) */
    struct attr_def attrs[MAX_ATTRS];
    /* Fills dtype, ndim and dims of out[j] from inputs and attrs; a failure names both values. */
    int (*infer)(const struct node *n, struct tensor out[]);
    /* Emits nodes that make din[i] from dout[j] (NULL: no gradient flows there). din[i] stays NULL for inputs
     * without gradient. `wants[i]` says which are needed. Where in[i] is a parameter the gradient is an
     * output that accumulates: the card calls grad_accumulate and leaves din[i] NULL. b->unit is
     * UNIT_BACKWARD_INPUT on entry. */
    void (*grad)(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[]);
    bool no_gradient; /* says so instead of `grad` */
    /* `have`: where the inputs lie now on this axis (kind -1: free to choose). Everything REPLICATE is always
     * allowed and need not be added, unless `no_replicate`. */
    void (*shard)(const struct node *n, const struct placement have[], struct shard_rules *rules);
    struct op_cost (*cost)(const struct node *n);
    /* Optional: absorbs neighbours of n where that saves memory traffic (an activation into a linear's
     * epilogue). Run after sharding, once for each node in order; see core/rewrite.h for what it may do. */
    void (*fuse)(struct rewrite *r, struct node *n);
    bool
        alias; /* output 0 is input 0 (or nothing, on some ranks): no storage of its own, nothing is copied */
    bool cheap;         /* to recompute: bandwidth only */
    uint8_t keeps_f32;  /* bits of outputs that hold rows of statistics: bfloat16 would not do for them */
    uint8_t shape_only; /* bits of inputs whose values no kernel reads, so they may lie anywhere */
    bool reads_random;  /* uses (seed, step, stream) */
    uint8_t
        in_place[MAX_OUTPUTS]; /* 1 + i: output j may take over input i's storage when that is its last use */
};

enum op_id {
#define OP(name) OP_##name,
#include "core/ops.def"
#undef OP
    OP_COUNT
};

#define OP(name) extern const struct op_def op_##name;
#include "core/ops.def"
#undef OP

extern const struct op_def *const op_table[OP_COUNT]; /* core's row of cards, in the order of ops.def */
enum op_id op_find(const struct op_def *op);

void node_want(struct builder *b, struct node *n, int output); /* asks for an optional output */

/* ---- For gradients ---- */
/* Registers out[output] of n as a contribution to param's gradient: it is written into the accumulator's
 * newest version. */
void grad_accumulate(struct builder *b, struct node *n, int output, struct tensor *param);

#endif
