/* watch -- sees that no rank is lost: a thread in every process of a launcher, because MPI tells nobody. A
 * process of this host that ends without having left, or stands still for 30 seconds (5 steps, where they
 * take longer; PLAIT_HANG_SECONDS in the environment), ends all ranks with one sentence that names rank,
 * host and phase. Standing still is: its watch does not look any more (it was stopped), or it does, but
 * the rank has begun no transfer and waits for none. Between hosts the first rank of each exchanges signs
 * of life with rank 0, and holds a lifeline to it: where that is cut and no sign follows, the process has
 * died. Private to src/comm. */
#ifndef PLAIT_COMM_WATCH_H
#define PLAIT_COMM_WATCH_H

#include "comm/lifeline.h"
#include "comm/traffic.h"

struct watch;

struct leader { /* the first rank of a host */
    int32_t rank;
    char host[60];
    struct lifeline_door door; /* rank 0's, where there are several hosts */
};

struct watch_options {
    struct traffic *traffic;
    int rank;
    struct mpi_handle all;        /* of the ranks */
    const struct leader *leaders; /* the first ranks of the hosts; of all: rank 0 */
    int leader_count;
    int listener; /* where others knock, from now on the watch's; -1: nowhere */
    void (*tell)(int status);
};

/* Seconds that a rank may stand still at least; 0: for ever. */
double watch_limit(void);
/* Its seat is filled in. ERR_SYSTEM. */
int watch_begin(const struct watch_options *o, struct watch **out);
/* Before the process leaves MPI, when all ranks have come to their end. NULL is fine. */
void watch_end(struct watch *w);

#endif
