/* together -- what the processes of a run settle before it: one output directory, token caches made once
 * on each host, and that all of them mean the same run. With a world of threads: nothing of it. */
#ifndef PLAIT_TRAIN_TOGETHER_H
#define PLAIT_TRAIN_TOGETHER_H

#include "ckpt/hf.h"
#include "comm/world.h"
#include "train/output_dir.h"
#include "train/train.h"

/* The first rank opens it; the others get its checkpoint and see that it is the same directory for them:
 * ERR_CONFIG. */
int together_open_output(const struct world *w, struct output_dir *d, const struct output_dir_options *o);

/* The first rank of each host, then the others. */
int together_in_turn(const struct world *w, int (*fn)(void *context, bool again), void *context);

/* ERR_CONFIG naming the first rank for which something is not as for rank 0, and what. */
int together_compare(const struct world *w, const struct model *m, const struct train_note notes[],
                     size_t count);

#endif
