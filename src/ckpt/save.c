#include "ckpt/save.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/checksum.h"
#include "ckpt/install.h"

struct save {
    struct sink sink; /* of the file being written */
    char *directory, *name, *temporary;
    struct manifest manifest;
    char *file; /* path of the file being written; NULL: none */
    enum manifest_kind kind;
    int fd;
    struct checksum checksum;
    bool failed;
    bool with_manifest; /* installed with it */
    bool keep;          /* the temporary directory stays */
};

/* ---- beginning ---- */

int save_check_space(const char *directory, uint64_t bytes, const char *what)
{
    char *place = mem_strdup(directory);
    while (!file_exists(place) && strcmp(place, ".") != 0) {
        char *parent = path_directory(place);
        mem_free(place);
        place = parent;
    }
    uint64_t free_bytes = file_free_bytes(place);
    mem_free(place);
    if (free_bytes == 0 || bytes <= free_bytes)
        return OK;
    struct str found, expected;
    str_init(&found);
    str_init(&expected);
    str_append_bytes_human(&found, (double)free_bytes);
    str_append_bytes_human(&expected, (double)bytes);
    int status = fail(ERR_CREATE, "%s: no room on the disk for %s (found %s free, expected %s)", directory,
                      what, found.data, expected.data);
    str_release(&found);
    str_release(&expected);
    return status;
}

static char *special_path(const struct save *s, const char *prefix)
{
    struct str path;
    str_init(&path);
    str_appendf(&path, "%s/%s%s.%ld", s->directory, prefix, s->name, (long)getpid());
    return str_detach(&path);
}

static int write_sink(struct sink *sink, const void *bytes, size_t length)
{
    struct save *s = (struct save *)sink;
    checksum_add(&s->checksum, bytes, length);
    return fd_write(s->fd, s->file, bytes, length);
}

static void free_save(struct save *s)
{
    mem_free(s->directory);
    mem_free(s->name);
    mem_free(s->temporary);
    manifest_release(&s->manifest);
    checksum_release(&s->checksum);
    mem_free(s);
}

/* With parents, each of them synced: a new directory may not be lost with the checkpoint in it. */
static int create_directory(const char *path)
{
    if (file_exists(path) || strcmp(path, ".") == 0 || strcmp(path, "/") == 0)
        return file_is_directory(path) ? OK : fail(ERR_CREATE, "%s: is a file, expected a directory", path);
    char *parent = path_directory(path);
    int status = create_directory(parent);
    if (status == OK)
        status = directory_create(path);
    if (status == OK)
        status = directory_sync(parent);
    mem_free(parent);
    return status;
}

int save_begin(struct save **out, const struct save_options *o)
{
    if (!path_is_plain_name(o->name, strlen(o->name)))
        BUG("save_begin: name \"%s\"", o->name);
    TRY(create_directory(o->directory));
    TRY(save_check_space(o->directory, o->bytes, o->name));
    struct save *s = mem_alloc(sizeof(*s));
    s->sink.write = write_sink;
    s->fd = -1;
    s->with_manifest = o->manifest;
    s->directory = mem_strdup(o->directory);
    s->name = mem_strdup(o->name);
    s->temporary = special_path(s, SAVE_PREFIX_TEMPORARY);
    manifest_init(&s->manifest);
    s->manifest.run = arena_strdup(&s->manifest.memory, o->run != NULL ? o->run : "");
    s->manifest.step = o->step;
    checksum_init(&s->checksum);

    int status = directory_remove(s->temporary); /* of a killed process that had our number */
    if (status == OK && mkdir(s->temporary, 0777) != 0)
        status = fail(ERR_CREATE, "%s: cannot create: %s", s->temporary, strerror(errno));
    if (status != OK) {
        free_save(s);
        return status;
    }
    *out = s;
    return OK;
}

/* Removing must not hide why: the record of the failure before stays the first one. */
void save_abort(struct save *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0)
        close(s->fd);
    mem_free(s->file);
    bool clean = error_status() == OK;
    if (!s->keep)
        directory_remove(s->temporary); /* what stays is removed when the next run begins */
    if (clean)
        error_clear();
    free_save(s);
}

/* ---- files ---- */

static int fail_save(struct save *s, int status)
{
    s->failed = true;
    return status;
}

static void begin_file(struct save *s, const char *name, enum manifest_kind kind)
{
    if (s->file != NULL || s->failed)
        BUG("%s: the save of %s %s", name, s->name, s->failed ? "has failed" : "has a file open");
    if (!path_is_plain_name(name, strlen(name)) || manifest_find(&s->manifest, name) != NULL ||
        strcmp(name, MANIFEST_NAME) == 0)
        BUG("%s: a file of this name cannot be added to the save of %s", name, s->name);
    s->kind = kind;
    s->file = path_join(s->temporary, name);
    checksum_init(&s->checksum);
}

static void record_file(struct save *s)
{
    checksum_end(&s->checksum);
    manifest_add(&s->manifest, &(struct manifest_file){ .name = path_base(s->file),
                                                        .kind = s->kind,
                                                        .bytes = s->checksum.bytes,
                                                        .chunks = s->checksum.chunks });
}

static void forget_file(struct save *s)
{
    mem_free(s->file);
    s->file = NULL;
    s->fd = -1;
    checksum_release(&s->checksum);
}

int save_file_begin(struct save *s, const char *name, enum manifest_kind kind, struct sink **sink)
{
    begin_file(s, name, kind);
    int status = file_create(s->file, &s->fd);
    if (status != OK) {
        forget_file(s);
        return fail_save(s, status);
    }
    *sink = &s->sink;
    return OK;
}

int save_file_end(struct save *s, int status)
{
    if (s->fd < 0)
        BUG("no file is open in the save of %s", s->name);
    if (status == OK)
        status = fd_sync(s->fd, s->file);
    int closed = fd_close(s->fd, s->file);
    status = status != OK ? status : closed;
    if (status == OK)
        record_file(s);
    forget_file(s);
    return status == OK ? OK : fail_save(s, status);
}

int save_file(struct save *s, const char *name, enum manifest_kind kind, const void *bytes, size_t length)
{
    struct sink *sink;
    TRY(save_file_begin(s, name, kind, &sink));
    return save_file_end(s, sink->write(sink, bytes, length));
}

static int write_all(struct save *s, const char *path, int fd)
{
    enum { PART_BYTES = 1 << 20 };
    char *buffer = mem_alloc(PART_BYTES);
    int status = OK;
    while (status == OK) {
        ssize_t n = read(fd, buffer, PART_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = fail(ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (n <= 0)
            break;
        status = write_sink(&s->sink, buffer, (size_t)n);
    }
    mem_free(buffer);
    return status;
}

int save_file_copy(struct save *s, const char *name, enum manifest_kind kind, const char *from)
{
    struct sink *sink;
    int fd;
    int status = file_open(from, &fd);
    if (status != OK)
        return fail_save(s, status);
    status = save_file_begin(s, name, kind, &sink);
    if (status == OK)
        status = save_file_end(s, write_all(s, from, fd));
    close(fd);
    return status;
}

void save_note(struct save *s, const char *key, const char *value)
{
    manifest_add_note(&s->manifest, key, value);
}

/* ---- several ranks ---- */

const char *save_place(const struct save *s)
{
    return s->temporary;
}

void save_join(struct save **out, const char *place)
{
    struct save *s = mem_alloc(sizeof(*s));
    s->sink.write = write_sink;
    s->fd = -1;
    s->keep = true;
    s->name = mem_strdup(path_base(place));
    s->temporary = mem_strdup(place);
    manifest_init(&s->manifest);
    checksum_init(&s->checksum);
    *out = s;
}

static void check_complete(const struct save *s)
{
    if (s->file != NULL || s->failed)
        BUG("the save of %s is ended although %s", s->name, s->failed ? "it failed" : "a file is open");
}

int save_report(struct save *s, struct str *out)
{
    check_complete(s);
    int status = directory_sync(s->temporary);
    if (status == OK)
        manifest_write(&s->manifest, out);
    save_abort(s);
    return status;
}

int save_take(struct save *s, const char *report, size_t length)
{
    struct manifest m;
    int status = manifest_parse(&m, "report of another rank", report, length);
    for (size_t i = 0; status == OK && i < m.count; i++) {
        if (manifest_find(&s->manifest, m.files[i].name) != NULL)
            BUG("two ranks have written %s", m.files[i].name);
        manifest_add(&s->manifest, &m.files[i]);
    }
    if (status == OK)
        manifest_release(&m);
    return status == OK ? OK : fail_save(s, status);
}

/* ---- committing ---- */

static int write_manifest(struct save *s)
{
    struct str text;
    int fd;
    char *path = path_join(s->temporary, MANIFEST_NAME);
    str_init(&text);
    manifest_write(&s->manifest, &text);
    int status = file_create(path, &fd);
    if (status == OK) {
        status = fd_write(fd, path, text.data, text.length);
        if (status == OK)
            status = fd_sync(fd, path);
        int closed = fd_close(fd, path);
        status = status != OK ? status : closed;
    }
    str_release(&text);
    mem_free(path);
    return status;
}

/* File systems that cannot exchange: the old one moves away first. A crash in between leaves it under a name
 * from which checkpoint_clean brings it back. */
static int displace(struct save *s, const char *target)
{
    char *old = special_path(s, SAVE_PREFIX_DISPLACED);
    if (rename(target, old) != 0) {
        int reason = errno;
        mem_free(old);
        return fail(ERR_CREATE, "%s: cannot replace: %s", target, strerror(reason));
    }
    if (rename(s->temporary, target) != 0) {
        fail(ERR_CREATE, "%s: cannot create: %s", target, strerror(errno));
        rename(old, target);
        mem_free(old);
        return ERR_CREATE;
    }
    mem_free(s->temporary);
    s->temporary = old; /* to be removed */
    return OK;
}

/* The one rename. Afterwards s->temporary holds what was there before, if anything. */
static int rename_into_place(struct save *s, const char *target)
{
    if (!file_exists(target)) {
        if (rename(s->temporary, target) != 0)
            return fail(ERR_CREATE, "%s: cannot create: %s", target, strerror(errno));
        return OK;
    }
    if (renameat2(AT_FDCWD, s->temporary, AT_FDCWD, target, RENAME_EXCHANGE) == 0)
        return OK;
    if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)
        return displace(s, target);
    return fail(ERR_CREATE, "%s: cannot replace the old one: %s", target, strerror(errno));
}

int save_commit(struct save *s, char **path)
{
    char *target = path_join(s->directory, s->name);
    check_complete(s);
    int status = write_manifest(s);
    if (status == OK)
        status = directory_sync(s->temporary);
    if (status == OK)
        status = rename_into_place(s, target);
    if (status == OK) {
        status = directory_sync(s->directory);
        s->keep = status != OK; /* nothing is removed before the rename is known to last */
    }
    save_abort(s);
    if (status == OK && path != NULL)
        *path = target;
    else
        mem_free(target);
    return status;
}

int save_install(struct save *s)
{
    check_complete(s);
    size_t count = s->manifest.count;
    const char **names = mem_alloc_array(count + 1, sizeof(*names));
    for (size_t i = 0; i < count; i++)
        names[i] = s->manifest.files[i].name;
    int status = s->with_manifest ? write_manifest(s) : OK;
    if (s->with_manifest)
        names[count++] = MANIFEST_NAME;
    if (status == OK)
        status = install_files(s->temporary, s->directory, names, count, true);
    mem_free(names);
    save_abort(s);
    return status;
}
