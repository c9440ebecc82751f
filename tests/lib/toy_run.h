/* toy_run -- a few steps of a toy model of each family on in-process ranks, with dropout on and gradients of
 * several microbatches: however the work is laid out, losses and gradient norms are those of one rank. */
#ifndef PLAIT_TESTS_TOY_RUN_H
#define PLAIT_TESTS_TOY_RUN_H

#include "plan/plan.h"

enum { TOY_STEPS = 6, TOY_MOST_STEPS = 40, TOY_FAMILIES = 6 };

struct toy_family {
    const char *preset, *overrides;
    bool encoder, causal;
};
extern const struct toy_family toy_families[TOY_FAMILIES];

struct toy_setting {
    struct mesh mesh;
    enum schedule_kind schedule;
    int chunks;
    enum recompute recompute;
    enum dtype dtype;
    int zero_stage;
    enum optimizer optimizer;
    int samples;      /* of a microbatch; 0: 2 */
    int steps;        /* 0: TOY_STEPS */
    int microbatches; /* of a step; 0: 4 */
};

struct toy_run {
    double loss[TOY_MOST_STEPS], norm[TOY_MOST_STEPS];
};

void toy_run(const struct toy_family *family, const struct toy_setting *l, struct toy_run *out);
/* Runs and compares with a run of one rank that has as many steps at least. */
void toy_run_compare(const struct toy_family *family, const struct toy_setting *l, const struct toy_run *one);
/* A cmocka program: the test is run for each family, as *state. */
int toy_run_families(void (*test)(void **state));

#endif
