/* Values: scalars, and passing over any value without recursion. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json_internal.h"

void json_skip_space(struct json_reader *r)
{
    const char *p = r->p, *end = r->end;
    for (;;) {
        while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
            p++;
        if (!r->allow_comments || end - p < 2 || p[0] != '/' || p[1] != '/')
            break;
        while (p < end && *p != '\n')
            p++;
    }
    r->p = p;
}

enum json_type json_type_at(const char *p, const char *end)
{
    switch (p < end ? *p : 0) {
    case '{': return JSON_OBJECT;
    case '[': return JSON_ARRAY;
    case '"': return JSON_STRING;
    case 't':
    case 'f': return JSON_BOOL;
    case 'n': return JSON_NULL;
    case '-':
    case 'N':
    case 'I': return JSON_NUMBER;
    default: return p < end && *p >= '0' && *p <= '9' ? JSON_NUMBER : JSON_NONE;
    }
}

static const char *type_name(enum json_type type)
{
    static const char *const names[] = { "a value",  "null",     "true or false", "a number",
                                         "a string", "an array", "an object" };
    return names[type];
}

static bool json_value_begin(struct json_reader *r)
{
    if (r->status != OK)
        return false;
    if (!r->value_due)
        BUG("%s: a JSON value is read where none is due", r->name);
    json_skip_space(r);
    r->value = r->p;
    return true;
}

void json_type_fail(struct json_reader *r, enum json_type type, const char *expected)
{
    struct str s;
    static const char *const found[] = { "",         "null",     "a boolean", "a number",
                                         "a string", "an array", "an object" };
    if (type == JSON_NONE) {
        json_syntax_fail(r, r->p, "no value", expected);
        return;
    }
    str_init(&s);
    str_appendf(&s, "wrong type (found %s, expected %s)", found[type], expected);
    json_fail_at(r, ERR_DATA, r->p, s.data);
    str_release(&s);
}

bool json_value_expect(struct json_reader *r, enum json_type type)
{
    if (!json_value_begin(r))
        return false;
    enum json_type found = json_type_at(r->p, r->end);
    if (found != type)
        json_type_fail(r, found, type_name(type));
    return found == type;
}

enum json_type json_peek(struct json_reader *r)
{
    if (!json_value_begin(r))
        return JSON_NONE;
    enum json_type type = json_type_at(r->p, r->end);
    if (type == JSON_NONE)
        json_type_fail(r, type, type_name(type));
    return type;
}

bool json_string(struct json_reader *r, struct json_string *out)
{
    struct json_lex_error e;
    *out = (struct json_string){ .data = "" };
    if (!json_value_expect(r, JSON_STRING))
        return false;
    struct json_string s;
    const char *after = json_lex_string(r->p + 1, r->end, &r->text, &s, &e);
    if (!after) {
        json_syntax_fail(r, e.at, e.what, e.expected);
        return false;
    }
    r->p = after;
    r->value_due = false;
    *out = s;
    return true;
}

static bool read_literal(struct json_reader *r, const char *word)
{
    size_t n = json_token_length(r->p, r->end);
    if (n != strlen(word) || memcmp(r->p, word, n) != 0) {
        json_syntax_fail(r, r->p, "no value", "null, true, false, a number, a string, an array or an object");
        return false;
    }
    r->p += n;
    r->value_due = false;
    return true;
}

bool json_bool(struct json_reader *r)
{
    if (!json_value_expect(r, JSON_BOOL))
        return false;
    bool v = *r->p == 't';
    return read_literal(r, v ? "true" : "false") && v;
}

void json_null(struct json_reader *r)
{
    if (json_value_expect(r, JSON_NULL))
        read_literal(r, "null");
}

static bool read_number(struct json_reader *r, struct json_number *n)
{
    if (!json_value_expect(r, JSON_NUMBER))
        return false;
    if (!json_lex_number(r->p, r->end, n)) {
        json_syntax_fail(r, r->p, "bad number", NULL);
        return false;
    }
    r->p += n->length;
    r->value_due = false;
    return true;
}

double json_double(struct json_reader *r)
{
    struct json_number n;
    double v;
    if (!read_number(r, &n))
        return 0;
    if (json_number_value(&n, &r->text, &v))
        return v;
    json_syntax_fail(r, r->value, "bad number", "at most 1.8e308");
    return 0;
}

static void integer_fail(struct json_reader *r, bool integer, const char *expected)
{
    json_syntax_fail(r, r->value, integer ? "out of range" : "no integer", expected);
}

int64_t json_int(struct json_reader *r, int64_t min, int64_t max)
{
    struct json_number n;
    if (!read_number(r, &n))
        return 0;
    bool fits = n.integer && n.exact && n.mantissa <= (uint64_t)INT64_MAX + n.negative;
    int64_t v = n.negative ? (int64_t)(0 - n.mantissa) : (int64_t)n.mantissa;
    if (fits && v >= min && v <= max)
        return v;
    char expected[80] = "an integer of 64 bits";
    if (min != INT64_MIN || max != INT64_MAX)
        snprintf(expected, sizeof(expected), "an integer from %lld to %lld", (long long)min, (long long)max);
    integer_fail(r, n.integer, expected);
    return 0;
}

uint64_t json_uint64(struct json_reader *r)
{
    struct json_number n;
    if (!read_number(r, &n))
        return 0;
    if (n.integer && n.exact && (!n.negative || n.mantissa == 0))
        return n.mantissa;
    integer_fail(r, n.integer, "an integer from 0 to 18446744073709551615");
    return 0;
}

/* Reads a scalar, or enters an array or object. */
static void skip_step(struct json_reader *r)
{
    struct json_string s;
    struct json_number n;
    double v;
    switch (json_peek(r)) {
    case JSON_NONE: break;
    case JSON_NULL: json_null(r); break;
    case JSON_BOOL: json_bool(r); break;
    case JSON_NUMBER:
        if (read_number(r, &n) && n.digits + n.exponent > 300 && !json_number_value(&n, &r->text, &v))
            json_syntax_fail(r, r->value, "bad number", "at most 1.8e308");
        break;
    case JSON_STRING: json_string(r, &s); break;
    case JSON_ARRAY: json_array_begin(r); break;
    case JSON_OBJECT: json_object_begin(r); break;
    }
}

static bool level_has_more(struct json_reader *r)
{
    struct json_string key;
    return r->levels[r->depth - 1].array ? json_next_element(r) : json_next_key(r, &key);
}

void json_skip(struct json_reader *r)
{
    int depth = r->depth;
    do {
        skip_step(r);
        while (r->status == OK && r->depth > depth && !level_has_more(r))
            ;
    } while (r->status == OK && r->depth > depth);
}

struct json_string json_raw(struct json_reader *r)
{
    if (!json_value_begin(r))
        return (struct json_string){ .data = "" };
    const char *start = r->p;
    json_skip(r);
    if (r->status != OK)
        return (struct json_string){ .data = "" };
    return (struct json_string){ .data = start, .length = (size_t)(r->p - start) };
}
