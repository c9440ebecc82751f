/* Pipelines of in-process ranks: every family, schedule and mesh gives the losses and gradient norms of one
 * rank, with dropout on, also with layers made again and in bfloat16. */
#include "lib/toy_run.h"

static const struct toy_setting settings[] = {
    { { { 1, 1, 2 } }, SCHEDULE_GPIPE, 1 },
    { { { 1, 1, 2 } }, SCHEDULE_1F1B, 1 },
    { { { 1, 1, 2 } }, SCHEDULE_ZERO_BUBBLE, 1 },
    { { { 1, 1, 2 } }, SCHEDULE_INTERLEAVED, 2 },
    { { { 1, 1, 4 } }, SCHEDULE_1F1B, 1 },
    { { { 1, 1, 4 } }, SCHEDULE_ZERO_BUBBLE, 1 },
    { { { 1, 2, 2 } }, SCHEDULE_1F1B, 1 },
    { { { 2, 1, 2 } }, SCHEDULE_ZERO_BUBBLE, 1 },
    { { { 2, 2, 2 } }, SCHEDULE_1F1B, 1 },
    { { { 2, 2, 2 } }, SCHEDULE_INTERLEAVED, 2 },
    { { { 1, 1, 2 } }, SCHEDULE_ZERO_BUBBLE, 1, RECOMPUTE_FULL },
    { { { 1, 2, 2 } }, SCHEDULE_INTERLEAVED, 2, RECOMPUTE_FULL },
    { { { 1, 1, 2 } }, SCHEDULE_1F1B, 1, RECOMPUTE_SELECTIVE, DT_BF16 },
};

static void follows_one_rank(void **state)
{
    struct toy_run one;

    toy_run(*state, &(struct toy_setting){ .schedule = SCHEDULE_1F1B }, &one);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        toy_run_compare(*state, &settings[i], &one);
}

int main(void)
{
    return toy_run_families(follows_one_rank);
}
