/* Writes a model directory: random weights for a config, or a model with another vocabulary, type of
 * elements or size of files. Nothing is held in memory: values are made or read as they are written. */
#include "api/export.h"

#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "ckpt/deal.h"
#include "ckpt/hub.h"

enum new_rows { ROWS_ZERO, ROWS_NORMAL, ROWS_MEAN };

#define OWN(member) offsetof(struct export_values, member)

static const char *const row_kinds[] = { "zero", "normal", "mean", NULL };

static const struct option rows_options[] = {
    { "tokenizer_name", OPTION_STRING, OWN(tokenizer), NULL,
      "directory whose tokenizer files are copied; without it the model's or the config's" },
    { "vocab_size", OPTION_INT, OWN(vocab_size), NULL,
      "rows of the token table; those there are kept, those beyond are dropped", .min = 1, .max = 1 << 30 },
    { "new_rows", OPTION_CHOICE, OWN(new_rows), "zero",
      "what new rows hold: zeros, random numbers as at the start of training, or the mean of the others",
      .choices = row_kinds },
    { 0 },
};

const struct option_part export_parts[] = {
    { "What to change", rows_options, 0 },
    { "Files", saving_options, offsetof(struct export_values, saving) },
    { 0 },
};

/* ---- values of one parameter, from wherever ---- */

struct origin {
    const struct param *param;
    const struct weights_tensor *tensor; /* NULL: random */
    uint64_t seed;
    enum new_rows new_rows;
    float *mean; /* of all rows there are, for ROWS_MEAN */
};

static void fill_new(const struct origin *o, int64_t first, int64_t count, float *out)
{
    int64_t width = o->param->count / o->param->info->file_dims[0];

    if (o->new_rows == ROWS_NORMAL)
        param_random(o->param->name, o->param->info, o->seed, (struct param_range){ first, count }, out);
    for (int64_t i = 0; o->new_rows != ROWS_NORMAL && i < count; i++)
        out[i] = o->new_rows == ROWS_MEAN ? o->mean[(first + i) % width] : 0;
}

static int read_param(const struct weights_param *p, int64_t first, int64_t count, float *out)
{
    const struct origin *o = p->context;
    int64_t there = o->tensor ? o->tensor->info->count - first : 0;

    if (!o->tensor) {
        param_random(o->param->name, o->param->info, o->seed, (struct param_range){ first, count }, out);
        return OK;
    }
    there = there < 0 ? 0 : there < count ? there : count;
    if (there > 0)
        TRY(weights_read_range(o->tensor, first, there, out));
    if (there < count)
        fill_new(o, first + there, count - there, out + there);
    return OK;
}

static int find_mean(struct origin *o)
{
    enum { ROWS = 256 };
    int64_t rows = o->tensor->info->shape[0], width = rows ? o->tensor->info->count / rows : 0;
    double *sum = mem_alloc_array((size_t)width + 1, sizeof(sum[0]));
    float *part = mem_alloc_array((size_t)(ROWS * width) + 1, sizeof(part[0]));
    int status = OK;

    for (int64_t row = 0; row < rows && status == OK; row += ROWS) {
        int64_t n = rows - row < ROWS ? rows - row : ROWS;
        status = weights_read_range(o->tensor, row * width, n * width, part);
        for (int64_t i = 0; i < n * width && status == OK; i++)
            sum[i % width] += part[i];
    }
    o->mean = mem_alloc_array((size_t)width + 1, sizeof(o->mean[0]));
    for (int64_t i = 0; i < width; i++)
        o->mean[i] = (float)(sum[i] / (double)rows);
    mem_free(sum);
    mem_free(part);
    return status;
}

/* ---- all of them ---- */

struct making {
    struct params params;
    struct origin *origins;
    struct weights_param *list;
};

static void making_release(struct making *m)
{
    for (size_t i = 0; i < m->params.count && m->origins; i++)
        mem_free(m->origins[i].mean);
    mem_free(m->origins);
    mem_free(m->list);
    params_release(&m->params);
}

static int make_origin(const struct export_values *v, const struct model *model, struct origin *o)
{
    *o = (struct origin){ .param = o->param,
                          .seed = (uint64_t)v->seed,
                          .new_rows = (enum new_rows)v->new_rows };
    if (!model->has_weights)
        return OK;
    o->tensor = model_source(model, o->param->name);
    if (!o->tensor) /* of a head that the files have not */
        return OK;
    TRY(weights_check_float(o->tensor));
    return o->new_rows == ROWS_MEAN && o->tensor->info->count < o->param->count ? find_mean(o) : OK;
}

static int making_init(struct making *m, const struct export_values *v, const struct model *model)
{
    int status = params_init(&m->params, &model->config);

    if (status != OK)
        return status;
    m->origins = mem_alloc_array(m->params.count + 1, sizeof(m->origins[0]));
    m->list = mem_alloc_array(m->params.count + 1, sizeof(m->list[0]));
    for (size_t i = 0; i < m->params.count && status == OK; i++) {
        const struct param *p = &m->params.list[i];
        m->origins[i].param = p;
        m->list[i] = (struct weights_param){ .name = p->name,
                                             .ndim = p->info->file_ndim,
                                             .shape = p->info->file_dims,
                                             .read = read_param,
                                             .context = &m->origins[i] };
        status = make_origin(v, model, &m->origins[i]);
    }
    if (status != OK)
        making_release(m);
    return status;
}

/* ---- the command ---- */

static int write(const struct export_values *v, const struct model *model, const struct making *m,
                 struct model_save_options *o)
{
    struct deal *deal = NULL;
    int status;

    if (v->mesh)
        TRY(deal_create(&model->config, v->mesh, v->rules, &deal));
    o->deal = deal;
    status = model_save(v->output_dir, &model->config, m->list, m->params.count, o);
    deal_free(deal);
    return status;
}

static int save(const struct export_values *v, const struct model *model, const struct making *m,
                const char *tokenizer)
{
    struct model_save_options o = { .dtype = saving_dtype(&v->saving),
                                    .tokenizer_dir = tokenizer,
                                    .generation_dir = model->has_weights ? model->directory : NULL };
    struct str count;

    TRY(saving_shard_bytes(&v->saving, &o.max_shard_bytes));
    if (!o.dtype)
        o.dtype = model_saved_dtype(model);
    TRY(write(v, model, m, &o));
    str_init(&count);
    str_append_count(&count, m->params.total);
    inform("%s: %s, %s parameters, %s", v->output_dir, model->config.def->name, count.data, o.dtype);
    str_release(&count);
    return OK;
}

static int make(const struct export_values *v, const struct model *model, const struct hub_options *hub)
{
    char *tokenizer = NULL;
    struct making making;
    int status;

    if (v->tokenizer)
        TRY(hub_resolve(v->tokenizer, hub, &tokenizer));
    status = making_init(&making, v, model);
    if (status == OK) {
        status = save(v, model, &making, tokenizer ? tokenizer : model->directory);
        making_release(&making);
    }
    mem_free(tokenizer);
    return status;
}

static int make_from(const struct export_values *v, struct model *model, const struct hub_options *hub)
{
    if (v->vocab_size)
        TRY(config_set_int(&model->config, "vocab_size", v->vocab_size));
    return make(v, model, hub);
}

int export_model(const struct export_values *v, const struct model_options *names)
{
    const struct hub_options hub = { .cache_dir = names->cache_dir, .revision = names->revision };
    struct model model;
    int status;

    TRY(model_open(&model, names));
    status = make_from(v, &model, &hub);
    model_close(&model);
    return status;
}
