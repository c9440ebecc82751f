/* Training from samples in memory: steps that are left out, stopping and going on, batches cut up in every
 * way, a loss of the caller's own, frozen parameters. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "lib/scratch.h"
#include "lib/trial.h"

/* ---- what is not finite ---- */

/* A model whose embedding of POISON is NaN. */
static char *poisoned_model(void **state)
{
    static const char *const names[] = { "config.json", "model.safetensors" };
    char *directory = scratch_path(state, "poisoned");
    struct weights w;
    struct weights_tensor *t;
    float nan_row[32];
    int fd;

    assert_int_equal(directory_create(directory), OK);
    for (int i = 0; i < 2; i++) {
        char *from = path_join(UNTIED, names[i]), *to = path_join(directory, names[i]);
        struct str text;
        str_init(&text);
        assert_int_equal(file_read(from, 0, &text), OK);
        scratch_put(to, text.data, text.length);
        str_release(&text);
        mem_free(from);
        mem_free(to);
    }
    assert_int_equal(weights_open(&w, directory), OK);
    assert_int_equal(weights_get(&w, "transformer.wte.weight", NULL, &t), OK);
    for (int i = 0; i < 32; i++)
        nan_row[i] = NAN;
    fd = open(t->file->path, O_WRONLY);
    assert_int_equal(pwrite(fd, nan_row, sizeof(nan_row), (off_t)(t->info->begin + POISON * sizeof(nan_row))),
                     sizeof(nan_row));
    close(fd);
    weights_close(&w);
    return directory;
}

static void a_step_that_is_left_out_leaves_no_trace(void **state)
{
    static const bool bad[12] = { [3] = true, [4] = true, [9] = true };
    char *model = poisoned_model(state);
    struct trial with, without;
    int good = 0;

    trial_init(&with, state, "with", model);
    trial_init(&without, state, "without", model);
    with.data.bad = without.data.left_out = bad;
    without.job.train.count = 9;
    with.o.lr_scheduler_type = without.o.lr_scheduler_type = 4; /* constant */
    trial_run(&with, ERR_DATA, "has values that are not finite; nothing is saved");
    trial_run(&without, ERR_DATA, "not finite");
    assert_int_equal(with.steps, 12);
    assert_int_equal(without.steps, 9);
    for (int i = 0; i < 12; i++) {
        if (bad[i])
            assert_true(isnan(with.loss[i]));
        else
            assert_true(with.loss[i] == without.loss[good++]);
    }
    assert_false(trial_has(&with, "model.safetensors"));
    assert_false(trial_has(&with, "checkpoint-12"));
    trial_release(&with);
    trial_release(&without);
    mem_free(model);
}

static void ten_in_a_row_end_the_run(void **state)
{
    static const bool bad[12] = { false, true, true, true, true, true, true, true, true, true, true, true };
    char *model = poisoned_model(state);
    struct trial t;

    trial_init(&t, state, "all", model);
    t.data.bad = bad;
    trial_run(&t, ERR_DATA, "was not finite in 10 steps in a row, up to step 11");
    assert_int_equal(t.steps, 11);
    assert_false(trial_has(&t, "checkpoint-11"));
    trial_release(&t);
    mem_free(model);
}

/* ---- stopping and going on ---- */

static void a_run_that_was_stopped_ends_in_the_same_bytes(void **state)
{
    struct trial whole, first, second;
    char *checkpoint;

    trial_init(&whole, state, "whole", UNTIED);
    whole.o.no_shuffle = false;
    trial_run(&whole, OK, NULL);
    trial_init(&first, state, "stopped", UNTIED);
    first.o.no_shuffle = false;
    first.stop_at = 5;
    trial_run(&first, ERR_STOPPED, "stopped at step 5 of 12 (the caller), with ");
    assert_int_equal(first.steps, 5);
    checkpoint = path_join(first.directory, "checkpoint-5");
    trial_init(&second, state, "stopped", checkpoint);
    second.o.no_shuffle = false;
    second.job.checkpoint = checkpoint;
    trial_run(&second, OK, NULL);
    assert_int_equal(second.steps, 7);
    assert_memory_equal(whole.loss, first.loss, 5 * sizeof(double));
    assert_memory_equal(whole.loss + 5, second.loss, 7 * sizeof(double));
    trial_assert_same_file(&whole, &second, "model.safetensors");
    trial_assert_same_file(&whole, &second, "checkpoint-12/optimizer.safetensors");
    mem_free(checkpoint);
    trial_release(&whole);
    trial_release(&first);
    trial_release(&second);
}

static void weights_of_fewer_bits_go_on_as_well(void **state)
{
    struct trial whole, first, second;
    char *checkpoint;

    trial_init(&whole, state, "whole", UNTIED);
    whole.job.save_dtype = "bfloat16";
    trial_run(&whole, OK, NULL);
    trial_init(&first, state, "stopped", UNTIED);
    first.job.save_dtype = "bfloat16";
    first.stop_at = 5;
    trial_run(&first, ERR_STOPPED, NULL);
    checkpoint = path_join(first.directory, "checkpoint-5");
    trial_init(&second, state, "stopped", checkpoint);
    second.job.save_dtype = "bfloat16";
    second.job.checkpoint = checkpoint;
    trial_run(&second, OK, NULL);
    trial_assert_same_file(&whole, &second, "checkpoint-12/master.safetensors");
    trial_assert_same_file(&whole, &second, "model.safetensors");
    mem_free(checkpoint);
    trial_release(&whole);
    trial_release(&first);
    trial_release(&second);
}

static void another_run_is_refused(void **state)
{
    struct train_note notes[] = { { "train_data", "a", NULL } };
    struct trial first, second;
    char *checkpoint;

    trial_init(&first, state, "stopped", UNTIED);
    first.stop_at = 2;
    first.job.notes = notes;
    first.job.note_count = 1;
    trial_run(&first, ERR_STOPPED, NULL);
    checkpoint = path_join(first.directory, "checkpoint-2");
    trial_init(&second, state, "stopped", checkpoint);
    second.job.checkpoint = checkpoint;
    second.job.notes = notes;
    second.job.note_count = 1;
    notes[0].value = "b";
    trial_run(&second, ERR_CONFIG, "train_data is not that of the run (found b, expected a)");
    notes[0].value = "a";
    second.o.seed = 8;
    trial_run(&second, ERR_CONFIG, "--seed is not that of the run (found 8, expected 7)");
    second.o.seed = 7;
    second.o.global_batch = 3;
    trial_run(&second, ERR_CONFIG, "--global_batch_size is not that of the run (found 3, expected 1)");
    second.o.global_batch = 0;
    second.o.per_device_batch = 2; /* the run keeps its own */
    trial_run(&second, OK, NULL);
    assert_int_equal(second.steps, 10);
    mem_free(checkpoint);
    trial_release(&first);
    trial_release(&second);
}

/* ---- the same steps, cut up otherwise ---- */

static void assert_near(const struct trial *a, const struct trial *b, double bound)
{
    assert_int_equal(a->steps, b->steps);
    for (int i = 0; i < a->steps; i++)
        if (!(fabs(a->loss[i] - b->loss[i]) <= bound * fabs(b->loss[i])))
            fail_msg("step %d: loss %.9g, expected %.9g", i + 1, a->loss[i], b->loss[i]);
}

static void a_global_batch_is_the_same_however_it_is_cut(void **state)
{
    static const struct {
        int64_t batch, accumulation, global;
        int dp, tp;
    } cuts[] = {
        { 1, 5, 0, 1, 1 }, { 2, 3, 5, 1, 1 }, { 3, 1, 5, 1, 1 },
        { 5, 1, 5, 2, 1 }, { 1, 1, 5, 2, 2 }, { 2, 1, 5, 3, 1 },
    };
    struct trial one, other;

    trial_init(&one, state, "one", UNTIED);
    one.o.per_device_batch = 5;
    one.o.epochs = 2;
    trial_run(&one, OK, NULL);
    assert_int_equal(one.steps, 6);
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        trial_init(&other, state, "other", UNTIED);
        other.o.per_device_batch = cuts[i].batch;
        other.o.accumulation = cuts[i].accumulation;
        other.o.global_batch = cuts[i].global;
        other.o.epochs = 2;
        other.job.mesh = (struct mesh){ { cuts[i].dp, cuts[i].tp } };
        trial_run(&other, OK, NULL);
        assert_near(&other, &one, 1e-5);
        trial_release(&other);
    }
    trial_release(&one);
}

static void ranks_save_and_evaluate_as_one(void **state)
{
    struct trial one, four;

    trial_init(&one, state, "one", UNTIED);
    trial_init(&four, state, "four", UNTIED);
    one.o.per_device_batch = 4;
    four.job.mesh = (struct mesh){ { 2, 2 } };
    four.o.per_device_batch = 2;
    one.job.eval = four.job.eval = one.job.train;
    one.job.eval_batch = 5;
    four.job.eval_batch = 3;
    trial_run(&one, OK, NULL);
    trial_run(&four, OK, NULL);
    assert_near(&four, &one, 1e-5);
    for (int i = 0; i < 2; i++) {
        const struct trial *t = i ? &four : &one;
        struct evaluation e;
        struct train_job job = t->job;
        struct model saved;
        assert_int_equal(model_open(&saved, &(struct model_options){ .name = t->directory }), OK);
        job.model = &saved;
        assert_int_equal(train_evaluate(&job, &e), OK);
        one.loss[i] = e.loss;
        assert_int_equal(e.samples, 12);
        model_close(&saved);
    }
    assert_true(fabs(one.loss[0] - one.loss[1]) <= 1e-5 * one.loss[0]);
    trial_release(&one);
    trial_release(&four);
}

/* ---- a loss of one's own; parameters that stay ---- */

static struct tensor *doubled(struct builder *b, struct loss_inputs *x, void *context)
{
    struct tensor *loss = head_loss(b, x->out->hidden, &x->out->head, x->label_rows, x->labels);

    return scale(b, loss, *(double *)context);
}

static void a_loss_of_the_callers_own(void **state)
{
    struct trial plain, own;
    double factor = 2;

    trial_init(&plain, state, "plain", UNTIED);
    trial_init(&own, state, "own", UNTIED);
    own.job.loss = doubled;
    own.job.loss_context = &factor;
    trial_run(&plain, OK, NULL);
    trial_run(&own, OK, NULL);
    assert_true(fabs(own.loss[0] - 2 * plain.loss[0]) < 1e-6 * plain.loss[0]);
    assert_true(fabs(own.loss[11] - 2 * plain.loss[11]) < 1e-3 * plain.loss[11]); /* both are clipped alike */
    trial_release(&plain);
    trial_release(&own);
}

static bool is_changed(const struct trial *t, const char *param)
{
    struct weights before, after;
    struct weights_tensor *a, *b;
    bool changed;
    size_t bytes;

    assert_int_equal(weights_open(&before, UNTIED), OK);
    assert_int_equal(weights_open(&after, t->directory), OK);
    assert_int_equal(weights_get(&before, param, NULL, &a), OK);
    assert_int_equal(weights_get(&after, param, NULL, &b), OK);
    bytes = (size_t)a->info->count * sizeof(float);
    float *x = mem_alloc(bytes), *y = mem_alloc(bytes);
    assert_int_equal(weights_read(a, NULL, x, NULL), OK);
    assert_int_equal(weights_read(b, NULL, y, NULL), OK);
    changed = memcmp(x, y, bytes) != 0;
    mem_free(x);
    mem_free(y);
    weights_close(&before);
    weights_close(&after);
    return changed;
}

static void frozen_parameters_stay(void **state)
{
    struct trial t;

    trial_init(&t, state, "frozen", UNTIED);
    t.o.freeze = "wte|h\\.0\\.";
    t.o.weight_decay = 0.1;
    trial_run(&t, OK, NULL);
    assert_false(is_changed(&t, "transformer.wte.weight"));
    assert_false(is_changed(&t, "transformer.h.0.mlp.c_fc.weight"));
    assert_true(is_changed(&t, "transformer.h.1.mlp.c_fc.weight"));
    assert_true(is_changed(&t, "lm_head.weight"));
    t.o.freeze = "no_such_name";
    trial_run(&t, ERR_USAGE, "no parameter's name has a match of \"no_such_name\"");
    t.o.freeze = "(";
    trial_run(&t, ERR_USAGE, "no regular expression");
    t.o.freeze = ".";
    trial_run(&t, ERR_USAGE, "leaves no parameter to train");
    trial_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_step_that_is_left_out_leaves_no_trace, scratch_create,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(ten_in_a_row_end_the_run, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(a_run_that_was_stopped_ends_in_the_same_bytes, scratch_create,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(weights_of_fewer_bits_go_on_as_well, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(another_run_is_refused, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(a_global_batch_is_the_same_however_it_is_cut, scratch_create,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(ranks_save_and_evaluate_as_one, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(a_loss_of_the_callers_own, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(frozen_parameters_stay, scratch_create, scratch_remove),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
