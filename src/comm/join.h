/* join -- this process becomes a rank of its launcher's: MPI is loaded and started, and the ranks of each
 * host get memory that they share. Private to src/comm. */
#ifndef PLAIT_COMM_JOIN_H
#define PLAIT_COMM_JOIN_H

#include "comm/module.h"
#include "comm/traffic.h"
#include "comm/watch.h"

struct joined {
    struct loaded mpi;
    void *context; /* MPI's */
    struct mpi_world place;
    struct mpi_handle all, host;
    struct mpi_handle leaving; /* all again: who leaves meets nobody who is still at work */
    struct segment *segment;
    int *seats;
    struct watch *watch;
};

/* ERR_CONFIG, ERR_SYSTEM. On failure place.ranks tells whether MPI has started: not 0. */
int join(struct joined *j, const struct launcher *l);
/* The first rank of each host, in order of ranks; there is room for all. *listener: where rank 0 waits for
 * the others' lifelines; -1: nowhere. */
int joined_leaders(struct joined *j, struct leader *leaders, int *count, int *listener);

#endif
