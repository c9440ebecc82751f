#include "ckpt/hf_tied.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "ckpt/hub.h"
#include "ckpt/share.h"

/* ---- finding ---- */

static bool is_file(const char *name)
{
    return strcmp(name, "-") == 0 || (file_exists(name) && !file_is_directory(name));
}

static int fail_not_found(const char *name, const struct str *places)
{
    struct str shown;
    int status;

    str_init(&shown);
    str_append_escaped(&shown, name, strlen(name), 200);
    status = fail(ERR_OPEN, "config \"%s\" not found (looked in %s, and among the built-in configs)",
                  shown.data, places->data);
    str_release(&shown);
    return status;
}

static int find_preset(const char *name, const struct str *places, struct config *c)
{
    const char *nearest;
    struct str hint;

    if (config_preset(c, name) == OK)
        return OK;
    str_init(&hint);
    nearest = strstr(error_message(), "did you mean ");
    if (nearest)
        str_append_bytes(&hint, nearest, strcspn(nearest, "?") + 1);
    error_clear();
    fail_not_found(name, places);
    if (hint.length)
        error_hint("%s", hint.data);
    str_release(&hint);
    return ERR_OPEN;
}

/* A directory without a config.json hides no built-in config of its name: it may hold a tokenizer alone. */
static int load_found(const char *name, const char *found, struct config *c)
{
    char *path = path_join(found, "config.json");
    bool preset = !file_exists(path) && config_preset(c, name) == OK;

    mem_free(path);
    error_clear();
    if (!preset)
        return config_load(c, found);
    note("%s: no config.json in it, so the built-in config of this name is taken", found);
    return OK;
}

int model_find_config(const char *name, const struct model_options *o, struct config *c, char **directory)
{
    const struct hub_options hub = { .cache_dir = o->cache_dir, .revision = o->revision };
    char *found = NULL;
    struct str places;
    int status;

    if (directory)
        *directory = NULL;
    if (is_file(name)) {
        status = config_load(c, name);
        if (status == OK && directory && strcmp(name, "-") != 0)
            *directory = path_directory(name);
        return status;
    }
    str_init(&places);
    status = hub_find(name, &hub, &found, &places);
    if (status == OK)
        status = found ? load_found(name, found, c) : find_preset(name, &places, c);
    str_release(&places);
    if (status == OK && directory)
        *directory = found;
    else
        mem_free(found);
    return status;
}

/* ---- checking ---- */

const struct weights_tensor *model_source(const struct model *m, const char *param)
{
    int64_t at;

    return map_get(&m->sources, param, strlen(param), &at) ? &m->weights.tensors[at] : NULL;
}

static void warn_new(const struct model *m, const struct str *names)
{
    if (names->length > 0)
        warn("Some weights of %s were not initialized from the model checkpoint at %s and are newly "
             "initialized: %s",
             m->config.architecture, m->weights.path, names->data);
}

/* A base class leaves the prefix of its parameters out. */
static bool same_param(const struct model_def *def, const char *a, const char *b)
{
    size_t cut = strlen(def->prefix);

    return strcmp(a + (str_starts_with(a, def->prefix) ? cut : 0),
                  b + (str_starts_with(b, def->prefix) ? cut : 0)) == 0;
}

/* The parameter, or what is tied to it: converters keep either of the two. */
static int find_source(struct model *m, const struct param *p, struct weights_tensor **t)
{
    const struct model_def *def = m->config.def;

    *t = weights_find(&m->weights, p->name, def->prefix);
    for (const struct tied_tensor *other = def->tied; !*t && other && other->name; other++) {
        if (same_param(def, other->param, p->name))
            *t = weights_find(&m->weights, other->name, def->prefix);
        else if (strcmp(other->name, p->name) == 0 && p->info->file_ndim == 1) /* of an untied head */
            *t = weights_find(&m->weights, other->param, def->prefix);
    }
    return *t ? OK : weights_get(&m->weights, p->name, def->prefix, t);
}

static int find_sources(struct model *m, const struct params *params, struct str *fresh)
{
    for (size_t i = 0; i < params->count; i++) {
        const struct param *p = &params->list[i];
        struct weights_tensor *t;
        int status = find_source(m, p, &t);
        if (status != OK && m->new_head) {
            error_clear();
            str_appendf(fresh, "%s%s", fresh->length ? ", " : "", p->name);
            continue;
        }
        TRY(status);
        if (weights_check_shape(t, p->info->file_ndim, p->info->file_dims) != OK) {
            error_hint("the expected shape follows from %s", m->config.name);
            return ERR_DATA;
        }
        map_set(&m->sources, p->name, strlen(p->name), t - m->weights.tensors);
    }
    return OK;
}

/* As BertModel(add_pooling_layer=False) is saved, or a masked language model. */
static void settle_pooler(struct model *m)
{
    const struct model_def *def = m->config.def;

    if (m->config.head != HEAD_NONE || !def->pooler || weights_find(&m->weights, def->pooler, def->prefix))
        return;
    m->config.no_pooler = true;
    note("%s: no pooler (tensor \"%s\" missing), so there is no pooler_output", m->weights.path, def->pooler);
}

static bool is_ignored(const struct model_def *def, const char *name)
{
    for (int i = 0; def->ignored_tensors && def->ignored_tensors[i]; i++)
        if (str_ends_with(name, def->ignored_tensors[i]))
            return true;
    return false;
}

static void warn_unused(const struct model *m)
{
    enum { SHOWN = 5 };
    struct str names;
    size_t count = 0;

    str_init(&names);
    for (size_t i = 0; i < m->weights.count; i++) {
        const struct weights_tensor *t = &m->weights.tensors[i];
        if (t->used || is_ignored(m->config.def, t->name))
            continue;
        if (count++ >= SHOWN)
            continue;
        str_append(&names, count > 1 ? ", \"" : "\"");
        str_append_escaped(&names, t->name, strlen(t->name), 80);
        str_append(&names, "\"");
    }
    if (count)
        warn("%s: %zu tensors are not used by %s: %s%s", m->weights.path, count, m->config.architecture,
             names.data, count > SHOWN ? ", ..." : "");
    str_release(&names);
}

static int check_weights(struct model *m)
{
    struct params params;
    struct str fresh;
    int status;

    TRY(model_settle_tie(m));
    settle_pooler(m);
    TRY(params_init(&params, &m->config));
    str_init(&fresh);
    status = find_sources(m, &params, &fresh);
    if (status == OK && m->sources.count == 0)
        status = fail(ERR_DATA, "%s: no tensor is one of %s", m->weights.path, m->config.architecture);
    if (status == OK)
        warn_new(m, &fresh);
    str_release(&fresh);
    params_release(&params);
    TRY(status);
    TRY(model_check_tied(m));
    warn_unused(m);
    return OK;
}

/* ---- opening ---- */

static int open_weights(struct model *m, const struct model_options *o, char **found)
{
    const struct hub_options hub = { .cache_dir = o->cache_dir, .revision = o->revision };

    TRY(hub_resolve(o->name, &hub, found));
    TRY(weights_open(&m->weights, *found));
    m->has_weights = true;
    return OK;
}

/* What the caller and the user make of the config that was found. */
static int adapt(struct model *m, const struct model_options *o)
{
    const char *class = m->config.architecture; /* of a constant table */

    if (o->overrides)
        TRY(config_override(&m->config, o->overrides));
    if (o->adapt)
        TRY(o->adapt(o->context, &m->config, m->has_weights && strcmp(class, m->config.architecture) == 0));
    m->seed = o->seed;
    m->new_head = o->new_head && m->has_weights && strcmp(class, m->config.architecture) != 0;
    return OK;
}

int model_open(struct model *m, const struct model_options *o)
{
    const char *name = o->config_name ? o->config_name : o->name;
    char *found = NULL;
    int status;

    *m = (struct model){ .part = o->part, .parts = o->parts ? o->parts : 1 };
    map_init(&m->sources);
    if (o->name)
        status = open_weights(m, o, &found);
    else
        status = name ? OK : fail(ERR_USAGE, "no model (expected --model_name_or_path or --config_name)");
    if (status == OK && found && !o->config_name) {
        status = config_load(&m->config, found);
        m->directory = found;
        found = NULL;
    } else if (status == OK) {
        status = model_find_config(name, o, &m->config, &m->directory);
    }
    if (status == OK)
        status = adapt(m, o);
    if (status == OK && m->config.head == HEAD_CAUSAL && !config_is_causal(&m->config))
        warn("%s: If you want to use `%s` as a standalone, add `is_decoder=True.` (rows see what is to come)",
             m->config.name, m->config.architecture);
    if (status == OK && m->has_weights)
        status = check_weights(m);
    mem_free(found);
    if (status != OK)
        model_close(m);
    return status;
}

void model_close(struct model *m)
{
    if (m->has_weights)
        weights_close(&m->weights);
    config_release(&m->config);
    map_release(&m->sources);
    mem_free(m->directory);
    *m = (struct model){ 0 };
}

const char *model_saved_dtype(const struct model *m)
{
    for (size_t i = 0; m->has_weights && i < m->weights.count; i++) {
        const struct element *e = m->weights.tensors[i].info->element;
        if (e->kind == ELEMENT_FLOAT)
            return strcmp(e->name, "BF16") == 0  ? "bfloat16"
                   : strcmp(e->name, "F16") == 0 ? "float16"
                                                 : "float32";
    }
    return "float32";
}

/* ---- memory ---- */

int model_check_memory(const struct config *c, int copies, double available)
{
    struct params params;
    struct str need, have;
    double bytes;
    int status = OK;

    TRY(params_init(&params, c));
    bytes = 4.0 * (double)params.total * copies;
    params_release(&params);
    if (bytes <= available)
        return OK;
    str_init(&need);
    str_init(&have);
    str_append_bytes_human(&need, bytes);
    str_append_bytes_human(&have, available);
    status = fail(ERR_SYSTEM, "%s: not enough memory for the parameters (found %s, expected at least %s)",
                  c->name, have.data, need.data);
    str_release(&need);
    str_release(&have);
    return status;
}

/* ---- stores ---- */

struct reading {
    const struct weights_tensor *t;
    float *data;
};

static int read_box(void *context, const struct box *box, int64_t offset, const int64_t *stride)
{
    const struct reading *r = context;

    return weights_read(r->t, box, r->data + offset, stride);
}

struct randomising {
    struct stored *p;
    uint64_t seed;
};

/* A box of the file, row by row: the innermost dim runs through without gaps on both sides. */
static int randomise_box(void *context, const struct box *box, int64_t offset, const int64_t *stride)
{
    const struct randomising *r = context;
    const struct param_info *info = &r->p->param;
    int last = box->ndim - 1;
    int64_t index[BOX_MAX_DIMS] = { 0 }, first, at;
    int d;

    do {
        first = 0;
        at = offset;
        for (d = 0; d <= last; d++) {
            first = first * info->file_dims[d] + box->start[d] + index[d];
            at += index[d] * stride[d];
        }
        param_random(r->p->name, info, r->seed,
                     (struct param_range){ first, last >= 0 ? box->size[last] : 1 }, r->p->data + at);
        for (d = last - 1; d >= 0 && ++index[d] == box->size[d]; d--)
            index[d] = 0;
    } while (d >= 0);
    return OK;
}

static void randomise(struct stored *p, uint64_t seed)
{
    struct randomising r = { .p = p, .seed = seed };

    if (share_is_whole(p)) {
        param_random(p->name, &p->param, seed, (struct param_range){ 0, share_count(p) }, p->data);
        return;
    }
    memset(p->data, 0, (size_t)share_count(p) * sizeof(float));
    share_each_box(p, randomise_box, &r);
}

void model_init_store(struct store *s, uint64_t seed)
{
    for (size_t i = 0; i < store_count(s); i++)
        if (store_at(s, i)->kind == TENSOR_PARAM)
            randomise(store_at(s, i), seed);
}

int model_fill_store(const struct model *m, struct store *s)
{
    for (size_t i = 0; i < store_count(s); i++) {
        struct stored *p = store_at(s, i);
        struct reading r = { .data = p->data };
        if (p->kind != TENSOR_PARAM)
            continue;
        r.t = model_source(m, p->name);
        if (!r.t && !m->new_head)
            BUG("%s: no weights for %s", m->config.name, p->name);
        if (!r.t) {
            randomise(p, m->seed);
            continue;
        }
        if (!share_is_whole(p))
            memset(p->data, 0, (size_t)share_count(p) * sizeof(float));
        TRY(share_each_box(p, read_box, &r));
    }
    return OK;
}
