/* Looking up tensors: under which names writers have saved one. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/weights.h"

/* The value in `m` under the name, prefix + name, or the name without the prefix. */
static bool find_alias(const struct map *m, const char *name, const char *prefix, int64_t *value)
{
    if (map_get(m, name, strlen(name), value))
        return true;
    if (prefix == NULL)
        return false;
    size_t cut = strlen(prefix);
    if (str_starts_with(name, prefix) && map_get(m, name + cut, strlen(name) - cut, value))
        return true;
    struct str longer;
    str_init(&longer);
    str_append(&longer, prefix);
    str_append(&longer, name);
    bool found = map_get(m, longer.data, longer.length, value);
    str_release(&longer);
    return found;
}

/* Norms of files that came from TensorFlow: LayerNorm.gamma is the weight, LayerNorm.beta the bias. */
static bool find_old_norm(const struct map *m, const char *name, const char *prefix, int64_t *value)
{
    static const char *const names[][2] = { { "LayerNorm.weight", "LayerNorm.gamma" },
                                            { "LayerNorm.bias", "LayerNorm.beta" } };
    bool found = false;
    for (int i = 0; i < 2 && !found; i++) {
        if (!str_ends_with(name, names[i][0]))
            continue;
        struct str old;
        str_init(&old);
        str_append_bytes(&old, name, strlen(name) - strlen(names[i][0]));
        str_append(&old, names[i][1]);
        found = find_alias(m, old.data, prefix, value);
        str_release(&old);
    }
    return found;
}

struct weights_tensor *weights_find(struct weights *w, const char *name, const char *prefix)
{
    int64_t at;
    if (!find_alias(&w->names, name, prefix, &at) && !find_old_norm(&w->names, name, prefix, &at))
        return NULL;
    w->tensors[at].used = true;
    return &w->tensors[at];
}

int weights_get(struct weights *w, const char *name, const char *prefix, struct weights_tensor **t)
{
    int64_t file;
    struct weights_tensor *found = weights_find(w, name, prefix);
    if (found != NULL) {
        *t = found;
        return OK;
    }
    if (find_alias(&w->promised, name, prefix, &file))
        return fail(ERR_DATA, "%s: tensor \"%s\" not in %s, where the index says it is", w->path, name,
                    path_base(w->files[file].path));
    const char **names = mem_alloc_array(w->count, sizeof(*names));
    for (size_t i = 0; i < w->count; i++)
        names[i] = w->tensors[i].name;
    const char *nearest = str_nearest(name, names, w->count);
    int status = fail(ERR_DATA, "%s: tensor \"%s\" missing", w->path, name);
    if (nearest != NULL)
        error_hint("the nearest name there is \"%s\"", nearest);
    mem_free(names);
    return status;
}

static void append_shape(struct str *s, int ndim, const int64_t *shape)
{
    str_append(s, "[");
    for (int d = 0; d < ndim; d++)
        str_appendf(s, "%s%" PRId64, d > 0 ? "," : "", shape[d]);
    str_append(s, "]");
}

int weights_check_shape(const struct weights_tensor *t, int ndim, const int64_t *shape)
{
    if (t->info->ndim == ndim &&
        (ndim == 0 || memcmp(t->info->shape, shape, (size_t)ndim * sizeof(*shape)) == 0))
        return OK;
    struct str found, expected;
    str_init(&found);
    str_init(&expected);
    append_shape(&found, t->info->ndim, t->info->shape);
    append_shape(&expected, ndim, shape);
    int status = safetensors_fail(t->file->path, t->name, "wrong shape (found %s, expected %s)", found.data,
                                  expected.data);
    str_release(&found);
    str_release(&expected);
    return status;
}
