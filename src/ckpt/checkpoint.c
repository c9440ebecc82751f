#include "ckpt/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "ckpt/checkpoint_verify.h"
#include "ckpt/install.h"
#include "ckpt/save.h"

static const char name_prefix[] = "checkpoint-";

int64_t checkpoint_step(const char *name)
{
    int64_t step = 0;
    size_t digits = 0;
    if (!str_starts_with(name, name_prefix))
        return -1;
    const char *p = name + strlen(name_prefix);
    for (; *p >= '0' && *p <= '9' && digits < 18; p++, digits++)
        step = step * 10 + (*p - '0');
    if (*p != '\0' || digits == 0 || (digits > 1 && name[strlen(name_prefix)] == '0'))
        return -1;
    return step;
}

/* ---- listing ---- */

static int compare_steps(const void *a, const void *b)
{
    const struct checkpoint_entry *x = a, *y = b;
    return (x->step > y->step) - (x->step < y->step);
}

int checkpoint_list_load(struct checkpoint_list *l, const char *directory)
{
    char **names;
    size_t count, capacity = 0;
    struct checkpoint_list found = { 0 };
    *l = found;
    if (!file_exists(directory))
        return OK;
    TRY(directory_list(directory, &names, &count));
    for (size_t i = 0; i < count; i++) {
        int64_t step = checkpoint_step(names[i]);
        if (step < 0)
            continue;
        found.items = mem_grow(found.items, found.count, &capacity, sizeof(*found.items));
        found.items[found.count++] =
            (struct checkpoint_entry){ .path = path_join(directory, names[i]), .step = step };
    }
    names_free(names, count);
    if (found.count > 1)
        qsort(found.items, found.count, sizeof(*found.items), compare_steps);
    *l = found;
    return OK;
}

void checkpoint_list_release(struct checkpoint_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        mem_free(l->items[i].path);
    mem_free(l->items);
    *l = (struct checkpoint_list){ 0 };
}

/* ---- choosing ---- */

int checkpoint_newest(const char *directory, enum checkpoint_check how, char **path)
{
    struct checkpoint_list list;
    struct str reasons;
    int status = OK;
    TRY(checkpoint_list_load(&list, directory));
    str_init(&reasons);
    size_t i = list.count;
    while (i > 0) {
        if (checkpoint_verify(list.items[i - 1].path, how, NULL) == OK)
            break;
        str_appendf(&reasons, "%s%s", reasons.length > 0 ? "; " : "", error_message());
        error_clear();
        i--;
    }
    if (i > 0) {
        if (reasons.length > 0)
            warn("%s; using %s", reasons.data, path_base(list.items[i - 1].path));
        *path = mem_strdup(list.items[i - 1].path);
    } else if (list.count > 0) {
        status =
            fail(ERR_DATA, "%s: none of %zu checkpoints is whole: %s", directory, list.count, reasons.data);
    } else {
        *path = NULL;
    }
    str_release(&reasons);
    checkpoint_list_release(&list);
    return status;
}

/* ---- removing ---- */

/* First out of sight, so that a kill in the middle leaves no half checkpoint. */
static int remove_checkpoint(const char *directory, const char *path)
{
    struct str hidden;
    str_init(&hidden);
    str_appendf(&hidden, "%s/%s%s.%ld", directory, SAVE_PREFIX_TEMPORARY, path_base(path), (long)getpid());
    int status = directory_remove(hidden.data);
    if (status == OK)
        status = file_rename(path, hidden.data);
    if (status == OK)
        status = directory_remove(hidden.data);
    str_release(&hidden);
    return status;
}

static bool is_good(const char *path)
{
    bool good = checkpoint_verify(path, CHECKPOINT_SIZES, NULL) == OK;
    if (!good)
        error_clear();
    return good;
}

/* A directory without a manifest of ours may be anything. */
static bool is_ours(const char *path)
{
    struct manifest m;
    char *name = path_join(path, MANIFEST_NAME);
    bool ours = checkpoint_read_manifest(name, &m) == OK;
    if (ours)
        manifest_release(&m);
    else
        error_clear();
    mem_free(name);
    return ours;
}

int checkpoint_prune(const char *directory, int64_t keep, const char *protect, size_t *removed)
{
    struct checkpoint_list list;
    size_t count = 0;
    int64_t good = 0;
    int status = OK;
    if (keep < 1)
        BUG("checkpoint_prune: keep %" PRId64, keep);
    TRY(checkpoint_list_load(&list, directory));
    size_t i = list.count;
    for (; i > 0 && good < keep; i--)
        good += is_good(list.items[i - 1].path);
    for (; i > 0 && status == OK; i--) {
        const char *path = list.items[i - 1].path;
        if ((protect != NULL && strcmp(path_base(path), path_base(protect)) == 0) || !is_ours(path))
            continue;
        status = remove_checkpoint(directory, path);
        count += status == OK;
    }
    checkpoint_list_release(&list);
    if (removed != NULL)
        *removed = count;
    return status;
}

/* ---- leftovers ---- */

/* ".plait-old.checkpoint-900.1234" -> "checkpoint-900" when that is gone. */
static int bring_back(const char *directory, const char *hidden, bool *done)
{
    const char *begin = path_base(hidden) + strlen(SAVE_PREFIX_DISPLACED), *dot = strrchr(begin, '.');
    *done = false;
    if (dot == NULL)
        return OK;
    char *name = mem_strndup(begin, (size_t)(dot - begin)), *target = path_join(directory, name);
    int status = OK;
    if (checkpoint_step(name) >= 0 && !file_exists(target)) {
        status = file_rename(hidden, target);
        *done = status == OK;
    }
    mem_free(name);
    mem_free(target);
    return status;
}

static int remove_leftover(const char *directory, const char *name, size_t *count)
{
    char *path = path_join(directory, name);
    bool back = false;
    int status = OK;
    if (str_starts_with(name, SAVE_PREFIX_DISPLACED))
        status = bring_back(directory, path, &back);
    if (status == OK && !back) {
        if (unlink(path) != 0 && errno != ENOENT)
            status = directory_remove(path);
        *count += status == OK;
    }
    mem_free(path);
    return status;
}

int checkpoint_clean(const char *directory, size_t *count)
{
    char **names;
    size_t name_count;
    *count = 0;
    if (!file_exists(directory))
        return OK;
    int status = directory_list(directory, &names, &name_count);
    if (status != OK)
        return status;
    for (size_t i = 0; i < name_count && status == OK; i++) {
        if (str_starts_with(names[i], SAVE_PREFIX_TEMPORARY) ||
            str_starts_with(names[i], SAVE_PREFIX_DISPLACED))
            status = remove_leftover(directory, names[i], count);
    }
    names_free(names, name_count);
    return status;
}

/* ---- publishing ---- */

int checkpoint_publish(const char *checkpoint, const char *directory)
{
    struct manifest m;
    size_t count = 0;
    TRY(checkpoint_verify(checkpoint, CHECKPOINT_SIZES, &m));
    const char **names = mem_alloc_array(m.count, sizeof(*names));
    for (size_t i = 0; i < m.count; i++) {
        if (m.files[i].kind == MANIFEST_MODEL)
            names[count++] = m.files[i].name;
    }
    int status = install_files(checkpoint, directory, names, count, false);
    mem_free(names);
    manifest_release(&m);
    return status;
}
