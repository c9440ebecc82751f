/* roberta -- BERT's trunk with position ids that begin behind the padding id's, and heads of its own. Liu et
 * al., "RoBERTa: A Robustly Optimized BERT Pretraining Approach", 2019; names and keys of transformers'
 * RobertaConfig. */
#include "base/err.h"
#include "models/bert.h"

static const struct field fields[] = {
    { "vocab_size", FIELD_INT, offsetof(struct bert, vocab), "50265", 1, 1 << 30, NULL },
    { "hidden_size", FIELD_INT, offsetof(struct bert, width), NULL, 1, 1 << 24, NULL },
    { "num_hidden_layers", FIELD_INT, offsetof(struct bert, layers), "12", 1, 4096, NULL },
    { "num_attention_heads", FIELD_INT, offsetof(struct bert, heads), "12", 1, 1 << 20, NULL },
    { "intermediate_size", FIELD_INT, offsetof(struct bert, inner), "3072", 1, 1 << 26, NULL },
    { "hidden_act", FIELD_ACTIVATION, offsetof(struct bert, act), "\"gelu\"", 0, 0, NULL },
    { "hidden_dropout_prob", FIELD_DOUBLE, offsetof(struct bert, hidden_dropout), "0.1", 0, 0.999, NULL },
    { "attention_probs_dropout_prob", FIELD_DOUBLE, offsetof(struct bert, attention_dropout), "0.1", 0, 0.999,
      NULL },
    { "classifier_dropout", FIELD_DOUBLE, offsetof(struct bert, classifier_dropout), "null", 0, 0.999, NULL },
    { "max_position_embeddings", FIELD_INT, offsetof(struct bert, positions), "512", 1, 1 << 30, NULL },
    { "type_vocab_size", FIELD_INT, offsetof(struct bert, types), "2", 1, 1 << 30, NULL },
    { "initializer_range", FIELD_DOUBLE, offsetof(struct bert, init_range), "0.02", 0, 1e3, NULL },
    { "layer_norm_eps", FIELD_DOUBLE, offsetof(struct bert, eps), "1e-12", 1e-30, 1, NULL },
    { "pad_token_id", FIELD_TOKEN, offsetof(struct bert, pad), "1", 0, 0, NULL },
    { "tie_word_embeddings", FIELD_BOOL, offsetof(struct bert, tied), "true", 0, 0, NULL },
    { "is_decoder", FIELD_BOOL, offsetof(struct bert, decoder), "false", 0, 0, NULL },
    { 0 },
};

static int check(const void *config)
{
    const struct bert *c = config;

    TRY(bert_check(config));
    if (c->pad == INT_NONE)
        return fail(ERR_CONFIG, "$.pad_token_id is null, but position ids begin behind it");
    if (c->pad + 1 >= c->positions)
        return fail(ERR_CONFIG,
                    "$.max_position_embeddings %lld leaves no positions behind $.pad_token_id %lld",
                    (long long)c->positions, (long long)c->pad);
    return OK;
}

static void sizes(const void *config, struct model_sizes *out)
{
    const struct bert *c = config;

    bert_sizes(config, out);
    out->first_position = c->pad + 1;
    out->positions -= out->first_position;
}

static struct tensor *transform(struct builder *b, const void *config, struct tensor *x, struct tensor *place)
{
    const struct bert *c = config;

    (void)place;
    scope_begin(b, "lm_head");
    x = activation(b, bert_dense(b, c, "dense", x, c->width, c->width), ACT_GELU_ERF);
    x = norm_layer(b, "layer_norm", x, c->eps);
    scope_end(b, "lm_head");
    return x;
}

static struct tensor *pool(struct builder *b, const void *config, struct tensor *x, struct tensor *place)
{
    (void)place;
    return bert_pool(b, config, "pooler", x);
}

static struct tensor *pool_for_class(struct builder *b, const void *config, struct tensor *x,
                                     struct tensor *place)
{
    double p = bert_classifier_dropout(config);

    x = bert_pool(b, config, "classifier", dropout(b, x, place, p));
    return dropout(b, x, place, p);
}

static void build(struct builder *b, const void *config, const struct model_inputs *in,
                  struct model_outputs *out)
{
    const struct bert *c = config;
    struct tensor *table;

    trunk_begin(b, in, "roberta");
    out->hidden = bert_trunk(b, c, in, c->pad, &table);
    trunk_end(b, in, "roberta");
    if (in->head == HEAD_MASKED || in->head == HEAD_CAUSAL) {
        out->head = bert_decoder(b, c, table, "lm_head.decoder", "lm_head.bias");
        out->head.prepare = transform;
    } else if (in->head == HEAD_CLASSIFICATION) {
        out->head = projection_head(b, "classifier.out_proj",
                                    &(struct projection){ in->labels, c->width, true, c->init_range });
        out->head.prepare = pool_for_class;
    } else if (!in->no_pooler) {
        out->head.prepare = pool;
    }
}

static const struct architecture architectures[] = {
    { "RobertaForMaskedLM", HEAD_MASKED },
    { "RobertaForCausalLM", HEAD_CAUSAL },
    { "RobertaForSequenceClassification", HEAD_CLASSIFICATION },
    { "RobertaModel", HEAD_NONE },
    { 0 },
};
static const char *const ignored[] = { "embeddings.position_ids", "embeddings.token_type_ids", NULL };
static const struct tied_tensor tied[] = {
    { "lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight" },
    { "lm_head.decoder.bias", "lm_head.bias" },
    { 0 },
};

const struct model_def model_roberta = {
    .name = "roberta",
    .architectures = architectures,
    .prefix = "roberta.",
    .ignored_tensors = ignored,
    .tied = tied,
    .pooler = "pooler.dense.weight",
    .token_types = true,
    .config_bytes = sizeof(struct bert),
    .fields = fields,
    .refused = bert_refused,
    .check = check,
    .sizes = sizes,
    .build = build,
};
