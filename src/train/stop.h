/* stop -- requests to end a run early: signals, a limit on time, the end of a Slurm job. Asked, never obeyed
 * by itself: the loop asks between microbatches, saves a checkpoint and leaves.
 *
 * SIGINT, SIGTERM, SIGUSR1 and SIGHUP (those not ignored already) are blocked and read from a signalfd by a
 * thread of its own. A second one, more than a second after the first, ends the process at once: saves are
 * made so that this does no harm. */
#ifndef PLAIT_TRAIN_STOP_H
#define PLAIT_TRAIN_STOP_H

#include <stdbool.h>

struct stop;

/* Before any other thread is started: threads inherit what is blocked. ERR_SYSTEM. */
int stop_create(struct stop **out);
/* Of limits alone, which are counted from now on: signals stay as they are. */
struct stop *stop_create_limit(void);
void stop_free(struct stop *s); /* NULL is fine; signals act as before */

/* Time is counted from the start of the process. 0: no limit. Slurm's end of the job is found in the
 * environment (SLURM_JOB_END_TIME). */
void stop_set_limit(struct stop *s, double seconds);
/* How long a checkpoint and one more step take: a limit is met so much earlier. */
void stop_set_reserve(struct stop *s, double seconds);

/* NULL: go on (also when s is NULL). Else why not, in words: "SIGTERM". */
const char *stop_reason(struct stop *s);

#endif
