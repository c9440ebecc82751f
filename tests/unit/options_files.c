/* Options files, what is written for run.json and read again, and the text of --help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options_sample.h"

#include <cmocka.h>

static int parse_json(struct fixture *f, const char *text)
{
    return options_parse_json(&f->o, "args.json", text, strlen(text));
}

static void json_files_are_read(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    assert_int_equal(
        parse_json(
            &f, "// comment\n{\"max-steps\": 9, \"learning_rate\": 1e-3, \"shuffle\": false,\n"
                "\"output_dir\": \"\\u00e9\", \"train_file\": [\"a\", 2], \"seed\": null, // x\n"
                "\"layers\": [], \"dtype\": \"bfloat16\", \"fp16\": false, \"device\": null,\n"
                "\"warmup_ratio\": \"0.5\", \"tensor_parallel_size\": \"max\", \"details\": {\"a\": [1]},\n"
                "\"fsdp\": [ ], \"report_to\": [\"x\", {}]}"),
        OK);
    assert_true(f.s.steps == 9 && f.s.rate == 1e-3 && !f.s.shuffle && f.s.dtype == 1 && f.s.ratio == .5);
    assert_true(f.s.tp == OPTION_WORD(1) && f.s.files.count == 2 && f.s.layers.count == 0);
    assert_string_equal(f.s.dir, "\xC3\xA9");
    assert_string_equal(f.s.files.items[1], "2");
    assert_string_equal(f.s.device, "cpu");
    assert_string_equal(f.s.details, "{\"a\": [1]}");
    assert_true(options_given(&f.o, "max_steps") && !options_given(&f.o, "seed"));
    /* the command line wins, lists included */
    assert_int_equal(parse(&f, "--max_steps 4 --data_files z --workdir w --shuffle"), OK);
    assert_true(f.s.steps == 4 && f.s.files.count == 1 && f.s.shuffle && f.s.rate == 1e-3);
    assert_string_equal(f.s.dir, "w");
    options_release(&f.o);
}

static void json_mistakes_are_named(void **state)
{
    static const struct refusal cases[] = {
        { "{\"max_step\": 1}", "args.json:1:2: $.max_step: unknown option (did you mean --max_steps?)" },
        { "{\"max_steps\\u0000\": 1}",
          "args.json:1:2: $[\"max_steps\\x00\"]: unknown option (did you mean --max_steps?)" },
        { "{\n \"max_steps\": 1.5}",
          "args.json:2:15: $.max_steps: no integer (found \"1.5\", expected an integer from 1 to 1000000)" },
        { "{\"max_steps\": [1]}",
          "args.json:1:15: $.max_steps: wrong type (found an array, expected an integer from 1 to 1000000)" },
        { "{\"output_dir\": {}}",
          "args.json:1:16: $.output_dir: wrong type (found an object, expected a value)" },
        { "{\"train_file\": [[1]]}",
          "args.json:1:17: $.train_file[0]: no value for a list (expected a string or a number)" },
        { "{\"output_dir\": \"a\\u0000b\"}",
          "args.json:1:16: $.output_dir: a zero byte in an option's value" },
        { "{\"output_dir\": \"a\", \"workdir\": \"b\"}",
          "args.json:1:32: $.workdir: another name of output_dir, which has another value "
          "(found \"b\" after \"a\")" },
        { "{\"fsdp\": {\"x\": 1}}", "args.json:1:10: $.fsdp: is not there, --zero_stage 3 does the same" },
        { "{\"fp16\": true}", "args.json:1:10: $.fp16: float16 is not offered, take --dtype bfloat16" },
    };
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(&f);
        assert_int_equal(parse_json(&f, cases[i].line), ERR_USAGE);
        assert_string_equal(error_message(), cases[i].message);
        options_release(&f.o);
    }
    begin(&f);
    assert_int_equal(parse_json(&f, "{\"max_steps\": 1,}"), ERR_DATA);
    assert_int_equal(f.s.steps, 100);
    options_release(&f.o);
}

static void files_on_the_command_line(void **state)
{
    static const char text[] = "{\"max_steps\": 11, \"seed\": 5, \"train_file\": [\"a\", \"b\"]}";
    char path[] = "/tmp/plait_options_XXXXXX.json", line[200];
    struct fixture f;
    (void)state;
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0 && write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1);
    close(fd);
    for (int form = 0; form < 3; form++) {
        static const char *const before[] = { "--seed 6 --shuffle ", "", "--seed=6 --args-file=" };
        static const char *const after[] = { "", " --seed 6", "" };
        snprintf(line, sizeof(line), "%s%s%s", before[form], path, after[form]);
        begin(&f);
        assert_int_equal(parse(&f, line), OK);
        assert_true(f.s.steps == 11 && f.s.free_int == 6 && f.s.files.count == 2);
        options_release(&f.o);
    }
    unlink(path);
    begin(&f);
    assert_int_equal(parse(&f, line), ERR_OPEN);
    assert_non_null(strstr(error_message(), path));
    options_release(&f.o);
}

static void write_json(const struct fixture *f, struct str *out, bool nested)
{
    struct json_writer w;
    str_clear(out);
    json_writer_init(&w, out, 2);
    json_write_object_begin(&w);
    if (nested) {
        json_write_key(&w, "version");
        json_write_int(&w, 1);
        json_write_key(&w, "options");
        json_write_object_begin(&w);
    }
    options_write_json(&f->o, &w);
    if (nested)
        json_write_object_end(&w);
    json_write_object_end(&w);
}

static void what_is_written_reads_back(void **state)
{
    static const char *const lines[] = {
        "",
        "--no_shuffle --seed -9223372036854775808 --learning_rate 0.30000000000000004 --train_file a b=\"c "
        "--output_dir "
        "\xC3\xA9\\ --bf16 --tensor_parallel_size max --layers x --warmup_ratio 1e-300 --max_steps 1000000",
        "--tensor_parallel_size 3 --output_dir= --seed 0 --lr_scheduler_type constant",
    };
    struct fixture a, b;
    struct str first, second;
    (void)state;
    str_init(&first);
    str_init(&second);
    for (size_t i = 0; i < 6; i++) {
        begin(&a);
        assert_int_equal(parse(&a, lines[i / 2]), OK);
        write_json(&a, &first, i % 2);
        begin(&b);
        assert_int_equal(parse_json(&b, first.data), OK);
        write_json(&b, &second, i % 2);
        assert_string_equal(first.data, second.data);
        assert_true(a.s.rate == b.s.rate && a.s.free_int == b.s.free_int && a.s.tp == b.s.tp);
        assert_true(a.s.dtype == b.s.dtype && a.s.files.count == b.s.files.count &&
                    a.s.shuffle == b.s.shuffle);
        /* in run.json's form defaults are not taken for something that was given */
        assert_true(options_given(&b.o, "lr_scheduler_type") == (i % 2 == 0 || i / 2 == 2));
        assert_false(options_given(&b.o, "warmup_ratio") != options_given(&a.o, "warmup_ratio"));
        options_release(&a.o);
        options_release(&b.o);
    }
    str_release(&first);
    str_release(&second);
}

static const char help_start[] =
    "usage: plait train [--NAME VALUE ...] [FILE.json]\n"
    "\n"
    "Training\n"
    "  --shuffle                         take samples in a random order (default true; --no_shuffle)\n"
    "  --do_eval                         evaluate (default false)\n"
    "  --max_steps N                     optimizer steps (from 1 to 1000000; default 100)\n"
    "  --tensor_parallel_size N|auto|max\n"
    "                                    ranks a layer is cut over (of at least 1; default auto)\n"
    "  --seed N                          any number\n";

static void help_shows_the_tables(void **state)
{
    struct fixture f;
    struct str out;
    (void)state;
    str_init(&out);
    begin(&f);
    options_print_help(&f.o, &out);
    options_release(&f.o);
    assert_true(str_starts_with(out.data, help_start));
    assert_non_null(
        strstr(out.data, "  --output_dir TEXT                 where results go (also --workdir)\n"));
    assert_non_null(
        strstr(out.data, "  --dtype float32|bfloat16          computation (--bf16 = bfloat16)\n"));
    assert_non_null(strstr(
        out.data, "learning-rate schedule (one of linear, cosine,\n"
                  "                                    cosine_with_restarts, constant; default linear; also\n"
                  "                                    --lr_schedule_type)\n"));
    assert_non_null(strstr(out.data, "\nRefused\n  --fsdp                            is not there"));
    size_t column = 0;
    for (const char *p = out.data; *p; p++) {
        column = *p == '\n' ? 0 : column + 1;
        assert_true(column <= 100);
    }
    str_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_files_are_read),       cmocka_unit_test(json_mistakes_are_named),
        cmocka_unit_test(files_on_the_command_line), cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(help_shows_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
