#include "gen/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "cpu/simd.h"
#include "gen/top.h"

void choice_init(struct choice *c, int64_t vocab)
{
    c->ids = mem_alloc_array((size_t)vocab, sizeof(c->ids[0]));
    c->scores = mem_alloc_array((size_t)vocab + LANES, sizeof(c->scores[0]));
    c->count = 0;
}

void choice_release(struct choice *c)
{
    mem_free(c->ids);
    mem_free(c->scores);
    *c = (struct choice){ 0 };
}

static void divide(float *scores, int64_t vocab, float temperature)
{
    for (int64_t i = 0; i < vocab; i++)
        scores[i] /= temperature;
}

/* All that reach `least` and are not forbidden. */
static void take_from(struct choice *c, const float *scores, int64_t vocab, float least)
{
    c->count = 0;
    for (int64_t i = 0; i < vocab; i++) {
        c->ids[c->count] = (int32_t)i;
        c->scores[c->count] = scores[i];
        c->count += scores[i] >= least && scores[i] > -INFINITY;
    }
}

double choice_total(const struct choice *c, float *most)
{
    double total = 0;

    *most = -INFINITY;
    for (int64_t i = 0; i < c->count; i++)
        *most = c->scores[i] > *most ? c->scores[i] : *most;
    for (int64_t i = 0; i < c->count; i += LANES) { /* there is room for a whole vector at the end */
        vec e = vec_exp(vec_load(c->scores + i) - vec_set(*most));
        total += vec_sum(vec_first(e, c->count - i));
    }
    return total;
}

/* Better first: the higher score, then the lower id. */
static bool better(const struct choice *c, int64_t a, int64_t b)
{
    return c->scores[a] > c->scores[b] || (c->scores[a] == c->scores[b] && c->ids[a] < c->ids[b]);
}

static void swap(struct choice *c, int64_t a, int64_t b)
{
    float score = c->scores[a];
    int32_t id = c->ids[a];

    c->scores[a] = c->scores[b];
    c->ids[a] = c->ids[b];
    c->scores[b] = score;
    c->ids[b] = id;
}

/* The heap is entries 0..end-1 with the best one first. */
static void sink(struct choice *c, int64_t at, int64_t end)
{
    for (int64_t child = 2 * at + 1; child < end; at = child, child = 2 * at + 1) {
        if (child + 1 < end && better(c, child + 1, child))
            child++;
        if (!better(c, child, at))
            return;
        swap(c, at, child);
    }
}

struct entry {
    int32_t id;
    float score;
};

static int by_id(const void *a, const void *b)
{
    int32_t x = ((const struct entry *)a)->id, y = ((const struct entry *)b)->id;

    return (x > y) - (x < y);
}

/* Entries first..count-1 become the choice, ordered by id. */
static void keep_from(struct choice *c, int64_t first)
{
    int64_t n = c->count - first;
    struct entry *kept = mem_alloc_array((size_t)n + 1, sizeof(kept[0]));

    for (int64_t i = 0; i < n; i++)
        kept[i] = (struct entry){ c->ids[first + i], c->scores[first + i] };
    qsort(kept, (size_t)n, sizeof(kept[0]), by_id);
    for (int64_t i = 0; i < n; i++) {
        c->ids[i] = kept[i].id;
        c->scores[i] = kept[i].score;
    }
    c->count = n;
    mem_free(kept);
}

/* The most probable tokens whose probabilities together reach p; what is taken off the heap collects at its
 * end, so that only the tokens kept are ever sorted (Holtzman et al., "The curious case of neural text
 * degeneration", 2020). */
static void take_top_p(struct choice *c, double p, int64_t keep)
{
    float most;
    double total = choice_total(c, &most), sum = 0;
    int64_t end = c->count;

    for (int64_t i = end / 2; i-- > 0;)
        sink(c, i, end);
    while (end > 0 && (c->count - end < keep || sum < p)) {
        sum += exp((double)c->scores[0] - most) / total;
        swap(c, 0, --end);
        sink(c, 0, end);
    }
    keep_from(c, end);
}

void choice_filter(struct choice *c, float *scores, int64_t vocab, const struct generation_options *o,
                   int64_t keep)
{
    float least = -INFINITY;
    int64_t k = o->top_k > 0 && o->top_k < keep ? keep : o->top_k;

    if (o->temperature != 1)
        divide(scores, vocab, (float)o->temperature);
    if (k > 0 && k < vocab)
        least = top_value(scores, vocab, k);
    take_from(c, scores, vocab, least);
    if (o->top_p < 1)
        take_top_p(c, o->top_p, keep);
}

static struct rng_key key_of(const struct draw *d, const char *stream)
{
    return (struct rng_key){ .seed = d->seed, .stream = rng_stream(stream) };
}

int32_t choice_draw(const struct choice *c, const struct draw *d)
{
    float most;
    double total = choice_total(c, &most), sum = 0;
    double at = rng_uniform(key_of(d, "generate"), d->step, d->sample) * total;
    int64_t i = 0, last = 0;

    for (; i < c->count && sum <= at; i++) {
        double e = exp((double)c->scores[i] - most);
        last = e > 0 ? i : last;
        sum += e;
    }
    return c->ids[last];
}

double gumbel(const struct draw *d, int beam, int32_t token)
{
    double u = rng_uniform(key_of(d, "generate.beams"), d->step << 16 | (uint64_t)beam,
                           d->sample << 32 | (uint32_t)token);

    return -log(-log(u > 0 ? u : 0x1p-54));
}
