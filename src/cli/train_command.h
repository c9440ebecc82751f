/* What plait train and plait plan are told. */
#ifndef PLAIT_CLI_TRAIN_COMMAND_H
#define PLAIT_CLI_TRAIN_COMMAND_H

#include "api/run_options.h"
#include "cli/cli.h"

struct train_command {
    struct model_choice model;
    struct { /* beside model_choice: its name alone */
        const char *type;
    } from;
    struct train_values train;
    struct compute_options compute;
    struct parallel_options parallel;
    struct {
        const char *cluster;
    } machines;
};
extern const struct option_part train_command_parts[];

/* The caller frees s->rules. */
int train_command_session(struct train_command *v, struct options *o, const struct world *w,
                          struct session_options *s);

#endif
