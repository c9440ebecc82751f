/* Model handles: opened, made, saved, asked about. Weights stay in their files until a runner or a read wants
 * them. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"
#include "base/file.h"
#include "cpu/machine.h"

#define DEFAULT_SEED 42

/* ---- what is made when it is wanted ---- */

int model_params(struct plait_model *m)
{
    return m->params.graph ? OK : params_init(&m->params, &m->model.config);
}

struct store *model_store(struct plait_model *m)
{
    if (!m->store)
        m->store = store_create();
    return m->store;
}

/* Parameters that are there already are read again, which changes nothing: a second plan of a model seldom
 * adds one. */
int model_fill(struct plait_model *m)
{
    size_t count = store_count(model_store(m));
    bool added = false;

    for (size_t i = m->filled; i < count; i++)
        added = added || store_at(m->store, i)->kind == TENSOR_PARAM;
    if (added && m->model.has_weights)
        TRY(model_fill_store(&m->model, m->store));
    else if (added)
        model_init_store(m->store, m->seed);
    m->filled = count;
    return OK;
}

void api_runner_free(struct api_runner *r)
{
    executor_free(r->executor);
    plan_free(r->plan);
    *r = (struct api_runner){ 0 };
}

int api_runner_create(struct plait_model *m, const struct compile_options *o, struct api_runner *out)
{
    struct api_runner r = { .task = o->task };
    struct compile_options options = *o;
    struct machine machine;
    int status;

    TRY(machine_detect(&machine));
    options.dtype = m->dtype;
    TRY(plan_compile(&m->model.config, &options, &machine, &r.plan));
    status = executor_create(r.plan, model_store(m), NULL, 0, &r.executor);
    if (status == OK)
        status = model_fill(m);
    if (status == OK)
        *out = r;
    else
        api_runner_free(&r);
    return status;
}

void model_forget(struct plait_model *m)
{
    api_runner_free(&m->forward);
    generator_free(m->generator);
    m->generator = NULL;
    store_free(m->store);
    m->store = NULL;
    m->filled = 0;
    m->gradient_labels = 0;
}

static void release(struct plait_model *m)
{
    model_forget(m);
    if (m->params.graph)
        params_release(&m->params);
    m->params = (struct params){ 0 };
    model_close(&m->model);
}

void model_replace(struct plait_model *m, struct model *by)
{
    release(m);
    m->model = *by;
}

/* ---- life ---- */

int plait_model_options_init(struct plait_model_options *o, size_t size)
{
    const struct plait_model_options preset = { .seed = DEFAULT_SEED };

    TRY(api_begin("plait_model_options_init", o, "o"));
    return api_give("plait_model_options", o, size, &preset, sizeof(preset), sizeof(preset));
}

static int open_model(struct model_options *names, const struct plait_model_options *given,
                      struct plait_model **out)
{
    struct plait_model_options o = { .seed = DEFAULT_SEED };
    struct plait_model *m;
    int status;

    if (given)
        TRY(api_take("plait_model_options", given, &o, sizeof(o), sizeof(o)));
    if (o.seed < 0)
        return fail(ERR_USAGE, "seed is %" PRId64 ", expected at least 0", o.seed);
    if (o.dtype && strcmp(o.dtype, "float32") != 0 && strcmp(o.dtype, "bfloat16") != 0)
        return fail(ERR_USAGE, "dtype is \"%s\", expected \"float32\" or \"bfloat16\"", o.dtype);
    names->cache_dir = o.cache_dir;
    names->revision = o.revision;
    names->overrides = o.overrides;
    m = mem_alloc(sizeof(*m));
    m->seed = (uint64_t)o.seed;
    m->dtype = o.dtype && strcmp(o.dtype, "bfloat16") == 0 ? DT_BF16 : DT_F32;
    status = model_open(&m->model, names);
    if (status == OK)
        *out = m;
    else
        mem_free(m);
    return status;
}

int plait_model_open(const char *name, const struct plait_model_options *options, struct plait_model **out)
{
    TRY(api_begin("plait_model_open", name, "name"));
    TRY(api_require("plait_model_open", out, "out"));
    return open_model(&(struct model_options){ .name = name }, options, out);
}

int plait_model_create(const char *config, const struct plait_model_options *options,
                       struct plait_model **out)
{
    TRY(api_begin("plait_model_create", config, "config"));
    TRY(api_require("plait_model_create", out, "out"));
    return open_model(&(struct model_options){ .config_name = config }, options, out);
}

void plait_model_free(struct plait_model *m)
{
    if (!m)
        return;
    release(m);
    mem_free(m);
}

/* ---- facts ---- */

const char *plait_model_type(const struct plait_model *m)
{
    return m ? m->model.config.def->name : NULL;
}

int64_t plait_model_vocab_size(const struct plait_model *m)
{
    return m ? m->model.config.sizes.vocab : 0;
}

int64_t plait_model_max_length(const struct plait_model *m)
{
    return m ? m->model.config.sizes.positions : 0;
}

int64_t plait_model_width(const struct plait_model *m)
{
    return m ? m->model.config.sizes.width : 0;
}

int64_t plait_model_layer_count(const struct plait_model *m)
{
    return m ? m->model.config.sizes.layers : 0;
}

const char *plait_model_directory(const struct plait_model *m)
{
    return m ? m->model.directory : NULL;
}

const char *plait_model_config(const struct plait_model *m, const char *key)
{
    return m && key ? config_get(&m->model.config, key) : NULL;
}

/* ---- parameters and saving ---- */

/* Elements first .. first + count - 1 of a parameter, from wherever they are. */
static int read_elements(const struct plait_model *m, const struct param *p, int64_t first, int64_t count,
                         float *out)
{
    const struct weights_tensor *t = model_source(&m->model, p->name);

    if (t)
        return weights_read_range(t, first, count, out);
    param_random(p->name, p->info, m->seed, (struct param_range){ first, count }, out);
    return OK;
}

struct origin {
    const struct plait_model *m;
    const struct param *param;
};

static int read_for_save(const struct weights_param *p, int64_t first, int64_t count, float *out)
{
    const struct origin *o = p->context;

    return read_elements(o->m, o->param, first, count, out);
}

int plait_model_save(struct plait_model *m, const char *directory, const char *dtype, const char *tokenizer)
{
    struct model_save_options o = { .dtype = dtype };
    struct weights_param *list;
    struct origin *origins;
    int status;

    TRY(api_begin("plait_model_save", m, "m"));
    TRY(api_require("plait_model_save", directory, "directory"));
    TRY(model_params(m));
    o.tokenizer_dir = tokenizer ? tokenizer : m->model.directory;
    o.generation_dir = m->model.has_weights ? m->model.directory : NULL;
    list = mem_alloc_array(m->params.count + 1, sizeof(list[0]));
    origins = mem_alloc_array(m->params.count + 1, sizeof(origins[0]));
    for (size_t i = 0; i < m->params.count; i++) {
        const struct param *p = &m->params.list[i];
        origins[i] = (struct origin){ m, p };
        list[i] = (struct weights_param){ .name = p->name,
                                          .ndim = p->info->file_ndim,
                                          .shape = p->info->file_dims,
                                          .read = read_for_save,
                                          .context = &origins[i] };
    }
    status = model_save(directory, &m->model.config, list, m->params.count, &o);
    mem_free(list);
    mem_free(origins);
    return status;
}

int64_t plait_model_param_count(struct plait_model *m)
{
    if (api_begin("plait_model_param_count", m, "m") != OK || model_params(m) != OK)
        return -1;
    return (int64_t)m->params.count;
}

static const struct param *param_at(struct plait_model *m, int64_t index)
{
    if (!m || model_params(m) != OK || index < 0 || index >= (int64_t)m->params.count)
        return NULL;
    return &m->params.list[index];
}

const char *plait_model_param_name(struct plait_model *m, int64_t index)
{
    const struct param *p = param_at(m, index);

    return p ? p->name : NULL;
}

int plait_model_param_shape(struct plait_model *m, int64_t index, int64_t *dims, int capacity)
{
    const struct param *p = param_at(m, index);

    if (!p)
        return -1;
    for (int d = 0; dims && d < p->info->file_ndim && d < capacity; d++)
        dims[d] = p->info->file_dims[d];
    return p->info->file_ndim;
}

static int find_param(struct plait_model *m, const char *name, int64_t count, const struct param **out)
{
    TRY(model_params(m));
    *out = params_find(&m->params, name);
    if (!*out)
        return fail(ERR_USAGE, "%s: the model has no such parameter", name);
    if ((*out)->count != count)
        return fail(ERR_USAGE,
                    "%s: wrong number of values (found room for %" PRId64 ", expected %" PRId64 ")", name,
                    count, (*out)->count);
    return OK;
}

int plait_model_param_read(struct plait_model *m, const char *name, float *values, int64_t count)
{
    const struct param *p;

    TRY(api_begin("plait_model_param_read", m, "m"));
    TRY(api_require("plait_model_param_read", name, "name"));
    TRY(api_require("plait_model_param_read", values, "values"));
    TRY(find_param(m, name, count, &p));
    return read_elements(m, p, 0, count, values);
}

int plait_model_gradient_read(struct plait_model *m, const char *name, float *values, int64_t count)
{
    const struct stored *s;
    const struct param *p;
    struct str key;

    TRY(api_begin("plait_model_gradient_read", m, "m"));
    TRY(api_require("plait_model_gradient_read", name, "name"));
    TRY(api_require("plait_model_gradient_read", values, "values"));
    TRY(find_param(m, name, count, &p));
    str_init(&key);
    str_appendf(&key, "grad.%s", name);
    s = m->gradient_labels ? store_find(m->store, key.data) : NULL;
    str_release(&key);
    if (!s)
        return fail(ERR_USAGE, "%s: there is no gradient (expected a forward with gradients before)", name);
    stored_to_whole(s, values);
    for (int64_t i = 0; i < count; i++)
        values[i] /= (float)m->gradient_labels;
    return OK;
}
