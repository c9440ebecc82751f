/* traffic -- one rank's requests. Those of a channel (the ranks that a transfer is among) go one after the
 * other, channels side by side. Whoever waits moves all of them on; between comm_start and comm_wait a
 * helper thread does, which sleeps while nothing is open. Private to src/comm. */
#ifndef PLAIT_COMM_TRAFFIC_H
#define PLAIT_COMM_TRAFFIC_H

#include <pthread.h>

#include "comm/comm.h"
#include "comm/segment.h"

struct channel {
    struct group_key key;
    int size, me; /* ranks; this one's place among them */
    int *ranks;   /* [size] of the mesh */
    struct request *first, *last;
    struct group *group;
    uint32_t turn;        /* rounds of meeting that this rank has arrived in */
    const void **sources; /* [size] scratch */
};

struct traffic {
    struct segment *segment;
    pthread_mutex_t mutex; /* of channels and requests */
    struct channel **channels;
    size_t channel_count, channel_capacity;
    pthread_t helper;
    bool has_helper, leaving;
    pthread_cond_t work;                /* for the helper */
    int open;                           /* requests that were started apart and are not done */
    void (*release)(struct traffic *t); /* gives the segment back */
    void *context;
};

/* A rank's end; takes over nothing but `release`, which is called last. */
struct comm *traffic_create(const struct mesh *mesh, int rank, struct segment *s);

/* ---- exchange.c: a transfer among ranks of one host ---- */
/* Goes on as far as the others allow; true: it has moved. */
bool exchange_step(struct traffic *t, struct channel *ch, struct request *r);

#endif
