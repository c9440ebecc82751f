/* export -- a model directory made of a config or of another one: `plait init`, and plait_model_save. */
#ifndef PLAIT_API_EXPORT_H
#define PLAIT_API_EXPORT_H

#include "api/options.h"
#include "ckpt/hf.h"

struct export_values {
    const char *output_dir; /* these four are no options here */
    uint64_t seed;
    const struct mesh *mesh; /* in the pieces of this layout; NULL: whole */
    const struct partition_rules *rules;
    const char *tokenizer;
    int64_t vocab_size; /* 0: as it is */
    int new_rows;
    struct saving_options saving;
};
extern const struct option_part export_parts[];

int export_model(const struct export_values *v, const struct model_options *names);

#endif
