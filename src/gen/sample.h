/* sample -- temperature, top-k and top-p, in transformers' order, and draws among what they leave. Draws are
 * functions of (seed, sample, step, token) and of nothing else: neither of the batch nor of threads. */
#ifndef PLAIT_GEN_SAMPLE_H
#define PLAIT_GEN_SAMPLE_H

#include "gen/options.h"

/* The tokens left, by id. */
struct choice {
    int32_t *ids;
    float *scores; /* divided by the temperature */
    int64_t count;
};
void choice_init(struct choice *c, int64_t vocab); /* room for all tokens */
void choice_release(struct choice *c);

/* keep: at least so many tokens are left (transformers: 1, and one more than end tokens in beam search).
 * scores are overwritten. */
void choice_filter(struct choice *c, float *scores, int64_t vocab, const struct generation_options *o,
                   int64_t keep);

/* Sum of exp(score - *most) over the choice. */
double choice_total(const struct choice *c, float *most);

struct draw { /* which draw: the number of the sequence among all that are generated, and of the new token */
    uint64_t seed, sample, step;
};
int32_t choice_draw(const struct choice *c, const struct draw *d); /* c->count > 0 */

/* Noise to add to a log-probability: the k largest sums are k draws without replacement, in their order
 * (Gumbel top-k: Kool, van Hoof and Welling, ICML 2019). */
double gumbel(const struct draw *d, int beam, int32_t token);

#endif
