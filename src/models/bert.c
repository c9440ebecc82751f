/* bert -- post-norm encoder with learned positions and segments. Devlin et al., "BERT: Pre-training of Deep
 * Bidirectional Transformers for Language Understanding", 2018; names and keys of transformers' BertConfig.
 * BertForPreTraining is taken for its masked-LM part. */
#include "models/bert.h"

#include <math.h>
#include <stdio.h>

#include "base/err.h"

static const struct field fields[] = {
    { "vocab_size", FIELD_INT, offsetof(struct bert, vocab), "30522", 1, 1 << 30, NULL },
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
    { "pad_token_id", FIELD_TOKEN, offsetof(struct bert, pad), "0", 0, 0, NULL },
    { "tie_word_embeddings", FIELD_BOOL, offsetof(struct bert, tied), "true", 0, 0, NULL },
    { "is_decoder", FIELD_BOOL, offsetof(struct bert, decoder), "false", 0, 0, NULL },
    { 0 },
};

const struct field bert_refused[] = {
    { "position_embedding_type", FIELD_BOOL, 0, "\"absolute\"", 0, 0, NULL },
    { "add_cross_attention", FIELD_BOOL, 0, "false", 0, 0, NULL },
    { "pruned_heads", FIELD_BOOL, 0, "{}", 0, 0, NULL },
    { 0 },
};

int bert_check(const void *config)
{
    const struct bert *c = config;

    if (c->width % c->heads != 0)
        return fail(ERR_CONFIG, "$.hidden_size %lld is not a multiple of $.num_attention_heads %lld",
                    (long long)c->width, (long long)c->heads);
    if (c->pad != INT_NONE && c->pad >= c->vocab)
        return fail(ERR_CONFIG, "$.pad_token_id %lld is not below $.vocab_size %lld", (long long)c->pad,
                    (long long)c->vocab);
    return OK;
}

void bert_sizes(const void *config, struct model_sizes *out)
{
    const struct bert *c = config;

    *out = (struct model_sizes){ .vocab = c->vocab,
                                 .positions = c->positions,
                                 .token_types = c->types,
                                 .width = c->width,
                                 .layers = c->layers,
                                 .heads = c->heads,
                                 .causal = c->decoder };
}

/* ---- trunk ---- */

struct tensor *bert_dense(struct builder *b, const struct bert *c, const char *name, struct tensor *x,
                          int64_t from, int64_t to)
{
    return linear_layer(b, name, x,
                        &(struct linear_options){ .in_ndim = 1,
                                                  .in = { from },
                                                  .out_ndim = 1,
                                                  .out = { to },
                                                  .out_first = true,
                                                  .bias = true,
                                                  .init = c->init_range });
}

static struct tensor *heads_of(struct builder *b, const struct bert *c, const char *name, struct tensor *x)
{
    return linear_layer(b, name, x, /* (N, 1, H, K) */
                        &(struct linear_options){ .in_ndim = 1,
                                                  .in = { c->width },
                                                  .out_ndim = 3,
                                                  .out = { 1, c->heads, c->width / c->heads },
                                                  .out_first = true,
                                                  .bias = true,
                                                  .init = c->init_range });
}

static struct tensor *self_attention(struct builder *b, const struct bert *c, const struct model_inputs *in,
                                     struct tensor *x)
{
    int64_t head_width = c->width / c->heads;
    struct tensor *q, *k, *v;

    scope_begin(b, "self");
    q = heads_of(b, c, "query", x);
    k = heads_of(b, c, "key", x);
    v = heads_of(b, c, "value", x);
    x = attention_layer(b, in, q, k, v,
                        &(struct attention_options){ .causal = c->decoder,
                                                     .scale = 1 / sqrt((double)head_width),
                                                     .dropout = c->attention_dropout });
    scope_end(b, "self");
    scope_begin(b, "output");
    x = linear_layer(b, "dense", x, /* (N, D) */
                     &(struct linear_options){ .in_ndim = 2,
                                               .in = { c->heads, head_width },
                                               .out_ndim = 1,
                                               .out = { c->width },
                                               .out_first = true,
                                               .bias = true,
                                               .init = c->init_range });
    scope_end(b, "output");
    return x;
}

/* What follows an attention or an MLP: norm(x + dropout(h)), in scope "output". */
static struct tensor *add_norm(struct builder *b, const struct bert *c, const struct model_inputs *in,
                               struct tensor *x, struct tensor *h)
{
    scope_begin(b, "output");
    h = dropout(b, h, in->rows.sequences.place, c->hidden_dropout);
    x = norm_layer(b, "LayerNorm", add(b, h, x), c->eps);
    scope_end(b, "output");
    return x;
}

static struct tensor *block(struct builder *b, const struct bert *c, const struct model_inputs *in,
                            struct tensor *x)
{
    struct tensor *h;

    scope_begin(b, "attention");
    x = add_norm(b, c, in, x, self_attention(b, c, in, x));
    scope_end(b, "attention");
    scope_begin(b, "intermediate");
    h = activation(b, bert_dense(b, c, "dense", x, c->width, c->inner), (enum activation_kind)c->act);
    scope_end(b, "intermediate");
    scope_begin(b, "output");
    h = bert_dense(b, c, "dense", h, c->inner, c->width);
    scope_end(b, "output");
    return add_norm(b, c, in, x, h);
}

static struct tensor *embeddings(struct builder *b, const struct bert *c, const struct model_inputs *in,
                                 int64_t position_padding, struct tensor **table)
{
    struct tensor *positions, *types, *x;

    scope_begin(b, "embeddings");
    *table = padded_table(b, "word_embeddings.weight", (const int64_t[]){ c->vocab, c->width }, c->init_range,
                          c->pad);
    positions = padded_table(b, "position_embeddings.weight", (const int64_t[]){ c->positions, c->width },
                             c->init_range, position_padding);
    types = embedding_table(b, "token_type_embeddings.weight", c->types, c->width, c->init_range);
    x = padded_embedding(b, *table, in->rows.ids, c->pad); /* (N, D) */
    x = add(b, x, embedding(b, types, in->rows.token_types));
    x = add(b, x, padded_embedding(b, positions, in->rows.positions, position_padding));
    x = norm_layer(b, "LayerNorm", x, c->eps);
    x = dropout(b, x, in->rows.sequences.place, c->hidden_dropout);
    scope_end(b, "embeddings");
    return x;
}

struct tensor *bert_trunk(struct builder *b, const struct bert *c, const struct model_inputs *in,
                          int64_t position_padding, struct tensor **table)
{
    struct tensor *x = embeddings(b, c, in, position_padding, table);
    char name[40];

    for (int i = 0; i < c->layers; i++) {
        snprintf(name, sizeof(name), "encoder.layer.%d", i);
        layer_begin(b, i, name);
        x = block(b, c, in, x);
        layer_end(b, name);
    }
    return x;
}

/* ---- heads ---- */

struct tensor *bert_pool(struct builder *b, const struct bert *c, const char *scope, struct tensor *x)
{
    scope_begin(b, scope);
    x = activation(b, bert_dense(b, c, "dense", x, c->width, c->width), ACT_TANH);
    scope_end(b, scope);
    return x;
}

double bert_classifier_dropout(const struct bert *c)
{
    return isnan(c->classifier_dropout) ? c->hidden_dropout : c->classifier_dropout;
}

struct head bert_decoder(struct builder *b, const struct bert *c, struct tensor *table, const char *decoder,
                         const char *bias)
{
    const struct param_info unread = { .file_ndim = 1, .file_dims = { c->vocab }, .init = INIT_ZERO };

    if (c->tied)
        return (struct head){ .weight = table,
                              .bias = vector_param(b, bias, c->vocab, INIT_ZERO),
                              .out_first = true };
    graph_param(b, bias, &unread, 1, &c->vocab);
    return projection_head(b, decoder, &(struct projection){ c->vocab, c->width, true, c->init_range });
}

static struct tensor *transform(struct builder *b, const void *config, struct tensor *x, struct tensor *place)
{
    const struct bert *c = config;

    (void)place;
    scope_begin(b, "cls.predictions.transform");
    x = activation(b, bert_dense(b, c, "dense", x, c->width, c->width), (enum activation_kind)c->act);
    x = norm_layer(b, "LayerNorm", x, c->eps);
    scope_end(b, "cls.predictions.transform");
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
    return dropout(b, bert_pool(b, config, "bert.pooler", x), place, bert_classifier_dropout(config));
}

static void build(struct builder *b, const void *config, const struct model_inputs *in,
                  struct model_outputs *out)
{
    const struct bert *c = config;
    struct tensor *table;

    trunk_begin(b, in, "bert");
    out->hidden = bert_trunk(b, c, in, INT_NONE, &table);
    trunk_end(b, in, "bert");
    if (in->head == HEAD_MASKED || in->head == HEAD_CAUSAL) {
        out->head = bert_decoder(b, c, table, "cls.predictions.decoder", "cls.predictions.bias");
        out->head.prepare = transform;
    } else if (in->head == HEAD_CLASSIFICATION) {
        out->head = projection_head(b, "classifier",
                                    &(struct projection){ in->labels, c->width, true, c->init_range });
        out->head.prepare = pool_for_class;
    } else if (!in->no_pooler) {
        out->head.prepare = pool;
    }
}

static const struct architecture architectures[] = {
    { "BertForMaskedLM", HEAD_MASKED }, { "BertForPreTraining", HEAD_MASKED },
    { "BertLMHeadModel", HEAD_CAUSAL }, { "BertForSequenceClassification", HEAD_CLASSIFICATION },
    { "BertModel", HEAD_NONE },         { 0 },
};
static const char *const ignored[] = { "embeddings.position_ids", "embeddings.token_type_ids", NULL };
static const struct tied_tensor tied[] = {
    { "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight" },
    { "cls.predictions.decoder.bias", "cls.predictions.bias" },
    { 0 },
};

const struct model_def model_bert = {
    .name = "bert",
    .architectures = architectures,
    .prefix = "bert.",
    .ignored_tensors = ignored,
    .tied = tied,
    .pooler = "pooler.dense.weight",
    .token_types = true,
    .config_bytes = sizeof(struct bert),
    .fields = fields,
    .refused = bert_refused,
    .check = bert_check,
    .sizes = bert_sizes,
    .build = build,
};
