/* A pattern in Oniguruma's syntax to a tree. Nothing is guessed: what is not known is refused. */
#include <string.h>

#include "base/str.h"
#include "tok/regex_parser.h"

enum { DEPTH_MOST = 64, REPEAT_MOST = 100000 };

bool parser_fail(struct re_parser *s, const char *what)
{
    if (!s->error->what)
        *s->error = (struct regex_error){ what, (size_t)(s->p - s->begin) };
    return false;
}

bool parser_take(struct re_parser *s, const char *text)
{
    size_t n = strlen(text);

    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0)
        return false;
    s->p += n;
    return true;
}

static struct re_node *node_of(struct re_parser *s, enum re_kind kind, uint32_t value)
{
    struct re_node *n = arena_alloc(s->arena, sizeof(*n));

    n->kind = kind;
    n->value = value;
    return n;
}

static struct re_node *assertion(struct re_parser *s, enum re_assert which)
{
    return node_of(s, RE_ASSERT, which);
}

static struct re_node *class_node(struct re_parser *s, struct ranges *r)
{
    struct re_node *n = node_of(s, RE_CLASS, 0);

    n->value = regex_add_class(s->re, r);
    ranges_release(r);
    return n;
}

static struct re_node *char_node(struct re_parser *s, uint32_t code)
{
    struct ranges r = { 0 };

    if (!s->fold)
        return node_of(s, RE_CHAR, code);
    ranges_add(&r, code, code);
    ranges_fold(&r);
    return class_node(s, &r);
}

/* Every code but these two ranges' one (a line feed), or every code. */
static struct re_node *any_node(struct re_parser *s, bool all)
{
    struct ranges r = { 0 };

    if (!all)
        ranges_add(&r, '\n', '\n');
    ranges_negate(&r);
    return class_node(s, &r);
}

static struct re_node *line_break_node(struct re_parser *s)
{
    struct re_node *n = node_of(s, RE_ATOMIC, 0), *alt = node_of(s, RE_ALT, 0), *pair = node_of(s, RE_CAT, 0);
    struct ranges r = { 0 };

    pair->child = node_of(s, RE_CHAR, '\r');
    pair->child->next = node_of(s, RE_CHAR, '\n');
    ranges_add(&r, '\n', '\r');
    ranges_add(&r, 0x85, 0x85);
    ranges_add(&r, 0x2028, 0x2029);
    pair->next = node_of(s, RE_CLASS, regex_add_class(s->re, &r));
    ranges_release(&r);
    alt->child = pair;
    n->child = alt;
    return n;
}

/* ---- what stands after a backslash ---- */

static struct re_node *assertion_escape(struct re_parser *s, char c)
{
    switch (c) {
    case 'b': return assertion(s, RE_WORD);
    case 'B': return assertion(s, RE_NOT_WORD);
    case 'A': return assertion(s, RE_BEGIN);
    case 'z': return assertion(s, RE_END);
    case 'Z': return assertion(s, RE_END_LINE);
    default: return NULL;
    }
}

static bool parse_escape(struct re_parser *s, struct re_node **out)
{
    struct ranges r = { 0 };
    uint32_t code;
    char c;

    if (s->p + 1 == s->end)
        return parser_fail(s, "a backslash at the end");
    c = s->p[1];
    *out = assertion_escape(s, c);
    if (c == 'R')
        *out = line_break_node(s);
    else if (c == 'N' || c == 'O')
        *out = any_node(s, c == 'O');
    if (*out) {
        s->p += 2;
        return true;
    }
    if ((c >= '1' && c <= '9') || c == 'k' || c == 'g')
        return parser_fail(s, "back-references and calls are not supported");
    if (c == 'K' || c == 'X' || c == 'y' || c == 'Y' || c == 'G')
        return parser_fail(s, "this escape is not supported");
    if (parser_class_escape(s, &r, true)) {
        ranges_settle(&r);
        *out = class_node(s, &r);
        return true;
    }
    if (s->error->what || !parser_code_escape(s, &code))
        return false;
    *out = char_node(s, code);
    return true;
}

/* ---- groups ---- */

static bool parse_alternatives(struct re_parser *s, struct re_node **out);

/* "i-m" and so on, after "(?". */
static bool parse_options(struct re_parser *s)
{
    bool on = true;

    for (; s->p < s->end && *s->p != ')' && *s->p != ':'; s->p++) {
        switch (*s->p) {
        case '-': on = false; break;
        case 'i': s->fold = on; break;
        case 'm': s->dot_all = on; break;
        case 'x': s->extended = on; break;
        default: return parser_fail(s, "this kind of group is not supported");
        }
    }
    return s->p < s->end || parser_fail(s, "a group is not closed");
}

static bool skip_name(struct re_parser *s, char close)
{
    const char *stop = memchr(s->p, close, (size_t)(s->end - s->p));

    if (!stop || stop == s->p)
        return parser_fail(s, "the name of a group is not closed");
    s->p = stop + 1;
    return true;
}

/* What opens a group, after "(": *wrap is the node around its content, NULL for a plain group. *whole:
 * options for the rest of the group that is open. */
static bool parse_opening(struct re_parser *s, struct re_node **wrap, bool *whole)
{
    bool behind, negative;

    if (!parser_take(s, "?"))
        return s->p == s->end || *s->p != '*' || parser_fail(s, "this kind of group is not supported");
    if (parser_take(s, ":"))
        return true;
    if (parser_take(s, ">")) {
        *wrap = node_of(s, RE_ATOMIC, 0);
        return true;
    }
    behind = s->end - s->p > 1 && *s->p == '<' && (s->p[1] == '=' || s->p[1] == '!');
    if (behind || (s->p < s->end && (*s->p == '=' || *s->p == '!'))) {
        s->p += behind;
        negative = *s->p++ == '!';
        *wrap = node_of(s, RE_LOOK, 0);
        (*wrap)->behind = behind;
        (*wrap)->negative = negative;
        return true;
    }
    if (parser_take(s, "<"))
        return skip_name(s, '>');
    if (parser_take(s, "'"))
        return skip_name(s, '\'');
    if (!parse_options(s))
        return false;
    *whole = *s->p++ == ')';
    return true;
}

static bool parse_group(struct re_parser *s, struct re_node **out)
{
    bool fold = s->fold, dot_all = s->dot_all, extended = s->extended, whole = false, fine;
    struct re_node *wrap = NULL, *content;

    s->p++;
    if (!parse_opening(s, &wrap, &whole))
        return false;
    if (++s->depth > DEPTH_MOST)
        return parser_fail(s, "too many groups inside each other");
    fine = parse_alternatives(s, &content);
    s->depth--;
    s->fold = fold;
    s->dot_all = dot_all;
    s->extended = extended;
    if (!fine)
        return false;
    if (!whole && !parser_take(s, ")"))
        return parser_fail(s, "a group is not closed");
    if (wrap)
        wrap->child = content;
    *out = wrap ? wrap : content;
    return true;
}

/* ---- repetition ---- */

static int parse_number(struct re_parser *s)
{
    int n = -1;

    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
        n = n > REPEAT_MOST ? n : (n < 0 ? 0 : n * 10) + (*s->p - '0');
    return n;
}

/* {n}, {n,}, {n,m}, {,m}; anything else is a brace that stands for itself. */
static bool parse_interval(struct re_parser *s, struct re_node *n)
{
    const char *begin = s->p++;
    int min = parse_number(s), max = min;
    bool comma = parser_take(s, ",");

    if (comma)
        max = parse_number(s);
    if ((min < 0 && max < 0) || !parser_take(s, "}")) {
        s->p = begin;
        return false;
    }
    n->min = min < 0 ? 0 : min;
    n->max = comma && max < 0 ? RE_UNBOUNDED : max;
    if (comma && parser_take(s, "?"))
        n->mode = RE_LAZY;
    return true;
}

static bool parse_star(struct re_parser *s, struct re_node *n)
{
    if (!memchr("*+?", *s->p, 3))
        return false;
    n->min = *s->p == '+';
    n->max = *s->p == '?' ? 1 : RE_UNBOUNDED;
    s->p++;
    if (parser_take(s, "?"))
        n->mode = RE_LAZY;
    else if (parser_take(s, "+"))
        n->mode = RE_POSSESSIVE;
    return true;
}

/* White space and comments between the parts of an extended pattern; comments of any. */
static bool skip_blanks(struct re_parser *s)
{
    const char *stop;

    for (;;) {
        if (parser_take(s, "(?#")) {
            stop = memchr(s->p, ')', (size_t)(s->end - s->p));
            if (!stop)
                return parser_fail(s, "a comment is not closed");
            s->p = stop + 1;
        } else if (s->extended && s->p < s->end && memchr(" \t\n\v\f\r", *s->p, 6)) {
            s->p++;
        } else if (s->extended && s->p < s->end && *s->p == '#') {
            stop = memchr(s->p, '\n', (size_t)(s->end - s->p));
            s->p = stop ? stop + 1 : s->end;
        } else {
            return true;
        }
    }
}

static bool parse_repeats(struct re_parser *s, struct re_node **n)
{
    for (int depth = 0;; depth++) {
        struct re_node *repeat = node_of(s, RE_REPEAT, 0);
        if (!skip_blanks(s))
            return false;
        if (s->p == s->end || !(*s->p == '{' ? parse_interval(s, repeat) : parse_star(s, repeat)))
            return true;
        if (repeat->min > REPEAT_MOST || repeat->max > REPEAT_MOST)
            return parser_fail(s, "a repetition of more than 100000");
        if (repeat->max != RE_UNBOUNDED && repeat->max < repeat->min)
            return parser_fail(s, "a repetition whose most is less than its least");
        if (depth > DEPTH_MOST)
            return parser_fail(s, "too many repetitions of one thing");
        repeat->child = *n;
        *n = repeat;
    }
}

/* ---- sequences ---- */

static bool parse_atom(struct re_parser *s, struct re_node **out)
{
    struct ranges r = { 0 };
    uint32_t code;
    int length;

    switch (*s->p) {
    case '(': return parse_group(s, out);
    case '\\': return parse_escape(s, out);
    case '[':
        if (!parser_class(s, &r)) {
            ranges_release(&r);
            return false;
        }
        *out = class_node(s, &r);
        return true;
    case '*':
    case '+':
    case '?': return parser_fail(s, "nothing to repeat");
    case '^':
        s->p++;
        *out = assertion(s, RE_LINE_BEGIN);
        return true;
    case '$':
        s->p++;
        *out = assertion(s, RE_LINE_END);
        return true;
    case '.':
        s->p++;
        *out = any_node(s, s->dot_all);
        return true;
    default: break;
    }
    length = utf8_decode(s->p, s->end, &code);
    s->p += length; /* the pattern is UTF-8 */
    *out = char_node(s, code);
    return true;
}

static bool parse_sequence(struct re_parser *s, struct re_node **out)
{
    struct re_node *cat = node_of(s, RE_CAT, 0), **tail = &cat->child;

    for (;;) {
        if (!skip_blanks(s))
            return false;
        if (s->p == s->end || *s->p == '|' || *s->p == ')')
            break;
        if (!parse_atom(s, tail) || !parse_repeats(s, tail))
            return false;
        tail = &(*tail)->next;
    }
    *out = cat;
    return true;
}

static bool parse_alternatives(struct re_parser *s, struct re_node **out)
{
    struct re_node *alt = node_of(s, RE_ALT, 0), **tail = &alt->child;

    do {
        if (!parse_sequence(s, tail))
            return false;
        tail = &(*tail)->next;
    } while (parser_take(s, "|"));
    *out = alt->child->next ? alt : alt->child;
    return true;
}

bool regex_parse(struct regex *re, struct arena *arena, const char *pattern, size_t length,
                 struct re_node **out, struct regex_error *error)
{
    struct re_parser s = {
        .p = pattern, .begin = pattern, .end = pattern + length, .re = re, .arena = arena
    };

    *error = (struct regex_error){ 0 };
    s.error = error;
    if (utf8_valid_prefix(pattern, length) < length)
        return parser_fail(&s, "not UTF-8");
    if (!parse_alternatives(&s, out))
        return false;
    return s.p == s.end || parser_fail(&s, "a group is closed that is not open");
}
