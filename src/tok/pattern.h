/* pattern -- {"String": text} or {"Regex": pattern}, and cutting a piece at what matches. */
#ifndef PLAIT_TOK_PATTERN_H
#define PLAIT_TOK_PATTERN_H

#include "tok/component.h"
#include "tok/regex.h"

/* The member of n by that name. */
int pattern_read(const struct component_source *s, const struct node *n, const char *key, struct regex **out);

/* What becomes of a match: tokenizers' names. */
enum split_behavior { SPLIT_REMOVED, SPLIT_ISOLATED, SPLIT_PREVIOUS, SPLIT_NEXT, SPLIT_CONTIGUOUS };
int split_behavior_read(const struct component_source *s, const struct node *n, enum split_behavior *out);

/* Takes the parts of a piece in order, matches and what lies between, and emits what the behaviour makes of
 * them. */
struct splitter {
    enum split_behavior behavior;
    const struct piece *in;
    struct sink *out;
    size_t begin, end; /* a part that waits */
    bool waiting, match;
};
int splitter_part(struct splitter *s, size_t begin, size_t end, bool match);
int splitter_finish(struct splitter *s);

#endif
