/* The pattern's alternatives, tried in order, come to this: at most one space, then a run of letters, of
 * numbers or of neither (never of white space); a run of white space that is followed by something leaves its
 * last character to the next word. Every character matches something, so words cover the text. */
#include "tok/split.h"

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "tok/unicode.h"

enum { OTHER, LETTER = UNICODE_LETTER, NUMBER = UNICODE_NUMBER, SPACE = UNICODE_SPACE, WIDE = 8 };

/* Classes of single bytes; WIDE: begins a longer character, or broken UTF-8. */
#define O4  OTHER, OTHER, OTHER, OTHER
#define L4  LETTER, LETTER, LETTER, LETTER
#define W8  WIDE, WIDE, WIDE, WIDE, WIDE, WIDE, WIDE, WIDE
#define W32 W8, W8, W8, W8
static const uint8_t byte_class[256] = {
    O4,     O4,     OTHER,  SPACE,  SPACE,  SPACE,  SPACE,  SPACE,  OTHER,  OTHER, /* \t \n \v \f \r */
    O4,     O4,     O4,     O4,                                                    /* 0x10 */
    SPACE,  OTHER,  OTHER,  OTHER,  O4,     O4,     O4,                            /* 0x20 */
    NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER,
    OTHER,  OTHER,  O4,                                 /* 0x30 */
    OTHER,  LETTER, LETTER, LETTER, L4,     L4,     L4, /* 0x40 */
    L4,     L4,     LETTER, LETTER, LETTER, OTHER,  O4, /* 0x50 */
    OTHER,  LETTER, LETTER, LETTER, L4,     L4,     L4, /* 0x60 */
    L4,     L4,     LETTER, LETTER, LETTER, OTHER,  O4, /* 0x70 */
    W32,    W32,    W32,    W32,
};

/* Class and length of the character at p < end. */
static inline unsigned class_at(const char *p, const char *end, int *length)
{
    unsigned c = byte_class[(uint8_t)*p];
    uint32_t code;

    *length = 1;
    if (c != WIDE)
        return c;
    *length = utf8_decode(p, end, &code);
    if (*length == 0) {
        *length = 1;
        return OTHER;
    }
    return unicode_class(code) & (LETTER | NUMBER | SPACE);
}

/* The end of the run of characters of one class that begins at p <= end. */
static const char *run_end(const char *p, const char *end, unsigned wanted)
{
    int length;

    for (;;) {
        while (p < end && byte_class[(uint8_t)*p] == wanted)
            p++;
        if (p == end || byte_class[(uint8_t)*p] != WIDE || class_at(p, end, &length) != wanted)
            return p;
        p += length;
    }
}

/* The end of 's 't 'm 'd 're 've 'll at p, else p. */
static const char *contraction_end(const char *p, const char *end)
{
    ptrdiff_t left = end - p;

    if (left < 2)
        return p;
    if (p[1] == 's' || p[1] == 't' || p[1] == 'm' || p[1] == 'd')
        return p + 2;
    if (left < 3)
        return p;
    if (((p[1] == 'r' || p[1] == 'v') && p[2] == 'e') || (p[1] == 'l' && p[2] == 'l'))
        return p + 3;
    return p;
}

/* White space from p on: all of it at the end of the text, else all but the last character, but at least one.
 */
static const char *space_end(const char *p, const char *end)
{
    const char *last = p;
    int length;

    for (const char *q = p; q < end; q += length) {
        if (class_at(q, end, &length) != SPACE)
            return last == p ? q : last;
        last = q;
    }
    return end;
}

const char *split_gpt2(const char *p, const char *end)
{
    const char *q = p;
    int length;
    unsigned c = class_at(p, end, &length);

    if (*p == '\'') {
        q = contraction_end(p, end);
        if (q != p)
            return q;
    }
    if (c == SPACE) {
        if (*p != ' ' || p + 1 == end)
            return space_end(p, end);
        c = class_at(p + 1, end, &length);
        if (c == SPACE)
            return space_end(p, end);
        q = p + 1;
    }
    return run_end(q + length, end, c);
}
