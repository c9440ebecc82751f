/* json_internal -- what the parts of the reader share: json_lex.c knows strings and numbers and no reader,
 * json_error.c turns a place into a sentence, json_read.c is the reader. */
#ifndef PLAIT_BASE_JSON_INTERNAL_H
#define PLAIT_BASE_JSON_INTERNAL_H

#include "base/json.h"

/* A place in the hash set of an object's keys. Taken when its generation is that of the level, so that a
 * level is emptied in O(1) and one large object does not make later small ones slow. */
struct json_key_slot {
    uint32_t generation, hash;
    uint64_t place; /* offset of the key's first byte in the input, times 2, plus 1 when it holds escapes */
};

struct json_level {
    struct json_key_slot *slots;
    size_t slot_count, key_count;
    uint32_t generation;
    bool array, first;
    int64_t index;     /* arrays: of the element read last, -1 before the first */
    const char *key;   /* objects: first byte of the raw key read last, NULL when there is none */
    const char *start; /* the bracket that opened it */
};

struct json_lex_error {
    const char *at;
    const char *what, *expected;
};

/* p stands after the opening quote. Returns the place after the closing quote, or NULL and *e. The content is
 * in the input when there are no escapes, else in `scratch`. */
const char *json_lex_string(const char *p, const char *end, struct str *scratch, struct json_string *out,
                            struct json_lex_error *e);

struct json_number {
    const char *begin;
    size_t length;
    uint64_t mantissa; /* all digits, when exact */
    int64_t digits;    /* significant digits */
    int64_t exponent;  /* value = mantissa * 10^exponent */
    bool negative, integer, exact;
    bool special; /* NaN, Infinity or -Infinity */
};
bool json_lex_number(const char *p, const char *end, struct json_number *n); /* false: no number in JSON */
bool json_number_value(const struct json_number *n, struct str *scratch,
                       double *v); /* false: beyond double */

/* The parts of the reader that json_read.c and json_value.c share. */
void json_skip_space(struct json_reader *r);
enum json_type json_type_at(const char *p, const char *end);
bool json_value_expect(struct json_reader *r,
                       enum json_type type); /* false: another type, or an error before */
void json_type_fail(struct json_reader *r, enum json_type found, const char *expected);

/* Characters that belong to one word or number, for messages. */
size_t json_token_length(const char *p, const char *end);
/* "WHAT (found ..., expected ...)" at a place of the input; `expected` may be NULL. The first failure stays.
 */
void json_syntax_fail(struct json_reader *r, const char *at, const char *what, const char *expected);
/* A whole sentence at a place of the input. Returns the reader's status. */
int json_fail_at(struct json_reader *r, int status, const char *at, const char *sentence);
void json_append_found(struct str *s, const char *at, const char *end);

#endif
