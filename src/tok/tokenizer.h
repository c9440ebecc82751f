/* tokenizer -- the inside of struct tokenizer, for the files of this folder. */
#ifndef PLAIT_TOK_TOKENIZER_H
#define PLAIT_TOK_TOKENIZER_H

#include "tok/added.h"
#include "tok/component.h"

/* Sections of tokenizer.json that are kept as text for writing. */
enum section {
    SECTION_NORMALIZER,
    SECTION_PRE_TOKENIZER,
    SECTION_POST_PROCESSOR,
    SECTION_DECODER,
    SECTION_TRUNCATION,
    SECTION_PADDING,
    SECTION_COUNT
};
extern const char *const section_keys[SECTION_COUNT];

struct tokenizer {
    struct vocab vocab; /* of the model */
    struct added added;
    struct component normalizer, pre_tokenizer, model, post_processor, decoder;
    struct truncation truncation;
    struct padding padding;
    bool pad_left, cut_left; /* padding_side and truncation_side of tokenizer_config.json */
    int32_t size, id_limit;
    uint32_t *added_by_id;               /* index + 1 into added.tokens; id_limit of them */
    char *sections[SECTION_COUNT];       /* JSON; NULL: null */
    int32_t specials[TOK_SPECIAL_COUNT]; /* ids, -1: none */
    int64_t max_length;
    bool cleans_up; /* decoded text, of blanks before punctuation */
    char *config;   /* tokenizer_config.json as it was read, or NULL */
};

struct tokenizer *tokenizer_create(void);
/* The id tokenizers would give a new added token: the number of entries of the vocabulary, or what follows
 * the largest added one. Where ids have gaps, an entry may have that one; then the first above all. */
int32_t tokenizer_next_id(const struct tokenizer *t);
/* Adds a token (its id is set by this when it is -1), without indexing. */
void tokenizer_add(struct tokenizer *t, const struct added_token *token);
/* After tokens were added: sizes, tables by id, tries. */
int tokenizer_index(struct tokenizer *t);
/* The token as files have it; tokenizer_token gives its normal form. */
const char *tokenizer_content(const struct tokenizer *t, int32_t id, size_t *length);
/* Reads one section from a node and keeps its text. */
int tokenizer_read_section(struct tokenizer *t, const struct tree *tree, enum section which,
                           const struct node *n);
/* Puts another component in its place, written as JSON by us. */
int tokenizer_set_section(struct tokenizer *t, enum section which, const char *json);
void tokenizer_clear_section(struct tokenizer *t, enum section which); /* as if it were null */

int tokenizer_load_json(const char *path, struct tokenizer **out);
/* A directory with all that decides ids in it (config.c). */
int tokenizer_load_directory(const char *directory, struct tokenizer **out);
/* Files that hold a model alone (files.c). */
int tokenizer_load_bpe(const char *directory, struct tokenizer **out); /* vocab.json + merges.txt */
int tokenizer_load_wordpiece(const char *path, const char *unk, struct tokenizer **out); /* vocab.txt */

/* Decodes without cleaning up. */
int tokenizer_decode_raw(const struct tokenizer *t, const int32_t *ids, size_t count, bool skip_special,
                         struct str *out);
/* Encodes up to the truncation that is given (may be NULL). */
int encode_text(struct encoder *e, const struct tok_input *in, const struct encode_options *options,
                const struct truncation *truncation, struct encoding *out);

/* "left" or "right", by key; absent: right. */
struct tree;
struct node;
int tokenizer_read_side(const struct tree *tree, const struct node *n, const char *key, bool *left);

/* ---- truncate.c ---- */

/* Cuts what p covers so that it fits together with `added` special tokens. */
int truncate_texts(struct process *p, const struct truncation *t, size_t added);

/* Writes {"content": ..., "lstrip": ...} without id. */
void added_token_write(struct json_writer *w, const struct added_token *a);
/* Reads the flags and the content of an added token; content is borrowed from the tree. */
int added_token_read(const struct tree *t, const struct node *n, struct added_token *out);

#endif
