/* comm -- collectives along a mesh axis, behind a small vtable: `self` (one rank), `local` (ranks are threads
 * of this process). Every rank of the axis must call the same function in the same order. Reductions go in
 * rank order, so that all ranks get the same bits. */
#ifndef PLAIT_COMM_COMM_H
#define PLAIT_COMM_COMM_H

#include "core/dtype.h"
#include "core/placement.h"

struct comm { /* one rank's end */
    const struct comm_ops *ops;
    struct mesh mesh;
    int rank;
    int status; /* of the first collective in a graph that failed: kernels return nothing, the executor asks
                 */
};

struct collective {
    enum axis axis;
    enum reduction reduction; /* all_reduce */
    enum dtype dtype;
    int64_t count; /* elements of `in` */
};

struct comm_ops {
    const char *name;
    /* out = reduction over the axis of `in`; out may be in. */
    int (*all_reduce)(struct comm *c, const struct collective *x, const void *in, void *out);
    /* out: the shares of all ranks of the axis in rank order. */
    int (*all_gather)(struct comm *c, const struct collective *x, const void *in, void *out);
    int (*barrier)(struct comm *c); /* all ranks of the mesh */
    void (*free)(struct comm *c);
};

/* Ranks as threads: makes all ends at once; comm_free each of them. */
int comm_local_create(const struct mesh *mesh, struct comm *ends[]);
void comm_free(struct comm *c);

/* Runs fn(context, rank, comm) on mesh_ranks(mesh) threads, threads_each for parallel_for in each of them;
 * returns the first failure (the message of the lowest failing rank becomes this thread's). */
int comm_local_run(const struct mesh *mesh, int threads_each,
                   int (*fn)(void *context, int rank, struct comm *comm), void *context);

#endif
