/* beam -- beam search of one prompt: which continuations run on, which are finished, when it ends. The rules
 * are those of transformers 5 (GenerationMixin._beam_search), for one prompt alone:
 *
 *   - candidates are the best max(2, 1 + number of end tokens) * num_beams of all beams' continuations by the
 * sum of log-probabilities; at the first step only beam 0 counts (the others start at -1e9);
 *   - a candidate ends with an end token, a stop string or at the length limit. Only the first num_beams may
 * be finished; their score is sum / (number of new tokens, the end token included)^length_penalty;
 *   - the best num_beams candidates that do not end run on;
 *   - the search is over when all beams are finished and nothing better can come (early_stopping says how
 * that is judged), or when every candidate ends. */
#ifndef PLAIT_GEN_BEAM_H
#define PLAIT_GEN_BEAM_H

#include "gen/options.h"
#include "gen/stop.h"
#include "gen/top.h"

struct beam { /* a finished continuation */
    bool finished;
    float score;
    int32_t *ids;
    int64_t length;
};

struct beam_search {
    const struct generation_options *options;
    const struct stop_strings *stop;
    int64_t prompt, limit;     /* tokens */
    int count;                 /* beams */
    int64_t length;            /* of every running sequence */
    int32_t **running, **next; /* [count][limit] */
    float *scores;             /* [count] of running, best first */
    int32_t *parents;          /* [count] the beam that each running one continued in the last step */
    struct beam *finished;     /* [count] best first */
    bool done;
};

int64_t beam_candidates(const struct generation_options *o); /* how many are looked at in each step */

/* The prompt's ids are copied. options and stop outlive it. */
void beam_search_init(struct beam_search *s, const struct generation_options *o,
                      const struct stop_strings *stop, const int32_t *prompt, int64_t length, int64_t limit);
void beam_search_release(struct beam_search *s);

/* One step. candidates: best first, at least one; `score` is the sum of log-probabilities with the new token.
 */
void beam_search_step(struct beam_search *s, const struct top *candidates, int64_t count);

#endif
