#include "ckpt/params.h"

#include <string.h>

#include "base/err.h"
#include "base/parallel.h"
#include "base/rng.h"

/* ---- which there are ---- */

/* The model on one token. */
static int build(struct graph *g, const struct config *c)
{
    struct builder b;
    struct model_inputs in = { 0 };
    struct model_outputs out = { 0 };

    builder_init(&b, g);
    model_inputs_make(&b, c, &(struct input_sizes){ 1, 1, 1 }, &in);
    config_build(c, &b, &in, &out);
    head_input(&b, &out.head, out.hidden, NULL, in.rows.sequences.place);
    return builder_status(&b);
}

static int add_param(struct params *p, const struct tensor *t, size_t *capacity)
{
    struct param param = { .name = t->name, .info = t->param, .count = 1 };

    for (int d = 0; d < t->param->file_ndim; d++)
        if (!checked_mul(param.count, t->param->file_dims[d], &param.count))
            return fail(ERR_CONFIG, "tensor \"%s\": its elements cannot be counted", t->name);
    if (!checked_add(p->total, param.count, &p->total) || p->total > INT64_MAX / 16)
        return fail(ERR_CONFIG, "the model is too large: its elements cannot be counted");
    p->list = mem_grow(p->list, p->count, capacity, sizeof(p->list[0]));
    p->list[p->count++] = param;
    return OK;
}

int params_init(struct params *p, const struct config *c)
{
    size_t capacity = 0;
    int status;

    *p = (struct params){ .graph = graph_create() };
    status = build(p->graph, c);
    for (size_t i = 0; i < p->graph->tensor_count && status == OK; i++)
        if (p->graph->tensors[i]->kind == TENSOR_PARAM)
            status = add_param(p, p->graph->tensors[i], &capacity);
    if (status != OK) {
        error_prefix("%s: ", c->name);
        params_release(p);
    }
    return status;
}

void params_release(struct params *p)
{
    if (p->graph)
        graph_free(p->graph);
    mem_free(p->list);
    *p = (struct params){ 0 };
}

const struct param *params_find(const struct params *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->list[i].name, name) == 0)
            return &p->list[i];
    return NULL;
}

/* ---- initial values ---- */

enum { TILE = 1 << 14 };

struct filling {
    struct rng_key key;
    double scale;
    struct param_range range;
    float *out;
};

static void fill_tile(void *context, int64_t tile)
{
    const struct filling *f = context;
    int64_t end = (tile + 1) * TILE < f->range.count ? (tile + 1) * TILE : f->range.count;

    for (int64_t i = tile * TILE; i < end; i++)
        f->out[i] = (float)(f->scale * rng_normal(f->key, 0, (uint64_t)(f->range.first + i)));
}

static void clear_row(const struct param_info *info, struct param_range range, float *out)
{
    int64_t width = info->file_dims[1], first = (info->zero_row - 1) * width;

    for (int64_t i = first < range.first ? range.first : first;
         i < first + width && i < range.first + range.count; i++)
        out[i - range.first] = 0;
}

void param_random(const char *name, const struct param_info *info, uint64_t seed, struct param_range range,
                  float *out)
{
    struct filling f = { .key = { .seed = seed, .stream = rng_stream(name) },
                         .scale = info->init_scale,
                         .range = range,
                         .out = out };

    if (info->init == INIT_NORMAL) {
        parallel_for(ceil_div(range.count, TILE), fill_tile, &f);
        if (info->zero_row > 0)
            clear_row(info, range, out);
        return;
    }
    for (int64_t i = 0; i < range.count; i++)
        out[i] = info->init == INIT_ZERO ? 0 : info->init == INIT_ONE ? 1 : (float)info->init_scale;
}
