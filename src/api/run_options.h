/* run_options -- what `plait train` and plait_model_train, `plait eval` and plait_model_evaluate are told,
 * beside which model it is, how it is computed and on how many ranks. */
#ifndef PLAIT_API_RUN_OPTIONS_H
#define PLAIT_API_RUN_OPTIONS_H

#include "api/options.h"
#include "train/options.h"
#include "train/session.h"

struct train_values {
    struct input_options input;
    struct train_options train;
    struct saving_options saving;
};
extern const struct option_part train_parts[];

struct eval_values {
    struct input_options input;
    const char *output_dir;
};
extern const struct option_part eval_parts[];

/* What they say, into a session. */
int train_values_take(struct train_values *v, struct session_options *s);

#endif
