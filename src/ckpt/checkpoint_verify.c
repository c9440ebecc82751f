#include "ckpt/checkpoint_verify.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/checkpoint.h"
#include "ckpt/checksum.h"
#include "ckpt/regular.h"
#include "ckpt/safetensors.h"

int checkpoint_read_manifest(const char *path, struct manifest *m)
{
    struct str text;
    str_init(&text);
    int status = regular_read(path, &text);
    if (status == OK)
        status = manifest_parse(m, path, text.data, text.length);
    str_release(&text);
    return status;
}

/* Names the first tensor that lies in the bytes and counts the others; nothing when the header cannot be read
 * either. */
static void append_tensors(struct str *s, const char *path, uint64_t begin, uint64_t end)
{
    struct safetensors st;
    size_t others = 0;
    const char *first = NULL;
    if (!str_ends_with(path, ".safetensors"))
        return;
    if (safetensors_open(&st, path) != OK) {
        error_clear();
        return;
    }
    for (size_t i = 0; i < st.count; i++) {
        const struct safetensors_tensor *t = &st.tensors[i];
        if (t->begin >= end || t->end <= begin)
            continue;
        if (first == NULL)
            first = t->name;
        else
            others++;
    }
    if (first != NULL) {
        str_append(s, ": tensor \"");
        str_append_escaped(s, first, strlen(first), 120);
        str_append(s, "\"");
    }
    if (others > 0)
        str_appendf(s, " or one of %zu more", others);
    safetensors_close(&st);
}

static int fail_checksum(const char *path, const struct manifest_file *f, int64_t chunk)
{
    uint64_t begin = (uint64_t)chunk * CHECKSUM_CHUNK, end = begin + CHECKSUM_CHUNK;
    struct str where;
    if (end > f->bytes)
        end = f->bytes;
    str_init(&where);
    append_tensors(&where, path, begin, end);
    int status = fail(ERR_DATA, "%s: checksum of bytes %" PRIu64 " to %" PRIu64 " differs%s", path, begin,
                      end, where.data);
    str_release(&where);
    return status;
}

/* part NULL: its size alone. */
static int verify_file(const char *path, const struct manifest_file *f, const struct checksum_part *part)
{
    uint64_t bytes;
    int64_t bad;
    if (!file_exists(path))
        return fail(ERR_DATA, "%s: missing", path);
    TRY(file_size(path, &bytes));
    if (bytes != f->bytes)
        return fail(ERR_DATA, "%s: wrong size (found %" PRIu64 " bytes, expected %" PRIu64 ")", path, bytes,
                    f->bytes);
    if (part == NULL)
        return OK;
    TRY(checksum_verify_part(path, f->bytes, f->chunks, *part, &bad));
    return bad < 0 ? OK : fail_checksum(path, f, bad);
}

static int verify_in(const char *directory, const struct manifest_file *f, const struct checksum_part *part)
{
    char *path = path_join(directory, f->name);
    int status = verify_file(path, f, part);
    mem_free(path);
    return status;
}

int checkpoint_verify_file(const char *directory, const struct manifest_file *f, enum checkpoint_check how)
{
    return verify_in(directory, f, how == CHECKPOINT_SIZES ? NULL : &(struct checksum_part){ 0, 1 });
}

static int open_manifest(const char *path, struct manifest *m)
{
    char *name = path_join(path, MANIFEST_NAME);
    int status;
    if (!file_exists(path))
        status = fail(ERR_OPEN, "%s: no such checkpoint", path);
    else if (!file_is_directory(path))
        status = fail(ERR_DATA, "%s: not a directory", path);
    else if (!file_exists(name))
        status = fail(ERR_DATA, "%s: incomplete (no %s)", path, MANIFEST_NAME);
    else
        status = checkpoint_read_manifest(name, m);
    mem_free(name);
    return status;
}

int checkpoint_verify(const char *path, enum checkpoint_check how, struct manifest *m)
{
    struct manifest manifest;
    int status = OK;
    TRY(open_manifest(path, &manifest));
    for (size_t i = 0; i < manifest.count && status == OK; i++)
        status = checkpoint_verify_file(path, &manifest.files[i], how);
    if (status == OK && m != NULL)
        *m = manifest;
    else
        manifest_release(&manifest);
    return status;
}

int checkpoint_verify_part(const char *path, int rank, int ranks)
{
    struct manifest m;
    uint64_t before = 0, step = (uint64_t)ranks; /* chunks of the files before */
    int status = OK;
    TRY(open_manifest(path, &m));
    for (size_t i = 0; i < m.count && status == OK; i++) {
        struct checksum_part part = { ((uint64_t)rank + step - before % step) % step, step };
        status = verify_in(path, &m.files[i], &part);
        before += checksum_chunks(m.files[i].bytes);
    }
    manifest_release(&m);
    return status;
}
