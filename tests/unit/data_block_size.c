/* How long a sample is, and Hugging Face's warnings word for word. */
#include "data/block_size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "lib/child.h"

static int64_t chosen(int64_t wanted, int64_t tokenizer, int64_t model)
{
    int64_t size = -1;
    assert_int_equal(block_size_choose(wanted, tokenizer, model, &size), OK);
    return size;
}

static void what_fits_is_taken(void **state)
{
    (void)state;
    assert_int_equal(chosen(512, INT64_MAX, 1024), 512);
    assert_int_equal(chosen(2000, INT64_MAX, 1024), 1024);
    assert_int_equal(chosen(2000, 600, 1024), 600);
    assert_int_equal(chosen(2000, INT64_MAX, INT64_MAX), 2000);
    assert_int_equal(chosen(0, 512, 1024), 512);
    assert_int_equal(chosen(0, 4096, 2048), 1024);
    assert_int_equal(chosen(0, INT64_MAX, 2048), 1024);
    assert_int_equal(chosen(0, INT64_MAX, 64), 64);
    assert_int_equal(chosen(0, INT64_MAX, INT64_MAX), 1024);
    assert_int_equal(chosen(0, 4096, INT64_MAX), 4096);
}

static void pairs_are_needed(void **state)
{
    int64_t size = -1;
    (void)state;
    assert_int_equal(block_size_choose(1, INT64_MAX, 1024, &size), ERR_USAGE);
    error_clear();
    assert_int_equal(block_size_choose(-3, INT64_MAX, 1024, &size), ERR_USAGE);
    error_clear();
    assert_int_equal(block_size_choose(0, INT64_MAX, 1, &size), ERR_CONFIG);
    error_clear();
    assert_int_equal(size, -1);
}

static int warn_twice(void)
{
    int64_t size;
    return block_size_choose(2000, INT64_MAX, 1024, &size) || block_size_choose(0, 5000, 512, &size) ||
           block_size_choose(0, INT64_MAX, 512, &size);
}

static void warnings_are_those_of_hugging_face(void **state)
{
    struct child c;
    (void)state;
    child_run(&c, warn_twice);
    assert_int_equal(c.exit_code, 0);
    assert_non_null(strstr(c.text, "The block_size passed (2000) is larger than the maximum length for the "
                                   "model(1024). Using block_size=1024.\n"));
    assert_non_null(strstr(c.text,
                           "The tokenizer picked seems to have a very large `model_max_length` (5000). "
                           "Picking 512 instead. You can change that default value by passing --block_size "
                           "xxx.\n"));
    assert_non_null(
        strstr(c.text, "`model_max_length` (1000000000000000019884624838656). Picking 512 instead."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_taken),
        cmocka_unit_test(pairs_are_needed),
        cmocka_unit_test(warnings_are_those_of_hugging_face),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
