/* model -- what the files of models share. */
#ifndef PLAIT_TOK_MODEL_H
#define PLAIT_TOK_MODEL_H

#include "tok/component.h"

enum { MODEL_WORD_MOST = 1 << 30 }; /* bytes of a word, so that places fit 32 bits */

/* Records "WHAT "TOKEN" is not in the vocabulary" at a node and returns ERR_DATA. */
int model_fail_token(const struct tree *t, const struct node *n, const char *what, const char *token,
                     size_t length);
/* The string member `key`, which names a token; def (may be NULL) where it is absent. It has to be in the
 * vocabulary. Copies it to *token, which the caller frees. */
int model_read_unk(const struct component_source *s, const struct node *model, const char *def, char **token,
                   int32_t *id);

/* "<0x0A>" and the like: all of them in the vocabulary, else a sentence at n. */
int model_read_bytes(const struct component_source *s, const struct node *n, int32_t ids[256]);
/* A token that looks like a byte's has to be one: "<0x0A>", two digits 0-9, A-F. */
int model_check_byte_name(const struct tree *t, const struct node *n, const char *token, size_t length);

void model_write_text(struct json_writer *w, const char *key, const char *text); /* NULL: null */
void model_write_flag(struct json_writer *w, const char *key, bool value);

/* Bytes of the first character, 1 where it is broken. */
size_t model_char_length(const char *p, const char *end);

#endif
