/* Configs that plait knows by itself: the published config.json of well-known models, key for key, and for
 * each architecture what transformers' configuration class takes by default. A row is a JSON text, or one
 * that is changed in a few keys. Found by name when there is neither a directory nor a file nor a snapshot in
 * a cache. */
#include <string.h>

#include "base/err.h"
#include "models/config_internal.h"

static const char gpt2_default[] =
    "{\"activation_function\": \"gelu_new\", \"add_cross_attention\": false, \"attn_pdrop\": 0.1,"
    " \"bos_token_id\": 50256, \"embd_pdrop\": 0.1, \"eos_token_id\": 50256,"
    " \"initializer_range\": 0.02, \"layer_norm_epsilon\": 1e-05, \"model_type\": \"gpt2\","
    " \"n_embd\": 768, \"n_head\": 12, \"n_inner\": null, \"n_layer\": 12, \"n_positions\": 1024,"
    " \"pad_token_id\": null, \"reorder_and_upcast_attn\": false, \"resid_pdrop\": 0.1,"
    " \"scale_attn_by_inverse_layer_idx\": false, \"scale_attn_weights\": true,"
    " \"summary_activation\": null, \"summary_first_dropout\": 0.1, \"summary_proj_to_labels\": true,"
    " \"summary_type\": \"cls_index\", \"summary_use_proj\": true, \"tie_word_embeddings\": true,"
    " \"use_cache\": true, \"vocab_size\": 50257}";

static const char gpt2[] =
    "{\"activation_function\": \"gelu_new\", \"architectures\": [\"GPT2LMHeadModel\"],"
    " \"attn_pdrop\": 0.1, \"bos_token_id\": 50256, \"embd_pdrop\": 0.1, \"eos_token_id\": 50256,"
    " \"initializer_range\": 0.02, \"layer_norm_epsilon\": 1e-05, \"model_type\": \"gpt2\","
    " \"n_ctx\": 1024, \"n_embd\": 768, \"n_head\": 12, \"n_layer\": 12, \"n_positions\": 1024,"
    " \"resid_pdrop\": 0.1, \"summary_activation\": null, \"summary_first_dropout\": 0.1,"
    " \"summary_proj_to_labels\": true, \"summary_type\": \"cls_index\", \"summary_use_proj\": true,"
    " \"task_specific_params\": {\"text-generation\": {\"do_sample\": true, \"max_length\": 50}},"
    " \"vocab_size\": 50257}";

static const char bert_default[] =
    "{\"add_cross_attention\": false, \"attention_probs_dropout_prob\": 0.1, \"bos_token_id\": null,"
    " \"classifier_dropout\": null, \"eos_token_id\": null, \"hidden_act\": \"gelu\","
    " \"hidden_dropout_prob\": 0.1, \"hidden_size\": 768, \"initializer_range\": 0.02,"
    " \"intermediate_size\": 3072, \"is_decoder\": false, \"layer_norm_eps\": 1e-12,"
    " \"max_position_embeddings\": 512, \"model_type\": \"bert\", \"num_attention_heads\": 12,"
    " \"num_hidden_layers\": 12, \"pad_token_id\": 0, \"tie_word_embeddings\": true,"
    " \"type_vocab_size\": 2, \"use_cache\": true, \"vocab_size\": 30522}";

static const char roberta_default[] =
    "{\"add_cross_attention\": false, \"attention_probs_dropout_prob\": 0.1, \"bos_token_id\": 0,"
    " \"classifier_dropout\": null, \"eos_token_id\": 2, \"hidden_act\": \"gelu\","
    " \"hidden_dropout_prob\": 0.1, \"hidden_size\": 768, \"initializer_range\": 0.02,"
    " \"intermediate_size\": 3072, \"is_decoder\": false, \"layer_norm_eps\": 1e-12,"
    " \"max_position_embeddings\": 512, \"model_type\": \"roberta\", \"num_attention_heads\": 12,"
    " \"num_hidden_layers\": 12, \"pad_token_id\": 1, \"tie_word_embeddings\": true,"
    " \"type_vocab_size\": 2, \"use_cache\": true, \"vocab_size\": 50265}";

static const char bert[] =
    "{\"architectures\": [\"BertForMaskedLM\"], \"attention_probs_dropout_prob\": 0.1,"
    " \"gradient_checkpointing\": false, \"hidden_act\": \"gelu\", \"hidden_dropout_prob\": 0.1,"
    " \"hidden_size\": 768, \"initializer_range\": 0.02, \"intermediate_size\": 3072,"
    " \"layer_norm_eps\": 1e-12, \"max_position_embeddings\": 512, \"model_type\": \"bert\","
    " \"num_attention_heads\": 12, \"num_hidden_layers\": 12, \"pad_token_id\": 0,"
    " \"position_embedding_type\": \"absolute\", \"transformers_version\": \"4.6.0.dev0\","
    " \"type_vocab_size\": 2, \"use_cache\": true, \"vocab_size\": 30522}";

static const char bert_2018[] = /* of the first models, with the pooler's keys and without newer ones */
    "{\"architectures\": [\"BertForMaskedLM\"], \"attention_probs_dropout_prob\": 0.1,"
    " \"directionality\": \"bidi\", \"hidden_act\": \"gelu\", \"hidden_dropout_prob\": 0.1,"
    " \"hidden_size\": 768, \"initializer_range\": 0.02, \"intermediate_size\": 3072,"
    " \"layer_norm_eps\": 1e-12, \"max_position_embeddings\": 512, \"model_type\": \"bert\","
    " \"num_attention_heads\": 12, \"num_hidden_layers\": 12, \"pad_token_id\": 0,"
    " \"pooler_fc_size\": 768, \"pooler_num_attention_heads\": 12, \"pooler_num_fc_layers\": 3,"
    " \"pooler_size_per_head\": 128, \"pooler_type\": \"first_token_transform\","
    " \"type_vocab_size\": 2, \"vocab_size\": 21128}";

static const char roberta[] =
    "{\"architectures\": [\"RobertaForMaskedLM\"], \"attention_probs_dropout_prob\": 0.1,"
    " \"bos_token_id\": 0, \"eos_token_id\": 2, \"hidden_act\": \"gelu\","
    " \"hidden_dropout_prob\": 0.1, \"hidden_size\": 768, \"initializer_range\": 0.02,"
    " \"intermediate_size\": 3072, \"layer_norm_eps\": 1e-05, \"max_position_embeddings\": 514,"
    " \"model_type\": \"roberta\", \"num_attention_heads\": 12, \"num_hidden_layers\": 12,"
    " \"pad_token_id\": 1, \"type_vocab_size\": 1, \"vocab_size\": 50265}";

static const char gpt_neo_default[] =
    "{\"activation_function\": \"gelu_new\", \"attention_dropout\": 0.0,"
    " \"attention_types\": [[[\"global\", \"local\"], 12]], \"bos_token_id\": 50256,"
    " \"classifier_dropout\": 0.1, \"embed_dropout\": 0.0, \"eos_token_id\": 50256,"
    " \"hidden_size\": 2048, \"initializer_range\": 0.02, \"intermediate_size\": null,"
    " \"layer_norm_epsilon\": 1e-05, \"max_position_embeddings\": 2048, \"model_type\": \"gpt_neo\","
    " \"num_heads\": 16, \"num_layers\": 24, \"pad_token_id\": null, \"resid_dropout\": 0.0,"
    " \"tie_word_embeddings\": true, \"use_cache\": true, \"vocab_size\": 50257, \"window_size\": 256}";

static const char gpt_neo[] =
    "{\"activation_function\": \"gelu_new\", \"architectures\": [\"GPTNeoForCausalLM\"],"
    " \"attention_dropout\": 0, \"bos_token_id\": 50256, \"embed_dropout\": 0, \"eos_token_id\": 50256,"
    " \"gradient_checkpointing\": false, \"initializer_range\": 0.02, \"intermediate_size\": null,"
    " \"layer_norm_epsilon\": 1e-05, \"max_position_embeddings\": 2048, \"model_type\": \"gpt_neo\","
    " \"resid_dropout\": 0, \"summary_activation\": null, \"summary_first_dropout\": 0.1,"
    " \"summary_proj_to_labels\": true, \"summary_type\": \"cls_index\", \"summary_use_proj\": true,"
    " \"transformers_version\": \"4.9.0.dev0\", \"use_cache\": true, \"vocab_size\": 50257,"
    " \"window_size\": 256}";

#define TWO_LAYERS   "\"global\", \"local\""
#define EIGHT_LAYERS TWO_LAYERS ", " TWO_LAYERS ", " TWO_LAYERS ", " TWO_LAYERS
#define NEO_TASKS                                                                                \
    " \"task_specific_params\": {\"text-generation\": {\"do_sample\": true, \"max_length\": 50," \
    " \"temperature\": 0.9}}, \"tokenizer_class\": \"GPT2Tokenizer\""

static const char llama_default[] =
    "{\"attention_bias\": false, \"attention_dropout\": 0.0, \"bos_token_id\": 1, \"eos_token_id\": 2,"
    " \"hidden_act\": \"silu\", \"hidden_size\": 4096, \"initializer_range\": 0.02,"
    " \"intermediate_size\": 11008, \"max_position_embeddings\": 2048, \"mlp_bias\": false,"
    " \"model_type\": \"llama\", \"num_attention_heads\": 32, \"num_hidden_layers\": 32,"
    " \"num_key_value_heads\": null, \"pad_token_id\": null, \"pretraining_tp\": 1,"
    " \"rms_norm_eps\": 1e-06, \"rope_scaling\": null, \"rope_theta\": 10000.0,"
    " \"tie_word_embeddings\": false, \"use_cache\": true, \"vocab_size\": 32000}";

static const char llama[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"bos_token_id\": 1, \"eos_token_id\": 2,"
    " \"hidden_act\": \"silu\", \"hidden_size\": 4096, \"intermediate_size\": 11008,"
    " \"initializer_range\": 0.02, \"max_position_embeddings\": 2048, \"max_sequence_length\": 2048,"
    " \"model_type\": \"llama\", \"num_attention_heads\": 32, \"num_hidden_layers\": 32,"
    " \"pad_token_id\": 0, \"rms_norm_eps\": 1e-06, \"tie_word_embeddings\": false,"
    " \"torch_dtype\": \"float16\", \"transformers_version\": \"4.28.0.dev0\", \"use_cache\": true,"
    " \"vocab_size\": 32000}";

static const char t5_default[] =
    "{\"classifier_dropout\": 0.0, \"d_ff\": 2048, \"d_kv\": 64, \"d_model\": 512, \"dropout_rate\": 0.1,"
    " \"eos_token_id\": 1, \"feed_forward_proj\": \"relu\", \"initializer_factor\": 1.0,"
    " \"is_encoder_decoder\": true, \"layer_norm_epsilon\": 1e-06, \"model_type\": \"t5\","
    " \"num_decoder_layers\": null, \"num_heads\": 8, \"num_layers\": 6, \"pad_token_id\": 0,"
    " \"relative_attention_max_distance\": 128, \"relative_attention_num_buckets\": 32,"
    " \"tie_word_embeddings\": true, \"use_cache\": true, \"vocab_size\": 32128}";

static const char t5_small[] =
    "{\"architectures\": [\"T5ForConditionalGeneration\"], \"d_ff\": 2048, \"d_kv\": 64,"
    " \"d_model\": 512, \"decoder_start_token_id\": 0, \"dropout_rate\": 0.1, \"eos_token_id\": 1,"
    " \"initializer_factor\": 1.0, \"is_encoder_decoder\": true, \"layer_norm_epsilon\": 1e-06,"
    " \"model_type\": \"t5\", \"n_positions\": 512, \"num_heads\": 8, \"num_layers\": 6,"
    " \"output_past\": true, \"pad_token_id\": 0, \"relative_attention_num_buckets\": 32,"
    " \"task_specific_params\": {\"summarization\": {\"early_stopping\": true, \"length_penalty\": 2.0,"
    " \"max_length\": 200, \"min_length\": 30, \"no_repeat_ngram_size\": 3, \"num_beams\": 4,"
    " \"prefix\": \"summarize: \"},"
    " \"translation_en_to_de\": {\"early_stopping\": true, \"max_length\": 300, \"num_beams\": 4,"
    " \"prefix\": \"translate English to German: \"},"
    " \"translation_en_to_fr\": {\"early_stopping\": true, \"max_length\": 300, \"num_beams\": 4,"
    " \"prefix\": \"translate English to French: \"},"
    " \"translation_en_to_ro\": {\"early_stopping\": true, \"max_length\": 300, \"num_beams\": 4,"
    " \"prefix\": \"translate English to Romanian: \"}}, \"vocab_size\": 32128}";

static const char t5_v1_1_small[] =
    "{\"architectures\": [\"T5ForConditionalGeneration\"], \"d_ff\": 1024, \"d_kv\": 64,"
    " \"d_model\": 512, \"decoder_start_token_id\": 0, \"dropout_rate\": 0.1, \"eos_token_id\": 1,"
    " \"feed_forward_proj\": \"gated-gelu\", \"initializer_factor\": 1.0, \"is_encoder_decoder\": true,"
    " \"layer_norm_epsilon\": 1e-06, \"model_type\": \"t5\", \"num_decoder_layers\": 8,"
    " \"num_heads\": 6, \"num_layers\": 8, \"output_past\": true, \"pad_token_id\": 0,"
    " \"relative_attention_num_buckets\": 32, \"tie_word_embeddings\": false, \"use_cache\": true,"
    " \"vocab_size\": 32128}";

static const struct {
    const char *model_type, *json;
} defaults[] = {
    { "gpt2", gpt2_default },       { "bert", bert_default },   { "roberta", roberta_default },
    { "gpt_neo", gpt_neo_default }, { "llama", llama_default }, { "t5", t5_default },
};

static const struct preset {
    const char *name, *other_name; /* of today, and the old one without organisation (NULL: none) */
    const char *json, *changes;    /* changes: an object with other or more keys, or NULL */
} presets[] = {
    { "openai-community/gpt2", "gpt2", gpt2, NULL },
    { "openai-community/gpt2-medium", "gpt2-medium", gpt2,
      "{\"n_embd\": 1024, \"n_head\": 16, \"n_layer\": 24, \"n_special\": 0,"
      " \"predict_special_tokens\": true}" },
    { "openai-community/gpt2-large", "gpt2-large", gpt2,
      "{\"n_embd\": 1280, \"n_head\": 20, \"n_layer\": 36}" },
    { "openai-community/gpt2-xl", "gpt2-xl", gpt2,
      "{\"n_embd\": 1600, \"n_head\": 25, \"n_layer\": 48, \"output_past\": true}" },
    { "distilbert/distilgpt2", "distilgpt2", gpt2,
      "{\"n_layer\": 6, \"_num_labels\": 1, \"id2label\": {\"0\": \"LABEL_0\"},"
      " \"label2id\": {\"LABEL_0\": 0}}" },
    { "google-bert/bert-base-uncased", "bert-base-uncased", bert, NULL },
    { "google-bert/bert-base-cased", "bert-base-cased", bert, "{\"vocab_size\": 28996}" },
    { "google-bert/bert-large-uncased", "bert-large-uncased", bert,
      "{\"hidden_size\": 1024, \"intermediate_size\": 4096, \"num_attention_heads\": 16,"
      " \"num_hidden_layers\": 24}" },
    { "google-bert/bert-large-cased", "bert-large-cased", bert,
      "{\"hidden_size\": 1024, \"intermediate_size\": 4096, \"num_attention_heads\": 16,"
      " \"num_hidden_layers\": 24, \"directionality\": \"bidi\", \"pooler_fc_size\": 768,"
      " \"pooler_num_attention_heads\": 12, \"pooler_num_fc_layers\": 3, \"pooler_size_per_head\": 128,"
      " \"pooler_type\": \"first_token_transform\", \"vocab_size\": 28996}" },
    { "google-bert/bert-base-chinese", "bert-base-chinese", bert_2018, NULL },
    { "google-bert/bert-base-multilingual-cased", "bert-base-multilingual-cased", bert_2018,
      "{\"vocab_size\": 119547}" },
    { "google-bert/bert-base-multilingual-uncased", "bert-base-multilingual-uncased", bert_2018,
      "{\"vocab_size\": 105879}" },
    { "FacebookAI/roberta-base", "roberta-base", roberta, NULL },
    { "FacebookAI/roberta-large", "roberta-large", roberta,
      "{\"hidden_size\": 1024, \"intermediate_size\": 4096, \"num_attention_heads\": 16,"
      " \"num_hidden_layers\": 24}" },
    { "EleutherAI/gpt-neo-125m", "EleutherAI/gpt-neo-125M", gpt_neo,
      "{\"attention_layers\": [" EIGHT_LAYERS ", " TWO_LAYERS ", " TWO_LAYERS "],"
      " \"attention_types\": [[[\"global\", \"local\"], 6]], \"hidden_size\": 768, \"num_heads\": 12,"
      " \"num_layers\": 12}" },
    { "EleutherAI/gpt-neo-1.3B", NULL, gpt_neo,
      "{\"attention_layers\": [" EIGHT_LAYERS ", " EIGHT_LAYERS ", " EIGHT_LAYERS "],"
      " \"attention_types\": [[[\"global\", \"local\"], 12]], \"hidden_size\": 2048, \"num_heads\": 16,"
      " \"num_layers\": 24," NEO_TASKS "}" },
    { "EleutherAI/gpt-neo-2.7B", NULL, gpt_neo,
      "{\"attention_layers\": [" EIGHT_LAYERS ", " EIGHT_LAYERS ", " EIGHT_LAYERS ", " EIGHT_LAYERS "],"
      " \"attention_types\": [[[\"global\", \"local\"], 16]], \"hidden_size\": 2560, \"num_heads\": 20,"
      " \"num_layers\": 32," NEO_TASKS "}" },
    { "huggyllama/llama-7b", NULL, llama, NULL },
    { "huggyllama/llama-13b", NULL, llama,
      "{\"hidden_size\": 5120, \"intermediate_size\": 13824, \"num_attention_heads\": 40,"
      " \"num_hidden_layers\": 40}" },
    { "huggyllama/llama-30b", NULL, llama,
      "{\"hidden_size\": 6656, \"intermediate_size\": 17920, \"num_attention_heads\": 52,"
      " \"num_hidden_layers\": 60}" },
    { "huggyllama/llama-65b", NULL, llama,
      "{\"hidden_size\": 8192, \"intermediate_size\": 22016, \"num_attention_heads\": 64,"
      " \"num_hidden_layers\": 80, \"rms_norm_eps\": 1e-05}" },
    { "google-t5/t5-small", "t5-small", t5_small, NULL },
    { "google-t5/t5-base", "t5-base", t5_small,
      "{\"d_ff\": 3072, \"d_model\": 768, \"num_heads\": 12, \"num_layers\": 12}" },
    { "google-t5/t5-large", "t5-large", t5_small,
      "{\"d_ff\": 4096, \"d_model\": 1024, \"num_heads\": 16, \"num_layers\": 24}" },
    { "google-t5/t5-3b", "t5-3b", t5_small,
      "{\"d_ff\": 16384, \"d_kv\": 128, \"d_model\": 1024, \"num_heads\": 32, \"num_layers\": 24}" },
    { "google-t5/t5-11b", "t5-11b", t5_small,
      "{\"d_ff\": 65536, \"d_kv\": 128, \"d_model\": 1024, \"num_heads\": 128, \"num_layers\": 24}" },
    { "google/t5-v1_1-small", "t5-v1_1-small", t5_v1_1_small, NULL },
    { "google/t5-v1_1-base", "t5-v1_1-base", t5_v1_1_small,
      "{\"d_ff\": 2048, \"d_model\": 768, \"num_decoder_layers\": 12, \"num_heads\": 12,"
      " \"num_layers\": 12}" },
    { "google/t5-v1_1-large", "t5-v1_1-large", t5_v1_1_small,
      "{\"d_ff\": 2816, \"d_model\": 1024, \"num_decoder_layers\": 24, \"num_heads\": 16,"
      " \"num_layers\": 24}" },
    { "google/t5-v1_1-xl", "t5-v1_1-xl", t5_v1_1_small,
      "{\"d_ff\": 5120, \"d_model\": 2048, \"num_decoder_layers\": 24, \"num_heads\": 32,"
      " \"num_layers\": 24}" },
    { "google/t5-v1_1-xxl", "t5-v1_1-xxl", t5_v1_1_small,
      "{\"d_ff\": 10240, \"d_model\": 4096, \"num_decoder_layers\": 24, \"num_heads\": 64,"
      " \"num_layers\": 24}" },
};

enum { PRESETS = sizeof(presets) / sizeof(presets[0]), DEFAULTS = sizeof(defaults) / sizeof(defaults[0]) };

static int fail_no_preset(const char *name)
{
    const char *names[2 * PRESETS], *nearest;
    struct str known;
    size_t count = 0;

    str_init(&known);
    for (size_t i = 0; i < PRESETS; i++) {
        names[count++] = presets[i].name;
        if (presets[i].other_name)
            names[count++] = presets[i].other_name;
        str_appendf(&known, "%s%s", i ? ", " : "", presets[i].name);
    }
    nearest = str_nearest(name, names, count);
    fail(ERR_CONFIG, "%s: no built-in config of this name (expected one of %s%s%s%s)", name, known.data,
         nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    str_release(&known);
    return ERR_CONFIG;
}

static int read_texts(struct config *c, const char *name, const char *json, const char *changes)
{
    int status;

    *c = (struct config){ .name = mem_strdup(name) };
    status = config_read_keys(c, json, strlen(json));
    if (status == OK && changes)
        status = config_read_keys(c, changes, strlen(changes));
    if (status == OK)
        status = config_read_values(c);
    if (status != OK)
        BUG("built-in config %s: %s", name, error_message());
    return OK;
}

int config_preset(struct config *c, const char *name)
{
    for (size_t i = 0; i < PRESETS; i++) {
        const struct preset *p = &presets[i];
        if (strcmp(name, p->name) == 0 || (p->other_name && strcmp(name, p->other_name) == 0))
            return read_texts(c, p->name, p->json, p->changes);
    }
    return fail_no_preset(name);
}

const char *config_default_text(const char *model_type)
{
    for (size_t i = 0; i < DEFAULTS; i++)
        if (strcmp(model_type, defaults[i].model_type) == 0)
            return defaults[i].json;
    return NULL;
}

int config_default(struct config *c, const char *model_type)
{
    const char *json = config_default_text(model_type), *names[DEFAULTS], *nearest;
    struct str known;

    if (json)
        return read_texts(c, model_type, json, NULL);
    str_init(&known);
    for (size_t i = 0; i < DEFAULTS; i++) {
        names[i] = defaults[i].model_type;
        str_appendf(&known, "%s%s", i ? ", " : "", names[i]);
    }
    nearest = str_nearest(model_type, names, DEFAULTS);
    fail(ERR_CONFIG, "model_type \"%.60s\" is not supported (expected one of %s%s%s%s)", model_type,
         known.data, nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    str_release(&known);
    return ERR_CONFIG;
}
