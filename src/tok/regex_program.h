/* regex_program -- what a pattern becomes: a tree while it is read, then instructions. */
#ifndef PLAIT_TOK_REGEX_PROGRAM_H
#define PLAIT_TOK_REGEX_PROGRAM_H

#include "base/mem.h"
#include "base/str.h"
#include "tok/regex.h"

/* ---- sets of code points ---- */

enum { CODE_BROKEN = 0x110000 }; /* what a byte that is no UTF-8 counts as; the last code there is */

struct range {
    uint32_t first, last;
};
struct ranges { /* zeroed to begin with; in order and apart after ranges_settle */
    struct range *items;
    size_t count, capacity;
};
void ranges_release(struct ranges *r);
void ranges_add(struct ranges *r, uint32_t first, uint32_t last);
void ranges_add_all(struct ranges *r, const struct ranges *more);
void ranges_settle(struct ranges *r);
/* These take and leave settled sets. */
void ranges_negate(struct ranges *r);
void ranges_intersect(struct ranges *r, const struct ranges *with);
void ranges_fold(struct ranges *r); /* adds the other cases of what is in it */
bool ranges_have(const struct ranges *r, uint32_t code);

/* Adds \p{name} (of the letters, a category, script or class); false: there is none of that name. */
bool ranges_add_property(struct ranges *r, const char *name, size_t length);
void ranges_add_spaces(struct ranges *r);

/* ---- the tree ---- */

enum re_kind { RE_EMPTY, RE_CHAR, RE_CLASS, RE_CAT, RE_ALT, RE_REPEAT, RE_LOOK, RE_ATOMIC, RE_ASSERT };
enum re_assert { RE_LINE_BEGIN, RE_LINE_END, RE_BEGIN, RE_END, RE_END_LINE, RE_WORD, RE_NOT_WORD };
enum { RE_UNBOUNDED = -1, RE_GREEDY = 0, RE_LAZY, RE_POSSESSIVE };

struct re_node {
    enum re_kind kind;
    uint32_t value;               /* code of a CHAR, place of a CLASS, which ASSERT */
    int min, max, mode;           /* REPEAT */
    bool behind, negative;        /* LOOK */
    struct re_node *child, *next; /* the first child, the next sibling */
};

/* ---- the program ---- */

enum re_op {
    OP_CHAR,       /* x: its bytes, flag: how many */
    OP_CLASS,      /* x: place in classes */
    OP_SPLIT,      /* go on here, else at x; flag: the other way round; y: place of first bytes + 1 */
    OP_JUMP,       /* x */
    OP_STAR,       /* class x as often as can be; flag: RE_GREEDY or RE_POSSESSIVE */
    OP_LOOP_BEGIN, /* register x holds where this round began */
    OP_LOOP_CHECK, /* a round that ate nothing ends the loop: y */
    OP_LOOK,       /* up to OP_DONE; then x. flag: 1 behind, 2 negative; y: place of lengths */
    OP_ATOMIC,     /* up to OP_DONE; then x */
    OP_ASSERT,     /* flag: which */
    OP_DONE,
};
struct re_instruction {
    uint8_t op, flag;
    uint32_t x, y, memo; /* memo: number among those whose failures are remembered */
};
struct re_class {
    bool ascii[128];
    struct ranges ranges;
};
struct re_lengths {
    size_t min, max; /* code points */
};
struct re_first {
    bool bytes[256];
};

struct regex {
    struct re_instruction *code;
    size_t code_count, code_capacity;
    struct re_class *classes;
    size_t class_count, class_capacity;
    struct re_first *firsts;
    size_t first_count, first_capacity;
    struct re_lengths *lengths;
    size_t length_count, length_capacity;
    uint32_t memo_count, register_count;
    struct re_first first; /* bytes a match can begin with */
    bool may_be_empty;
    char *literal; /* the whole of it, when it is no more than a text */
    size_t literal_length;
    const char *(*hand)(const char *p, const char *end); /* covers the text, written by hand */
};

uint32_t regex_add_class(struct regex *re, const struct ranges *settled);

/* Reads a pattern; nodes live in the arena. */
bool regex_parse(struct regex *re, struct arena *arena, const char *pattern, size_t length,
                 struct re_node **out, struct regex_error *error);
/* Turns the tree into instructions. */
bool regex_emit(struct regex *re, const struct re_node *root, struct regex_error *error);

/* Does a match begin at a place? 1: then *end is its end; 0; or an ERR_ value. */
int regex_match(struct regex_scan *s, size_t at, size_t *end);

/* The code at p < end, and its length. */
static inline uint32_t regex_code_at(const char *p, const char *end, size_t *length)
{
    uint32_t code;
    int n;

    *length = 1;
    if ((uint8_t)*p < 0x80)
        return (uint8_t)*p;
    n = utf8_decode(p, end, &code);
    if (n == 0)
        return CODE_BROKEN;
    *length = (size_t)n;
    return code;
}

#endif
