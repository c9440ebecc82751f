/* loader -- which samples a step has, in which order, and who computes them.
 *
 * Steps count from 0, an epoch has ceil(samples / global batch) of them, and the last one of an epoch may
 * have fewer samples. The samples of a step stand at positions 0 .. n - 1 of its global batch. Which sample
 * stands at a position is a function of (seed, epoch, position in the epoch) alone, computed in O(1): a run
 * that is resumed at step k asks for step k, and nothing is replayed. No layout enters; ranks only share out
 * the positions:
 *
 *     microbatch m has positions [m * W, (m + 1) * W) as far as there are any, W = per-rank samples x dp;
 *     of its k samples, dp rank r has the r-th of dp parts, [k r / dp, k (r + 1) / dp).
 *
 * A position is also the sample's number in random streams (struct batch: place).
 *
 * by_length: as Hugging Face's LengthGroupedSampler, the shuffled order is cut into stretches of up to 50
 * batches and each is sorted, the longest first; a stretch is sorted when a sample of it is asked for.
 *
 * An evaluation is one epoch with no_shuffle. Each in-process rank has a loader of its own. */
#ifndef PLAIT_DATA_LOADER_H
#define PLAIT_DATA_LOADER_H

#include "data/batch.h"
#include "data/objective.h"
#include "data/sample.h"

struct loader_options {
    int64_t microbatch;   /* samples of one microbatch of one dp rank, at most */
    int64_t accumulation; /* microbatches of a step; 0: 1 */
    int64_t dp;           /* dp ranks; 0: 1 */
    int64_t global_batch; /* samples of a step, at most the product of the three; 0: the product */
    uint64_t seed;        /* data_seed, or seed where there is none */
    bool no_shuffle;      /* samples in file order */
    bool by_length;       /* samples of like length come together */
    int64_t vocab_size;   /* ids and labels must be below it; 0: not checked */
    int64_t token_types;  /* the same of token types */
    struct objective objective;
};

struct length_group { /* by_length: the stretch of an epoch's order that was sorted last */
    int64_t size, epoch, first;
    struct length_item *items; /* [size] */
};

struct loader {
    struct sample_source source;
    struct loader_options options; /* with the zeros filled in */
    struct example_sizes sizes;
    struct sample sample; /* scratch */
    struct example example;
    struct length_group group;
};

int loader_init(struct loader *l, const struct sample_source *source,
                const struct loader_options *o); /* ERR_CONFIG */
void loader_release(struct loader *l);

/* ---- steps ---- */

int64_t loader_steps_per_epoch(const struct loader *l);
/* max_steps, where it is above 0, else ceil(epochs x steps per epoch). */
int64_t loader_total_steps(const struct loader *l, double epochs, int64_t max_steps);
double loader_epoch(const struct loader *l, int64_t steps); /* epochs that so many steps are */

/* ---- samples of a step ---- */

int64_t loader_sample_count(const struct loader *l, int64_t step);
/* The sample at a position of a step's global batch. */
void loader_sample_at(struct loader *l, int64_t step, int64_t position, int64_t *epoch, int64_t *index);
/* Positions [*first, *first + *count) of microbatch m on dp rank r; count may be 0. */
void loader_share(const struct loader *l, int64_t step, int64_t m, int64_t r, int64_t *first, int64_t *count);

/* ---- batches ---- */

void loader_batch_init(const struct loader *l, struct batch *b); /* of the capacity that loader_fill needs */
/* Makes b microbatch m of a step on dp rank r, as the objective shows samples. What the source says, or
 * ERR_DATA when a sample of it is none. */
int loader_fill(struct loader *l, int64_t step, int64_t m, int64_t r, struct batch *b);

#endif
