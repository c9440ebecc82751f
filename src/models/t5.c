/* t5 -- encoder and decoder with relative positions: no position table, but a bias of each head on the scores
 * of self-attention, by the bucket of the distance; the first block's table serves all blocks of its stack.
 * Norms have no bias and no mean, linear layers no bias, scores are not scaled. Raffel et al., "Exploring the
 * limits of transfer learning with a unified text-to-text transformer", 2020; v1.1 (gated MLP, a head of its
 * own) after Shazeer, "GLU variants improve transformer", 2020. Names and keys of transformers' T5Config.
 *
 * Whether the head is the token table, and whether hidden states are scaled before it, were one question to
 * transformers until version 4: tie_word_embeddings. Version 5 always writes that as true, says
 * scale_decoder_outputs beside it, and lets the weights tell whether there is a head of its own. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "models/config.h"

struct t5 {
    int64_t vocab, width, head_width, inner, layers, decoder_layers, heads, buckets, max_distance;
    int64_t positions; /* that the model was trained with */
    double dropout, classifier_dropout, eps, factor;
    bool tied;
    int scaled, gated;                                      /* -1: not said */
    char feed_forward[FIELD_TEXT_MAX], act[FIELD_TEXT_MAX]; /* act: "" not said */
};

static const struct field fields[] = {
    { "vocab_size", FIELD_INT, offsetof(struct t5, vocab), "32128", 1, 1 << 30, NULL },
    { "d_model", FIELD_INT, offsetof(struct t5, width), NULL, 1, 1 << 24, "hidden_size" },
    { "d_kv", FIELD_INT, offsetof(struct t5, head_width), "64", 1, 1 << 20, "head_dim" },
    { "d_ff", FIELD_INT, offsetof(struct t5, inner), "2048", 1, 1 << 26, NULL },
    { "num_layers", FIELD_INT, offsetof(struct t5, layers), "6", 1, 4096, "num_hidden_layers" },
    { "num_decoder_layers", FIELD_INT, offsetof(struct t5, decoder_layers), "null", 1, 4096, NULL },
    { "num_heads", FIELD_INT, offsetof(struct t5, heads), "8", 1, 1 << 20, "num_attention_heads" },
    { "relative_attention_num_buckets", FIELD_INT, offsetof(struct t5, buckets), "32", 4, 1 << 16, NULL },
    { "relative_attention_max_distance", FIELD_INT, offsetof(struct t5, max_distance), "128", 2, 1 << 20,
      NULL },
    { "n_positions", FIELD_INT, offsetof(struct t5, positions), "512", 1, 1 << 30, NULL },
    { "dropout_rate", FIELD_DOUBLE, offsetof(struct t5, dropout), "0.1", 0, 0.999, NULL },
    { "classifier_dropout", FIELD_DOUBLE, offsetof(struct t5, classifier_dropout), "0.0", 0, 0.999, NULL },
    { "layer_norm_epsilon", FIELD_DOUBLE, offsetof(struct t5, eps), "1e-6", 1e-30, 1, NULL },
    { "initializer_factor", FIELD_DOUBLE, offsetof(struct t5, factor), "1.0", 0, 1e3, NULL },
    { "feed_forward_proj", FIELD_TEXT, offsetof(struct t5, feed_forward), "\"relu\"", 0, 0, NULL },
    { "dense_act_fn", FIELD_TEXT, offsetof(struct t5, act), "null", 0, 0, NULL },
    { "is_gated_act", FIELD_MAYBE, offsetof(struct t5, gated), "null", 0, 0, NULL },
    { "tie_word_embeddings", FIELD_BOOL, offsetof(struct t5, tied), "true", 0, 0, NULL },
    { "scale_decoder_outputs", FIELD_MAYBE, offsetof(struct t5, scaled), "null", 0, 0, NULL },
    { 0 },
};

static const struct field refused[] = {
    { "tie_encoder_decoder", FIELD_BOOL, 0, "false", 0, 0, NULL },
    { "is_decoder", FIELD_BOOL, 0, "false", 0, 0, NULL },
    { "pruned_heads", FIELD_BOOL, 0, "{}", 0, 0, NULL },
    { 0 },
};

/* ---- what the keys say ---- */

struct feed_forward {
    bool gated;
    enum activation_kind act;
};

/* "relu", or "gated-silu"; "gated-gelu" means gelu_new. What a newer transformers has written about it
 * besides wins. */
static int read_feed_forward(const struct t5 *c, struct feed_forward *out)
{
    bool gated = str_starts_with(c->feed_forward, "gated-");
    const char *act = c->feed_forward + (gated ? strlen("gated-") : 0);

    if (strcmp(c->feed_forward, "gated-gelu") == 0)
        act = "gelu_new";
    if (c->act[0])
        act = c->act;
    out->gated = c->gated < 0 ? gated : c->gated;
    return activation_find(act, &out->act);
}

static int check(const void *config)
{
    const struct t5 *c = config;
    struct feed_forward ignored;

    if (c->max_distance <= c->buckets / 2)
        return fail(ERR_CONFIG,
                    "$.relative_attention_max_distance %lld is not larger than half of "
                    "$.relative_attention_num_buckets %lld",
                    (long long)c->max_distance, (long long)c->buckets);
    if (read_feed_forward(c, &ignored) != OK)
        return error_prefix("$.feed_forward_proj: ");
    return OK;
}

static bool is_scaled(const struct t5 *c)
{
    return c->scaled < 0 ? c->tied : c->scaled;
}

static int64_t decoder_layers(const struct t5 *c)
{
    return c->decoder_layers == INT_NONE ? c->layers : c->decoder_layers;
}

static void sizes(const void *config, struct model_sizes *out)
{
    const struct t5 *c = config;

    *out = (struct model_sizes){ .vocab = c->vocab,
                                 .positions = c->positions,
                                 .any_position = true,
                                 .width = c->width,
                                 .layers = c->layers + decoder_layers(c),
                                 .heads = c->heads };
}

/* The weights have a head of their own, or have not, against tie_word_embeddings. Scaling stays as it was. */
static int settle_tie(struct config *config, bool own_head)
{
    const struct t5 *c = config->values;

    TRY(config_set(config, "scale_decoder_outputs", is_scaled(c) ? "true" : "false"));
    return config_set(config, "tie_word_embeddings", own_head ? "false" : "true");
}

/* ---- parts of a block ---- */

struct stack { /* encoder or decoder */
    const struct t5 *c;
    const struct model_inputs *in;
    const char *name;
    int64_t layers;
    int first_layer;
    bool decoder;
    const struct row_inputs *rows;
    struct tensor *place;
    struct tensor *table;   /* of relative positions, from the first block on */
    struct tensor *encoded; /* (M, D) what the decoder attends to */
};

static double spread(const struct t5 *c, int64_t size)
{
    return c->factor / sqrt((double)size);
}

static struct tensor *norm(struct builder *b, const struct t5 *c, const char *name, struct tensor *x)
{
    const struct param_info info = { .file_ndim = 1,
                                     .file_dims = { c->width },
                                     .init = INIT_CONSTANT,
                                     .init_scale = c->factor,
                                     .trainable = true };
    struct tensor *weight;

    scope_begin(b, name);
    weight = graph_param(b, "weight", &info, 1, &c->width);
    scope_end(b, name);
    return rmsnorm(b, x, weight, c->eps);
}

/* (N, D) -> (N, 1, H, K) */
static struct tensor *heads_of(struct builder *b, const struct t5 *c, const char *name, struct tensor *x,
                               double init)
{
    return linear_layer(b, name, x,
                        &(struct linear_options){ .in_ndim = 1,
                                                  .in = { c->width },
                                                  .out_ndim = 3,
                                                  .out = { 1, c->heads, c->head_width },
                                                  .out_first = true,
                                                  .init = init });
}

/* (N, H, K) -> (N, D) */
static struct tensor *output_of_heads(struct builder *b, const struct t5 *c, struct tensor *x)
{
    return linear_layer(b, "o", x,
                        &(struct linear_options){ .in_ndim = 2,
                                                  .in = { c->heads, c->head_width },
                                                  .out_ndim = 1,
                                                  .out = { c->width },
                                                  .out_first = true,
                                                  .init = spread(c, c->heads * c->head_width) });
}

/* Queries from x, keys and values from y. */
static void project(struct builder *b, const struct t5 *c, struct tensor *x, struct tensor *y,
                    struct tensor *qkv[3])
{
    qkv[0] = heads_of(b, c, "q", x, c->factor / sqrt((double)c->width * (double)c->head_width));
    qkv[1] = heads_of(b, c, "k", y, spread(c, c->width));
    qkv[2] = heads_of(b, c, "v", y, spread(c, c->width));
}

/* A bias, although it is called a weight: it is not decayed. */
static struct tensor *position_table(struct builder *b, const struct t5 *c)
{
    const int64_t dims[] = { c->buckets, c->heads };

    return graph_param(b, "relative_attention_bias.weight",
                       &(struct param_info){ .file_ndim = 2,
                                             .file_dims = { c->buckets, c->heads },
                                             .init = INIT_NORMAL,
                                             .init_scale = spread(c, c->width),
                                             .trainable = true },
                       2, dims);
}

static struct tensor *self_attention(struct builder *b, struct stack *s, struct tensor *x)
{
    const struct t5 *c = s->c;
    struct attention_options o = { .causal = s->decoder,
                                   .scale = 1,
                                   .dropout = c->dropout,
                                   .max_distance = c->max_distance,
                                   .bidirectional = !s->decoder,
                                   .blank = BLANK_ONE_MASK };
    struct tensor *qkv[3], *h;

    scope_begin(b, "SelfAttention");
    project(b, c, x, x, qkv);
    if (!s->table)
        s->table = position_table(b, c);
    o.table = s->table;
    if (s->decoder)
        h = attention_layer(b, s->in, qkv[0], qkv[1], qkv[2], &o);
    else
        h = attention(b, &(struct attention_inputs){ qkv[0], qkv[1], qkv[2] }, &s->rows->sequences,
                      &s->rows->keys, &o);
    h = output_of_heads(b, c, h);
    scope_end(b, "SelfAttention");
    return h;
}

static struct tensor *cross_attention(struct builder *b, struct stack *s, struct tensor *x)
{
    struct tensor *qkv[3], *h;

    scope_begin(b, "EncDecAttention");
    project(b, s->c, x, s->encoded, qkv);
    h = cross_attention_layer(
        b, s->in, qkv[0], qkv[1], qkv[2],
        &(struct attention_options){ .scale = 1, .dropout = s->c->dropout, .blank = BLANK_ONE_MASK });
    h = output_of_heads(b, s->c, h);
    scope_end(b, "EncDecAttention");
    return h;
}

static struct tensor *wide(struct builder *b, const struct t5 *c, const char *name, struct tensor *x)
{
    return linear_layer(b, name, x, /* (N, F) */
                        &(struct linear_options){ .in_ndim = 1,
                                                  .in = { c->width },
                                                  .out_ndim = 1,
                                                  .out = { c->inner },
                                                  .out_first = true,
                                                  .init = spread(c, c->width) });
}

static struct tensor *mlp(struct builder *b, struct stack *s, struct tensor *x)
{
    const struct t5 *c = s->c;
    struct feed_forward f = { 0 };
    struct tensor *h;

    if (read_feed_forward(c, &f) != OK)
        BUG("t5: the config was checked: %s", error_message());
    scope_begin(b, "DenseReluDense");
    if (f.gated)
        h = glu(b, wide(b, c, "wi_0", x), wide(b, c, "wi_1", x), f.act);
    else
        h = activation(b, wide(b, c, "wi", x), f.act);
    h = linear_layer(b, "wo", dropout(b, h, s->place, c->dropout),
                     &(struct linear_options){ .in_ndim = 1,
                                               .in = { c->inner },
                                               .out_ndim = 1,
                                               .out = { c->width },
                                               .out_first = true,
                                               .init = spread(c, c->inner) });
    scope_end(b, "DenseReluDense");
    return h;
}

/* ---- stacks ---- */

typedef struct tensor *part_fn(struct builder *b, struct stack *s, struct tensor *x);

/* x + part(norm(x)), as layer `number` of the block */
static struct tensor *sublayer(struct builder *b, struct stack *s, struct tensor *x, int number,
                               part_fn *part)
{
    char name[32];
    struct tensor *h;

    snprintf(name, sizeof(name), "layer.%d", number);
    scope_begin(b, name);
    h = part(b, s, norm(b, s->c, "layer_norm", x));
    h = dropout(b, h, s->place, s->c->dropout);
    scope_end(b, name);
    return add(b, x, h);
}

static struct tensor *run_stack(struct builder *b, struct stack *s, struct tensor *x)
{
    char name[64];

    scope_begin(b, s->name);
    x = dropout(b, x, s->place, s->c->dropout); /* (N, D) */
    for (int i = 0; i < s->layers; i++) {
        int number = 0;
        snprintf(name, sizeof(name), "block.%d", i);
        layer_begin(b, s->first_layer + i, name);
        x = sublayer(b, s, x, number++, self_attention);
        if (s->decoder)
            x = sublayer(b, s, x, number++, cross_attention);
        x = sublayer(b, s, x, number, mlp);
        layer_end(b, name);
    }
    x = dropout(b, norm(b, s->c, "final_layer_norm", x), s->place, s->c->dropout);
    scope_end(b, s->name);
    return x;
}

static struct tensor *scale_hidden(struct builder *b, const void *config, struct tensor *x,
                                   struct tensor *place)
{
    const struct t5 *c = config;

    (void)place;
    return scale(b, x, 1 / sqrt((double)c->width));
}

static struct tensor *class_dense(struct builder *b, const void *config, struct tensor *x,
                                  struct tensor *place)
{
    const struct t5 *c = config;

    x = dropout(b, x, place, c->classifier_dropout);
    x = linear_layer(b, "classification_head.dense", x,
                     &(struct linear_options){ .in_ndim = 1,
                                               .in = { c->width },
                                               .out_ndim = 1,
                                               .out = { c->width },
                                               .out_first = true,
                                               .bias = true,
                                               .init = spread(c, c->width) });
    return dropout(b, activation(b, x, ACT_TANH), place, c->classifier_dropout);
}

static void add_classes(struct builder *b, const struct t5 *c, int64_t labels, struct model_outputs *out)
{
    const struct projection p = { labels, c->width, true, spread(c, c->width) };

    out->head = projection_head(b, "classification_head.out_proj", &p);
    out->head.prepare = class_dense;
}

static void add_head(struct builder *b, const struct t5 *c, struct tensor *shared, struct model_outputs *out)
{
    out->head = (struct head){ .weight = shared, .out_first = true };
    if (!c->tied)
        out->head.weight = embedding_table(b, "lm_head.weight", c->vocab, c->width, c->factor);
    if (is_scaled(c))
        out->head.prepare = scale_hidden;
}

/* The token table. */
static struct tensor *run_stacks(struct builder *b, const struct t5 *c, const struct model_inputs *in,
                                 struct model_outputs *out)
{
    const struct row_inputs *rows = in->head == HEAD_ENCODER ? &in->rows : &in->encoder;
    struct tensor *shared = embedding_table(b, "shared.weight", c->vocab, c->width, c->factor);
    struct stack encoder = {
        .c = c, .in = in, .name = "encoder", .layers = c->layers, .rows = rows, .place = rows->sequences.place
    };
    struct stack decoder = { .c = c,
                             .in = in,
                             .name = "decoder",
                             .layers = decoder_layers(c),
                             .first_layer = (int)c->layers,
                             .decoder = true,
                             .rows = &in->rows,
                             .place = in->rows.sequences.place };

    decoder.encoded = run_stack(b, &encoder, embedding(b, shared, rows->ids));
    out->hidden = decoder.encoded;
    if (in->head != HEAD_ENCODER)
        out->hidden = run_stack(b, &decoder, embedding(b, shared, in->rows.ids));
    return shared;
}

static void build(struct builder *b, const void *config, const struct model_inputs *in,
                  struct model_outputs *out)
{
    const struct t5 *c = config;
    struct tensor *shared;

    if (in->head == HEAD_CLASSIFICATION) {
        trunk_begin(b, in, "transformer");
        run_stacks(b, c, in, out);
        trunk_end(b, in, "transformer");
        add_classes(b, c, in->labels, out);
        return;
    }
    shared = run_stacks(b, c, in, out);
    if (in->head == HEAD_CONDITIONAL)
        add_head(b, c, shared, out);
}

static const struct architecture architectures[] = {
    { "T5ForConditionalGeneration", HEAD_CONDITIONAL },
    { "T5WithLMHeadModel", HEAD_CONDITIONAL },
    { "T5ForSequenceClassification", HEAD_CLASSIFICATION },
    { "T5Model", HEAD_NONE },
    { "T5EncoderModel", HEAD_ENCODER },
    { 0 },
};
static const char *const ignored[] = { ".EncDecAttention.relative_attention_bias.weight", NULL };
static const struct tied_tensor tied[] = { { "lm_head.weight", "shared.weight" },
                                           { "encoder.embed_tokens.weight", "shared.weight", true },
                                           { "decoder.embed_tokens.weight", "shared.weight", true },
                                           { 0 } };

const struct model_def model_t5 = {
    .name = "t5",
    .architectures = architectures,
    .prefix = "transformer.",
    .ignored_tensors = ignored,
    .tied = tied,
    .settle_tie = settle_tie,
    .encoder = true,
    .config_bytes = sizeof(struct t5),
    .fields = fields,
    .refused = refused,
    .check = check,
    .sizes = sizes,
    .build = build,
};
