/* inspect_data -- what a training run would be made of: plait inspect --train_file. */
#ifndef PLAIT_CLI_INSPECT_DATA_H
#define PLAIT_CLI_INSPECT_DATA_H

#include "ckpt/hf.h"
#include "train/options.h"

struct data_view {
    struct input_options in; /* of input_sample_options */
    int64_t samples;
    const struct options *given; /* to know defaults from wishes */
};

extern const struct option data_view_options[];

/* Documents, tokens, bytes per token, unknown tokens, samples, what is cut off, and the first samples
 * token by token as the objective shows them to a model: the one that hub names, or else any that has the
 * objective. */
int inspect_data(const struct data_view *v, const struct model_options *hub, struct str *out);

#endif
