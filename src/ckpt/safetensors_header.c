/* The header of a safetensors file: every entry is checked by itself, then all of them together must cover
 * the data part exactly once (a file that passes cannot also be something else). */
#include "ckpt/safetensors_header.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* A name from the file, fit for a message; the caller frees. */
static char *shown(const char *bytes, size_t length)
{
    struct str s;
    str_init(&s);
    str_append_escaped(&s, bytes, length, 120);
    return str_detach(&s);
}

/* One entry while it is read; tensors of the caller point into the arena. */
struct entry {
    struct safetensors_tensor t;
    uint64_t offsets[2];
    int64_t offset_count;
    bool has_dtype, has_shape, has_offsets;
};

static int read_dtype(struct safetensors *st, struct json_reader *r, struct entry *e)
{
    struct json_string text;
    if (!json_string(r, &text))
        return json_status(r);
    e->has_dtype = true;
    e->t.element = element_find(text.data, text.length);
    if (e->t.element != NULL)
        return OK;
    struct str dtype;
    str_init(&dtype);
    str_append_escaped(&dtype, text.data, text.length, 40);
    int status = safetensors_fail(st->path, e->t.name, "unknown dtype \"%s\"", dtype.data);
    str_release(&dtype);
    return status;
}

static int read_shape(struct safetensors *st, struct json_reader *r, struct entry *e)
{
    int64_t shape[SAFETENSORS_MAX_DIMS], ndim = 0, count = 1;
    if (!json_array_begin(r))
        return json_status(r);
    bool overflow = false;
    for (; json_next_element(r); ndim++) {
        if (ndim >= SAFETENSORS_MAX_DIMS) { /* only counted, for the message */
            json_skip(r);
            continue;
        }
        uint64_t size = json_uint64(r);
        shape[ndim] = (int64_t)size;
        overflow = overflow || size > INT64_MAX || !checked_mul(count, (int64_t)size, &count);
    }
    TRY(json_status(r));
    if (ndim > SAFETENSORS_MAX_DIMS)
        return safetensors_fail(st->path, e->t.name, "%" PRId64 " dimensions, at most %d", ndim,
                                SAFETENSORS_MAX_DIMS);
    if (overflow)
        return safetensors_fail(st->path, e->t.name, "element count overflows");
    int64_t *kept = arena_alloc(&st->memory, (size_t)ndim * sizeof(*kept));
    memcpy(kept, shape, (size_t)ndim * sizeof(*kept));
    e->has_shape = true;
    e->t.shape = kept;
    e->t.ndim = (int)ndim;
    e->t.count = count;
    return OK;
}

static int read_offsets(struct json_reader *r, struct entry *e)
{
    int64_t n = 0;
    if (!json_array_begin(r))
        return json_status(r);
    for (; json_next_element(r); n++) {
        if (n < 2)
            e->offsets[n] = json_uint64(r);
        else
            json_skip(r);
    }
    TRY(json_status(r));
    e->has_offsets = true;
    e->offset_count = n;
    return OK;
}

static int check_entry(struct safetensors *st, struct entry *e)
{
    struct safetensors_tensor *t = &e->t;
    const char *path = st->path, *name = t->name;
    uint64_t begin = e->offsets[0], end = e->offsets[1], data = st->file_bytes - st->data_begin;
    int64_t bits;
    if (!e->has_dtype || !e->has_shape || !e->has_offsets)
        return safetensors_fail(path, name, "missing \"%s\"",
                                !e->has_dtype   ? "dtype"
                                : !e->has_shape ? "shape"
                                                : "data_offsets");
    if (e->offset_count != 2)
        return safetensors_fail(path, name, "data_offsets has %" PRId64 " entries, expected 2",
                                e->offset_count);
    if (end < begin)
        return safetensors_fail(path, name, "data_offsets [%" PRIu64 ",%" PRIu64 "]: end before begin", begin,
                                end);
    if (!checked_mul(t->count, t->element->bits, &bits))
        return safetensors_fail(path, name, "byte size overflows");
    if (bits % 8 != 0)
        return safetensors_fail(path, name, "%" PRId64 " elements of %s do not fill whole bytes", t->count,
                                t->element->name);
    if (end - begin != (uint64_t)bits / 8)
        return safetensors_fail(path, name,
                                "%" PRIu64 " bytes for %" PRId64 " elements of %s, expected %" PRId64,
                                end - begin, t->count, t->element->name, bits / 8);
    if (end > data) {
        safetensors_fail(path, name, "data ends at %" PRIu64 ", file holds %" PRIu64 " data bytes: truncated",
                         end, data);
        error_hint("download or copy the file again");
        return ERR_DATA;
    }
    t->begin = st->data_begin + begin;
    t->end = st->data_begin + end;
    return OK;
}

static int read_entry(struct safetensors *st, struct json_reader *r, struct entry *e)
{
    struct json_string key;
    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &key)) {
        if (json_key_is(r, "dtype"))
            TRY(read_dtype(st, r, e));
        else if (json_key_is(r, "shape"))
            TRY(read_shape(st, r, e));
        else if (json_key_is(r, "data_offsets"))
            TRY(read_offsets(r, e));
        else
            json_skip(r);
    }
    TRY(json_status(r));
    return check_entry(st, e);
}

static int read_metadata(struct safetensors *st, struct json_reader *r)
{
    struct json_string key, value;
    size_t capacity = 0;
    if (json_peek(r) == JSON_NULL) {
        json_null(r);
        return json_status(r);
    }
    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &key)) {
        const char *kept = arena_strndup(&st->memory, key.data, key.length);
        if (!json_string(r, &value))
            break;
        st->metadata = mem_grow(st->metadata, st->metadata_count, &capacity, sizeof(*st->metadata));
        st->metadata[st->metadata_count++] = (struct safetensors_metadata){
            .key = kept,
            .value = arena_strndup(&st->memory, value.data, value.length),
        };
    }
    return json_status(r);
}

static int check_name(const struct safetensors *st, const struct json_string *name)
{
    const char *why = NULL;
    if (name->length == 0 || name->length > SAFETENSORS_MAX_NAME)
        why = "has a length outside 1 to 4096 bytes";
    for (size_t i = 0; why == NULL && i < name->length; i++) {
        if ((unsigned char)name->data[i] < 0x20 || name->data[i] == 0x7f)
            why = "holds a control character";
    }
    if (why == NULL)
        return OK;
    char *text = shown(name->data, name->length);
    int status = fail(ERR_DATA, "%s: tensor name \"%s\" %s", st->path, text, why);
    mem_free(text);
    return status;
}

static int read_tensors(struct safetensors *st, struct json_reader *r)
{
    struct json_string key;
    size_t capacity = 0;
    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &key)) {
        if (json_key_is(r, "__metadata__")) {
            TRY(read_metadata(st, r));
            continue;
        }
        TRY(check_name(st, &key));
        struct entry e = { 0 };
        e.t.name = arena_strndup(&st->memory, key.data, key.length);
        TRY(read_entry(st, r, &e));
        if (!map_add(&st->names, e.t.name, strlen(e.t.name), (int64_t)st->count))
            return safetensors_fail(st->path, e.t.name, "duplicate tensor name");
        st->tensors = mem_grow(st->tensors, st->count, &capacity, sizeof(*st->tensors));
        st->tensors[st->count++] = e.t;
    }
    return json_end(r);
}

/* ---- the data part is covered exactly once ---- */

static int compare_places(const void *a, const void *b)
{
    const struct safetensors_tensor *x = *(const struct safetensors_tensor *const *)a;
    const struct safetensors_tensor *y = *(const struct safetensors_tensor *const *)b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int fail_overlap(const struct safetensors *st, const struct safetensors_tensor *a,
                        const struct safetensors_tensor *b)
{
    uint64_t end = a->end < b->end ? a->end : b->end;
    char *x = shown(a->name, strlen(a->name)), *y = shown(b->name, strlen(b->name));
    int status = fail(ERR_DATA, "%s: tensors \"%s\" and \"%s\" overlap at [%" PRIu64 ",%" PRIu64 ")",
                      st->path, x, y, b->begin - st->data_begin, end - st->data_begin);
    mem_free(x);
    mem_free(y);
    return status;
}

static int fail_hole(const struct safetensors *st, uint64_t at, const struct safetensors_tensor *next)
{
    char *name = shown(next->name, strlen(next->name));
    int status =
        fail(ERR_DATA, "%s: %" PRIu64 " unreferenced bytes at [%" PRIu64 ",%" PRIu64 ") before \"%s\"",
             st->path, next->begin - at, at - st->data_begin, next->begin - st->data_begin, name);
    mem_free(name);
    return status;
}

static int check_coverage(const struct safetensors *st)
{
    const struct safetensors_tensor **places = mem_alloc_array(st->count, sizeof(*places)), *last = NULL;
    for (size_t i = 0; i < st->count; i++)
        places[i] = &st->tensors[i];
    qsort(places, st->count, sizeof(*places), compare_places);
    uint64_t at = st->data_begin;
    int status = OK;
    for (size_t i = 0; i < st->count && status == OK; i++) {
        if (places[i]->begin < at)
            status = fail_overlap(st, last, places[i]);
        else if (places[i]->begin > at)
            status = fail_hole(st, at, places[i]);
        last = places[i];
        at = places[i]->end;
    }
    if (status == OK && at < st->file_bytes)
        status = fail(ERR_DATA,
                      "%s: %" PRIu64 " bytes after the last tensor (found %" PRIu64
                      " data bytes, expected %" PRIu64 ")",
                      st->path, st->file_bytes - at, st->file_bytes - st->data_begin, at - st->data_begin);
    mem_free(places);
    return status;
}

int safetensors_parse_header(struct safetensors *st, struct json_reader *r)
{
    TRY(read_tensors(st, r));
    return check_coverage(st);
}
