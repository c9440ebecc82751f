#include "data/cache_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

/* False: no locks here. */
static bool wait_for(int fd, const char *path)
{
    int result = flock(fd, LOCK_EX | LOCK_NB);
    if (result != 0 && errno == EWOULDBLOCK)
        inform("another process is making this token cache: waiting for it (%s)", path);
    while (result != 0 && (errno == EWOULDBLOCK || errno == EINTR))
        result = flock(fd, LOCK_EX);
    return result == 0;
}

/* Its last holder removed the file before we had the lock on it. */
static bool is_stale(int fd, const char *path)
{
    struct stat mine, now;
    return fstat(fd, &mine) != 0 || stat(path, &now) != 0 || mine.st_ino != now.st_ino ||
           mine.st_dev != now.st_dev;
}

int cache_lock_begin(struct cache_lock *l, const char *path)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return fail(ERR_CREATE, "%s: cannot create: %s", path, strerror(errno));
        bool held = wait_for(fd, path);
        if (!held || !is_stale(fd, path)) {
            *l = (struct cache_lock){ .path = mem_strdup(path), .fd = fd, .held = held };
            return OK;
        }
        close(fd);
    }
}

void cache_lock_end(struct cache_lock *l)
{
    if (!l->path)
        return;
    unlink(l->path);
    close(l->fd);
    mem_free(l->path);
    *l = (struct cache_lock){ .fd = -1 };
}
