#include "ckpt/flax.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/msgpack.h"

enum { MAX_DEPTH = 32, MAX_TYPE = 32 };

struct reading {
    struct weights_file *file;
    struct cursor cursor;
    struct str path; /* of the value being read, joined by '.' */
};

bool flax_is_file(const unsigned char *head)
{
    unsigned char key = head[0] == 0xde ? head[3] : head[0] == 0xdf ? head[5] : head[1];
    bool map = (head[0] > 0x80 && head[0] < 0x90) || head[0] == 0xde || head[0] == 0xdf;
    return map && ((key > 0xa0 && key < 0xc0) || key == 0xd9 || key == 0xda);
}

/* ---- names ---- */

static bool ends_with_part(const char *path, size_t length, const char *part)
{
    size_t n = strlen(part);
    return length >= n && memcmp(path + length - n, part, n) == 0 &&
           (length == n || path[length - n - 1] == '.' || path[length - n - 1] == '/');
}

void flax_append_name(struct str *s, const char *path, size_t length)
{
    static const char *const parts[] = { "kernel", "scale", "embedding" };
    size_t cut = 0, begin;
    if (length > 7 && memcmp(path, "params", 6) == 0 && (path[6] == '.' || path[6] == '/')) {
        path += 7;
        length -= 7;
    }
    for (size_t i = 0; i < 3; i++) {
        if (ends_with_part(path, length, parts[i]))
            cut = strlen(parts[i]);
    }
    begin = s->length;
    str_append_bytes(s, path, length - cut);
    if (cut > 0)
        str_append(s, "weight");
    for (size_t i = begin; i < s->length; i++) {
        if (s->data[i] == '/')
            s->data[i] = '.';
    }
}

/* ---- arrays ---- */

struct array { /* one leaf, or one chunk of it */
    struct safetensors_tensor info;
    int64_t shape[SAFETENSORS_MAX_DIMS];
};

static int fail_path(const struct reading *r, uint64_t place, const char *what)
{
    struct str shown;
    str_init(&shown);
    str_append_escaped(&shown, r->path.data, r->path.length, 200);
    int status = cursor_fail(&r->cursor, place, "\"%s\": %s", shown.data, what);
    str_release(&shown);
    return status;
}

static int expect(struct reading *r, enum msgpack_kind kind, const char *what, struct msgpack_token *t)
{
    TRY(msgpack_next(&r->cursor, t));
    if (t->kind == kind)
        return OK;
    struct str text;
    str_init(&text);
    str_appendf(&text, "%s is %s, expected %s", what, msgpack_kind_name(t->kind), msgpack_kind_name(kind));
    int status = fail_path(r, t->place, text.data);
    str_release(&text);
    return status;
}

static int read_size(struct reading *r, int64_t *size)
{
    struct msgpack_token t;
    TRY(expect(r, MSGPACK_INT, "a size", &t));
    *size = t.integer; /* weights_file_add refuses negative ones, U64 beyond 2^63 among them */
    return OK;
}

static int check_dims(const struct reading *r, const struct msgpack_token *t)
{
    return t->length <= SAFETENSORS_MAX_DIMS ? OK : fail_path(r, t->place, "more than 16 dimensions");
}

static const struct element *find_type(const char *name)
{
    static const char *const types[][2] = {
        { "float32", "F32" },
        { "bfloat16", "BF16" },
        { "float16", "F16" },
        { "float64", "F64" },
        { "int64", "I64" },
        { "int32", "I32" },
        { "int16", "I16" },
        { "int8", "I8" },
        { "uint8", "U8" },
        { "bool", "BOOL" },
        { "uint16", "U16" },
        { "uint32", "U32" },
        { "uint64", "U64" },
        { "complex64", "C64" },
        { "float8_e5m2", "F8_E5M2" },
        { "bool_", "BOOL" },
        { "float8_e4m3fn", "F8_E4M3" },
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i][0], name) == 0)
            return element_named(types[i][1]);
    }
    return NULL;
}

static int read_type(struct reading *r, const struct element **e)
{
    struct msgpack_token t;
    char name[MAX_TYPE + 1] = { 0 };
    struct str what, shown;
    TRY(msgpack_next(&r->cursor, &t));
    if ((t.kind != MSGPACK_TEXT && t.kind != MSGPACK_BYTES) || t.length > MAX_TYPE)
        return fail_path(r, t.place, "the type of an array is no short string");
    TRY(cursor_read(&r->cursor, name, (size_t)t.length));
    *e = find_type(name);
    if (*e != NULL)
        return OK;
    str_init(&what);
    str_init(&shown);
    str_append_escaped(&shown, name, (size_t)t.length, MAX_TYPE);
    str_appendf(&what, "unknown type \"%s\"", shown.data);
    int status = fail_path(r, t.place, what.data);
    str_release(&what);
    str_release(&shown);
    return status;
}

/* [shape, type, bytes]; the cursor is left behind it. */
static int read_array(struct reading *r, const struct msgpack_token *ext, struct array *a)
{
    struct msgpack_token t;
    uint64_t end = r->cursor.at + ext->length;
    int64_t count = 1;
    TRY(expect(r, MSGPACK_ARRAY, "an array's content", &t));
    if (t.length != 3)
        return fail_path(r, t.place, "an array's content has not 3 parts");
    TRY(expect(r, MSGPACK_ARRAY, "a shape", &t));
    TRY(check_dims(r, &t));
    *a = (struct array){ .info.ndim = (int)t.length };
    for (int d = 0; d < a->info.ndim; d++) {
        TRY(read_size(r, &a->shape[d]));
        if (a->shape[d] < 0 || !checked_mul(count, a->shape[d], &count))
            return fail_path(r, t.place, "a size is out of range");
    }
    TRY(read_type(r, &a->info.element));
    TRY(expect(r, MSGPACK_BYTES, "an array's data", &t));
    a->info.begin = r->cursor.at;
    a->info.count = count;
    if (!checked_mul(count, a->info.element->bits / 8, &count) || (uint64_t)count != t.length)
        return fail_path(r, t.place, "the data has not the size of shape and type");
    TRY(cursor_skip(&r->cursor, t.length));
    return r->cursor.at == end ? OK : fail_path(r, ext->place, "an array does not fill its extension");
}

/* ---- tensors ---- */

/* Kernels are transposed: all dims reversed, but convolutions (4 dims: height, width, in, out) to (out, in,
 * height, width). */
static void transpose(struct weights_tensor *t, struct safetensors_tensor *info, int64_t *shape,
                      int64_t *stride)
{
    static const int convolution[] = { 3, 2, 0, 1 };
    int64_t old[SAFETENSORS_MAX_DIMS], step[SAFETENSORS_MAX_DIMS], product = 1;
    for (int d = info->ndim - 1; d >= 0; d--) {
        old[d] = info->shape[d];
        step[d] = product;
        checked_mul(product, old[d], &product); /* checked before: it is the number of elements */
    }
    for (int d = 0; d < info->ndim; d++) {
        int from = info->ndim == 4 ? convolution[d] : info->ndim - 1 - d;
        shape[d] = old[from];
        stride[d] = step[from];
    }
    info->shape = shape;
    t->stride = stride;
}

static int add_tensor(struct reading *r, struct array *a, const struct weights_chunk *chunks, size_t count)
{
    struct weights_tensor t = { .info = &a->info, .chunks = chunks, .chunk_count = count };
    int64_t shape[SAFETENSORS_MAX_DIMS], stride[SAFETENSORS_MAX_DIMS];
    struct str name;
    if (memchr(r->path.data, '\0', r->path.length) != NULL)
        return fail_path(r, r->cursor.at, "a name holds a control character");
    a->info.shape = a->shape;
    if (ends_with_part(r->path.data, r->path.length, "kernel"))
        transpose(&t, &a->info, shape, stride);
    str_init(&name);
    flax_append_name(&name, r->path.data, r->path.length);
    t.name = arena_strndup(&r->file->memory, name.data, name.length);
    str_release(&name);
    return weights_file_add(r->file, &t);
}

/* ---- chunks ---- */

struct chunks {
    struct array whole; /* shape; the element of the first chunk */
    struct weights_chunk *list;
    size_t count, capacity;
    uint64_t bytes;
};

static int read_key(struct reading *r, char *key, size_t capacity)
{
    struct msgpack_token t;
    TRY(expect(r, MSGPACK_TEXT, "a key", &t));
    if (t.length >= capacity)
        return fail_path(r, t.place, "a key of a chunked array is too long");
    TRY(cursor_read(&r->cursor, key, (size_t)t.length));
    key[t.length] = '\0';
    return OK;
}

/* {"0": ..., "1": ...}: the keys count up. */
static int read_number(struct reading *r, uint64_t expected)
{
    char key[24], wanted[24];
    uint64_t place = r->cursor.at;
    TRY(read_key(r, key, sizeof(key)));
    snprintf(wanted, sizeof(wanted), "%" PRIu64, expected);
    return strcmp(key, wanted) == 0 ? OK
                                    : fail_path(r, place, "the parts of a chunked array are not in order");
}

static int read_chunk_shape(struct reading *r, struct chunks *c)
{
    struct msgpack_token t;
    TRY(msgpack_next(&r->cursor, &t));
    if (t.kind != MSGPACK_MAP && t.kind != MSGPACK_ARRAY)
        return fail_path(r, t.place, "the shape of a chunked array is neither map nor array");
    TRY(check_dims(r, &t));
    c->whole.info.ndim = (int)t.length;
    for (int d = 0; d < c->whole.info.ndim; d++) {
        if (t.kind == MSGPACK_MAP)
            TRY(read_number(r, (uint64_t)d));
        TRY(read_size(r, &c->whole.shape[d]));
    }
    return OK;
}

static int read_chunk_list(struct reading *r, struct chunks *c)
{
    struct msgpack_token map, t;
    struct array part;
    TRY(expect(r, MSGPACK_MAP, "the list of chunks", &map));
    for (uint64_t i = 0; i < map.length; i++) {
        TRY(read_number(r, i));
        TRY(expect(r, MSGPACK_EXT, "a chunk", &t));
        TRY(read_array(r, &t, &part));
        if (i > 0 && part.info.element != c->whole.info.element)
            return fail_path(r, t.place, "chunks of different types");
        c->whole.info.element = part.info.element;
        if (part.info.count == 0)
            continue;
        c->list = mem_grow(c->list, c->count, &c->capacity, sizeof(*c->list));
        c->list[c->count++] = (struct weights_chunk){ .offset = c->bytes, .begin = part.info.begin };
        c->bytes += (uint64_t)part.info.count * (uint64_t)(part.info.element->bits / 8);
    }
    return OK;
}

/* The chunks hold the elements of the shape, no more and no less. */
static int check_chunks(const struct reading *r, const struct chunks *c)
{
    int64_t bytes;
    if (c->whole.info.element == NULL)
        return fail_path(r, r->cursor.at, "a chunked array without chunks");
    bytes = c->whole.info.element->bits / 8;
    for (int d = 0; d < c->whole.info.ndim; d++) {
        if (c->whole.shape[d] < 0 || !checked_mul(bytes, c->whole.shape[d], &bytes))
            return fail_path(r, r->cursor.at, "the shape of a chunked array is out of range");
    }
    return (uint64_t)bytes == c->bytes ? OK : fail_path(r, r->cursor.at, "the chunks do not fill the shape");
}

/* What follows the key "__msgpack_chunked_array__" in a map of `pairs`. */
static int read_chunked(struct reading *r, uint64_t pairs)
{
    struct chunks c = { 0 };
    struct msgpack_token t;
    char key[16];
    int status = msgpack_next(&r->cursor, &t);
    if (status == OK)
        status = msgpack_skip(&r->cursor, &t);
    for (uint64_t i = 1; i < pairs && status == OK; i++) {
        status = read_key(r, key, sizeof(key));
        if (status != OK)
            break;
        if (strcmp(key, "shape") == 0)
            status = read_chunk_shape(r, &c);
        else if (strcmp(key, "chunks") == 0 && c.count == 0)
            status = read_chunk_list(r, &c);
        else
            status = fail_path(r, r->cursor.at, "a chunked array has a key of no meaning");
    }
    if (status == OK)
        status = check_chunks(r, &c);
    if (status == OK && c.count > 0)
        c.whole.info.begin = c.list[0].begin;
    if (status == OK)
        status = add_tensor(r, &c.whole, c.list, c.count);
    mem_free(c.list);
    return status;
}

/* ---- the tree ---- */

static int read_value(struct reading *r, int depth);

static int read_map(struct reading *r, uint64_t pairs, int depth)
{
    static const char chunked[] = "__msgpack_chunked_array__";
    size_t length = r->path.length;
    struct msgpack_token t;
    if (depth > MAX_DEPTH)
        return fail_path(r, r->cursor.at, "nesting deeper than 32");
    for (uint64_t i = 0; i < pairs; i++) {
        if (length > 0)
            str_append_char(&r->path, '.');
        size_t begin = r->path.length;
        TRY(expect(r, MSGPACK_TEXT, "a key", &t));
        if (t.length > SAFETENSORS_MAX_NAME)
            return fail_path(r, t.place, "a key is longer than 4096 bytes");
        TRY(cursor_append(&r->cursor, t.length, &r->path));
        bool is_chunked = i == 0 && strcmp(r->path.data + begin, chunked) == 0;
        if (is_chunked) {
            str_cut(&r->path, length);
            return read_chunked(r, pairs);
        }
        TRY(read_value(r, depth + 1));
        str_cut(&r->path, length);
    }
    return OK;
}

/* Leaves that are no arrays (steps, options) have no place among weights and are passed over. */
static int read_value(struct reading *r, int depth)
{
    struct msgpack_token t;
    struct array a;
    TRY(msgpack_next(&r->cursor, &t));
    if (t.kind == MSGPACK_MAP)
        return read_map(r, t.length, depth);
    if (t.kind != MSGPACK_EXT)
        return msgpack_skip(&r->cursor, &t);
    if (t.integer != 1 && t.integer != 3)
        return fail_path(r, t.place, "an extension that is no array");
    TRY(read_array(r, &t, &a));
    return add_tensor(r, &a, NULL, 0);
}

int flax_read(struct weights_file *f)
{
    struct reading r = { .file = f };
    f->path = f->bytes.path;
    cursor_init(&r.cursor, &f->bytes, "", 0, f->bytes.length);
    str_init(&r.path);
    int status = read_value(&r, 0);
    if (status == OK && r.cursor.at != f->bytes.length)
        status = cursor_fail(&r.cursor, r.cursor.at, "%" PRIu64 " bytes after the last value",
                             f->bytes.length - r.cursor.at);
    if (status == OK && f->count == 0)
        status = fail(ERR_DATA, "%s: no arrays in it", f->path);
    str_release(&r.path);
    return status;
}
