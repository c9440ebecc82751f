/* generate_text -- plait generate's prompts and texts: from the command line or files to ids, and back to a
 * terminal, a pipe or a file. */
#ifndef PLAIT_CLI_GENERATE_TEXT_H
#define PLAIT_CLI_GENERATE_TEXT_H

#include "gen/gen.h"

struct prompts {
    struct prompt *list;
    size_t count;
    struct encoding *encodings; /* what list points into */
};

struct prompt_source { /* one of them is given */
    const char *text, *file, *ids;
};

/* ERR_USAGE unless exactly one is given, ERR_OPEN, ERR_DATA. tokenizer may be NULL where ids are given. */
int prompt_source_check(const struct prompt_source *s);
int prompts_load(struct prompts *p, const struct prompt_source *s, const struct tokenizer *tokenizer);
void prompts_release(struct prompts *p);

/* Texts go to stdout in the order of the prompts, as soon as those before them are done; a single one
 * (`stream`) token by token. Without a tokenizer the ids are printed. */
struct printer {
    const struct tokenizer *tokenizer;
    const struct prompts *prompts;
    int64_t returned; /* sequences of each prompt */
    bool stream;
    /* private */
    struct tok_stream *text;
    const struct generated **done; /* [prompt] */
    size_t next;
    bool midline;       /* what was printed last was no end of a line */
    _Atomic int status; /* ranks in this process ask for it */
};

int printer_begin(struct printer *p);
void printer_token(struct printer *p, int32_t id);
void printer_done(struct printer *p, size_t prompt, const struct generated *results);
int printer_end(struct printer *p); /* the first failure of all */

/* Lines of {"ids": [...], "text": "..."}. */
int generated_write(const char *path, const struct generation_results *results,
                    const struct tokenizer *tokenizer);

#endif
