#include "cli/bench_data.h"

#include <inttypes.h>
#include <math.h>

#include "base/err.h"
#include "base/rng.h"
#include "train/objective_choice.h"

static const double noise = 0.15, mean_span = 3;

/* Lengths lie evenly around their mean, from nothing to full where half of the rows are padding. */
static int64_t length_at(const struct bench_data *d, int64_t index, int64_t full)
{
    double share = d->options.padding, spread = fmin(share, 1 - share);
    double at = (double)(2 * index + 1) / (double)d->options.samples - 1; /* -1 .. 1 */
    int64_t length = (int64_t)nearbyint((double)full * (1 - share + spread * at));

    return length < 2 && full >= 2 ? 2 : length < 1 ? 1 : length; /* spans need two */
}

static int read_sample(void *context, int64_t index, struct sample *s)
{
    const struct bench_data *d = context;
    const struct sample_source *source = &d->loader.source;
    uint64_t vocab = (uint64_t)d->loader.options.objective.vocab;
    struct rng_key key = { .seed = d->options.seed, .stream = rng_stream("bench") };
    struct rng_key target = { .seed = d->options.seed, .stream = rng_stream("bench target") };

    s->length = length_at(d, index, source->max_length);
    for (int64_t i = 0; i < s->length; i++)
        s->ids[i] = (int32_t)rng_below(key, (uint64_t)index, (uint64_t)i, vocab);
    if (d->loader.options.objective.kind == OBJECTIVE_CLASSIFICATION)
        s->ids[s->length - 1] = d->loader.options.objective.eos;
    s->target_length = source->max_target > 0 ? length_at(d, index, source->max_target) : 0;
    for (int64_t i = 0; i < s->target_length; i++)
        s->target[i] = (int32_t)rng_below(target, (uint64_t)index, (uint64_t)i, vocab);
    if (d->loader.options.objective.classes > 0)
        s->class = (int32_t)(index % d->loader.options.objective.classes);
    for (int64_t i = 0; i < source->number_count; i++)
        s->numbers[i] = (float)((index + i) % 2);
    return OK;
}

static bool takes_numbers(const struct config *c)
{
    return c->problem == PROBLEM_REGRESSION || c->problem == PROBLEM_MULTI_LABEL ||
           (c->problem == PROBLEM_UNSAID && c->labels == 1);
}

static struct objective objective_of(enum objective_kind kind, const struct config *c)
{
    int64_t vocab = c->sizes.vocab;
    bool classes = kind == OBJECTIVE_CLASSIFICATION && !takes_numbers(c);

    return (struct objective){ .kind = kind,
                               .encoder = c->def->encoder,
                               .causal = c->def->causal,
                               .classes = classes ? c->labels : 0,
                               .vocab = vocab,
                               .noise = noise,
                               .mean_span = mean_span,
                               .mask = (int32_t)(vocab - 1),
                               .eos = c->eos_count > 0 ? (int32_t)c->eos[0] : 0,
                               .decoder_start = c->decoder_start == INT_NONE ? 0 : (int32_t)c->decoder_start,
                               .first_position = c->sizes.first_position };
}

static int set_sizes(const struct bench_data_options *o, struct objective *objective,
                     struct sample_source *source)
{
    int64_t targets;

    source->max_length = o->length;
    if (objective->kind == OBJECTIVE_SEQ2SEQ) {
        source->max_target = o->target_length;
        objective->rows = objective->encoder ? o->target_length : o->length + o->target_length;
    }
    if (objective->kind == OBJECTIVE_SPAN_CORRUPTION) {
        span_lengths(o->length, noise, mean_span, &source->max_length, &targets);
        if (source->max_length < 2)
            return fail(ERR_USAGE, "--seq: %" PRId64 " tokens cannot be cut into spans", o->length);
    }
    return OK;
}

int bench_data_init(struct bench_data *d, struct config *config, const struct bench_data_options *o)
{
    enum objective_kind kind =
        o->objective >= 0 ? (enum objective_kind)o->objective : objective_usual(config);
    struct loader_options options = { .microbatch = o->samples, .no_shuffle = true };
    struct sample_source source = { .count = o->samples, .read = read_sample, .context = d };
    int64_t limit;

    *d = (struct bench_data){ .options = *o };
    TRY(objective_set_head(kind, config));
    options.objective = objective_of(kind, config);
    if (kind == OBJECTIVE_CLASSIFICATION && takes_numbers(config))
        source.number_count = config->labels;
    TRY(set_sizes(o, &options.objective, &source));
    TRY(loader_init(&d->loader, &source, &options));
    limit = model_position_limit(&config->sizes);
    if (d->loader.sizes.rows > limit || d->loader.sizes.encoder_rows > limit)
        return fail(ERR_USAGE,
                    "--seq: longer than the model's positions (found %" PRId64 ", expected at most %" PRId64
                    ")",
                    d->loader.sizes.rows, limit);
    loader_batch_init(&d->loader, &d->batch);
    return loader_fill(&d->loader, 0, 0, 0, &d->batch);
}

void bench_data_release(struct bench_data *d)
{
    loader_release(&d->loader);
    batch_release(&d->batch);
}

void bench_data_capacity(const struct bench_data *d, struct compile_options *o)
{
    const struct example_sizes *sizes = &d->loader.sizes;
    int64_t samples = d->options.samples;

    o->rows = samples * sizes->rows;
    o->encoder_rows = samples * sizes->encoder_rows;
    o->sequences = samples * sizes->sequences;
    o->labels = d->loader.options.objective.kind == OBJECTIVE_CLASSIFICATION ? samples : o->rows;
}

int64_t bench_data_rows(const struct bench_data *d)
{
    return d->batch.rows.count + d->batch.encoder.count;
}
