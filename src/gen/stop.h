/* stop -- stop strings: a sequence ends with the token that completes one of them, as transformers'
 * StopStringCriteria has it: the string may begin in any earlier token, the prompt's too, and must end in the
 * last one, which may go on after it. */
#ifndef PLAIT_GEN_STOP_H
#define PLAIT_GEN_STOP_H

#include "tok/tok.h"

struct stop_strings {
    const struct tokenizer *tokenizer;
    char *const *texts;
    size_t count;
};

bool stop_matches(const struct stop_strings *s, const int32_t *ids, int64_t length);

#endif
