/* json -- a strict pull reader (RFC 8259, plus NaN, Infinity and -Infinity, which Python writes) and a
 * writer.
 *
 * Reader: bounded depth (64), keys checked for duplicates within each object, strings unescaped to UTF-8,
 * lone surrogates and raw control characters refused. Errors are sticky: after the first, every call returns
 * its empty answer and json_status() gives the failure, whose sentence is
 *     "NAME:LINE:COLUMN: $.path.to[3].value: WHAT (found X, expected Y)".
 *
 *     json_reader_init(&r, "config.json", bytes, length);
 *     if (json_object_begin(&r))
 *         while (json_next_key(&r, &key))
 *             if (json_key_is(&r, "vocab_size")) n = json_int(&r, 1, 1 << 30); else json_skip(&r);
 *     status = json_end(&r);                    (checks that nothing follows)
 *     json_reader_release(&r);
 *
 * Works on the bytes in place; they must outlive the reader. Memory is that of the longest string. */
#ifndef PLAIT_BASE_JSON_H
#define PLAIT_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum json_type { JSON_NONE, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
enum { JSON_MAX_DEPTH = 64 };

struct json_string { /* valid until the next call on the reader */
    const char *data;
    size_t length;
};

struct json_reader {
    const char *name; /* for messages; borrowed */
    const char *begin, *p, *end;
    int status, depth;
    bool allow_comments; /* "//" to the end of the line, for option files; set after init */
    int meaning_status;  /* what json_fail records: ERR_DATA unless set after init */
    struct str text, key;
    struct json_level *levels; /* the open objects and arrays, at most JSON_MAX_DEPTH of them */
    /* the rest belongs to json_read.c */
    int level_count;   /* levels allocated so far */
    bool value_due;    /* a value comes next */
    uint64_t seed;     /* of the keys' hash */
    const char *value; /* where the key or value read last starts */
    struct json_string last_key;
    struct str other; /* an earlier key, unescaped, while it is compared */
};

void json_reader_init(struct json_reader *r, const char *name, const char *bytes,
                      size_t length); /* a UTF-8 BOM is skipped */
void json_reader_release(struct json_reader *r);

enum json_type json_peek(
    struct json_reader *r); /* type of the value that comes next; JSON_NONE after an error */
bool json_object_begin(struct json_reader *r); /* false: an error (the value is no object), now recorded */
bool json_next_key(struct json_reader *r,
                   struct json_string *key); /* false: the object has ended, or an error */
bool json_key_is(const struct json_reader *r, const char *name);
bool json_array_begin(struct json_reader *r);
bool json_next_element(
    struct json_reader *r); /* true: a value comes next; false: the array has ended, or an error */
bool json_string(struct json_reader *r, struct json_string *out);
int64_t json_int(struct json_reader *r, int64_t min, int64_t max); /* "2.0" and "1e3" are no integers */
uint64_t json_uint64(struct json_reader *r);
double json_double(struct json_reader *r);
bool json_bool(struct json_reader *r);
void json_null(struct json_reader *r);
void json_skip(struct json_reader *r); /* any value, still checked */
/* Any value, skipped, and its own bytes in the input (for keeping what is not understood). */
struct json_string json_raw(struct json_reader *r);

/* Records a failure of meaning at the value read last ($-path included): json_fail(&r, "id %d used twice",
 * id). */
int json_fail(struct json_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int json_status(const struct json_reader *r);
int json_end(struct json_reader *r); /* status, after checking that only white space is left */

/* Writer: commas, quotes and indentation are its business. indent 0: one line, as Python's json.dumps with
 * separators
 * (", ", ": "); -1: compact (",", ":"); n: n spaces a level. Numbers: shortest form that reads back equal,
 * written as Python's repr does (1e-05, 0.1, 1.0). Strings: non-ASCII as is unless ascii is set. */
struct json_writer {
    struct str *out; /* borrowed */
    int indent, depth;
    bool ascii, after_key, first[JSON_MAX_DEPTH];
};
void json_writer_init(struct json_writer *w, struct str *out, int indent);
void json_write_object_begin(struct json_writer *w);
void json_write_object_end(struct json_writer *w);
void json_write_array_begin(struct json_writer *w);
void json_write_array_end(struct json_writer *w);
void json_write_key(struct json_writer *w, const char *key);
void json_write_key_bytes(struct json_writer *w, const char *key, size_t length);
void json_write_string(struct json_writer *w, const char *text);
void json_write_bytes(struct json_writer *w, const char *bytes, size_t length); /* a string with a length */
void json_write_int(struct json_writer *w, int64_t v);
void json_write_uint64(struct json_writer *w, uint64_t v);
void json_write_double(struct json_writer *w, double v);
void json_write_bool(struct json_writer *w, bool v);
void json_write_null(struct json_writer *w);
void json_write_raw(struct json_writer *w, const char *bytes, size_t length); /* a value already in JSON */
/* A key and its value; a number that is not finite, and text that is NULL, become null. */
void json_write_member_int(struct json_writer *w, const char *key, int64_t v);
void json_write_member_number(struct json_writer *w, const char *key, double v);
void json_write_member_string(struct json_writer *w, const char *key, const char *text);

#endif
