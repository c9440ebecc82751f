/* Models and files of tokenizers against the goldens of tests/oracle/tokenizer_models.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
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

/* ---- scores ---- */

/* Two cuts of equal sums but for rounding: tokenizers reads a score with an error in its last bit, the class
 * T5Tokenizer does not. */
static void test_last_bit(void **state)
{
    static const char json[] =
        "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\"},\"model\":"
        "{\"type\":\"Unigram\",\"unk_id\":2,\"vocab\":[[\"<pad>\",0],[\"</s>\",0],[\"<unk>\",0],"
        "[\"\xE2\x96\x81\",-1.0],[\"a\",-2.058859991434074],[\"aa\",-1.8905413911078446]]}}";
    static const char class[] = "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":0}";
    static const int32_t read[] = { 3, 5, 4 }, meant[] = { 3, 4, 5, 1 };
    const struct encode_options o = { 0 };
    struct encoding out = { 0 };
    char *file = scratch_path(state, "tokenizer.json"),
         *config = scratch_path(state, "tokenizer_config.json");

    scratch_put(file, json, sizeof(json) - 1);
    for (int t5 = 0; t5 < 2; t5++) {
        struct tokenizer *t = tok_golden_load(*state);
        struct encoder *e = encoder_create(t);
        out.count = 0;
        assert_int_equal(tokenizer_encode(e, "aaa", 3, &o, &out), OK);
        assert_int_equal(out.count, t5 ? 4 : 3);
        assert_memory_equal(out.ids, t5 ? meant : read, out.count * sizeof(*out.ids));
        encoder_free(e);
        tokenizer_free(t);
        scratch_put(config, class, sizeof(class) - 1);
    }
    encoding_release(&out);
    mem_free(file);
    mem_free(config);
}

/* ---- clean-up ---- */

static void check_decoded(void **state, const char *model, const char *config, const char *wanted)
{
    static const int32_t ids[] = { 0, 1, 2, 4, 6, 5, 1, 2, 3, 3, 4, 0 };
    char *file = scratch_path(state, "tokenizer.json"), *other = scratch_path(state, "tokenizer_config.json");
    struct tok_stream *stream;
    struct tokenizer *t;
    struct str got;

    str_init(&got);
    str_appendf(&got,
                "{\"model\":{\"type\":\"%s\",\"merges\":[],\"unk_token\":\"s\",\"vocab\":{\"it\":0,"
                "\"'\":1,\"s\":2,\".\":3,\"do\":4,\"not\":5,\"n't\":6}}}",
                model);
    scratch_put(file, got.data, got.length);
    scratch_put(other, config, strlen(config));
    t = tok_golden_load(*state);
    for (size_t n = 1; n <= 12; n++) {
        str_clear(&got);
        assert_int_equal(tokenizer_decode(t, ids, n, false, &got), OK);
        if (n == 12)
            assert_string_equal(got.data, wanted);
        struct str parts;
        str_init(&parts);
        stream = tok_stream_create(t, false);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(tok_stream_add(stream, ids[i], &parts), OK);
        assert_int_equal(tok_stream_finish(stream, &parts), OK);
        assert_string_equal(parts.data, got.data);
        tok_stream_free(stream);
        str_release(&parts);
    }
    tokenizer_free(t);
    str_release(&got);
    mem_free(file);
    mem_free(other);
}

/* Blanks before punctuation, where tokenizer_config.json says so; of BPE only where it insists. */
static void test_clean_up(void **state)
{
    static const char raw[] = "it ' s do n't not ' s . . do it", clean[] = "it's don't not's.. do it",
                      yes[] = "{\"clean_up_tokenization_spaces\":true}",
                      insist[] =
                          "{\"clean_up_tokenization_spaces\":true,"
                          "\"clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output\":true}";

    check_decoded(state, "WordLevel", "{}", raw);
    check_decoded(state, "WordLevel", yes, clean);
    check_decoded(state, "BPE", yes, raw);
    check_decoded(state, "BPE", insist, clean);
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
        cmocka_unit_test_setup_teardown(test_last_bit, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_clean_up, scratch_create, scratch_remove),
        cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
