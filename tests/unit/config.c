/* config.json: what is read, what is refused and in which words, changes, and the built-in configs. */
#include "models/config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "lib/scratch.h"

static int parse(struct config *c, const char *text)
{
    error_clear();
    return config_parse(c, "config.json", text, strlen(text));
}

static double number(const struct config *c, const char *key)
{
    for (const struct field *f = c->def->fields; f->key; f++) {
        const void *at = (const char *)c->values + f->offset;
        if (strcmp(f->key, key) != 0)
            continue;
        switch (f->type) {
        case FIELD_INT:
        case FIELD_TOKEN: return (double)*(const int64_t *)at;
        case FIELD_DOUBLE: return *(const double *)at;
        case FIELD_BOOL: return *(const bool *)at;
        case FIELD_MAYBE:
        case FIELD_ACTIVATION: return *(const int *)at;
        case FIELD_TEXT: break;
        }
    }
    fail_msg("no field %s", key);
    return 0;
}

/* A GPT-2 config with `more` in front ("\"n_head\": 3, "). */
static const char *gpt2_with(const char *more, char text[4096])
{
    bool width = strstr(more, "n_embd") || strstr(more, "hidden_size");

    snprintf(text, 4096, "{%s%s\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"]}", more,
             width ? "" : "\"n_embd\": 768, ");
    return text;
}

static void fields_and_defaults(void **state)
{
    struct config c;
    char text[4096];

    (void)state;
    assert_int_equal(
        parse(&c, gpt2_with("\"n_layer\": 3, \"hidden_size\": 48, \"n_head\": 4, \"resid_pdrop\": 0,"
                            "\"activation_function\": \"relu\", \"unknown\": [1, {\"x\": Infinity}],"
                            "\"eos_token_id\": [5, 6], \"bos_token_id\": 4, \"pad_token_id\": null, ",
                            text)),
        OK);
    assert_string_equal(c.def->name, "gpt2");
    assert_true(number(&c, "n_layer") == 3 && number(&c, "n_embd") == 48 &&
                number(&c, "n_positions") == 1024);
    assert_true(number(&c, "resid_pdrop") == 0 && number(&c, "attn_pdrop") == 0.1);
    assert_true(number(&c, "n_inner") == (double)INT_NONE && number(&c, "activation_function") == ACT_RELU);
    assert_true(number(&c, "tie_word_embeddings") == 1);
    assert_true(c.sizes.layers == 3 && c.sizes.width == 48 && c.sizes.heads == 4 && c.sizes.vocab == 50257);
    assert_true(c.bos == 4 && c.pad == INT_NONE && c.unk == INT_NONE && c.decoder_start == INT_NONE);
    assert_true(c.eos_count == 2 && c.eos[0] == 5 && c.eos[1] == 6);
    assert_null(c.dtype);
    assert_string_equal(c.architecture, "GPT2LMHeadModel");
    assert_string_equal(config_get(&c, "unknown"), "[1, {\"x\": Infinity}]");
    config_release(&c);

    assert_int_equal(
        parse(&c, "{\"model_type\": \"gpt2\", \"torch_dtype\": \"bfloat16\", \"eos_token_id\": -1,"
                  " \"n_embd\": 768, \"architectures\": null, \"pruned_heads\": {}, \"n_inner\": 7}"),
        OK);
    assert_string_equal(c.dtype, "bfloat16");
    assert_int_equal(c.eos_count, 0);
    assert_true(number(&c, "n_inner") == 7);
    config_release(&c);
}

static const struct {
    const char *more, *message;
    int status;
} refusals[] = {
    { "\"n_embd\": \"768\", ",
      "$.n_embd: wrong value (found \"768\", expected an integer from 1 to 16777216)", ERR_DATA },
    { "\"n_layer\": 0, ", "$.n_layer: wrong value (found 0, expected an integer from 1 to 4096)", ERR_DATA },
    { "\"n_head\": -1, ", "$.n_head: wrong value (found -1, expected an integer from 1 to 1048576)",
      ERR_DATA },
    { "\"n_head\": 0, ", "$.n_head: wrong value (found 0, expected an integer from 1 to 1048576)", ERR_DATA },
    { "\"vocab_size\": 2147483648, ",
      "$.vocab_size: wrong value (found 2147483648, expected an integer from 1 to 1073741824)", ERR_DATA },
    { "\"n_positions\": 1e308, ",
      "$.n_positions: wrong value (found 1e308, expected an integer from 1 to 1073741824)", ERR_DATA },
    { "\"n_embd\": 768.0, ", "$.n_embd: wrong value (found 768.0, expected an integer from 1 to 16777216)",
      ERR_DATA },
    { "\"n_embd\": null, ", "$.n_embd: wrong value (found null, expected an integer from 1 to 16777216)",
      ERR_DATA },
    { "\"n_embd\": 99999999999999999999, ",
      "$.n_embd: wrong value (found 99999999999999999999, expected an integer from 1 to 16777216)",
      ERR_DATA },
    { "\"hidden_size\": [], ", "$.n_embd: wrong value (found [], expected an integer from 1 to 16777216)",
      ERR_DATA },
    { "\"hidden_size\": 12, \"n_embd\": 24, ",
      "$.n_embd and $.hidden_size are names of one key but differ (found 24 and 12)", ERR_CONFIG },
    { "\"n_embd\": 1792, \"n_head\": 24, ", "$.n_embd 1792 is not a multiple of $.n_head 24", ERR_CONFIG },
    { "\"layer_norm_epsilon\": 0, ",
      "$.layer_norm_epsilon: wrong value (found 0, expected a number from 1e-30 to 1)", ERR_DATA },
    { "\"layer_norm_epsilon\": NaN, ",
      "$.layer_norm_epsilon: wrong value (found NaN, expected a number from 1e-30 to 1)", ERR_DATA },
    { "\"initializer_range\": Infinity, ",
      "$.initializer_range: wrong value (found Infinity, expected a number from 0 to 1000)", ERR_DATA },
    { "\"attn_pdrop\": true, ", "$.attn_pdrop: wrong value (found true, expected a number from 0 to 0.999)",
      ERR_DATA },
    { "\"scale_attn_weights\": 1, ", "$.scale_attn_weights: wrong value (found 1, expected true or false)",
      ERR_DATA },
    { "\"activation_function\": \"mish\", ", "$.activation_function: activation \"mish\" is not supported",
      ERR_CONFIG },
    { "\"activation_function\": 3, ",
      "$.activation_function: wrong value (found 3, expected the name of an activation)", ERR_DATA },
    { "\"add_cross_attention\": true, ",
      "$.add_cross_attention: changes the computation and is not supported (found true, expected false)",
      ERR_CONFIG },
    { "\"pruned_heads\": {\"0\": [1]}, ", "$.pruned_heads: changes the computation and is not supported",
      ERR_CONFIG },
    { "\"quantization_config\": {\"bits\": 4, \"quant_method\": \"gptq\"}, ",
      "$.quantization_config.quant_method \\\"gptq\\\": quantized weights are not supported", ERR_CONFIG },
    { "\"eos_token_id\": \"x\", ",
      "$.eos_token_id: wrong value (found \"x\", expected a token id, a list of at most 8 or null)",
      ERR_DATA },
    { "\"bos_token_id\": [1, 2], ", "$.bos_token_id: wrong value (found [1, 2], expected a token id",
      ERR_DATA },
    { "\"n_embd\": 8, \"n_embd\": 8, ", "duplicate key", ERR_DATA },
    { "\"n\\u0000\": 8, ", "a zero byte in a key", ERR_DATA },
    { "'n_embd': 8, ", "config.json:1:2:", ERR_DATA },
    { "\"n_embd\": 8, // eight\n", "config.json:1:", ERR_DATA },
    { "\"n_embd\": 8,, ", "config.json:1:", ERR_DATA },
};

static void refusals_say_key_found_and_expected(void **state)
{
    char text[4096];
    struct config c;

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        assert_int_equal(parse(&c, gpt2_with(refusals[i].more, text)), refusals[i].status);
        if (!strstr(error_message(), refusals[i].message) ||
            strncmp(error_message(), "config.json:", 12) != 0)
            fail_msg("%s\n  found    %s\n  expected %s", refusals[i].more, error_message(),
                     refusals[i].message);
    }
}

static void whole_texts_refused(void **state)
{
    static const struct {
        const char *text, *message;
        int status;
    } cases[] = {
        { "", "config.json:1:1:", ERR_DATA },
        { "[]", "config.json:1:1:", ERR_DATA },
        { "{}", "config.json: $.model_type is missing", ERR_CONFIG },
        { "{\"model_type\": \"foo\"}",
          "config.json: $.model_type: not supported (found \"foo\", expected \"gpt2\"", ERR_CONFIG },
        { "{\"model_type\": \"gpt2\", \"architectures\": [\"GPT2ForTokenClassification\"]}",
          "config.json: $.architectures: this class of gpt2 is not supported (found "
          "\"GPT2ForTokenClassification\", expected one of \"GPT2LMHeadModel\"",
          ERR_CONFIG },
        { "{\"model_type\": \"gpt2\", \"architectures\": \"GPT2LMHeadModel\"}",
          "config.json: $.architectures: wrong value", ERR_DATA },
        { "{\"model_type\": \"gpt2\"}", "config.json: $.n_embd is missing", ERR_DATA },
        { "{\"model_type\": \"llama\", \"head_dim\": 8}", "config.json: $.hidden_size is missing", ERR_DATA },
        { "{\"model_type\": \"t5\", \"d_kv\": 8}", "config.json: $.d_model is missing", ERR_DATA },
        { "{\"model_type\": \"gpt2\"} x", "config.json:1:24:", ERR_DATA },
    };
    struct config c;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(parse(&c, cases[i].text), cases[i].status);
        if (strncmp(error_message(), cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s\n  found    %s\n  expected %s", cases[i].text, error_message(), cases[i].message);
    }
}

static void changes_all_or_none(void **state)
{
    struct config c;
    char text[4096];

    (void)state;
    assert_int_equal(
        parse(&c, gpt2_with("\"hidden_size\": 48, \"n_head\": 4, \"summary_type\": \"x\", ", text)), OK);
    assert_int_equal(config_override(&c,
                                     "n_embd=100,n_head=10,resid_pdrop=0,scale_attn_weights=False,n_inner=64,"
                                     "summary_type=5,use_cache=no,activation_function=gelu"),
                     OK);
    assert_true(number(&c, "n_embd") == 100 && number(&c, "n_head") == 10 && number(&c, "n_inner") == 64);
    assert_true(number(&c, "scale_attn_weights") == 0 && number(&c, "activation_function") == ACT_GELU_ERF);
    assert_string_equal(config_get(&c, "hidden_size"), "100"); /* under the name the file uses */
    assert_null(config_get(&c, "n_embd"));
    assert_string_equal(config_get(&c, "resid_pdrop"), "0.0");
    assert_string_equal(config_get(&c, "summary_type"), "\"5\"");
    assert_string_equal(config_get(&c, "use_cache"), "false");
    assert_string_equal(c.name, "config.json");

    assert_int_equal(config_override(&c, "architectures=[\"GPT2Model\"],n_inner=72"), OK);
    assert_string_equal(config_get(&c, "architectures"), "[\"GPT2Model\"]");
    assert_true(number(&c, "n_inner") == 72);
    assert_int_equal(config_override(&c, "n_inner=null"), OK);
    assert_true(number(&c, "n_inner") == (double)INT_NONE);
    assert_int_equal(config_set_int(&c, "eos_token_id", 7), OK);
    assert_true(c.eos_count == 1 && c.eos[0] == 7);
    assert_int_equal(config_set_int(&c, "eos_token_id", INT_NONE), OK);
    assert_int_equal(c.eos_count, 0);

    assert_int_equal(config_set(&c, "n_head", "7"), ERR_CONFIG);
    assert_true(number(&c, "n_head") == 10 && c.sizes.heads == 10);
    assert_string_equal(config_get(&c, "n_head"), "10");
    config_release(&c);
}

static void wrong_overrides(void **state)
{
    static const char *const cases[][2] = {
        { "n_head", "--config_overrides: no assignment (found \"n_head\", expected KEY=VALUE,...)" },
        { "=3", "--config_overrides: no assignment (found \"=3\"" },
        { "n_heads=3", "--config_overrides: key n_heads isn't in the original config dict of gpt2 "
                       "(did you mean n_head?)" },
        { "n_head=x", "--config_overrides: n_head: wrong value (found \"x\", expected an integer)" },
        { "n_head=3.0", "--config_overrides: n_head: wrong value (found \"3.0\", expected an integer)" },
        { "attn_pdrop=much",
          "--config_overrides: attn_pdrop: wrong value (found \"much\", expected a number)" },
        { "use_cache=2", "--config_overrides: use_cache: wrong value (found \"2\", expected true or false)" },
        { "n_head=0",
          "--config_overrides: $.n_head: wrong value (found 0, expected an integer from 1 to 1048576)" },
        { "n_head=7", "--config_overrides: $.n_embd 768 is not a multiple of $.n_head 7" },
        { "n_head=6,n_layer=-2", "--config_overrides: $.n_layer: wrong value" },
        { "architectures=x",
          "--config_overrides: $.architectures: this class of gpt2 is not supported (found \"x\", expected" },
        { "task_specific_params=x",
          "--config_overrides: task_specific_params: wrong value (found \"x\", expected a JSON array " },
        { "task_specific_params=[1,],n_head=6", "--config_overrides: task_specific_params: wrong value" },
    };
    struct config c;

    (void)state;
    assert_int_equal(config_preset(&c, "gpt2"), OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        error_clear();
        assert_int_equal(config_override(&c, cases[i][0]), ERR_USAGE);
        if (strncmp(error_message(), cases[i][1], strlen(cases[i][1])) != 0)
            fail_msg("%s\n  found    %s\n  expected %s", cases[i][0], error_message(), cases[i][1]);
        assert_true(number(&c, "n_head") == 12);
    }
    config_release(&c);
}

static void written_as_transformers_does(void **state)
{
    struct config c, again;
    struct str out, second;

    (void)state;
    assert_int_equal(parse(&c, "{\"model_type\":\"gpt2\",\"n_embd\":24,"
                               "\"z\":{\"b\":[1,[],{}],\"a\":1e-5},\"n_head\":12,\"name\":\"\xc3\xa9\","
                               "\"big\":123456789012345678901,\"limit\":[0.0,Infinity],\"rate\":1E2}"),
                     OK);
    str_init(&out);
    config_write(&c, &out);
    assert_string_equal(
        out.data,
        "{\n  \"big\": 123456789012345678901,\n  \"limit\": [\n    0.0,\n    Infinity\n  ],\n"
        "  \"model_type\": \"gpt2\",\n  \"n_embd\": 24,\n  \"n_head\": 12,\n  \"name\": \"\\u00e9\",\n"
        "  \"rate\": 100.0,\n  \"z\": {\n    \"a\": 1e-05,\n    \"b\": [\n      1,\n"
        "      [],\n      {}\n    ]\n  }\n}\n");
    assert_int_equal(parse(&again, out.data), OK);
    str_init(&second);
    config_write(&again, &second);
    assert_string_equal(out.data, second.data);
    str_release(&out);
    str_release(&second);
    config_release(&c);
    config_release(&again);
}

/* Their names are what the sentence on an unknown one lists. */
static void every_preset_is_right(const char *sentence)
{
    char names[4096], *name = names;
    struct config c;
    int count = 0;

    snprintf(names, sizeof(names), "%s", strstr(sentence, "expected one of ") + strlen("expected one of "));
    for (bool more = true; more; count++) {
        size_t length = strcspn(name, ",;)");
        more = name[length] == ',';
        name[length] = '\0';
        assert_int_equal(config_preset(&c, name), OK);
        config_release(&c);
        name += length + 2;
    }
    assert_true(count >= 20);
}

/* The sizes are those of the published files, which end without a line break. */
static void presets_are_the_published_files(void **state)
{
    static const struct {
        const char *name;
        size_t bytes;
        int64_t width, heads, layers;
    } cases[] = {
        { "gpt2", 665, 768, 12, 12 },
        { "openai-community/gpt2-medium", 718, 1024, 16, 24 },
        { "gpt2-large", 666, 1280, 20, 36 },
        { "openai-community/gpt2-xl", 689, 1600, 25, 48 },
        { "distilgpt2", 762, 768, 12, 6 },
        { "t5-small", 1205, 512, 8, 12 },
        { "google-t5/t5-base", 1207, 768, 12, 24 },
    };
    struct config c;
    struct str out;

    (void)state;
    str_init(&out);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        str_clear(&out);
        assert_int_equal(config_preset(&c, cases[i].name), OK);
        config_write(&c, &out);
        assert_int_equal(out.length - 1, cases[i].bytes);
        assert_true(c.sizes.width == cases[i].width && c.sizes.heads == cases[i].heads &&
                    c.sizes.layers == cases[i].layers);
        assert_int_equal(c.sizes.vocab, strstr(cases[i].name, "t5") ? 32128 : 50257);
        config_release(&c);
    }
    str_release(&out);
    error_clear();
    assert_int_equal(config_preset(&c, "gpt2-meduim"), ERR_CONFIG);
    assert_non_null(strstr(error_message(), "did you mean gpt2-medium?"));
    every_preset_is_right(error_message());
}

/* Those of BERT and RoBERTa end with a line break. */
static void encoder_presets(void **state)
{
    static const struct {
        const char *name;
        size_t bytes;
        int64_t vocab, positions;
    } cases[] = {
        { "bert-base-uncased", 570, 30522, 512 },  { "google-bert/bert-base-cased", 570, 28996, 512 },
        { "bert-large-uncased", 571, 30522, 512 }, { "google-bert/bert-large-cased", 762, 28996, 512 },
        { "roberta-base", 481, 50265, 512 },       { "FacebookAI/roberta-large", 482, 50265, 512 },
        { "bert-base-chinese", 624, 21128, 512 },  { "bert-base-multilingual-cased", 625, 119547, 512 },
    };
    struct config c;
    struct str out;

    (void)state;
    str_init(&out);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        str_clear(&out);
        assert_int_equal(config_preset(&c, cases[i].name), OK);
        config_write(&c, &out);
        assert_int_equal(out.length, cases[i].bytes);
        assert_int_equal(c.head, HEAD_MASKED);
        assert_true(c.sizes.vocab == cases[i].vocab && c.sizes.positions == cases[i].positions);
        config_release(&c);
    }
    str_release(&out);
}

static void heads(void **state)
{
    struct config c;

    (void)state;
    assert_int_equal(
        parse(&c,
              "{\"model_type\": \"bert\", \"hidden_size\": 24, \"architectures\": [\"BertForPreTraining\"]}"),
        OK);
    assert_string_equal(c.architecture, "BertForMaskedLM"); /* its masked-LM part */
    assert_true(c.head == HEAD_MASKED && c.pad == 0);
    assert_int_equal(config_set_head(&c, HEAD_CLASSIFICATION), OK);
    assert_string_equal(c.architecture, "BertForSequenceClassification");
    assert_true(c.head == HEAD_CLASSIFICATION && c.labels == 2 && c.problem == PROBLEM_UNSAID);
    assert_int_equal(config_set(&c, "num_labels", "1"), OK);
    assert_int_equal(config_set(&c, "problem_type", "\"regression\""), OK);
    assert_true(c.labels == 1 && c.problem == PROBLEM_REGRESSION);
    assert_int_equal(config_set_head(&c, HEAD_CONDITIONAL), ERR_CONFIG);
    config_release(&c);
    error_clear();
    assert_int_equal(parse(&c, "{\"model_type\": \"roberta\", \"hidden_size\": 24, \"pad_token_id\": null}"),
                     ERR_CONFIG);
    error_clear();
    assert_int_equal(parse(&c, "{\"model_type\": \"bert\", \"hidden_size\": 24, \"pad_token_id\": null}"),
                     OK);
    assert_true(c.pad == INT_NONE && c.labels == 2);
    config_release(&c);
}

static void defaults_by_type(void **state)
{
    const struct field *width;
    struct config c, bare;
    char text[100];

    (void)state;
    for (size_t i = 0; model_table[i]; i++) {
        assert_int_equal(config_default(&c, model_table[i]->name), OK);
        assert_ptr_equal(c.def, model_table[i]);
        for (width = c.def->fields; width->preset;) /* the one key that has no default */
            width++;
        snprintf(text, sizeof(text), "{\"model_type\": \"%s\", \"%s\": %s}", c.def->name, width->key,
                 config_get(&c, width->key));
        assert_int_equal(parse(&bare, text), OK);
        assert_memory_equal(bare.values, c.values, c.def->config_bytes); /* the table and the class agree */
        config_release(&bare);
        config_release(&c);
    }
    assert_int_equal(config_default(&c, "gpt3"), ERR_CONFIG);
    error_clear();
}

static void files(void **state)
{
    struct config c;
    char *path = scratch_path(state, "config.json"), *directory = scratch_path(state, "");

    error_clear();
    assert_int_equal(config_load(&c, directory), ERR_OPEN);
    scratch_put(path, "{\"model_type\": \"gpt2\", \"n_embd\": 24}", 36);
    error_clear();
    assert_int_equal(config_load(&c, directory), OK);
    config_release(&c);
    assert_int_equal(config_load(&c, path), OK);
    config_release(&c);
    mem_free(path);
    mem_free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_defaults),
        cmocka_unit_test(refusals_say_key_found_and_expected),
        cmocka_unit_test(whole_texts_refused),
        cmocka_unit_test(changes_all_or_none),
        cmocka_unit_test(wrong_overrides),
        cmocka_unit_test(written_as_transformers_does),
        cmocka_unit_test(presets_are_the_published_files),
        cmocka_unit_test(encoder_presets),
        cmocka_unit_test(heads),
        cmocka_unit_test(defaults_by_type),
        cmocka_unit_test_setup_teardown(files, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
