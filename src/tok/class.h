/* class -- what a tokenizer_class of transformers brings along: tokens it names by default and, where there
 * is no tokenizer.json, how the pipeline is put together. One row each. */
#ifndef PLAIT_TOK_CLASS_H
#define PLAIT_TOK_CLASS_H

#include "tok/tokenizer.h"

struct tok_class {
    const char *names[3];   /* NULL-terminated */
    const char *model_type; /* of config.json, which decides where tokenizer_config.json names no class */
    const char *specials[TOK_SPECIAL_COUNT];
    bool lstrip_mask;      /* the mask token takes the space before it along */
    bool roberta;          /* <s> before the text and </s> after it */
    bool add_prefix_space; /* the key of that name in tokenizer_config.json acts */
};

/* The class of a directory; config is its tokenizer_config.json, whose root may be NULL. *out NULL: none that
 * has a row, so nothing beyond the files. */
int class_of_directory(const char *directory, const struct tree *config, const struct tok_class **out);
const struct tok_class *class_default(void); /* of a directory that names none */
void class_add_special(struct tokenizer *t, const struct tok_class *class, enum tok_special which);
/* The settings of the class in tokenizer_config.json; class may be NULL. */
int class_apply(struct tokenizer *t, const struct tok_class *class, const struct tree *config);
/* Pre-tokenizer, post-processor and decoder for vocab.json + merges.txt. */
int class_build(struct tokenizer *t, const struct tok_class *class, const struct tree *config);

#endif
