/* gpt2 -- pre-norm decoder with learned positions; the head is tied to the token table unless the config says
 * otherwise. Radford et al., "Language models are unsupervised multitask learners", 2019; names and keys of
 * transformers' GPT2Config.
 *
 * reorder_and_upcast_attn only fixes the order and precision of one product: scores are fp32 here always. */
#include <math.h>
#include <stdio.h>

#include "base/err.h"
#include "models/model.h"

struct gpt2 {
    int64_t vocab, positions, width, layers, heads, inner;
    double eps, init_range, embd_dropout, attn_dropout, resid_dropout;
    bool scale_attn, scale_by_layer, upcast_attn, tied;
    int act;
};

static const struct field fields[] = {
    { "vocab_size", FIELD_INT, offsetof(struct gpt2, vocab), "50257", 1, 1 << 30, NULL },
    { "n_positions", FIELD_INT, offsetof(struct gpt2, positions), "1024", 1, 1 << 30,
      "max_position_embeddings" },
    { "n_embd", FIELD_INT, offsetof(struct gpt2, width), NULL, 1, 1 << 24, "hidden_size" },
    { "n_layer", FIELD_INT, offsetof(struct gpt2, layers), "12", 1, 4096, "num_hidden_layers" },
    { "n_head", FIELD_INT, offsetof(struct gpt2, heads), "12", 1, 1 << 20, "num_attention_heads" },
    { "n_inner", FIELD_INT, offsetof(struct gpt2, inner), "null", 1, 1 << 26, NULL },
    { "activation_function", FIELD_ACTIVATION, offsetof(struct gpt2, act), "\"gelu_new\"", 0, 0, NULL },
    { "resid_pdrop", FIELD_DOUBLE, offsetof(struct gpt2, resid_dropout), "0.1", 0, 0.999, NULL },
    { "embd_pdrop", FIELD_DOUBLE, offsetof(struct gpt2, embd_dropout), "0.1", 0, 0.999, NULL },
    { "attn_pdrop", FIELD_DOUBLE, offsetof(struct gpt2, attn_dropout), "0.1", 0, 0.999, NULL },
    { "layer_norm_epsilon", FIELD_DOUBLE, offsetof(struct gpt2, eps), "1e-5", 1e-30, 1, NULL },
    { "initializer_range", FIELD_DOUBLE, offsetof(struct gpt2, init_range), "0.02", 0, 1e3, NULL },
    { "scale_attn_weights", FIELD_BOOL, offsetof(struct gpt2, scale_attn), "true", 0, 0, NULL },
    { "scale_attn_by_inverse_layer_idx", FIELD_BOOL, offsetof(struct gpt2, scale_by_layer), "false", 0, 0,
      NULL },
    { "reorder_and_upcast_attn", FIELD_BOOL, offsetof(struct gpt2, upcast_attn), "false", 0, 0, NULL },
    { "tie_word_embeddings", FIELD_BOOL, offsetof(struct gpt2, tied), "true", 0, 0, NULL },
    { 0 },
};

static const struct field refused[] = {
    { "add_cross_attention", FIELD_BOOL, 0, "false", 0, 0, NULL },
    { "pruned_heads", FIELD_BOOL, 0, "{}", 0, 0, NULL },
    { 0 },
};

static int check(const void *config)
{
    const struct gpt2 *c = config;

    if (c->width % c->heads != 0)
        return fail(ERR_CONFIG, "$.n_embd %lld is not a multiple of $.n_head %lld", (long long)c->width,
                    (long long)c->heads);
    return OK;
}

static void sizes(const void *config, struct model_sizes *out)
{
    const struct gpt2 *c = config;

    *out = (struct model_sizes){ .vocab = c->vocab,
                                 .positions = c->positions,
                                 .width = c->width,
                                 .layers = c->layers,
                                 .heads = c->heads };
}

/* The two projections that add to the residual stream start smaller: there are 2 L of them. */
static double residual_init(const struct gpt2 *c)
{
    return c->init_range / sqrt(2.0 * (double)c->layers);
}

static struct tensor *self_attention(struct builder *b, const struct gpt2 *c, const struct model_inputs *in,
                                     struct tensor *x)
{
    int64_t width = c->width, head_width = c->width / c->heads;
    double scale = c->scale_attn ? 1 / sqrt((double)head_width) : 1;
    struct tensor *qkv, *h;

    if (c->scale_by_layer)
        scale /= b->layer + 1;
    qkv = linear_layer(b, "c_attn", x, /* (N, 3, H, K) */
                       &(struct linear_options){ .in_ndim = 1,
                                                 .in = { width },
                                                 .out_ndim = 3,
                                                 .out = { 3, c->heads, head_width },
                                                 .bias = true,
                                                 .init = c->init_range });
    h = attention_layer(
        b, in, qkv, qkv, qkv,
        &(struct attention_options){
            .causal = true, .scale = scale, .dropout = c->attn_dropout, .k_part = 1, .v_part = 2 });
    return linear_layer(b, "c_proj", h, /* (N, D) */
                        &(struct linear_options){ .in_ndim = 2,
                                                  .in = { c->heads, head_width },
                                                  .out_ndim = 1,
                                                  .out = { width },
                                                  .bias = true,
                                                  .init = residual_init(c) });
}

static struct tensor *mlp(struct builder *b, const struct gpt2 *c, struct tensor *x)
{
    int64_t width = c->width, inner = c->inner == INT_NONE ? 4 * c->width : c->inner;
    struct tensor *h = linear_layer(b, "c_fc", x, /* (N, F) */
                                    &(struct linear_options){ .in_ndim = 1,
                                                              .in = { width },
                                                              .out_ndim = 1,
                                                              .out = { inner },
                                                              .bias = true,
                                                              .init = c->init_range });

    return linear_layer(b, "c_proj", activation(b, h, (enum activation_kind)c->act),
                        &(struct linear_options){ .in_ndim = 1,
                                                  .in = { inner },
                                                  .out_ndim = 1,
                                                  .out = { width },
                                                  .bias = true,
                                                  .init = residual_init(c) });
}

static struct tensor *block(struct builder *b, const struct gpt2 *c, const struct model_inputs *in,
                            struct tensor *x)
{
    struct tensor *place = in->rows.sequences.place, *h;

    h = norm_layer(b, "ln_1", x, c->eps);
    scope_begin(b, "attn");
    h = dropout(b, self_attention(b, c, in, h), place, c->resid_dropout);
    scope_end(b, "attn");
    x = add(b, x, h);
    h = norm_layer(b, "ln_2", x, c->eps);
    scope_begin(b, "mlp");
    h = dropout(b, mlp(b, c, h), place, c->resid_dropout);
    scope_end(b, "mlp");
    return add(b, x, h);
}

static void build(struct builder *b, const void *config, const struct model_inputs *in,
                  struct model_outputs *out)
{
    const struct gpt2 *c = config;
    struct tensor *wte, *wpe, *x;
    char name[32];

    trunk_begin(b, in, "transformer");
    wte = embedding_table(b, "wte.weight", c->vocab, c->width, c->init_range);
    wpe = embedding_table(b, "wpe.weight", c->positions, c->width, c->init_range);
    x = add(b, embedding(b, wte, in->rows.ids), embedding(b, wpe, in->rows.positions)); /* (N, D) */
    x = dropout(b, x, in->rows.sequences.place, c->embd_dropout);
    for (int i = 0; i < c->layers; i++) {
        snprintf(name, sizeof(name), "h.%d", i);
        layer_begin(b, i, name);
        x = block(b, c, in, x);
        layer_end(b, name);
    }
    out->hidden = norm_layer(b, "ln_f", x, c->eps);
    trunk_end(b, in, "transformer");
    out->head = causal_head(b, in, wte, c->tied, c->init_range);
}

static const struct architecture architectures[] = {
    { "GPT2LMHeadModel", HEAD_CAUSAL },
    { "GPT2ForSequenceClassification", HEAD_CLASSIFICATION },
    { "GPT2Model", HEAD_NONE },
    { 0 },
};
static const char *const ignored[] = { ".attn.bias", ".attn.masked_bias", NULL };
static const struct tied_tensor tied[] = { { "lm_head.weight", "transformer.wte.weight" }, { 0 } };

const struct model_def model_gpt2 = {
    .name = "gpt2",
    .architectures = architectures,
    .prefix = "transformer.",
    .ignored_tensors = ignored,
    .tied = tied,
    .causal = true,
    .config_bytes = sizeof(struct gpt2),
    .fields = fields,
    .refused = refused,
    .check = check,
    .sizes = sizes,
    .build = build,
};
