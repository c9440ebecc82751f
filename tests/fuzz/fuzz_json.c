/* Any bytes: skipping the whole and walking through it value by value must agree on whether it is JSON, and
 * what the walk writes must be JSON again. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"

static int skip_whole(const uint8_t *data, size_t size, bool comments)
{
    struct json_reader r;
    error_clear();
    json_reader_init(&r, "fuzz", (const char *)data, size);
    r.allow_comments = comments;
    json_skip(&r);
    int status = json_end(&r);
    json_reader_release(&r);
    return status;
}

/* Recursion is bounded by the reader's depth. */
static void copy_value(struct json_reader *r, struct json_writer *w)
{
    struct json_string s;
    switch (json_peek(r)) {
    case JSON_OBJECT:
        if (!json_object_begin(r))
            break;
        json_write_object_begin(w);
        while (json_next_key(r, &s)) {
            json_write_key_bytes(w, s.data, s.length);
            copy_value(r, w);
        }
        if (json_status(r) == OK)
            json_write_object_end(w);
        break;
    case JSON_ARRAY:
        if (!json_array_begin(r))
            break;
        json_write_array_begin(w);
        while (json_next_element(r))
            copy_value(r, w);
        if (json_status(r) == OK)
            json_write_array_end(w);
        break;
    case JSON_STRING:
        json_string(r, &s);
        if (json_status(r) == OK)
            json_write_bytes(w, s.data, s.length);
        break;
    case JSON_NUMBER: json_write_double(w, json_double(r)); break;
    case JSON_BOOL: json_write_bool(w, json_bool(r)); break;
    case JSON_NULL:
        json_null(r);
        json_write_null(w);
        break;
    case JSON_NONE: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_reader r;
    struct json_writer w;
    struct str out;
    bool comments = size % 2 == 0;
    int skipped = skip_whole(data, size, comments);
    str_init(&out);
    error_clear();
    json_reader_init(&r, "fuzz", (const char *)data, size);
    r.allow_comments = comments;
    json_writer_init(&w, &out, (int)(size % 3) - 1);
    copy_value(&r, &w);
    int walked = json_end(&r);
    json_reader_release(&r);
    if ((skipped == OK) != (walked == OK))
        BUG("skipping and walking disagree");
    if (walked == OK && skip_whole((const uint8_t *)out.data, out.length, false) != OK)
        BUG("what was written is no JSON: %s", error_message());
    str_release(&out);
    error_clear();
    return 0;
}
