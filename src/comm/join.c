#include "comm/join.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"

enum { WINDOW = 4 << 20, NOBODY = -1 };

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

/* ---- the whole ---- */

static int make_groups_of_all(struct joined *j)
{
    int *ranks = mem_alloc_array((size_t)j->place.ranks, sizeof(ranks[0]));
    int status = take(j->mpi.module->group(j->context, NULL, 0, &j->all));

    for (int r = 0; r < j->place.ranks; r++)
        ranks[r] = r;
    if (status == OK)
        status = take(j->mpi.module->group(j->context, ranks, j->place.ranks, &j->leaving));
    mem_free(ranks);
    return status;
}

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
    return make_groups_of_all(j);
}

int joined_leaders(struct joined *j, struct leader *leaders, int *count, int *listener)
{
    struct leader me = { .rank = j->place.host_rank == 0 ? j->place.rank : NOBODY };
    struct leader *all = mem_alloc_array((size_t)j->place.ranks, sizeof(all[0]));
    const struct mpi_transfer gather = { .kind = MPI_KIND_ALL_GATHER,
                                         .type = MPI_TYPE_I32,
                                         .count = sizeof(me) / sizeof(int32_t),
                                         .in = &me,
                                         .out = all };
    int status;

    gethostname(me.host, sizeof(me.host) - 1);
    *listener = j->place.rank == 0 && j->place.host_ranks < j->place.ranks ? lifeline_open(&me.door) : -1;
    status = run_at_once(j, j->all, &gather);
    *count = 0;
    for (int r = 0; r < j->place.ranks && status == OK; r++)
        if (all[r].rank != NOBODY)
            leaders[(*count)++] = all[r];
    mem_free(all);
    return status;
}

static void take_seat(struct joined *j)
{
    struct seat *s = &j->segment->seats[j->place.host_rank];

    s->rank = j->place.rank;
    s->pid = getpid();
    s->alive = s->moved = (int64_t)(clock_seconds() * 1e9);
}

int join(struct joined *j, const struct launcher *l)
{
    TRY(start_mpi(j, l));
    TRY(make_segment(j));
    take_seat(j);
    return settle_threads(j);
}
