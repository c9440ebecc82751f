/* traffic -- one rank's requests. Those of a channel (the ranks that a transfer is among) go one after the
 * other, channels side by side. Whoever waits moves all of them on; between comm_start and comm_wait a
 * helper thread does, which sleeps while nothing is open. Private to src/comm. */
#ifndef PLAIT_COMM_TRAFFIC_H
#define PLAIT_COMM_TRAFFIC_H

#include <pthread.h>

#include "comm/comm.h"
#include "comm/mpi.h"
#include "comm/segment.h"

struct channel {
    struct group_key key;
    int size, me; /* ranks; this one's place among them */
    int *ranks;   /* [size] of the mesh */
    struct request *first, *last;
    struct group *group;
    uint32_t turn;        /* rounds of meeting that this rank has arrived in */
    int half;             /* of the windows, in this round */
    const void **sources; /* [size] scratch */
    bool remote;          /* not all on this host: by MPI */
    struct mpi_handle handle;
};

struct traffic {
    struct segment *segment;
    int seat;                     /* of this rank in the segment */
    const int *seats;             /* [rank]; -1: on another host. NULL: rank = seat */
    const struct mpi_module *mpi; /* NULL: all are on this host */
    void *mpi_context;
    bool alone;            /* MPI allows no helper thread */
    bool polls;            /* something under way is MPI's, which rings no bell */
    bool given_up;         /* after a failure: requests may be gone */
    const char *problem;   /* MPI's, until it is told */
    pthread_mutex_t mutex; /* of channels and requests */
    struct channel **channels;
    size_t channel_count, channel_capacity;
    pthread_t helper;
    bool has_helper, leaving;
    pthread_cond_t work;                /* for the helper */
    int open;                           /* requests that were started apart and are not done */
    double busy, busy_until;            /* seconds in which any was under way, so far */
    void (*release)(struct traffic *t); /* gives the segment back */
    void *context;
};

/* A rank's end; takes over nothing but `release`, which is called last. */
struct comm *traffic_create(const struct mesh *mesh, int rank, struct segment *s);

enum { GROUP_PAIR = 8 }; /* in the key of sender and receiver */

/* Which of the group's ranks the others receive from. */
int transfer_giver(const struct transfer *x);
int seat_of(const struct traffic *t, int rank);

/* ---- remote.c: a transfer by MPI ---- */
/* Makes the channel's group. A problem is kept for comm_wait. */
void remote_open(struct traffic *t, struct channel *ch);
bool remote_step(struct traffic *t, struct channel *ch, struct request *r);

/* ---- exchange.c: a transfer among ranks of one host ---- */
/* Goes on as far as the others allow; true: it has moved. */
bool exchange_step(struct traffic *t, struct channel *ch, struct request *r);

#endif
