/* tokenizer_train -- see tokenizer_train.c. */
#ifndef PLAIT_API_TOKENIZER_TRAIN_H
#define PLAIT_API_TOKENIZER_TRAIN_H

#include "base/options.h"
#include "tok/tok.h"

struct tokenizer_train_values {
    struct option_list files, specials;
    int type, post_processor;
    int64_t vocab_size, min_frequency, limit_alphabet, max_token_length, max_piece_length, seed_size,
        sub_iterations;
    double shrinking_factor;
    const char *text_column, *json_field, *normalizer, *pre_tokenizer, *roles[TOK_SPECIAL_COUNT];
    bool add_prefix_space, byte_fallback;
};
extern const struct option_part tokenizer_train_parts[];

/* output_dir: what has to be put somewhere meanwhile lies there; NULL: in the usual place for caches.
 * ERR_USAGE, ERR_CONFIG, ERR_OPEN, ERR_DATA. */
int tokenizer_train_run(const struct tokenizer_train_values *v, const char *output_dir,
                        struct tokenizer **out);

#endif
