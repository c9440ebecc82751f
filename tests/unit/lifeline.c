/* Connections between hosts: what the first rank sees of a process that ends, leaves, or does not belong. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "comm/lifeline.h"

enum { NOBODY = -1, SECONDS = 10 };

/* An end that never comes. */
static int never(void)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    return ends[0];
}

static bool is_ready(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 1000 * SECONDS) == 1;
}

enum end { DIES, LEAVES, STAYS };

/* Rank 3 in a process of its own. */
static pid_t start(const struct lifeline_door *door, enum end end)
{
    pid_t child = fork();
    int fd;

    if (child != 0)
        return child;
    fd = lifeline_join(door, 3, never());
    if (fd >= 0 && end == LEAVES)
        lifeline_leave(fd);
    while (fd >= 0 && end == STAYS)
        pause();
    _exit(fd < 0);
}

static int let_in(int listener, const struct lifeline_door *door)
{
    int rank = NOBODY, fd;

    assert_true(is_ready(listener));
    fd = lifeline_accept(listener, door, &rank);
    assert_true(fd >= 0);
    assert_int_equal(rank, 3);
    return fd;
}

static void check_end(enum end end, enum lifeline_state expected)
{
    struct lifeline_door door;
    int listener = lifeline_open(&door), fd, status;
    pid_t child = start(&door, end);

    fd = let_in(listener, &door);
    if (end == STAYS) {
        assert_int_equal(lifeline_look(fd), LIFELINE_HERE);
        kill(child, SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(is_ready(fd));
    assert_int_equal(lifeline_look(fd), expected);
    close(fd);
    close(listener);
}

static void test_dies(void **state)
{
    (void)state;
    check_end(DIES, LIFELINE_CUT);
}

static void test_killed(void **state)
{
    (void)state;
    check_end(STAYS, LIFELINE_CUT);
}

static void test_leaves(void **state)
{
    (void)state;
    check_end(LEAVES, LIFELINE_LEFT);
}

static void test_stranger(void **state)
{
    struct lifeline_door door, other;
    int listener = lifeline_open(&door), rank = NOBODY, status;
    pid_t child;

    (void)state;
    other = door;
    other.token++;
    other.address[1] = 0; /* it tries once */
    child = start(&other, DIES);
    assert_true(is_ready(listener));
    assert_int_equal(lifeline_accept(listener, &door, &rank), -1);
    assert_int_equal(rank, NOBODY);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 1);
    close(listener);
}

static void test_nobody(void **state)
{
    struct lifeline_door door;
    double begin = clock_seconds();

    (void)state;
    close(lifeline_open(&door));
    assert_int_equal(lifeline_join(&door, 3, never()), -1);
    door.port = 0;
    assert_int_equal(lifeline_join(&door, 3, never()), -1);
    assert_true(clock_seconds() - begin < SECONDS);
}

/* Who is told to end does not wait for an answer. */
static void test_told_to_end(void **state)
{
    struct lifeline_door door;
    double begin = clock_seconds();
    int listener = lifeline_open(&door), ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(lifeline_join(&door, 3, ends[0]), -1);
    assert_true(clock_seconds() - begin < 1);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dies),     cmocka_unit_test(test_killed), cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_stranger), cmocka_unit_test(test_nobody), cmocka_unit_test(test_told_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
