/* fill_mask -- what a masked-LM model puts in the place of mask tokens, as transformers' fill-mask pipeline
 * tells it: for each prompt a line of JSON, a list of {score, token, token_str, sequence}, best first; a list
 * of such lists where the prompt has several masks. */
#ifndef PLAIT_CLI_FILL_MASK_H
#define PLAIT_CLI_FILL_MASK_H

#include "ckpt/hf.h"
#include "cli/generate_text.h"

struct fill_mask {
    const struct model *model;
    const struct tokenizer *tokenizer;
    const struct prompts *prompts;
    int64_t top_k;
    const struct world *world;
    struct mesh mesh;   /* ranks share the layers */
    double memory;      /* bytes that may be taken */
    const char *output; /* NULL: stdout */
};
int fill_mask_run(const struct fill_mask *f);

#endif
