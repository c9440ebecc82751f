/* llama -- pre-norm decoder with RMSNorm, rotary positions, grouped key/value heads and a gated MLP; the head
 * is not tied unless the config says so. Touvron et al., "LLaMA: Open and Efficient Foundation Language
 * Models", 2023, and its successors; names and keys of transformers' LlamaConfig. */
#include <math.h>
#include <stdio.h>

#include "base/err.h"
#include "models/rope.h"

struct llama {
    int64_t vocab, positions, width, layers, heads, groups, head_width, inner, pad;
    double eps, init_range, attn_dropout, theta;
    bool attn_bias, mlp_bias, tied;
    int act;
    struct rope rope;
};

static const struct field fields[] = {
    { "vocab_size", FIELD_INT, offsetof(struct llama, vocab), "32000", 1, 1 << 30, NULL },
    { "max_position_embeddings", FIELD_INT, offsetof(struct llama, positions), "2048", 1, 1 << 30, NULL },
    { "hidden_size", FIELD_INT, offsetof(struct llama, width), NULL, 1, 1 << 24, NULL },
    { "intermediate_size", FIELD_INT, offsetof(struct llama, inner), "11008", 1, 1 << 26, NULL },
    { "num_hidden_layers", FIELD_INT, offsetof(struct llama, layers), "32", 1, 4096, NULL },
    { "num_attention_heads", FIELD_INT, offsetof(struct llama, heads), "32", 1, 1 << 20, NULL },
    { "num_key_value_heads", FIELD_INT, offsetof(struct llama, groups), "null", 1, 1 << 20, NULL },
    { "head_dim", FIELD_INT, offsetof(struct llama, head_width), "null", 1, 1 << 20, NULL },
    { "hidden_act", FIELD_ACTIVATION, offsetof(struct llama, act), "\"silu\"", 0, 0, NULL },
    { "initializer_range", FIELD_DOUBLE, offsetof(struct llama, init_range), "0.02", 0, 1e3, NULL },
    { "rms_norm_eps", FIELD_DOUBLE, offsetof(struct llama, eps), "1e-06", 1e-30, 1, NULL },
    { "rope_theta", FIELD_DOUBLE, offsetof(struct llama, theta), "10000.0", 1e-6, 1e30, NULL },
    { "attention_bias", FIELD_BOOL, offsetof(struct llama, attn_bias), "false", 0, 0, NULL },
    { "attention_dropout", FIELD_DOUBLE, offsetof(struct llama, attn_dropout), "0.0", 0, 0.999, NULL },
    { "mlp_bias", FIELD_BOOL, offsetof(struct llama, mlp_bias), "false", 0, 0, NULL },
    { "tie_word_embeddings", FIELD_BOOL, offsetof(struct llama, tied), "false", 0, 0, NULL },
    { "pad_token_id", FIELD_TOKEN, offsetof(struct llama, pad), "null", 0, 0, NULL },
    { 0 },
};

static const struct field refused[] = {
    { "pretraining_tp", FIELD_INT, 0, "1", 0, 0, NULL },
    { "pruned_heads", FIELD_BOOL, 0, "{}", 0, 0, NULL },
    { 0 },
};

static int64_t group_count(const struct llama *c)
{
    return c->groups == INT_NONE ? c->heads : c->groups;
}

static int64_t head_width(const struct llama *c)
{
    return c->head_width == INT_NONE ? c->width / c->heads : c->head_width;
}

static int check(const void *config)
{
    const struct llama *c = config;

    if (c->head_width == INT_NONE && c->width % c->heads != 0) {
        fail(ERR_CONFIG, "$.hidden_size %lld is not a multiple of $.num_attention_heads %lld",
             (long long)c->width, (long long)c->heads);
        error_hint("$.head_dim, the width of a head, is missing");
        return ERR_CONFIG;
    }
    if (c->heads % group_count(c) != 0)
        return fail(ERR_CONFIG, "$.num_attention_heads %lld is not a multiple of $.num_key_value_heads %lld",
                    (long long)c->heads, (long long)group_count(c));
    if (head_width(c) % 2 != 0)
        return fail(ERR_CONFIG,
                    "heads of width %lld cannot be rotated in pairs (expected an even $.head_dim)",
                    (long long)head_width(c));
    return OK;
}

static int read_rope(const struct config *config, void *values)
{
    struct llama *c = values;

    return rope_read(
        config,
        &(struct rope_options){ .width = head_width(c), .positions = c->positions, .theta = c->theta },
        &c->rope);
}

static void sizes(const void *config, struct model_sizes *out)
{
    const struct llama *c = config;

    *out = (struct model_sizes){ .vocab = c->vocab,
                                 .positions = c->positions,
                                 .any_position = true,
                                 .width = c->width,
                                 .layers = c->layers,
                                 .heads = c->heads };
}

/* (N, 1, heads, K) */
static struct tensor *project(struct builder *b, const struct llama *c, const char *name, struct tensor *x,
                              int64_t heads)
{
    return linear_layer(b, name, x,
                        &(struct linear_options){ .in_ndim = 1,
                                                  .in = { c->width },
                                                  .out_ndim = 3,
                                                  .out = { 1, heads, head_width(c) },
                                                  .out_first = true,
                                                  .bias = c->attn_bias,
                                                  .init = c->init_range });
}

static struct tensor *self_attention(struct builder *b, const struct llama *c, const struct model_inputs *in,
                                     struct tensor *x, struct tensor *table)
{
    struct tensor *q = rotary(b, project(b, c, "q_proj", x, c->heads), table, 1);
    struct tensor *k = rotary(b, project(b, c, "k_proj", x, group_count(c)), table, 1);
    struct tensor *v = project(b, c, "v_proj", x, group_count(c)), *h;

    h = attention_layer(b, in, q, k, v,
                        &(struct attention_options){ .causal = true,
                                                     .scale = 1 / sqrt((double)head_width(c)),
                                                     .dropout = c->attn_dropout });
    return linear_layer(b, "o_proj", h, /* (N, D) */
                        &(struct linear_options){ .in_ndim = 2,
                                                  .in = { c->heads, head_width(c) },
                                                  .out_ndim = 1,
                                                  .out = { c->width },
                                                  .out_first = true,
                                                  .bias = c->attn_bias,
                                                  .init = c->init_range });
}

static struct tensor *mlp(struct builder *b, const struct llama *c, struct tensor *x)
{
    struct linear_options up = { .in_ndim = 1,
                                 .in = { c->width },
                                 .out_ndim = 1,
                                 .out = { c->inner },
                                 .out_first = true,
                                 .bias = c->mlp_bias,
                                 .init = c->init_range };
    struct linear_options down = up;
    struct tensor *gate = linear_layer(b, "gate_proj", x, &up); /* (N, F) */

    down.in[0] = c->inner;
    down.out[0] = c->width;
    return linear_layer(b, "down_proj",
                        glu(b, gate, linear_layer(b, "up_proj", x, &up), (enum activation_kind)c->act),
                        &down);
}

static struct tensor *block(struct builder *b, const struct llama *c, const struct model_inputs *in,
                            struct tensor *x, struct tensor *table)
{
    struct tensor *h = rmsnorm_layer(b, "input_layernorm", x, c->eps);

    scope_begin(b, "self_attn");
    h = self_attention(b, c, in, h, table);
    scope_end(b, "self_attn");
    x = add(b, x, h);
    h = rmsnorm_layer(b, "post_attention_layernorm", x, c->eps);
    scope_begin(b, "mlp");
    h = mlp(b, c, h);
    scope_end(b, "mlp");
    return add(b, x, h);
}

static void build(struct builder *b, const void *config, const struct model_inputs *in,
                  struct model_outputs *out)
{
    const struct llama *c = config;
    struct tensor *tokens, *table, *x;
    char name[32];

    trunk_begin(b, in, "model");
    tokens = padded_table(b, "embed_tokens.weight", (const int64_t[]){ c->vocab, c->width }, c->init_range,
                          c->pad);
    x = padded_embedding(b, tokens, in->rows.ids, c->pad); /* (N, D) */
    table = rope_table(b, in, &c->rope);
    for (int i = 0; i < c->layers; i++) {
        snprintf(name, sizeof(name), "layers.%d", i);
        layer_begin(b, i, name);
        x = block(b, c, in, x, table);
        layer_end(b, name);
    }
    out->hidden = rmsnorm_layer(b, "norm", x, c->eps);
    trunk_end(b, in, "model");
    out->head = causal_head(b, in, tokens, c->tied, c->init_range);
}

static const struct architecture architectures[] = {
    { "LlamaForCausalLM", HEAD_CAUSAL },
    { "LlamaForSequenceClassification", HEAD_CLASSIFICATION },
    { "LlamaModel", HEAD_NONE },
    { 0 },
};
static const char *const ignored[] = { ".rotary_emb.inv_freq", NULL };
static const struct tied_tensor tied[] = { { "lm_head.weight", "model.embed_tokens.weight" }, { 0 } };

const struct model_def model_llama = {
    .name = "llama",
    .architectures = architectures,
    .prefix = "model.",
    .ignored_tensors = ignored,
    .tied = tied,
    .causal = true,
    .longest = true,
    .config_bytes = sizeof(struct llama),
    .fields = fields,
    .refused = refused,
    .check = check,
    .read = read_rope,
    .sizes = sizes,
    .build = build,
};
