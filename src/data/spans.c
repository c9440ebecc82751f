/* Random spans of noise, as the T5 authors' random_spans_noise_mask: so many tokens of noise in so many
 * spans, each way to cut them being as likely as any other. Text and noise take turns, text first. Where a
 * span was, the encoder reads one sentinel; the decoder writes that sentinel and the span. Sentinels count
 * down from the end of the vocabulary. */
#include <math.h>

#include "base/rng.h"
#include "data/objective.h"

struct cut { /* how much of a sample is noise */
    int64_t noise, text, spans;
};

/* Rounds halves to even, as Python does. */
static int64_t nearest(double x)
{
    return (int64_t)nearbyint(x);
}

static int64_t clamped(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

static struct cut cut_of(int64_t length, double noise, double mean_span)
{
    struct cut c = { .noise = nearest((double)length * noise) };
    int64_t less;

    if (length < 2)
        return (struct cut){ .text = length };
    c.noise = clamped(c.noise, 1, length - 1);
    c.text = length - c.noise;
    less = c.noise < c.text ? c.noise : c.text;
    c.spans = clamped(nearest((double)less / mean_span), 1, less);
    return c;
}

void span_sizes(int64_t length, double noise, double mean_span, struct example_sizes *sizes)
{
    struct cut c = cut_of(length, noise, mean_span);

    *sizes = (struct example_sizes){ .rows = c.noise + c.spans + 1,
                                     .encoder_rows = c.text + c.spans + 1,
                                     .sequences = 1 };
}

/* compute_input_and_target_lengths: the most tokens whose inputs are no longer than inputs_length. */
void span_lengths(int64_t inputs_length, double noise, double mean_span, int64_t *tokens_length,
                  int64_t *targets_length)
{
    int64_t tokens = inputs_length, words, spans;

    for (;; tokens++) {
        words = nearest((double)(tokens + 1) * noise);
        spans = nearest((double)words / mean_span);
        if (tokens + 1 - words + spans + 1 > inputs_length)
            break;
    }
    words = nearest((double)tokens * noise);
    spans = nearest((double)words / mean_span);
    *targets_length = words + spans + 1;
    *tokens_length = tokens;
    if (noise == 0.5 && words > tokens - words) { /* as there: targets no longer than inputs */
        --*tokens_length;
        --*targets_length;
    }
}

struct cutting {
    struct rng_key key;
    uint64_t sample, place; /* of the next random number */
    int64_t items, cuts;    /* left: places to cut at, and cuts */
};

/* The next piece's length: items in a row up to the next of the cuts, which fall on any places alike. */
static int64_t next_piece(struct cutting *c)
{
    int64_t length = 1;

    for (; c->items > 0; c->items--, length++) {
        bool cut = (int64_t)rng_below(c->key, c->sample, c->place++, (uint64_t)c->items) < c->cuts;
        if (!cut)
            continue;
        c->items--;
        c->cuts--;
        break;
    }
    return length;
}

static struct cutting begin_cutting(const struct example_key *key, const char *what, int64_t items,
                                    int64_t spans)
{
    return (struct cutting){ .key = { .seed = key->seed, .stream = rng_stream(what) + (uint32_t)key->epoch },
                             .sample = (uint64_t)key->index,
                             .items = items - 1,
                             .cuts = spans - 1 };
}

void span_corrupt(const struct objective *o, const struct example_key *key, const struct sample *s,
                  struct example *e)
{
    struct cut c = cut_of(s->length, o->noise, o->mean_span);
    struct cutting text = begin_cutting(key, "text spans", c.text, c.spans);
    struct cutting noise = begin_cutting(key, "noise spans", c.noise, c.spans);
    int64_t at = 0;

    e->length = e->encoder_length = 0;
    for (int64_t i = 0; i < c.spans; i++) {
        int32_t sentinel = (int32_t)(o->vocab - 1 - i);
        for (int64_t n = next_piece(&text); n > 0; n--)
            e->encoder_ids[e->encoder_length++] = s->ids[at++];
        e->encoder_ids[e->encoder_length++] = sentinel;
        e->labels[e->length++] = sentinel;
        for (int64_t n = next_piece(&noise); n > 0; n--)
            e->labels[e->length++] = s->ids[at++];
    }
    while (at < s->length)
        e->encoder_ids[e->encoder_length++] = s->ids[at++];
    e->encoder_ids[e->encoder_length++] = o->eos;
    e->labels[e->length++] = o->eos;
}
