/* local -- ranks as threads of one process. A collective is: everybody shows where its data lies, all meet,
 * each rank reduces one slice of the data in rank order, all meet, each copies the other slices, all meet. So
 * every rank ends with the same bits, and reduced data is computed once. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "comm/comm.h"

struct meeting { /* a barrier that can be broken, so that one rank's failure does not hang the others */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int ranks, waiting;
    int copying; /* ranks that read each other's data since the last meeting */
    unsigned round;
    bool broken;
};

struct group {
    struct meeting meeting;
    const void **in; /* [rank of the group] */
    void **out;
};

struct shared {
    struct mesh mesh;
    struct meeting all;
    struct group *groups[AXIS_COUNT]; /* [axis][which group] */
    int ends;                         /* that are not freed yet */
    pthread_mutex_t mutex;
};

struct local {
    struct comm comm;
    struct shared *shared;
};

/* ---- Meetings ---- */

static void meeting_init(struct meeting *m, int ranks)
{
    *m = (struct meeting){ .ranks = ranks };
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->changed, NULL);
}

static void meeting_release(struct meeting *m)
{
    pthread_mutex_destroy(&m->mutex);
    pthread_cond_destroy(&m->changed);
}

/* copied: this rank has read others' data since the last meeting; copies: all do after this one. Who leaves a
 * broken meeting may free what others read, so it first waits until they are done. */
static int meet(struct meeting *m, bool copied, bool copies)
{
    unsigned round;
    bool took_place;

    pthread_mutex_lock(&m->mutex);
    round = m->round;
    m->copying -= copied;
    if (!m->broken && ++m->waiting == m->ranks) {
        m->waiting = 0;
        m->copying = copies ? m->ranks : 0;
        m->round++;
    }
    pthread_cond_broadcast(&m->changed);
    while (m->round == round && (!m->broken || m->copying > 0))
        pthread_cond_wait(&m->changed, &m->mutex);
    took_place = m->round != round;
    pthread_mutex_unlock(&m->mutex);
    return took_place ? OK : fail(ERR_INTERNAL, "another rank has failed");
}

static void meeting_break(struct meeting *m)
{
    pthread_mutex_lock(&m->mutex);
    m->broken = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->mutex);
}

/* ---- Groups: the ranks that differ only along one axis ---- */

static int group_count(const struct mesh *m, enum axis axis)
{
    return mesh_ranks(m) / m->size[axis];
}

static struct group *group_of(struct local *l, enum axis axis)
{
    int other = mesh_coordinate(&l->comm.mesh, l->comm.rank, axis == AXIS_TP ? AXIS_DP : AXIS_TP);

    return &l->shared->groups[axis][other];
}

/* ---- Reductions ---- */

static double reduce_two(enum reduction r, double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;

    if (r == REDUCE_SUM)
        return a + b;
    if (r == REDUCE_MAX || low == -INFINITY)
        return high;
    return high + log1p(exp(low - high));
}

static void reduce_f32(enum reduction r, const void *const in[], int ranks, int64_t first, int64_t end,
                       float *out)
{
    for (int64_t i = first; i < end; i++) {
        float sum = ((const float *)in[0])[i];
        for (int k = 1; k < ranks; k++) {
            float x = ((const float *)in[k])[i];
            sum = r == REDUCE_SUM ? sum + x : (float)reduce_two(r, sum, x);
        }
        out[i] = sum;
    }
}

static void reduce_f64(enum reduction r, const void *const in[], int ranks, int64_t first, int64_t end,
                       double *out)
{
    for (int64_t i = first; i < end; i++) {
        double sum = ((const double *)in[0])[i];
        for (int k = 1; k < ranks; k++)
            sum = reduce_two(r, sum, ((const double *)in[k])[i]);
        out[i] = sum;
    }
}

static int64_t slice_start(int64_t count, int ranks, int k)
{
    return ceil_div(count, ranks) * k < count ? ceil_div(count, ranks) * k : count;
}

static int all_reduce(struct comm *c, const struct collective *x, const void *in, void *out)
{
    struct group *g = group_of((struct local *)c, x->axis);
    int ranks = c->mesh.size[x->axis], me = mesh_coordinate(&c->mesh, c->rank, x->axis);
    int64_t first = slice_start(x->count, ranks, me), end = slice_start(x->count, ranks, me + 1);
    size_t bytes = dtype_bytes(x->dtype);

    if (x->dtype != DT_F32 && x->dtype != DT_F64)
        BUG("all_reduce of %s", dtype_name(x->dtype));
    g->in[me] = in;
    g->out[me] = out;
    TRY(meet(&g->meeting, false, true));
    if (x->dtype == DT_F32)
        reduce_f32(x->reduction, g->in, ranks, first, end, out);
    else
        reduce_f64(x->reduction, g->in, ranks, first, end, out);
    TRY(meet(&g->meeting, true, true));
    for (int k = 0; k < ranks; k++) {
        int64_t from = slice_start(x->count, ranks, k), to = slice_start(x->count, ranks, k + 1);
        if (k != me && to > from)
            memcpy((char *)out + (size_t)from * bytes, (const char *)g->out[k] + (size_t)from * bytes,
                   (size_t)(to - from) * bytes);
    }
    return meet(&g->meeting, true, false);
}

static int all_gather(struct comm *c, const struct collective *x, const void *in, void *out)
{
    struct group *g = group_of((struct local *)c, x->axis);
    size_t bytes = dtype_bytes(x->dtype) * (size_t)x->count;

    g->in[mesh_coordinate(&c->mesh, c->rank, x->axis)] = in;
    TRY(meet(&g->meeting, false, true));
    for (int k = 0; k < c->mesh.size[x->axis]; k++)
        memcpy((char *)out + (size_t)k * bytes, g->in[k], bytes);
    return meet(&g->meeting, true, false);
}

static int barrier(struct comm *c)
{
    return meet(&((struct local *)c)->shared->all, false, false);
}

/* ---- Life cycle ---- */

static void shared_free(struct shared *s)
{
    for (int a = 0; a < AXIS_COUNT; a++) {
        for (int i = 0; i < group_count(&s->mesh, (enum axis)a); i++) {
            meeting_release(&s->groups[a][i].meeting);
            mem_free(s->groups[a][i].in);
            mem_free(s->groups[a][i].out);
        }
        mem_free(s->groups[a]);
    }
    meeting_release(&s->all);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

static void local_free(struct comm *c)
{
    struct shared *s = ((struct local *)c)->shared;
    bool last;

    pthread_mutex_lock(&s->mutex);
    last = --s->ends == 0;
    pthread_mutex_unlock(&s->mutex);
    if (last)
        shared_free(s);
    mem_free(c);
}

static const struct comm_ops local_ops = {
    .name = "local",
    .all_reduce = all_reduce,
    .all_gather = all_gather,
    .barrier = barrier,
    .free = local_free,
};

int comm_local_create(const struct mesh *mesh, struct comm *ends[])
{
    struct shared *s = mem_alloc(sizeof(*s));
    int ranks = mesh_ranks(mesh);

    s->mesh = *mesh;
    s->ends = ranks;
    pthread_mutex_init(&s->mutex, NULL);
    meeting_init(&s->all, ranks);
    for (int a = 0; a < AXIS_COUNT; a++) {
        s->groups[a] = mem_alloc_array((size_t)group_count(mesh, (enum axis)a), sizeof(struct group));
        for (int i = 0; i < group_count(mesh, (enum axis)a); i++) {
            struct group *g = &s->groups[a][i];
            meeting_init(&g->meeting, mesh->size[a]);
            g->in = mem_alloc_array((size_t)mesh->size[a], sizeof(g->in[0]));
            g->out = mem_alloc_array((size_t)mesh->size[a], sizeof(g->out[0]));
        }
    }
    for (int r = 0; r < ranks; r++) {
        struct local *l = mem_alloc(sizeof(*l));
        l->comm = (struct comm){ .ops = &local_ops, .mesh = *mesh, .rank = r };
        l->shared = s;
        ends[r] = &l->comm;
    }
    return OK;
}

void comm_free(struct comm *c)
{
    if (c)
        c->ops->free(c);
}

/* ---- Running ranks ---- */

struct rank_run {
    pthread_t thread;
    struct comm *comm;
    int (*fn)(void *context, int rank, struct comm *comm);
    void *context;
    int threads, status;
    char *message;
};

static void break_all(struct shared *s)
{
    meeting_break(&s->all);
    for (int a = 0; a < AXIS_COUNT; a++)
        for (int i = 0; i < group_count(&s->mesh, (enum axis)a); i++)
            meeting_break(&s->groups[a][i].meeting);
}

static void *run_rank(void *argument)
{
    struct rank_run *r = argument;

    parallel_set_threads(r->threads);
    r->status = r->fn(r->context, r->comm->rank, r->comm);
    if (r->status != OK) {
        r->message = mem_strdup(error_message());
        break_all(((struct local *)r->comm)->shared);
    }
    error_clear();
    return NULL;
}

int comm_local_run(const struct mesh *mesh, int threads_each,
                   int (*fn)(void *context, int rank, struct comm *comm), void *context)
{
    int ranks = mesh_ranks(mesh), status = OK;
    struct comm **ends = mem_alloc_array((size_t)ranks, sizeof(ends[0]));
    struct rank_run *runs = mem_alloc_array((size_t)ranks, sizeof(runs[0]));

    TRY(comm_local_create(mesh, ends));
    for (int r = 0; r < ranks; r++) {
        runs[r] = (struct rank_run){ .comm = ends[r], .fn = fn, .context = context, .threads = threads_each };
        if (pthread_create(&runs[r].thread, NULL, run_rank, &runs[r]) != 0)
            BUG("no thread for rank %d", r);
    }
    for (int r = 0; r < ranks; r++)
        pthread_join(runs[r].thread, NULL);
    for (int r = 0; r < ranks; r++) { /* the cause, not its echo on other ranks */
        bool echo = runs[r].message && strstr(runs[r].message, "another rank has failed");
        if (runs[r].status != OK && status == OK && !echo)
            status = fail(runs[r].status, "%s", runs[r].message);
    }
    for (int r = 0; r < ranks; r++) {
        mem_free(runs[r].message);
        comm_free(ends[r]);
    }
    mem_free(ends);
    mem_free(runs);
    return status;
}
