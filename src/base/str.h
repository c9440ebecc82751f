/* str -- a growing byte string. `data` always ends with a NUL (also when empty) and may hold NULs inside. */
#ifndef PLAIT_BASE_STR_H
#define PLAIT_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    char *data;
    size_t length, capacity;
};

void str_init(struct str *s);
void str_release(struct str *s);
void str_clear(struct str *s);
void str_cut(struct str *s, size_t length); /* to its first `length` bytes, which it has */
void str_append(struct str *s, const char *text);
void str_append_bytes(struct str *s, const void *bytes, size_t length);
void str_append_char(struct str *s, char c);
void str_append_utf8(struct str *s, uint32_t codepoint);
void str_appendf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void str_append_vf(struct str *s, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
char *str_detach(struct str *s); /* the caller owns the bytes (mem_free); s is empty again */

/* Text from outside for use in a message: quotes, backslashes, control characters, characters that turn the
 * direction of writing and broken UTF-8 are escaped, and what is longer than `limit` bytes is cut with "..."
 * at a character. Appends to s. */
void str_append_escaped(struct str *s, const char *bytes, size_t length, size_t limit);

void str_append_base64(struct str *s, const void *bytes, size_t length);

bool str_starts_with(const char *s, const char *prefix);
bool str_ends_with(const char *s, const char *suffix);

/* Number of edits between two words (Levenshtein), and the nearest of `count` words (the first of equals)
 * within 3 edits or a third of the word's length, whichever is more, that shares at least half of the longer
 * word; else NULL. For "did you mean". */
int str_distance(const char *a, const char *b);
const char *str_nearest(const char *word, const char *const *words, size_t count);

/* Human forms: 1234567 -> "1,234,567"; 4.42e9 bytes -> "4.42 GB"; 3725 s -> "1:02:05". Each appends. */
void str_append_count(struct str *s, int64_t count);
void str_append_bytes_human(struct str *s, double bytes);
void str_append_duration(struct str *s, double seconds);

/* UTF-8: reads one code point at p (end is one past the last byte); returns its length 1..4, or 0 when the
 * bytes are not valid UTF-8 (overlong, surrogate, beyond U+10FFFF, cut off). */
static inline int utf8_decode(const char *p, const char *end, uint32_t *codepoint);
int utf8_decode_long(const char *p, const char *end, uint32_t *codepoint); /* what is no ASCII */
int utf8_encode(uint32_t codepoint, char out[4]);
/* length when all is valid, else the offset of the first bad byte. */
size_t utf8_valid_prefix(const char *bytes, size_t length);

static inline int utf8_decode(const char *p, const char *end, uint32_t *codepoint)
{
    if (p >= end || (unsigned char)*p >= 0x80)
        return utf8_decode_long(p, end, codepoint);
    *codepoint = (unsigned char)*p;
    return 1;
}

#endif
