/* results -- train_results.json, eval_results.json, all_results.json, with the keys of Hugging Face's
 * Trainer, and the same as a text. Private to src/train, but for results_evaluation. */
#ifndef PLAIT_TRAIN_RESULTS_H
#define PLAIT_TRAIN_RESULTS_H

#include "train/train.h"

struct run;

/* After training. ERR_CREATE, ERR_IO. */
int results_write(const struct run *r);
/* After an evaluation alone, with what the run before has in all_results.json kept. */
int results_write_evaluation(const char *directory, const struct evaluation *e);
/* eval_results.json's text, without an epoch, appended. */
void results_evaluation(const struct evaluation *e, struct str *out);

#endif
