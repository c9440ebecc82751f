/* Options of a run that contradict each other, and what follows from others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"
#include "train/options.h"

struct values {
    struct input_options input;
    struct train_options train;
};

static const struct option *const parts[] = { train_run_options,       train_batch_options,
                                              train_optimizer_options, train_log_options,
                                              train_save_options,      input_sample_options,
                                              input_data_options,      input_train_options };
enum { PARTS = sizeof(parts) / sizeof(parts[0]), TRAIN_PARTS = 5, MOST_WORDS = 40 };

/* Reads a line of options after --output_dir d --train_file t.txt and checks them. */
static int check(const char *line, struct values *v)
{
    struct option_table tables[PARTS + 3] = { { 0 } };
    char text[1024], *argv[MOST_WORDS], *save;
    struct options o;
    int argc = 0, status;

    for (int i = 0; i < PARTS; i++)
        tables[i] =
            (struct option_table){ "", parts[i], i < TRAIN_PARTS ? (void *)&v->train : (void *)&v->input };
    tables[PARTS] = (struct option_table){ "", train_other_options, NULL };
    tables[PARTS + 1] = (struct option_table){ "", input_other_options, NULL };
    snprintf(text, sizeof(text), "--output_dir d --train_file t.txt %s", line);
    for (char *word = strtok_r(text, " ", &save); word && argc < MOST_WORDS;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    error_clear();
    options_init(&o, "train", tables);
    status = options_parse(&o, argc, argv);
    if (status == OK)
        status = train_options_check(&v->train, &v->input, &o);
    options_release(&o);
    return status;
}

static void accept(const char *line, struct values *v)
{
    if (check(line, v) != OK)
        fail_msg("%s: %s", line, error_message());
}

static void refuse(const char *line, const char *words)
{
    struct values v;

    if (check(line, &v) == OK)
        fail_msg("%s: accepted", line);
    if (!strstr(error_message(), words))
        fail_msg("%s: \"%s\" lacks \"%s\"", line, error_message(), words);
}

static void what_follows_from_options(void **state)
{
    struct values v;

    (void)state;
    accept("", &v);
    assert_true(v.train.do_train);
    assert_false(v.train.do_eval);
    assert_int_equal(v.train.eval_strategy, STRATEGY_NO);
    accept("--do_eval", &v);
    assert_false(v.train.do_train);
    accept("--do_eval --do_train", &v);
    assert_true(v.train.do_train);
    accept("--eval_steps 30", &v);
    assert_true(v.train.do_train && v.train.do_eval);
    assert_int_equal(v.train.eval_strategy, STRATEGY_STEPS);
    accept("--evaluation-strategy epoch --logging_steps 7", &v);
    assert_int_equal(v.train.eval_strategy, STRATEGY_EPOCH);
    assert_true(v.train.eval_steps == 7);
    accept("--do_train false", &v);
    assert_true(v.train.do_train);
    accept("--train_sampling_strategy sequential", &v);
    assert_true(v.train.no_shuffle && !v.train.group_by_length);
    accept("--train_sampling_strategy group_by_length", &v);
    assert_true(v.train.group_by_length && !v.train.no_shuffle);
    accept("--save_total_limit -1", &v);
    accept("--resume_from_checkpoint false", &v);
    assert_null(v.train.resume);
    accept("--save_steps 0.5 --warmup_ratio 0.06 --lr_scheduler_type cosine --optim adamw_hf", &v);
    accept("--load_best_model_at_end --eval_strategy steps --eval_steps 5 --save_steps 10", &v);
    accept("--save_strategy best --eval_steps 5 --metric_for_best_model eval_loss", &v);
    accept(
        "--fp16_full_eval --label_smoothing_factor 0 --group_by_length false --fsdp= --report_to tensorboard",
        &v);
}

static void what_contradicts_itself(void **state)
{
    struct values v;

    (void)state;
    refuse("--overwrite_output_dir --resume_from_checkpoint auto", "--overwrite_output_dir would remove");
    refuse("--logging_steps 0", "logging strategy steps requires non-zero --logging_steps");
    refuse("--logging_steps 0 --logging_strategy no --eval_strategy steps", "either non-zero --eval_steps");
    accept("--logging_steps 0 --logging_strategy epoch", &v);
    refuse("--logging_steps 2.5", "--logging_steps must be an integer if bigger than 1: 2.5");
    refuse("--load_best_model_at_end", "requires the save and eval strategy to match");
    refuse("--load_best_model_at_end --eval_strategy steps --eval_steps 4 --save_steps 10",
           "found 10, which is not a round multiple of 4");
    refuse("--save_strategy best", "needs an --eval_strategy");
    refuse("--metric_for_best_model accurate", "no such metric");
    accept("--load_best_model_at_end --eval_strategy steps --eval_steps 5 --save_steps 10 "
           "--metric_for_best_model accuracy --greater_is_better true",
           &v);
    refuse("--report_to wandb", "nothing is sent elsewhere");
    refuse("--report_to tensorbord", "no such place");
    refuse("--lr_scheduler_type reduce_lr_on_plateau", "requires an eval strategy");
    accept("--lr_scheduler_type reduce_lr_on_plateau --eval_steps 5", &v);
    refuse("--label_smoothing_factor 1.1", "--label_smoothing_factor: out of range");
    refuse("--train_sampling_strategy sequential --group_by_length", "say otherwise");
    refuse("--train_sampling_strategy random --no_shuffle", "say otherwise");
    refuse("--deepspeed x.json", "--zero_stage");
    refuse("--objective mlmm", "--objective");
    refuse("--warmup_step 3", "did you mean --warmup_steps?");
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        double seconds;
    } good[] = { { "90", 90 },     { "1.5h", 5400 },    { "30m", 1800 },    { "2d", 172800 },
                 { "10s", 10 },    { "1:30:00", 5400 }, { "12:30", 45000 }, { "1-12:00:00", 129600 },
                 { "0:00:05", 5 }, { "20min", 1200 } };
    static const char *const bad[] = { "",   "0",       "-5",     "abc",   "5x", "1:",
                                       ":5", "1:2:3:4", "x-1:00", "1e400", "5 m" };
    double seconds;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (parse_duration("max_runtime", good[i].text, &seconds) != OK || seconds != good[i].seconds)
            fail_msg("\"%s\" is %g, expected %g", good[i].text, seconds, good[i].seconds);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        error_clear();
        if (parse_duration("max_runtime", bad[i], &seconds) != ERR_USAGE)
            fail_msg("\"%s\" is taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_from_options),
        cmocka_unit_test(what_contradicts_itself),
        cmocka_unit_test(durations),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
