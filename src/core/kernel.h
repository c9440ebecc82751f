/* kernel -- the code that runs an op on a backend. A backend has one table: for each op an ordered list of
 * kernels, the plain reference last. The first that does not refuse is taken, at plan time, by rule. */
#ifndef PLAIT_CORE_KERNEL_H
#define PLAIT_CORE_KERNEL_H

#include "core/op.h"

/* A tensor as a kernel sees it: this rank's share, with run-time counts. Row-major and contiguous; the rows
 * used come first, so strides follow from the dims. data NULL: absent optional input, unwanted optional
 * output, or (where a card's rules allow it) a share that counts as zeros. */
struct view {
    void *data;
    enum dtype dtype;
    int ndim;
    int64_t dim[MAX_DIMS];   /* used entries of this rank's share */
    int64_t first[MAX_DIMS]; /* index of the share's first entry in the whole tensor (0 unless sharded) */
    int64_t whole[MAX_DIMS]; /* size of the whole dim; entries first + i >= whole are padding */
};

struct run_counts {
    int64_t of[COUNT_KINDS]; /* COUNT_FIXED unused */
};

struct kernel_args {
    const struct node *node;
    const struct view *in;  /* node->nin */
    const struct view *out; /* node->nout */
    const bool *add;        /* node->nout: add to what out holds instead of storing */
    void *workspace;        /* as many bytes as the kernel asked for, aligned to 64 */
    const struct run_counts *counts;
    uint64_t seed, step; /* for random streams: the run's seed, the optimizer step (0 from the first) */
    /* For the collectives' kernels (src/comm); NULL with one rank. */
    struct comm *comm;
    struct request *request;           /* of one that is only started; NULL: it runs to its end */
    const struct kernel_args *started; /* of a wait: those of what was started */
};

enum isa { ISA_BASE, ISA_AVX2, ISA_AVX512, ISA_COUNT };

struct machine { /* what a kernel may know when it is chosen; may describe another machine than this one */
    enum isa isa;
    int threads;
    int64_t l1_bytes, l2_bytes, l3_bytes;
    bool onednn;
};

struct kernel {
    const char *name; /* NULL ends a list */
    /* NULL: takes every node. Else the reason why this node is refused, or NULL when it is taken. */
    const char *(*refuses)(const struct node *n, const struct machine *m);
    /* Bytes of scratch at capacity for this rank's share; NULL: none. */
    int64_t (*workspace)(const struct node *n, const struct mesh *mesh, const struct machine *m);
    void (*run)(const struct kernel_args *args);
};

/* Chooses the kernel for n on this machine, and (when why is not NULL) appends why the earlier ones refused.
 * NULL: the table has no kernel for this op (a backend leaves collectives to another table). */
const struct kernel *kernel_choose(const struct kernel *const table[], const struct node *n,
                                   const struct machine *m, struct str *why);

#endif
