/* finish -- what comes of steps: checkpoints, the newest evaluation, the final model. Private to src/train.
 */
#ifndef PLAIT_TRAIN_FINISH_H
#define PLAIT_TRAIN_FINISH_H

#include "train/run.h"

/* On all ranks: a checkpoint of this step, if there is none yet. must: a failure ends the run; else it is
 * warned of, and only a third one in a row ends the run. */
int finish_save(struct worker *w, bool must);
/* On the first rank: logs it. saving: a checkpoint of this step follows. True: the best so far, among those
 * that are saved. */
bool finish_evaluation(struct run *r, const struct evaluation *e, bool saving);
/* On all ranks: the checkpoint; fails with ERR_STOPPED. reason: the first rank's. */
int finish_stopped(struct worker *w, const char *reason);
/* On all ranks: last evaluation, checkpoint, the model in the output directory, result files. */
int finish_run(struct worker *w);

#endif
