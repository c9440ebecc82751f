/* bench_data -- the step that `plait bench` measures: made-up samples, as an objective shows them. */
#ifndef PLAIT_CLI_BENCH_DATA_H
#define PLAIT_CLI_BENCH_DATA_H

#include "data/loader.h"
#include "models/config.h"
#include "plan/plan.h"

struct bench_data_options {
    int objective;           /* enum objective_kind; -1: what the model's class is for */
    int64_t samples, length; /* length: tokens that the model, or its encoder, reads of a full sample */
    int64_t target_length;   /* seq2seq */
    double padding;          /* share of the rows of full samples that these samples do not have */
    uint64_t seed;
};

struct bench_data {
    struct bench_data_options options;
    struct loader loader;
    struct batch batch;
};

/* Makes the config such that it fits the objective; the caller releases whatever comes back. */
int bench_data_init(struct bench_data *d, struct config *config, const struct bench_data_options *o);
void bench_data_release(struct bench_data *d);
/* The capacities of a plan for it. */
void bench_data_capacity(const struct bench_data *d, struct compile_options *o);
int64_t bench_data_rows(const struct bench_data *d); /* rows of the batch, the encoder's too */

#endif
