/* Generation options: what files say, what is refused and in which words; stop strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "gen/options.h"
#include "gen/stop.h"
#include "lib/scratch.h"

#include <cmocka.h>

#define GPT2(more) "{\"model_type\": \"gpt2\", \"n_embd\": 24, " more "\"n_layer\": 1}"

static int load(struct generation_options *o, const char *file, const char *config_text)
{
    void *directory;
    struct config config;
    char *path;
    int status;

    error_clear();
    assert_int_equal(scratch_create(&directory), 0);
    path = scratch_path(&directory, "generation_config.json");
    assert_int_equal(config_parse(&config, "config.json", config_text, strlen(config_text)), OK);
    if (file)
        scratch_put(path, file, strlen(file));
    status = generation_options_load(o, directory, &config);
    config_release(&config);
    mem_free(path);
    assert_int_equal(scratch_remove(&directory), 0);
    return status;
}

static void from_generation_config(void **state)
{
    struct generation_options o;

    (void)state;
    assert_int_equal(
        load(&o,
             "{\"num_beams\": 3, \"top_k\": null, \"eos_token_id\": [7, 8], \"pad_token_id\": 0,"
             "\"early_stopping\": \"never\", \"stop_strings\": [\"a\", \"b\"], \"custom\": {},"
             "\"typical_p\": 1.0, \"bad_words_ids\": [], \"temperature\": 0.0, \"max_length\": 9}",
             GPT2("\"eos_token_id\": 5, \"bos_token_id\": 4, ")),
        OK);
    assert_int_equal(o.num_beams, 3);
    assert_int_equal(o.top_k, 50);
    assert_int_equal(o.eos_count, 2);
    assert_int_equal(o.eos[1], 8);
    assert_int_equal(o.pad, 0);
    assert_true(o.bos == INT_NONE); /* the file alone counts */
    assert_int_equal(o.early_stopping, EARLY_NEVER);
    assert_int_equal(o.stop_count, 2);
    assert_string_equal(o.stop_strings[1], "b");
    assert_int_equal(o.max_length, 9);
    assert_int_equal(generation_options_check(&o), OK); /* the temperature acts only when sampling */
    o.do_sample = true;
    assert_int_equal(generation_options_check(&o), ERR_CONFIG);
    generation_options_release(&o);
}

static void from_config(void **state)
{
    struct generation_options o;

    (void)state;
    assert_int_equal(
        load(&o, NULL,
             GPT2("\"eos_token_id\": [5, 6], \"bos_token_id\": 4, \"num_beams\": 2, \"max_length\": null, ")),
        OK);
    assert_int_equal(o.eos_count, 2);
    assert_int_equal(o.bos, 4);
    assert_int_equal(o.num_beams, 2);
    assert_true(o.max_length == INT_NONE && o.pad == INT_NONE);
    generation_options_release(&o);
}

static void bad_files(void **state)
{
    static const char *const bad[] = { "{",
                                       "[]",
                                       "{\"num_beams\": \"3\"}",
                                       "{\"num_beams\": 3.5}",
                                       "{\"eos_token_id\": {}}",
                                       "{\"eos_token_id\": [1, \"x\"]}",
                                       "{\"early_stopping\": \"often\"}",
                                       "{\"stop_strings\": [\"a\", 3]}",
                                       "{\"do_sample\": 2}",
                                       "{\"top_k\": 1, \"top_k\": 1}" };
    struct generation_options o;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(load(&o, bad[i], GPT2("")), ERR_DATA);
        assert_non_null(strstr(error_message(), "generation_config.json:1"));
    }
}

static void refused(const char *file, bool sample, const char *words)
{
    struct generation_options o;

    assert_int_equal(load(&o, file, GPT2("")), OK);
    o.do_sample = sample;
    error_clear();
    if (generation_options_check(&o) != ERR_CONFIG || !strstr(error_message(), words))
        fail_msg("%s: \"%s\", expected \"%s\"", file, error_message(), words);
    generation_options_release(&o);
}

static void what_cannot_be(void **state)
{
    (void)state;
    refused("{\"suppress_tokens\": [1]}", false, "plait has no suppress_tokens");
    refused("{\"forced_bos_token_id\": 0}", false, "plait has no forced_bos_token_id");
    refused("{\"num_beam_groups\": 2}", false, "plait has no num_beam_groups");
    refused("{\"renormalize_logits\": true}", false, "plait has no renormalize_logits");
    refused("{\"typical_p\": 0.3}", true, "plait has no typical_p");
    refused("{\"temperature\": -1.5}", true, "`temperature` (=-1.5) has to be a strictly positive float");
    refused("{\"top_p\": 1.5}", true, "`top_p` has to be a float > 0 and < 1, but is 1.5");
    refused("{\"top_k\": -1}", true, "`top_k` has to be a strictly positive integer, but is -1");
    refused("{\"max_new_tokens\": 0}", false, "`max_new_tokens` must be greater than 0, but is 0");
    refused("{\"repetition_penalty\": 0}", false, "`penalty` has to be a strictly positive float, but is 0");
    refused("{\"num_return_sequences\": 2}", false, "Greedy methods (do_sample != True)");
    refused("{\"num_return_sequences\": 4, \"num_beams\": 3}", false,
            "`num_return_sequences` (4) has to be smaller or equal to `num_beams` (3)");
    refused("{\"num_beams\": 1000000}", false, "too many");
    refused("{\"length_penalty\": Infinity}", false, "`length_penalty` has to be a finite float");
}

static int64_t limit_of(int64_t new_tokens, int64_t length, int64_t prompt)
{
    struct generation_options o;
    int64_t limit = -1;

    generation_options_init(&o);
    o.max_new_tokens = new_tokens;
    o.max_length = length;
    return generation_limit(&o, prompt, 100, &limit) == OK ? limit : -1;
}

static void limits(void **state)
{
    (void)state;
    assert_int_equal(limit_of(INT_NONE, INT_NONE, 10), 30);
    assert_int_equal(limit_of(INT_NONE, INT_NONE, 90), 100);
    assert_int_equal(limit_of(INT_NONE, INT_NONE, 100), -1);
    assert_int_equal(limit_of(INT_NONE, 18, 10), 18);
    assert_int_equal(limit_of(INT_NONE, 10, 10), -1);
    assert_int_equal(limit_of(5, 3, 10), 15);
    assert_int_equal(limit_of(1, INT_NONE, 100), 101); /* the last token needs no position */
    assert_int_equal(limit_of(500, INT_NONE, 10), 101);
    assert_int_equal(limit_of(1, INT_NONE, 101), -1);
    error_clear();
}

/* ---- stop strings ---- */

static bool stops(const struct tokenizer *t, const char *text, const char *stop, bool last_token_only)
{
    struct encoder *e = encoder_create(t);
    struct encoding ids = { 0 };
    char *const texts[] = { (char *)(uintptr_t)stop };
    const struct stop_strings s = { t, texts, 1 };
    bool found = false;

    assert_int_equal(tokenizer_encode(e, text, strlen(text), NULL, &ids), OK);
    for (size_t n = last_token_only ? ids.count : 1; n <= ids.count; n++)
        found = found || stop_matches(&s, ids.ids, (int64_t)n);
    encoding_release(&ids);
    encoder_free(e);
    return found;
}

static void stop_strings(void **state)
{
    struct tokenizer *t;

    (void)state;
    assert_int_equal(tokenizer_load(GOLDEN_DIR "/tokenizer/encode/mixed", &t), OK);
    assert_true(stops(t, "one two three", "two", false));
    assert_true(stops(t, "one two three", "wo th", false)); /* over several tokens, ending within one */
    assert_true(stops(t, "one two three", "three", true));
    assert_false(stops(t, "one two three", "one", true)); /* long past */
    assert_false(stops(t, "one two three", "four", false));
    assert_true(stops(t, "caf\xc3\xa9 \xe6\x9d\xb1\xe4\xba\xac", "\xe6\x9d\xb1",
                      false)); /* made of several byte tokens */
    assert_true(stops(t, "o", "o", true));
    assert_false(stops(t, "", "o", false));
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_generation_config),
        cmocka_unit_test(from_config),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(what_cannot_be),
        cmocka_unit_test(limits),
        cmocka_unit_test(stop_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
