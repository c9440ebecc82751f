/* process -- what is done to the scores of the next token before one is chosen: transformers' logits
 * processors, in its order. V scores of one sequence at a time; a forbidden token has -infinity. */
#ifndef PLAIT_GEN_PROCESS_H
#define PLAIT_GEN_PROCESS_H

#include "gen/options.h"

/* The sequence so far: prompt and what was generated. */
struct sequence_view {
    const int32_t *ids;
    int64_t length, prompt;
};

/* Whether all are finite numbers: nothing can be chosen among others. */
bool scores_finite(const float *scores, int64_t count);
/* Scores to log-probabilities. */
void scores_log_softmax(float *scores, int64_t count);
/* Index of the largest, the first of equals. */
int32_t scores_largest(const float *scores, int64_t count);

/* repetition_penalty, no_repeat_ngram_size, min_length, min_new_tokens. scratch: room for as many floats as
 * the sequence is long. */
void scores_process(float *scores, int64_t count, const struct generation_options *o,
                    const struct sequence_view *s, float *scratch);

bool generation_is_eos(const struct generation_options *o, int64_t id);

#endif
