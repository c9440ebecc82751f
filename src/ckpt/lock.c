#include "ckpt/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

/* Open file description locks: they belong to the descriptor, so two runs inside one process exclude each
 * other too. */
static int set_lock(int fd)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_SETLK, &whole);
}

static void append_owner(struct str *s)
{
    char host[256] = "";
    const char *job = getenv("SLURM_JOB_ID");
    gethostname(host, sizeof(host) - 1);
    str_appendf(s, "process %ld on host %s", (long)getpid(), host);
    if (job != NULL)
        str_appendf(s, ", job %s", job);
}

static int fail_held(const char *directory, int fd)
{
    char owner[512] = "";
    struct str shown;
    ssize_t n = pread(fd, owner, sizeof(owner) - 1, 0);
    str_init(&shown);
    if (n > 0)
        str_append_escaped(&shown, owner, (size_t)n, 400);
    int status = fail(ERR_STOPPED, "%s: in use by another run (%s)", directory,
                      shown.length > 0 ? shown.data : "it does not say which");
    error_hint("wait until it has ended, or choose another output directory");
    str_release(&shown);
    return status;
}

static int write_owner(int fd, const char *path)
{
    struct str owner;
    str_init(&owner);
    append_owner(&owner);
    int status = ftruncate(fd, 0) == 0 ? OK : fail(ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    if (status == OK)
        status = fd_pwrite(fd, path, owner.data, owner.length, 0);
    str_release(&owner);
    return status;
}

/* Whether the locked file is still the one of this name: the run before may have removed it in between. */
static bool is_current(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

/* One try. *fd stays -1 when the file was removed meanwhile. */
static int try_lock(const char *directory, const char *path, int *fd)
{
    int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    int status = OK;
    if (f < 0)
        return fail(ERR_CREATE, "%s: cannot create: %s", path, strerror(errno));
    if (set_lock(f) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            status = fail_held(directory, f);
            close(f);
            return status;
        }
        warn("%s: cannot lock (%s); take care that no other run uses it", directory, strerror(errno));
    } else if (!is_current(f, path)) {
        close(f);
        return OK;
    }
    status = write_owner(f, path);
    if (status == OK)
        *fd = f;
    else
        close(f);
    return status;
}

int lock_take(struct lock *l, const char *directory)
{
    int fd = -1, status = OK;
    char *path = path_join(directory, ".plait-lock");
    while (status == OK && fd < 0)
        status = try_lock(directory, path, &fd);
    if (status != OK) {
        mem_free(path);
        return status;
    }
    *l = (struct lock){ .fd = fd, .path = path };
    return OK;
}

void lock_release(struct lock *l)
{
    if (l->fd < 0 || l->path == NULL)
        return;
    unlink(l->path); /* while it is held */
    close(l->fd);
    mem_free(l->path);
    *l = (struct lock){ .fd = -1 };
}
