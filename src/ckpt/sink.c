#include "ckpt/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

static int write_file(struct sink *s, const void *bytes, size_t length)
{
    struct file_sink *f = (struct file_sink *)s;
    return fd_write(f->fd, f->path, bytes, length);
}

/* A link stays, and what it names is replaced. */
static int begin_temporary(struct file_sink *f, const char *path)
{
    char *target = path_resolve(path);
    struct str temporary;
    if (target == NULL)
        target = mem_strdup(path); /* nothing there yet */
    str_init(&temporary);
    str_appendf(&temporary, "%s.tmp-%ld", target, (long)getpid());
    unlink(temporary.data); /* of a process that had our number and was killed */
    int status = file_create(temporary.data, &f->fd);
    if (status == OK) {
        f->path = target;
        f->temporary = str_detach(&temporary);
        return OK;
    }
    mem_free(target);
    str_release(&temporary);
    return status;
}

int file_sink_begin(struct file_sink *f, const char *path)
{
    struct stat info;
    *f = (struct file_sink){ .sink.write = write_file, .fd = STDOUT_FILENO };
    if (strcmp(path, "-") == 0) {
        f->path = mem_strdup("standard output");
        return OK;
    }
    if (stat(path, &info) != 0 || S_ISREG(info.st_mode))
        return begin_temporary(f, path);
    if (S_ISDIR(info.st_mode))
        return fail(ERR_CREATE, "%s: cannot write: is a directory", path);
    f->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY); /* a device or a pipe: cannot be replaced */
    if (f->fd < 0)
        return fail(ERR_CREATE, "%s: cannot open for writing: %s", path, strerror(errno));
    f->path = mem_strdup(path);
    return OK;
}

int file_sink_end(struct file_sink *f, int status)
{
    if (f->temporary != NULL && status == OK)
        status = fd_sync(f->fd, f->path);
    if (f->fd != STDOUT_FILENO) {
        int closed = fd_close(f->fd, f->path);
        status = status != OK ? status : closed;
    }
    if (f->temporary != NULL && status == OK)
        status = file_rename(f->temporary, f->path);
    if (f->temporary != NULL && status != OK)
        unlink(f->temporary);
    mem_free(f->temporary);
    mem_free(f->path);
    *f = (struct file_sink){ .fd = -1 };
    return status;
}
