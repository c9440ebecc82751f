/* A layout against one rank: steps on both, each from the one rank's parameters and moments, and then every
 * gradient and every update compared. Gradients are seen through the first moment, which is linear in them;
 * Adafactor has none, there the second one is compared. An update is only compared where it is well
 * determined: AdamW divides by the root of the second moment, so where gradients are all rounding the sign
 * of a step is too. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "ops/ops.h"
#include "train/run.h"

static const double MOST_GRADIENT = 1e-3, MOST_UPDATE = 3e-2, MOST_LOSS = 2e-5;
/* A value on the edge between two of bfloat16 is rounded one way or the other. */
static const double MORE_IN_BFLOAT16 = 20;
/* A second moment's root that is large enough: as part of the largest of its tensor, and of all tensors. */
static const double DETERMINED = 1e-3, DETERMINED_OF_ALL = 1e-5;
/* A tensor's gradient below this part of the norm of all is compared with that: some are rounding alone, as
 * those of attention's key biases, which change nothing. */
static const double GRADIENT_OF_ALL = 1e-3;

struct side { /* one of the two runs */
    struct run *run;
    struct worker *worker; /* [rank] */
    struct comm **ends;    /* [rank] */
    int ranks;
    bool disturbed; /* the job's test may change it */
};

struct worst {
    const char *name;
    double error;
};

struct verification {
    struct side one, layout;
    float **before;                /* [tensor of the one rank's store]: values before the step */
    struct worst gradient, update; /* of this step */
    double tolerance;              /* times what is allowed in fp32 */
    double norm, root;             /* of all first moments' changes; the largest of all second moments' */
};

/* ---- Steps ---- */

static int open_rank(void *context, int rank, struct comm *comm)
{
    struct side *s = context;

    return worker_init(&s->worker[rank], s->run, rank, comm);
}

static int step_rank(void *context, int rank, struct comm *comm)
{
    struct side *s = context;
    struct worker *w = &s->worker[rank];
    const struct train_job *job = s->run->job;

    (void)comm;
    if (s->disturbed && job->disturb)
        job->disturb(job->disturb_context, rank, w->store);
    return loop_step(w);
}

static int side_run(struct side *s, int (*fn)(void *context, int rank, struct comm *comm))
{
    return comm_local_run_on(s->ends, s->ranks, s->run->machine.threads, fn, s);
}

static double loss_of(const struct side *s)
{
    const struct worker *w = &s->worker[0];
    const double *control = executor_view(w->train, w->plan->control).data;

    return control[CONTROL_LOSS];
}

/* ---- Comparing ---- */

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

static const float *moment(const struct side *one, const char *kind, const char *param)
{
    struct str name;
    const struct stored *e;

    str_init(&name);
    str_appendf(&name, "%s.%s", kind, param);
    e = store_find(one->worker[0].store, name.data);
    str_release(&name);
    return e ? e->data : NULL;
}

static double largest_root(const float *second, int64_t n)
{
    double most = 0;

    for (int64_t i = 0; i < n; i++)
        most = fmax(most, sqrt(fabs((double)second[i])));
    return most;
}

struct pair {
    const float *expected, *found, *before;
    const float *second; /* NULL: all entries count */
    int64_t count;
    double least_root, least_change; /* below: not compared; compared with this */
};

static void measure_all(struct verification *v)
{
    const struct store *store = v->one.worker[0].store;
    double squares = 0;

    v->root = 0;
    for (size_t i = 0; i < store_count(store); i++) {
        const struct stored *e = store_at(store, i);
        if (e->kind != TENSOR_STATE || !is_compared(e))
            continue;
        if (strncmp(e->name, "exp_avg.", 8) != 0) {
            v->root = fmax(v->root, largest_root(e->data, count_of(e)));
            continue;
        }
        for (int64_t k = 0; k < count_of(e); k++) {
            double change = (double)e->data[k] - v->before[i][k];
            squares += change * change;
        }
    }
    v->norm = sqrt(squares);
}

/* The difference against the change that the step has made, as root mean squares. A change that is nothing
 * but rounding of large values counts as that. */
static double difference(const struct pair *p)
{
    double least = p->second ? fmax(DETERMINED * largest_root(p->second, p->count), p->least_root) : 0;
    double off = 0, change = 0;

    for (int64_t i = 0; i < p->count; i++) {
        double a = p->expected[i], b = p->found[i], before = p->before[i];
        if (p->second && sqrt(fabs((double)p->second[i])) < least)
            continue;
        off += (a - b) * (a - b);
        change += (a - before) * (a - before) + 1e-12 * a * a;
    }
    if (isnan(off))
        return INFINITY;
    return off > 0 ? sqrt(off) / fmax(fmax(sqrt(change), p->least_change), 1e-30) : 0;
}

static void keep_worst(struct worst *w, const char *name, double error)
{
    if (error < w->error && w->name)
        return;
    w->name = name;
    w->error = error;
}

/* One rank's part of a tensor, the rest as expected. */
static int compare_part(struct verification *v, size_t i, const struct stored *part, float *whole)
{
    const struct stored *e = store_at(v->one.worker[0].store, i);
    bool param = e->kind == TENSOR_PARAM, first = strncmp(e->name, "exp_avg.", 8) == 0;
    const char *name = param ? e->name : strchr(e->name, '.') + 1;
    struct pair p = { e->data,
                      whole,
                      v->before[i],
                      NULL,
                      count_of(e),
                      DETERMINED_OF_ALL * v->root,
                      param   ? 0
                      : first ? GRADIENT_OF_ALL * v->norm
                              : GRADIENT_OF_ALL * v->root * v->root };
    double error, most = (param ? MOST_UPDATE : MOST_GRADIENT) * v->tolerance;

    memcpy(whole, e->data, (size_t)p.count * sizeof(float));
    stored_to_whole(part, whole);
    if (param)
        p.second = moment(&v->one, "exp_avg_sq", e->name);
    error = difference(&p);
    keep_worst(param ? &v->update : &v->gradient, name, error);
    if (error <= most)
        return OK;
    return fail(ERR_DATA,
                "step %" PRId64 ": %s of %s differs from one rank's (found %.3g of it, expected at most %g)",
                v->one.worker[0].step,
                param   ? "the update"
                : first ? "the gradient"
                        : "the gradient's square",
                name, error, most);
}

static int compare_tensor(struct verification *v, size_t i)
{
    const struct stored *e = store_at(v->one.worker[0].store, i);
    float *whole;
    int status = OK;

    if (!is_compared(e))
        return OK;
    whole = mem_alloc_array((size_t)count_of(e), sizeof(float));
    for (int r = 0; r < v->layout.ranks && status == OK; r++) {
        const struct stored *part = store_find(v->layout.worker[r].store, e->name);
        if (part)
            status = compare_part(v, i, part, whole);
    }
    mem_free(whole);
    return status;
}

/* Gradients first: they tell where an update goes wrong. */
static int compare(struct verification *v)
{
    const struct store *store = v->one.worker[0].store;
    double expected = loss_of(&v->one), found = loss_of(&v->layout);

    v->gradient = v->update = (struct worst){ 0 };
    measure_all(v);
    if (!(fabs(found - expected) <= MOST_LOSS * v->tolerance * fmax(fabs(expected), 1)))
        return fail(ERR_DATA,
                    "step %" PRId64 ": the loss differs from one rank's (found %.9g, expected %.9g)",
                    v->one.worker[0].step, found, expected);
    for (int params = 0; params <= 1; params++)
        for (size_t i = 0; i < store_count(store); i++)
            if ((store_at(store, i)->kind == TENSOR_PARAM) == params)
                TRY(compare_tensor(v, i));
    inform("step %" PRId64 ": loss %.6g and %.6g; gradients within %.2g (%s), updates within %.2g (%s)",
           v->one.worker[0].step, expected, found, v->gradient.error,
           v->gradient.name ? v->gradient.name : "none", v->update.error,
           v->update.name ? v->update.name : "none");
    return OK;
}

/* ---- From the same parameters ---- */

static void copy_state(struct verification *v)
{
    const struct store *store = v->one.worker[0].store;

    for (size_t i = 0; i < store_count(store); i++) {
        const struct stored *e = store_at(store, i);
        if (!is_compared(e))
            continue;
        memcpy(v->before[i], e->data, (size_t)count_of(e) * sizeof(float));
        for (int r = 0; r < v->layout.ranks; r++) {
            struct stored *part = store_find(v->layout.worker[r].store, e->name);
            if (part)
                stored_from_whole(part, e->data);
        }
    }
}

static int take_steps(struct verification *v, int steps)
{
    const struct store *store = v->one.worker[0].store;
    size_t count = store_count(store);
    int status = OK;

    v->before = mem_alloc_array(count + 1, sizeof(v->before[0]));
    for (size_t i = 0; i < count; i++)
        if (is_compared(store_at(store, i)))
            v->before[i] = mem_alloc_array((size_t)count_of(store_at(store, i)), sizeof(float));
    for (int s = 0; s < steps && status == OK; s++) {
        copy_state(v);
        status = side_run(&v->one, step_rank);
        if (status == OK)
            status = side_run(&v->layout, step_rank);
        if (status == OK)
            status = compare(v);
    }
    for (size_t i = 0; i < count; i++)
        mem_free(v->before[i]);
    mem_free(v->before);
    return status;
}

/* ---- Both sides ---- */

static int side_open(struct side *s, struct run *r, bool disturbed)
{
    *s = (struct side){ .run = r, .ranks = mesh_ranks(&r->mesh), .disturbed = disturbed };
    s->ends = mem_alloc_array((size_t)s->ranks, sizeof(s->ends[0]));
    s->worker = mem_alloc_array((size_t)s->ranks, sizeof(s->worker[0]));
    TRY(comm_local_create(&r->mesh, s->ends));
    return side_run(s, open_rank);
}

static void side_close(struct side *s)
{
    for (int r = 0; r < s->ranks; r++)
        worker_release(&s->worker[r]);
    for (int r = 0; r < s->ranks; r++)
        comm_free(s->ends[r]);
    mem_free(s->worker);
    mem_free(s->ends);
}

static int verify(struct run *r, struct run *alone)
{
    struct verification v = { .tolerance = r->job->dtype == DT_BF16 ? MORE_IN_BFLOAT16 : 1 };
    int status = side_open(&v.one, alone, false);

    if (status == OK)
        status = side_open(&v.layout, r, true);
    if (status == OK)
        status = take_steps(&v, r->job->verify);
    side_close(&v.layout);
    side_close(&v.one);
    return status;
}

int verify_check(const struct run *r)
{
    const struct world *world = r->job->world;

    if (world && world->comm)
        return fail(ERR_CONFIG, "--verify: compares ranks of one process (found %d processes, started by %s)",
                    world->ranks, world->launcher);
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

    options.global_batch = r->state.global_batch_size;
    job.options = &options;
    job.checkpoint = NULL;
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
