/* same_config -- a run goes on with the model it began with. Private to src/train. */
#ifndef PLAIT_TRAIN_SAME_CONFIG_H
#define PLAIT_TRAIN_SAME_CONFIG_H

#include "ckpt/hf.h"

/* ERR_CONFIG naming a key in which the config of the checkpoint is not the one that is asked for, the head
 * left aside. */
int same_config_check(const struct model_options *o, const struct config *saved, const char *checkpoint);

#endif
