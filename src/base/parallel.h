/* parallel -- the only door to threads. Work is cut into `count` tiles whose size does not depend on the
 * number of threads, and tiles write to disjoint places, so results have the same bits on any number of
 * threads. */
#ifndef PLAIT_BASE_PARALLEL_H
#define PLAIT_BASE_PARALLEL_H

#include <stdint.h>

/* A tile cannot fail: the record of errors belongs to the thread that makes it. */
typedef void tile_fn(void *context, int64_t tile);

/* Runs fn(context, 0 .. count-1), in any order, and returns when all are done. Calls from inside a tile run
 * on that tile's thread (a call of one tile is no nesting). Not collective: each in-process rank has its own
 * threads. A child made by fork() must not call it after its parent did. */
void parallel_for(int64_t count, tile_fn *fn, void *context);

/* Threads used by parallel_for calls of this thread (each in-process rank sets its own); default:
 * parallel_cpus(). */
void parallel_set_threads(int threads);
int parallel_threads(void);
int parallel_thread_index(void); /* 0 .. parallel_threads()-1 inside a tile: for scratch space only */
/* For main() alone, first thing: lets waiting threads spin for microseconds, not milliseconds, before they
 * sleep. With other work on the machine long spinning makes every step many times slower. The setting is read
 * when a program starts, so the program starts itself again, once, unless the user's environment has decided
 * already. */
void parallel_settle(char **argv);
int parallel_cpus(void); /* processors this process may run on: its affinity mask */

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

#endif
