#include "train/assumed.h"

#include "base/err.h"
#include "base/rng.h"

enum { SAMPLES = 1 << 20, LABEL_EVERY = 7 };

static int read_sample(void *context, int64_t index, struct sample *sample)
{
    const struct assumed_text *t = context;
    const struct rng_key key = { .seed = 1 };

    sample->length = t->length;
    sample->labelled = t->labelled;
    for (int64_t i = 0; i < sample->length; i++) {
        sample->ids[i] = (int32_t)rng_below(key, (uint64_t)index, (uint64_t)i, (uint32_t)t->vocab);
        if (sample->labelled)
            sample->labels[i] = i % LABEL_EVERY == 0 ? sample->ids[i] : -100;
    }
    return OK;
}

void assumed_source(struct assumed_text *t, const struct objective *o, int64_t vocab, int64_t block_size,
                    struct sample_source *out)
{
    int64_t targets;

    *t =
        (struct assumed_text){ vocab, block_size, o->kind == OBJECTIVE_MLM }; /* there may be no mask token */
    if (o->kind == OBJECTIVE_SPAN_CORRUPTION)
        span_lengths(block_size, o->noise, o->mean_span, &t->length, &targets);
    *out = (struct sample_source){
        .count = SAMPLES, .max_length = t->length, .read = read_sample, .context = t
    };
}
