/* objective_choice -- which objective a run has, what the model's config must be for it, and what it makes of
 * samples: the one that was asked for, or what the model's class is for. A model of another class gets the
 * head that the objective needs; in classification, names and number of classes come from the data unless the
 * model knows them already. */
#ifndef PLAIT_TRAIN_OBJECTIVE_CHOICE_H
#define PLAIT_TRAIN_OBJECTIVE_CHOICE_H

#include "ckpt/hf.h"
#include "data/labels.h"
#include "data/objective.h"
#include "tok/tok.h"
#include "train/data_files.h"

/* What a model of this class is for. */
enum objective_kind objective_usual(const struct config *config);
/* Gives the model the head and the keys that the objective needs. ERR_CONFIG when no class of it can. */
int objective_set_head(enum objective_kind kind, struct config *config);

struct objective_choice {
    const struct input_options *in;
    const struct options *given;     /* to know defaults from wishes; may be NULL */
    const struct option_list *files; /* that labels are read from */
    const char *spool_directory;     /* for data that is no regular file; may be NULL */
    bool own_samples;                /* of the caller, in place of files: classes are those of the config */
    bool assumed;                    /* these are none but stand for a text's */
    bool own_loss;                   /* the same: it may do without a head, so the model's stays */
    enum objective_kind kind;
    struct label_set labels; /* of classification */
};

/* Settles the kind and makes the config such that it fits. known: the config's head has been trained, so its
 * classes stay. ERR_CONFIG when no class of the model can have the objective, ERR_DATA for labels that do not
 * fit. */
int objective_choice_settle(struct objective_choice *c, struct config *config, bool known);
/* The same without a model: def says what sort of one it would be. */
int objective_choice_unbound(struct objective_choice *c, struct model_def *def);
void objective_choice_release(struct objective_choice *c);

/* What it makes of samples of block_size tokens. tokenizer may be NULL. The memory is that of its tables. */
int objective_choice_make(const struct objective_choice *c, const struct config *config,
                          const struct tokenizer *tokenizer, int64_t block_size, struct arena *memory,
                          struct objective *o);

/* How a cache must be made for it. */
struct token_cache_options;
void objective_choice_cache(const struct objective_choice *c, const struct config *config,
                            struct token_cache_options *o);

#endif
