#include "comm/world.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "comm/join.h"
#include "comm/vigil.h"
#include "comm/watch.h"

enum { PATIENCE = 2 /* seconds */ };

/* ---- opening ---- */

static void release(struct traffic *t)
{
    struct joined *j = t->context;

    if (j->segment->window > 0)
        munmap(j->segment, j->segment->bytes);
    else
        mem_unmap(j->segment, j->segment->bytes);
}

static struct comm *make_comm(struct joined *j)
{
    struct comm *c = traffic_create(&(struct mesh){ { j->place.ranks } }, j->place.rank, j->segment);
    struct traffic *t = c->traffic;

    t->seat = j->place.host_rank;
    t->seats = j->seats;
    t->mpi = j->mpi.module;
    t->mpi_context = j->context;
    t->alone = !j->place.threads;
    t->release = release;
    t->context = j;
    return c;
}

static int begin_watch(struct joined *j, struct comm *c, const struct world_options *o)
{
    struct watch_options w = { .traffic = c->traffic, .rank = j->place.rank, .all = j->all, .tell = o->tell };
    struct leader *leaders = mem_alloc_array((size_t)j->place.ranks, sizeof(leaders[0]));
    int status = joined_leaders(j, leaders, &w.leader_count, &w.listener);

    w.leaders = leaders;
    if (status == OK && j->place.ranks > 1)
        status = watch_begin(&w, &j->watch);
    else if (w.listener >= 0)
        close(w.listener);
    mem_free(leaders);
    return status;
}

/* Told once on each host. Some ranks may be in MPI, and wait there for this one. */
static int give_up(struct joined *j, const struct launcher *l, const struct world_options *o, int status)
{
    if (l->host_rank <= 0)
        o->tell(status);
    error_clear();
    if (j->place.ranks > 1)
        j->mpi.module->abort(j->context, error_exit_code(status));
    else if (j->place.ranks == 1)
        j->mpi.module->close(j->context);
    return status;
}

static int refuse_launcher(const struct launcher *l)
{
    if (l->host_rank > 0)
        return ERR_CONFIG;
    fail(ERR_CONFIG, "started by %s as one of %d ranks, which do not know of each other (expected MPI)",
         l->name, l->ranks);
    if (l->instead)
        error_hint("%s lets them know", l->instead);
    else
        error_hint("without %s, --world_size %d gives as many ranks inside one process", l->name, l->ranks);
    return ERR_CONFIG;
}

int world_open(struct world *w, const struct world_options *o)
{
    struct launcher l = launcher_find();
    struct joined *j;
    struct vigil *vigil;
    struct comm *c = NULL;
    int status;

    *w = (struct world){ .tell = o->tell };
    if (l.name && (o->comm == WORLD_LOCAL || l.instead))
        return refuse_launcher(&l);
    if (!l.name && o->comm != WORLD_MPI)
        return OK;
    j = mem_alloc(sizeof(*j));
    vigil = l.name ? vigil_begin(o->tell) : NULL;
    status = join(j, &l);
    if (status == OK) {
        c = make_comm(j);
        status = begin_watch(j, c, o);
    }
    vigil_end(vigil);
    if (status != OK)
        return give_up(j, &l, o, status);
    if (j->place.rank > 0)
        log_set_level(LOG_ERROR);
    *w = (struct world){ .launcher = l.name ? l.name : "mpirun",
                         .ranks = j->place.ranks,
                         .rank = j->place.rank,
                         .host_ranks = j->place.host_ranks,
                         .host_rank = j->place.host_rank,
                         .comm = c,
                         .joined = j,
                         .tell = o->tell };
    return OK;
}

/* ---- closing ---- */

static void doze(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Stays here where a watch has told of a lost rank, and ends all at any moment. */
static void await_end(const struct joined *j)
{
    while (atomic_load(&j->segment->lost))
        doze();
}

enum { ALL_HERE, NOT_YET, NEVER };

static int test_meeting(struct world *w, struct mpi_handle *request)
{
    struct joined *j = w->joined;
    bool done = false;
    const char *problem;

    await_end(j);
    pthread_mutex_lock(&w->comm->traffic->mutex);
    problem = j->mpi.module->test(j->context, request, &done);
    pthread_mutex_unlock(&w->comm->traffic->mutex);
    return problem ? NEVER : done ? ALL_HERE : NOT_YET;
}

/* Waits until all have come to this place; once a rank has failed, only for a while. *most: the largest of
 * what they bring, where all have come. */
static bool part(struct world *w, int32_t mine, int32_t *most)
{
    const struct mpi_transfer meeting = { .kind = MPI_KIND_ALL_REDUCE,
                                          .type = MPI_TYPE_I32,
                                          .reduction = MPI_REDUCE_MAX,
                                          .count = 1,
                                          .in = &mine,
                                          .out = most };
    struct joined *j = w->joined;
    struct mpi_handle request;
    double since = clock_seconds();
    int here = NOT_YET;

    await_end(j);
    pthread_mutex_lock(&w->comm->traffic->mutex);
    if (j->mpi.module->start(j->context, j->leaving, &meeting, &request))
        here = NEVER;
    pthread_mutex_unlock(&w->comm->traffic->mutex);
    while (here == NOT_YET) {
        here = test_meeting(w, &request);
        if (atomic_load(&j->segment->broken) == OK)
            since = clock_seconds();
        if (here == NOT_YET && clock_seconds() - since > PATIENCE)
            here = NEVER;
        if (here == NOT_YET)
            doze();
    }
    return here == ALL_HERE;
}

static void tell_once(struct world *w, int status)
{
    int told = 0;

    if (atomic_compare_exchange_strong(&w->joined->segment->told, &told, 1))
        w->tell(status);
}

int world_close(struct world *w, int status)
{
    struct joined *j = w->joined;
    bool left, own = status != OK && *error_message() && w->comm && !w->comm->echo;
    int32_t mine = own ? w->ranks - w->rank : 0, first = mine;

    if (!w->comm)
        return status;
    if (own && w->host_ranks == w->ranks)
        tell_once(w, status);
    if (own)
        comm_break(w->comm, status);
    comm_enter(w->comm, PHASE_END);
    left = part(w, mine, &first);
    if (own && (!left || first == mine)) /* on several hosts the first that has failed, once that is known */
        tell_once(w, status);
    error_clear();
    if (atomic_load(&j->segment->broken) != OK)
        status = atomic_load(&j->segment->broken);
    if (!left)
        j->mpi.module->abort(j->context, error_exit_code(status));
    j->segment->seats[j->place.host_rank].left = 1;
    watch_end(j->watch);
    comm_free(w->comm);
    j->mpi.module->close(j->context);
    mem_free(j->context);
    mem_free(j->seats);
    mem_free(j);
    *w = (struct world){ 0 };
    return status;
}

/* ---- running ---- */

const char *world_launcher(int *ranks)
{
    struct launcher l = launcher_find();

    *ranks = l.ranks;
    return l.name;
}

bool world_may_tell(void)
{
    return launcher_find().rank == 0;
}

bool world_is_first(const struct world *w)
{
    return !w || w->rank == 0;
}

int world_threads(const struct world *w, const struct mesh *mesh)
{
    int given = parallel_threads(), all = parallel_cpus(), each = all / mesh_ranks(mesh);

    if ((w && w->comm) || given != all) /* settled when the world was opened, or said by the user */
        return given;
    return each > 0 ? each : 1;
}

int world_host_ranks(const struct world *w, const struct mesh *mesh)
{
    return w && w->comm ? w->host_ranks : mesh_ranks(mesh);
}

/* On the thread that calls. */
static int run_alone(const struct mesh *mesh, int (*fn)(void *context, int rank, struct comm *comm),
                     void *context)
{
    struct comm *c;
    int status;

    TRY(comm_local_create(mesh, &c));
    status = fn(context, 0, c);
    comm_free(c);
    return status;
}

int world_run(const struct world *w, const struct mesh *mesh,
              int (*fn)(void *context, int rank, struct comm *comm), void *context)
{
    if (!w || !w->comm)
        return mesh_ranks(mesh) == 1 ? run_alone(mesh, fn, context)
                                     : comm_local_run(mesh, world_threads(w, mesh), fn, context);
    if (mesh_ranks(mesh) != w->ranks)
        BUG("a mesh of %d ranks in a world of %d", mesh_ranks(mesh), w->ranks);
    w->comm->mesh = *mesh;
    return fn(context, w->rank, w->comm);
}

void world_enter(const struct world *w, enum comm_phase phase)
{
    comm_enter(w ? w->comm : NULL, phase);
}

/* ---- agreeing ---- */

int world_wait(const struct world *w)
{
    return w && w->comm ? comm_barrier(w->comm) : OK;
}

int world_max(const struct world *w, double *value)
{
    const struct transfer x = {
        .kind = TRANSFER_ALL_REDUCE, .axis = AXIS_ALL, .reduction = REDUCE_MAX, .dtype = DT_F64, .count = 1
    };

    return w && w->comm ? comm_run(w->comm, &x, value, value) : OK;
}

int world_any(const struct world *w, bool *any)
{
    double value = *any;

    TRY(world_max(w, &value));
    *any = value > 0;
    return OK;
}

int world_share(const struct world *w, void *data, size_t bytes)
{
    struct transfer x = { .kind = TRANSFER_BROADCAST,
                          .axis = AXIS_ALL,
                          .dtype = DT_I64,
                          .count = ceil_div((int64_t)bytes, sizeof(int64_t)) };
    int64_t *words;
    int status;

    if (!w || !w->comm)
        return OK;
    words = mem_alloc_array((size_t)x.count + 1, sizeof(words[0]));
    memcpy(words, data, bytes);
    status = comm_run(w->comm, &x, words, words);
    if (status == OK)
        memcpy(data, words, bytes);
    mem_free(words);
    return status;
}

struct opinion {
    uint64_t hash;
    char host[64], text[120];
};

int world_agree(const struct world *w, const char *what, const char *text)
{
    struct transfer x = { .kind = TRANSFER_ALL_GATHER,
                          .axis = AXIS_ALL,
                          .dtype = DT_I64,
                          .count = sizeof(struct opinion) / sizeof(int64_t) };
    struct opinion mine = { .hash = hash_bytes(text, strlen(text), 0) }, *all;
    int status;

    if (!w || !w->comm)
        return OK;
    gethostname(mine.host, sizeof(mine.host) - 1);
    snprintf(mine.text, sizeof(mine.text), "%s", text);
    all = mem_alloc_array((size_t)w->ranks, sizeof(all[0]));
    status = comm_run(w->comm, &x, &mine, all);
    for (int r = 1; r < w->ranks && status == OK; r++)
        if (all[r].hash != all[0].hash)
            status =
                fail(ERR_CONFIG, "rank %d on %s has another %s than rank 0 on %s (found %s, expected %s)", r,
                     all[r].host, what, all[0].host, all[r].text, all[0].text);
    mem_free(all);
    w->comm->echo = w->comm->echo || (status != OK && w->rank > 0); /* all know, the first tells */
    return status;
}
