/* Models and files of tokenizers against the goldens of tests/oracle/tokenizer_models.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "lib/scratch.h"
#include "lib/tok_golden.h"

#include <cmocka.h>

static void test_goldens(void **state)
{
    tok_golden_check(GOLDEN_DIR "/tokenizer_models", state);
}

static void test_files(void **state)
{
    tok_golden_check(GOLDEN_DIR "/tokenizer_files", state);
}

/* A file alone: a .model as its own settings have it, a vocab.txt as BERT's. */
static void test_one_file(void **state)
{
    struct tokenizer *t = tok_golden_load(GOLDEN_DIR "/tokenizer_files/encode/llama/tokenizer.model");

    (void)state;
    assert_int_equal(tokenizer_size(t), 900);
    assert_int_equal(tokenizer_special_id(t, TOK_EOS), 2);
    tokenizer_free(t);
    t = tok_golden_load(GOLDEN_DIR "/tokenizer_files/encode/bert/vocab.txt");
    assert_int_equal(tokenizer_size(t), 1200);
    assert_int_equal(tokenizer_special_id(t, TOK_MASK), tokenizer_id(t, "[MASK]", 6));
    tokenizer_free(t);
    assert_true(tokenizer_found(GOLDEN_DIR "/tokenizer_files/encode/t5"));
    assert_false(tokenizer_found(GOLDEN_DIR "/tokenizer_files"));
}

/* ---- dropout ---- */

static size_t count_ids(const struct tokenizer *t, const char *text, const struct encode_options *o,
                        struct encoding *out)
{
    struct encoder *e = encoder_create(t);

    out->count = 0;
    assert_int_equal(tokenizer_encode(e,
                                      "warm the cache "
                                      "ab ab",
                                      20, NULL, out),
                     OK);
    out->count = 0;
    assert_int_equal(tokenizer_encode(e, text, strlen(text), o, out), OK);
    encoder_free(e);
    return out->count;
}

/* One merge, in each of many texts: left out as often as the file says, by text and seed. Without being asked
 * for it does nothing. */
static void test_dropout(void **state)
{
    static const char json[] = "{\"model\":{\"type\":\"BPE\",\"dropout\":0.25,\"ignore_merges\":true,"
                               "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\" \":3},\"merges\":[[\"a\",\"b\"]]}}";
    struct encode_options o = { .dropout = true, .seed = 7 };
    struct encoding out = { 0 }, again = { 0 };
    struct tokenizer *t = NULL;
    int cut = 0, other = 0;
    char text[40];

    (void)state;
    assert_int_equal(tokenizer_parse("t", json, sizeof(json) - 1, &t), OK);
    assert_true(tokenizer_dropout(t) == 0.25);
    for (int i = 0; i < 4000; i++) {
        memset(text, ' ', 12);
        for (int k = 0; k < 12; k++)
            text[k] = i >> k & 1 ? 'a' : ' ';
        memcpy(text + 12, "ab", 3);
        o.seed = 7;
        size_t n = count_ids(t, text, &o, &out);
        cut += n == 14;
        assert_true(n == 14 || n == 13);
        assert_int_equal(count_ids(t, text, &o, &again), n);
        o.seed = 8;
        other += count_ids(t, text, &o, &again) != n;
        assert_int_equal(count_ids(t, text, NULL, &again), 13);
    }
    assert_in_range(cut, 900, 1100);    /* of 4000 * .25, five deviations */
    assert_in_range(other, 1300, 1700); /* 4000 * 2 * .25 * .75 */
    encoding_release(&out);
    encoding_release(&again);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_goldens, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_files, scratch_create, scratch_remove),
        cmocka_unit_test(test_one_file),
        cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
