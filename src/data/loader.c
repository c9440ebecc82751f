#include "data/loader.h"

#include <math.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/rng.h"

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

int loader_init(struct loader *l, const struct sample_source *source, const struct loader_options *o)
{
    struct loader made = { .source = *source, .options = *o };
    struct loader_options *own = &made.options;
    size_t length = (size_t)source->max_length;
    own->accumulation = o->accumulation ? o->accumulation : 1;
    own->dp = o->dp ? o->dp : 1;
    TRY(check_options(own, source));
    if (own->global_batch == 0)
        own->global_batch = own->microbatch * own->accumulation * own->dp;
    made.scratch.ids = mem_alloc_array(2 * length, sizeof(*made.scratch.ids));
    made.scratch.labels = made.scratch.ids + length;
    *l = made;
    return OK;
}

void loader_release(struct loader *l)
{
    mem_free(l->scratch.ids);
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

void loader_sample_at(const struct loader *l, int64_t step, int64_t position, int64_t *epoch, int64_t *index)
{
    int64_t e = step / loader_steps_per_epoch(l), place = first_of(l, step) + position;
    if (position < 0 || position >= loader_sample_count(l, step))
        BUG("position %lld of step %lld", (long long)position, (long long)step);
    struct rng_key key = { .seed = l->options.seed, .stream = rng_stream("shuffle") + (uint32_t)e };
    *epoch = e;
    *index =
        l->options.no_shuffle ? place : (int64_t)rng_permute(key, (uint64_t)l->source.count, (uint64_t)place);
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

    batch_init(b, &(struct batch_capacity){ .rows = samples * l->source.max_length, .sequences = samples });
}

static int check_tokens(const struct loader *l, int64_t index, const char *what, const int32_t *values,
                        bool labels)
{
    int64_t limit = l->options.vocab_size ? l->options.vocab_size : INT32_MAX;
    for (int64_t i = 0; i < l->scratch.length; i++)
        if (!((values[i] >= 0 && values[i] < limit) || (labels && values[i] == -100)))
            return fail(ERR_DATA, "sample %lld: %s %lld is %d (expected 0 to %lld%s)", (long long)index, what,
                        (long long)i, values[i], (long long)limit - 1, labels ? ", or -100" : "");
    return OK;
}

/* Into l->scratch; *labels: NULL when the ids are. */
static int read_sample(struct loader *l, int64_t index, const int32_t **labels)
{
    struct sample *s = &l->scratch;
    s->length = 0;
    s->labelled = false;
    TRY(l->source.read(l->source.context, index, s));
    if (s->length < 1 || s->length > l->source.max_length)
        return fail(ERR_DATA, "sample %lld has %lld tokens (expected 1 to %lld)", (long long)index,
                    (long long)s->length, (long long)l->source.max_length);
    TRY(check_tokens(l, index, "token", s->ids, false));
    if (s->labelled)
        TRY(check_tokens(l, index, "label", s->labels, true));
    *labels = s->labelled ? s->labels : NULL;
    return OK;
}

int loader_fill(struct loader *l, int64_t step, int64_t m, int64_t r, struct batch *b)
{
    int64_t first, count, epoch, index;
    const int32_t *labels;
    batch_clear(b);
    loader_share(l, step, m, r, &first, &count);
    for (int64_t position = first; position < first + count; position++) {
        loader_sample_at(l, step, position, &epoch, &index);
        TRY(read_sample(l, index, &labels));
        batch_add_causal(b, l->scratch.ids, labels, l->scratch.length, position, l->source.max_length);
    }
    return OK;
}

static int64_t count_labels(const struct sample *s, const int32_t *labels)
{
    int64_t count = 0;
    for (int64_t i = 1; i < s->length; i++)
        count += !labels || labels[i] >= 0;
    return count;
}

int loader_label_count(struct loader *l, int64_t step, int64_t r, int64_t *labels)
{
    int64_t sum = 0, first, count, epoch, index;
    const int32_t *own;
    for (int64_t m = 0; m < l->options.accumulation; m++) {
        loader_share(l, step, m, r, &first, &count);
        for (int64_t position = first; position < first + count; position++) {
            loader_sample_at(l, step, position, &epoch, &index);
            TRY(read_sample(l, index, &own));
            sum += count_labels(&l->scratch, own);
        }
    }
    *labels = sum;
    return OK;
}
