#include "ckpt/zip.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    MAX_COMMENT = 65535,
    MAX_ENTRIES = 1 << 20,
};

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static int fail_zip(const struct byte_file *file, const char *what)
{
    fail(ERR_DATA, "%s: ZIP archive: %s", file->path, what);
    error_hint("download or copy the file again");
    return ERR_DATA;
}

/* ---- the end of the archive ---- */

struct end {
    uint64_t entries, bytes, directory;
};

/* The last record that says so: it ends the file, but for a comment. */
static int find_end(const struct byte_file *file, uint64_t *place)
{
    size_t length = file->length < END_BYTES + MAX_COMMENT ? (size_t)file->length : END_BYTES + MAX_COMMENT;
    uint64_t base = file->length - length;
    unsigned char *tail = mem_alloc(length);
    int status = byte_file_read(file, base, tail, length);
    bool found = false;
    for (size_t i = length < END_BYTES ? 0 : length - END_BYTES + 1; status == OK && i-- > 0 && !found;) {
        if (memcmp(tail + i, "PK\005\006", 4) == 0 && little(tail + i + 20, 2) == length - i - END_BYTES) {
            *place = base + i;
            found = true;
        }
    }
    mem_free(tail);
    if (status == OK && !found)
        return fail_zip(file, "no list of entries at its end: truncated");
    return status;
}

/* Sizes and numbers that do not fit stand in a larger record before, which a locator names. */
static int read_end64(const struct byte_file *file, uint64_t place, struct end *end)
{
    unsigned char locator[LOCATOR_BYTES], record[END64_BYTES];
    if (place < LOCATOR_BYTES)
        return OK;
    TRY(byte_file_read(file, place - LOCATOR_BYTES, locator, sizeof(locator)));
    if (memcmp(locator, "PK\006\007", 4) != 0)
        return OK;
    uint64_t at = little(locator + 8, 8);
    if (at > place - LOCATOR_BYTES || place - LOCATOR_BYTES - at < END64_BYTES)
        return fail_zip(file, "the zip64 record lies outside of the file");
    TRY(byte_file_read(file, at, record, sizeof(record)));
    if (memcmp(record, "PK\006\006", 4) != 0)
        return fail_zip(file, "no zip64 record where one is named");
    *end = (struct end){ little(record + 32, 8), little(record + 40, 8), little(record + 48, 8) };
    return OK;
}

static int read_end(const struct byte_file *file, struct end *end)
{
    unsigned char record[END_BYTES];
    uint64_t place = 0;
    TRY(find_end(file, &place));
    TRY(byte_file_read(file, place, record, sizeof(record)));
    *end = (struct end){ little(record + 10, 2), little(record + 12, 4), little(record + 16, 4) };
    TRY(read_end64(file, place, end));
    if (end->directory > place || end->bytes > place - end->directory)
        return fail_zip(file, "its list of entries lies outside of the file");
    if (end->entries > MAX_ENTRIES || end->entries > end->bytes / ENTRY_BYTES)
        return fail_zip(file, "more entries announced than its list can hold");
    return OK;
}

/* ---- entries ---- */

/* The extra field 1 of zip64 holds what does not fit into 32 bits: size, stored size, place, in this order,
 * each only where the 32 bits are all ones. */
static void read_extra(const unsigned char *extra, size_t length, struct zip_entry *e, uint64_t *stored)
{
    uint64_t *fields[] = { &e->bytes, stored, &e->header };
    while (length >= 4) {
        size_t id = (size_t)little(extra, 2), bytes = (size_t)little(extra + 2, 2);
        extra += 4;
        length -= 4;
        if (bytes > length)
            return;
        for (size_t i = 0, at = 0; id == 1 && i < 3; i++) {
            if (*fields[i] != UINT32_MAX || bytes - at < 8)
                continue;
            *fields[i] = little(extra + at, 8);
            at += 8;
        }
        extra += bytes;
        length -= bytes;
    }
}

static int read_entry(struct zip *z, struct cursor *c)
{
    unsigned char record[ENTRY_BYTES];
    struct zip_entry e = { 0 };
    struct str text;
    TRY(cursor_read(c, record, sizeof(record)));
    if (memcmp(record, "PK\001\002", 4) != 0)
        return cursor_fail(c, c->at - ENTRY_BYTES, "no entry of the archive's list");
    size_t name = (size_t)little(record + 28, 2), extra = (size_t)little(record + 30, 2);
    uint64_t stored = little(record + 20, 4);
    e.flags = (int)little(record + 8, 2);
    e.method = (int)little(record + 10, 2);
    e.bytes = little(record + 24, 4);
    e.header = little(record + 42, 4);
    str_init(&text);
    int status = cursor_append(c, name + extra, &text);
    if (status == OK)
        status = cursor_skip(c, little(record + 32, 2));
    if (status == OK) {
        read_extra((const unsigned char *)text.data + name, extra, &e, &stored);
        e.name = arena_strndup(&z->memory, text.data, name);
        if (e.method == 0 && stored != e.bytes)
            status = fail_zip(z->file, "an entry has two sizes");
        else if (!map_add(&z->names, e.name, strlen(e.name), (int64_t)z->count))
            status = fail_zip(z->file, "two entries have the same name");
        else
            z->entries[z->count++] = e;
    }
    str_release(&text);
    return status;
}

int zip_open(struct zip *z, const struct byte_file *file)
{
    struct end end = { 0 };
    struct cursor c;
    *z = (struct zip){ .file = file };
    arena_init(&z->memory);
    map_init(&z->names);
    TRY(read_end(file, &end));
    z->directory = end.directory;
    z->entries = mem_alloc_array((size_t)end.entries, sizeof(*z->entries));
    cursor_init(&c, file, "", end.directory, end.directory + end.bytes);
    int status = OK;
    for (uint64_t i = 0; i < end.entries && status == OK; i++)
        status = read_entry(z, &c);
    if (status != OK)
        zip_close(z);
    return status;
}

void zip_close(struct zip *z)
{
    mem_free(z->entries);
    map_release(&z->names);
    arena_release(&z->memory);
    *z = (struct zip){ 0 };
}

const struct zip_entry *zip_find(const struct zip *z, const char *name)
{
    int64_t at;
    return map_get(&z->names, name, strlen(name), &at) ? &z->entries[at] : NULL;
}

static int fail_entry(const struct zip *z, const struct zip_entry *e, const char *what)
{
    struct str name;
    str_init(&name);
    str_append_escaped(&name, e->name, strlen(e->name), 120);
    int status = fail(ERR_DATA, "%s: entry \"%s\" %s", z->file->path, name.data, what);
    str_release(&name);
    return status;
}

int zip_locate(const struct zip *z, const struct zip_entry *e, uint64_t *begin)
{
    unsigned char local[LOCAL_BYTES];
    if (e->flags & 1)
        return fail_entry(z, e, "is encrypted");
    if (e->method != 0)
        return fail_entry(z, e, "is compressed (expected stored, as torch.save writes it)");
    if (e->header > z->directory || z->directory - e->header < LOCAL_BYTES)
        return fail_entry(z, e, "lies outside of the file");
    TRY(byte_file_read(z->file, e->header, local, sizeof(local)));
    if (memcmp(local, "PK\003\004", 4) != 0)
        return fail_entry(z, e, "is not where the archive's list says it is");
    uint64_t at = e->header + LOCAL_BYTES + little(local + 26, 2) + little(local + 28, 2);
    if (at > z->directory || e->bytes > z->directory - at)
        return fail_entry(z, e, "lies outside of the file: truncated");
    *begin = at;
    return OK;
}
