/* fill_mask_text -- what a masked-LM model puts in the place of mask tokens, told as transformers' fill-mask
 * pipeline tells it: for each prompt a line of JSON, a list of {score, token, token_str, sequence}, best
 * first; a list of such lists where the prompt has several masks. */
#ifndef PLAIT_CLI_FILL_MASK_TEXT_H
#define PLAIT_CLI_FILL_MASK_TEXT_H

#include "api/api.h"
#include "cli/generate_text.h"

struct fill_mask {
    struct plait_model *model;
    const struct world *world;
    const struct tokenizer *tokenizer;
    const struct prompts *prompts;
    int64_t top_k;
    const char *output; /* NULL: stdout */
};
int fill_mask_print(const struct fill_mask *f);

#endif
