#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

/* An empty string owns nothing (capacity 0) and points here; it is never written. */
static const char empty[1] = "";

void str_init(struct str *s)
{
    s->data = (char *)empty;
    s->length = s->capacity = 0;
}

void str_release(struct str *s)
{
    if (s->capacity)
        mem_free(s->data);
    str_init(s);
}

void str_cut(struct str *s, size_t length)
{
    s->length = length;
    if (s->capacity)
        s->data[length] = '\0';
}

void str_clear(struct str *s)
{
    str_cut(s, 0);
}

/* Room for `more` bytes and the NUL. */
static void reserve(struct str *s, size_t more)
{
    size_t needed, wanted;
    if (__builtin_add_overflow(s->length, more, &needed) || __builtin_add_overflow(needed, 1, &needed))
        out_of_memory(SIZE_MAX);
    if (needed <= s->capacity)
        return;
    if (__builtin_add_overflow(s->capacity, s->capacity / 2 + 16, &wanted) || wanted < needed)
        wanted = needed;
    s->data = mem_resize(s->capacity ? s->data : NULL, wanted);
    s->capacity = wanted;
    s->data[s->length] = '\0';
}

void str_append(struct str *s, const char *text)
{
    str_append_bytes(s, text, strlen(text));
}

void str_append_bytes(struct str *s, const void *bytes, size_t length)
{
    if (!length)
        return;
    reserve(s, length);
    memcpy(s->data + s->length, bytes, length);
    s->length += length;
    s->data[s->length] = '\0';
}

void str_append_char(struct str *s, char c)
{
    str_append_bytes(s, &c, 1);
}

void str_append_utf8(struct str *s, uint32_t codepoint)
{
    char bytes[4];
    str_append_bytes(s, bytes, (size_t)utf8_encode(codepoint, bytes));
}

void str_appendf(struct str *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    str_append_vf(s, format, args);
    va_end(args);
}

void str_append_vf(struct str *s, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0)
        BUG("a format that cannot be printed: %s", format);
    reserve(s, (size_t)length);
    vsnprintf(s->data + s->length, (size_t)length + 1, format, again);
    va_end(again);
    s->length += (size_t)length;
}

char *str_detach(struct str *s)
{
    reserve(s, 0);
    char *data = s->data;
    str_init(s);
    return data;
}

/* Characters that a terminal or a reader's eye would be misled by: C1 controls, line and paragraph
 * separators, marks and overrides of the direction of writing, the byte order mark. */
static bool misleads(uint32_t c)
{
    return (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void append_escaped_char(struct str *s, uint32_t c, const char *bytes, int length)
{
    if (c == '"' || c == '\\')
        str_appendf(s, "\\%c", (char)c);
    else if (c == '\n')
        str_append(s, "\\n");
    else if (c == '\r')
        str_append(s, "\\r");
    else if (c == '\t')
        str_append(s, "\\t");
    else if (c < 0x20 || c == 0x7f)
        str_appendf(s, "\\x%02x", (unsigned)c);
    else if (misleads(c))
        str_appendf(s, "\\u%04x", (unsigned)c);
    else
        str_append_bytes(s, bytes, (size_t)length);
}

void str_append_escaped(struct str *s, const char *bytes, size_t length, size_t limit)
{
    const char *p = bytes, *end = bytes + length;
    const char *stop = bytes + (length < limit ? length : limit);
    while (p < stop) {
        uint32_t c;
        int step = utf8_decode(p, end, &c);
        if (step > stop - p)
            break;
        if (step)
            append_escaped_char(s, c, p, step);
        else
            str_appendf(s, "\\x%02x", (unsigned)(unsigned char)*p);
        p += step ? step : 1;
    }
    if (p < end)
        str_append(s, "...");
}

void str_append_base64(struct str *s, const void *bytes, size_t length)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;

    for (size_t i = 0; i < length; i += 3) {
        size_t n = length - i < 3 ? length - i : 3;
        uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
        str_append_char(s, letters[v >> 18]);
        str_append_char(s, letters[v >> 12 & 63]);
        str_append_char(s, n > 1 ? letters[v >> 6 & 63] : '=');
        str_append_char(s, n > 2 ? letters[v & 63] : '=');
    }
}

bool str_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends_with(const char *s, const char *suffix)
{
    size_t length = strlen(s), tail = strlen(suffix);
    return tail <= length && memcmp(s + length - tail, suffix, tail) == 0;
}

int str_distance(const char *a, const char *b)
{
    size_t columns = strlen(b);
    int *row = mem_alloc_array(columns + 1, sizeof(*row));
    for (size_t j = 0; j <= columns; j++)
        row[j] = (int)j;
    for (size_t i = 0; a[i]; i++) {
        int diagonal = row[0];
        row[0] = (int)i + 1;
        for (size_t j = 0; j < columns; j++) {
            int best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (diagonal + 1 < best)
                best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    int distance = row[columns];
    mem_free(row);
    return distance;
}

const char *str_nearest(const char *word, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t length = strlen(word);
    if (length > 1000) /* no name is that long, and the table would be */
        return NULL;
    int best = length > 9 ? (int)length / 3 : 3;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(words[i]);
        size_t longer = other > length ? other : length;
        int distance = str_distance(word, words[i]);
        if ((size_t)distance * 2 > longer || distance > best || (nearest && distance == best))
            continue;
        nearest = words[i];
        best = distance;
    }
    return nearest;
}

void str_append_count(struct str *s, int64_t count)
{
    char digits[24];
    uint64_t magnitude = count < 0 ? -(uint64_t)count : (uint64_t)count;
    int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)magnitude);
    if (count < 0)
        str_append_char(s, '-');
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            str_append_char(s, ',');
        str_append_char(s, digits[i]);
    }
}

/* Three digits: 1000 bytes to the kB, as disks and networks are sold. */
void str_append_bytes_human(struct str *s, double bytes)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
    size_t unit = 0;
    double v = bytes;
    while (fabs(v) >= (unit ? 999.5 : 1000.0) && unit < sizeof(units) / sizeof(units[0]) - 1) {
        v /= 1000;
        unit++;
    }
    int decimals = unit == 0 || fabs(v) >= 99.95 ? 0 : fabs(v) >= 9.995 ? 1 : 2;
    str_appendf(s, "%.*f %s", decimals, v, units[unit]);
}

void str_append_duration(struct str *s, double seconds)
{
    if (!(seconds >= 0 && seconds < 1e15)) {
        str_append_char(s, '?');
        return;
    }
    long long whole = (long long)seconds;
    int minutes = (int)(whole / 60 % 60), rest = (int)(whole % 60);
    if (whole >= 3600)
        str_appendf(s, "%lld:%02d:%02d", whole / 3600, minutes, rest);
    else
        str_appendf(s, "%d:%02d", minutes, rest);
}

int utf8_decode_long(const char *p, const char *end, uint32_t *codepoint)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (p >= end)
        return 0;
    unsigned char first = (unsigned char)*p;
    int length = first >= 0xf8 ? 0 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
    if (!length || end - p < length)
        return 0;
    uint32_t c = first & (0x7fu >> length);
    for (int i = 1; i < length; i++) {
        if (((unsigned char)p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | ((unsigned char)p[i] & 0x3f);
    }
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *codepoint = c;
    return length;
}

int utf8_encode(uint32_t c, char out[4])
{
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        BUG("U+%04x is no character", (unsigned)c);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    int length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(((0xf00u >> length) & 0xf0) | c);
    return length;
}

size_t utf8_valid_prefix(const char *bytes, size_t length)
{
    const char *p = bytes, *end = bytes + length;
    while (p < end) {
        uint32_t c;
        int step = utf8_decode(p, end, &c);
        if (!step)
            break;
        p += step;
    }
    return (size_t)(p - bytes);
}
