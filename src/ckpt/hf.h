/* hf -- a model directory as transformers' save_pretrained writes it, read and written.
 *
 *     model_open(&m, &(struct model_options){ .name = "gpt2" });   config and, checked, the weights there are
 *     plan_compile(&m.config, ...), executor_create(...)
 *     model_fill_store(&m, store) or model_init_store(store, seed)
 *     model_save(&m.config, ...)
 *     model_close(&m);
 *
 * Everything about the weights is checked by model_open, before anything large is allocated: each parameter
 * is there with its shape, under its name with or without the architecture's prefix; a tied copy equals what
 * it is a copy of; what nobody asked for is named in one warning. Nothing missing is made up,
 * but for the head of a class that was asked for. */
#ifndef PLAIT_CKPT_HF_H
#define PLAIT_CKPT_HF_H

#include "ckpt/params.h"
#include "ckpt/weights.h"
#include "ckpt/weights_save.h"
#include "exec/exec.h"
#include "models/config.h"

struct model_options {
    const char *name; /* model_name_or_path: directory, or name in a cache of the hub; NULL: no weights */
    const char
        *config_name; /* directory, config.json, name in a cache, built-in config; NULL: that of `name` */
    const char *cache_dir, *revision; /* see ckpt/hub.h; may be NULL */
    const char *overrides;            /* --config_overrides, or NULL */
    /* NULL, or changes the config before the weights are looked at; trained: the weights are of its head. */
    int (*adapt)(void *context, struct config *c, bool trained);
    void *context;
    /* Where the class was made another one, a parameter that the weights lack begins at random. */
    bool new_head;
    uint64_t seed;
    /* Processes that open it together share out what has to be read of the weights before they are wanted;
     * what one finds wrong is for all of them to end. parts 0: this one is alone. */
    int part, parts;
};

struct model {
    struct config config;
    char *directory; /* where config.json lies; NULL: built-in */
    bool has_weights;
    struct weights weights;
    /* private */
    uint64_t seed;
    int part, parts;
    bool new_head;      /* the weights are of another class */
    struct map sources; /* parameter -> index into weights.tensors */
};

/* ERR_OPEN naming the places looked in, ERR_DATA, ERR_CONFIG, ERR_USAGE. */
int model_open(struct model *m, const struct model_options *o);
void model_close(struct model *m);

/* The config alone, without weights. *directory (may be NULL): where it lies, freed by the caller; NULL:
 * built-in. */
int model_find_config(const char *name, const struct model_options *o, struct config *c, char **directory);

/* Where a parameter's values lie; NULL when there are no weights. */
const struct weights_tensor *model_source(const struct model *m, const char *param);

/* The type of the first tensor of floating-point numbers, as transformers takes it; "float32" without any. */
const char *model_saved_dtype(const struct model *m);

/* ERR_SYSTEM, naming both figures, when the parameters `copies` times over (4: weights, gradients and two
 * moments) take more than `available` bytes. Ask before a plan is compiled. */
int model_check_memory(const struct config *c, int copies, double available);

/* Parameters of the store from the model's weights: each rank reads its own share only. Thread-safe for
 * different stores. ERR_IO, ERR_DATA. */
int model_fill_store(const struct model *m, struct store *s);
/* Random ones, functions of (seed, name, index) whatever the layout. */
void model_init_store(struct store *s, uint64_t seed);

/* ---- hf_save.c ---- */

struct deal;
struct model_save_options {
    const char *dtype;          /* "float32", "bfloat16", "float16"; NULL: "float32" */
    uint64_t max_shard_bytes;   /* 0: as weights_save */
    const struct deal *deal;    /* in the pieces of a layout (ckpt/deal.h); NULL: whole */
    const char *tag;            /* of shards; NULL: none */
    const char *tokenizer_dir;  /* tokenizer files are copied from there; NULL: none */
    const char *generation_dir; /* its generation_config.json is kept, if there is one; else, and with NULL,
                                   one is made of the config's token ids */
};

/* Writes config.json, generation_config.json and the tokenizer's files into an open save. */
int model_write_beside(struct save *s, const struct config *c, const struct model_save_options *o);
int model_copy_tokenizer(struct save *s, const char *directory); /* those that are there */
/* Writes config.json, generation_config.json, the weights and the tokenizer's files into an open save (a
 * checkpoint adds its own files). */
int model_write(struct save *s, const struct config *c, const struct weights_param *params, size_t count,
                const struct model_save_options *o);
/* A model directory by itself: all files appear, config.json last, or none. */
int model_save(const char *directory, const struct config *c, const struct weights_param *params,
               size_t count, const struct model_save_options *o);

#endif
