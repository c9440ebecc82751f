/* A layout against one rank: steps on both, each from the one rank's parameters and moments, and then every
 * gradient and every update compared. Gradients are seen through the first moment, which is linear in them;
 * Adafactor has none, there the second one is compared. An update is only compared where it is well
 * determined: AdamW divides by the root of the second moment, so where gradients are all rounding the sign
 * of a step is too.
 *
 * Ranks that are processes compare what each has itself: the first one has the one rank too, and tells the
 * others its tensors, one at a time. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "ops/ops.h"
#include "train/difference.h"
#include "train/run.h"

static const double MOST_GRADIENT = 1e-3, MOST_UPDATE = 3e-2, MOST_LOSS = 2e-5;
/* A value on the edge between two of bfloat16 is rounded one way or the other. */
static const double MORE_IN_BFLOAT16 = 20;
/* A second moment's root is large enough from this part of the largest of all tensors on. */
static const double DETERMINED_OF_ALL = 1e-5;
/* A tensor's gradient below this part of the norm of all is compared with that: some are rounding alone, as
 * those of attention's key biases, which change nothing. */
static const double GRADIENT_OF_ALL = 1e-3;

struct side { /* one of the two runs */
    struct run *run;
    struct worker *worker;     /* [this process's ranks] */
    struct comm **ends;        /* [rank]; NULL: ranks are processes */
    const struct world *world; /* that they are those of */
    int ranks, first, count;   /* of this process: ranks first, first + 1 ... */
    bool disturbed;            /* the job's test may change it */
};

struct worst {
    const char *name;
    double error;
};

struct compared { /* a tensor of the one rank */
    int64_t name; /* offset in names */
    int64_t count;
    int64_t second; /* of a parameter: place of its second moment; -1: none */
    int64_t param, first_moment;
};

enum { EXPECTED, BEFORE, SECOND, FOUND, BUFFERS };

struct verification {
    const struct world *world;
    struct side one, layout; /* one: in the first process */
    struct compared *tensor;
    int64_t count;
    struct str names;
    float **before;                /* [tensor], in the first process: values before the step */
    float *buffer[BUFFERS];        /* one tensor each */
    struct worst gradient, update; /* of this step */
    double tolerance;              /* times what is allowed in fp32 */
    double norm, root;             /* of all first moments' changes; the largest of all second moments' */
};

static bool in_processes(const struct verification *v)
{
    return v->world && v->world->comm;
}

/* ---- Steps ---- */

static int open_rank(void *context, int rank, struct comm *comm)
{
    struct side *s = context;

    return worker_init(&s->worker[rank - s->first], s->run, rank, comm);
}

static int step_rank(void *context, int rank, struct comm *comm)
{
    struct side *s = context;
    struct worker *w = &s->worker[rank - s->first];
    const struct train_job *job = s->run->job;

    (void)comm;
    if (s->disturbed && job->disturb)
        job->disturb(job->disturb_context, rank, w->store);
    return loop_step(w);
}

static int side_run(struct side *s, int (*fn)(void *context, int rank, struct comm *comm))
{
    if (s->count == 0)
        return OK;
    if (!s->ends)
        return world_run(s->world, &s->run->mesh, fn, s);
    return comm_local_run_on(s->ends, s->ranks, s->run->machine.threads, fn, s);
}

static double loss_of(const struct side *s)
{
    const struct worker *w = &s->worker[0];
    const double *control = executor_view(w->train, w->plan->control).data;

    return control[CONTROL_LOSS];
}

/* ---- The tensors of the one rank ---- */

static const char *name_of(const struct verification *v, const struct compared *t)
{
    return v->names.data + t->name;
}

/* In the first process. */
static const float *value_of(const struct verification *v, int64_t i)
{
    return store_find(v->one.worker[0].store, name_of(v, &v->tensor[i]))->data;
}

static bool is_compared(const struct stored *e)
{
    return e->dtype == DT_F32 && (e->kind == TENSOR_PARAM || e->kind == TENSOR_STATE);
}

static int64_t count_of(const struct stored *e)
{
    int64_t n = 1;

    for (int d = 0; d < e->ndim; d++)
        n *= e->dims[d];
    return n;
}

static int64_t find_second(const struct verification *v, const char *param)
{
    static const char kind[] = "exp_avg_sq.";

    for (int64_t i = 0; i < v->count; i++) {
        const char *name = name_of(v, &v->tensor[i]);
        if (strncmp(name, kind, sizeof(kind) - 1) == 0 && strcmp(name + sizeof(kind) - 1, param) == 0)
            return i;
    }
    return -1;
}

static void list_tensors(struct verification *v)
{
    const struct store *store = v->one.worker[0].store;

    v->tensor = mem_alloc_array(store_count(store) + 1, sizeof(v->tensor[0]));
    for (size_t i = 0; i < store_count(store); i++) {
        const struct stored *e = store_at(store, i);
        if (!is_compared(e))
            continue;
        v->tensor[v->count++] = (struct compared){ .name = (int64_t)v->names.length,
                                                   .count = count_of(e),
                                                   .second = -1,
                                                   .param = e->kind == TENSOR_PARAM,
                                                   .first_moment = strncmp(e->name, "exp_avg.", 8) == 0 };
        str_append_bytes(&v->names, e->name, strlen(e->name) + 1);
    }
    for (int64_t i = 0; i < v->count; i++)
        if (v->tensor[i].param)
            v->tensor[i].second = find_second(v, name_of(v, &v->tensor[i]));
}

/* From the first process to all. */
static int share_list(struct verification *v)
{
    int64_t sizes[] = { v->count, (int64_t)v->names.length };

    TRY(world_share(v->world, sizes, sizeof(sizes)));
    if (!world_is_first(v->world)) {
        v->count = sizes[0];
        v->tensor = mem_alloc_array((size_t)v->count + 1, sizeof(v->tensor[0]));
        for (int64_t i = 0; i < sizes[1]; i++)
            str_append_char(&v->names, 0);
    }
    TRY(world_share(v->world, v->tensor, (size_t)v->count * sizeof(v->tensor[0])));
    return world_share(v->world, v->names.data, v->names.length);
}

static int prepare(struct verification *v)
{
    int64_t most = 0;

    if (world_is_first(v->world))
        list_tensors(v);
    TRY(share_list(v));
    for (int64_t i = 0; i < v->count; i++)
        most = v->tensor[i].count > most ? v->tensor[i].count : most;
    for (int b = world_is_first(v->world) ? FOUND : 0; b < BUFFERS; b++)
        v->buffer[b] = mem_alloc_array((size_t)most + 1, sizeof(float));
    v->before = mem_alloc_array((size_t)v->count + 1, sizeof(v->before[0]));
    for (int64_t i = 0; i < v->count && world_is_first(v->world); i++)
        v->before[i] = mem_alloc_array((size_t)v->tensor[i].count, sizeof(float));
    return OK;
}

/* The first process's values for all: there they stay where they are. */
static int fetch(struct verification *v, int buffer, const float *mine, int64_t count, const float **out)
{
    float *data = world_is_first(v->world) ? (float *)mine : v->buffer[buffer];

    *out = data;
    if (!in_processes(v))
        return OK;
    return comm_run(
        v->world->comm,
        &(struct transfer){ .kind = TRANSFER_BROADCAST, .axis = AXIS_ALL, .dtype = DT_F32, .count = count },
        data, data);
}

static int fetch_value(struct verification *v, int buffer, int64_t i, const float **out)
{
    return fetch(v, buffer, world_is_first(v->world) ? value_of(v, i) : NULL, v->tensor[i].count, out);
}

/* ---- Comparing ---- */

/* Of all tensors, in the first process. */
static void measure(struct verification *v)
{
    double squares = 0;

    v->norm = v->root = 0;
    if (!world_is_first(v->world))
        return;
    for (int64_t i = 0; i < v->count; i++) {
        const struct compared *t = &v->tensor[i];
        const float *value = value_of(v, i);
        if (t->param)
            continue;
        if (!t->first_moment) {
            v->root = fmax(v->root, largest_root(value, t->count));
            continue;
        }
        for (int64_t k = 0; k < t->count; k++) {
            double change = (double)value[k] - v->before[i][k];
            squares += change * change;
        }
    }
    v->norm = sqrt(squares);
}

static int measure_all(struct verification *v)
{
    double both[2];

    measure(v);
    both[0] = v->norm;
    both[1] = v->root;
    TRY(world_share(v->world, both, sizeof(both)));
    v->norm = both[0];
    v->root = both[1];
    return OK;
}

static void keep_worst(struct worst *w, const char *name, double error)
{
    if (error < w->error && w->name)
        return;
    w->name = name;
    w->error = error;
}

/* The largest difference of this process's ranks: each one's part, the rest as expected. */
static double worst_part(const struct verification *v, struct difference *p, const char *name)
{
    double worst = 0;

    p->found = v->buffer[FOUND];
    for (int r = 0; r < v->layout.count; r++) {
        const struct stored *part = store_find(v->layout.worker[r].store, name);
        if (!part)
            continue;
        memcpy(v->buffer[FOUND], p->expected, (size_t)p->count * sizeof(float));
        stored_to_whole(part, v->buffer[FOUND]);
        worst = fmax(worst, difference_of(p));
    }
    return worst;
}

/* All processes know, the first tells. */
static int refuse(struct verification *v, const struct compared *t, double error, double most)
{
    const char *name = name_of(v, t);

    if (!world_is_first(v->world))
        v->world->comm->echo = true;
    return fail(ERR_DATA,
                "step %" PRId64 ": %s of %s differs from one rank's (found %.3g of it, expected at most %g)",
                v->layout.worker[0].step,
                t->param          ? "the update"
                : t->first_moment ? "the gradient"
                                  : "the gradient's square",
                t->param ? name : strchr(name, '.') + 1, error, most);
}

static int compare_tensor(struct verification *v, int64_t i)
{
    const struct compared *t = &v->tensor[i];
    const char *name = name_of(v, t);
    double error, most = (t->param ? MOST_UPDATE : MOST_GRADIENT) * v->tolerance;
    struct difference p = { .count = t->count,
                            .least_root = DETERMINED_OF_ALL * v->root,
                            .least_change = t->param          ? 0
                                            : t->first_moment ? GRADIENT_OF_ALL * v->norm
                                                              : GRADIENT_OF_ALL * v->root * v->root };

    TRY(fetch_value(v, EXPECTED, i, &p.expected));
    TRY(fetch(v, BEFORE, v->before[i], t->count, &p.before));
    if (t->second >= 0)
        TRY(fetch_value(v, SECOND, t->second, &p.second));
    error = worst_part(v, &p, name);
    TRY(world_max(v->world, &error));
    keep_worst(t->param ? &v->update : &v->gradient, t->param ? name : strchr(name, '.') + 1, error);
    return error <= most ? OK : refuse(v, t, error, most);
}

/* In the first process. */
static int compare_loss(const struct verification *v)
{
    double expected = loss_of(&v->one), found = loss_of(&v->layout);

    if (fabs(found - expected) <= MOST_LOSS * v->tolerance * fmax(fabs(expected), 1))
        return OK;
    return fail(ERR_DATA, "step %" PRId64 ": the loss differs from one rank's (found %.9g, expected %.9g)",
                v->one.worker[0].step, found, expected);
}

static void tell_step(const struct verification *v)
{
    inform("step %" PRId64 ": loss %.6g and %.6g; gradients within %.2g (%s), updates within %.2g (%s)",
           v->one.worker[0].step, loss_of(&v->one), loss_of(&v->layout), v->gradient.error,
           v->gradient.name ? v->gradient.name : "none", v->update.error,
           v->update.name ? v->update.name : "none");
}

/* Gradients first: they tell where an update goes wrong. */
static int compare(struct verification *v)
{
    v->gradient = v->update = (struct worst){ 0 };
    if (world_is_first(v->world))
        TRY(compare_loss(v));
    TRY(measure_all(v));
    for (int params = 0; params <= 1; params++)
        for (int64_t i = 0; i < v->count; i++)
            if (v->tensor[i].param == params)
                TRY(compare_tensor(v, i));
    if (world_is_first(v->world))
        tell_step(v);
    return OK;
}

/* ---- From the same parameters ---- */

static int copy_state(struct verification *v)
{
    for (int64_t i = 0; i < v->count; i++) {
        const struct compared *t = &v->tensor[i];
        const float *whole;
        TRY(fetch_value(v, EXPECTED, i, &whole));
        if (v->before[i])
            memcpy(v->before[i], whole, (size_t)t->count * sizeof(float));
        for (int r = 0; r < v->layout.count; r++) {
            struct stored *part = store_find(v->layout.worker[r].store, name_of(v, t));
            if (part)
                stored_from_whole(part, whole);
        }
    }
    return OK;
}

/* While the first process steps alone the others stand still. */
static int take_step(struct verification *v)
{
    TRY(copy_state(v));
    TRY(side_run(&v->one, step_rank));
    TRY(world_wait(v->world));
    world_enter(v->world, PHASE_RUN);
    TRY(side_run(&v->layout, step_rank));
    world_enter(v->world, PHASE_VERIFY);
    return compare(v);
}

static int take_steps(struct verification *v, int steps)
{
    world_enter(v->world, PHASE_VERIFY);
    TRY(prepare(v));
    for (int s = 0; s < steps; s++)
        TRY(take_step(v));
    return OK;
}

/* ---- Both sides ---- */

static int side_open(struct side *s, struct run *r, bool disturbed)
{
    const struct world *w = r->job->world;

    *s = (struct side){ .run = r, .world = w, .ranks = mesh_ranks(&r->mesh), .disturbed = disturbed };
    s->first = w && w->comm ? w->rank : 0;
    s->count = w && w->comm ? 1 : s->ranks;
    s->worker = mem_alloc_array((size_t)s->count, sizeof(s->worker[0]));
    if (!w || !w->comm) {
        s->ends = mem_alloc_array((size_t)s->ranks, sizeof(s->ends[0]));
        TRY(comm_local_create(&r->mesh, s->ends));
    }
    return side_run(s, open_rank);
}

static void side_close(struct side *s)
{
    for (int r = 0; r < s->count; r++)
        worker_release(&s->worker[r]);
    for (int r = 0; r < s->ranks && s->ends; r++)
        comm_free(s->ends[r]);
    mem_free(s->worker);
    mem_free(s->ends);
}

static void verification_release(struct verification *v)
{
    side_close(&v->layout);
    side_close(&v->one);
    for (int64_t i = 0; i < v->count && v->before; i++)
        mem_free(v->before[i]);
    mem_free(v->before);
    for (int b = 0; b < BUFFERS; b++)
        mem_free(v->buffer[b]);
    mem_free(v->tensor);
    str_release(&v->names);
}

/* alone NULL: it is not in this process. */
static int verify(struct run *r, struct run *alone)
{
    struct verification v = { .world = r->job->world,
                              .tolerance = r->job->dtype == DT_BF16 ? MORE_IN_BFLOAT16 : 1 };
    int status = OK;

    str_init(&v.names);
    if (alone)
        status = side_open(&v.one, alone, false);
    if (status == OK)
        status = side_open(&v.layout, r, true);
    if (status == OK)
        status = take_steps(&v, r->job->verify);
    verification_release(&v);
    return status;
}

int verify_check(const struct run *r)
{
    if (r->total_steps < r->job->verify)
        return fail(ERR_USAGE,
                    "--verify_steps: more than the run has (found %d, expected at most %" PRId64 ")",
                    r->job->verify, r->total_steps);
    return OK;
}

int verify_run(struct run *r)
{
    struct train_job job = *r->job;
    struct train_options options = *r->o;
    struct run alone;
    int status;

    if (!world_is_first(r->job->world))
        return verify(r, NULL);
    options.global_batch = r->state.global_batch_size;
    job.options = &options;
    job.checkpoint = NULL;
    job.world = NULL;
    job.mesh = (struct mesh){ .size = { 1, 1, 1 } };
    job.pipeline = (struct pipeline_options){ 0 };
    job.rules = NULL;
    job.zero_stage = 0;
    job.wish = (struct layout_wish){ 0 };
    job.stage = NULL;
    TRY(run_init(&alone, &job));
    status = verify(r, &alone);
    run_release(&alone);
    return status;
}
