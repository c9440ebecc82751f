#include "ckpt/safetensors.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "ckpt/safetensors_header.h"

int safetensors_fail(const char *path, const char *name, const char *format, ...)
{
    struct str text, what;
    va_list args;
    str_init(&text);
    str_init(&what);
    str_append_escaped(&text, name, strlen(name), 120);
    va_start(args, format);
    str_append_vf(&what, format, args);
    va_end(args);
    int status = fail(ERR_DATA, "%s: tensor \"%s\": %s", path, text.data, what.data);
    str_release(&text);
    str_release(&what);
    return status;
}

/* ---- what else a file of this name may be ---- */

static int fail_pointer(const struct safetensors *st, const char *head)
{
    const char *size = strstr(head, "\nsize ");
    char *end = NULL;
    struct str s;
    str_init(&s);
    if (size != NULL)
        str_append_bytes_human(&s, (double)strtoull(size + 6, &end, 10));
    fail(ERR_DATA, "%s: not safetensors: looks like a Git LFS pointer (%s object not downloaded)", st->path,
         end != NULL ? s.data : "the");
    error_hint("run `git lfs pull` in its directory");
    str_release(&s);
    return ERR_DATA;
}

/* Called when the length at the start makes no sense: names the likely reason. Returns OK when there is none.
 */
static int fail_foreign(const struct safetensors *st)
{
    static const struct {
        const char *start, *kind;
    } kinds[] = {
        { "PK\003\004", "a ZIP archive (PyTorch's .bin format)" },
        { "GGUF", "a GGUF file" },
        { "\x80\002", "a Python pickle" },
        { "\x80\003", "a Python pickle" },
        { "\x80\004", "a Python pickle" },
        { "\x89HDF", "an HDF5 file" },
        { "<", "an HTML page" },
        { "404", "an error page of a web server" },
        { "Entry not found", "an error page of a web server" },
        { "Repository not found", "an error page of a web server" },
        { "{", "a JSON file" },
    };
    char head[513] = { 0 };
    size_t length = st->file_bytes < 512 ? (size_t)st->file_bytes : 512;
    TRY(byte_file_read(&st->file, 0, head, length));
    if (str_starts_with(head, "version https://git-lfs"))
        return fail_pointer(st, head);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (str_starts_with(head, kinds[i].start)) {
            fail(ERR_DATA, "%s: not safetensors: looks like %s", st->path, kinds[i].kind);
            if (kinds[i].start[0] == '<' || kinds[i].kind[3] == 'e')
                error_hint("download the file again");
            return ERR_DATA;
        }
    }
    if (length > 8 && head[0] == 0 && head[7] != 0 && head[8] == '{')
        return fail(ERR_DATA, "%s: not safetensors: the header length is big-endian", st->path);
    return OK;
}

static int read_header_length(struct safetensors *st, uint64_t *header)
{
    if (st->file_bytes == 0)
        return fail(ERR_DATA, "%s: file is empty (found 0 bytes, expected at least 8)", st->path);
    if (st->file_bytes < 8)
        return fail(ERR_DATA,
                    "%s: truncated before the end of the 8-byte header length (found %" PRIu64 " bytes)",
                    st->path, st->file_bytes);
    uint64_t n, rest = st->file_bytes - 8;
    TRY(byte_file_read(&st->file, 0, &n, 8));
    if (n > SAFETENSORS_MAX_HEADER || n > rest)
        TRY(fail_foreign(st));
    if (n < 2)
        return fail(ERR_DATA, "%s: header length %" PRIu64 ", expected at least 2", st->path, n);
    if (n > SAFETENSORS_MAX_HEADER)
        return fail(ERR_DATA, "%s: header length %" PRIu64 " exceeds limit %d", st->path, n,
                    SAFETENSORS_MAX_HEADER);
    if (n > rest) {
        fail(ERR_DATA, "%s: header length %" PRIu64 " but only %" PRIu64 " bytes follow: truncated file",
             st->path, n, rest);
        error_hint("download or copy the file again");
        return ERR_DATA;
    }
    *header = n;
    return OK;
}

static int read_header(struct safetensors *st)
{
    uint64_t length = 0;
    TRY(read_header_length(st, &length));
    st->data_begin = 8 + length;
    char *text = mem_alloc(length + 1);
    struct str name;
    str_init(&name);
    str_appendf(&name, "%s: header", st->path);
    int status = byte_file_read(&st->file, 8, text, length);
    if (status == OK) {
        struct json_reader r;
        json_reader_init(&r, name.data, text, length);
        status = safetensors_parse_header(st, &r);
        json_reader_release(&r);
    }
    mem_free(text);
    str_release(&name);
    return status;
}

int safetensors_open_file(struct safetensors *st, struct byte_file *file)
{
    *st = (struct safetensors){ .file = *file, .path = file->path, .file_bytes = file->length };
    *file = (struct byte_file){ .fd = -1 };
    arena_init(&st->memory);
    map_init(&st->names);
    int status = read_header(st);
    if (status != OK)
        safetensors_close(st);
    return status;
}

int safetensors_open(struct safetensors *st, const char *path)
{
    struct byte_file file;
    *st = (struct safetensors){ 0 };
    TRY(byte_file_open(&file, path));
    return safetensors_open_file(st, &file);
}

int safetensors_open_memory(struct safetensors *st, const char *name, const void *bytes, size_t length)
{
    struct byte_file file;
    byte_file_open_memory(&file, name, bytes, length);
    return safetensors_open_file(st, &file);
}

void safetensors_close(struct safetensors *st)
{
    byte_file_close(&st->file);
    mem_free(st->tensors);
    mem_free(st->metadata);
    map_release(&st->names);
    arena_release(&st->memory);
    *st = (struct safetensors){ 0 };
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *st, const char *name)
{
    int64_t index;
    return map_get(&st->names, name, strlen(name), &index) ? &st->tensors[index] : NULL;
}

const char *safetensors_metadata(const struct safetensors *st, const char *key)
{
    for (size_t i = 0; i < st->metadata_count; i++) {
        if (strcmp(st->metadata[i].key, key) == 0)
            return st->metadata[i].value;
    }
    return NULL;
}

int safetensors_read(const struct safetensors *st, const struct safetensors_tensor *t, uint64_t offset,
                     void *bytes, size_t length)
{
    if (offset > t->end - t->begin || length > t->end - t->begin - offset)
        BUG("%s: tensor %s: read of %zu bytes at %" PRIu64, st->path, t->name, length, offset);
    return byte_file_read(&st->file, t->begin + offset, bytes, length);
}

enum { READ_ELEMENTS = 32768 }; /* converted at a time */

int safetensors_read_float(const struct safetensors *st, const struct safetensors_tensor *t, float *out)
{
    if (t->element->kind != ELEMENT_FLOAT)
        return safetensors_fail(st->path, t->name, "elements are %s, expected F32, F64, F16 or BF16",
                                t->element->name);
    size_t bytes = (size_t)t->element->bits / 8;
    char *buffer = mem_alloc(READ_ELEMENTS * bytes);
    int status = OK;
    for (int64_t at = 0; at < t->count && status == OK; at += READ_ELEMENTS) {
        size_t n = t->count - at < READ_ELEMENTS ? (size_t)(t->count - at) : READ_ELEMENTS;
        status = safetensors_read(st, t, (uint64_t)at * bytes, buffer, n * bytes);
        if (status == OK)
            element_to_float(t->element, buffer, out + at, n);
    }
    mem_free(buffer);
    return status;
}

int safetensors_read_int64(const struct safetensors *st, const struct safetensors_tensor *t, int64_t *out)
{
    if (t->element->kind != ELEMENT_INT)
        return safetensors_fail(st->path, t->name, "elements are %s, expected integers", t->element->name);
    size_t bytes = (size_t)t->element->bits / 8;
    char *buffer = mem_alloc(READ_ELEMENTS * bytes);
    int status = OK;
    for (int64_t at = 0; at < t->count && status == OK; at += READ_ELEMENTS) {
        size_t n = t->count - at < READ_ELEMENTS ? (size_t)(t->count - at) : READ_ELEMENTS;
        status = safetensors_read(st, t, (uint64_t)at * bytes, buffer, n * bytes);
        if (status == OK && !element_to_int64(t->element, buffer, out + at, n))
            status = safetensors_fail(st->path, t->name, "a value is beyond 63 bits");
    }
    mem_free(buffer);
    return status;
}
