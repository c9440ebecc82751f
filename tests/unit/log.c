/* What reaches stderr, seen from outside: every case runs in a child process. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/child.h"

static struct child c;

static int say_all(void)
{
    warn("w %d", 1);
    note("n %s", "x");
    inform("i%%");
    debug("d");
    return 0;
}

static int say_at_error(void)
{
    log_set_level(LOG_ERROR);
    return say_all();
}

static int say_at_warning(void)
{
    log_set_level(LOG_WARNING);
    return say_all() + log_enabled(LOG_INFO) + !log_enabled(LOG_WARNING);
}

static int say_at_debug(void)
{
    log_set_level(LOG_DEBUG);
    return say_all();
}

static void levels_decide(void **state)
{
    child_run(&c, say_all);
    assert_string_equal(c.text, "plait: warning: w 1\nplait: note: n x\ni%\n");
    assert_int_equal(c.exit_code, 0);
    child_run(&c, say_at_error);
    assert_string_equal(c.text, "");
    child_run(&c, say_at_warning);
    assert_string_equal(c.text, "plait: warning: w 1\n");
    assert_int_equal(c.exit_code, 0);
    child_run(&c, say_at_debug);
    assert_string_equal(c.text, "plait: warning: w 1\nplait: note: n x\ni%\nd\n");
}

static int note_twice(void)
{
    log_set_level(LOG_WARNING);
    note("a");
    log_set_level(LOG_INFO);
    note("a");
    note("b");
    note("a");
    warn("a");
    warn("a");
    return 0;
}

static void notes_come_once(void **state)
{
    child_run(&c, note_twice);
    assert_string_equal(c.text, "plait: note: a\nplait: note: b\nplait: warning: a\nplait: warning: a\n");
}

static int note_more_than_fit(void)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 1200; i++)
            note("number %d", i);
    return 0;
}

static void no_note_is_lost(void **state)
{
    child_run(&c, note_more_than_fit);
    int lines = 0;
    for (const char *p = c.text; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 1200 + 1200 - 1024);
    for (int i = 0; i < 1200; i++) {
        char line[40];
        snprintf(line, sizeof(line), "plait: note: number %d\n", i);
        assert_non_null(strstr(c.text, line));
    }
}

static void *chatter(void *arg)
{
    for (int i = 0; i < 100; i++) {
        note("shared %d", i);
        inform("%s", (const char *)arg);
    }
    return NULL;
}

static int chatter_in_threads(void)
{
    static char lines[4][61];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        memset(lines[i], 'A' + i, 60);
        if (pthread_create(&threads[i], NULL, chatter, lines[i]) != 0)
            return 1;
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void threads_do_not_mix_lines(void **state)
{
    child_run(&c, chatter_in_threads);
    assert_int_equal(c.exit_code, 0);
    int noted[100] = { 0 }, said[4] = { 0 };
    for (char *line = c.text, *end; (end = strchr(line, '\n')); line = end + 1) {
        int number = -1;
        *end = '\0';
        if (sscanf(line, "plait: note: shared %d", &number) == 1 && number >= 0 && number < 100) {
            noted[number]++;
            continue;
        }
        assert_int_equal(strlen(line), 60);
        assert_int_equal(strspn(line, (char[]){ line[0], '\0' }), 60);
        said[line[0] - 'A']++;
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(noted[i], 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(said[i], 100);
}

static void draw(void *context, bool clear)
{
    ssize_t n = write(STDERR_FILENO, clear ? "<clear>" : context, clear ? 7 : strlen(context));
    (void)n;
}

static int draw_around(void)
{
    char text[] = "<draw>";
    log_set_status_line(draw, text);
    inform("one");
    debug("hidden");
    log_set_status_line(NULL, NULL);
    inform("two");
    return 0;
}

static void the_status_line_is_cleared_and_drawn(void **state)
{
    child_run(&c, draw_around);
    assert_string_equal(c.text, "<clear>one\n<draw>two\n");
}

/* stderr is a socket that keeps each write apart. */
static int count_writes(void)
{
    int ends[2];
    char packet[256];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
        return 2;
    dup2(ends[0], STDERR_FILENO);
    warn("a %d and %s", 1, "two");
    warn("b");
    ssize_t n = recv(ends[1], packet, sizeof(packet), MSG_DONTWAIT);
    static const char line[] = "plait: warning: a 1 and two\n";
    return n == sizeof(line) - 1 && memcmp(packet, line, sizeof(line) - 1) == 0 ? 0 : 1;
}

static void a_line_is_one_write(void **state)
{
    child_run(&c, count_writes);
    assert_int_equal(c.exit_code, 0);
}

static int close_and_say(void)
{
    close(STDERR_FILENO);
    errno = 77;
    warn("nobody listens");
    note("nor here");
    return errno == 77 ? 5 : 6;
}

static void a_closed_stderr_harms_nobody_and_errno_stays(void **state)
{
    child_run(&c, close_and_say);
    assert_int_equal(c.exit_code, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_decide),
        cmocka_unit_test(notes_come_once),
        cmocka_unit_test(no_note_is_lost),
        cmocka_unit_test(threads_do_not_mix_lines),
        cmocka_unit_test(the_status_line_is_cleared_and_drawn),
        cmocka_unit_test(a_line_is_one_write),
        cmocka_unit_test(a_closed_stderr_harms_nobody_and_errno_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
