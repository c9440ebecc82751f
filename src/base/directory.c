/* Directories, paths and patterns: the second half of file.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

enum { REMOVE_DEPTH = 100 }; /* each level holds a descriptor */

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int directory_create(const char *path)
{
    char *copy = mem_strdup(path);
    int status = OK;
    for (char *p = copy + (copy[0] == '/'); status == OK; p++) {
        char c = *p;
        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        int why = *copy && mkdir(copy, 0777) != 0 ? errno : 0;
        if (why != 0 && !file_is_directory(copy))
            status = fail(ERR_CREATE, "%s: cannot create the directory: %s", copy, strerror(why));
        *p = c;
        if (c == '\0')
            break;
    }
    mem_free(copy);
    return status;
}

/* Some file systems have no fsync of directories and say EINVAL; there is nothing better to do then. */
int directory_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(ERR_IO, "%s: cannot open the directory: %s", path, strerror(errno));
    int status = OK;
    int failed;
    do
        failed = fsync(fd);
    while (failed && errno == EINTR);
    if (failed && errno != EINVAL && errno != ENOTSUP)
        status = fail(ERR_IO, "%s: cannot flush the directory to disk: %s", path, strerror(errno));
    close(fd);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_names(char **names, size_t count)
{
    if (count > 1)
        qsort(names, count, sizeof(*names), compare_names);
}

/* Takes over fd. */
static int list_open(int fd, const char *path, char ***names, size_t *count)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        int reason = errno;
        close(fd);
        return fail(ERR_OPEN, "%s: cannot list: %s", path, strerror(reason));
    }
    char **found = NULL;
    size_t n = 0, capacity = 0;
    struct dirent *entry;
    for (errno = 0; (entry = readdir(d)); errno = 0) {
        if (is_dots(entry->d_name))
            continue;
        found = mem_grow(found, n, &capacity, sizeof(*found));
        found[n++] = mem_strdup(entry->d_name);
    }
    int reason = errno;
    closedir(d);
    if (reason) {
        names_free(found, n);
        return fail(ERR_IO, "%s: cannot list: %s", path, strerror(reason));
    }
    sort_names(found, n);
    *names = found;
    *count = n;
    return OK;
}

int directory_list(const char *path, char ***names, size_t *count)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(ERR_OPEN, "%s: cannot list: %s", path, strerror(errno));
    return list_open(fd, path, names, count);
}

void names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
}

/* Removes what the directory `name` in `parent` holds and then itself. Everything is named relative to a
 * directory that is held open and was opened without following links, so nobody can lead the walk elsewhere.
 * `path` is for messages. */
static int remove_tree(int parent, const char *name, const char *path, int depth)
{
    char **names = NULL;
    size_t count = 0;
    if (depth > REMOVE_DEPTH)
        return fail(ERR_IO, "%s: cannot remove: nested more than %d deep", path, REMOVE_DEPTH);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(ERR_IO, "%s: cannot remove: %s", path, strerror(errno));
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int status = copy < 0 ? fail(ERR_IO, "%s: cannot remove: %s", path, strerror(errno))
                          : list_open(copy, path, &names, &count);
    for (size_t i = 0; i < count && status == OK; i++) {
        char *inside = path_join(path, names[i]);
        struct stat info;
        if (fstatat(fd, names[i], &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode))
            status = remove_tree(fd, names[i], inside, depth + 1);
        else if (unlinkat(fd, names[i], 0) != 0 && errno != ENOENT)
            status = fail(ERR_IO, "%s: cannot remove: %s", inside, strerror(errno));
        mem_free(inside);
    }
    names_free(names, count);
    close(fd);
    if (status == OK && unlinkat(parent, name, AT_REMOVEDIR) != 0)
        status = fail(ERR_IO, "%s: cannot remove: %s", path, strerror(errno));
    return status;
}

int directory_remove(const char *path)
{
    struct stat info;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') /* "link/" would follow the link */
        length--;
    char *name = mem_strndup(path, length);
    const char *base = path_base(name);
    int status = OK;
    if (!*base || is_dots(base))
        status = fail(ERR_IO, "\"%s\": will not remove that directory", path);
    else if (lstat(name, &info) != 0 && errno == ENOENT)
        status = OK;
    else
        status = remove_tree(AT_FDCWD, name, name, 0);
    mem_free(name);
    return status;
}

int file_glob(const char *pattern, char ***paths, size_t *count)
{
    char **found = NULL;
    size_t n = 0, capacity = 0;
    glob_t g;
    memset(&g, 0, sizeof(g));
    if (!strpbrk(pattern, "*?[") || file_exists(pattern)) {
        found = mem_grow(found, n, &capacity, sizeof(*found));
        found[n++] = mem_strdup(pattern);
    } else {
        int result = glob(pattern, GLOB_NOSORT, NULL, &g);
        for (size_t i = 0; result == 0 && i < g.gl_pathc; i++) {
            found = mem_grow(found, n, &capacity, sizeof(*found));
            found[n++] = mem_strdup(g.gl_pathv[i]);
        }
        globfree(&g);
        if (result == GLOB_NOSPACE)
            return fail(ERR_SYSTEM, "%s: cannot expand the pattern: out of memory", pattern);
        if (result == GLOB_ABORTED)
            return fail(ERR_OPEN, "%s: cannot expand the pattern: a directory cannot be read", pattern);
        sort_names(found, n);
    }
    *paths = found;
    *count = n;
    return OK;
}

uint64_t file_free_bytes(const char *directory)
{
    struct statvfs info;
    if (statvfs(directory, &info) != 0)
        return 0;
    return (uint64_t)info.f_bavail * info.f_frsize;
}

char *path_join(const char *directory, const char *name)
{
    size_t length = strlen(directory);
    struct str s;
    str_init(&s);
    if (name[0] != '/') {
        str_append(&s, directory);
        if (length && directory[length - 1] != '/')
            str_append_char(&s, '/');
    }
    str_append(&s, name);
    return str_detach(&s);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_directory(const char *path)
{
    const char *end = path_base(path);
    if (end == path)
        return mem_strdup(".");
    while (end > path + 1 && end[-1] == '/')
        end--;
    return mem_strndup(path, (size_t)(end - path));
}

char *path_resolve(const char *path)
{
    char *buffer = mem_alloc(PATH_MAX);
    if (realpath(path, buffer))
        return buffer;
    int reason = errno;
    mem_free(buffer);
    errno = reason;
    return NULL;
}

bool path_is_plain_name(const char *name, size_t length)
{
    if (length == 0 || (length == 1 && name[0] == '.') || (length == 2 && memcmp(name, "..", 2) == 0))
        return false;
    return !memchr(name, '/', length) && !memchr(name, '\\', length) && !memchr(name, '\0', length);
}
