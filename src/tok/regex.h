/* regex -- the patterns of tokenizer.json: Oniguruma's syntax (its document doc/RE), its code point classes
 * (unicode.h), leftmost match, alternatives in order. No captures: groups only group, and back-references are
 * refused. (?i) knows one character for another, not "ss" for a sharp s.
 *
 * Search is by backtracking over a small program. When that takes more steps than the text is worth, states
 * that have failed (instruction and place) are remembered from then on, so that no state is tried twice and
 * the time is linear in the text (Davis, Servant and Lee, "Using Selective Memoization to Defeat Regular
 * Expression Denial of Service", 2021). What look-around could still cost is bounded. */
#ifndef PLAIT_TOK_REGEX_H
#define PLAIT_TOK_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct regex;

struct regex_error {
    const char *what;
    size_t at; /* byte of the pattern */
};

/* false: *error says why. */
bool regex_compile(const char *pattern, size_t length, struct regex **out, struct regex_error *error);
struct regex *regex_literal(const char *text, size_t length); /* matches just this text */
void regex_free(struct regex *re);                            /* NULL is fine */

/* One text, searched from left to right. An empty match right after a match is passed over. */
struct regex_frame {
    uint32_t pc, kind;
    size_t at, to;
};
enum { REGEX_FRAMES = 32 };
struct regex_scan {
    const struct regex *re;
    const char *text;
    size_t length, from, last_end;
    bool matched;    /* there is a last_end */
    uint64_t steps;  /* taken so far */
    uint8_t *failed; /* states that fail, once they are remembered */
    struct regex_frame *frames, first_frames[REGEX_FRAMES];
    size_t frame_count, frame_capacity;
    size_t *registers, first_registers[4];
};
void regex_begin(struct regex_scan *s, const struct regex *re, const char *text, size_t length);
/* The next match: *found false when there is none. ERR_DATA when the pattern takes too long on this text. */
int regex_next(struct regex_scan *s, bool *found, size_t *begin, size_t *end);
void regex_end(struct regex_scan *s);

#endif
