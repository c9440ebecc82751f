/* One file: what it is, whether it is still the same, and its bytes as they are when unpacked. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/nameless.h"
#include "data/source.h"

enum { COPY_STEP = 1 << 20, HEAD_STEP = 16 << 10, MAGIC = 6 };

#define COPY "temporary copy of the data"

static const struct {
    const char *bytes, *what;
    enum packing packing; /* what unpacks it */
} magics[] = {
    { "\x1f\x8b\x08", "gzip", PACKING_GZIP },
    { "\x28\xb5\x2f\xfd", "zstd", PACKING_ZSTD },
    { "PK\x03\x04", "zip", PACKING_NONE },
    { "\xfd"
      "7zXZ",
      "xz", PACKING_NONE },
    { "PAR1", "parquet", PACKING_NONE },
    { "ARROW1", "arrow", PACKING_NONE },
};
enum { MAGICS = sizeof(magics) / sizeof(magics[0]) };

/* ---- what is no regular file ---- */

static int copy_stream(int from, const char *path, int to)
{
    char *buffer = mem_alloc(COPY_STEP);
    int status = OK;
    while (status == OK) {
        ssize_t n = read(from, buffer, COPY_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = fail(ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (n <= 0)
            break;
        status = fd_write(to, COPY, buffer, (size_t)n);
    }
    mem_free(buffer);
    return status;
}

/* Replaces the descriptor by one of a file with the same bytes. */
static int spool(struct source_file *f, const char *directory)
{
    int copy = -1, status = nameless_create(directory, &copy);
    if (status == OK)
        status = copy_stream(f->fd, f->path, copy);
    if (status != OK) {
        if (copy >= 0)
            close(copy);
        return status;
    }
    close(f->fd);
    f->fd = copy;
    return OK;
}

/* ---- finding ---- */

static int fail_packed(const struct source_file *f, int magic)
{
    int status = fail(ERR_DATA, "%s: not text: looks like %s", f->path, magics[magic].what);
    if (magics[magic].packing)
        error_hint("rename it so that it ends in %s", packing_endings[magics[magic].packing]);
    return status;
}

/* What a name says has to be so; standard input has none. */
static int check_magic(struct source_file *f, int fd, bool standard)
{
    char first[MAGIC + 1] = "";
    size_t length = f->size < MAGIC ? (size_t)f->size : MAGIC;
    int found = 0;
    TRY(fd_pread(fd, f->path, first, length, 0));
    while (found < MAGICS && strncmp(first, magics[found].bytes, strlen(magics[found].bytes)) != 0)
        found++;
    if (standard && found < MAGICS)
        f->packing = magics[found].packing;
    if (found < MAGICS && magics[found].packing == f->packing && f->packing)
        return OK;
    if (f->packing)
        return fail(ERR_DATA, "%s: not %s: looks like %s", f->path, packing_names[f->packing],
                    found < MAGICS ? magics[found].what
                    : length       ? "something else"
                                   : "an empty file");
    return found < MAGICS ? fail_packed(f, found) : OK;
}

static int open_path(const char *path, int *fd)
{
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return fail(ERR_OPEN, "%s: cannot open: is a directory", path);
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd >= 0 ? OK : fail(ERR_OPEN, "%s: cannot open: %s", path, strerror(errno));
}

/* A descriptor stays open only where there is no path to open it by again. */
int source_file_find(struct source_file *f, const struct source_options *o, bool standard)
{
    if (standard)
        f->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        TRY(open_path(f->path, &f->fd));
    if (f->fd < 0 || fstat(f->fd, &f->info) != 0)
        return fail(ERR_OPEN, "%s: cannot open: %s", f->path, strerror(errno));
    bool regular = S_ISREG(f->info.st_mode) && (!standard || lseek(f->fd, 0, SEEK_CUR) == 0);
    if (!regular)
        TRY(spool(f, o->spool_directory));
    if (!regular && fstat(f->fd, &f->info) != 0)
        return fail(ERR_IO, "%s: cannot read its size: %s", f->path, strerror(errno));
    f->size = (uint64_t)f->info.st_size;
    TRY(check_magic(f, f->fd, standard));
    if (regular && !standard) {
        close(f->fd);
        f->fd = -1;
    }
    return OK;
}

/* ---- opening ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int source_file_open(const struct source_file *f, int *fd)
{
    struct stat now;
    int opened = f->fd >= 0 ? fcntl(f->fd, F_DUPFD_CLOEXEC, 3) : open(f->path, O_RDONLY | O_CLOEXEC);
    if (opened < 0 || fstat(opened, &now) != 0)
        return fail(ERR_OPEN, "%s: cannot open again: %s", f->path, strerror(errno));
    if (!is_same(&now, &f->info)) {
        close(opened);
        return fail(ERR_IO, "%s: the file changed during reading", f->path);
    }
    *fd = opened;
    return OK;
}

int source_head_read(struct source_file *f, struct source_head *h)
{
    struct unpacker *u = NULL;
    char bytes[HEAD_STEP];
    size_t count = 1;
    int fd;
    TRY(source_file_open(f, &fd));
    int status = unpacker_create(f->packing, fd, f->path, &u);
    while (status == OK && count && h->bytes.length <= h->limit) {
        status = unpacker_read(u, bytes, sizeof(bytes), &count);
        str_append_bytes(&h->bytes, bytes, status == OK ? count : 0);
    }
    h->whole = h->bytes.length <= h->limit;
    if (!h->whole)
        str_cut(&h->bytes, h->limit);
    unpacker_free(u);
    close(fd);
    return status;
}

/* Replaces the descriptor by one of a nameless file with what it unpacks to. */
static int unpack(const struct source_file *f, const struct source_options *o, int *fd)
{
    struct unpacker *u = NULL;
    int copy = -1, status = nameless_create(o->spool_directory, &copy);
    if (status == OK)
        status = unpacker_create(f->packing, *fd, f->path, &u);
    if (status == OK)
        status = unpacker_copy(u, copy, COPY);
    unpacker_free(u);
    if (status == OK) {
        close(*fd);
        *fd = copy;
    } else if (copy >= 0) {
        close(copy);
    }
    return status;
}

int source_body_open(const struct source_file *f, const struct source_options *o, struct source_body *b)
{
    struct source_body body = { .fd = -1, .begin = f->begin, .line = f->line };
    struct stat info;
    int status = source_file_open(f, &body.fd);
    if (status == OK && f->packing)
        status = unpack(f, o, &body.fd);
    if (status == OK && fstat(body.fd, &info) != 0)
        status = fail(ERR_IO, "%s: cannot read its size: %s", f->path, strerror(errno));
    body.end = status == OK ? (uint64_t)info.st_size : 0;
    if (status == OK && f->format->frame)
        status = f->format->frame(f, o, &body);
    if (status == OK)
        *b = body;
    else
        source_body_close(&body);
    return status;
}

void source_body_close(struct source_body *b)
{
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
}
