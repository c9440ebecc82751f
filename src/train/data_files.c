#include "train/data_files.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

static bool has_match(const char *pattern)
{
    char **paths = NULL;
    size_t count = 0;
    bool found = file_glob(pattern, &paths, &count) == OK && count > 0 && file_exists(paths[0]);

    names_free(paths, count);
    error_clear();
    return found;
}

static void one_file(struct data_files *f, struct option_list *list, const char *path)
{
    list->items = arena_alloc(&f->memory, sizeof(list->items[0]));
    list->items[0] = path;
    list->count = 1;
}

/* --dataset_name: a file, or a folder with files whose names begin with train and validation. */
static int find_named(struct data_files *f, const struct data_wishes *w)
{
    const char *name = w->in->dataset_name, *config = w->in->dataset_config_name;
    const char *roots[] = { ".", w->cache_dir };
    struct str looked;
    int status = OK;

    if (file_exists(name) && !file_is_directory(name)) {
        one_file(f, &f->train, name);
        return OK;
    }
    str_init(&looked);
    for (size_t i = 0; i < 2 && f->train.count == 0 && f->validation.count == 0; i++) {
        const char *part = config ? arena_printf(&f->memory, "%s/%s", name, config) : name;
        const char *folder = roots[i] && i > 0 ? arena_printf(&f->memory, "%s/%s", roots[i], part) : part;
        const char *train = arena_printf(&f->memory, "%s/train*", folder);
        const char *validation = arena_printf(&f->memory, "%s/validation*", folder);
        if (!roots[i])
            continue;
        str_appendf(&looked, "%s%s/{train,validation}*", looked.length ? ", " : "", folder);
        if (has_match(train))
            one_file(f, &f->train, train);
        if (has_match(validation))
            one_file(f, &f->validation, validation);
    }
    if (f->train.count == 0 && f->validation.count == 0) {
        status = fail(ERR_OPEN, "--dataset_name %s: no such file, and none in %s", name, looked.data);
        error_hint("nothing is downloaded; --cache_dir DIR looks in DIR/%s%s%s too", name, config ? "/" : "",
                   config ? config : "");
    }
    str_release(&looked);
    return status;
}

static int find_files(struct data_files *f, const struct data_wishes *w)
{
    if (w->in->dataset_name)
        TRY(find_named(f, w));
    if (w->in->train_file.count > 0)
        f->train = w->in->train_file;
    if (w->in->validation_file.count > 0)
        f->validation = w->in->validation_file;
    if (w->train && f->train.count == 0)
        return fail(ERR_USAGE, "--do_train requires a train dataset");
    if (w->evaluate && f->train.count == 0 && f->validation.count == 0)
        return fail(ERR_USAGE, "--do_eval requires a validation dataset");
    return OK;
}

int data_files_find(struct data_files *f, const struct data_wishes *w)
{
    int status;

    *f = (struct data_files){ 0 };
    arena_init(&f->memory);
    status = find_files(f, w);
    if (status != OK)
        data_files_release(f);
    return status;
}

void data_files_release(struct data_files *f)
{
    arena_release(&f->memory);
    *f = (struct data_files){ 0 };
}
