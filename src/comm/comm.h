/* comm -- transfers among the ranks of a mesh: along an axis, among some of its ranks, or among all. A
 * transfer is started and waited for; in between it goes on by itself. Ranks are threads of this process
 * (local.c), processes of one host, or processes of several (world.h). On one host there is one
 * path, through shared memory, for threads and processes alike (exchange.c), and it reduces in rank order:
 * all ranks get the same bits, however they were started.
 *
 * Transfers among the same ranks (for send and receive: from one rank to another, with one tag) are matched
 * in the order in which each rank starts them. Those among different ranks do not wait for each other. */
#ifndef PLAIT_COMM_COMM_H
#define PLAIT_COMM_COMM_H

#include <stdbool.h>

#include "core/dtype.h"
#include "core/placement.h"

enum { AXIS_ALL = AXIS_COUNT }; /* of a transfer: all ranks of the mesh, coordinate = rank */

enum transfer_kind {
    TRANSFER_ALL_REDUCE, /* out[count] = reduction of all in[count]; out may be in */
    TRANSFER_ALL_GATHER, /* out[ranks][count] = in[count] of each; in may be its place in out */
    /* out[count] = reduction of all in[ranks][count], each rank its part; out may be in */
    TRANSFER_REDUCE_SCATTER,
    TRANSFER_BROADCAST, /* out[count] = in[count] of the rank at `peer` */
    TRANSFER_SEND,      /* in[count] to the rank at `peer` */
    TRANSFER_RECV,      /* out[count] from the rank at `peer` */
    TRANSFER_BARRIER,   /* nobody is done before all have started */
};

struct transfer {
    enum transfer_kind kind;
    int axis;         /* among the ranks that differ in this coordinate alone, in its order; or AXIS_ALL */
    uint64_t members; /* of these, the ones whose bit is set; 0: all. Not for send and receive */
    enum reduction reduction;
    enum dtype dtype; /* all, where there is a reduction: F32, F64, BF16 (added in fp32), I32 */
    int64_t count;
    int peer; /* a coordinate on the axis */
    int tag;  /* of send and receive: those with different ones do not wait for each other */
};

struct request { /* of the caller, who keeps it and both buffers in place until comm_wait */
    struct transfer transfer;
    const void *in;
    void *out;
    struct channel *channel;
    struct request *next;
    int phase;
    int64_t at, round; /* elements done; in this round */
    uint64_t handle;   /* MPI's */
    bool apart, done;  /* apart: started, not only waited for */
    double start, end;
};

/* One of zeros is not. */
static inline bool request_is_begun(const struct request *r)
{
    return r->start > 0;
}

struct comm_times {
    double busy, exposed; /* seconds in which a transfer was under way; those in which the rank has waited */
    int64_t bytes;        /* of `in`, or of `out` where there is no other */
    int64_t count;
};

struct comm { /* one rank's end */
    struct mesh mesh;
    int rank;
    int status; /* of the first transfer of a graph that failed: kernels return nothing, the executor asks */
    bool echo;  /* what failed last failed because another rank had: nothing to tell */
    struct comm_times times;
    struct traffic *traffic;
};

/* Starting cannot fail; what goes wrong is told by comm_wait: the status of the rank that failed first. A
 * transfer that has ended for one rank ends for all. */
void comm_start(struct comm *c, const struct transfer *x, const void *in, void *out, struct request *r);
int comm_wait(struct comm *c, struct request *r);
int comm_run(struct comm *c, const struct transfer *x, const void *in, void *out); /* start and wait */
int comm_barrier(struct comm *c);
/* Makes every transfer of every rank fail with this status, now and from now on. */
void comm_break(struct comm *c, int status);
void comm_free(struct comm *c); /* NULL is fine */

/* What this rank is doing, for the watch to tell of should it be lost. c NULL: nobody wants to know. */
enum comm_phase {
    PHASE_START,
    PHASE_DATA,
    PHASE_MODEL,
    PHASE_TRAIN,
    PHASE_EVALUATE,
    PHASE_SAVE,
    PHASE_RUN,
    PHASE_VERIFY,
    PHASE_END
};
void comm_enter(struct comm *c, enum comm_phase phase);
void comm_moved(struct comm *c);                              /* it still does something */
void comm_step(struct comm *c, int64_t step, double seconds); /* another step is done */

/* Ranks as threads: makes all ends at once; comm_free each of them. */
int comm_local_create(const struct mesh *mesh, struct comm *ends[]);

/* Runs fn(context, rank, comm) on mesh_ranks(mesh) threads, threads_each for parallel_for in each of them;
 * returns the first failure (the message of the lowest failing rank becomes this thread's). */
int comm_local_run(const struct mesh *mesh, int threads_each,
                   int (*fn)(void *context, int rank, struct comm *comm), void *context);
/* The same on ends that stay: comm_local_create's, all ranks of a mesh. After a failure they are broken. */
int comm_local_run_on(struct comm *const ends[], int ranks, int threads_each,
                      int (*fn)(void *context, int rank, struct comm *comm), void *context);

#endif
