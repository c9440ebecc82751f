/* class -- what a tokenizer_class of transformers brings along: tokens it names by default and, where there
 * is no tokenizer.json, how the pipeline is put together. One row each. */
#ifndef PLAIT_TOK_CLASS_H
#define PLAIT_TOK_CLASS_H

#include "tok/tokenizer.h"

struct tok_class {
    const char *names[3];   /* NULL-terminated */
    const char *model_type; /* of config.json, which decides where tokenizer_config.json names no class */
    const char *specials[TOK_SPECIAL_COUNT];
    bool roberta; /* cls before the text and sep after it */
};

/* The class of a directory; config is its tokenizer_config.json, whose root may be NULL. *out NULL: none that
 * has a row, so nothing beyond the files. */
int class_of_directory(const char *directory, const struct tree *config, const struct tok_class **out);
/* For vocab.json + merges.txt without a class: GPT-2's where its token is in the vocabulary, else NULL. */
const struct tok_class *class_of_vocab(const struct tokenizer *t);
void class_add_special(struct tokenizer *t, const struct tok_class *class, enum tok_special which);
/* What the class sets whatever tokenizer.json says; class may be NULL, config's root too. */
int class_apply(struct tokenizer *t, const struct tok_class *class, const struct tree *config);
/* Pre-tokenizer, post-processor and decoder where there is no tokenizer.json. */
int class_build(struct tokenizer *t);

#endif
