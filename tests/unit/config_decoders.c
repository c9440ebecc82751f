/* config.json of LLaMA and GPT-Neo: presets, rotary positions in both spellings, kinds of layers. */
#include "models/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static int parse(struct config *c, const char *text)
{
    error_clear();
    return config_parse(c, "config.json", text, strlen(text));
}

static void presets(void **state)
{
    static const struct {
        const char *name;
        int64_t vocab, width, heads, layers;
    } cases[] = {
        { "EleutherAI/gpt-neo-125m", 50257, 768, 12, 12 },
        { "EleutherAI/gpt-neo-1.3B", 50257, 2048, 16, 24 },
        { "EleutherAI/gpt-neo-2.7B", 50257, 2560, 20, 32 },
        { "huggyllama/llama-7b", 32000, 4096, 32, 32 },
        { "huggyllama/llama-13b", 32000, 5120, 40, 40 },
        { "huggyllama/llama-30b", 32000, 6656, 52, 60 },
        { "huggyllama/llama-65b", 32000, 8192, 64, 80 },
    };
    struct config c;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(config_preset(&c, cases[i].name), OK);
        assert_true(c.sizes.vocab == cases[i].vocab && c.sizes.width == cases[i].width &&
                    c.sizes.heads == cases[i].heads && c.sizes.layers == cases[i].layers);
        config_release(&c);
    }
}

#define LLAMA    "{\"model_type\": \"llama\", \"hidden_size\": 32, \"num_attention_heads\": 4, "
#define LONGROPE "\"rope_scaling\": {\"rope_type\": \"longrope\", "
#define NEO      "{\"model_type\": \"gpt_neo\", \"hidden_size\": 32, \"num_layers\": 2, "

static void refuses(const char *text, const char *part)
{
    struct config c;

    assert_int_not_equal(parse(&c, text), OK);
    if (!strstr(error_message(), part))
        fail_msg("%s: found \"%s\", expected \"%s\"", text, error_message(), part);
}

static void rotary_positions_that_cannot_be(void **state)
{
    (void)state;
    refuses(LLAMA "\"rope_scaling\": {\"type\": \"su\", \"factor\": 2}}",
            "found \"su\", expected default, linear");
    refuses(LLAMA "\"rope_scaling\": {\"type\": \"linear\"}}", "$.rope_scaling.factor is missing");
    refuses(LLAMA "\"rope_parameters\": {\"rope_type\": \"dynamic\", \"factor\": 0}}",
            "found 0, expected a number");
    refuses(LLAMA "\"rope_scaling\": [1]}", "rope_scaling");
    refuses(LLAMA "\"rope_scaling\": {\"factor\": \"2\", \"type\": \"linear\"}}", "factor");
    refuses(LLAMA "\"rope_scaling\": {\"factor\": Infinity, \"type\": \"linear\"}}",
            "expected a finite number");
    refuses(LLAMA "\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4,"
                  "\"high_freq_factor\": 4}}",
            "high_freq_factor 4 is not greater");
    refuses(LLAMA "\"rope_theta\": 1, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}}",
            "greater than 1");
    refuses(LLAMA "\"rope_theta\": 5, \"rope_parameters\": {\"rope_theta\": 6}}", "one key but differ");
    refuses(LLAMA
            "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, \"rope_parameters\": {\"rope_type\":"
            "\"default\"}}",
            "names of one key but differ");
    refuses(LLAMA "\"partial_rotary_factor\": 0.5, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}",
            "partial_rotary_factor 0.5");
    refuses(LLAMA "\"rope_parameters\": {\"rope_type\": \"proportional\", \"partial_rotary_factor\": 1.5}}",
            "expected a number from 0 to 1");
    refuses(LLAMA "\"partial_rotary_factor\": true, \"rope_parameters\": {\"rope_type\": \"linear\","
                  "\"factor\": 2}}",
            "$.partial_rotary_factor");
    refuses(LLAMA LONGROPE "\"long_factor\": [1, 1, 1, 1]}}", "$.rope_scaling.short_factor is missing");
    refuses(LLAMA LONGROPE "\"short_factor\": [1, 1, 1, 1], \"long_factor\": [1, 1, 1, 1, 1]}}",
            "long_factor: wrong length (found 5 numbers, expected 4 for heads of 8)");
    refuses(LLAMA LONGROPE "\"short_factor\": [1, 1, 0, 1], \"long_factor\": [1, 1, 1, 1]}}",
            "numbers greater than 0");
    refuses(LLAMA LONGROPE "\"short_factor\": 2, \"long_factor\": [1, 1, 1, 1]}}", "short_factor");
    refuses(LLAMA LONGROPE "\"short_factor\": [1, 1, 1, 1], \"long_factor\": [1, 1, 1, 1],"
                           "\"original_max_position_embeddings\": 1}}",
            "longrope needs one greater than 1");
    refuses(LLAMA "\"head_dim\": 7}", "even $.head_dim");
    refuses(LLAMA "\"num_key_value_heads\": 3}", "not a multiple of $.num_key_value_heads 3");
    refuses(LLAMA "\"pretraining_tp\": 2}", "$.pretraining_tp");
}

static void kinds_of_layers(void **state)
{
    struct config c;

    (void)state;
    refuses(NEO "\"attention_layers\": [\"global\", \"loca\"]}", "found \"loca\"");
    refuses(NEO "\"attention_layers\": [\"global\"]}", "describes 1 layers, but $.num_layers is 2");
    refuses(NEO "\"attention_types\": [[[\"global\"], 3]]}", "describes 3 layers");
    refuses(NEO "\"window_size\": 4}", "describes 24 layers");
    refuses(NEO "\"attention_types\": [[[\"global\"], -1]]}", "attention_types");
    refuses(NEO "\"attention_types\": [[[\"global\", \"local\"], 4096]]}", "more than 4096 layers");
    refuses(NEO "\"attention_types\": [[[\"global\"], 2, 3]]}", "a list of words and a number");
    refuses(NEO "\"attention_types\": {}}", "attention_types");
    assert_int_equal(config_preset(&c, "EleutherAI/gpt-neo-125m"), OK);
    assert_int_equal(config_override(&c, "num_layers=3"), OK); /* the pattern goes with it */
    assert_string_equal(config_get(&c, "attention_layers"), "[\"global\", \"local\", \"global\"]");
    assert_string_equal(config_get(&c, "attention_types"), "[[[\"global\", \"local\", \"global\"], 1]]");
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets),
        cmocka_unit_test(rotary_positions_that_cannot_be),
        cmocka_unit_test(kinds_of_layers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
