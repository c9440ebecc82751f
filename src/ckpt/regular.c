#include "ckpt/regular.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

int regular_read(const char *path, struct str *s)
{
    struct stat info;
    char *bytes = NULL;
    int fd, status = OK;
    TRY(file_open(path, &fd));
    if (fstat(fd, &info) != 0)
        status = fail(ERR_OPEN, "%s: cannot open: %s", path, strerror(errno));
    else if (info.st_size > REGULAR_MAX_BYTES)
        status = fail(ERR_DATA, "%s: the file is too large (found %lld bytes, expected at most %d)", path,
                      (long long)info.st_size, REGULAR_MAX_BYTES);
    if (status == OK) {
        bytes = mem_alloc((size_t)info.st_size);
        status = fd_pread(fd, path, bytes, (size_t)info.st_size, 0);
    }
    if (status == OK)
        str_append_bytes(s, bytes, (size_t)info.st_size);
    mem_free(bytes);
    close(fd);
    return status;
}
