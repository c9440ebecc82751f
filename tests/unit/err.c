/* The record of errors: the first failure wins, each thread has its own, text is made safe. */
#include "base/err.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail

#include "lib/child.h"

static int set_up(void **state)
{
    error_clear();
    return 0;
}

static void first_failure_wins(void **state)
{
    assert_string_equal(error_message(), "");
    assert_int_equal(error_status(), OK);
    assert_int_equal(fail(ERR_DATA, "%s: %s (found %d, expected %d)", "f", "bad", 1, 2), ERR_DATA);
    assert_int_equal(fail(ERR_IO, "second"), ERR_IO);
    assert_string_equal(error_message(), "f: bad (found 1, expected 2)");
    assert_int_equal(error_status(), ERR_DATA);
    error_clear();
    assert_string_equal(error_message(), "");
    assert_int_equal(error_status(), OK);
    fail(ERR_IO, "third");
    assert_string_equal(error_message(), "third");
}

static void hint_belongs_to_a_failure(void **state)
{
    error_hint("too early");
    assert_string_equal(error_hint_text(), "");
    fail(ERR_USAGE, "wrong");
    assert_string_equal(error_hint_text(), "");
    error_hint("try --%s", "help");
    assert_string_equal(error_hint_text(), "try --help");
    error_clear();
    assert_string_equal(error_hint_text(), "");
    fail(ERR_USAGE, "wrong again");
    assert_string_equal(error_hint_text(), "");
}

static void prefix_goes_before(void **state)
{
    assert_int_equal(error_prefix("nothing failed: "), OK);
    assert_string_equal(error_message(), "");
    fail(ERR_DATA, "tensor \"w\": too short");
    assert_int_equal(error_prefix("%s: ", "m.safetensors"), ERR_DATA);
    assert_string_equal(error_message(), "m.safetensors: tensor \"w\": too short");
    error_prefix("%s <- ", error_message());
    assert_string_equal(error_message(),
                        "m.safetensors: tensor \"w\": too short <- m.safetensors: tensor \"w\": too short");
}

static void text_is_made_safe(void **state)
{
    fail(ERR_DATA, "a\nb\x1b[31m\x7f\tc \xc3\xa9");
    assert_string_equal(error_message(), "a?b?[31m??c \xc3\xa9");
    error_hint("x\ry");
    assert_string_equal(error_hint_text(), "x?y");
}

static void long_text_is_cut(void **state)
{
    char text[9001];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    fail(ERR_DATA, "%s", text);
    assert_int_equal(strlen(error_message()), 4095);
    assert_string_equal(error_message() + 4092, "...");
    error_prefix("%s", "prefix: ");
    assert_int_equal(strlen(error_message()), 4095);
    assert_memory_equal(error_message(), "prefix: aaa", 11);
    assert_string_equal(error_message() + 4092, "...");
    error_prefix("%s", text);
    assert_int_equal(strlen(error_message()), 4095);
    error_hint("%s", text);
    assert_int_equal(strlen(error_hint_text()), 1023);
}

static void *other_thread(void *arg)
{
    bool *good = arg;
    *good = error_status() == OK && error_message()[0] == '\0';
    fail(ERR_IO, "in the thread");
    *good = *good && strcmp(error_message(), "in the thread") == 0;
    return NULL;
}

static void threads_have_their_own(void **state)
{
    pthread_t thread;
    bool good = false;
    fail(ERR_DATA, "outside");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &good), 0);
    pthread_join(thread, NULL);
    assert_true(good);
    assert_string_equal(error_message(), "outside");
    assert_int_equal(error_status(), ERR_DATA);
}

static void exit_codes_are_those_of_sysexits(void **state)
{
    static const struct {
        int status, code;
    } rows[] = {
        { OK, 0 },          { ERR_USAGE, 64 },  { ERR_DATA, 65 }, { ERR_OPEN, 66 },    { ERR_INTERNAL, 70 },
        { ERR_SYSTEM, 71 }, { ERR_CREATE, 73 }, { ERR_IO, 74 },   { ERR_STOPPED, 75 }, { ERR_CONFIG, 78 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(error_exit_code(rows[i].status), rows[i].code);
}

static int inner(int status)
{
    TRY(status ? fail(status, "inner") : OK);
    return 7;
}

static void try_returns_early(void **state)
{
    assert_int_equal(inner(OK), 7);
    assert_int_equal(inner(ERR_CONFIG), ERR_CONFIG);
}

static int make_bug(void)
{
    BUG("%s has %d legs", "the cat", 5);
}

static int fail_with_ok(void)
{
    return fail(OK, "no failure");
}

static int end_without_memory(void)
{
    out_of_memory(12345);
}

static void bugs_abort(void **state)
{
    static struct child c;
    child_run(&c, make_bug);
    assert_int_equal(c.signal, SIGABRT);
    assert_non_null(strstr(c.text, "plait: BUG: "));
    assert_non_null(strstr(c.text, "err.c:"));
    assert_non_null(strstr(c.text, ": the cat has 5 legs\n"));
    child_run(&c, fail_with_ok);
    assert_int_equal(c.signal, SIGABRT);
}

static void no_memory_ends_with_71(void **state)
{
    static struct child c;
    child_run(&c, end_without_memory);
    assert_int_equal(c.exit_code, 71);
    assert_string_equal(c.text, "plait: error: out of memory (12345 more bytes were needed)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(first_failure_wins, set_up),
        cmocka_unit_test_setup(hint_belongs_to_a_failure, set_up),
        cmocka_unit_test_setup(prefix_goes_before, set_up),
        cmocka_unit_test_setup(text_is_made_safe, set_up),
        cmocka_unit_test_setup(long_text_is_cut, set_up),
        cmocka_unit_test_setup(threads_have_their_own, set_up),
        cmocka_unit_test_setup(exit_codes_are_those_of_sysexits, set_up),
        cmocka_unit_test_setup(try_returns_early, set_up),
        cmocka_unit_test_setup(bugs_abort, set_up),
        cmocka_unit_test_setup(no_memory_ends_with_71, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
