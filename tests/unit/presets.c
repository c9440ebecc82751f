/* The models behind the built-in configs are as large as those that were published: elements of all
 * parameters, the tied ones once. */
#include "models/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "ckpt/params.h"

static const struct {
    const char *name;
    int64_t elements;
} published[] = {
    { "openai-community/gpt2", 124439808 },
    { "openai-community/gpt2-medium", 354823168 },
    { "openai-community/gpt2-large", 774030080 },
    { "openai-community/gpt2-xl", 1557611200 },
    { "distilbert/distilgpt2", 81912576 },
    { "google-bert/bert-base-uncased", 109514298 },
    { "google-bert/bert-base-cased", 108340804 },
    { "google-bert/bert-large-uncased", 335174458 },
    { "google-bert/bert-large-cased", 333610308 },
    { "google-bert/bert-base-chinese", 102290312 },
    { "google-bert/bert-base-multilingual-cased", 177974523 },
    { "google-bert/bert-base-multilingual-uncased", 167463831 },
    { "FacebookAI/roberta-base", 124697433 },
    { "FacebookAI/roberta-large", 355412057 },
    { "EleutherAI/gpt-neo-125m", 125198592 },
    { "EleutherAI/gpt-neo-1.3B", 1315575808 },
    { "EleutherAI/gpt-neo-2.7B", 2651307520 },
    { "huggyllama/llama-7b", 6738415616 },
    { "huggyllama/llama-13b", 13015864320 },
    { "huggyllama/llama-30b", 32528943616 },
    { "huggyllama/llama-65b", 65285660672 },
    { "google-t5/t5-small", 60506624 },
    { "google-t5/t5-base", 222903552 },
    { "google-t5/t5-large", 737668096 },
    { "google-t5/t5-3b", 2851598336 },
    { "google-t5/t5-11b", 11307321344 },
    { "google/t5-v1_1-small", 76961152 },
    { "google/t5-v1_1-base", 247577856 },
    { "google/t5-v1_1-large", 783150080 },
    { "google/t5-v1_1-xl", 2849757184 },
    { "google/t5-v1_1-xxl", 11135332352 },
};

static void sizes_are_the_published_ones(void **state)
{
    struct params params;
    struct config c;

    (void)state;
    for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++) {
        assert_int_equal(config_preset(&c, published[i].name), OK);
        assert_int_equal(params_init(&params, &c), OK);
        if (params.total != published[i].elements)
            fail_msg("%s: found %lld elements, expected %lld", published[i].name, (long long)params.total,
                     (long long)published[i].elements);
        params_release(&params);
        config_release(&c);
    }
}

static void the_largest_llama_has_another_epsilon(void **state)
{
    struct config c;

    (void)state;
    assert_int_equal(config_preset(&c, "huggyllama/llama-65b"), OK);
    assert_string_equal(config_get(&c, "rms_norm_eps"), "1e-05");
    config_release(&c);
    assert_int_equal(config_preset(&c, "huggyllama/llama-30b"), OK);
    assert_string_equal(config_get(&c, "rms_norm_eps"), "1e-06");
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_the_published_ones),
        cmocka_unit_test(the_largest_llama_has_another_epsilon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
