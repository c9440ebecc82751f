/* The outer search: every mesh that the ranks can form, every microbatch, schedule, kind of recompute and
 * stage of ZeRO that is left open is weighed; the fastest for each sample that fits is compiled in full. On
 * equal terms the simpler one wins. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "plan/layout.h"
#include "plan/stage.h"

enum { MOST_EXACT = 20, MOST_SHOWN = 12, MOST_TENSOR = 16 };

/* Of one size of tp and one kind of recompute, for the smallest and the largest microbatch. */
struct sides {
    int tensor;
    enum recompute recompute;
    struct profile *small, *large;
    char *failure; /* why there are none */
    struct sides *next;
};

struct search {
    const struct layout_wish *w;
    const struct layout_maker *maker;
    struct sides *sides;
    struct layout_option *option;
    size_t count, capacity, weighed;
    char *failure; /* the first reason why something could not be */
};

/* ---- Profiles ---- */

static int64_t largest_microbatch(const struct layout_wish *w)
{
    return w->global_batch > 0 && w->global_batch < w->per_device ? w->global_batch : w->per_device;
}

static int compile_profile(const struct layout_maker *maker, const struct layout_choice *l,
                           const struct cluster *cluster, struct profile **out)
{
    struct plan *p;

    TRY(maker->compile(maker->context, l, &p));
    *out = profile_create(p, cluster, l->microbatch);
    plan_free(p);
    return OK;
}

static struct layout_choice alone(int tensor, enum recompute recompute, int64_t microbatch)
{
    return (struct layout_choice){ .mesh = { .size = { 1, tensor, 1 } },
                                   .pipeline = { .chunks = 1, .microbatches = 1 },
                                   .recompute = recompute,
                                   .microbatch = microbatch };
}

static int make_profile(const struct search *s, const struct sides *x, int64_t microbatch,
                        struct profile **out)
{
    const struct layout_choice l = alone(x->tensor, x->recompute, microbatch);

    return compile_profile(s->maker, &l, &s->w->cluster, out);
}

static struct sides *sides_of(struct search *s, int tensor, enum recompute recompute)
{
    struct sides *x = s->sides;
    int status;

    while (x && (x->tensor != tensor || x->recompute != recompute))
        x = x->next;
    if (x)
        return x;
    x = mem_alloc(sizeof(*x));
    *x = (struct sides){ .tensor = tensor, .recompute = recompute, .next = s->sides };
    s->sides = x;
    status = make_profile(s, x, largest_microbatch(s->w), &x->large);
    if (status == OK)
        status = make_profile(s, x, 1, &x->small);
    if (status != OK) {
        x->failure = mem_strdup(error_message());
        error_clear();
    }
    return x;
}

static void free_sides(struct search *s)
{
    while (s->sides) {
        struct sides *gone = s->sides;
        s->sides = gone->next;
        profile_free(gone->small);
        profile_free(gone->large);
        mem_free(gone->failure);
        mem_free(gone);
    }
}

/* ---- Weighing one ---- */

static int64_t samples_of(const struct layout_wish *w, int data)
{
    return w->global_batch > 0 ? (w->global_batch + data - 1) / data : w->per_device * w->accumulation;
}

__attribute__((format(printf, 2, 3))) static void keep_failure(struct search *s, const char *format, ...)
{
    va_list args;
    struct str text;

    if (s->failure)
        return;
    str_init(&text);
    va_start(args, format);
    str_append_vf(&text, format, args);
    va_end(args);
    s->failure = str_detach(&text);
}

static bool may_fit(const struct layout_wish *w, const struct layout_cost *c)
{
    return w->memory <= 0 || c->bytes <= w->memory;
}

static bool weigh(struct search *s, const struct profile *p, const struct layout_choice *l)
{
    int data = mesh_size(&l->mesh, AXIS_DP);
    struct layout_option o = { .layout = *l };

    s->weighed++;
    if (layout_weigh(p, l, &s->w->cluster, &o.cost) != OK) {
        keep_failure(s, "%s", error_message());
        error_clear();
        return false;
    }
    o.global_batch = s->w->global_batch > 0 ? s->w->global_batch : samples_of(s->w, data) * data;
    o.fits = may_fit(s->w, &o.cost);
    s->option = mem_grow(s->option, s->count, &s->capacity, sizeof(o));
    s->option[s->count++] = o;
    return o.fits;
}

/* Stages of ZeRO one after the other: 1 costs nothing, 2 and 3 are for memory. */
static bool weigh_zero(struct search *s, const struct profile *p, struct layout_choice *l)
{
    int first = s->w->zero, last = s->w->zero;
    bool fits = false;

    if (first == PLANNED) {
        first = 0;
        last = mesh_size(&l->mesh, AXIS_DP) > 1 ? s->w->most_zero : 0;
    }
    for (l->zero = first; l->zero <= last && !(fits && l->zero > 1); l->zero++)
        fits = weigh(s, p, l) || fits;
    return fits;
}

static bool stores_alone(const struct search *s, const struct layout_cost *c)
{
    return c->bytes - c->values > s->w->memory;
}

static bool weigh_microbatch(struct search *s, struct layout_choice *l)
{
    static const enum recompute kinds[] = { RECOMPUTE_SELECTIVE, RECOMPUTE_FULL };
    bool fits = false, planned = s->w->recompute == PLANNED;

    for (size_t i = 0; i < (planned ? 2 : 1) && !fits; i++) {
        enum recompute kind = planned ? kinds[i] : (enum recompute)s->w->recompute;
        const struct sides *x = sides_of(s, mesh_size(&l->mesh, AXIS_TP), kind);
        struct profile *p;
        if (x->failure) {
            keep_failure(s, "%s", x->failure);
            continue;
        }
        p = profile_between(x->small, x->large, l->microbatch);
        l->recompute = kind;
        fits = weigh_zero(s, p, l);
        profile_free(p);
        if (s->count > 0 && !fits && stores_alone(s, &s->option[s->count - 1].cost))
            break; /* keeping less is no help */
    }
    return fits;
}

/* ---- What there is to weigh ---- */

static int64_t ceil_of(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static void set_microbatches(struct layout_choice *l, int64_t samples, int64_t count, bool given)
{
    int64_t stages = mesh_size(&l->mesh, AXIS_PP);

    if (l->pipeline.schedule == SCHEDULE_INTERLEAVED && stages > 1 && count > stages && !given)
        count = count / stages * stages;
    l->pipeline.microbatches = (int)count;
    l->microbatch = ceil_of(samples, count);
}

/* Half as many samples at once, until it is one: smaller ones keep stages busy and take less memory; without
 * stages only memory asks for them. What is given stays: without a global batch that is the size of a
 * batch. */
static void weigh_schedule(struct search *s, struct layout_choice *l)
{
    const struct layout_wish *w = s->w;
    bool pipeline = mesh_size(&l->mesh, AXIS_PP) > 1;
    int64_t samples = samples_of(w, mesh_size(&l->mesh, AXIS_DP)),
            most = samples < w->per_device ? samples : w->per_device, last = 0;

    if (pipeline && w->microbatches > 0) {
        set_microbatches(l, samples, w->microbatches, true);
        if (w->microbatches <= samples)
            weigh_microbatch(s, l);
        else
            keep_failure(s,
                         "--num_microbatches: more than the samples of one rank's step (found %d, expected "
                         "at most %" PRId64 ")",
                         w->microbatches, samples);
        return;
    }
    for (int64_t b = most; b > 0; b /= 2) {
        bool fits = false;
        set_microbatches(l, samples, ceil_of(samples, b), false);
        if (l->microbatch != last)
            fits = weigh_microbatch(s, l);
        last = l->microbatch;
        if (!pipeline && (w->global_batch == 0 || fits))
            break;
    }
}

static void weigh_mesh(struct search *s, int data, int tensor, int stages)
{
    static const enum schedule_kind kinds[] = { SCHEDULE_1F1B, SCHEDULE_ZERO_BUBBLE, SCHEDULE_INTERLEAVED };
    const struct layout_wish *w = s->w;
    struct layout_choice l = { .mesh = { .size = { data, tensor, stages } },
                               .pipeline = { .schedule = SCHEDULE_1F1B, .chunks = 1 } };

    if (w->global_batch > 0 && w->global_batch < data) {
        keep_failure(s,
                     "--global_batch_size leaves ranks without a sample (found %" PRId64
                     ", expected at least %d, "
                     "the data-parallel ranks)",
                     w->global_batch, data);
        return;
    }
    if (stages == 1) {
        if (w->microbatches > 1 || w->chunks > 1)
            keep_failure(
                s,
                "--num_microbatches and --pipeline_chunks are for several stages, and %d rank%s cannot "
                "form them",
                w->world, w->world > 1 ? "s" : "");
        else
            weigh_schedule(s, &l);
        return;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bool given = w->schedule != PLANNED, interleaved;
        l.pipeline.schedule = given ? (enum schedule_kind)w->schedule : kinds[i];
        interleaved = l.pipeline.schedule == SCHEDULE_INTERLEAVED;
        l.pipeline.chunks = w->chunks > 0 ? w->chunks : interleaved ? 2 : 1;
        if (given || interleaved || w->chunks <= 1)
            weigh_schedule(s, &l);
        if (given)
            break;
    }
}

static bool is_wished(int wish, int size)
{
    return wish == 0 || wish == size;
}

static void weigh_fixed(struct search *s)
{
    const struct layout_choice *l = s->w->fixed;
    const struct sides *x = sides_of(s, mesh_size(&l->mesh, AXIS_TP), l->recompute);
    struct profile *p;

    if (x->failure) {
        keep_failure(s, "%s", x->failure);
        return;
    }
    p = profile_between(x->small, x->large, l->microbatch);
    weigh(s, p, l);
    profile_free(p);
}

/* most_tensor: so many ranks of tp at most. */
static void weigh_all(struct search *s, int most_tensor)
{
    const struct layout_wish *w = s->w;

    if (w->fixed) {
        weigh_fixed(s);
        return;
    }
    for (int tensor = 1; tensor <= w->world; tensor++) {
        if (w->world % tensor != 0 || !is_wished(w->tensor, tensor) ||
            (w->tensor == 0 && tensor > most_tensor))
            continue;
        for (int stages = 1; stages <= w->world / tensor && stages <= MOST_STAGE_RANKS; stages++) {
            int data = w->world / tensor / stages;
            if (w->world / tensor % stages == 0 && is_wished(w->pipeline, stages) && is_wished(w->data, data))
                weigh_mesh(s, data, tensor, stages);
        }
    }
}

/* ---- Choosing ---- */

static int complexity(const struct layout_choice *l)
{
    return (mesh_size(&l->mesh, AXIS_PP) > 1) + (mesh_size(&l->mesh, AXIS_TP) > 1) + (l->zero > 0) +
           (l->recompute == RECOMPUTE_FULL) + (l->pipeline.chunks > 1) +
           (l->pipeline.schedule != SCHEDULE_1F1B);
}

/* Seconds for each sample; half a percent of them is what each complication has to gain. */
static double score(const struct layout_option *o)
{
    return o->cost.seconds / (double)o->global_batch * (1 + 0.005 * complexity(&o->layout));
}

/* What fits, first; where ZeRO is asked for, what it has copies to deal out among; without a global batch
 * that is given, the largest: as many copies of the model as can be. */
static int by_score(const void *a, const void *b)
{
    const struct layout_option *x = a, *y = b;
    double s = score(x), t = score(y);

    if (x->fits != y->fits)
        return x->fits ? -1 : 1;
    if (!x->fits && x->cost.bytes != y->cost.bytes)
        return x->cost.bytes < y->cost.bytes ? -1 : 1;
    if (layout_idles_zero(&x->layout) != layout_idles_zero(&y->layout))
        return layout_idles_zero(&x->layout) ? 1 : -1;
    if (x->global_batch != y->global_batch)
        return x->global_batch > y->global_batch ? -1 : 1;
    if (s != t)
        return s < t ? -1 : 1;
    return memcmp(&x->layout.mesh, &y->layout.mesh, sizeof(x->layout.mesh));
}

/* Compiled in full, one after the other, until one fits; it goes to the front. */
static int choose(struct search *s)
{
    for (size_t i = 0; i < s->count && i < MOST_EXACT; i++) {
        struct layout_option *o = &s->option[i], chosen;
        int64_t bytes;
        double spare = s->w->recompute == PLANNED ? s->w->memory : 0;
        if (s->maker->measure(s->maker->context, &o->layout, spare, &bytes) != OK) {
            keep_failure(s, "%s", error_message());
            error_clear();
            o->fits = false;
            o->cost.bytes = INFINITY;
            continue;
        }
        o->cost.values += (double)bytes - o->cost.bytes;
        o->cost.bytes = (double)bytes;
        o->exact = true;
        o->fits = may_fit(s->w, &o->cost);
        if (!o->fits)
            continue;
        chosen = *o;
        memmove(&s->option[1], s->option, i * sizeof(chosen));
        s->option[0] = chosen;
        return OK;
    }
    return ERR_SYSTEM;
}

static int refuse(const struct search *s)
{
    const struct layout_option *least = NULL;

    for (size_t i = 0; i < s->count; i++)
        if (!least || s->option[i].cost.bytes < least->cost.bytes)
            least = &s->option[i];
    if (!least || least->cost.bytes == INFINITY)
        return fail(ERR_CONFIG, "%s", s->failure ? s->failure : "these ranks form no layout");
    layout_fail_memory(least, s->w->memory);
    error_hint("more ranks%s take less", s->w->global_batch > 0 ? "" : ", or --global_batch_size,");
    return ERR_SYSTEM;
}

/* ---- The others ---- */

static bool same_kind(const struct layout_choice *a, const struct layout_choice *b)
{
    return memcmp(&a->mesh, &b->mesh, sizeof(a->mesh)) == 0 && a->pipeline.schedule == b->pipeline.schedule;
}

/* Of every mesh and schedule the best one stays. */
static void tell_others(struct search *s)
{
    size_t kept = 1;

    qsort(s->option + 1, s->count - 1, sizeof(s->option[0]), by_score);
    for (size_t i = 1; i < s->count && kept < MOST_SHOWN; i++) {
        bool seen = false;
        for (size_t k = 0; k < kept; k++)
            seen = seen || same_kind(&s->option[k].layout, &s->option[i].layout);
        if (seen || s->option[i].cost.bytes == INFINITY)
            continue;
        s->option[kept] = s->option[i];
        s->option[kept].why = layout_reason(s->w, &s->option[i], &s->option[0]);
        kept++;
    }
    s->count = kept;
}

int layout_search(const struct layout_wish *w, const struct layout_maker *maker, struct layout_search *out)
{
    struct search s = { .w = w, .maker = maker };
    double start = clock_seconds();
    int status, host = w->cluster.host_ranks > 0 ? w->cluster.host_ranks : MOST_TENSOR;

    weigh_all(&s, host);
    if (s.count)
        qsort(s.option, s.count, sizeof(s.option[0]), by_score);
    if (host < w->world && (s.count == 0 || !s.option[0].fits)) { /* tp beyond a host: only for memory */
        s.count = 0;
        weigh_all(&s, w->world);
        if (s.count)
            qsort(s.option, s.count, sizeof(s.option[0]), by_score);
    }
    status = choose(&s);
    if (status == OK)
        tell_others(&s);
    else
        status = refuse(&s);
    free_sides(&s);
    mem_free(s.failure);
    *out = (struct layout_search){ s.option, s.count, clock_seconds() - start, s.weighed };
    if (status != OK)
        layout_search_release(out);
    return status;
}

void layout_search_release(struct layout_search *s)
{
    for (size_t i = 0; i < s->count; i++)
        mem_free(s->option[i].why);
    mem_free(s->option);
    *s = (struct layout_search){ 0 };
}

int layout_predict(const struct layout_maker *maker, const struct layout_choice *l,
                   const struct cluster *cluster, struct layout_cost *cost)
{
    const struct layout_choice one = alone(mesh_size(&l->mesh, AXIS_TP), l->recompute, l->microbatch);
    struct layout_cost found;
    struct profile *p;
    int status;

    TRY(compile_profile(maker, &one, cluster, &p));
    status = layout_weigh(p, l, cluster, &found);
    profile_free(p);
    TRY(status);
    cost->seconds = found.seconds;
    cost->compute = found.compute;
    cost->exchange = found.exchange;
    cost->bubble = found.bubble;
    return OK;
}
