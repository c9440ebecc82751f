/* Option tables: defaults, every form a command line may take, contradictions, notes and refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options_sample.h"

#include <cmocka.h>

static void defaults_are_set(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    assert_int_equal(parse(&f, ""), OK);
    assert_true(f.s.shuffle && !f.s.eval && f.s.steps == 100 && f.s.free_int == 0 &&
                f.s.tp == OPTION_WORD(0));
    assert_true(f.s.rate == 5e-5 && f.s.ratio == 0 && !f.s.dir && f.s.schedule == 0 && f.s.dtype == -1);
    assert_string_equal(f.s.device, "cpu");
    assert_true(f.s.files.count == 0 && f.s.layers.count == 2);
    assert_string_equal(f.s.layers.items[1], "b");
    assert_false(options_given(&f.o, "max_steps"));
    options_release(&f.o);
}

static void every_form_acts(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    assert_int_equal(
        parse(&f, "--no-shuffle --do_eval --max-steps=7 --seed -3 --learning_rate -0 --warmup_ratio .5 "
                  "--output_dir=~x=y --train_file a -1 - b --lr-schedule-type cosine --layers c "
                  "--train_file d --bf16 --tensor_parallel_size 4"),
        OK);
    assert_true(!f.s.shuffle && f.s.eval && f.s.steps == 7 && f.s.free_int == -3 && f.s.rate == 0 &&
                f.s.ratio == .5);
    assert_string_equal(f.s.dir, "~x=y");
    assert_int_equal(f.s.files.count, 5);
    assert_string_equal(f.s.files.items[1], "-1");
    assert_string_equal(f.s.files.items[2], "-");
    assert_string_equal(f.s.files.items[4], "d");
    assert_int_equal(f.s.layers.count, 1);
    assert_true(f.s.schedule == 1 && f.s.dtype == 1 && f.s.tp == 4);
    assert_true(options_given(&f.o, "max_steps") && options_given(&f.o, "workdir") &&
                !options_given(&f.o, "zzz"));
    options_release(&f.o);

    begin(&f);
    assert_int_equal(
        parse(&f, "--shuffle False --do_eval yes --bf16 false --tensor_parallel_size max --output_dir="), OK);
    assert_true(!f.s.shuffle && f.s.eval && f.s.dtype == -1 && f.s.tp == OPTION_WORD(1));
    assert_string_equal(f.s.dir, "");
    assert_false(options_given(&f.o, "dtype"));
    options_release(&f.o);

    begin(&f);
    assert_int_equal(
        parse(&f, "--do_eval=1 --no_shuffle=false --output_dir ~ --max_steps 5 --max_steps 5 --fp16 false"),
        OK);
    assert_true(f.s.shuffle && f.s.eval && f.s.steps == 5);
    assert_string_equal(f.s.dir, "");
    options_release(&f.o);
}

static const struct refusal refusals[] = {
    { "--lerning_rate 1", "--lerning_rate: unknown option (did you mean --learning_rate?)" },
    { "--no-shufle", "--no-shufle: unknown option (did you mean --no_shuffle?)" },
    { "--wrkdir=x", "--wrkdir: unknown option (did you mean --workdir?)" },
    { "--no_do_eval", "--no_do_eval: unknown option (did you mean --do_eval?)" },
    { "-max_steps 1", "-max_steps: unknown option (did you mean --max_steps?)" },
    { "--qqqqqqqqqqqqq", "--qqqqqqqqqqqqq: unknown option" },
    { "--max_steps", "--max_steps: no value (expected an integer from 1 to 1000000)" },
    { "--max_steps --do_eval", "--max_steps: no value (expected an integer from 1 to 1000000)" },
    { "--max_steps ~", "--max_steps: no integer (found \"\", expected an integer from 1 to 1000000)" },
    { "--max_steps 1e3", "--max_steps: no integer (found \"1e3\", expected an integer from 1 to 1000000)" },
    { "--max_steps 1_000",
      "--max_steps: no integer (found \"1_000\", expected an integer from 1 to 1000000)" },
    { "--max_steps +1", "--max_steps: no integer (found \"+1\", expected an integer from 1 to 1000000)" },
    { "--max_steps -", "--max_steps: no integer (found \"-\", expected an integer from 1 to 1000000)" },
    { "--max_steps 0", "--max_steps: out of range (found \"0\", expected an integer from 1 to 1000000)" },
    { "--max_steps 1000001",
      "--max_steps: out of range (found \"1000001\", expected an integer from 1 to 1000000)" },
    { "--seed 9223372036854775808",
      "--seed: out of range (found \"9223372036854775808\", expected an integer)" },
    { "--tensor_parallel_size 0",
      "--tensor_parallel_size: out of range (found \"0\", expected an integer of at least 1, or auto, max)" },
    { "--learning_rate fast",
      "--learning_rate: no number (found \"fast\", expected a number from 0 to 1000000000)" },
    { "--learning_rate nan",
      "--learning_rate: no number (found \"nan\", expected a number from 0 to 1000000000)" },
    { "--learning_rate 0x1",
      "--learning_rate: no number (found \"0x1\", expected a number from 0 to 1000000000)" },
    { "--learning_rate 1e",
      "--learning_rate: no number (found \"1e\", expected a number from 0 to 1000000000)" },
    { "--learning_rate 1e999",
      "--learning_rate: out of range (found \"1e999\", expected a number from 0 to 1000000000)" },
    { "--warmup_ratio 1.01", "--warmup_ratio: out of range (found \"1.01\", expected a number from 0 to 1)" },
    { "--warmup_ratio -.01", "--warmup_ratio: out of range (found \"-.01\", expected a number from 0 to 1)" },
    { "--do_eval=maybe", "--do_eval: neither true nor false (found \"maybe\", expected true or false)" },
    { "--bf16=maybe", "--bf16: a switch (found \"maybe\", expected true, false or nothing)" },
    { "--do_eval maybe",
      "train: a word that belongs to no option (found \"maybe\", expected --NAME VALUE, or one "
      "FILE.json with options)" },
    { "--lr_scheduler_type cosin",
      "--lr_scheduler_type: no value of this option (found \"cosin\", expected one of "
      "linear, cosine, cosine_with_restarts, constant; did you mean cosine?)" },
    { "--train_file", "--train_file: no value (expected a value)" },
    { "--max_steps 5 --max_steps 6",
      "--max_steps: given twice with different values (found \"6\" after \"5\")" },
    { "--shuffle --no_shuffle",
      "--no_shuffle: another name of shuffle, which has another value (found \"false\" after "
      "\"true\")" },
    { "--output_dir a --workdir b",
      "--workdir: another name of output_dir, which has another value (found \"b\" after \"a\")" },
    { "--train_file a b --data_files a",
      "--data_files: another name of train_file, which has another value (found \"a\" after \"a b\")" },
    { "--dtype float32 --bf16",
      "--bf16: another name of dtype, which has another value (found \"bfloat16\" after \"float32\")" },
    { "--fsdp full_shard", "--fsdp: is not there, --zero_stage 3 does the same" },
    { "--fsdp", "--fsdp: is not there, --zero_stage 3 does the same" },
    { "--fp16", "--fp16: float16 is not offered, take --dtype bfloat16" },
    { "--fp16 true", "--fp16: float16 is not offered, take --dtype bfloat16" },
    { "a.json b.json",
      "train: a word that belongs to no option (found \"b.json\", expected --NAME VALUE, or one "
      "FILE.json with options)" },
    { "--args_file", "--args_file: no value (expected a file)" },
    { "--args_file a --args_file b", "--args_file: two files with options (found \"b\" after \"a\")" },
};

static void refusals_say_found_and_expected(void **state)
{
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        begin(&f);
        assert_int_equal(parse(&f, refusals[i].line), ERR_USAGE);
        assert_string_equal(error_message(), refusals[i].message);
        options_release(&f.o);
    }
    begin(&f);
    assert_int_equal(parse(&f, "--output_dir --x"), ERR_USAGE);
    assert_string_equal(error_hint_text(), "a value that starts with a dash is given as --output_dir=VALUE");
    options_release(&f.o);
}

static void two_names_may_agree(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    assert_int_equal(parse(&f,
                           "--output_dir a --workdir a --train_file x y --data_files x y --warmup_ratio 0.10 "
                           "--warmup-ratio 1e-1"),
                     OK);
    assert_string_equal(f.s.dir, "a");
    assert_int_equal(f.s.files.count, 2);
    assert_true(f.s.ratio == .1);
    options_release(&f.o);
}

/* What the action writes to stderr. */
static void capture(struct str *out, struct fixture *f, const char *line)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int saved = dup(2);
    assert_true(saved >= 0 && dup2(fileno(file), 2) == 2);
    int status = parse(f, line);
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    rewind(file);
    for (int c; (c = fgetc(file)) != EOF;)
        str_append_char(out, (char)c);
    fclose(file);
    assert_int_equal(status, OK);
}

static void notes_are_given(void **state)
{
    struct fixture f;
    struct str out;
    (void)state;
    str_init(&out);
    begin(&f);
    capture(&out, &f, "--report_to wandb --disable_tqdm true --max_steps 3");
    assert_string_equal(out.data, "plait: note: --report_to: event files are always written\n"
                                  "plait: note: --disable_tqdm: a bar is drawn on terminals alone\n");
    assert_int_equal(f.s.steps, 3);
    options_release(&f.o);
    str_release(&out);
}

static void words_and_help(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    f.o.takes_words = true;
    assert_int_equal(parse(&f, "merge --max_steps 2 x.json -- --do_eval"), OK);
    assert_int_equal(f.o.positional.count, 3);
    assert_string_equal(f.o.positional.items[1], "x.json");
    assert_string_equal(f.o.positional.items[2], "--do_eval");
    assert_false(f.s.eval);
    options_release(&f.o);
    begin(&f);
    assert_int_equal(parse(&f, "--max_steps 2 --help --zzz"), OK);
    assert_true(f.o.help);
    options_release(&f.o);
}

static void set_acts_as_the_command_line(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    assert_int_equal(options_set(&f.o, "max-steps", "8"), OK);
    assert_int_equal(options_set(&f.o, "do_eval", NULL), OK);
    assert_true(f.s.steps == 8 && f.s.eval && options_given(&f.o, "max_steps"));
    assert_int_equal(options_set(&f.o, "max_stepz", "8"), ERR_USAGE);
    assert_string_equal(error_message(), "max_stepz: unknown option (did you mean --max_steps?)");
    options_release(&f.o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_set),
        cmocka_unit_test(every_form_acts),
        cmocka_unit_test(refusals_say_found_and_expected),
        cmocka_unit_test(two_names_may_agree),
        cmocka_unit_test(notes_are_given),
        cmocka_unit_test(words_and_help),
        cmocka_unit_test(set_acts_as_the_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
