#include "ckpt/manifest.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "ckpt/checksum.h"

static const char format_name[] = "plait checkpoint";
static const char *const kind_names[] = { "model", "state" };
static const char checksum_key[] = "\"checksum\"";

void manifest_init(struct manifest *m)
{
    *m = (struct manifest){ .run = "" };
    arena_init(&m->memory);
    map_init(&m->names);
}

void manifest_release(struct manifest *m)
{
    mem_free(m->files);
    mem_free(m->notes);
    map_release(&m->names);
    arena_release(&m->memory);
    *m = (struct manifest){ 0 };
}

void manifest_add(struct manifest *m, const struct manifest_file *f)
{
    size_t chunks = checksum_chunks(f->bytes);
    if (!map_add(&m->names, f->name, strlen(f->name), (int64_t)m->count))
        BUG("file %s is in the manifest twice", f->name);
    uint64_t *kept = arena_alloc(&m->memory, chunks * sizeof(*kept));
    if (chunks > 0)
        memcpy(kept, f->chunks, chunks * sizeof(*kept));
    m->files = mem_grow(m->files, m->count, &m->capacity, sizeof(*m->files));
    m->files[m->count] = *f;
    m->files[m->count].name = arena_strdup(&m->memory, f->name);
    m->files[m->count++].chunks = kept;
}

void manifest_add_note(struct manifest *m, const char *key, const char *value)
{
    m->notes = mem_grow(m->notes, m->note_count, &m->note_capacity, sizeof(*m->notes));
    m->notes[m->note_count++] = (struct manifest_note){
        .key = arena_strdup(&m->memory, key),
        .value = arena_strdup(&m->memory, value),
    };
}

const struct manifest_file *manifest_find(const struct manifest *m, const char *name)
{
    int64_t index;
    return map_get(&m->names, name, strlen(name), &index) ? &m->files[index] : NULL;
}

const char *manifest_note(const struct manifest *m, const char *key)
{
    for (size_t i = 0; i < m->note_count; i++) {
        if (strcmp(m->notes[i].key, key) == 0)
            return m->notes[i].value;
    }
    return NULL;
}

/* ---- writing ---- */

static void write_hash(struct json_writer *w, uint64_t hash)
{
    struct str s;
    str_init(&s);
    str_appendf(&s, "%016" PRIx64, hash);
    json_write_string(w, s.data);
    str_release(&s);
}

static void write_file(struct json_writer *w, const struct manifest_file *f)
{
    json_write_object_begin(w);
    json_write_key(w, "name");
    json_write_string(w, f->name);
    json_write_key(w, "kind");
    json_write_string(w, kind_names[f->kind]);
    json_write_key(w, "bytes");
    json_write_uint64(w, f->bytes);
    json_write_key(w, "xxh3");
    json_write_array_begin(w);
    for (size_t i = 0; i < checksum_chunks(f->bytes); i++)
        write_hash(w, f->chunks[i]);
    json_write_array_end(w);
    json_write_object_end(w);
}

void manifest_write(const struct manifest *m, struct str *out)
{
    struct json_writer w;
    size_t begin = out->length;
    json_writer_init(&w, out, 1);
    json_write_object_begin(&w);
    json_write_key(&w, "format");
    json_write_string(&w, format_name);
    json_write_key(&w, "version");
    json_write_int(&w, MANIFEST_VERSION);
    json_write_key(&w, "run");
    json_write_string(&w, m->run);
    json_write_key(&w, "step");
    json_write_int(&w, m->step);
    json_write_key(&w, "notes");
    json_write_object_begin(&w);
    for (size_t i = 0; i < m->note_count; i++) {
        json_write_key(&w, m->notes[i].key);
        json_write_string(&w, m->notes[i].value);
    }
    json_write_object_end(&w);
    json_write_key(&w, "chunk_bytes");
    json_write_int(&w, CHECKSUM_CHUNK);
    json_write_key(&w, "files");
    json_write_array_begin(&w);
    for (size_t i = 0; i < m->count; i++)
        write_file(&w, &m->files[i]);
    json_write_array_end(&w);
    /* ",\n " stands between here and the key */
    str_append(out, ",\n ");
    uint64_t hash = hash_bytes(out->data + begin, out->length - begin, 0);
    str_appendf(out, "%s: \"%016" PRIx64 "\"\n}\n", checksum_key, hash);
}

/* ---- reading ---- */

static bool parse_hash(const char *text, size_t length, uint64_t *hash)
{
    uint64_t value = 0;
    if (length != 16)
        return false;
    for (size_t i = 0; i < 16; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *hash = value;
    return true;
}

static int read_chunks(struct json_reader *r, uint64_t **chunks, size_t *count)
{
    struct json_string text;
    size_t capacity = 0;
    if (*chunks != NULL || !json_array_begin(r))
        return json_status(r);
    while (json_next_element(r)) {
        uint64_t hash;
        if (!json_string(r, &text))
            break;
        if (!parse_hash(text.data, text.length, &hash))
            return json_fail(r, "not a checksum (expected 16 hexadecimal digits)");
        *chunks = mem_grow(*chunks, *count, &capacity, sizeof(**chunks));
        (*chunks)[(*count)++] = hash;
    }
    return json_status(r);
}

static int read_kind(struct json_reader *r, enum manifest_kind *kind)
{
    struct json_string text;
    if (!json_string(r, &text))
        return json_status(r);
    for (int i = 0; i < 2; i++) {
        if (strlen(kind_names[i]) == text.length && memcmp(kind_names[i], text.data, text.length) == 0) {
            *kind = (enum manifest_kind)i;
            return OK;
        }
    }
    return json_fail(r, "unknown kind of file (expected \"model\" or \"state\")");
}

static int read_name(struct manifest *m, struct json_reader *r, const char **name)
{
    struct json_string text;
    if (!json_string(r, &text))
        return json_status(r);
    if (!path_is_plain_name(text.data, text.length) || text.length > 255)
        return json_fail(r, "not a plain file name");
    *name = arena_strndup(&m->memory, text.data, text.length);
    if (manifest_find(m, *name) != NULL || strcmp(*name, MANIFEST_NAME) == 0)
        return json_fail(r, "file listed twice");
    return OK;
}

static int read_file(struct manifest *m, struct json_reader *r)
{
    struct manifest_file f = { 0 };
    struct json_string key;
    uint64_t *chunks = NULL;
    size_t count = 0;
    int status = OK;
    bool has_bytes = false;
    if (!json_object_begin(r))
        return json_status(r);
    while (status == OK && json_next_key(r, &key)) {
        if (json_key_is(r, "name")) {
            status = read_name(m, r, &f.name);
        } else if (json_key_is(r, "kind")) {
            status = read_kind(r, &f.kind);
        } else if (json_key_is(r, "bytes")) {
            f.bytes = json_uint64(r);
            has_bytes = true;
        } else if (json_key_is(r, "xxh3")) {
            status = read_chunks(r, &chunks, &count);
        } else {
            json_skip(r);
        }
    }
    if (status == OK)
        status = json_status(r);
    if (status == OK && (f.name == NULL || !has_bytes || checksum_chunks(f.bytes) != count))
        status = json_fail(r, "name, size and number of checksums do not go together");
    f.chunks = chunks;
    if (status == OK)
        manifest_add(m, &f);
    mem_free(chunks);
    return status;
}

static int read_notes(struct manifest *m, struct json_reader *r)
{
    struct json_string text;
    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &text)) {
        const char *key = arena_strndup(&m->memory, text.data, text.length);
        if (!json_string(r, &text))
            break;
        manifest_add_note(m, key, arena_strndup(&m->memory, text.data, text.length));
    }
    return json_status(r);
}

static int read_format(struct json_reader *r)
{
    struct json_string text;
    if (json_string(r, &text) &&
        (text.length != strlen(format_name) || memcmp(text.data, format_name, text.length) != 0))
        return json_fail(r, "not the manifest of a checkpoint (expected \"%s\")", format_name);
    return json_status(r);
}

static int read_version(struct json_reader *r)
{
    int64_t version = json_int(r, 1, INT32_MAX);
    TRY(json_status(r));
    if (version > MANIFEST_VERSION)
        return json_fail(r, "written by version %" PRId64 " of the format, this reads up to %d", version,
                         MANIFEST_VERSION);
    return OK;
}

static int read_member(struct manifest *m, struct json_reader *r, unsigned *seen)
{
    struct json_string text;
    if (json_key_is(r, "format")) {
        *seen |= 1;
        return read_format(r);
    }
    if (json_key_is(r, "version")) {
        *seen |= 2;
        return read_version(r);
    }
    if (json_key_is(r, "files")) {
        *seen |= 4;
        if (!json_array_begin(r))
            return json_status(r);
        while (json_next_element(r))
            TRY(read_file(m, r));
        return json_status(r);
    }
    if (json_key_is(r, "notes"))
        return read_notes(m, r);
    if (json_key_is(r, "chunk_bytes"))
        json_int(r, CHECKSUM_CHUNK, CHECKSUM_CHUNK);
    else if (json_key_is(r, "step"))
        m->step = json_int(r, 0, INT64_MAX);
    else if (json_key_is(r, "run") && json_string(r, &text))
        m->run = arena_strndup(&m->memory, text.data, text.length);
    else
        json_skip(r);
    return json_status(r);
}

static int read_manifest(struct manifest *m, struct json_reader *r)
{
    struct json_string key;
    unsigned seen = 0;
    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &key))
        TRY(read_member(m, r, &seen));
    TRY(json_end(r));
    if (seen != 7)
        return fail(ERR_DATA, "%s: \"%s\" missing", r->name,
                    !(seen & 1)   ? "format"
                    : !(seen & 2) ? "version"
                                  : "files");
    return OK;
}

/* The last line but one is the checksum of what stands before it. */
static int check_own_checksum(const char *path, const char *bytes, size_t length)
{
    const size_t key = strlen(checksum_key), tail = key + 3 + 16 + 4; /* KEY: "16 digits"\n}\n */
    uint64_t said;
    const char *at = bytes + (length < tail ? 0 : length - tail);
    if (length < tail || memcmp(at, checksum_key, key) != 0 || memcmp(at + key, ": \"", 3) != 0 ||
        !parse_hash(at + key + 3, 16, &said) || memcmp(at + key + 19, "\"\n}\n", 4) != 0)
        return fail(ERR_DATA, "%s: does not end in its own checksum: truncated or changed", path);
    if (said != hash_bytes(bytes, length - tail, 0))
        return fail(ERR_DATA, "%s: its own checksum differs: the file was changed or damaged", path);
    return OK;
}

int manifest_parse(struct manifest *m, const char *path, const char *bytes, size_t length)
{
    struct json_reader r;
    manifest_init(m);
    json_reader_init(&r, path, bytes, length);
    int status = read_manifest(m, &r);
    json_reader_release(&r);
    if (status == OK)
        status = check_own_checksum(path, bytes, length);
    if (status != OK)
        manifest_release(m);
    return status;
}
