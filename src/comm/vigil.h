/* vigil -- watches until the watch begins: MPI starts when all ranks do, and tells nobody of one that is
 * stopped before. A thread looks at what the launcher has started on this host besides this process; one
 * that is found stopped for as long as a watch lets a rank stand still (watch.h) ends all of them, with one
 * sentence. Ranks that are only slow end nothing. Private to src/comm. */
#ifndef PLAIT_COMM_VIGIL_H
#define PLAIT_COMM_VIGIL_H

struct vigil;

/* NULL where nobody can be watched. */
struct vigil *vigil_begin(void (*tell)(int status));
void vigil_end(struct vigil *v); /* NULL is fine */

#endif
