/* Models and files of tokenizers against the goldens of tests/oracle/tokenizer_models.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/err.h"
#include "lib/scratch.h"
#include "lib/tok_golden.h"

#include <cmocka.h>

static void test_goldens(void **state)
{
    tok_golden_check(GOLDEN_DIR "/tokenizer_models", state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_goldens, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
