/* rope -- how a config.json says its rotary position embeddings: "rope_parameters" (transformers 5), or
 * "rope_theta" and "rope_scaling" (4). */
#ifndef PLAIT_MODELS_ROPE_H
#define PLAIT_MODELS_ROPE_H

#include "models/config.h"

struct rope_options {
    int64_t width, positions; /* of a head; max_position_embeddings */
    double theta;             /* rope_theta, where the object says none */
};
/* ERR_DATA: a wrong value. ERR_CONFIG: another kind than those of ops.h, or what contradicts itself. */
int rope_read(const struct config *c, const struct rope_options *o, struct rotary *out);

#endif
