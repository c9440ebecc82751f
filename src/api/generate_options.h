/* generate_options -- see generate_options.c. */
#ifndef PLAIT_API_GENERATE_OPTIONS_H
#define PLAIT_API_GENERATE_OPTIONS_H

#include "base/options.h"
#include "ckpt/hf.h"
#include "gen/options.h"

struct generate_values {
    struct generation_options given; /* the rest comes from the model's directory */
    int64_t batch_size, chunk, pad, bos, decoder_start;
    struct option_list stop_strings, eos;
};
extern const struct option_part generate_parts[]; /* bound to them */

/* Those of the model with what was given, checked. The caller releases them. ERR_USAGE, ERR_CONFIG, ERR_DATA.
 */
int generate_options_take(const struct generate_values *v, const struct options *seen, const struct model *m,
                          struct generation_options *out);
/* For a masked-LM model: how many fillings of a mask are wanted. */
int64_t generate_fillings(const struct generate_values *v, const struct options *seen);

#endif
