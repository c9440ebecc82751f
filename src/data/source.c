/* Files: patterns, endings, what is no regular file, hashes. Reading is in source_reader.c. */
#include "data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "data/content.h"
#include "data/nameless.h"

enum { COPY_STEP = 1 << 20, MAGIC = 6 };

static const struct source_format *const formats[] = { &source_rows, &source_text };
enum { FORMATS = sizeof(formats) / sizeof(*formats) };

static const struct {
    const char *bytes, *what;
} magics[] = {
    { "\x1f\x8b\x08", "gzip" },
    { "\x28\xb5\x2f\xfd", "zstd" },
    { "PK\x03\x04", "zip" },
    { "\xfd"
      "7zXZ",
      "xz" },
    { "PAR1", "parquet" },
    { "ARROW1", "arrow" },
};

static int refuse_ending(const char *option, const char *path)
{
    struct str kinds;
    str_init(&kinds);
    for (int i = 0; i < FORMATS; i++)
        str_appendf(&kinds, "%sa %s",
                    i == 0             ? ""
                    : i + 1 == FORMATS ? " or "
                                       : ", ",
                    formats[i]->endings[0] + 1);
    int status = fail(ERR_USAGE, "`%s` should be %s file (found \"%s\")", option, kinds.data, path);
    str_release(&kinds);
    return status;
}

static int find_format(const char *option, const char *path, const struct source_format **format)
{
    for (int i = 0; i < FORMATS; i++)
        for (const char *const *ending = formats[i]->endings; *ending; ending++)
            if (str_ends_with(path, *ending)) {
                *format = formats[i];
                return OK;
            }
    return refuse_ending(option, path);
}

/* ---- what is no regular file ---- */

static int copy_all(int from, const char *path, int to)
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
        status = fd_write(to, "temporary copy of the data", buffer, (size_t)n);
    }
    mem_free(buffer);
    return status;
}

/* Replaces the descriptor by one of a file with the same bytes. */
static int spool(struct source_file *f, const char *directory)
{
    int copy = -1, status = nameless_create(directory, &copy);
    if (status == OK)
        status = copy_all(f->fd, f->path, copy);
    if (status != OK) {
        if (copy >= 0)
            close(copy);
        return status;
    }
    close(f->fd);
    f->fd = copy;
    f->private = true;
    return OK;
}

/* ---- opening ---- */

static int check_magic(const struct source_file *f)
{
    char head[MAGIC + 1] = "";
    size_t length = f->size < MAGIC ? (size_t)f->size : MAGIC;
    TRY(fd_pread(f->fd, f->path, head, length, 0));
    for (size_t i = 0; i < sizeof(magics) / sizeof(*magics); i++) {
        size_t n = strlen(magics[i].bytes);
        if (length >= n && memcmp(head, magics[i].bytes, n) == 0)
            return fail(ERR_DATA, "%s: not text: looks like %s", f->path, magics[i].what);
    }
    return OK;
}

static int open_descriptor(struct source_file *f, bool standard)
{
    struct stat info;
    if (standard)
        f->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    else if (stat(f->path, &info) == 0 && S_ISDIR(info.st_mode))
        return fail(ERR_OPEN, "%s: cannot open: is a directory", f->path);
    else
        f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &f->info) != 0)
        return fail(ERR_OPEN, "%s: cannot open: %s", f->path, strerror(errno));
    return OK;
}

static int open_file(struct source_file *f, const struct source_options *o, bool standard)
{
    TRY(open_descriptor(f, standard));
    if (!S_ISREG(f->info.st_mode) || (standard && lseek(f->fd, 0, SEEK_CUR) != 0)) {
        TRY(spool(f, o->spool_directory));
        if (fstat(f->fd, &f->info) != 0)
            return fail(ERR_IO, "%s: cannot read its size: %s", f->path, strerror(errno));
    }
    f->size = (uint64_t)f->info.st_size;
    return check_magic(f);
}

static int add_file(struct source_set *s, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    const struct source_format *format = &source_text;
    if (!standard)
        TRY(find_format(s->options->option, path, &format));
    s->files = mem_grow(s->files, s->count, &s->capacity, sizeof(*s->files));
    struct source_file *f = &s->files[s->count++];
    *f = (struct source_file){ .format = format, .fd = -1 };
    f->path = mem_strdup(standard ? "standard input" : path);
    TRY(open_file(f, s->options, standard));
    s->bytes += f->size;
    return OK;
}

static int add_pattern(struct source_set *s, const char *pattern)
{
    char **paths = NULL;
    size_t count = 0;
    if (strcmp(pattern, "-") == 0)
        return add_file(s, pattern);
    TRY(file_glob(pattern, &paths, &count));
    int status = count ? OK : fail(ERR_OPEN, "%s: no file matches the pattern", pattern);
    for (size_t i = 0; i < count && status == OK; i++)
        status = add_file(s, paths[i]);
    names_free(paths, count);
    return status;
}

int source_set_open(struct source_set *s, const struct source_options *options)
{
    struct source_set set = { .options = options };
    int status = OK, standard = 0;
    for (size_t i = 0; i < options->pattern_count && status == OK; i++) {
        standard += strcmp(options->patterns[i], "-") == 0;
        if (standard > 1)
            status = fail(ERR_USAGE, "`%s` names standard input twice", options->option);
        else
            status = add_pattern(&set, options->patterns[i]);
    }
    if (status == OK && set.count == 0)
        status = fail(ERR_USAGE, "`%s` names no file", options->option);
    if (status == OK)
        *s = set;
    else
        source_set_close(&set);
    return status;
}

void source_set_close(struct source_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->files[i].fd >= 0)
            close(s->files[i].fd);
        mem_free(s->files[i].path);
    }
    mem_free(s->files);
    *s = (struct source_set){ 0 };
}

int source_set_hash(const struct source_set *s, uint64_t *hash)
{
    struct str all;
    int status = OK;
    str_init(&all);
    for (size_t i = 0; i < s->count && status == OK; i++) {
        const struct source_file *f = &s->files[i];
        uint64_t content;
        status = content_hash(f->fd, f->path, 0, f->size, &content);
        if (status == OK)
            str_appendf(&all, "%s %llu %016llx\n", f->format->name, (unsigned long long)f->size,
                        (unsigned long long)content);
    }
    if (status == OK)
        *hash = hash_bytes(all.data, all.length, CONTENT_SEED);
    str_release(&all);
    return status;
}

int source_set_check(const struct source_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct source_file *f = &s->files[i];
        struct stat now;
        if (f->private)
            continue;
        if (fstat(f->fd, &now) != 0)
            return fail(ERR_IO, "%s: cannot read its size: %s", f->path, strerror(errno));
        if (now.st_size != f->info.st_size || now.st_mtim.tv_sec != f->info.st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != f->info.st_mtim.tv_nsec)
            return fail(ERR_IO, "%s: the file changed during reading", f->path);
    }
    return OK;
}
