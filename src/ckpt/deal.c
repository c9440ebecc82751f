#include "ckpt/deal.h"

#include <string.h>

#include "base/err.h"
#include "ckpt/optimizer_state.h"
#include "ckpt/pieces.h"
#include "ckpt/share.h"
#include "cpu/machine.h"
#include "exec/exec.h"

struct dealt_part { /* of a parameter, on a rank */
    int tp, pp;
    struct box box;
};

struct dealt {
    struct dealt_part *parts;
    size_t count, capacity;
    int ndim;
    int64_t shape[MAX_DIMS];
};

struct deal {
    struct mesh mesh;
    struct map names; /* -> index into params */
    struct dealt *params;
    size_t count, capacity;
};

/* ---- who has what ---- */

struct adding {
    struct dealt *to;
    int tp, pp;
};

static int add_part(void *context, const struct box *box, int64_t offset, const int64_t *stride)
{
    const struct adding *a = context;
    struct dealt *d = a->to;

    (void)offset;
    (void)stride;
    for (size_t i = 0; i < d->count; i++) /* held alike by ranks: the first one's */
        if (box_contains(&d->parts[i].box, box))
            return OK;
    d->parts = mem_grow(d->parts, d->count, &d->capacity, sizeof(d->parts[0]));
    d->parts[d->count++] = (struct dealt_part){ a->tp, a->pp, *box };
    return OK;
}

/* A table that is tied to another lies on the stages of both: the first one's. */
static int add_param(struct deal *d, const struct tensor *t, int pp)
{
    const struct mesh *mesh = &d->mesh;
    struct dealt *p;
    struct stored s;

    if (!map_add(&d->names, t->name, strlen(t->name), (int64_t)d->count))
        return OK;
    d->params = mem_grow(d->params, d->count, &d->capacity, sizeof(d->params[0]));
    p = &d->params[d->count++];
    *p = (struct dealt){ .ndim = t->param->file_ndim };
    memcpy(p->shape, t->param->file_dims, (size_t)p->ndim * sizeof(p->shape[0]));
    for (int tp = 0; tp < mesh_size(mesh, AXIS_TP); tp++) {
        struct adding a = { p, tp, pp };
        s = (struct stored){ 0 };
        stored_describe(&s, t, mesh, mesh_neighbour(mesh, 0, AXIS_TP, tp));
        TRY(share_each_box(&s, add_part, &a));
    }
    return OK;
}

/* Computing is dear and links cost nothing, so that all is divided that can be. */
static const struct cluster divides = {
    .flops = 1e9, .memory_bytes = 1e9, .link_bytes = 1e18, .message_seconds = 1e-15
};

static int add_stage(struct deal *d, const struct config *c, const struct partition_rules *rules, int pp)
{
    enum { ROWS = 1024 };
    const struct compile_options o = { .task = TASK_FORWARD,
                                       .rows = ROWS,
                                       .encoder_rows = ROWS,
                                       .sequences = 1,
                                       .labels = ROWS,
                                       .mesh = d->mesh,
                                       .cluster = divides,
                                       .rules = rules,
                                       .pipeline = { .schedule = SCHEDULE_1F1B, .microbatches = 1 },
                                       .stage_rank = pp };
    struct machine machine;
    struct plan *plan;
    int status = OK;

    TRY(machine_detect(&machine));
    TRY(plan_compile(c, &o, &machine, &plan));
    for (size_t i = 0; i < plan->graph->tensor_count && status == OK; i++) {
        const struct tensor *t = plan->graph->tensors[i];
        if (t->kind == TENSOR_PARAM && !t->producer && t->param)
            status = add_param(d, t, pp);
    }
    plan_free(plan);
    return status;
}

int deal_create(const struct config *c, const struct mesh *mesh, const struct partition_rules *rules,
                struct deal **out)
{
    struct deal *d = mem_alloc(sizeof(*d));
    int status = OK;

    d->mesh = *mesh;
    d->mesh.size[AXIS_DP] = 1;
    map_init(&d->names);
    for (int pp = 0; pp < mesh_size(mesh, AXIS_PP) && status == OK; pp++)
        status = add_stage(d, c, rules, pp);
    if (status == OK)
        *out = d;
    else
        deal_free(d);
    return status;
}

void deal_free(struct deal *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++)
        mem_free(d->params[i].parts);
    mem_free(d->params);
    map_release(&d->names);
    mem_free(d);
}

/* ---- files ---- */

/* Runs of the innermost dims that follow each other in the whole tensor too. */
static int read_runs(const struct saved_piece *p, const struct box *part, float *out)
{
    const struct weights_param *w = p->context;
    int64_t run = 1, index[BOX_MAX_DIMS] = { 0 };
    int outer = p->ndim, d;

    while (outer > 0 && (outer == p->ndim || part->size[outer] == p->shape[outer]))
        run *= part->size[--outer];
    do {
        int64_t first = 0;
        for (d = 0; d < p->ndim; d++)
            first = first * p->shape[d] + part->start[d] + index[d];
        if (w->data)
            memcpy(out, w->data + first, (size_t)run * sizeof(out[0]));
        else
            TRY(w->read(w, first, run, out));
        out += run;
        for (d = outer - 1; d >= 0 && ++index[d] == part->size[d]; d--)
            index[d] = 0;
    } while (d >= 0);
    return OK;
}

static const struct dealt *find(const struct deal *d, const struct weights_param *w)
{
    const char *name = optimizer_state_param(w->name);
    const struct dealt *p;
    int64_t at;

    name = name ? name : w->name;
    if (!map_get(&d->names, name, strlen(name), &at))
        return NULL;
    p = &d->params[at];
    return p->count ? p : NULL;
}

static bool same_shape(const struct dealt *p, const struct weights_param *w)
{
    return p->ndim == w->ndim && memcmp(p->shape, w->shape, (size_t)w->ndim * sizeof(p->shape[0])) == 0;
}

struct pieces {
    struct saved_piece *list;
    size_t count, capacity;
};

static void add_piece(struct pieces *to, const struct weights_param *w, const struct box *box)
{
    to->list = mem_grow(to->list, to->count, &to->capacity, sizeof(to->list[0]));
    to->list[to->count++] = (struct saved_piece){ .name = w->name,
                                                  .ndim = w->ndim,
                                                  .shape = w->shape,
                                                  .box = *box,
                                                  .read = read_runs,
                                                  .context = (void *)(uintptr_t)w };
}

/* What is not shaped like its parameter, moments of rows and columns, goes whole where the first part is, and
 * what no rank has to the first one. */
static void add_pieces(const struct deal *d, struct pieces *to, const struct weights_param *w, int tp, int pp)
{
    const struct dealt *p = find(d, w);
    struct box whole;

    if (p && same_shape(p, w)) {
        for (size_t i = 0; i < p->count; i++)
            if (p->parts[i].tp == tp && p->parts[i].pp == pp)
                add_piece(to, w, &p->parts[i].box);
        return;
    }
    box_whole(&whole, w->ndim, w->shape);
    if ((p ? p->parts[0].tp : 0) == tp && (p ? p->parts[0].pp : 0) == pp)
        add_piece(to, w, &whole);
}

int deal_save(const struct deal *d, struct save *s, const struct weights_param *list, size_t count,
              const struct deal_save_options *o)
{
    const struct pieces_save_options options = { .dtype = o->dtype, .kind = o->kind, .tag = o->tag };
    int ranks = mesh_ranks(&d->mesh), status = OK;

    for (int r = 0; r < ranks && status == OK; r++) {
        const int tp = mesh_coordinate(&d->mesh, r, AXIS_TP), pp = mesh_coordinate(&d->mesh, r, AXIS_PP);
        struct pieces pieces = { 0 };
        struct str name;
        for (size_t i = 0; i < count; i++)
            add_pieces(d, &pieces, &list[i], tp, pp);
        str_init(&name);
        pieces_append_name(&name, o->base,
                           (struct pieces_place){ tp, pp, o->kind == MANIFEST_STATE ? 0 : -1 });
        if (pieces.count)
            status = pieces_save(s, name.data, pieces.list, pieces.count, &options);
        str_release(&name);
        mem_free(pieces.list);
    }
    return status;
}
