#include "ckpt/weights_file.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/flax.h"
#include "ckpt/torch.h"

/* ---- tables ---- */

static int check_name(const struct weights_file *f, const char *name)
{
    size_t length = strlen(name);
    const char *why = NULL;
    if (length == 0 || length > SAFETENSORS_MAX_NAME)
        why = "has a length outside 1 to 4096 bytes";
    else if (utf8_valid_prefix(name, length) != length)
        why = "is not UTF-8";
    for (size_t i = 0; why == NULL && i < length; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            why = "holds a control character";
    }
    if (why == NULL)
        return OK;
    struct str shown;
    str_init(&shown);
    str_append_escaped(&shown, name, length, 120);
    int status = fail(ERR_DATA, "%s: tensor name \"%s\" %s", f->path, shown.data, why);
    str_release(&shown);
    return status;
}

static const void *keep(struct weights_file *f, const void *bytes, size_t length)
{
    return length > 0 ? memcpy(arena_alloc(&f->memory, length), bytes, length) : NULL;
}

static int count_elements(const struct weights_file *f, const char *name, struct safetensors_tensor *info)
{
    int64_t bits;
    info->count = 1;
    for (int d = 0; d < info->ndim; d++) {
        if (info->shape[d] < 0)
            return safetensors_fail(f->path, name, "shape[%d] is %" PRId64 ", expected at least 0", d,
                                    info->shape[d]);
        if (!checked_mul(info->count, info->shape[d], &info->count))
            return safetensors_fail(f->path, name, "element count overflows");
    }
    if (!checked_mul(info->count, info->element->bits, &bits))
        return safetensors_fail(f->path, name, "byte size overflows");
    info->end = info->begin + (uint64_t)bits / 8;
    return OK;
}

int weights_file_add(struct weights_file *f, const struct weights_tensor *t)
{
    struct safetensors_tensor info = *t->info;
    size_t dims = (size_t)info.ndim * sizeof(int64_t);
    TRY(check_name(f, t->name));
    TRY(count_elements(f, t->name, &info));
    if (f->count >= WEIGHTS_MAX_TENSORS)
        return fail(ERR_DATA, "%s: more than %d tensors", f->path, WEIGHTS_MAX_TENSORS);
    info.name = t->name;
    info.shape = keep(f, info.shape, dims);
    f->tensors = mem_grow(f->tensors, f->count, &f->capacity, sizeof(*f->tensors));
    f->tensors[f->count++] = (struct weights_tensor){
        .name = t->name,
        .file = f,
        .info = keep(f, &info, sizeof(info)),
        .stride = t->stride != NULL ? keep(f, t->stride, dims) : NULL,
        .chunks = keep(f, t->chunks, t->chunk_count * sizeof(*t->chunks)),
        .chunk_count = t->chunk_count,
    };
    return OK;
}

/* ---- opening ---- */

static int open_safetensors(struct weights_file *f, struct byte_file *bytes)
{
    struct safetensors *st = &f->safetensors;
    TRY(safetensors_open_file(st, bytes));
    f->path = st->path;
    f->tag = safetensors_metadata(st, WEIGHTS_SAVE_KEY);
    f->count = st->count;
    f->tensors = mem_alloc_array(st->count, sizeof(*f->tensors));
    for (size_t i = 0; i < st->count; i++)
        f->tensors[i] =
            (struct weights_tensor){ .name = st->tensors[i].name, .file = f, .info = &st->tensors[i] };
    return OK;
}

/* 8 bytes of length, of which the upper half is zero, and JSON. */
static bool is_safetensors(const unsigned char *head)
{
    return memcmp(head + 4, "\0\0\0\0", 4) == 0 && (head[8] == '{' || head[8] == ' ');
}

static int open_bytes(struct weights_file *f, struct byte_file *bytes)
{
    unsigned char head[16] = { 0 };
    size_t length = bytes->length < sizeof(head) ? (size_t)bytes->length : sizeof(head);
    *f = (struct weights_file){ .path = bytes->path };
    arena_init(&f->memory);
    int status = byte_file_read(bytes, 0, head, length);
    bool torch = torch_is_file(head) && !is_safetensors(head);
    bool flax = flax_is_file(head) && !is_safetensors(head);
    if (status == OK && length == sizeof(head) && (torch || flax)) {
        f->bytes = *bytes;
        *bytes = (struct byte_file){ .fd = -1 };
        status = torch ? torch_read(f) : flax_read(f);
    } else if (status == OK) {
        status = open_safetensors(f, bytes);
    }
    byte_file_close(bytes);
    if (status != OK)
        weights_file_close(f);
    return status;
}

int weights_file_open(struct weights_file *f, const char *path)
{
    struct byte_file bytes;
    *f = (struct weights_file){ 0 };
    TRY(byte_file_open(&bytes, path));
    return open_bytes(f, &bytes);
}

int weights_file_open_memory(struct weights_file *f, const char *name, const void *bytes, size_t length)
{
    struct byte_file file;
    byte_file_open_memory(&file, name, bytes, length);
    return open_bytes(f, &file);
}

void weights_file_close(struct weights_file *f)
{
    byte_file_close(&f->bytes);
    safetensors_close(&f->safetensors);
    mem_free(f->tensors);
    arena_release(&f->memory);
    *f = (struct weights_file){ 0 };
}

/* ---- bytes ---- */

static int read_chunks(const struct weights_tensor *t, uint64_t offset, char *bytes, uint64_t length)
{
    for (size_t i = 0; i < t->chunk_count && length > 0; i++) {
        const struct weights_chunk *c = &t->chunks[i];
        uint64_t end = i + 1 < t->chunk_count ? c[1].offset : t->info->end - t->info->begin;
        if (offset >= end)
            continue;
        uint64_t n = end - offset < length ? end - offset : length;
        TRY(byte_file_read(&t->file->bytes, c->begin + (offset - c->offset), bytes, (size_t)n));
        offset += n;
        bytes += n;
        length -= n;
    }
    return OK;
}

int weights_file_read(const struct weights_tensor *t, int64_t first, int64_t count, void *bytes)
{
    uint64_t size = (uint64_t)t->info->element->bits / 8, offset = (uint64_t)first * size,
             length = (uint64_t)count * size;
    const struct byte_file *file = t->file->bytes.path != NULL ? &t->file->bytes : &t->file->safetensors.file;
    if (t->chunks != NULL)
        return read_chunks(t, offset, bytes, length);
    return byte_file_read(file, t->info->begin + offset, bytes, (size_t)length);
}
