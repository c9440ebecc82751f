/* trainer_state -- where a run stands, trainer_state.json: HF Trainer's keys, and those only plait has under
 * "plait". The table in trainer_state.c holds one row for each; adding a value is a member here and a row
 * there. */
#ifndef PLAIT_CKPT_TRAINER_STATE_H
#define PLAIT_CKPT_TRAINER_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "ckpt/save.h"
#include "ckpt/weights_save.h"

#define TRAINER_STATE_NAME "trainer_state.json"

struct trainer_state {
    /* HF's */
    int64_t global_step; /* optimizer steps done */
    int64_t max_steps;
    int64_t num_train_epochs;
    double epoch;
    double total_flos;
    int64_t num_input_tokens_seen;
    double best_metric;          /* NaN: none yet */
    char *best_model_checkpoint; /* name of a checkpoint directory; NULL: none */
    int64_t best_global_step;
    /* plait's */
    int64_t samples_seen; /* position in the global sample stream */
    int64_t label_tokens_seen;
    int64_t global_batch_size;
    uint64_t seed, data_seed;
    double loss_sum; /* of the token losses since the last log line, and their number: */
    int64_t loss_tokens;
    double train_loss_sum; /* the same over the whole run */
    int64_t train_loss_tokens;
    int64_t skipped_steps; /* steps left out because of a non-finite loss or norm */
    double train_seconds;  /* over all starts of the run */
    /* of the schedule that evaluations decide */
    double lr_factor, lr_best; /* lr_best: NaN: none yet */
    int64_t lr_bad, lr_cooldown;
};

void trainer_state_init(struct trainer_state *t);
void trainer_state_release(struct trainer_state *t);
void trainer_state_write(const struct trainer_state *t, struct str *out);
/* t need not be initialised; released on failure. Unknown keys are passed over; plait's own may not be
 * missing. ERR_DATA. */
int trainer_state_parse(struct trainer_state *t, const char *path, const char *bytes, size_t length);

int trainer_state_save(struct save *s, const struct trainer_state *t);
/* From a checkpoint directory; its step must be the manifest's. */
int trainer_state_load(struct trainer_state *t, const char *checkpoint);

#endif
