/* The matrix: on every mesh 40 steps of every family, with dropout on, give the losses of one rank to 1e-4.
 * The schedules take turns; pipeline.c has shorter runs of all of them, dist_case.h stored cases. */
#include <stdlib.h>

#include "lib/toy_run.h"

static const struct toy_setting settings[] = {
    { { { 2, 1, 1 } } },
    { { { 1, 2, 1 } } },
    { { { 1, 4, 1 } } },
    { { { 1, 1, 2 } }, SCHEDULE_INTERLEAVED, 2 },
    { { { 1, 2, 2 } }, SCHEDULE_ZERO_BUBBLE, 1 },
    { { { 2, 2, 2 } }, SCHEDULE_1F1B, 1 },
    { { { 2, 1, 2 } }, SCHEDULE_GPIPE, 1, .zero_stage = 1 },
    { { { 2, 1, 1 } }, .zero_stage = 2 },
    { { { 2, 2, 1 } }, .zero_stage = 3 },
};

static void follows_one_rank(void **state)
{
    const int steps = getenv("PLAIT_SANITIZE") ? 4 : TOY_MOST_STEPS;
    struct toy_setting l = { .steps = steps, .microbatches = 2 };
    struct toy_run one;

    toy_run(*state, &l, &one);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        l = settings[i];
        l.steps = steps;
        l.microbatches = 2;
        toy_run_compare(*state, &l, &one);
    }
}

int main(void)
{
    return toy_run_families(follows_one_rank);
}
