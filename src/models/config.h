/* config -- a config.json: all its keys as they were written, and those that its architecture reads. Keys that nobody
 * here knows are kept and written back. */
#ifndef PLAIT_MODELS_CONFIG_H
#define PLAIT_MODELS_CONFIG_H

#include "base/json.h"
#include "models/model.h"

enum { CONFIG_MAX_EOS = 8 };

struct config_key {
    char *name;
    char *json; /* the value, as JSON */
};

struct config {
    const struct model_def *def;
    void *values; /* the architecture's struct */
    struct model_sizes sizes;
    int64_t bos, pad, unk, decoder_start; /* token ids, INT_NONE when null or absent */
    int64_t eos[CONFIG_MAX_EOS];
    int eos_count;
    const char *architecture; /* class name of the head, one of def->architectures */
    const char *dtype;        /* "float32", "bfloat16", "float16": what files of this model hold; NULL: not said */
    struct config_key *keys;  /* in the file's order */
    size_t key_count, key_capacity;
    char *name;               /* for messages: the file */
};

/* Reads config.json text; `name` stands in messages. ERR_DATA (JSON, types), ERR_CONFIG (a model that cannot be). */
int config_parse(struct config *c, const char *name, const char *bytes, size_t length);
int config_load(struct config *c, const char *path); /* a file, or a directory with config.json */
void config_release(struct config *c);

/* Sets a key (value as JSON) and reads the whole again: unchanged when that fails. */
int config_set(struct config *c, const char *key, const char *json);
/* "k=v,k2=v2", HF's --config_overrides: the key must be one the architecture has or the file holds; v takes the type the
 * key has. */
int config_override(struct config *c, const char *overrides);
const char *config_get(const struct config *c, const char *key); /* its JSON, NULL when absent */
/* As transformers' save_pretrained writes it: keys sorted, indent 2, final newline. */
void config_write(const struct config *c, struct str *out);

#endif
