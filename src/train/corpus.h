/* corpus -- from options to samples: the tokenizer, token caches of the data files, and the two data sets,
 * one to train on and one to evaluate. */
#ifndef PLAIT_TRAIN_CORPUS_H
#define PLAIT_TRAIN_CORPUS_H

#include "ckpt/hf.h"
#include "data/dataset.h"
#include "train/objective_choice.h"
#include "train/stop.h"

struct corpus_options {
    const struct input_options *in;
    const struct data_files *files; /* NULL: samples are the caller's own, of at most max_length */
    int64_t max_length;
    const struct objective_choice *choice; /* settled with the model's config */
    const struct model *model;             /* for its positions, vocabulary, and tokenizer */
    const struct model_options *hub;       /* where names are looked up */
    const char *output_dir;                /* caches lie there when there is no better place; may be NULL */
    bool train, evaluate;                  /* which data sets are wanted */
    uint64_t seed;                         /* of what is random in tokens */
    struct stop *stop;                     /* may be NULL */
};

struct corpus {
    struct tokenizer *tokenizer; /* NULL: all data is in rows of ids */
    char *tokenizer_dir;         /* whose files go with the model; NULL: none */
    int64_t block_size;          /* as the user means it; samples of span corruption are longer */
    struct objective objective;
    struct token_cache caches[2];
    int cache_count;
    struct dataset train, eval; /* count 0: not wanted */
    struct arena memory;
};

/* ERR_USAGE, ERR_OPEN, ERR_DATA; ERR_STOPPED when a stop was asked for meanwhile. */
int corpus_open(struct corpus *c, const struct corpus_options *o);
void corpus_close(struct corpus *c);

#endif
