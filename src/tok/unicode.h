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

/* Everything else that components ask, as tokenizers answers it: runs of code points of one kind, each
 * `first code << 11 | kind`, in order. */
enum unicode_flag {
    UNICODE_RE_WORD = 1, /* \w of a pattern: without join controls */
    UNICODE_ALPHABETIC = 2,
    UNICODE_LOWER = 4,
    UNICODE_UPPER = 8,
    UNICODE_PUNCTUATION = 16, /* "Punctuation", "BertPreTokenizer" */
    UNICODE_COMBINING = 32,   /* "StripAccents" */
    UNICODE_NONSPACING = 64,  /* BertNormalizer's accents */
    UNICODE_CONTROL = 128,    /* what BertNormalizer cleans away */
    UNICODE_NUMERIC = 256,    /* "Digits" */
    UNICODE_SCRIPTED = 512,   /* old enough for the table of "UnicodeScripts" */
};
struct unicode_kind {
    uint8_t category, script; /* places in the lists below */
    uint16_t flags;
};
enum { UNICODE_RUN_COUNT = 4348 };
extern const uint32_t unicode_runs[UNICODE_RUN_COUNT];
extern const struct unicode_kind unicode_kinds[];
extern const uint8_t unicode_ascii[128];                                 /* the kinds of these */
extern const char *const unicode_categories[], *const unicode_scripts[]; /* NULL-terminated */

uint32_t unicode_lower(uint32_t code); /* the simple lower case */

/* The place in unicode_runs of the run that holds a code point. */
int unicode_run(uint32_t code);
static inline const struct unicode_kind *unicode_kind(uint32_t code)
{
    return &unicode_kinds[code < 128 ? unicode_ascii[code] : unicode_runs[unicode_run(code)] & 2047];
}

#endif
