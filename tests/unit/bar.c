/* The line at the bottom of a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "train/bar.h"

#include <cmocka.h>

static const struct bar_state half = { .what = "Training",
                                       .done = 500,
                                       .total = 1000,
                                       .seconds_left = 61,
                                       .detail = "loss 3.211, 12,345 tokens/s" };

static void expect(const struct bar_state *s, size_t width, const char *line)
{
    struct str found;

    str_init(&found);
    bar_compose(&found, s, width);
    assert_string_equal(found.data, line);
    str_release(&found);
}

static void the_bar_gives_way(void **state)
{
    (void)state;
    expect(&half, 200,
           "Training:  50% |##########          | 500/1,000, loss 3.211, 12,345 tokens/s, 1:01 left");
    expect(&half, 79, "Training:  50% |######      | 500/1,000, loss 3.211, 12,345 tokens/s, 1:01 left");
    expect(&half, 74, "Training:  50% |###    | 500/1,000, loss 3.211, 12,345 tokens/s, 1:01 left");
    expect(&half, 40, "Training:  50% |##   | 500/1,000, loss 3");
}

static void it_is_full_at_the_end(void **state)
{
    struct bar_state s = { .what = "Evaluating", .done = 3, .total = 3, .seconds_left = -1 };

    (void)state;
    expect(&s, 79, "Evaluating: 100% |####################| 3/3");
    s = (struct bar_state){ .what = "Evaluating", .seconds_left = -1 };
    expect(&s, 79, "Evaluating:   0% |                    | 0/0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bar_gives_way),
        cmocka_unit_test(it_is_full_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
