/* component -- the parts a tokenizer is put together from. A new normalizer, pre-tokenizer, model,
 * post-processor or decoder is one file with one `struct component_type` and one row in components.c.
 *
 * Text flows through the pipeline in pieces, pushed from stage to stage: a pre-tokenizer emits the parts of a
 * piece to a sink, the last sink is the model. Nothing is collected on the way, so memory does not grow with
 * the text. */
#ifndef PLAIT_TOK_COMPONENT_H
#define PLAIT_TOK_COMPONENT_H

#include "tok/tok.h"
#include "tok/tree.h"
#include "tok/vocab.h"

struct piece {
    const char *bytes;
    size_t length;
    const struct tok_span *origins; /* per byte, its place in the input; NULL when spans are not asked for */
    size_t head;                    /* leading bytes that come from the first character of the input */
    bool byte_level; /* stands for its byte-level form (byte_level.h), which is made only where a stage needs
                        it */
};

struct sink {
    int (*emit)(struct sink *s, const struct piece *p);
};

/* Text that a stage has changed. */
struct text {
    struct str bytes;
    struct tok_span *origins;     /* as many as bytes, when tracked */
    size_t origin_capacity, head; /* head: as in a piece */
    bool tracked;
};
void text_init(struct text *t, bool tracked);
void text_release(struct text *t);
void text_clear(struct text *t);
void text_append(struct text *t, const char *bytes, size_t length, struct tok_span origin);
void text_append_piece(struct text *t, const struct piece *p);
struct piece text_piece(const struct text *t);
/* ERR_DATA when far too much was made out of `from` bytes: normalizers could make any size out of a few. */
int text_check_growth(const struct text *t, size_t from);
struct piece piece_slice(const struct piece *p, size_t begin, size_t end);
/* Input bytes p[begin..end) come from: the range that covers the places of all of them. Without origins it
 * still says what is of the input's first character: that begins at 0, all else at 1. */
struct tok_span piece_origin(const struct piece *p, size_t begin, size_t end);

/* What a component is read from. The model and the added tokens are read first: tokenizer_id knows them. */
struct component_source {
    const struct tree *tree;
    const struct tokenizer *tokenizer;
    struct vocab *vocab; /* of the model, which fills it */
};

struct tok_dropout {
    uint64_t seed, text; /* text: which one it is, as a hash of its bytes */
};

struct model_ops {
    void *(*scratch_create)(const void *state); /* NULL: needs none */
    void (*scratch_free)(void *scratch);
    /* Appends the ids of one word. */
    int (*encode)(const void *state, void *scratch, const struct piece *word, struct encoding *out);
    void (*write)(const void *state, const struct vocab *vocab,
                  struct json_writer *w); /* the members after "type" */
    int (*save)(const void *state, const struct vocab *vocab, const char *directory); /* files of its own */
    bool takes_bytes; /* knows what byte_level means */
    /* Drops merges out in the text that follows; d NULL: no more. NULL: knows no dropout. */
    void (*set_dropout)(const void *state, void *scratch, const struct tok_dropout *d);
};

/* For model_ops.save: replaces a file of the directory. */
int model_save_text(const char *directory, const char *name, const struct str *text);

/* What a post-processor sees and changes. */
struct process {
    const struct tokenizer *tokenizer;
    struct encoding *encoding;
    size_t begin;  /* the first id of this text in the encoding */
    size_t middle; /* the first of the second text; its end where there is none */
    bool pair;     /* there is a second text */
    bool special;  /* add special tokens */
};

/* Tokens on their way to text. */
struct token_list {
    struct str bytes;
    size_t *ends, count, capacity; /* token i is bytes[ends[i - 1] .. ends[i]) */
};
const char *token_list_get(const struct token_list *l, size_t i, size_t *length);
void token_list_release(struct token_list *l);
void token_list_add(struct token_list *l, const char *bytes, size_t length);
/* Broken UTF-8 becomes U+FFFD, one for each longest prefix of a character (Unicode 16.0, section 3.9, table
 * 3-8). */
void token_list_add_lossy(struct token_list *l, const char *bytes, size_t length);
/* English punctuation without the blank before it, as transformers cleans text up; do_not: " do not" becomes
 * " don't" as well, as it does in tokenizers. */
void clean_up_spaces(struct str *s, bool do_not);
struct token_place { /* a token, and which of how many */
    const char *bytes;
    size_t length, place, count;
};
/* Appends what becomes of a token. */
typedef void token_form_fn(const void *state, const struct token_place *t, struct str *out);
/* Each token becomes what `form` makes of it. */
void token_list_map(struct token_list *l, token_form_fn *form, const void *state);

struct component_type {
    const char *name;
    int (*parse)(const struct component_source *s, const struct node *n,
                 void **state);   /* NULL: nothing to read */
    void (*release)(void *state); /* NULL: nothing to free */
    /* one of these, by kind */
    int (*normalize)(const void *state, struct text *text);
    int (*split)(const void *state, const struct piece *in, struct sink *out);
    const struct model_ops *model;
    int (*process)(const void *state, struct process *p);
    int (*decode)(const void *state, struct token_list *tokens);
    size_t (*added)(const void *state, bool pair); /* post-processor: special tokens it adds; NULL: none */
};

struct component {
    const struct component_type *type; /* NULL: absent */
    void *state;
};

enum component_kind {
    KIND_NORMALIZER,
    KIND_PRE_TOKENIZER,
    KIND_MODEL,
    KIND_POST_PROCESSOR,
    KIND_DECODER,
};

int component_parse(enum component_kind kind, const struct component_source *s, const struct node *n,
                    struct component *out);
void component_release(struct component *c);

/* An array of components, the whole of every "Sequence". */
struct component_list {
    struct component *items;
    size_t count;
};
int component_list_parse(enum component_kind kind, const struct component_source *s, const struct node *array,
                         struct component_list *out);
void component_list_release(struct component_list *l);

#endif
