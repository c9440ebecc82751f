/* Reading, writing and mapping of files; directories are in directory.c. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

enum { READ_STEP = 1 << 16, TEMPORARY_TRIES = 1000, IO_STEP = 1 << 30 };

/* O_NONBLOCK: a FIFO must be refused, not waited for; it means nothing to a regular file. */
static int open_regular(const char *path, int *fd, struct stat *info)
{
    int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f < 0)
        return fail(ERR_OPEN, "%s: cannot open: %s", path, strerror(errno));
    int status = OK;
    if (fstat(f, info) != 0)
        status = fail(ERR_OPEN, "%s: cannot open: %s", path, strerror(errno));
    else if (!S_ISREG(info->st_mode))
        status = fail(ERR_OPEN, "%s: cannot open: not a regular file", path);
    if (status == OK)
        *fd = f;
    else
        close(f);
    return status;
}

int file_open(const char *path, int *fd)
{
    struct stat info;
    return open_regular(path, fd, &info);
}

int file_map_open(struct file_map *m, const char *path)
{
    struct stat info;
    struct file_map map = { .data = "", .fd = -1 };
    TRY(open_regular(path, &map.fd, &info));
    map.length = (size_t)info.st_size;
    if (map.length) {
        map.address = mmap(NULL, map.length, PROT_READ, MAP_PRIVATE, map.fd, 0);
        if (map.address == MAP_FAILED) {
            int reason = errno;
            close(map.fd);
            return fail(ERR_OPEN, "%s: cannot map %zu bytes: %s", path, map.length, strerror(reason));
        }
        map.data = map.address;
    }
    *m = map;
    return OK;
}

int file_map_check(const struct file_map *m, const char *path)
{
    struct stat info;
    if (fstat(m->fd, &info) != 0)
        return fail(ERR_IO, "%s: cannot read its size: %s", path, strerror(errno));
    if ((uint64_t)info.st_size < m->length)
        return fail(ERR_IO, "%s: the file became shorter while in use (found %lld bytes, expected %zu)", path,
                    (long long)info.st_size, m->length);
    return OK;
}

void file_map_close(struct file_map *m)
{
    if (m->address) {
        munmap(m->address, m->length);
        close(m->fd);
    } else if (m->data) {
        close(m->fd);
    }
    *m = (struct file_map){ .fd = -1 };
}

/* Appends everything up to the end of the file. */
static int read_all(int fd, const char *path, size_t limit, struct str *s)
{
    size_t total = 0;
    char *buffer = mem_alloc(READ_STEP);
    int status = OK;
    for (;;) {
        ssize_t n = read(fd, buffer, READ_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = fail(ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (n <= 0)
            break;
        total += (size_t)n;
        if (limit && total > limit) {
            status =
                fail(ERR_DATA, "%s: the file is too large (found more than %zu bytes, expected at most %zu)",
                     path, limit, limit);
            break;
        }
        str_append_bytes(s, buffer, (size_t)n);
    }
    mem_free(buffer);
    return status;
}

int file_read(const char *path, size_t limit, struct str *s)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(ERR_OPEN, "%s: cannot open: %s", path, strerror(errno));
    size_t before = s->length;
    struct stat info;
    int status = OK;
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode))
        status = fail(ERR_OPEN, "%s: cannot open: is a directory", path);
    else
        status = read_all(fd, standard ? "standard input" : path, limit, s);
    if (!standard)
        close(fd);
    if (status != OK && s->length > before) {
        s->length = before;
        s->data[before] = '\0';
    }
    return status;
}

static int create_exclusive(const char *path, int *fd)
{
    *fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return *fd < 0 ? errno : 0;
}

int file_create(const char *path, int *fd)
{
    int f;
    int reason = create_exclusive(path, &f);
    if (reason)
        return fail(ERR_CREATE, "%s: cannot create: %s", path, strerror(reason));
    *fd = f;
    return OK;
}

/* Creates a file beside `path` under a name that no other process and no other thread has. */
static int create_temporary(const char *path, char **name, int *fd)
{
    char *directory = path_directory(path);
    struct str s;
    str_init(&s);
    int reason = EEXIST;
    for (int i = 0; i < TEMPORARY_TRIES && reason == EEXIST; i++) {
        str_clear(&s);
        str_appendf(&s, "%s/.%.200s.%ld.%d.tmp", directory, path_base(path), (long)getpid(), i);
        reason = create_exclusive(s.data, fd);
    }
    mem_free(directory);
    *name = str_detach(&s);
    if (!reason)
        return OK;
    mem_free(*name);
    return fail(ERR_CREATE, "%s: cannot create a temporary file beside it: %s", path, strerror(reason));
}

static int replace_file(const char *path, const void *bytes, size_t length, const struct stat *old)
{
    int fd;
    char *temporary;
    TRY(create_temporary(path, &temporary, &fd));
    int status = OK;
    if (old && fchmod(fd, old->st_mode & 07777) != 0)
        status = fail(ERR_IO, "%s: cannot set permissions: %s", temporary, strerror(errno));
    if (status == OK)
        status = fd_write(fd, path, bytes, length);
    if (status == OK)
        status = fd_sync(fd, path);
    int closed = fd_close(fd, path);
    if (status == OK)
        status = closed;
    if (status == OK)
        status = file_rename(temporary, path);
    if (status != OK)
        unlink(temporary);
    mem_free(temporary);
    return status;
}

/* Devices and pipes: nothing there can be renamed. */
static int write_in_place(const char *path, const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail(ERR_CREATE, "%s: cannot open for writing: %s", path, strerror(errno));
    int status = fd_write(fd, path, bytes, length);
    int closed = fd_close(fd, path);
    return status != OK ? status : closed;
}

int file_write(const char *path, const void *bytes, size_t length)
{
    if (strcmp(path, "-") == 0) {
        if (fflush(stdout) != 0)
            return fail(ERR_IO, "standard output: cannot write: %s", strerror(errno));
        return fd_write(STDOUT_FILENO, "standard output", bytes, length);
    }
    struct stat info;
    if (stat(path, &info) != 0)
        return replace_file(path, bytes, length, NULL);
    if (S_ISDIR(info.st_mode))
        return fail(ERR_CREATE, "%s: cannot write: is a directory", path);
    if (!S_ISREG(info.st_mode))
        return write_in_place(path, bytes, length);
    char *target = path_resolve(path);
    if (!target)
        return fail(ERR_CREATE, "%s: cannot resolve the path: %s", path, strerror(errno));
    int status = replace_file(target, bytes, length, &info);
    mem_free(target);
    return status;
}

int fd_write(int fd, const char *path, const void *bytes, size_t length)
{
    const char *p = bytes;
    while (length) {
        ssize_t n = write(fd, p, length < IO_STEP ? length : IO_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(ERR_IO, "%s: cannot write: %s", path, n ? strerror(errno) : "nothing was taken");
        p += n;
        length -= (size_t)n;
    }
    return OK;
}

int fd_pwrite(int fd, const char *path, const void *bytes, size_t length, uint64_t offset)
{
    const char *p = bytes;
    if (offset > INT64_MAX || length > INT64_MAX - offset)
        return fail(ERR_IO, "%s: cannot write at offset %llu: too large", path, (unsigned long long)offset);
    while (length) {
        ssize_t n = pwrite(fd, p, length < IO_STEP ? length : IO_STEP, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(ERR_IO, "%s: cannot write at offset %llu: %s", path, (unsigned long long)offset,
                        n ? strerror(errno) : "nothing was taken");
        p += n;
        offset += (uint64_t)n;
        length -= (size_t)n;
    }
    return OK;
}

int fd_pread(int fd, const char *path, void *bytes, size_t length, uint64_t offset)
{
    char *p = bytes;
    if (offset > INT64_MAX || length > INT64_MAX - offset)
        return fail(ERR_IO, "%s: cannot read at offset %llu: too large", path, (unsigned long long)offset);
    while (length) {
        ssize_t n = pread(fd, p, length < IO_STEP ? length : IO_STEP, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(ERR_IO, "%s: cannot read at offset %llu: %s", path, (unsigned long long)offset,
                        strerror(errno));
        if (n == 0)
            return fail(ERR_IO, "%s: the file ends at offset %llu (expected %zu more bytes)", path,
                        (unsigned long long)offset, length);
        p += n;
        offset += (uint64_t)n;
        length -= (size_t)n;
    }
    return OK;
}

int fd_sync(int fd, const char *path)
{
    while (fsync(fd) != 0)
        if (errno != EINTR)
            return fail(ERR_IO, "%s: cannot flush to disk: %s", path, strerror(errno));
    return OK;
}

/* After EINTR the descriptor is closed on Linux, and trying again could close somebody else's. */
int fd_close(int fd, const char *path)
{
    if (close(fd) != 0 && errno != EINTR)
        return fail(ERR_IO, "%s: cannot close: %s", path, strerror(errno));
    return OK;
}

bool file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool file_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int file_size(const char *path, uint64_t *bytes)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return fail(ERR_OPEN, "%s: cannot open: %s", path, strerror(errno));
    *bytes = (uint64_t)info.st_size;
    return OK;
}

int file_rename(const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return fail(ERR_IO, "%s: cannot rename to %s: %s", from, to, strerror(errno));
    char *directory = path_directory(to);
    int status = directory_sync(directory);
    mem_free(directory);
    return status;
}
