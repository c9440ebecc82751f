/* unicode -- the classes of code points that splitting asks for, as of Unicode 16.0 (the version behind
 * tokenizers 0.20 to 0.23; utf8proc's own version depends on the system and decides only normal forms and
 * case).
 *
 * A three-stage table: page = code / 1024, leaf = code / 32, then four bits a code point, sixteen to a word.
 */
#ifndef PLAIT_TOK_UNICODE_H
#define PLAIT_TOK_UNICODE_H

#include <stdint.h>

enum {
    UNICODE_LETTER = 1, /* \p{L} */
    UNICODE_NUMBER = 2, /* \p{N} */
    UNICODE_SPACE = 4,  /* \s: White_Space */
    UNICODE_WORD = 8,   /* \w: Alphabetic, marks, decimal digits, connector punctuation, join controls */
};

extern const uint8_t unicode_pages[1088];
extern const uint16_t unicode_leaves[2016];
extern const uint64_t unicode_bits[854];

/* The UNICODE_ bits of a code point up to U+10FFFF. */
static inline unsigned unicode_class(uint32_t code)
{
    unsigned leaf = unicode_leaves[unicode_pages[code >> 10] * 32u + ((code >> 5) & 31)];

    return (unsigned)(unicode_bits[leaf * 2 + ((code >> 4) & 1)] >> (4 * (code & 15))) & 15;
}

#endif
