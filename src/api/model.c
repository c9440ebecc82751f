/* Model handles: opened, made, saved, asked about. Weights stay in their files until a runner or a read wants
 * them. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"
#include "api/export.h"
#include "plan/partition.h"
#include "train/together.h"

/* ---- what is made when it is wanted ---- */

int model_params(struct plait_model *m)
{
    return m->params.graph ? OK : params_init(&m->params, &m->model.config);
}

static bool has_threads(const struct plait_model *m)
{
    return !m->world || !m->world->comm;
}

static int make_stores(struct plait_model *m)
{
    int ranks = mesh_ranks(&m->mesh);

    if (m->stores)
        return OK;
    if (has_threads(m)) {
        struct comm **ends = mem_alloc_array((size_t)ranks, sizeof(ends[0]));
        int status = comm_local_create(&m->mesh, ends);
        if (status != OK) {
            mem_free(ends);
            return status;
        }
        m->ends = ends;
    }
    m->stores = mem_alloc_array((size_t)ranks, sizeof(m->stores[0]));
    m->filled = mem_alloc_array((size_t)ranks, sizeof(m->filled[0]));
    for (int r = 0; r < ranks; r++)
        if (has_threads(m) || r == m->world->rank)
            m->stores[r] = store_create();
    return OK;
}

int model_run(struct plait_model *m, int (*fn)(void *context, int rank, struct comm *comm), void *context)
{
    TRY(make_stores(m));
    if (!has_threads(m))
        return world_run(m->world, &m->mesh, fn, context);
    if (mesh_ranks(&m->mesh) == 1)
        return fn(context, 0, m->ends[0]);
    return comm_local_run_on(m->ends, mesh_ranks(&m->mesh), world_threads(m->world, &m->mesh), fn, context);
}

struct gathering {
    struct plait_model *m;
    int (*fn)(void *context, struct gather *g);
    void *context;
};

static int gather_rank(void *context, int rank, struct comm *comm)
{
    const struct gathering *x = context;

    return gather_run(comm, x->m->stores[rank], x->fn, x->context);
}

int model_gather(struct plait_model *m, int (*fn)(void *context, struct gather *g), void *context)
{
    return model_run(m, gather_rank, &(struct gathering){ m, fn, context });
}

/* Parameters that are there already are read again, which changes nothing: a second plan of a model seldom
 * adds one. */
int model_fill(struct plait_model *m, int rank)
{
    struct store *store = m->stores[rank];
    size_t count = store_count(store);
    bool added = false;

    for (size_t i = m->filled[rank]; i < count; i++)
        added = added || store_at(store, i)->kind == TENSOR_PARAM;
    if (added && m->model.has_weights)
        TRY(model_fill_store(&m->model, store));
    else if (added)
        model_init_store(store, m->names.seed);
    m->filled[rank] = count;
    return OK;
}

void model_forget(struct plait_model *m)
{
    int ranks = mesh_ranks(&m->mesh);

    forward_free(m);
    for (int r = 0; r < ranks; r++) {
        if (m->generators)
            generator_free(m->generators[r]);
        if (m->stores)
            store_free(m->stores[r]);
        if (m->ends)
            comm_free(m->ends[r]);
    }
    mem_free(m->generators);
    mem_free(m->stores);
    mem_free(m->ends);
    mem_free(m->filled);
    m->generators = NULL;
    m->stores = NULL;
    m->ends = NULL;
    m->filled = NULL;
}

static void release(struct plait_model *m)
{
    model_forget(m);
    if (m->params.graph)
        params_release(&m->params);
    m->params = (struct params){ 0 };
    model_close(&m->model);
}

int model_reopen(struct plait_model *m, const char *name)
{
    struct model_options names = { .name = arena_strdup(&m->memory, name), .seed = m->names.seed };
    struct model model;

    TRY(model_open(&model, &names));
    release(m);
    m->model = model;
    m->names = names;
    return OK;
}

/* ---- life ---- */

static const char *keep(struct plait_model *m, const char *text)
{
    return text ? arena_strdup(&m->memory, text) : NULL;
}

static int open_handle(struct plait_model *m, const struct model_handle_options *o)
{
    int status;

    TRY(parallel_mesh(o->parallel, o->world, &m->mesh));
    parallel_wish(o->parallel, &m->mesh, &m->wish);
    o->parallel->searched = layout_is_open(&m->wish);
    if (!o->parallel->searched)
        m->wish.world = 0;
    TRY(compute_check(o->compute, world_host_ranks(o->world, &m->mesh), &m->available));
    TRY(parallel_pipeline(o->parallel, &m->mesh, &m->pipeline));
    TRY(parallel_rules(o->parallel, o->world, &m->mesh, &m->rules));
    m->world = o->world;
    m->dtype = compute_dtype(o->compute);
    m->recompute = parallel_recompute(o->parallel);
    m->zero_stage = parallel_zero_stage(o->parallel, &m->mesh);
    m->names = (struct model_options){ .name = keep(m, o->names.name),
                                       .config_name = keep(m, o->names.config_name),
                                       .cache_dir = keep(m, o->names.cache_dir),
                                       .revision = keep(m, o->names.revision),
                                       .overrides = keep(m, o->names.overrides),
                                       .new_head = o->names.new_head,
                                       .seed = o->names.seed,
                                       .part = o->world ? o->world->rank : 0,
                                       .parts = o->world ? o->world->ranks : 0 };
    TRY(model_open(&m->model, &m->names));
    status = together_compare(o->world, &m->model, NULL, 0);
    if (status != OK)
        model_close(&m->model);
    return status;
}

int model_handle_open(const struct model_handle_options *o, struct plait_model **out)
{
    struct plait_model *m = mem_alloc(sizeof(*m));
    int status;

    arena_init(&m->memory);
    status = open_handle(m, o);
    if (status == OK) {
        *out = m;
        return OK;
    }
    partition_rules_free(m->rules);
    arena_release(&m->memory);
    mem_free(m);
    return status;
}

void plait_model_free(struct plait_model *m)
{
    if (!m)
        return;
    release(m);
    partition_rules_free(m->rules);
    arena_release(&m->memory);
    mem_free(m);
}

struct values {
    struct model_choice choice;
    struct compute_options compute;
    struct parallel_options parallel;
    int64_t seed;
};

static const struct option seed_options[] = {
    { "seed", OPTION_INT, 0, "42", "random weights are a function of it", .min = 0, .max = 1e15 },
    { 0 },
};

static const struct option_part parts[] = {
    { "", config_options_table, offsetof(struct values, choice) },
    { "", compute_options, offsetof(struct values, compute) },
    { "", parallel_options, offsetof(struct values, parallel) },
    { "", seed_options, offsetof(struct values, seed) },
    { "", hub_notes, 0 },
    { 0 },
};

static int open_model(const char *name, const char *config, const char *const *options,
                      struct plait_model **out)
{
    struct model_handle_options o = { 0 };
    struct api_options given;
    struct values v = { 0 };
    int status;

    TRY(api_options_read(&given, "forward", parts, &v, options));
    if (config && v.choice.config_name)
        status = fail(ERR_USAGE, "plait_model_create: there are two configs (found %s and config_name %s)",
                      config, v.choice.config_name);
    else {
        v.choice.name = name;
        v.choice.config_name = config ? config : v.choice.config_name;
        o = (struct model_handle_options){ .compute = &v.compute, .parallel = &v.parallel };
        model_choice_options(&v.choice, &o.names);
        o.names.seed = (uint64_t)v.seed;
        o.names.new_head = true;
        status = model_handle_open(&o, out);
    }
    api_options_release(&given);
    return status;
}

int plait_model_open(const char *name, const char *const *options, struct plait_model **out)
{
    TRY(api_begin("plait_model_open", name, "name"));
    TRY(api_require("plait_model_open", out, "out"));
    return open_model(name, NULL, options, out);
}

int plait_model_create(const char *config, const char *const *options, struct plait_model **out)
{
    TRY(api_begin("plait_model_create", config, "config"));
    TRY(api_require("plait_model_create", out, "out"));
    return open_model(NULL, config, options, out);
}

/* ---- facts ---- */

const char *plait_model_type(const struct plait_model *m)
{
    return m ? m->model.config.def->name : NULL;
}

const char *plait_model_class(const struct plait_model *m)
{
    return m ? m->model.config.architecture : NULL;
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
    param_random(p->name, p->info, m->names.seed, (struct param_range){ first, count }, out);
    return OK;
}

struct save_values {
    struct export_values export;
    bool sharded;
};

static const struct option sharded_options[] = {
    { "save_sharded", OPTION_BOOL, offsetof(struct save_values, sharded), "false",
      "in the pieces of the layout that the model was opened for" },
    { 0 },
};

static const struct option_part save_parts[] = {
    { .parts = export_parts, .offset = offsetof(struct save_values, export) },
    { "", sharded_options, 0 },
    { 0 },
};

int plait_model_save(struct plait_model *m, const char *directory, const char *const *options)
{
    struct save_values v = { 0 };
    struct api_options given;
    int status;

    TRY(api_begin("plait_model_save", m, "m"));
    TRY(api_require("plait_model_save", directory, "directory"));
    TRY(api_options_read(&given, "init", save_parts, &v, options));
    v.export.output_dir = directory;
    v.export.seed = m->names.seed;
    v.export.mesh = v.sharded ? &m->mesh : NULL;
    v.export.rules = m->rules;
    status = export_model(&v.export, &m->names);
    api_options_release(&given);
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

struct gradient_wish {
    const struct plait_model *m;
    const struct param *param;
    float *values;
};

static int read_gradient(void *context, struct gather *g)
{
    const struct gradient_wish *w = context;
    float *part = mem_alloc_array((size_t)w->param->count + 1, sizeof(part[0]));
    int status = forward_gradient(w->m, g, w->param->name, w->values, part, w->param->count);

    mem_free(part);
    return status;
}

int plait_model_gradient_read(struct plait_model *m, const char *name, float *values, int64_t count)
{
    struct gradient_wish w = { .m = m, .values = values };

    TRY(api_begin("plait_model_gradient_read", m, "m"));
    TRY(api_require("plait_model_gradient_read", name, "name"));
    TRY(api_require("plait_model_gradient_read", values, "values"));
    TRY(find_param(m, name, count, &w.param));
    if (!m->forward || m->forward->task != TASK_GRADIENT || !forward_has_gradient(m, w.param->name))
        return fail(ERR_USAGE, "%s: there is no gradient (expected a forward with gradients before)", name);
    return model_gather(m, read_gradient, &w);
}
