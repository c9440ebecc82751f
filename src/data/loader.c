#include "data/loader.h"

#include <math.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "data/order.h"

static int check_options(const struct loader_options *o, const struct sample_source *source)
{
    int64_t most, rows;
    bool fits = checked_mul(o->microbatch, o->accumulation, &most) && checked_mul(most, o->dp, &most) &&
                checked_mul(o->microbatch, source->max_length, &rows) && rows <= INT32_MAX;
    if (o->microbatch < 1 || o->accumulation < 1 || o->dp < 1 || o->global_batch < 0)
        return fail(ERR_CONFIG,
                    "the batch is %lld samples x %lld microbatches x %lld ranks (expected at least 1 each)",
                    (long long)o->microbatch, (long long)o->accumulation, (long long)o->dp);
    if (!fits)
        return fail(ERR_CONFIG,
                    "a batch of %lld samples of %lld tokens is too large (expected at most %d tokens)",
                    (long long)o->microbatch, (long long)source->max_length, INT32_MAX);
    if (o->global_batch > most)
        return fail(ERR_CONFIG,
                    "global_batch_size is %lld (expected at most %lld: %lld a device x %lld x %lld ranks)",
                    (long long)o->global_batch, (long long)most, (long long)o->microbatch,
                    (long long)o->accumulation, (long long)o->dp);
    if (source->count < 1 || source->max_length < 1)
        return fail(ERR_DATA,
                    "the data has %lld samples of at most %lld tokens (expected at least 1 of each)",
                    (long long)source->count, (long long)source->max_length);
    return OK;
}

static bool can_group(const struct loader *l)
{
    return l->options.by_length && l->source.length && !l->options.no_shuffle;
}

int loader_init(struct loader *l, const struct sample_source *source, const struct loader_options *o)
{
    struct loader made = { .source = *source, .options = *o };
    struct loader_options *own = &made.options;
    own->accumulation = o->accumulation ? o->accumulation : 1;
    own->dp = o->dp ? o->dp : 1;
    TRY(check_options(own, source));
    if (own->global_batch == 0)
        own->global_batch = own->microbatch * own->accumulation * own->dp;
    objective_sizes(&own->objective, source, &made.sizes);
    sample_init(&made.sample, source);
    example_init(&made.example, &made.sizes);
    if (can_group(&made))
        length_group_init(&made.group, source->count, own->global_batch);
    *l = made;
    return OK;
}

void loader_release(struct loader *l)
{
    sample_release(&l->sample);
    example_release(&l->example);
    length_group_release(&l->group);
    *l = (struct loader){ 0 };
}

/* ---- steps ---- */

int64_t loader_steps_per_epoch(const struct loader *l)
{
    return (l->source.count - 1) / l->options.global_batch + 1;
}

int64_t loader_total_steps(const struct loader *l, double epochs, int64_t max_steps)
{
    double steps = ceil(epochs * (double)loader_steps_per_epoch(l));
    if (max_steps > 0)
        return max_steps;
    if (!(steps > 0))
        return 0;
    return steps < 0x1p62 ? (int64_t)steps : (int64_t)1 << 62;
}

double loader_epoch(const struct loader *l, int64_t steps)
{
    int64_t per_epoch = loader_steps_per_epoch(l);
    return (double)(steps / per_epoch) + (double)(steps % per_epoch) / (double)per_epoch;
}

/* ---- samples ---- */

/* Place of the step's first sample in its epoch. */
static int64_t first_of(const struct loader *l, int64_t step)
{
    if (step < 0)
        BUG("step %lld", (long long)step);
    return step % loader_steps_per_epoch(l) * l->options.global_batch;
}

int64_t loader_sample_count(const struct loader *l, int64_t step)
{
    int64_t left = l->source.count - first_of(l, step);
    return left < l->options.global_batch ? left : l->options.global_batch;
}

void loader_sample_at(struct loader *l, int64_t step, int64_t position, int64_t *epoch, int64_t *index)
{
    int64_t e = step / loader_steps_per_epoch(l), place = first_of(l, step) + position;
    if (position < 0 || position >= loader_sample_count(l, step))
        BUG("position %lld of step %lld", (long long)position, (long long)step);
    const struct order order = { .key = { .seed = l->options.seed,
                                          .stream = rng_stream("shuffle") + (uint32_t)e },
                                 .source = &l->source,
                                 .epoch = e };
    *epoch = e;
    if (l->options.no_shuffle)
        *index = place;
    else
        *index = can_group(l) ? length_group_at(&l->group, &order, place) : order_at(&order, place);
}

void loader_share(const struct loader *l, int64_t step, int64_t m, int64_t r, int64_t *first, int64_t *count)
{
    const struct loader_options *o = &l->options;
    int64_t wide = o->microbatch * o->dp, all = loader_sample_count(l, step);
    int64_t begin = m * wide < all ? m * wide : all;
    int64_t samples = all - begin < wide ? all - begin : wide;
    if (m < 0 || m >= o->accumulation || r < 0 || r >= o->dp)
        BUG("microbatch %lld of dp rank %lld", (long long)m, (long long)r);
    int64_t from = samples / o->dp * r + samples % o->dp * r / o->dp;
    int64_t to = samples / o->dp * (r + 1) + samples % o->dp * (r + 1) / o->dp;
    *first = begin + from;
    *count = to - from;
}

/* ---- batches ---- */

void loader_batch_init(const struct loader *l, struct batch *b)
{
    int64_t samples = l->options.microbatch;

    batch_init(b,
               &(struct batch_capacity){ .rows = samples * l->sizes.rows,
                                         .encoder_rows = samples * l->sizes.encoder_rows,
                                         .sequences = samples * l->sizes.sequences,
                                         .target_width = l->source.of_labels || !l->options.objective.classes
                                                             ? l->source.number_count
                                                             : 0 });
}

/* The sample at a position of a step, as the objective shows it, into l->example. */
static int read_example(struct loader *l, int64_t step, int64_t position)
{
    const struct objective *o = &l->options.objective;
    struct example_key key = { .seed = l->options.seed };
    loader_sample_at(l, step, position, &key.epoch, &key.index);
    const struct sample_limits limits = { l->options.vocab_size, l->options.token_types };
    TRY(sample_read(&l->source, key.index, &limits, &l->sample));
    return objective_apply(o, &key, &l->sample, &l->example);
}

int loader_fill(struct loader *l, int64_t step, int64_t m, int64_t r, struct batch *b)
{
    int64_t first, count;
    batch_clear(b);
    loader_share(l, step, m, r, &first, &count);
    for (int64_t position = first; position < first + count; position++) {
        TRY(read_example(l, step, position));
        example_pack(&l->options.objective, &l->example, b, position * l->sizes.places,
                     position * l->sizes.encoder_places);
    }
    return OK;
}
