/* lr -- learning rates: each schedule of Hugging Face's Trainer, as a function of the optimizer step alone.
 */
#ifndef PLAIT_TRAIN_LR_H
#define PLAIT_TRAIN_LR_H

#include <stdbool.h>
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
    LR_FACTOR,
    LR_PATIENCE,
    LR_THRESHOLD,
    LR_COOLDOWN,
    LR_EPS,
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
/* The rate that step `step` (from 0) uses; of a schedule that evaluations decide, before any of them. */
double lr_at(const struct lr_schedule *s, int64_t step);

/* What reduce_lr_on_plateau has seen, as torch.optim.lr_scheduler.ReduceLROnPlateau. */
struct lr_plateau {
    double factor; /* of lr_at */
    double best;   /* NAN: none yet */
    int64_t bad, cooldown;
};
/* After an evaluation: another metric in, perhaps a lower factor out; nothing with other schedules. */
void lr_plateau_take(const struct lr_schedule *s, struct lr_plateau *p, double metric, bool higher_is_better);
bool lr_needs_evaluation(int kind);
bool lr_has_warmup(int kind);

#endif
