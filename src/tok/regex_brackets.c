/* Classes in brackets, which may hold other classes and intersections, and escapes. */
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "tok/regex_parser.h"

enum { BRACKETS_MOST = 32 };

/* ---- escapes ---- */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* Digits of a base, at most `most`; at least one. */
static bool parse_digits(struct re_parser *s, int base, int most, uint32_t *code)
{
    int n = 0;

    for (*code = 0; n < most && s->p < s->end && digit_value(*s->p) < base; n++, s->p++)
        *code = *code * (uint32_t)base + (uint32_t)digit_value(*s->p);
    if (n == 0)
        return parser_fail(s, "a digit is missing");
    if (*code > 0x10FFFF || (*code >= 0xD800 && *code <= 0xDFFF))
        return parser_fail(s, "no code point");
    return true;
}

bool parser_code_escape(struct re_parser *s, uint32_t *code)
{
    static const char names[] = "tnrfvae", values[] = "\t\n\r\f\v\a\033";
    const char *named;

    if (s->p + 1 == s->end)
        return parser_fail(s, "a backslash at the end");
    s->p++;
    if (parser_take(s, "x{"))
        return parse_digits(s, 16, 8, code) && (parser_take(s, "}") || parser_fail(s, "} is missing"));
    if (parser_take(s, "x"))
        return parse_digits(s, 16, 2, code);
    if (parser_take(s, "u"))
        return parse_digits(s, 16, 4, code);
    if (*s->p == '0')
        return parse_digits(s, 8, 3, code);
    named = strchr(names, *s->p);
    if (named && *named) {
        *code = (uint8_t)values[named - names];
        s->p++;
        return true;
    }
    if ((*s->p | 32) >= 'a' && (*s->p | 32) <= 'z' && strchr("cCMQE", *s->p))
        return parser_fail(s, "this escape is not supported");
    s->p += utf8_decode(s->p, s->end, code);
    return true;
}

/* Adds a set, or all that is not in it. */
static void add_set(struct ranges *r, struct ranges *set, bool negative)
{
    ranges_settle(set);
    if (negative)
        ranges_negate(set);
    ranges_add_all(r, set);
    ranges_release(set);
}

/* Outside of brackets \\w and \\p{Word} take six signs of Latin-1 that are numbers, but no digits. */
static void add_latin_numbers(struct ranges *set)
{
    ranges_add(set, 0xB2, 0xB3);
    ranges_add(set, 0xB9, 0xB9);
    ranges_add(set, 0xBC, 0xBE);
}

/* "{name}" or "{^name}" after \p or \P. */
static bool parse_property(struct re_parser *s, struct ranges *r, bool negative, bool bare)
{
    struct ranges set = { 0 };
    const char *stop;

    if (!parser_take(s, "{"))
        return parser_fail(s, "{ is missing");
    if (parser_take(s, "^"))
        negative = !negative;
    stop = memchr(s->p, '}', (size_t)(s->end - s->p));
    if (!stop)
        return parser_fail(s, "} is missing");
    if (!ranges_add_property(&set, s->p, (size_t)(stop - s->p)))
        return parser_fail(s, "no property of this name");
    if (bare && stop - s->p == 4 && strncasecmp(s->p, "word", 4) == 0)
        add_latin_numbers(&set);
    s->p = stop + 1;
    add_set(r, &set, negative);
    return true;
}

bool parser_class_escape(struct re_parser *s, struct ranges *r, bool bare)
{
    static const struct {
        char letter;
        const char *name;
    } classes[] = { { 'd', "digit" }, { 'w', "word" }, { 's', "space" }, { 'h', "xdigit" } };
    char c = s->p + 1 < s->end ? s->p[1] : 0;

    if (c == 'p' || c == 'P') {
        s->p += 2;
        return parse_property(s, r, c == 'P', bare);
    }
    for (size_t i = 0; i < 4; i++) {
        struct ranges set = { 0 };
        if ((c | 32) != classes[i].letter)
            continue;
        ranges_add_property(&set, classes[i].name, strlen(classes[i].name));
        if (bare && classes[i].letter == 'w')
            add_latin_numbers(&set);
        add_set(r, &set, c != classes[i].letter);
        s->p += 2;
        return true;
    }
    return false;
}

/* ---- brackets ---- */

/* "[:name:]" */
static bool parse_posix(struct re_parser *s, struct ranges *r)
{
    static const char *const names[] = { "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph",
                                         "lower", "print", "punct", "space", "upper", "word",  "xdigit" };
    const char *begin = s->p;
    bool negative;

    if (!parser_take(s, "[:"))
        return false;
    negative = parser_take(s, "^");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *property = strcmp(names[i], "punct") == 0 ? "posixpunct" : names[i];
        struct ranges set = { 0 };
        if (!parser_take(s, names[i]))
            continue;
        if (!parser_take(s, ":]"))
            break;
        ranges_add_property(&set, property, strlen(property));
        add_set(r, &set, negative);
        return true;
    }
    s->p = begin;
    return false;
}

/* One character of a class. */
static bool parse_code(struct re_parser *s, uint32_t *code)
{
    if (*s->p == '\\') {
        if (parser_take(s, "\\b")) {
            *code = '\b';
            return true;
        }
        return parser_code_escape(s, code);
    }
    s->p += utf8_decode(s->p, s->end, code);
    return true;
}

/* "a" or "a-z"; a hyphen before "]", or before another class, stands for itself. */
static bool parse_range(struct re_parser *s, struct ranges *r)
{
    uint32_t first, last;
    const char *before;

    if (!parse_code(s, &first))
        return false;
    last = first;
    before = s->p;
    if (s->end - s->p > 1 && *s->p == '-' && s->p[1] != ']' && s->p[1] != '[') {
        struct ranges ignored = { 0 };
        s->p++;
        if (parser_class_escape(s, &ignored, false))
            s->p = before; /* "a-\d": three things */
        else if (s->error->what || !parse_code(s, &last))
            return false;
        ranges_release(&ignored);
    }
    if (last < first)
        return parser_fail(s, "a range whose end is before its beginning");
    ranges_add(r, first, last);
    return true;
}

static bool parse_brackets(struct re_parser *s, struct ranges *r, bool inside);

static bool parse_member(struct re_parser *s, struct ranges *r)
{
    struct ranges inner = { 0 };
    bool fine;

    if (*s->p == '[') {
        if (parse_posix(s, r))
            return true;
        fine = parse_brackets(s, &inner, true);
        ranges_add_all(r, &inner);
        ranges_release(&inner);
        return fine;
    }
    if (*s->p == '\\' && parser_class_escape(s, r, false))
        return true;
    return !s->error->what && parse_range(s, r);
}

/* Up to "&&" or the "]" that closes. */
static bool parse_members(struct re_parser *s, struct ranges *r)
{
    while (s->p < s->end && *s->p != ']' && !(s->end - s->p > 1 && s->p[0] == '&' && s->p[1] == '&'))
        if (!parse_member(s, r))
            return false;
    ranges_settle(r);
    return s->p < s->end || parser_fail(s, "a class is not closed");
}

/* inside: of other brackets, which do the folding. */
static bool parse_brackets(struct re_parser *s, struct ranges *r, bool inside)
{
    bool negative;

    if (++s->depth > BRACKETS_MOST)
        return parser_fail(s, "too many classes inside each other");
    s->p++;
    negative = parser_take(s, "^");
    if (s->p < s->end && *s->p == ']' && memchr(s->p + 1, ']', (size_t)(s->end - s->p - 1))) {
        ranges_add(r, ']', ']');
        s->p++;
    }
    if (!parse_members(s, r))
        return false;
    while (parser_take(s, "&&")) {
        struct ranges more = { 0 };
        bool fine = parse_members(s, &more);
        ranges_intersect(r, &more);
        ranges_release(&more);
        if (!fine)
            return false;
    }
    s->p++;
    s->depth--;
    if (s->fold && !inside)
        ranges_fold(r);
    if (negative)
        ranges_negate(r);
    return true;
}

bool parser_class(struct re_parser *s, struct ranges *r)
{
    return parse_brackets(s, r, false);
}
