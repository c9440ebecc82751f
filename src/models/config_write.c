#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "models/config_internal.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct config_key *)a)->name, ((const struct config_key *)b)->name);
}

static void write_keys(struct json_writer *w, struct config_key *keys, size_t count);

/* A value that has been read as JSON before, so that nothing in it is wrong, nor deeper than JSON_MAX_DEPTH.
 */
static void write_value(struct json_writer *w, const char *json, size_t length)
{
    struct json_reader r;
    struct json_string s;
    struct config inner = { .name = (char *)"" };

    json_reader_init(&r, "", json, length);
    switch (json_peek(&r)) {
    case JSON_OBJECT:
        if (config_read_keys(&inner, json, length) != OK)
            BUG("a config that was read is none: %s", error_message());
        write_keys(w, inner.keys, inner.key_count);
        inner.name = NULL;
        config_release(&inner);
        break;
    case JSON_ARRAY:
        json_array_begin(&r);
        json_write_array_begin(w);
        while (json_next_element(&r)) {
            s = json_raw(&r);
            write_value(w, s.data, s.length);
        }
        json_write_array_end(w);
        break;
    case JSON_STRING:
        if (json_string(&r, &s))
            json_write_bytes(w, s.data, s.length);
        break;
    case JSON_NUMBER:
        if (memchr(json, '.', length) || memchr(json, 'e', length) || memchr(json, 'E', length)) {
            json_write_double(w, json_double(&r));
        } else { /* integers of any size, Infinity, NaN */
            s = json_raw(&r);
            json_write_raw(w, s.data, s.length);
        }
        break;
    default: json_write_raw(w, json, length);
    }
    json_reader_release(&r);
}

static void write_keys(struct json_writer *w, struct config_key *keys, size_t count)
{
    struct config_key *sorted = mem_alloc_array(count + 1, sizeof(sorted[0]));

    if (count)
        memcpy(sorted, keys, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), by_name);
    json_write_object_begin(w);
    for (size_t i = 0; i < count; i++) {
        json_write_key(w, sorted[i].name);
        write_value(w, sorted[i].json, strlen(sorted[i].json));
    }
    json_write_object_end(w);
    mem_free(sorted);
}

void config_write(const struct config *c, struct str *out)
{
    struct json_writer w;

    json_writer_init(&w, out, 2);
    w.ascii = true;
    write_keys(&w, c->keys, c->key_count);
    str_append(out, "\n");
}
