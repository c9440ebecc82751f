#include "comm/world.h"

#include <fcntl.h>
#include <sched.h>
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
#include "comm/module.h"
#include "comm/traffic.h"

enum { WINDOW = 1 << 20, PATIENCE = 2 /* seconds */, NOBODY = -1 };

struct joined {
    struct loaded mpi;
    void *context; /* MPI's */
    struct mpi_world place;
    struct mpi_handle all, host;
    struct segment *segment;
    int *seats;
};

/* ---- before there is a comm ---- */

static int take(const char *problem)
{
    return problem ? fail(ERR_SYSTEM, "%s", problem) : OK;
}

static int run_at_once(struct joined *j, struct mpi_handle group, const struct mpi_transfer *x)
{
    struct mpi_handle request;
    bool done = false;

    TRY(take(j->mpi.module->start(j->context, group, x, &request)));
    while (!done) {
        TRY(take(j->mpi.module->test(j->context, &request, &done)));
        if (!done)
            sched_yield();
    }
    return OK;
}

static int host_wait(struct joined *j)
{
    return run_at_once(j, j->host, &(struct mpi_transfer){ .kind = MPI_KIND_BARRIER });
}

/* ---- what the ranks of a host share ---- */

/* Memory without a name in any file system: it goes with the last process, however that ends. The others
 * open it by way of the first one's descriptor. */
static void *map(int fd, size_t bytes)
{
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return p == MAP_FAILED ? NULL : p;
}

static int make_shared(size_t bytes)
{
    int fd = memfd_create("plait", MFD_CLOEXEC);

    if (fd >= 0 && ftruncate(fd, (off_t)bytes) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int open_shared(const int64_t from[2])
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%lld/fd/%lld", (long long)from[0], (long long)from[1]);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* NULL on all ranks of the host where one of them cannot. */
static int share_segment(struct joined *j, struct segment **out)
{
    size_t bytes = segment_bytes(j->place.host_ranks, WINDOW);
    int fd = j->place.host_rank == 0 ? make_shared(bytes) : -1;
    int64_t from[2] = { getpid(), fd };
    struct mpi_transfer broadcast = {
        .kind = MPI_KIND_BROADCAST, .type = MPI_TYPE_I64, .count = 2, .in = from, .out = from
    };
    int32_t missing;
    struct mpi_transfer any = { .kind = MPI_KIND_ALL_REDUCE,
                                .type = MPI_TYPE_I32,
                                .reduction = MPI_REDUCE_MAX,
                                .count = 1,
                                .in = &missing,
                                .out = &missing };
    struct segment *s;

    TRY(run_at_once(j, j->host, &broadcast));
    if (j->place.host_rank > 0)
        fd = open_shared(from);
    s = map(fd, bytes);
    missing = s == NULL;
    if (s && j->place.host_rank == 0)
        segment_init(s, j->place.host_ranks, WINDOW);
    TRY(run_at_once(j, j->host, &any));
    if (fd >= 0)
        close(fd);
    if (missing && s)
        munmap(s, bytes);
    *out = missing ? NULL : s;
    return OK;
}

/* Alone on its host, as far as this rank can see. */
static int make_alone(struct joined *j)
{
    size_t bytes = segment_bytes(1, 0);

    j->segment = mem_map(bytes);
    if (!j->segment)
        return fail(ERR_SYSTEM, "no memory for what ranks share");
    segment_init(j->segment, 1, 0);
    j->place.host_ranks = 1;
    j->place.host_rank = 0;
    return OK;
}

static int make_segment(struct joined *j)
{
    int ranks = j->place.host_ranks;
    int *host = mem_alloc_array((size_t)ranks, sizeof(host[0]));
    int status;

    j->mpi.module->host(j->context, host);
    status = take(j->mpi.module->group(j->context, host, ranks, &j->host));
    if (status == OK && ranks > 1 && ranks <= SEGMENT_MOST_RANKS)
        status = share_segment(j, &j->segment);
    j->seats = mem_alloc_array((size_t)j->place.ranks, sizeof(j->seats[0]));
    for (int r = 0; r < j->place.ranks; r++)
        j->seats[r] = NOBODY;
    for (int i = 0; j->segment && i < ranks; i++)
        j->seats[host[i]] = i;
    mem_free(host);
    if (status != OK || j->segment)
        return status;
    j->seats[j->place.rank] = 0;
    return make_alone(j);
}

/* ---- threads ---- */

/* A processor that several ranks may run on counts as a part for each of them. */
static int threads_of(const struct joined *j)
{
    const struct seat *seats = j->segment->seats;
    double sum = 0;

    for (int p = 0; p < CPU_SETSIZE; p++) {
        int users = 0;
        for (int i = 0; i < j->segment->ranks; i++)
            users += CPU_ISSET(p, &seats[i].processors);
        if (CPU_ISSET(p, &seats[j->place.host_rank].processors))
            sum += 1.0 / users;
    }
    return sum + 1e-6 < 1 ? 1 : (int)(sum + 1e-6);
}

static int settle_threads(struct joined *j)
{
    cpu_set_t *mine = &j->segment->seats[j->place.host_rank].processors;

    if (sched_getaffinity(0, sizeof(*mine), mine) != 0)
        CPU_ZERO(mine);
    TRY(j->segment->ranks > 1 ? host_wait(j) : OK);
    if (parallel_threads() == parallel_cpus()) /* nobody has said how many */
        parallel_set_threads(threads_of(j));
    return OK;
}

/* ---- opening ---- */

static int start_mpi(struct joined *j, const struct launcher *l)
{
    const char *problem;

    TRY(module_load(l->flavour, &j->mpi));
    j->context = mem_alloc(j->mpi.module->context_bytes);
    problem = j->mpi.module->open(j->context, &j->place);
    if (problem)
        return fail(ERR_CONFIG, "%s cannot start: %s", j->mpi.module->flavour, problem);
    if (l->name && j->place.ranks != l->ranks) {
        fail(ERR_CONFIG, "%s started %d ranks, but %s knows of %d", l->name, l->ranks, j->mpi.module->flavour,
             j->place.ranks);
        error_hint("the launcher must be that of %s", j->mpi.module->flavour);
        return ERR_CONFIG;
    }
    return take(j->mpi.module->group(j->context, NULL, 0, &j->all));
}

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

static int join(struct joined *j, const struct launcher *l)
{
    TRY(start_mpi(j, l));
    TRY(make_segment(j));
    return settle_threads(j);
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
    if (l->no_interface)
        error_hint("srun --mpi=pmix lets them know");
    else
        error_hint("without %s, --world_size %d gives as many ranks inside one process", l->name, l->ranks);
    return ERR_CONFIG;
}

int world_open(struct world *w, const struct world_options *o)
{
    struct launcher l = launcher_find();
    struct joined *j;
    int status;

    *w = (struct world){ .tell = o->tell };
    if (l.name && (o->comm == WORLD_LOCAL || l.no_interface))
        return refuse_launcher(&l);
    if (!l.name && o->comm != WORLD_MPI)
        return OK;
    j = mem_alloc(sizeof(*j));
    status = join(j, &l);
    if (status != OK)
        return give_up(j, &l, o, status);
    if (j->place.rank > 0)
        log_set_level(LOG_ERROR);
    *w = (struct world){ .launcher = l.name ? l.name : "mpirun",
                         .ranks = j->place.ranks,
                         .rank = j->place.rank,
                         .host_ranks = j->place.host_ranks,
                         .host_rank = j->place.host_rank,
                         .comm = make_comm(j),
                         .joined = j,
                         .tell = o->tell };
    return OK;
}

/* ---- closing ---- */

static void doze(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Waits until all have come to this place; once a rank has failed, only for a while. */
static bool part(struct joined *j)
{
    const struct mpi_transfer barrier = { .kind = MPI_KIND_BARRIER };
    struct mpi_handle request;
    double since = clock_seconds();
    bool done = false;

    if (j->mpi.module->start(j->context, j->all, &barrier, &request))
        return false;
    while (!done) {
        if (j->mpi.module->test(j->context, &request, &done))
            return false;
        if (atomic_load(&j->segment->broken) == OK)
            since = clock_seconds();
        else if (!done && clock_seconds() - since > PATIENCE)
            return false;
        if (!done)
            doze();
    }
    return true;
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
    bool left, own = status != OK && *error_message();

    if (!w->comm)
        return status;
    if (own && !w->comm->echo) {
        tell_once(w, status);
        comm_break(w->comm, status);
    }
    error_clear();
    left = part(j);
    if (atomic_load(&j->segment->broken) != OK)
        status = atomic_load(&j->segment->broken);
    if (!left)
        j->mpi.module->abort(j->context, error_exit_code(status));
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

/* ---- agreeing ---- */

int world_wait(const struct world *w)
{
    return w && w->comm ? comm_barrier(w->comm) : OK;
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
