/* run_file -- run.json: what a run was told and what came of it. `plait train run.json` does the same again.
 * Private to src/train. */
#ifndef PLAIT_TRAIN_RUN_FILE_H
#define PLAIT_TRAIN_RUN_FILE_H

struct run;

int run_file_write(const struct run *r); /* ERR_CREATE, ERR_IO */

#endif
