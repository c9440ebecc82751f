/* added -- tokens that are found in the text before anything else sees it. The leftmost match wins, then the
 * longest. */
#ifndef PLAIT_TOK_ADDED_H
#define PLAIT_TOK_ADDED_H

#include "tok/component.h"

struct added_token {
    char *content; /* owned */
    size_t length;
    char *shown; /* its normal form, when it has another: what ids are shown and decoded as; owned */
    size_t shown_length;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
};

struct added_node {
    uint32_t child, sibling; /* 0: none */
    uint32_t token;          /* index + 1; 0: no token ends here */
    uint8_t byte;
};

/* The tokens matched against one form of the text, as a trie. */
struct added_trie {
    struct added_node *nodes; /* node 0 is not used */
    size_t count, capacity;
    uint32_t roots[256]; /* by first byte */
    int root_count;
    char only_root; /* when root_count is 1 */
};

struct added { /* zeroed to begin with */
    struct added_token *tokens;
    size_t count, capacity;
    int32_t id_limit;                  /* largest id + 1 */
    struct map places;                 /* content -> index */
    struct added_trie raw, normalized; /* after added_index */
};

void added_release(struct added *a);
/* Takes the flags of t; its content is copied. A token that is there already takes the new flags. */
void added_put(struct added *a, const struct added_token *t);
const struct added_token *added_find(const struct added *a, const char *content, size_t length);
/* Builds the tries. */
int added_index(struct added *a, const struct component *normalizer);

struct added_match {
    size_t begin, end; /* with white space that the token takes along */
    const struct added_token *token;
};

/* The next match at or after *from; then *from is where to look on. taken: end of the match before. */
bool added_next(const struct added *a, const struct added_trie *trie, const struct piece *text, size_t *from,
                size_t taken, struct added_match *out);

#endif
