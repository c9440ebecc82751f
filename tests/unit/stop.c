/* Requests to stop, each in a process of its own. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "lib/child.h"
#include "train/stop.h"

static void doze(double seconds)
{
    struct timespec t = { .tv_sec = (time_t)seconds,
                          .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

    nanosleep(&t, NULL);
}

/* Waits up to five seconds for a reason and prints it. */
static int wait_and_tell(struct stop *s)
{
    const char *why = stop_reason(s);

    for (int i = 0; i < 500 && !why; i++) {
        doze(0.01);
        why = stop_reason(s);
    }
    printf("%s\n", why ? why : "nothing");
    fflush(stdout);
    return why ? 0 : 1;
}

static int be_signalled(void)
{
    struct stop *s;

    if (stop_create(&s) != OK || stop_reason(s) != NULL)
        return 2;
    kill(getpid(), SIGUSR1);
    if (wait_and_tell(s) != 0)
        return 3;
    kill(getpid(), SIGUSR1); /* an echo: goes unheard */
    doze(0.2);
    stop_free(s);
    return 0;
}

static int be_signalled_twice(void)
{
    struct stop *s;

    if (stop_create(&s) != OK)
        return 2;
    kill(getpid(), SIGTERM);
    wait_and_tell(s);
    doze(1.4);
    kill(getpid(), SIGINT);
    doze(3);
    return 4; /* not reached */
}

static int ignore_hangups(void)
{
    struct stop *s;

    signal(SIGHUP, SIG_IGN); /* as nohup does */
    if (stop_create(&s) != OK)
        return 2;
    kill(getpid(), SIGHUP);
    doze(0.2);
    if (stop_reason(s) != NULL)
        return 3;
    stop_free(s);
    return 0;
}

static int run_out_of_time(void)
{
    struct stop *s;

    if (stop_create(&s) != OK)
        return 2;
    stop_set_limit(s, 1000);
    if (stop_reason(s) != NULL)
        return 3;
    stop_set_reserve(s, 2000); /* a checkpoint would take longer than there is time */
    wait_and_tell(s);
    stop_set_reserve(s, 0);
    stop_set_limit(s, 0);
    if (stop_reason(s) != NULL)
        return 4;
    stop_free(s);
    return 0;
}

static int end_with_the_job(void)
{
    struct stop *s;
    char end[32];

    snprintf(end, sizeof(end), "%.0f", clock_calendar() + 30);
    setenv("SLURM_JOB_END_TIME", end, 1);
    if (stop_create(&s) != OK)
        return 2;
    wait_and_tell(s);
    stop_free(s);
    snprintf(end, sizeof(end), "%.0f", clock_calendar() + 3600);
    setenv("SLURM_JOB_END_TIME", end, 1);
    if (stop_create(&s) != OK || stop_reason(s) != NULL)
        return 3;
    stop_free(s);
    return 0;
}

static void a_signal_is_a_request(void **state)
{
    struct child c;

    (void)state;
    child_run(&c, be_signalled);
    assert_string_equal(c.text, "SIGUSR1\n");
    assert_int_equal(c.exit_code, 0);
}

static void a_second_one_is_an_order(void **state)
{
    struct child c;

    (void)state;
    child_run(&c, be_signalled_twice);
    assert_string_equal(c.text, "SIGTERM\n");
    assert_int_equal(c.signal, SIGINT);
}

static void what_is_ignored_stays_so(void **state)
{
    struct child c;

    (void)state;
    child_run(&c, ignore_hangups);
    assert_int_equal(c.exit_code, 0);
}

static void time_is_limited(void **state)
{
    struct child c;

    (void)state;
    child_run(&c, run_out_of_time);
    assert_string_equal(c.text, "max_runtime is over\n");
    assert_int_equal(c.exit_code, 0);
    child_run(&c, end_with_the_job);
    assert_string_equal(c.text, "the Slurm job is about to end\n");
    assert_int_equal(c.exit_code, 0);
}

static void nobody_asks(void **state)
{
    (void)state;
    assert_null(stop_reason(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_is_a_request),
        cmocka_unit_test(a_second_one_is_an_order),
        cmocka_unit_test(what_is_ignored_stays_so),
        cmocka_unit_test(time_is_limited),
        cmocka_unit_test(nobody_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
