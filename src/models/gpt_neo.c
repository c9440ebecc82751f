/* gpt_neo -- pre-norm decoder as GPT-2, whose layers attend to all earlier positions or to a window of them,
 * without scaling the scores; the head is tied to the token table unless the config says otherwise. Black et
 * al., "GPT-Neo", 2021; names and keys of transformers' GPTNeoConfig. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "models/config_internal.h"

enum { MAX_LAYERS = 4096 };

struct gpt_neo {
    int64_t vocab, positions, width, layers, heads, inner, window;
    double eps, init_range, embd_dropout, attn_dropout, resid_dropout;
    bool tied, local[MAX_LAYERS]; /* local: the layer has the window */
    int act;
};

static const struct field fields[] = {
    { "vocab_size", FIELD_INT, offsetof(struct gpt_neo, vocab), "50257", 1, 1 << 30, NULL },
    { "max_position_embeddings", FIELD_INT, offsetof(struct gpt_neo, positions), "2048", 1, 1 << 30, NULL },
    { "hidden_size", FIELD_INT, offsetof(struct gpt_neo, width), NULL, 1, 1 << 24, NULL },
    { "num_layers", FIELD_INT, offsetof(struct gpt_neo, layers), "24", 1, MAX_LAYERS, "num_hidden_layers" },
    { "num_heads", FIELD_INT, offsetof(struct gpt_neo, heads), "16", 1, 1 << 20, "num_attention_heads" },
    { "intermediate_size", FIELD_INT, offsetof(struct gpt_neo, inner), "null", 1, 1 << 26, NULL },
    { "window_size", FIELD_INT, offsetof(struct gpt_neo, window), "256", 1, 1 << 30, NULL },
    { "activation_function", FIELD_ACTIVATION, offsetof(struct gpt_neo, act), "\"gelu_new\"", 0, 0, NULL },
    { "resid_dropout", FIELD_DOUBLE, offsetof(struct gpt_neo, resid_dropout), "0.0", 0, 0.999, NULL },
    { "embed_dropout", FIELD_DOUBLE, offsetof(struct gpt_neo, embd_dropout), "0.0", 0, 0.999, NULL },
    { "attention_dropout", FIELD_DOUBLE, offsetof(struct gpt_neo, attn_dropout), "0.0", 0, 0.999, NULL },
    { "layer_norm_epsilon", FIELD_DOUBLE, offsetof(struct gpt_neo, eps), "1e-5", 1e-30, 1, NULL },
    { "initializer_range", FIELD_DOUBLE, offsetof(struct gpt_neo, init_range), "0.02", 0, 1e3, NULL },
    { "tie_word_embeddings", FIELD_BOOL, offsetof(struct gpt_neo, tied), "true", 0, 0, NULL },
    { 0 },
};

static const struct field refused[] = {
    { "pruned_heads", FIELD_BOOL, 0, "{}", 0, 0, NULL },
    { 0 },
};

static int check(const void *config)
{
    const struct gpt_neo *c = config;

    if (c->width % c->heads != 0)
        return fail(ERR_CONFIG, "$.hidden_size %lld is not a multiple of $.num_heads %lld",
                    (long long)c->width, (long long)c->heads);
    return OK;
}

/* ---- Which layers have the window: "attention_layers", one word a layer, or "attention_types", lists of
 * words with how often each list is repeated. ---- */

static void read_word(struct json_reader *r, bool local[], int *count)
{
    struct json_string word;

    if (!json_string(r, &word))
        return;
    if (word.length == 5 && memcmp(word.data, "local", 5) == 0)
        local[*count] = true;
    else if (word.length == 6 && memcmp(word.data, "global", 6) == 0)
        local[*count] = false;
    else
        json_fail(r, "wrong value (found \"%.*s\", expected \"global\" or \"local\")",
                  (int)(word.length < 40 ? word.length : 40), word.data);
    ++*count;
}

static void read_words(struct json_reader *r, bool local[], int *count)
{
    if (!json_array_begin(r))
        return;
    while (json_next_element(r)) {
        if (*count == MAX_LAYERS)
            json_fail(r, "more than %d layers", MAX_LAYERS);
        else
            read_word(r, local, count);
    }
}

/* [["global", "local"], 12] */
static void read_item(struct json_reader *r, bool local[], int *count)
{
    int first = *count, length;
    int64_t times = 0;

    if (!json_array_begin(r) || !json_next_element(r))
        return;
    read_words(r, local, count);
    length = *count - first;
    if (json_next_element(r))
        times = json_int(r, 0, MAX_LAYERS);
    if (json_status(r) == OK && json_next_element(r))
        json_fail(r, "wrong value (expected a list of words and a number)");
    if (json_status(r) != OK)
        return;
    if (length * times > MAX_LAYERS - first) {
        json_fail(r, "more than %d layers", MAX_LAYERS);
        return;
    }
    for (int i = length; i < length * times; i++)
        local[first + i] = local[first + i % length];
    *count = first + length * (int)times;
}

static int read_list(const struct config *config, const char *key, bool local[], int *count)
{
    const char *json = config_get(config, key);
    bool types = strcmp(key, "attention_types") == 0;
    struct json_reader r;
    int status;

    json_reader_init(&r, key, json, strlen(json));
    if (!types)
        read_words(&r, local, count);
    else if (json_array_begin(&r))
        while (json_next_element(&r))
            read_item(&r, local, count);
    status = json_end(&r);
    json_reader_release(&r);
    return status == OK ? OK : error_prefix("%s: ", config->name);
}

static bool is_null(const char *json)
{
    return !json || strcmp(json, "null") == 0;
}

/* attention_layers holds where both are there; where there is neither, 24 alternate: as in transformers. */
static int read_layers(const struct config *config, void *values)
{
    const char *key = "attention_layers";
    struct gpt_neo *c = values;
    int count = 0;

    if (is_null(config_get(config, key)))
        key = "attention_types";
    if (!is_null(config_get(config, key)))
        TRY(read_list(config, key, c->local, &count));
    else
        for (; count < 24; count++)
            c->local[count] = count % 2 == 1;
    if (count != c->layers)
        return fail(ERR_CONFIG, "%s: $.%s describes %d layers, but $.num_layers is %lld", config->name, key,
                    count, (long long)c->layers);
    return OK;
}

/* Another num_layers: the pattern of the layers goes on, or ends earlier. */
static void adapt(struct config *config)
{
    static const char *const keys[] = { "attention_layers", "attention_types" };
    const char *json = config_get(config, "num_layers");
    int64_t layers;

    if (!json)
        json = config_get(config, "num_hidden_layers");
    layers = json ? strtoll(json, NULL, 10) : 0;
    for (int k = 0; k < 2 && layers > 0 && layers <= MAX_LAYERS; k++) {
        bool local[MAX_LAYERS] = { false };
        struct str text;
        int count = 0;
        if (is_null(config_get(config, keys[k])))
            continue;
        if (read_list(config, keys[k], local, &count) != OK || count == 0 || count == layers) {
            error_clear();
            continue;
        }
        str_init(&text);
        str_append(&text, k == 1 ? "[[[" : "[");
        for (int i = 0; i < layers; i++)
            str_appendf(&text, "%s\"%s\"", i ? ", " : "", local[i % count] ? "local" : "global");
        str_append(&text, k == 1 ? "], 1]]" : "]");
        config_put_key(config, keys[k], text.data, text.length);
        str_release(&text);
    }
}

static void sizes(const void *config, struct model_sizes *out)
{
    const struct gpt_neo *c = config;

    *out = (struct model_sizes){ .vocab = c->vocab,
                                 .positions = c->positions,
                                 .width = c->width,
                                 .layers = c->layers,
                                 .heads = c->heads };
}

/* ---- Graph ---- */

/* (N, 1, H, K) */
static struct tensor *project(struct builder *b, const struct gpt_neo *c, const char *name, struct tensor *x)
{
    return linear_layer(b, name, x,
                        &(struct linear_options){ .in_ndim = 1,
                                                  .in = { c->width },
                                                  .out_ndim = 3,
                                                  .out = { 1, c->heads, c->width / c->heads },
                                                  .out_first = true,
                                                  .init = c->init_range });
}

static struct tensor *self_attention(struct builder *b, const struct gpt_neo *c,
                                     const struct model_inputs *in, struct tensor *x)
{
    struct tensor *q = project(b, c, "q_proj", x), *k = project(b, c, "k_proj", x), *h;

    h = attention_layer(b, in, q, k, project(b, c, "v_proj", x),
                        &(struct attention_options){ .causal = true,
                                                     .scale = 1,
                                                     .dropout = c->attn_dropout,
                                                     .window = c->local[b->layer] ? (int)c->window : 0,
                                                     .blank = BLANK_TWO_MASKS });
    return linear_layer(b, "out_proj", h, /* (N, D) */
                        &(struct linear_options){ .in_ndim = 2,
                                                  .in = { c->heads, c->width / c->heads },
                                                  .out_ndim = 1,
                                                  .out = { c->width },
                                                  .out_first = true,
                                                  .bias = true,
                                                  .init = c->init_range });
}

static struct tensor *mlp(struct builder *b, const struct gpt_neo *c, struct tensor *x)
{
    int64_t inner = c->inner == INT_NONE ? 4 * c->width : c->inner;
    struct linear_options o = { .in_ndim = 1,
                                .in = { c->width },
                                .out_ndim = 1,
                                .out = { inner },
                                .out_first = true,
                                .bias = true,
                                .init = c->init_range };
    struct tensor *h = linear_layer(b, "c_fc", x, &o); /* (N, F) */

    o.in[0] = inner;
    o.out[0] = c->width;
    return linear_layer(b, "c_proj", activation(b, h, (enum activation_kind)c->act), &o);
}

static struct tensor *block(struct builder *b, const struct gpt_neo *c, const struct model_inputs *in,
                            struct tensor *x)
{
    struct tensor *place = in->rows.sequences.place, *h;

    h = norm_layer(b, "ln_1", x, c->eps);
    scope_begin(b, "attn.attention");
    h = dropout(b, self_attention(b, c, in, h), place, c->resid_dropout);
    scope_end(b, "attn.attention");
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
    const struct gpt_neo *c = config;
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
    { "GPTNeoForCausalLM", HEAD_CAUSAL },
    { "GPTNeoForSequenceClassification", HEAD_CLASSIFICATION },
    { "GPTNeoModel", HEAD_NONE },
    { 0 },
};
static const char *const ignored[] = { ".attn.attention.bias", ".attn.attention.masked_bias", NULL };
static const struct tied_tensor tied[] = { { "lm_head.weight", "transformer.wte.weight" }, { 0 } };

const struct model_def model_gpt_neo = {
    .name = "gpt_neo",
    .architectures = architectures,
    .prefix = "transformer.",
    .ignored_tensors = ignored,
    .tied = tied,
    .causal = true,
    .config_bytes = sizeof(struct gpt_neo),
    .fields = fields,
    .refused = refused,
    .check = check,
    .read = read_layers,
    .adapt = adapt,
    .sizes = sizes,
    .build = build,
};
