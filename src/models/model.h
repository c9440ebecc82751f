/* model -- what an architecture is: the keys of its config.json that count, and a function that builds its
 * graph. Model files are single-device code: no rank, mesh, dtype or device appears in them. Parameter names
 * are those of Hugging Face's files, written once, where the parameter is used.
 *
 * Letters: N token rows, D width, H heads, K head width, F MLP width, V vocabulary, L layers, T positions. */
#ifndef PLAIT_MODELS_MODEL_H
#define PLAIT_MODELS_MODEL_H

#include "ops/ops.h"

enum field_type {
    FIELD_INT,
    FIELD_DOUBLE,
    FIELD_BOOL,
    FIELD_ACTIVATION, /* enum activation_kind */
    FIELD_TEXT,       /* char[FIELD_TEXT_MAX]; null: "" */
    FIELD_MAYBE,      /* int: true, false or, with null, -1 */
    FIELD_TOKEN,      /* a token id; null or negative: INT_NONE, whatever the default is */
};

enum { FIELD_TEXT_MAX = 32 };

struct field { /* one key of config.json that changes the computation */
    const char *key;
    enum field_type type;
    size_t offset;      /* into the architecture's config struct: int64_t, double, bool, int */
    const char *preset; /* transformers' default, as JSON; NULL: required; "null": INT_NONE or NAN */
    double min, max;    /* both 0: no bounds */
    const char *alias;  /* another spelling of the key, or NULL */
};

#define INT_NONE INT64_MIN /* an integer key that is null */

/* What is put on the trunk. */
enum head_kind {
    HEAD_NONE,           /* base model: hidden states */
    HEAD_CAUSAL,         /* logits of the next token */
    HEAD_MASKED,         /* logits of the token itself */
    HEAD_CLASSIFICATION, /* logits of a sequence, from one of its rows */
    HEAD_CONDITIONAL,    /* encoder and decoder: logits of the decoder's next token */
    HEAD_ENCODER,        /* base model again, the encoder alone of a model that has both */
};

/* What a classification head's loss is; config.json's problem_type. */
enum problem {
    PROBLEM_UNSAID,       /* one label: regression; else by the type of what it is compared with */
    PROBLEM_REGRESSION,   /* mean squared error against numbers */
    PROBLEM_SINGLE_LABEL, /* cross-entropy against a class */
    PROBLEM_MULTI_LABEL,  /* binary cross-entropy of each label */
};

struct architecture { /* a class name of transformers */
    const char *name;
    enum head_kind head;
};

/* Inputs of a graph, made before the model builds. Rows are packed token rows. */
struct row_inputs {
    struct tensor *ids;         /* I32 [N] token ids */
    struct tensor *positions;   /* I32 [N] position ids for position embeddings */
    struct tensor *token_types; /* I32 [N] segments; NULL unless the model asks for them */
    struct tensor *longest;     /* I32 [N] largest position id of the row's sequence, plus 1; the same */
    /* offsets I32 [S+1], positions I32 [N] (order in the sequence), place I64 [N] */
    struct sequences sequences;
    struct sequences keys; /* of the rows as keys: positions < 0 mask a key */
};

/* Generation with an encoder: its keys and values go to caches (cache_rows, cache_positions, G, K), one row
 * for each prompt, which the decoder's rows read. */
struct cross_inputs {
    int64_t cache_rows, cache_positions;
    struct tensor *encoder_slot; /* I32 [M] cache row of each encoder row */
    struct tensor *slot;         /* I32 [N] cache row that each row reads */
    struct tensor *last;         /* I32 [N] last position there */
};

struct model_inputs {
    enum head_kind head;                 /* the one that is wanted */
    int64_t labels;                      /* of a classification head */
    bool no_pooler;                      /* of a base model */
    struct row_inputs rows;              /* of the model, or of the decoder where there is an encoder */
    struct row_inputs encoder;           /* the same sequences; all NULL unless the model asks for them */
    bool cached;                         /* generation: keys and values go through a cache */
    int64_t cache_rows, cache_positions; /* C and T of the cache */
    struct tensor *slot, *source;        /* I32 [N], I32 [C, T] */
    struct cross_inputs cross;
};

struct input_sizes { /* capacities */
    int64_t rows, encoder_rows, sequences;
};
/* inputs.c: those that the model asks for, under the names in struct batch; the encoder's as "encoder_ids"
 * and so on. What is for generation alone is left as it is. */
struct config;
void model_inputs_make(struct builder *b, const struct config *c, const struct input_sizes *sizes,
                       struct model_inputs *in);

struct config;

struct model_outputs {
    struct tensor *hidden; /* (N, D) final hidden states */
    struct head head;      /* weight NULL: a headless model; what `prepare` makes is then its pooled output */
};

struct model_sizes { /* what others need to know of a config */
    int64_t vocab, positions, width, layers, heads;
    int64_t token_types; /* 0: it has none */
    bool any_position; /* positions is what the model was made for, and no bound: there is no table of them */
    int64_t first_position; /* position id of a sequence's first row: 0, but pad_token_id + 1 in RoBERTa */
    bool causal;            /* rows attend to earlier rows only, although the architecture's usually do not */
};

/* The longest sequence. */
int64_t model_position_limit(const struct model_sizes *s);

struct tied_tensor { /* a second name that files may have for a parameter */
    const char *name, *param;
    bool trunk; /* of the trunk: not a head's, which only classes with a language-model head have */
};

struct model_def {
    const char *name; /* config.json's model_type */
    const struct architecture
        *architectures; /* classes in "architectures", ends with name NULL; the first is the default */
    const char *prefix; /* base-model prefix of parameter names that files may leave out: "transformer." */
    const char *const *ignored_tensors; /* patterns of buffers in files that are no parameters,
                                         * NULL-terminated: suffixes such as ".attn.bias" */
    const struct tied_tensor *tied;     /* copies of parameters that files may hold; ends with name NULL */
    const char *pooler; /* a parameter of the base model's pooler, which files may lack; NULL: it has none */
    bool causal;        /* rows attend to earlier rows only, always; a sequence is classified by its last */
    bool token_types;   /* these three say which inputs the model asks for */
    bool longest;
    bool encoder;
    size_t config_bytes;
    const struct field *fields; /* ends with key NULL */
    const struct field
        *refused; /* keys whose value must be the preset: any other is refused; ends with key NULL */
    int (*check)(const void *config); /* relations between keys; ERR_CONFIG */
    /* NULL, or reads into config what is no plain field: keys that hold objects or lists. After check. */
    int (*read)(const struct config *c, void *config);
    /* NULL, or after some keys were changed by hand: makes those fit that follow from them. */
    void (*adapt)(struct config *c);
    /* NULL: tie_word_embeddings says whether the head is the first of `tied`. Else the weights do, and this
     * changes the config's keys where they say otherwise. */
    int (*settle_tie)(struct config *c, bool own_head);
    void (*sizes)(const void *config, struct model_sizes *out);
    void (*build)(struct builder *b, const void *config, const struct model_inputs *in,
                  struct model_outputs *out);
};

extern const struct model_def *const model_table[]; /* ends with NULL */

/* ---- heads.c: what stands on the trunk ---- */
/* Scope of the trunk's parameters, "bert": base-model classes leave it out. */
void trunk_begin(struct builder *b, const struct model_inputs *in, const char *name);
void trunk_end(struct builder *b, const struct model_inputs *in, const char *name);
/* A projection to `size` logits from parameters NAME.weight (size, width) and, with `bias`, NAME.bias. */
struct projection {
    int64_t size, width;
    bool bias;
    double init;
};
struct head projection_head(struct builder *b, const char *name, const struct projection *p);
/* Heads of causal models: lm_head, or the token table where tied; score for classes; else none. */
struct head causal_head(struct builder *b, const struct model_inputs *in, struct tensor *tokens, bool tied,
                        double init);
/* What the projection takes of hidden states x (N, D): of the rows named, NULL: of all. (R, D) */
struct tensor *head_input(struct builder *b, const struct head *head, struct tensor *x, struct tensor *rows,
                          struct tensor *place);
struct tensor *head_logits(struct builder *b, const struct head *head, struct tensor *x);

/* ---- layers.c: what architectures share ---- */
/* A (rows, width) table, its name given whole within the scope ("wte.weight"): for embedding() and heads. */
struct tensor *embedding_table(struct builder *b, const char *name, int64_t rows, int64_t width, double init);
/* The same, but row `padding` (negative: none) starts as zeros. */
struct tensor *padded_table(struct builder *b, const char *name, const int64_t size[2], double init,
                            int64_t padding);
struct tensor *vector_param(struct builder *b, const char *name, int64_t size, enum init_kind init);
struct tensor *norm_layer(struct builder *b, const char *name, struct tensor *x, double eps);
/* Parameter NAME.weight. */
struct tensor *rmsnorm_layer(struct builder *b, const char *name, struct tensor *x, double eps);

struct linear_options {
    int in_ndim, out_ndim;
    int64_t in[MAX_DIMS], out[MAX_DIMS]; /* logical dims on both sides */
    bool out_first; /* file order: (out, in) as torch.nn.Linear; else (in, out) as GPT-2's Conv1D */
    bool bias;
    double init; /* standard deviation of initial weights */
};
/* Parameters NAME.weight and NAME.bias. x (N, in...) -> (N, out...) */
struct tensor *linear_layer(struct builder *b, const char *name, struct tensor *x,
                            const struct linear_options *o);

/* q, k, v (N, P, H, K) -> (N, H, K), through the cache of this layer when in->cached. */
struct tensor *attention_layer(struct builder *b, const struct model_inputs *in, struct tensor *q,
                               struct tensor *k, struct tensor *v, const struct attention_options *o);
/* The decoder's q (N, P, H, K) on the encoder's k and v (M, P, H, K), whose rows are never cut off. */
struct tensor *cross_attention_layer(struct builder *b, const struct model_inputs *in, struct tensor *q,
                                     struct tensor *k, struct tensor *v, const struct attention_options *o);

#endif
