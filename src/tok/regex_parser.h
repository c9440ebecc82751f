/* regex_parser -- where the reading of a pattern stands. */
#ifndef PLAIT_TOK_REGEX_PARSER_H
#define PLAIT_TOK_REGEX_PARSER_H

#include "tok/regex_program.h"

struct re_parser {
    const char *p, *begin, *end;
    struct regex *re;
    struct arena *arena;
    struct regex_error *error;
    int depth;
    bool fold, dot_all, extended; /* (?i), (?m), (?x) */
};

bool parser_fail(struct re_parser *s, const char *what); /* always false; the first wins */
bool parser_take(struct re_parser *s, const char *text); /* passes over it when it comes next */

/* "[...]" at s->p, settled. On failure *r is still to be released. */
bool parser_class(struct re_parser *s, struct ranges *r);
/* "\d", "\p{...}" and the like at s->p: adds to *r. false without an error: it is none of these. bare:
 * outside of brackets. */
bool parser_class_escape(struct re_parser *s, struct ranges *r, bool bare);
/* An escape that stands for one character. */
bool parser_code_escape(struct re_parser *s, uint32_t *code);

#endif
