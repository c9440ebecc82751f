/* config -- a config.json: all its keys as they were written, and those that its architecture reads. Keys
 * that nobody here knows are kept and written back. */
#ifndef PLAIT_MODELS_CONFIG_H
#define PLAIT_MODELS_CONFIG_H

#include "base/json.h"
#include "models/model.h"

enum { CONFIG_MAX_EOS = 8, CONFIG_MAX_BYTES = 16 << 20 };

struct config_key {
    char *name;
    char *json; /* the value, as JSON */
};

struct config {
    const struct model_def *def;
    void *values; /* the architecture's struct */
    struct model_sizes sizes;
    int64_t bos, pad, unk, decoder_start; /* token ids, INT_NONE when null, absent or negative */
    int64_t eos[CONFIG_MAX_EOS];
    int eos_count;
    const char *architecture; /* class name, one of def->architectures */
    enum head_kind head;      /* of that class */
    int64_t labels;           /* num_labels, or as many as id2label has; 2 when neither is there */
    enum problem problem;     /* problem_type */
    bool no_pooler;           /* a base model without one: no key says so, its weights do */
    const char *dtype; /* "float32", "bfloat16", "float16": what files of this model hold; NULL: not said */
    struct config_key *keys; /* in the file's order */
    size_t key_count, key_capacity;
    char *name; /* for messages: the file */
};

/* Reads config.json text; `name` stands in messages. ERR_DATA (JSON, types, ranges), ERR_CONFIG (a model that
 * cannot be). Nothing in the text is ever executed: "auto_map" is ignored with a warning. */
int config_parse(struct config *c, const char *name, const char *bytes, size_t length);
int config_load(struct config *c,
                const char *path); /* a file, "-", or a directory with config.json; ERR_OPEN */
void config_release(struct config *c);

/* Sets one key (value as JSON) and reads the whole again: unchanged when that fails. */
int config_set(struct config *c, const char *key, const char *json);
int config_set_int(struct config *c, const char *key, int64_t value); /* INT_NONE: null */
/* "k=v,k2=v2", HF's --config_overrides: each key must be one the architecture has or the file holds; v is
 * taken as the type the key has. All take effect together. ERR_USAGE, and unchanged when it fails. */
int config_override(struct config *c, const char *overrides);
const char *config_get(const struct config *c, const char *key); /* its JSON, NULL when absent */
/* A key that the architecture reads, under any of its names, or its default; NULL when there is none. */
const char *config_get_field(const struct config *c, const struct field *f);
/* As transformers' save_pretrained writes it: keys sorted, indent 2, ASCII, final newline. */
void config_write(const struct config *c, struct str *out);

/* The class of this model that has such a head: the next reading and saving take it. ERR_CONFIG: none has. */
int config_set_head(struct config *c, enum head_kind head);

/* Rows attend to earlier rows only. */
bool config_is_causal(const struct config *c);
/* Rows of an encoder beside the model's own. */
bool config_has_encoder(const struct config *c);

/* Builds the trunk and its head; what the graph's inputs are is the caller's. */
void config_build(const struct config *c, struct builder *b, struct model_inputs *in,
                  struct model_outputs *out);

/* ---- presets.c: configs that plait knows by itself ---- */
/* The published config.json of a model: gpt2, openai-community/gpt2-xl, ... ERR_CONFIG names the nearest. */
int config_preset(struct config *c, const char *name);
/* What transformers takes when only model_type is given. ERR_CONFIG when there is no such type. */
int config_default(struct config *c, const char *model_type);
const char *config_default_text(const char *model_type); /* JSON; NULL when there is no such type */

#endif
