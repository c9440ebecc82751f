/* rope -- how a config.json says its rotary position embeddings: "rope_parameters" (transformers 5), or
 * "rope_theta" and "rope_scaling" (4). */
#ifndef PLAIT_MODELS_ROPE_H
#define PLAIT_MODELS_ROPE_H

#include "models/config.h"

enum { ROPE_MOST_FACTORS = 1024 }; /* of longrope: for heads of width 2048 */
enum rope_kind {
    ROPE_DEFAULT,
    ROPE_LINEAR,
    ROPE_DYNAMIC,
    ROPE_LLAMA3,
    ROPE_YARN,
    ROPE_LONGROPE,
    ROPE_PROPORTIONAL,
    ROPE_KINDS
};

struct rope { /* those that the kind reads */
    enum rope_kind kind;
    int64_t width; /* of a head */
    double theta, factor, low, high, original, attention;
    int64_t turned;                      /* proportional: pairs of features that are rotated at all */
    float factors[2][ROPE_MOST_FACTORS]; /* of sequences up to `original` and of longer ones */
};

struct rope_options {
    int64_t width, positions; /* of a head; max_position_embeddings */
    double theta;             /* rope_theta, where the object says none */
};
/* ERR_DATA: a wrong value. ERR_CONFIG: another kind than the above, or what contradicts itself. */
int rope_read(const struct config *c, const struct rope_options *o, struct rope *out);

/* rope_table.c: the table of cosines and sines for the rows of the model, (N, width). */
struct tensor *rope_table(struct builder *b, const struct model_inputs *in, const struct rope *r);

#endif
