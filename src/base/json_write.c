/* The writer. Numbers are the shortest decimal that reads back as the same double, in the notation of
 * Python's repr. Any decimal of up to 15 digits survives the way into a normal double and back, so 15 digits
 * without their trailing zeros are the shortest form wherever they read back equal; otherwise 16 or 17 are.
 * Below a power of two the neighbouring doubles lie closer than above it, so there the 16 digits may have to
 * be rounded up instead of to nearest. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"

void json_writer_init(struct json_writer *w, struct str *out, int indent)
{
    *w = (struct json_writer){ .out = out, .indent = indent };
}

static void new_line(struct json_writer *w)
{
    str_append_char(w->out, '\n');
    for (int i = 0; i < w->indent * w->depth; i++)
        str_append_char(w->out, ' ');
}

static void before_member(struct json_writer *w)
{
    if (w->depth == 0)
        return;
    bool first = w->first[w->depth - 1];
    w->first[w->depth - 1] = false;
    if (!first)
        str_append(w->out, w->indent == 0 ? ", " : ",");
    if (w->indent > 0)
        new_line(w);
}

static void before_value(struct json_writer *w)
{
    if (!w->after_key)
        before_member(w);
    w->after_key = false;
}

static void open_level(struct json_writer *w, char bracket)
{
    if (w->depth == JSON_MAX_DEPTH)
        BUG("JSON is written deeper than %d levels", JSON_MAX_DEPTH);
    before_value(w);
    str_append_char(w->out, bracket);
    w->first[w->depth++] = true;
}

static void close_level(struct json_writer *w, char bracket)
{
    if (w->depth == 0 || w->after_key)
        BUG("JSON writer: %c without its opening bracket or after a key", bracket);
    w->depth--;
    if (!w->first[w->depth] && w->indent > 0)
        new_line(w);
    str_append_char(w->out, bracket);
}

void json_write_object_begin(struct json_writer *w)
{
    open_level(w, '{');
}

void json_write_object_end(struct json_writer *w)
{
    close_level(w, '}');
}

void json_write_array_begin(struct json_writer *w)
{
    open_level(w, '[');
}

void json_write_array_end(struct json_writer *w)
{
    close_level(w, ']');
}

/* One code point that cannot stand as it is. */
static void append_escape(struct str *out, uint32_t c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *place = c > 0 && c < 0x80 ? strchr(from, (int)c) : NULL;
    if (place) {
        str_append_char(out, '\\');
        str_append_char(out, to[place - from]);
    } else if (c < 0x10000) {
        str_appendf(out, "\\u%04x", (unsigned)c);
    } else {
        c -= 0x10000;
        str_appendf(out, "\\u%04x\\u%04x", (unsigned)(0xD800 + (c >> 10)), (unsigned)(0xDC00 + (c & 0x3FF)));
    }
}

static void append_quoted(struct json_writer *w, const char *p, size_t length)
{
    const char *end = p + length, *run = p;
    str_append_char(w->out, '"');
    while (p < end) {
        uint32_t c = (unsigned char)*p;
        int n = c < 0x80 ? 1 : utf8_decode(p, end, &c);
        if (n == 0)
            c = 0xFFFD; /* a byte that is no UTF-8 */
        bool plain = n > 0 && c >= 0x20 && c != '"' && c != '\\' && (!w->ascii || c < 0x7F);
        if (!plain) {
            str_append_bytes(w->out, run, (size_t)(p - run));
            if (n > 0 || w->ascii)
                append_escape(w->out, c);
            else
                str_append_utf8(w->out, c);
        }
        p += n > 0 ? n : 1;
        if (!plain)
            run = p;
    }
    str_append_bytes(w->out, run, (size_t)(p - run));
    str_append_char(w->out, '"');
}

void json_write_key_bytes(struct json_writer *w, const char *key, size_t length)
{
    if (w->depth == 0 || w->after_key)
        BUG("JSON writer: a key where none may stand");
    before_member(w);
    append_quoted(w, key, length);
    str_append(w->out, w->indent < 0 ? ":" : ": ");
    w->after_key = true;
}

void json_write_key(struct json_writer *w, const char *key)
{
    json_write_key_bytes(w, key, strlen(key));
}

void json_write_bytes(struct json_writer *w, const char *bytes, size_t length)
{
    before_value(w);
    append_quoted(w, bytes, length);
}

void json_write_string(struct json_writer *w, const char *text)
{
    json_write_bytes(w, text, strlen(text));
}

void json_write_raw(struct json_writer *w, const char *bytes, size_t length)
{
    before_value(w);
    str_append_bytes(w->out, bytes, length);
}

/* printf would take half of the time of writing rows of ids. */
static void append_digits(struct str *out, uint64_t v, bool negative)
{
    char text[24];
    size_t at = sizeof(text);
    do
        text[--at] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    if (negative)
        text[--at] = '-';
    str_append_bytes(out, text + at, sizeof(text) - at);
}

void json_write_int(struct json_writer *w, int64_t v)
{
    before_value(w);
    append_digits(w->out, v < 0 ? -(uint64_t)v : (uint64_t)v, v < 0);
}

void json_write_uint64(struct json_writer *w, uint64_t v)
{
    before_value(w);
    append_digits(w->out, v, false);
}

void json_write_bool(struct json_writer *w, bool v)
{
    json_write_raw(w, v ? "true" : "false", v ? 4 : 5);
}

void json_write_null(struct json_writer *w)
{
    json_write_raw(w, "null", 4);
}

/* A positive finite number is 0.d1 d2 ... dn * 10^point. */
struct decimal {
    char digits[20];
    int count, point;
};

/* The digits of %.*e, whatever sign the locale puts between them. */
static void decimal_round(struct decimal *d, double v, int digits, locale_t c)
{
    char text[64];
    locale_t old = uselocale(c);
    snprintf(text, sizeof(text), "%.*e", digits - 1, v);
    uselocale(old);
    d->count = 0;
    const char *p = text;
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            d->digits[d->count++] = *p;
    d->point = (int)strtol(p + 1, NULL, 10) + 1;
}

static bool decimal_equals(const struct decimal *d, double v, locale_t c)
{
    char text[64];
    snprintf(text, sizeof(text), "%.*se%d", d->count, d->digits, d->point - d->count);
    return strtod_l(text, NULL, c) == v;
}

/* The next larger number of as many digits. The digits are never all nine here. */
static void decimal_increase(struct decimal *d)
{
    int i = d->count - 1;
    for (; i > 0 && d->digits[i] == '9'; i--)
        d->digits[i] = '0';
    d->digits[i]++;
}

static void decimal_shortest(struct decimal *d, double v)
{
    int exponent;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    bool power_of_two = frexp(v, &exponent) == 0.5;
    for (int digits = v < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        decimal_round(d, v, digits, c);
        if (decimal_equals(d, v, c))
            break;
        if (digits == 16 && power_of_two) {
            decimal_increase(d);
            if (decimal_equals(d, v, c))
                break;
        }
    }
    freelocale(c);
    while (d->count > 1 && d->digits[d->count - 1] == '0')
        d->count--;
}

static void append_decimal(struct str *out, const struct decimal *d)
{
    int n = d->count, point = d->point;
    if (point <= -4 || point > 16) {
        str_append_char(out, d->digits[0]);
        if (n > 1)
            str_append_char(out, '.');
        str_append_bytes(out, d->digits + 1, (size_t)(n - 1));
        str_appendf(out, "e%c%02d", point < 1 ? '-' : '+', point < 1 ? 1 - point : point - 1);
        return;
    }
    if (point <= 0)
        str_append(out, "0.");
    for (int i = point; i < 0; i++)
        str_append_char(out, '0');
    for (int i = 0; i < n || i < point; i++) {
        if (i == point && point > 0)
            str_append_char(out, '.');
        str_append_char(out, i < n ? d->digits[i] : '0');
    }
    if (n <= point)
        str_append(out, ".0");
}

void json_write_double(struct json_writer *w, double v)
{
    struct decimal d = { .digits = "0", .count = 1, .point = 1 };
    before_value(w);
    if (isnan(v)) {
        str_append(w->out, "NaN");
        return;
    }
    if (signbit(v))
        str_append_char(w->out, '-');
    if (isinf(v)) {
        str_append(w->out, "Infinity");
        return;
    }
    if (v != 0)
        decimal_shortest(&d, fabs(v));
    append_decimal(w->out, &d);
}

void json_write_member_int(struct json_writer *w, const char *key, int64_t v)
{
    json_write_key(w, key);
    json_write_int(w, v);
}

void json_write_member_number(struct json_writer *w, const char *key, double v)
{
    json_write_key(w, key);
    if (isfinite(v))
        json_write_double(w, v);
    else
        json_write_null(w);
}

void json_write_member_string(struct json_writer *w, const char *key, const char *text)
{
    json_write_key(w, key);
    if (text)
        json_write_string(w, text);
    else
        json_write_null(w);
}
