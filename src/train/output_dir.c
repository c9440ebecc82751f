#include "train/output_dir.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/checkpoint.h"
#include "ckpt/checkpoint_verify.h"
#include "ckpt/save.h"
#include "train/train_log.h"

/* ---- what is there ---- */

static bool is_empty(const char *path)
{
    char **names = NULL;
    size_t count = 0;
    bool empty = true;

    if (!file_exists(path))
        return true;
    if (directory_list(path, &names, &count) != OK)
        error_clear();
    for (size_t i = 0; i < count; i++)
        empty = empty && (strcmp(names[i], ".plait-lock") == 0);
    names_free(names, count);
    return empty;
}

static int check_usable(const struct output_dir_options *o)
{
    if (o->training && !o->resume && !o->overwrite && !is_empty(o->path)) {
        fail(ERR_CREATE,
             "Output directory (%s) already exists and is not empty. Use --overwrite_output_dir to overcome.",
             o->path);
        error_hint("--resume_from_checkpoint auto goes on with a run that was stopped");
        return ERR_CREATE;
    }
    return OK;
}

/* ---- overwriting ---- */

static bool is_checkpoint_of_ours(const char *path)
{
    struct manifest m;
    char *name = path_join(path, MANIFEST_NAME);
    bool ours = checkpoint_read_manifest(name, &m) == OK;

    if (ours)
        manifest_release(&m);
    error_clear();
    mem_free(name);
    return ours;
}

/* Whether `input` is `path` or lies in it. */
static bool lies_in(const char *input, const char *path)
{
    char *a = path_resolve(input), *b = path_resolve(path);
    size_t length = b ? strlen(b) : 0;
    bool inside = a && b && strncmp(a, b, length) == 0 && (a[length] == '/' || !a[length]);

    mem_free(a);
    mem_free(b);
    return inside;
}

static int check_inputs(const struct output_dir_options *o, const char *path)
{
    for (size_t i = 0; i < o->input_count; i++)
        if (o->inputs[i] && lies_in(o->inputs[i], path))
            return fail(ERR_USAGE, "--overwrite_output_dir would remove %s, which this run reads",
                        o->inputs[i]);
    return OK;
}

/* First out of sight, so that a kill in the middle leaves no half checkpoint. */
static int remove_tree(const char *directory, const char *path)
{
    struct str hidden;
    int status;

    str_init(&hidden);
    str_appendf(&hidden, "%s/%s%s.%ld", directory, SAVE_PREFIX_TEMPORARY, path_base(path), (long)getpid());
    status = file_rename(path, hidden.data);
    if (status == OK)
        status = directory_remove(hidden.data);
    str_release(&hidden);
    return status;
}

static int remove_checkpoints(const struct output_dir_options *o, const struct checkpoint_list *list)
{
    int status = OK;

    for (size_t i = 0; i < list->count && status == OK; i++) {
        if (is_checkpoint_of_ours(list->items[i].path))
            status = remove_tree(o->path, list->items[i].path);
        else
            note("%s: not written by plait, so it stays", list->items[i].path);
    }
    return status;
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

static int remove_all(const struct output_dir_options *o, const struct checkpoint_list *list)
{
    static const char *const files[] = { TRAIN_LOG_NAME, "train_results.json", "eval_results.json",
                                         "all_results.json", "run.json" };
    char *runs;
    int status = OK;

    for (size_t i = 0; i < list->count; i++)
        TRY(check_inputs(o, list->items[i].path));
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        TRY(remove_file(o->path, files[i]));
    runs = path_join(o->path, "runs");
    if (file_is_directory(runs))
        status = remove_tree(o->path, runs);
    mem_free(runs);
    return status == OK ? remove_checkpoints(o, list) : status;
}

/* The model files stay until the new model replaces them: config and tokenizer may be the input of this run.
 */
static int remove_old_run(const struct output_dir_options *o)
{
    struct checkpoint_list list;
    int status;

    TRY(checkpoint_list_load(&list, o->path));
    status = remove_all(o, &list);
    checkpoint_list_release(&list);
    return status;
}

/* ---- going on ---- */

static void warn_of_newer(const char *directory, const char *checkpoint)
{
    struct checkpoint_list list;
    int64_t step = checkpoint_step(path_base(checkpoint));

    if (checkpoint_list_load(&list, directory) != OK) {
        error_clear();
        return;
    }
    if (list.count > 0 && list.items[list.count - 1].step > step && lies_in(checkpoint, directory))
        warn("%s is newer than %s, from which this run goes on", list.items[list.count - 1].path,
             path_base(checkpoint));
    checkpoint_list_release(&list);
}

static int find_named(const char *path, enum checkpoint_check how, char **checkpoint)
{
    char *plain = mem_strdup(path);
    size_t length = strlen(plain);
    int status;

    while (length > 1 && plain[length - 1] == '/')
        plain[--length] = '\0';
    status = file_is_directory(plain) ? checkpoint_verify(plain, how, NULL)
                                      : fail(ERR_OPEN, "Can't find a valid checkpoint at %s", path);
    if (status == OK)
        *checkpoint = plain;
    else
        mem_free(plain);
    return status;
}

int output_dir_find(struct output_dir *d, const struct output_dir_options *o)
{
    const enum checkpoint_check how = o->by_sizes ? CHECKPOINT_SIZES : CHECKPOINT_CHECKSUMS;
    bool is_auto = o->resume && strcmp(o->resume, "auto") == 0;

    mem_free(d->checkpoint);
    d->checkpoint = NULL;
    if (!o->resume)
        return OK;
    if (!is_auto && strcmp(o->resume, "true") != 0) {
        TRY(find_named(o->resume, how, &d->checkpoint));
        warn_of_newer(o->path, d->checkpoint);
        return OK;
    }
    TRY(checkpoint_newest(o->path, how, &d->checkpoint));
    if (!d->checkpoint && !is_auto)
        return fail(ERR_OPEN, "No valid checkpoint found in output directory (%s)", o->path);
    return OK;
}

static int prepare(struct output_dir *d, const struct output_dir_options *o)
{
    size_t leftovers = 0;

    if (o->dry) {
        TRY(check_usable(o));
        return output_dir_find(d, o);
    }
    d->created = file_exists(o->path) ? NULL : mem_strdup(o->path);
    TRY(directory_create(o->path));
    TRY(lock_take(&d->lock, o->path));
    TRY(check_usable(o));
    TRY(checkpoint_clean(o->path, &leftovers));
    if (leftovers > 0)
        inform("%s: removed what a killed save left behind", o->path);
    if (o->overwrite)
        TRY(remove_old_run(o));
    return output_dir_find(d, o);
}

int output_dir_open(struct output_dir *d, const struct output_dir_options *o)
{
    int status;

    *d = (struct output_dir){ .lock.fd = -1 };
    if (file_exists(o->path) && !file_is_directory(o->path))
        return fail(ERR_CREATE, "--output_dir %s: is a file, expected a directory", o->path);
    status = prepare(d, o);
    if (status != OK)
        output_dir_close(d);
    return status;
}

void output_dir_close(struct output_dir *d)
{
    lock_release(&d->lock);
    if (d->created)
        rmdir(d->created); /* a run that was refused leaves nothing; where there is something, it stays */
    mem_free(d->created);
    mem_free(d->checkpoint);
    *d = (struct output_dir){ .lock.fd = -1 };
}
