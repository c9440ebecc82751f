/* Layouts of work without an optimizer: evaluation, forward, generation. There is less to choose than for a
 * step of training (layout_search.c): the three sizes, by how long all the work takes. Copies share it out,
 * so they win as long as there is work for each and as they fit; the ranks of tp or pp make room, and tp is
 * faster where there is less to do than there are ranks. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/parallel.h"
#include "plan/layout.h"
#include "plan/stage.h"

struct search {
    const struct layout_wish *w;
    const struct layout_work *work;
    const struct layout_maker *maker;
    struct profile *small, *large; /* of one sample and of a batch, for the size of tp that is looked at */
    int64_t batch;
    struct layout_option *option;
    size_t count, capacity;
    char *failure; /* the first reason why something could not be */
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void keep_failure(struct search *s)
{
    if (!s->failure)
        s->failure = mem_strdup(error_message());
    error_clear();
}

/* ---- Weighing ---- */

/* How often the microbatches of l are run: with stages those of a few batches, or the parts of one. Work that
 * is no multiple of these leaves batches that are not full. */
static double divide(const struct search *s, struct layout_choice *l)
{
    int stages = mesh_size(&l->mesh, AXIS_PP), data = mesh_size(&l->mesh, AXIS_DP);
    int64_t share = ceil_div(s->work->items, data), batch = smaller(s->batch, share), count = 1;

    l->microbatch = batch;
    if (stages > 1 && s->work->following > 0)
        count = smaller(ceil_div(share, batch), (int64_t)s->work->following * stages);
    else if (stages > 1)
        l->microbatch = ceil_div(batch, smaller(stages, batch));
    l->pipeline.microbatches = (int)(count > 1 ? count : ceil_div(batch, l->microbatch));
    return fmax(1, (double)s->work->items / data / (double)(batch * count));
}

static void weigh(struct search *s, const struct mesh *mesh)
{
    struct layout_option o = { .global_batch = s->work->items };
    struct profile *p;
    double times;

    o.layout = (struct layout_choice){ .mesh = *mesh,
                                       .pipeline = { .chunks = s->w->chunks > 0 ? s->w->chunks : 1 },
                                       .zero = s->w->zero > 0 ? s->w->zero : 0 };
    o.layout.pipeline.schedule = o.layout.pipeline.chunks > 1 ? SCHEDULE_INTERLEAVED : SCHEDULE_1F1B;
    times = divide(s, &o.layout);
    p = profile_between(s->small, s->large, o.layout.microbatch);
    if (layout_weigh(p, &o.layout, &s->w->cluster, &o.cost) == OK) {
        o.cost.seconds *= times;
        o.fits = s->w->memory <= 0 || o.cost.bytes <= s->w->memory;
        s->option = mem_grow(s->option, s->count, &s->capacity, sizeof(o));
        s->option[s->count++] = o;
    } else {
        keep_failure(s);
    }
    profile_free(p);
}

static int make_profile(const struct search *s, int tensor, int64_t samples, struct profile **out)
{
    const struct layout_choice l = { .mesh = { .size = { 1, tensor, 1 } },
                                     .pipeline = { .chunks = 1, .microbatches = 1 },
                                     .microbatch = samples };
    struct plan *p;

    TRY(s->maker->compile(s->maker->context, &l, &p));
    *out = profile_create(p, &s->w->cluster, samples);
    plan_free(p);
    return OK;
}

static bool is_wished(int wish, int size)
{
    return wish == 0 || wish == size;
}

static void weigh_tensor(struct search *s, int tensor)
{
    const struct layout_wish *w = s->w;
    int rest = w->world / tensor, status;

    s->small = s->large = NULL;
    status = make_profile(s, tensor, 1, &s->small);
    if (status == OK)
        status = make_profile(s, tensor, s->batch, &s->large);
    if (status != OK)
        keep_failure(s);
    for (int stages = 1; stages <= rest && stages <= MOST_STAGE_RANKS && status == OK; stages++) {
        const struct mesh mesh = { .size = { rest / stages, tensor, stages } };
        bool chunks = w->chunks <= 1 || stages > 1;
        if (rest % stages == 0 && is_wished(w->pipeline, stages) && is_wished(w->data, rest / stages) &&
            chunks)
            weigh(s, &mesh);
    }
    profile_free(s->small);
    profile_free(s->large);
}

/* ---- Choosing ---- */

static double score(const struct layout_option *o)
{
    const struct mesh *m = &o->layout.mesh;
    int complexity =
        (mesh_size(m, AXIS_PP) > 1) + (mesh_size(m, AXIS_TP) > 1) + (mesh_size(m, AXIS_DP) > o->global_batch);

    return o->cost.seconds * (1 + 0.005 * complexity);
}

static int by_score(const void *a, const void *b)
{
    const struct layout_option *x = a, *y = b;
    double s = score(x), t = score(y);

    if (x->fits != y->fits)
        return x->fits ? -1 : 1;
    if (layout_idles_zero(&x->layout) != layout_idles_zero(&y->layout))
        return layout_idles_zero(&x->layout) ? 1 : -1;
    if (s != t)
        return s < t ? -1 : 1;
    return memcmp(&x->layout.mesh, &y->layout.mesh, sizeof(x->layout.mesh));
}

/* The first that fits, by exact bytes. */
static int choose(struct search *s, struct layout_option *out)
{
    const struct layout_option *least = NULL;

    qsort(s->option, s->count, sizeof(s->option[0]), by_score);
    for (size_t i = 0; i < s->count; i++) {
        struct layout_option *o = &s->option[i];
        int64_t bytes;
        if (s->maker->measure(s->maker->context, &o->layout, 0, &bytes) != OK) {
            keep_failure(s);
            continue;
        }
        o->cost.bytes = (double)bytes;
        o->exact = true;
        if (s->w->memory <= 0 || o->cost.bytes <= s->w->memory) {
            *out = *o;
            return OK;
        }
        if (!least || o->cost.bytes < least->cost.bytes)
            least = o;
    }
    if (least) {
        layout_fail_memory(least, s->w->memory);
        error_hint("more ranks take less");
        return ERR_SYSTEM;
    }
    return fail(ERR_CONFIG, "%s", s->failure ? s->failure : "these ranks form no layout");
}

static int search(const struct layout_wish *w, const struct layout_work *work,
                  const struct layout_maker *maker, struct layout_option *out)
{
    struct search s = { .w = w, .work = work, .maker = maker };
    int status;

    s.batch = smaller(work->at_once, work->items);
    for (int tensor = 1; tensor <= w->world; tensor++)
        if (w->world % tensor == 0 && is_wished(w->tensor, tensor))
            weigh_tensor(&s, tensor);
    status = s.count > 0 ? choose(&s, out) : fail(ERR_CONFIG, "%s", s.failure ? s.failure : "no layout");
    mem_free(s.option);
    mem_free(s.failure);
    return status;
}

bool layout_is_open(const struct layout_wish *w)
{
    int given =
        (w->data > 0 ? w->data : 1) * (w->tensor > 0 ? w->tensor : 1) * (w->pipeline > 0 ? w->pipeline : 1);
    int open = (w->data <= 0) + (w->tensor <= 0) + (w->pipeline <= 0);

    return open > 1 && w->world / given > 1;
}

/* Where nobody has said how ranks lie on hosts, the launcher knows. */
static int find_hosts(struct cluster *c, const struct world *world, int ranks)
{
    struct cluster found = *c;

    if (c->host_ranks > 0)
        return OK;
    TRY(cluster_find_hosts(&found, world, ranks));
    if (found.hosts > 1)
        *c = found;
    return OK;
}

struct told { /* by the first rank */
    int status;
    struct layout_option option;
};

int layout_forward(const struct layout_wish *w, const struct layout_work *work,
                   const struct layout_maker *maker, const struct world *world, struct layout_option *out)
{
    struct told told = { .status = ERR_SYSTEM };
    struct layout_wish own = *w;

    TRY(find_hosts(&own.cluster, world, w->world));
    if (world_is_first(world))
        told.status = search(&own, work, maker, &told.option);
    if (world && world->comm)
        TRY(world_share(world, &told, sizeof(told)));
    if (told.status == OK)
        *out = told.option;
    else if (!world_is_first(world))
        return fail(told.status, "the first rank has found no layout");
    return told.status;
}
