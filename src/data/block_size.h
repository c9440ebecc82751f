/* block_size -- how long a sample is when the user, the tokenizer and the model each have an opinion. */
#ifndef PLAIT_DATA_BLOCK_SIZE_H
#define PLAIT_DATA_BLOCK_SIZE_H

#include <stdint.h>

/* wanted: --block_size, 0 when it was not given; tokenizer: its model_max_length, INT64_MAX for none; model:
 * the positions it has, INT64_MAX for no limit. What does not fit is cut down with Hugging Face's warning.
 * ERR_USAGE for a size below 2: a causal model learns from pairs. */
int block_size_choose(int64_t wanted, int64_t tokenizer, int64_t model, int64_t *block_size);

#endif
