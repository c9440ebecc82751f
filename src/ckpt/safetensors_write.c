#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "ckpt/safetensors.h"

void safetensors_writer_init(struct safetensors_writer *w, struct sink *sink)
{
    *w = (struct safetensors_writer){ .sink = sink };
    arena_init(&w->memory);
    map_init(&w->names);
}

void safetensors_writer_metadata(struct safetensors_writer *w, const char *key, const char *value)
{
    w->metadata = mem_grow(w->metadata, w->metadata_count, &w->metadata_capacity, sizeof(*w->metadata));
    w->metadata[w->metadata_count++] = (struct safetensors_metadata){
        .key = arena_strdup(&w->memory, key),
        .value = arena_strdup(&w->memory, value),
    };
}

void safetensors_writer_declare(struct safetensors_writer *w, const char *name, const struct element *e,
                                int ndim, const int64_t *shape)
{
    int64_t count = 1, bits;
    uint64_t bytes;
    if (!map_add(&w->names, name, strlen(name), (int64_t)w->count))
        BUG("tensor %s declared twice", name);
    for (int d = 0; d < ndim; d++) {
        if (!checked_mul(count, shape[d], &count))
            BUG("tensor %s: element count overflows", name);
    }
    if (!checked_mul(count, e->bits, &bits) || bits % 8 != 0)
        BUG("tensor %s: %" PRId64 " elements of %s", name, count, e->name);
    bytes = (uint64_t)bits / 8;

    int64_t *kept = arena_alloc(&w->memory, (size_t)ndim * sizeof(*kept));
    if (ndim > 0)
        memcpy(kept, shape, (size_t)ndim * sizeof(*kept));
    w->tensors = mem_grow(w->tensors, w->count, &w->capacity, sizeof(*w->tensors));
    w->tensors[w->count++] = (struct safetensors_tensor){
        .name = arena_strdup(&w->memory, name),
        .element = e,
        .shape = kept,
        .ndim = ndim,
        .count = count,
        .begin = w->data_bytes,
        .end = w->data_bytes + bytes,
    };
    w->data_bytes += bytes;
}

static void write_tensor(struct json_writer *json, const struct safetensors_tensor *t)
{
    json_write_key(json, t->name);
    json_write_object_begin(json);
    json_write_key(json, "dtype");
    json_write_string(json, t->element->name);
    json_write_key(json, "shape");
    json_write_array_begin(json);
    for (int d = 0; d < t->ndim; d++)
        json_write_int(json, t->shape[d]);
    json_write_array_end(json);
    json_write_key(json, "data_offsets");
    json_write_array_begin(json);
    json_write_uint64(json, t->begin);
    json_write_uint64(json, t->end);
    json_write_array_end(json);
    json_write_object_end(json);
}

void safetensors_writer_header(struct safetensors_writer *w)
{
    struct str header;
    struct json_writer json;
    str_init(&header);
    str_append(&header, "01234567"); /* place of the length */
    json_writer_init(&json, &header, -1);
    json_write_object_begin(&json);
    if (w->metadata_count > 0) {
        json_write_key(&json, "__metadata__");
        json_write_object_begin(&json);
        for (size_t i = 0; i < w->metadata_count; i++) {
            json_write_key(&json, w->metadata[i].key);
            json_write_string(&json, w->metadata[i].value);
        }
        json_write_object_end(&json);
    }
    for (size_t i = 0; i < w->count; i++)
        write_tensor(&json, &w->tensors[i]);
    json_write_object_end(&json);
    while (header.length % 8 != 0) /* so that the data is aligned */
        str_append_char(&header, ' ');
    uint64_t length = header.length - 8;
    memcpy(header.data, &length, 8);
    if (length > SAFETENSORS_MAX_HEADER)
        w->status = fail(ERR_DATA, "header of %" PRIu64 " bytes exceeds the format's limit %d", length,
                         SAFETENSORS_MAX_HEADER);
    if (w->status == OK)
        w->status = w->sink->write(w->sink, header.data, header.length);
    str_release(&header);
}

void safetensors_writer_bytes(struct safetensors_writer *w, const void *bytes, size_t length)
{
    if (w->status != OK)
        return;
    if (length > w->data_bytes - w->written)
        BUG("%zu bytes more than declared", (size_t)(length - (w->data_bytes - w->written)));
    w->status = w->sink->write(w->sink, bytes, length);
    w->written += length;
}

/* The tensor that the next byte belongs to; empty ones are stepped over. */
static const struct safetensors_tensor *current_tensor(struct safetensors_writer *w)
{
    while (w->current < w->count && w->tensors[w->current].end <= w->written)
        w->current++;
    if (w->current == w->count)
        BUG("more data than declared");
    return &w->tensors[w->current];
}

enum { WRITE_ELEMENTS = 32768 }; /* converted at a time */

void safetensors_writer_floats(struct safetensors_writer *w, const float *values, size_t count)
{
    if (w->status != OK || count == 0)
        return;
    const struct safetensors_tensor *t = current_tensor(w);
    size_t bytes = (size_t)t->element->bits / 8;
    if (t->element->kind != ELEMENT_FLOAT || count > (t->end - w->written) / bytes)
        BUG("tensor %s: %zu values of type float32 do not fit", t->name, count);
    if (t->element->bits == 32) {
        safetensors_writer_bytes(w, values, count * bytes);
        return;
    }
    char *buffer = mem_alloc(WRITE_ELEMENTS * bytes);
    for (size_t at = 0; at < count && w->status == OK; at += WRITE_ELEMENTS) {
        size_t n = count - at < WRITE_ELEMENTS ? count - at : WRITE_ELEMENTS;
        if (element_from_float(t->element, values + at, buffer, n) > 0)
            w->status =
                fail(ERR_DATA, "tensor \"%s\": a value is too large for %s", t->name, t->element->name);
        safetensors_writer_bytes(w, buffer, n * bytes);
    }
    mem_free(buffer);
}

int safetensors_writer_end(struct safetensors_writer *w)
{
    int status = w->status;
    if (status == OK && w->written != w->data_bytes)
        BUG("%" PRIu64 " of %" PRIu64 " declared bytes written", w->written, w->data_bytes);
    mem_free(w->tensors);
    mem_free(w->metadata);
    map_release(&w->names);
    arena_release(&w->memory);
    *w = (struct safetensors_writer){ 0 };
    return status;
}
