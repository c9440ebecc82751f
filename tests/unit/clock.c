/* Time goes forward, in seconds. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void seconds_pass(void **state)
{
    double before = clock_seconds();
    struct timespec nap = { .tv_nsec = 30000000 };
    nanosleep(&nap, NULL);
    double passed = clock_seconds() - before;
    assert_true(passed >= 0.03 && passed < 5);
    for (int i = 0; i < 1000; i++) {
        double now = clock_seconds();
        assert_true(now >= before);
        before = now;
    }
}

static void the_calendar_is_the_systems(void **state)
{
    double now = clock_calendar();
    assert_true(now >= (double)time(NULL) - 2 && now <= (double)time(NULL) + 2);
}

/* The age is counted in ticks of 10 ms. */
static void the_process_has_an_age(void **state)
{
    struct timespec nap = { .tv_nsec = 50000000 };
    double age = clock_since_exec();
    assert_true(age >= 0.02 && age < 200);
    nanosleep(&nap, NULL);
    double passed = clock_since_exec() - age;
    assert_true(passed >= 0.04 && passed < 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_pass),
        cmocka_unit_test(the_calendar_is_the_systems),
        cmocka_unit_test(the_process_has_an_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
