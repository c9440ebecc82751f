/* lr -- learning rates: each schedule of Hugging Face's Trainer, as a function of the optimizer step alone.
 */
#ifndef PLAIT_TRAIN_LR_H
#define PLAIT_TRAIN_LR_H

#include <stdint.h>

/* Names of the schedules, NULL-terminated; the first is the default. */
extern const char *const lr_names[];

/* What lr_scheduler_kwargs may hold; each schedule takes some of them. */
enum lr_argument {
    LR_NUM_CYCLES,
    LR_POWER,
    LR_END,
    LR_MIN,
    LR_MIN_RATE,
    LR_WARMUP_RATE,
    LR_DECAY_STEPS,
    LR_STABLE_STEPS,
    LR_TIMESCALE,
    LR_MIN_RATIO,
    LR_WARMUP_TYPE,
    LR_DECAY_TYPE,
    LR_ARGUMENTS
};

struct lr_schedule {
    int kind; /* index into lr_names */
    double peak;
    int64_t warmup, total;         /* optimizer steps */
    double argument[LR_ARGUMENTS]; /* NAN: not given */
};

/* kind, peak, warmup and total have been set; arguments: a JSON object, or NULL. ERR_USAGE: an argument that
 * the schedule does not take, lacks or cannot use. */
int lr_init(struct lr_schedule *s, const char *arguments);
/* The rate that step `step` (from 0) uses. */
double lr_at(const struct lr_schedule *s, int64_t step);

#endif
