/* Strings and numbers of JSON. Plain characters are passed eight at a time: a word of eight bytes holds a
 * quote, a backslash, a control character or a byte of UTF-8 beyond ASCII exactly when one of four bit tricks
 * says so. Numbers that a double holds exactly, times a power of ten that it also holds exactly, are computed
 * directly (W. Clinger, "How to read floating point numbers accurately", PLDI 1990); the others go through
 * strtod. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_internal.h"

static bool word_is_plain(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t x, quote, slash;
    memcpy(&x, p, sizeof(x));
    quote = x ^ (ones * '"');
    slash = x ^ (ones * '\\');
    uint64_t hit = (quote - ones) & ~quote;
    hit |= (slash - ones) & ~slash;
    hit |= (x - ones * 0x20) & ~x;
    hit |= x;
    return (hit & high) == 0;
}

static const char *plain_end(const char *p, const char *end)
{
    while (end - p >= 8 && word_is_plain(p))
        p += 8;
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

static const char *lex_error(struct json_lex_error *e, const char *at, const char *what, const char *expected)
{
    e->at = at;
    e->what = what;
    e->expected = expected;
    return NULL;
}

static bool hex4(const char *p, const char *end, uint32_t *out)
{
    uint32_t v = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        if (c >= '0' && c <= '9')
            v = v * 16 + (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v * 16 + (uint32_t)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            v = v * 16 + (uint32_t)(c - 'A') + 10;
        else
            return false;
    }
    *out = v;
    return true;
}

/* p stands on the backslash of \uXXXX. */
static const char *lex_unicode(const char *p, const char *end, struct str *out, struct json_lex_error *e)
{
    static const char *const digits = "four hexadecimal digits";
    uint32_t a, b;
    if (!hex4(p + 2, end, &a))
        return lex_error(e, p, "bad escape", digits);
    if (a < 0xD800 || a > 0xDFFF) {
        str_append_utf8(out, a);
        return p + 6;
    }
    if (a > 0xDBFF || end - p < 8 || p[6] != '\\' || p[7] != 'u')
        return lex_error(e, p, "lone surrogate", "a pair \\uD800-DBFF \\uDC00-DFFF");
    if (!hex4(p + 8, end, &b))
        return lex_error(e, p + 6, "bad escape", digits);
    if (b < 0xDC00 || b > 0xDFFF)
        return lex_error(e, p, "lone surrogate", "a pair \\uD800-DBFF \\uDC00-DFFF");
    str_append_utf8(out, 0x10000 + ((a - 0xD800) << 10) + (b - 0xDC00));
    return p + 12;
}

/* p stands on the backslash. */
static const char *lex_escape(const char *p, const char *end, struct str *out, struct json_lex_error *e)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return lex_error(e, end, "unterminated string", "'\"'");
    if (p[1] == 'u')
        return lex_unicode(p, end, out, e);
    const char *place = p[1] ? strchr(from, p[1]) : NULL;
    if (!place)
        return lex_error(e, p, "bad escape", "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
    str_append_char(out, to[place - from]);
    return p + 2;
}

const char *json_lex_string(const char *p, const char *end, struct str *scratch, struct json_string *out,
                            struct json_lex_error *e)
{
    const char *run = p; /* what is not yet in scratch starts here */
    bool escaped = false;
    uint32_t codepoint;
    for (;;) {
        p = plain_end(p, end);
        if (p == end)
            return lex_error(e, p, "unterminated string", "'\"'");
        if (*p == '"')
            break;
        if ((unsigned char)*p >= 0x80) {
            int n = utf8_decode(p, end, &codepoint);
            if (n == 0)
                return lex_error(e, p, "not UTF-8", NULL);
            p += n;
        } else if (*p == '\\') {
            if (!escaped)
                str_clear(scratch);
            escaped = true;
            str_append_bytes(scratch, run, (size_t)(p - run));
            p = lex_escape(p, end, scratch, e);
            if (!p)
                return NULL;
            run = p;
        } else {
            return lex_error(e, p, "raw control character in a string", "an escape");
        }
    }
    if (escaped)
        str_append_bytes(scratch, run, (size_t)(p - run));
    out->data = escaped ? scratch->data : run;
    out->length = escaped ? scratch->length : (size_t)(p - run);
    return p + 1;
}

size_t json_token_length(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                       *p == '+' || *p == '-' || *p == '.' || *p == '_'))
        p++;
    return (size_t)(p - start);
}

static const char *lex_digits(const char *p, const char *end, struct json_number *n)
{
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        n->digits += n->digits > 0 || digit > 0;
        if (n->exact && (__builtin_mul_overflow(n->mantissa, 10, &n->mantissa) ||
                         __builtin_add_overflow(n->mantissa, digit, &n->mantissa)))
            n->exact = false;
    }
    return p;
}

/* p stands after the 'e'. NULL: no digits. */
static const char *lex_exponent(const char *p, const char *end, struct json_number *n)
{
    bool negative = p < end && *p == '-';
    int64_t e = 0;
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    const char *start = p;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        if (e < 1000000000000)
            e = e * 10 + (*p - '0');
    n->exponent += negative ? -e : e;
    return p == start ? NULL : p;
}

static bool lex_special(const char *p, size_t length, struct json_number *n)
{
    n->special = true;
    n->integer = false;
    n->length = length;
    return (length == 3 && memcmp(p, "NaN", 3) == 0) || (length == 8 && memcmp(p, "Infinity", 8) == 0) ||
           (length == 9 && memcmp(p, "-Infinity", 9) == 0);
}

bool json_lex_number(const char *p, const char *end, struct json_number *n)
{
    *n = (struct json_number){ .begin = p, .integer = true, .exact = true };
    const char *start = p;
    n->negative = p < end && *p == '-';
    if (n->negative)
        p++;
    if (p < end && (*p == 'N' || *p == 'I'))
        return lex_special(n->begin, json_token_length(n->begin, end), n);
    const char *digits = p;
    p = lex_digits(p, end, n);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return false;
    if (p < end && *p == '.') {
        digits = p + 1;
        p = lex_digits(digits, end, n);
        n->integer = false;
        n->exponent = -(int64_t)(p - digits);
        if (p == digits)
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        n->integer = false;
        p = lex_exponent(p + 1, end, n);
        if (!p)
            return false;
    }
    n->length = (size_t)(p - start);
    return json_token_length(p, end) == 0;
}

/* strtod in the "C" locale, whatever the program's locale is. */
static double number_strtod(const struct json_number *n, struct str *scratch)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    str_clear(scratch);
    str_append_bytes(scratch, n->begin, n->length);
    double v = strtod_l(scratch->data, NULL, c);
    freelocale(c);
    return v;
}

bool json_number_value(const struct json_number *n, struct str *scratch, double *v)
{
    static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (n->special) {
        *v = n->begin[0] == 'N' ? (double)NAN : n->negative ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (n->exact && n->mantissa <= (uint64_t)1 << 53 && n->exponent >= -22 && n->exponent <= 22) {
        double m = (double)n->mantissa;
        m = n->exponent < 0 ? m / powers[-n->exponent] : m * powers[n->exponent];
        *v = n->negative ? -m : m;
        return true;
    }
    *v = number_strtod(n, scratch);
    return isfinite(*v);
}
