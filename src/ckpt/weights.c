#include "ckpt/weights.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "ckpt/checkpoint.h"
#include "ckpt/flax.h"
#include "ckpt/pieces.h"
#include "ckpt/regular.h"
#include "ckpt/weights_index.h"

/* What a directory may hold, in transformers' order of choice. */
static const char *const single_names[] = { "model.safetensors", "pytorch_model.bin", "flax_model.msgpack" };
enum { SINGLE_NAMES = sizeof(single_names) / sizeof(single_names[0]) };

static void append_name(struct str *s, const char *name, size_t length)
{
    str_append(s, "\"");
    str_append_escaped(s, name, length, 120);
    str_append(s, "\"");
}

/* ---- tables ---- */

static int fail_twice(const struct weights *w, const struct weights_tensor *a, const struct weights_file *b)
{
    struct str s;
    str_init(&s);
    append_name(&s, a->name, strlen(a->name));
    int status = fail(ERR_DATA, "%s: tensor %s in %s also in %s", w->path, s.data, path_base(a->file->path),
                      path_base(b->path));
    str_release(&s);
    return status;
}

static int add_tensors(struct weights *w)
{
    size_t total = 0, at = 0;
    for (size_t f = 0; f < w->file_count; f++)
        total += w->files[f].count;
    w->tensors = mem_alloc_array(total, sizeof(*w->tensors));
    w->count = total;
    for (size_t f = 0; f < w->file_count; f++) {
        const struct weights_file *file = &w->files[f];
        for (size_t i = 0; i < file->count; i++, at++) {
            const char *name = file->tensors[i].name;
            w->tensors[at] = file->tensors[i];
            if (!map_add(&w->names, name, strlen(name), (int64_t)at)) {
                int64_t first = 0;
                map_get(&w->names, name, strlen(name), &first);
                return fail_twice(w, &w->tensors[first], file);
            }
        }
    }
    return OK;
}

/* ---- shards ---- */

static int check_shards_there(const struct weights *w, const char *const *paths, size_t count)
{
    struct str absent;
    size_t missing = 0;
    const char *first = NULL;
    str_init(&absent);
    for (size_t i = 0; i < count; i++) {
        if (file_exists(paths[i]))
            continue;
        if (missing++ == 0)
            first = paths[i];
        str_appendf(&absent, "%s%s", missing > 1 ? ", " : "", path_base(paths[i]));
    }
    if (missing > 0) {
        fail(ERR_OPEN, "%s: shard \"%s\" missing (%zu of %zu shards are)", w->path, path_base(first), missing,
             count);
        error_hint("absent: %s", absent.data);
    }
    str_release(&absent);
    return missing > 0 ? ERR_OPEN : OK;
}

/* Every tensor of the index is in the shard the index names. One that is in none is only remembered:
 * converters leave tied tensors in the index which they have dropped from the files. */
static int check_promises(struct weights *w, const struct weights_index *x)
{
    for (size_t i = 0; i < x->tensors.count; i++) {
        const struct map_entry *e = &x->tensors.entries[i];
        int64_t at;
        if (!map_get(&w->names, e->key, e->length, &at)) {
            map_add(&w->promised, e->key, e->length, e->value);
        } else if (w->tensors[at].file != &w->files[e->value]) {
            struct str s;
            str_init(&s);
            append_name(&s, e->key, e->length);
            int status = fail(ERR_DATA, "%s: tensor %s not in %s (found in %s)", w->path, s.data,
                              path_base(w->files[e->value].path), path_base(w->tensors[at].file->path));
            str_release(&s);
            return status;
        }
    }
    return OK;
}

static int check_all_indexed(const struct weights *w, const struct weights_index *x)
{
    struct str names;
    size_t missing = 0;
    str_init(&names);
    for (size_t i = 0; i < w->count; i++) {
        const char *name = w->tensors[i].name;
        if (map_find(&x->tensors, name, strlen(name)) != NULL)
            continue;
        if (missing++ < 3) {
            str_append(&names, missing > 1 ? ", " : "");
            append_name(&names, name, strlen(name));
        }
    }
    int status = OK;
    if (missing > 0)
        status = fail(ERR_DATA, "%s: %zu tensors in the shards are not in the index: %s%s", w->path, missing,
                      names.data, missing > 3 ? ", ..." : "");
    str_release(&names);
    return status;
}

/* Shards that say which save they belong to say the same. */
static int check_one_save(const struct weights *w)
{
    const struct weights_file *first = NULL;
    const char *tag = NULL;
    for (size_t f = 0; f < w->file_count; f++) {
        const char *other = w->files[f].tag;
        if (other == NULL)
            continue;
        if (tag != NULL && strcmp(tag, other) != 0) {
            struct str a, b;
            str_init(&a);
            str_init(&b);
            append_name(&a, tag, strlen(tag));
            append_name(&b, other, strlen(other));
            int status = fail(ERR_DATA, "%s: shards of different saves: %s belongs to %s, %s to %s", w->path,
                              path_base(first->path), a.data, path_base(w->files[f].path), b.data);
            str_release(&a);
            str_release(&b);
            return status;
        }
        tag = other;
        first = &w->files[f];
    }
    return OK;
}

/* (Writers of .bin files count what is shared once.) */
static void check_total_size(const struct weights *w, const struct weights_index *x)
{
    uint64_t total = 0;
    if (!str_ends_with(w->path, ".safetensors.index.json"))
        return;
    for (size_t i = 0; i < w->count; i++)
        total += w->tensors[i].info->end - w->tensors[i].info->begin;
    if (x->total_size != 0 && x->total_size != total)
        warn("%s: total_size says %" PRIu64 ", shards hold %" PRIu64, w->path, x->total_size, total);
}

static int open_files(struct weights *w, char **paths, size_t count)
{
    int status = OK;
    w->files = mem_alloc_array(count, sizeof(*w->files));
    for (size_t i = 0; i < count && status == OK; i++) {
        status = weights_file_open(&w->files[i], paths[i]);
        w->file_count += status == OK;
    }
    return status == OK ? check_one_save(w) : status;
}

static int open_shards(struct weights *w, const char *directory, const struct weights_index *x)
{
    size_t count = x->shards.count;
    char **paths = mem_alloc_array(count, sizeof(*paths));
    for (size_t i = 0; i < count; i++)
        paths[i] = path_join(directory, x->shards.entries[i].key);
    int status = check_shards_there(w, (const char *const *)paths, count);
    if (status == OK)
        status = open_files(w, paths, count);
    names_free(paths, count);
    TRY(status);
    TRY(add_tensors(w));
    TRY(check_promises(w, x));
    TRY(check_all_indexed(w, x));
    check_total_size(w, x);
    return OK;
}

/* A Flax index has Flax's names. */
static void rename_tensors(struct weights_index *x)
{
    struct map renamed;
    struct str name;
    map_init(&renamed);
    str_init(&name);
    for (size_t i = 0; i < x->tensors.count; i++) {
        const struct map_entry *e = &x->tensors.entries[i];
        str_clear(&name);
        flax_append_name(&name, e->key, e->length);
        map_add(&renamed, name.data, name.length, e->value);
    }
    str_release(&name);
    map_release(&x->tensors);
    x->tensors = renamed;
}

static int open_index(struct weights *w, const char *path)
{
    struct weights_index x;
    struct str text;
    w->path = arena_strdup(&w->memory, path);
    str_init(&text);
    int status = regular_read(path, &text);
    if (status == OK)
        status = weights_index_parse(&x, path, text.data, text.length);
    str_release(&text);
    TRY(status);
    if (str_ends_with(path, ".msgpack.index.json"))
        rename_tensors(&x);
    char *directory = path_directory(path);
    status = open_shards(w, directory, &x);
    mem_free(directory);
    weights_index_release(&x);
    return status;
}

/* ---- opening ---- */

static int open_single(struct weights *w, const char *path)
{
    w->files = mem_alloc(sizeof(*w->files));
    TRY(weights_file_open(w->files, path));
    w->file_count = 1;
    return add_tensors(w);
}

/* The directory of a run that has not come to its end holds nothing else. */
static void hint_checkpoint(const char *directory, char *const *names, size_t count)
{
    int64_t newest = -1;

    for (size_t i = 0; i < count; i++)
        if (checkpoint_step(names[i]) > newest)
            newest = checkpoint_step(names[i]);
    if (newest >= 0)
        error_hint("its newest checkpoint is %s/checkpoint-%" PRId64, directory, newest);
}

static int fail_no_weights(const char *directory)
{
    char **names;
    size_t count;
    struct str others;
    TRY(directory_list(directory, &names, &count));
    str_init(&others);
    for (size_t i = 0; i < count; i++) {
        if (str_ends_with(names[i], ".safetensors") || str_ends_with(names[i], ".bin") ||
            str_ends_with(names[i], ".msgpack") || str_ends_with(names[i], ".h5") ||
            str_ends_with(names[i], ".gguf"))
            str_appendf(&others, "%s%s", others.length > 0 ? ", " : "", names[i]);
    }
    int status =
        fail(ERR_OPEN, "%s: no weights (found %s, expected %s, %s or %s, or one of their indices)", directory,
             others.length > 0 ? others.data : "none", single_names[0], single_names[1], single_names[2]);
    hint_checkpoint(directory, names, count);
    str_release(&others);
    names_free(names, count);
    return status;
}

/* The first that is there, as a path that the caller frees; NULL: none. */
static char *find_file(const char *directory, bool *both)
{
    for (int i = 0; i < SINGLE_NAMES; i++) {
        struct str index;
        char *single = path_join(directory, single_names[i]);
        str_init(&index);
        str_appendf(&index, "%s.index.json", single);
        bool has_single = file_exists(single), has_index = file_exists(index.data);
        *both = has_single && has_index;
        if (has_single) {
            str_release(&index);
            return single;
        }
        mem_free(single);
        if (has_index)
            return str_detach(&index);
        str_release(&index);
    }
    return NULL;
}

static bool has_pieces(const char *directory, const char *base)
{
    char **names = NULL;
    size_t count = 0;
    if (pieces_list(directory, base, &names, &count) != OK)
        error_clear();
    names_free(names, count);
    return count > 0;
}

bool weights_base_found(const char *directory, const char *base)
{
    struct str path;
    str_init(&path);
    str_appendf(&path, "%s/%s.safetensors", directory, base);
    bool found = file_exists(path.data) || has_pieces(directory, base);
    str_release(&path);
    return found;
}

bool weights_found(const char *directory)
{
    bool both;
    char *path = find_file(directory, &both);
    mem_free(path);
    return path != NULL || has_pieces(directory, "model");
}

bool weights_in_pieces(const char *directory)
{
    bool both;
    char *path = find_file(directory, &both);
    mem_free(path);
    return path == NULL && has_pieces(directory, "model");
}

/* *there: whether there are any. */
static int open_pieces(struct weights *w, const char *directory, const char *base, bool *there)
{
    char **names;
    size_t count;
    TRY(pieces_list(directory, base, &names, &count));
    *there = count > 0;
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(directory, names[i]);
        mem_free(names[i]);
        names[i] = path;
    }
    int status = *there ? open_files(w, names, count) : OK;
    if (status == OK && *there)
        status = pieces_join(w);
    names_free(names, count);
    return status;
}

static int open_directory(struct weights *w, const char *directory)
{
    bool both = false, pieces = false;
    char *path = find_file(directory, &both);
    if (path == NULL) {
        TRY(open_pieces(w, directory, "model", &pieces));
        return pieces ? OK : fail_no_weights(directory);
    }
    if (both)
        warn("%s: holds both %s and %s.index.json; the first is used", directory, path_base(path),
             path_base(path));
    int status = str_ends_with(path, ".json") ? open_index(w, path) : open_single(w, path);
    mem_free(path);
    return status;
}

static void begin(struct weights *w, const char *path)
{
    *w = (struct weights){ 0 };
    arena_init(&w->memory);
    map_init(&w->names);
    map_init(&w->promised);
    w->path = arena_strdup(&w->memory, path);
}

int weights_open_base(struct weights *w, const char *directory, const char *base)
{
    struct str path;
    bool pieces = false;
    int status = OK;
    str_init(&path);
    str_appendf(&path, "%s/%s.safetensors", directory, base);
    begin(w, file_exists(path.data) ? path.data : directory);
    if (!file_exists(path.data))
        status = open_pieces(w, directory, base, &pieces);
    if (status == OK && !pieces)
        status = open_single(w, path.data);
    if (status != OK)
        weights_close(w);
    str_release(&path);
    return status;
}

int weights_open(struct weights *w, const char *path)
{
    int status;
    begin(w, path);
    if (file_is_directory(path))
        status = open_directory(w, path);
    else if (str_ends_with(path, ".json"))
        status = open_index(w, path);
    else
        status = open_single(w, path);
    if (status != OK)
        weights_close(w);
    return status;
}

void weights_close(struct weights *w)
{
    for (size_t i = 0; i < w->file_count; i++)
        weights_file_close(&w->files[i]);
    mem_free(w->files);
    mem_free(w->tensors);
    map_release(&w->names);
    map_release(&w->promised);
    arena_release(&w->memory);
    *w = (struct weights){ 0 };
}
