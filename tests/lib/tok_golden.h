/* tok_golden -- tokenizers against the directories that tests/oracle writes (see its tokenizer.py). */
#ifndef PLAIT_TESTS_TOK_GOLDEN_H
#define PLAIT_TESTS_TOK_GOLDEN_H

#include "tok/tok.h"

enum { LINES_MOST = 1024 };

/* A file of JSON, a value a line. */
struct lines {
    struct str text;
    struct tok_text items[LINES_MOST];
    size_t count;
};
void lines_read(struct lines *l, const char *path);
void string_of(struct tok_text line, struct str *out);
size_t ids_of(struct tok_text line, int32_t *ids, size_t most);

struct tokenizer *tok_golden_load(const char *path);
/* All directories named in ROOT/encoders.txt: ids and texts of the hard lines, before and after saving.
 * state: of a test set up with scratch_create. */
void tok_golden_check(const char *root, void **state);

#endif
