#include "ckpt/byte_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

int byte_file_open(struct byte_file *f, const char *path)
{
    struct byte_file opened = { .fd = -1 };
    struct stat info;
    str_init(&opened.content);
    if (strcmp(path, "-") == 0) {
        TRY(file_read("-", 0, &opened.content));
        opened.path = mem_strdup("standard input");
        opened.length = opened.content.length;
    } else {
        TRY(file_open(path, &opened.fd));
        opened.path = mem_strdup(path);
        if (fstat(opened.fd, &info) != 0) {
            int status = fail(ERR_OPEN, "%s: cannot open: %s", path, strerror(errno));
            byte_file_close(&opened);
            return status;
        }
        opened.length = (uint64_t)info.st_size;
    }
    *f = opened;
    return OK;
}

void byte_file_open_memory(struct byte_file *f, const char *name, const void *bytes, size_t length)
{
    *f = (struct byte_file){ .fd = -1, .path = mem_strdup(name), .length = length };
    str_init(&f->content);
    str_append_bytes(&f->content, bytes, length);
}

void byte_file_close(struct byte_file *f)
{
    if (f->path == NULL)
        return;
    if (f->fd >= 0)
        close(f->fd);
    str_release(&f->content);
    mem_free(f->path);
    *f = (struct byte_file){ .fd = -1 };
}

int byte_file_read(const struct byte_file *f, uint64_t offset, void *bytes, size_t length)
{
    if (offset > f->length || length > f->length - offset)
        BUG("%s: read of %zu bytes at %" PRIu64, f->path, length, offset);
    if (f->fd >= 0)
        return fd_pread(f->fd, f->path, bytes, length, offset);
    if (length > 0)
        memcpy(bytes, f->content.data + offset, length);
    return OK;
}

/* ---- cursor ---- */

void cursor_init(struct cursor *c, const struct byte_file *file, const char *what, uint64_t begin,
                 uint64_t end)
{
    if (begin > end || end > file->length)
        BUG("%s: part [%" PRIu64 ", %" PRIu64 ") of %" PRIu64 " bytes", file->path, begin, end, file->length);
    c->file = file;
    c->what = what;
    c->begin = c->at = begin;
    c->end = end;
    c->window_at = 0;
    c->window_length = 0;
}

int cursor_fail(const struct cursor *c, uint64_t place, const char *format, ...)
{
    struct str what;
    va_list args;
    str_init(&what);
    va_start(args, format);
    str_append_vf(&what, format, args);
    va_end(args);
    int status = fail(ERR_DATA, "%s%s%s @%" PRIu64 ": %s", c->file->path, c->what[0] != '\0' ? ": " : "",
                      c->what, place - c->begin, what.data);
    str_release(&what);
    return status;
}

static int check_left(const struct cursor *c, uint64_t length)
{
    if (length <= c->end - c->at)
        return OK;
    cursor_fail(c, c->at, "truncated (%" PRIu64 " bytes expected, %" PRIu64 " left)", length, c->end - c->at);
    error_hint("download or copy the file again");
    return ERR_DATA;
}

static int fill_window(struct cursor *c)
{
    uint64_t left = c->end - c->at;
    c->window_at = c->at;
    c->window_length = left < sizeof(c->window) ? (size_t)left : sizeof(c->window);
    int status = byte_file_read(c->file, c->at, c->window, c->window_length);
    if (status != OK)
        c->window_length = 0;
    return status;
}

int cursor_read(struct cursor *c, void *bytes, size_t length)
{
    TRY(check_left(c, length));
    if (length > sizeof(c->window)) {
        TRY(byte_file_read(c->file, c->at, bytes, length));
    } else if (length > 0) {
        if (c->at < c->window_at || c->at - c->window_at + length > c->window_length)
            TRY(fill_window(c));
        memcpy(bytes, c->window + (c->at - c->window_at), length);
    }
    c->at += length;
    return OK;
}

int cursor_skip(struct cursor *c, uint64_t length)
{
    TRY(check_left(c, length));
    c->at += length;
    return OK;
}

int cursor_big(struct cursor *c, int length, uint64_t *value)
{
    unsigned char bytes[8];
    uint64_t v = 0;
    TRY(cursor_read(c, bytes, (size_t)length));
    for (int i = 0; i < length; i++)
        v = v << 8 | bytes[i];
    *value = v;
    return OK;
}

int cursor_little(struct cursor *c, int length, uint64_t *value)
{
    unsigned char bytes[8];
    uint64_t v = 0;
    TRY(cursor_read(c, bytes, (size_t)length));
    for (int i = length - 1; i >= 0; i--)
        v = v << 8 | bytes[i];
    *value = v;
    return OK;
}

int cursor_append(struct cursor *c, uint64_t length, struct str *s)
{
    char part[4096];
    TRY(check_left(c, length));
    while (length > 0) {
        size_t n = length < sizeof(part) ? (size_t)length : sizeof(part);
        TRY(cursor_read(c, part, n));
        str_append_bytes(s, part, n);
        length -= n;
    }
    return OK;
}
