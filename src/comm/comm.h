/* comm -- collectives along a mesh axis, behind a small vtable: `self` (one rank), `local` (ranks are threads of this
 * process). Every rank of the axis must call the same function in the same order. Reductions go in rank order, so that
 * all ranks get the same bits. */
#ifndef PLAIT_COMM_COMM_H
#define PLAIT_COMM_COMM_H

#include "core/placement.h"
#include "core/dtype.h"

struct comm { /* one rank's end */
    const struct comm_ops *ops;
    struct mesh mesh;
    int rank;
};

struct comm_ops {
    const char *name;
    /* out = reduction over the axis of `in` (count elements); out may be in. */
    int (*all_reduce)(struct comm *c, enum axis axis, enum reduction r, enum dtype t, const void *in, void *out,
                      int64_t count);
    /* out: the shares of all ranks of the axis in rank order, each `count` elements. */
    int (*all_gather)(struct comm *c, enum axis axis, enum dtype t, const void *in, void *out, int64_t count);
    int (*barrier)(struct comm *c); /* all ranks of the mesh */
    void (*free)(struct comm *c);
};

/* Ranks as threads: makes all ends at once; comm_free each of them. */
int comm_local_create(const struct mesh *mesh, struct comm *ends[]);
void comm_free(struct comm *c);

/* Runs fn(context, rank, comm) on mesh_ranks(mesh) threads, threads_each for parallel_for in each of them; returns the
 * first failure (the message of the lowest failing rank becomes this thread's). */
int comm_local_run(const struct mesh *mesh, int threads_each, int (*fn)(void *context, int rank, struct comm *comm),
                   void *context);

#endif
