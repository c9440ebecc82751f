#include "ckpt/install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "ckpt/checkpoint_verify.h"
#include "ckpt/pieces.h"
#include "ckpt/save.h"

enum { COPY_BYTES = 1 << 20 };

static int copy_bytes(const char *from, int in, const char *to, int out)
{
    char *buffer = mem_alloc(COPY_BYTES);
    int status = OK;
    for (;;) {
        ssize_t n = read(in, buffer, COPY_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = fail(ERR_IO, "%s: cannot read: %s", from, strerror(errno));
        if (n <= 0)
            break;
        status = fd_write(out, to, buffer, (size_t)n);
        if (status != OK)
            break;
    }
    mem_free(buffer);
    return status;
}

static int copy_file(const char *from, const char *to)
{
    int in, out;
    TRY(file_open(from, &in));
    int status = file_create(to, &out);
    if (status == OK) {
        status = copy_bytes(from, in, to, out);
        if (status == OK)
            status = fd_sync(out, to);
        int closed = fd_close(out, to);
        status = status != OK ? status : closed;
    }
    close(in);
    return status;
}

/* Another file system, or one without links. */
static bool must_copy(int reason)
{
    return reason == EXDEV || reason == EPERM || reason == EOPNOTSUPP || reason == EMLINK || reason == ENOSYS;
}

static int link_or_copy(const char *from, const char *to, bool move)
{
    if (move ? rename(from, to) == 0 : linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0)
        return OK;
    if (must_copy(errno))
        return copy_file(from, to);
    return fail(ERR_CREATE, "%s: cannot create: %s", to, strerror(errno));
}

static int install_file(const char *from, const char *to, const char *name, bool move)
{
    char *source = path_join(from, name), *target = path_join(to, name), *temporary;
    struct str s;
    str_init(&s);
    str_appendf(&s, "%s/%s%s.%ld", to, SAVE_PREFIX_TEMPORARY, name, (long)getpid());
    temporary = str_detach(&s);
    unlink(temporary);
    int status = link_or_copy(source, temporary, move);
    if (status == OK && rename(temporary, target) != 0)
        status = fail(ERR_CREATE, "%s: cannot create: %s", target, strerror(errno));
    unlink(temporary); /* also when both names were links to one file: rename then does nothing */
    mem_free(source);
    mem_free(target);
    mem_free(temporary);
    return status;
}

static bool is_listed(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* model.safetensors, its index, model-00001-of-00002.safetensors, model_tp_0_pp_1.safetensors */
static bool is_weights(const char *name)
{
    int a, b, end = 0;
    if (pieces_is_name(name, "model", NULL))
        return true;
    if (strcmp(name, "model.safetensors") == 0 || strcmp(name, "model.safetensors.index.json") == 0)
        return true;
    return sscanf(name, "model-%5d-of-%5d.safetensors%n", &a, &b, &end) == 2 && end > 0 && name[end] == '\0';
}

static int remove_file(const char *directory, const char *name)
{
    char *path = path_join(directory, name);
    int status = OK;
    if (unlink(path) != 0 && errno != ENOENT)
        status = fail(ERR_CREATE, "%s: cannot remove: %s", path, strerror(errno));
    mem_free(path);
    return status;
}

static bool has_weights(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_weights(names[i]))
            return true;
    }
    return false;
}

/* ---- what was here before ---- */

/* Nobody opens it from now on. *state: the manifest of a checkpoint that was put here, which is not true any
 * more; else one of nothing. */
static int close_old(const char *to, struct manifest *state)
{
    char *path = path_join(to, MANIFEST_NAME);
    int status = OK;
    if (checkpoint_read_manifest(path, state) == OK) {
        status = remove_file(to, MANIFEST_NAME);
    } else {
        error_clear();
        manifest_init(state);
    }
    mem_free(path);
    if (status == OK)
        status = remove_file(to, "config.json");
    return status == OK ? directory_sync(to) : status;
}

/* What would be read together with the new files. */
static int remove_old(const char *to, const struct manifest *state, const char *const *names, size_t count)
{
    char **there;
    size_t there_count;
    int status = OK;
    TRY(directory_list(to, &there, &there_count));
    for (size_t i = 0; i < there_count && status == OK; i++) {
        const struct manifest_file *f = manifest_find(state, there[i]);
        if ((is_weights(there[i]) || (f != NULL && f->kind == MANIFEST_STATE)) &&
            !is_listed(there[i], names, count))
            status = remove_file(to, there[i]);
    }
    names_free(there, there_count);
    return status;
}

static int install_all(const char *from, const char *to, const char *const *names, size_t count, bool move)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], "config.json") != 0)
            TRY(install_file(from, to, names[i], move));
    }
    return OK;
}

/* The new files are there before the old ones go: one or the other is whole, whatever happens. */
static int replace(const char *from, const char *to, const char *const *names, size_t count, bool move)
{
    struct manifest state;
    int status = close_old(to, &state);
    if (status == OK)
        status = install_all(from, to, names, count, move);
    if (status == OK)
        status = directory_sync(to);
    if (status == OK)
        status = remove_old(to, &state, names, count);
    manifest_release(&state);
    return status;
}

int install_files(const char *from, const char *to, const char *const *names, size_t count, bool move)
{
    TRY(directory_create(to));
    if (has_weights(names, count))
        TRY(replace(from, to, names, count, move));
    else
        TRY(install_all(from, to, names, count, move));
    TRY(directory_sync(to));
    if (is_listed("config.json", names, count))
        TRY(install_file(from, to, "config.json", move));
    return directory_sync(to);
}
