/* inspect_data -- what a training run would be made of: plait inspect --train_file. */
#ifndef PLAIT_CLI_INSPECT_DATA_H
#define PLAIT_CLI_INSPECT_DATA_H

#include "base/options.h"
#include "base/str.h"

struct data_view {
    struct option_list files;
    const char *tokenizer, *text_column, *json_field;
    int64_t block_size, samples;
    bool line_by_line, append_eos;
};

extern const struct option data_view_options[];

/* Documents, tokens, bytes per token, unknown tokens, samples, what is cut off, and the first samples token
 * by token. cache_dir, revision: see find_tokenizer. */
int inspect_data(const struct data_view *v, const char *cache_dir, const char *revision, struct str *out);

#endif
