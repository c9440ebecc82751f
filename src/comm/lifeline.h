/* lifeline -- a TCP connection between the first rank of all and the first rank of another host. When a
 * process ends, however that happens, its kernel closes the connection, and the other side knows at once
 * what MPI does not tell. One that cannot be had, as where hosts do not let each other in, is done without.
 * Private to src/comm. */
#ifndef PLAIT_COMM_LIFELINE_H
#define PLAIT_COMM_LIFELINE_H

#include <stdint.h>

enum { LIFELINE_ADDRESSES = 8 };

/* Where the first rank waits for the others. Plain data, to be sent. */
struct lifeline_door {
    uint64_t token;                       /* who knows it belongs to this job */
    uint32_t address[LIFELINE_ADDRESSES]; /* IPv4 in network order; after the last: 0 */
    int32_t port, unused;                 /* port 0: nobody waits */
};

/* The descriptor at which others knock, readable when one does; -1: cannot be had. */
int lifeline_open(struct lifeline_door *door);
/* Lets one in that knocks: its descriptor and rank, or -1. */
int lifeline_accept(int listener, const struct lifeline_door *door, int *rank);
/* Knocks at one address after the other, at most some seconds, and no longer than `stop` is not readable. -1:
 * nobody lets it in. */
int lifeline_join(const struct lifeline_door *door, int rank, int stop);

enum lifeline_state {
    LIFELINE_HERE,
    LIFELINE_LEFT, /* it said goodbye, or the network has gone: nothing more can be known from here */
    LIFELINE_CUT,  /* the other process has closed it without a word */
};
enum lifeline_state lifeline_look(int fd);
/* Says goodbye and closes. */
void lifeline_leave(int fd);

#endif
