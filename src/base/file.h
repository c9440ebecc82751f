/* file -- files and directories. Paths are plain C strings. Messages name the path, the operation and the
 * system's reason. "-" is standard input or output where a function says so. Writes retry on EINTR and short
 * counts. */
#ifndef PLAIT_BASE_FILE_H
#define PLAIT_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/str.h"

/* A regular file mapped read-only. Symbolic links are followed (a hub cache is made of them); directories,
 * FIFOs and devices are refused. An empty file gives data = "" and length 0.
 *
 * Who touches a page that another process has meanwhile cut off the file is killed by SIGBUS: read what
 * decides (a header, an index) with file_read or fd_pread, use the map for bulk data only, and call
 * file_map_check first. */
struct file_map {
    const char *data;
    size_t length;
    void *address;
    int fd;
};
int file_map_open(struct file_map *m, const char *path);        /* ERR_OPEN */
int file_map_check(const struct file_map *m, const char *path); /* ERR_IO when the file is shorter by now */
void file_map_close(struct file_map *m);

/* Whole content into s (appended); "-" reads standard input. limit 0: none, else ERR_DATA beyond it. */
int file_read(const char *path, size_t limit, struct str *s);
/* Replaces path's content so that after a crash it is either the old or the new: temporary file beside it,
 * fsync, rename, fsync of the directory. "-" writes standard output. A link stays and what it names is
 * replaced; an existing file's permissions stay; devices and pipes are written in place. */
int file_write(const char *path, const void *bytes, size_t length);

/* Plain descriptors for larger writers. */
int file_create(const char *path, int *fd); /* O_EXCL, mode 0666 & ~umask; ERR_CREATE */
int file_open(const char *path, int *fd);   /* for reading; a regular file only; ERR_OPEN */
int fd_write(int fd, const char *path, const void *bytes, size_t length); /* ERR_IO */
int fd_pwrite(int fd, const char *path, const void *bytes, size_t length, uint64_t offset);
int fd_sync(int fd, const char *path);
int fd_close(int fd, const char *path); /* reports what close reports */
int fd_pread(int fd, const char *path, void *bytes, size_t length, uint64_t offset); /* all or ERR_IO */

bool file_exists(const char *path);
bool file_is_directory(const char *path);
int file_size(const char *path, uint64_t *bytes);
int file_rename(const char *from, const char *to); /* plus fsync of the directory of `to` */
int directory_create(const char *path);            /* with parents; fine when it is there */
int directory_sync(const char *path);
/* With all inside; does not follow links, not even when path is one (ERR_IO); fine when absent. */
int directory_remove(const char *path);
/* Names in the directory (without "." and ".."), sorted bytewise. The caller frees with names_free. */
int directory_list(const char *path, char ***names, size_t *count);
void names_free(char **names, size_t count);
/* Paths that match a shell pattern, sorted bytewise, none if none does; a pattern without wildcards gives
 * itself even if absent, and so does the name of a file that is there. Free with names_free. */
int file_glob(const char *pattern, char ***paths, size_t *count);
uint64_t file_free_bytes(const char *directory); /* of the file system it lies on; 0 when unknown */

/* What returns char * is freed by the caller (mem_free). */
char *path_join(const char *directory, const char *name); /* an absolute name stands alone */
const char *path_base(const char *path);                  /* after the last '/' */
char *path_directory(const char *path);                   /* "." when there is none */
char *path_resolve(const char *path); /* no links; NULL when there is nothing, see errno */
bool path_is_plain_name(const char *name, size_t length); /* no '/', '\\', NUL, not empty, "." or ".." */

#endif
