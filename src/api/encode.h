/* encode -- many texts to ids of one length or of their own, as `plait tokenizer encode` and
 * plait_tokenizer_encode_batch are told to. */
#ifndef PLAIT_API_ENCODE_H
#define PLAIT_API_ENCODE_H

#include "base/options.h"
#include "tok/tok.h"

struct encode_values {
    bool special, types;
    int truncation, padding, truncation_side, padding_side;
    int64_t max_length, multiple;
};
extern const struct option_part encode_parts[];

/* count texts into count encodings, zeroed by the caller. lengths: how many ids of each are no padding; may
 * be NULL. left: these stand at the end. */
struct encode_result {
    struct encoding *list;
    size_t *lengths;
    bool left;
};
int encode_texts(const struct encode_values *given, const struct tokenizer *t, const struct tok_input *texts,
                 size_t count, struct encode_result *out);

#endif
