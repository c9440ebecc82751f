/* options -- what to generate and how: the settings of transformers' GenerationConfig that plait has, under
 * its names and with its defaults. A model directory's generation_config.json gives them (without one, what
 * config.json says); the caller changes what it likes and has the whole checked.
 *
 *     generation_options_load(&o, directory, &config);  o.num_beams = 3;  generation_options_check(&o); */
#ifndef PLAIT_GEN_OPTIONS_H
#define PLAIT_GEN_OPTIONS_H

#include "models/config.h"

enum early_stopping { EARLY_FALSE, EARLY_TRUE, EARLY_NEVER };
enum { GENERATION_MAX_EOS = 32, GENERATION_DEFAULT_NEW = 20 };

struct generation_options {
    /* Those of new tokens win over those of a length, which counts the prompt. Most: INT_NONE is not given;
     * least: 0. */
    int64_t max_new_tokens, max_length;
    int64_t min_new_tokens, min_length;
    bool do_sample;
    double temperature, top_p; /* these three act only with do_sample */
    int64_t top_k;             /* 0: all */
    int64_t num_beams, num_return_sequences;
    double length_penalty; /* these two act only with num_beams > 1 */
    enum early_stopping early_stopping;
    double repetition_penalty;
    int64_t no_repeat_ngram_size; /* 0: off */
    int64_t bos, pad;             /* INT_NONE: there is none */
    int64_t decoder_start;        /* what a decoder begins with; INT_NONE: bos */
    int64_t eos[GENERATION_MAX_EOS];
    int eos_count;
    uint64_t seed;
    char **stop_strings; /* owned */
    size_t stop_count, stop_capacity;
    /* A key of the file whose effect plait has not, and one that would matter to sampling alone; NULL: none.
     */
    const char *refused, *refused_sampling;
    char *source; /* the file the defaults are from: for messages */
};

void generation_options_init(struct generation_options *o); /* transformers' defaults; no token ids */
void generation_options_release(struct generation_options *o);
void generation_options_add_stop(struct generation_options *o, const char *text, size_t length);

/* One key of a generation_config.json, whose value comes next in r; keys that are none of ours are passed
 * over, as transformers does, and null leaves what was there. */
void generation_options_read_key(struct generation_options *o, struct json_reader *r, const char *key);
/* The text of a generation_config.json, over what is there already. ERR_DATA. */
int generation_options_parse(struct generation_options *o, const char *name, const char *bytes,
                             size_t length);

/* The defaults, then directory/generation_config.json, or where there is none the keys of config. directory
 * may be NULL. ERR_DATA. Nothing has to be released when it fails. */
int generation_options_load(struct generation_options *o, const char *directory, const struct config *config);

/* ERR_CONFIG with transformers' sentence when they cannot be. */
int generation_options_check(const struct generation_options *o);

/* Tokens that a prompt of `length` may become, itself included: what max_new_tokens or max_length say, else
 * 20 more than the prompt within `positions`. ERR_CONFIG when there is no room for one more. */
int generation_limit(const struct generation_options *o, int64_t length, int64_t positions, int64_t *limit);

/* Sequences that one prompt becomes. */
int64_t generation_width(const struct generation_options *o);

#endif
