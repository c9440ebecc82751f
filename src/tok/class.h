/* class -- what a tokenizer_class of transformers (5.x) brings along: tokens it names by default, which
 * files it is read from where there is no tokenizer.json, and how the pipeline is put together. These
 * classes put it together themselves: of a tokenizer.json they take the vocabulary, the post-processor and
 * little else. One row each. */
#ifndef PLAIT_TOK_CLASS_H
#define PLAIT_TOK_CLASS_H

#include "tok/tokenizer.h"

enum tok_files { TOK_FILES_BPE, TOK_FILES_WORDPIECE, TOK_FILES_SPM };

struct class_build {
    const struct tree *config; /* tokenizer_config.json; root NULL: none */
    bool bare;                 /* there is no tokenizer.json */
    const struct spm *spm;     /* what was read instead; NULL: something else */
};

struct tok_class {
    const char *name;           /* "Fast" may follow it */
    const char *model_types[6]; /* of config.json, which decides where no class is named; NULL-terminated */
    const char *specials[TOK_SPECIAL_COUNT];
    enum tok_files files;
    bool sentinels; /* <extra_id_0> ... belong to it, extra_ids of them */
    int (*build)(struct tokenizer *t, const struct class_build *b);
};

/* The class of a directory; config is its tokenizer_config.json, whose root may be NULL. *out NULL: none
 * that has a row, so nothing beyond the files. *said: a file says what the class is. */
int class_of_directory(const char *directory, const struct tree *config, const struct tok_class **out,
                       bool *said);
const struct tok_class *class_named(const char *name); /* BUG when there is none */
void class_add_special(struct tokenizer *t, const struct tok_class *class, enum tok_special which);
/* How many sentinels: extra_ids, 100 without it. */
int class_sentinels(const struct tree *config, int64_t *out);

/* class_build.c: the rows' build. */
int class_build_gpt2(struct tokenizer *t, const struct class_build *b);
int class_build_roberta(struct tokenizer *t, const struct class_build *b);
int class_build_bert(struct tokenizer *t, const struct class_build *b);
int class_build_llama(struct tokenizer *t, const struct class_build *b);
int class_build_t5(struct tokenizer *t, const struct class_build *b);
int class_build_spm(struct tokenizer *t, const struct class_build *b); /* a .model of no class */

#endif
