#include "gen/process.h"

#include <math.h>
#include <string.h>

#include "cpu/simd.h"

bool scores_finite(const float *scores, int64_t count)
{
    vec bad = vec_zero();

    for (int64_t i = 0; i < count; i += LANES)
        bad += vec_load_upto(scores + i, count - i) * vec_zero(); /* NaN unless finite */
    return vec_sum(bad) == 0;
}

static float largest(const float *x, int64_t count)
{
    float most = -INFINITY;
    vec all = vec_set(-INFINITY);
    int64_t i = 0;

    for (; i + LANES <= count; i += LANES)
        all = vec_max(vec_load(x + i), all);
    most = vec_largest(all);
    for (; i < count; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

int32_t scores_largest(const float *scores, int64_t count)
{
    float most = largest(scores, count);

    for (int64_t i = 0; i < count; i++)
        if (scores[i] == most)
            return (int32_t)i;
    return 0;
}

/* Sum of exp(x - most). Blocks are summed in fp32, their sums in double. */
static double sum_exp(const float *x, int64_t count, float most)
{
    enum { BLOCK = 64 * LANES };
    double total = 0;

    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t end = first + BLOCK < count ? first + BLOCK : count, i = first;
        vec sum = vec_zero();
        for (; i + LANES <= end; i += LANES)
            sum += vec_exp(vec_load(x + i) - vec_set(most));
        total += vec_sum(sum);
        for (; i < end; i++)
            total += exp((double)x[i] - most);
    }
    return total;
}

void scores_log_softmax(float *scores, int64_t count)
{
    float most = largest(scores, count), rest = (float)log(sum_exp(scores, count, most));

    for (int64_t i = 0; i < count; i++)
        scores[i] = scores[i] - most - rest;
}

bool generation_is_eos(const struct generation_options *o, int64_t id)
{
    for (int i = 0; i < o->eos_count; i++)
        if (o->eos[i] == id)
            return true;
    return false;
}

/* Scores are read before any is changed, so that a token that occurs twice is penalised once (Keskar et al.,
 * "CTRL", 2019, with transformers' sign rule). */
static void penalise(float *scores, float penalty, const struct sequence_view *s, float *read)
{
    for (int64_t i = 0; i < s->length; i++)
        read[i] = scores[s->ids[i]];
    for (int64_t i = 0; i < s->length; i++)
        scores[s->ids[i]] = read[i] < 0 ? read[i] * penalty : read[i] / penalty;
}

/* Forbids every token that would complete an n-gram which occurred before. */
static void forbid_ngrams(float *scores, int64_t n, const struct sequence_view *s)
{
    const int32_t *last = s->ids + s->length + 1 - n; /* n - 1 of them */

    for (int64_t i = 0; i + n <= s->length; i++)
        if (memcmp(s->ids + i, last, (size_t)(n - 1) * sizeof(last[0])) == 0)
            scores[s->ids[i + n - 1]] = -INFINITY;
}

void scores_process(float *scores, int64_t count, const struct generation_options *o,
                    const struct sequence_view *s, float *scratch)
{
    int64_t ngram = o->no_repeat_ngram_size;

    if (o->repetition_penalty != 1)
        penalise(scores, (float)o->repetition_penalty, s, scratch);
    if (ngram > 0 && ngram <= s->length)
        forbid_ngrams(scores, ngram, s);
    if (s->length >= (o->min_new_tokens > 0 ? s->prompt + o->min_new_tokens : o->min_length))
        return;
    for (int i = 0; i < o->eos_count; i++)
        if (o->eos[i] < count)
            scores[o->eos[i]] = -INFINITY;
}
