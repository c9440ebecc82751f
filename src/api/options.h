/* options -- what the program's commands and the library's functions are told, beside what train/options.h
 * has: which model, how it is computed, on how many ranks, how it is saved. A table of each, bound to its
 * struct. */
#ifndef PLAIT_API_OPTIONS_H
#define PLAIT_API_OPTIONS_H

#include "base/options.h"
#include "base/str.h"
#include "plan/plan.h"

/* ---- compute.c: where and how precisely a model runs ---- */
struct compute_options {
    int device, dtype;
    const char *device_memory;
};
extern const struct option compute_options[];
/* The fraction that device_memory says; 0: it says a size. */
double compute_memory_part(const struct compute_options *c);
/* Refuses what this build has not; *bytes: what the ranks of a host may take for the model. */
int compute_check(const struct compute_options *c, int ranks, double *bytes);
enum dtype compute_dtype(const struct compute_options *c);
/* The same names for commands that run none: accepted with a note. */
extern const struct option no_compute_options[];

/* ---- parallel.c: how many ranks ---- */
enum recompute_word {
    RECOMPUTE_WORD_AUTO,
    RECOMPUTE_WORD_NONE,
    RECOMPUTE_WORD_SELECTIVE,
    RECOMPUTE_WORD_FULL
};
struct parallel_options {
    int64_t data, tensor, pipeline, world, microbatches, chunks, zero;
    int64_t processes, process, local; /* 0, -1, 0: not said */
    int schedule, recompute, comm;
    int sequence; /* not 0: said, not auto */
    const char *rules, *config;
    /* No options: what is left open will be searched for; nothing will run, so any number of ranks may be. */
    bool searched, thought;
};
extern const struct option parallel_options[];
struct world;
/* The ranks that a launcher has started, or none; all with the same program and options. tell: see
 * world.h. On success the caller ends with world_close. */
int parallel_open(struct parallel_options *p, struct world *w, void (*tell)(int status));
/* What is given, as a mesh of these ranks; w NULL: of threads of this process. Sizes left to plait are 1,
 * or what is left of the world. ERR_CONFIG for what this version or these sizes cannot be. */
struct mesh;
int parallel_mesh(struct parallel_options *p, const struct world *w, struct mesh *mesh);
/* --partition_rules; NULL without it. The caller frees. */
struct partition_rules;
int parallel_rules(const struct parallel_options *p, const struct world *w, const struct mesh *mesh,
                   struct partition_rules **out);
bool parallel_has_stages(const struct parallel_options *p,
                         const struct mesh *mesh); /* it has, or a search may find so */
/* How a step runs through that mesh's stages. */
int parallel_pipeline(const struct parallel_options *p, const struct mesh *mesh,
                      struct pipeline_options *out);
/* What of all this is left to plait. */
struct layout_wish;
void parallel_wish(const struct parallel_options *p, const struct mesh *mesh, struct layout_wish *w);
enum recompute parallel_recompute(const struct parallel_options *p);
int parallel_zero_stage(const struct parallel_options *p, const struct mesh *mesh);

/* What the processes of a launcher have each read for themselves is one and the same, else ERR_CONFIG, as
 * world_agree. what: "prompts". A file that is not there (NULL: none) is an empty one. */
int agree_on_bytes(const struct world *w, const char *what, const void *bytes, size_t length);
int agree_on_file(const struct world *w, const char *what, const char *path);

/* ---- model.c: which model ---- */
struct model_choice {
    const char *name, *config_name, *cache_dir, *revision, *overrides;
};
extern const struct option
    model_options_table[]; /* model_name_or_path, config_name and what goes with them */
extern const struct option config_options_table[]; /* config_name alone */
extern const struct option hub_notes[]; /* HF's options that change nothing where nothing is downloaded */
struct model_options;
void model_choice_options(const struct model_choice *c, struct model_options *o);
struct tokenizer;
/* tokenizer.json, its directory, or a model's name in a cache. ERR_OPEN, ERR_DATA. */
int find_tokenizer(const char *name, const char *cache_dir, const char *revision, struct tokenizer **out);

/* ---- saving.c: how weights are written ---- */
struct saving_options {
    int dtype; /* index into float32, bfloat16, float16; -1: the input model's */
    const char *max_shard_size;
};
extern const struct option saving_options[];
/* The names of --save_dtype. NULL for -1. */
const char *saving_dtype(const struct saving_options *s);
int saving_shard_bytes(const struct saving_options *s, uint64_t *bytes);

/* ---- values.c ---- */
/* "5GB", "512 MiB", "1000": K, M, G, T are powers of 1000, with an i of 1024. ERR_USAGE naming the option. */
int parse_bytes(const char *option, const char *text, uint64_t *bytes);
/* ERR_USAGE "--NAME is missing" unless given. */
int require_text(const char *option, const char *value);
int write_text(const char *path, const struct str *text); /* "-" or NULL: stdout */

#endif
