/* trial -- a training run on samples in memory, for tests. */
#ifndef PLAIT_TESTS_TRIAL_H
#define PLAIT_TESTS_TRIAL_H

#include "train/train.h"

enum { T = 16, STEPS = 64, POISON = 95 /* a token whose embedding is NaN in the poisoned model */ };

#define UNTIED GOLDEN_DIR "/gpt2/untied"

struct data {
    const bool *bad;      /* [index]: samples with POISON; NULL: none */
    const bool *left_out; /* [index]: samples that are not there; NULL: none */
};

struct trial {
    struct train_options o;
    struct train_job job;
    struct model model;
    struct data data;
    char *directory;
    double loss[STEPS];
    int64_t steps, stop_at; /* stop_at 0: never */
};

/* A step a sample, of 12 samples of 12 to 16 tokens, in a directory of the test's that is made here. */
void trial_init(struct trial *t, void **state, const char *name, const char *model);
void trial_release(struct trial *t);
/* Trains, and fails where it does not end with that status and words (NULL: any). */
void trial_run(struct trial *t, int expected, const char *words);
bool trial_has(const struct trial *t, const char *name);
void trial_assert_same_file(const struct trial *a, const struct trial *b, const char *name);

#endif
