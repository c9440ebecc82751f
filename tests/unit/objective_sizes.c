/* How much room an objective asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/objective.h"

/* Room goes by the longest sample, in eights; places by what a sample may be. */
static void sizes_are_those_of_the_longest_sample(void **state)
{
    static const struct {
        struct objective o;
        struct example_sizes known, unknown;
    } cases[] = {
        { { 0 }, { 40, 0, 1, 100, 0 }, { 100, 0, 1, 100, 0 } },
        { { .kind = OBJECTIVE_SEQ2SEQ, .encoder = true }, { 8, 40, 1, 60, 100 }, { 60, 100, 1, 60, 100 } },
        { { .kind = OBJECTIVE_SEQ2SEQ, .rows = 100 }, { 48, 0, 1, 100, 0 }, { 100, 0, 1, 100, 0 } },
        { { .kind = OBJECTIVE_SEQ2SEQ, .rows = 41 }, { 41, 0, 1, 41, 0 }, { 41, 0, 1, 41, 0 } },
        { { .kind = OBJECTIVE_CLASSIFICATION, .encoder = true },
          { 40, 40, 1, 100, 100 },
          { 100, 100, 1, 100, 100 } },
        { { .kind = OBJECTIVE_SPAN_CORRUPTION, .encoder = true, .noise = 0.25, .mean_span = 3 },
          { 16, 32, 1, 34, 84 },
          { 34, 84, 1, 34, 84 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample_source source = { .max_length = 100, .max_target = 60 };
        struct example_sizes sizes;
        objective_sizes(&cases[i].o, &source, &sizes);
        assert_memory_equal(&sizes, &cases[i].unknown, sizeof(sizes));
        source.longest = 37;
        source.longest_target = 7;
        objective_sizes(&cases[i].o, &source, &sizes);
        assert_memory_equal(&sizes, &cases[i].known, sizeof(sizes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_longest_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
