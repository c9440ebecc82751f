/* mpi -- what a module for one MPI offers: src/comm/mpi.c, compiled by that MPI's mpicc into a shared
 * object whose one visible function is plait_mpi_module. plait loads it on demand (world.h) and needs
 * nothing of MPI itself.
 *
 *     mpicc -std=c17 -O2 -fPIC -shared -fvisibility=hidden -I src -o plait_mpi_openmpi.so src/comm/mpi.c
 *
 * All functions return NULL or a sentence about what went wrong, valid until the next call. Calls come
 * from one thread at a time. Private to src/comm. */
#ifndef PLAIT_COMM_MPI_H
#define PLAIT_COMM_MPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MPI_MODULE_VERSION = 1 };

enum mpi_kind { /* in the order of enum transfer_kind */
                MPI_KIND_ALL_REDUCE,
                MPI_KIND_ALL_GATHER,
                MPI_KIND_REDUCE_SCATTER,
                MPI_KIND_BROADCAST,
                MPI_KIND_SEND,
                MPI_KIND_RECV,
                MPI_KIND_BARRIER,
};
enum mpi_type { MPI_TYPE_F32, MPI_TYPE_F64, MPI_TYPE_BF16, MPI_TYPE_F16, MPI_TYPE_I32, MPI_TYPE_I64 };
enum mpi_reduction { MPI_REDUCE_SUM, MPI_REDUCE_MAX, MPI_REDUCE_LOGSUMEXP };

struct mpi_transfer {
    enum mpi_kind kind;
    enum mpi_type type;
    enum mpi_reduction reduction;
    int count; /* as in struct transfer */
    int peer;  /* broadcast: place in the group; send, receive: rank in the world */
    int tag;   /* send, receive */
    const void *in;
    void *out;
};

struct mpi_handle { /* a communicator or a request of the module's MPI */
    uint64_t bits;
};

struct mpi_world {
    int ranks, rank;
    int host_ranks, host_rank; /* on this host */
    bool threads;              /* more than one thread may call, one at a time */
    char version[128];         /* of the library, one line */
};

struct mpi_module {
    int version; /* MPI_MODULE_VERSION */
    const char *flavour;
    size_t context_bytes; /* context: so much zeroed memory of the caller's */
    const char *(*open)(void *context, struct mpi_world *w);
    /* Ranks of the world on this host, in order: host_ranks of them. */
    void (*host)(void *context, int ranks[]);
    /* A group of ranks in the world, in this order; all of them call. ranks NULL: all. */
    const char *(*group)(void *context, const int ranks[], int count, struct mpi_handle *group);
    const char *(*start)(void *context, struct mpi_handle group, const struct mpi_transfer *x,
                         struct mpi_handle *request);
    const char *(*test)(void *context, struct mpi_handle *request, bool *done);
    void (*cancel)(void *context, struct mpi_handle request); /* a receive that nobody waits for any more */
    void (*abort)(void *context, int exit_code);              /* ends all ranks */
    void (*close)(void *context);                             /* all ranks have to call it */
};

#ifndef MPI_MODULE_FUNCTION
#define MPI_MODULE_FUNCTION "plait_mpi_module"
#endif
typedef const struct mpi_module *mpi_module_fn(void);

#endif
