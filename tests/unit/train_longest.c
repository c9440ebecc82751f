/* Training with room for the longest sample there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"
#include "lib/scratch.h"
#include "lib/trial.h"

static void keep_bytes(const char *name, const struct plan *p, void *context)
{
    if (strcmp(name, "memory") == 0)
        *(int64_t *)context = plan_bytes(p);
}

/* Masks are a function of a row's place, not of how long samples might be. */
static void lengths_that_are_known_take_less_room(void **state)
{
    static const struct mesh meshes[] = { { { 1, 1 } }, { { 2, 1 } }, { { 1, 2 } }, { { 1, 1, 2 } } };
    const char *dropout = "resid_pdrop=0.1,embd_pdrop=0.1,attn_pdrop=0.1";

    for (size_t i = 0; i < sizeof(meshes) / sizeof(meshes[0]); i++) {
        struct trial trials[2];
        int64_t bytes[2] = { 0 };
        for (int known = 0; known < 2; known++) {
            struct trial *t = &trials[known];
            trial_init(t, state, known ? "known" : "unknown", UNTIED);
            model_close(&t->model);
            assert_int_equal(
                model_open(&t->model, &(struct model_options){ .name = UNTIED, .overrides = dropout }), OK);
            t->o.per_device_batch = 4;
            t->job.mesh = meshes[i];
            t->job.train.max_length = 2 * T;
            t->job.eval = t->job.train;
            t->job.eval_batch = 3;
            t->job.train.longest = known ? T : 0;
            t->job.eval.longest = known ? T : 0;
            t->job.stage = keep_bytes;
            t->job.stage_context = &bytes[known];
            trial_run(t, OK, NULL);
        }
        assert_memory_equal(trials[0].loss, trials[1].loss, (size_t)trials[0].steps * sizeof(double));
        trial_assert_same_file(&trials[0], &trials[1], "model.safetensors");
        assert_true(bytes[1] < bytes[0]);
        trial_release(&trials[0]);
        trial_release(&trials[1]);
    }
}

static double predicted(void **state, int64_t tokens, enum objective_kind kind)
{
    struct str told;
    struct trial t;
    double seconds = 0;

    str_init(&told);
    trial_init(&t, state, "told", UNTIED);
    t.o.dry_run = true;
    t.job.plan = &told;
    t.job.wish = (struct layout_wish){ .world = 1 };
    t.job.train.tokens = tokens;
    t.job.objective = (struct objective){ .kind = kind, .noise = 0.15 };
    trial_run(&t, OK, NULL);
    assert_int_equal(sscanf(strstr(told.data, "step: "), "step: %lg", &seconds), 1);
    trial_release(&t);
    str_release(&told);
    return seconds;
}

/* A step takes as long as what there is in it, not as what there is room for. */
static void times_are_those_of_the_average(void **state)
{
    double full = predicted(state, 0, OBJECTIVE_CLM), half = predicted(state, 12 * T / 2, OBJECTIVE_CLM);

    assert_true(half > 0.4 * full && half < 0.95 * full);
    assert_true(predicted(state, 12 * T, OBJECTIVE_CLM) == full);
    assert_true(predicted(state, 12 * T, OBJECTIVE_MLM) < full);
}

/* A source that breaks its word. */
static void longer_samples_than_said_are_refused(void **state)
{
    struct trial t;

    trial_init(&t, state, "broken", UNTIED);
    t.job.train.longest = T - 1;
    trial_run(&t, ERR_DATA, "has 16 tokens (expected 1 to 15)");
    trial_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lengths_that_are_known_take_less_room, scratch_create,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(times_are_those_of_the_average, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(longer_samples_than_said_are_refused, scratch_create, scratch_remove),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
