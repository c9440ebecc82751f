/* What these machines do when all their ranks work at once: a linear of a layer's size, a pass over memory, a
 * reduction of a gradient's size and one of a single number, among the ranks of a host and among all. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/parallel.h"
#include "comm/world.h"
#include "cpu/kernels.h"
#include "cpu/machine.h"
#include "ops/ops.h"
#include "plan/cluster.h"

enum { ROWS = 256, WIDTH = 768, INNER = 3072, FLOATS = 1 << 21, TILE = 1 << 16, MOVED = 1 << 20, TIMES = 4 };

enum figure { FLOPS, MEMORY, LINK, MESSAGE, HOST_LINK, HOST_MESSAGE, FIGURES };

struct probing {
    const struct world *world;
    struct cluster *cluster; /* hosts and host_ranks are known */
    int ranks;
};

/* ---- One rank ---- */

/* Seconds of one of TIMES runs, from when all ranks begin to when all are done: what ranks that share a
 * processor take from each other shows. The first run only warms up. */
static int time_runs(struct comm *comm, int (*run)(void *context), void *context, double *seconds)
{
    double start;

    TRY(run(context));
    TRY(comm_barrier(comm));
    start = clock_seconds();
    for (int i = 0; i < TIMES; i++)
        TRY(run(context));
    TRY(comm_barrier(comm));
    *seconds = (clock_seconds() - start) / TIMES;
    return OK;
}

static struct tensor matrix(int64_t rows, int64_t columns)
{
    return (struct tensor){ .dtype = DT_F32,
                            .ndim = 2,
                            .dims = { { rows, COUNT_FIXED }, { columns, COUNT_FIXED } } };
}

static struct view view_of(const struct tensor *t)
{
    struct view v = { .dtype = DT_F32, .ndim = 2 };
    float *data;

    for (int d = 0; d < 2; d++)
        v.dim[d] = v.whole[d] = t->dims[d].size;
    data = v.data = mem_alloc_array((size_t)(v.dim[0] * v.dim[1]), sizeof(float));
    for (int64_t i = 0; i < v.dim[0] * v.dim[1]; i++)
        data[i] = (float)(i % 7) - 3;
    return v;
}

struct product {
    const struct kernel *kernel;
    struct kernel_args args;
};

static int run_product(void *context)
{
    const struct product *p = context;

    p->kernel->run(&p->args);
    return OK;
}

static int measure_linear(struct comm *comm, const struct machine *m, double *flops)
{
    struct tensor x = matrix(ROWS, WIDTH), w = matrix(WIDTH, INNER), y = matrix(ROWS, INNER);
    struct tensor *in[] = { &x, &w, NULL, NULL };
    struct node n = {
        .op = &op_linear, .nin = 4, .nout = 1, .in = in, .out = { &y }, .attr = { 1 }, .scope = ""
    };
    struct view views[] = { view_of(&x), view_of(&w), { 0 }, { 0 } }, out = view_of(&y);
    const struct run_counts counts = { { 0 } };
    const struct mesh alone = { .size = { 1, 1, 1 } };
    const bool add = false;
    struct product p = { kernel_choose(cpu_kernel_table(m->isa), &n, m, NULL),
                         { .node = &n, .in = views, .out = &out, .add = &add, .counts = &counts } };
    int64_t bytes = p.kernel->workspace ? p.kernel->workspace(&n, &alone, m) : 0;
    double seconds = 1;
    int status;

    p.args.workspace = mem_map((size_t)bytes + 64);
    status = p.args.workspace ? time_runs(comm, run_product, &p, &seconds)
                              : fail(ERR_SYSTEM, "no memory to measure this machine with");
    if (p.args.workspace)
        mem_unmap(p.args.workspace, (size_t)bytes + 64);
    for (int i = 0; i < 2; i++)
        mem_free(views[i].data);
    mem_free(out.data);
    *flops = 2.0 * ROWS * WIDTH * INNER / seconds;
    return status;
}

struct pass {
    const float *from;
    float *to;
};

static void pass_tile(void *context, int64_t tile)
{
    const struct pass *p = context;

    for (int64_t i = tile * TILE; i < (tile + 1) * TILE; i++)
        p->to[i] = p->from[i] * 0.5f + p->to[i];
}

static int run_pass(void *context)
{
    parallel_for(FLOATS / TILE, pass_tile, context);
    return OK;
}

static int measure_memory(struct comm *comm, double *speed)
{
    struct pass p = { mem_alloc_array(FLOATS, sizeof(float)), mem_alloc_array(FLOATS, sizeof(float)) };
    double seconds = 1;
    int status = time_runs(comm, run_pass, &p, &seconds);

    mem_free((void *)p.from);
    mem_free(p.to);
    *speed = 3.0 * FLOATS * sizeof(float) / seconds;
    return status;
}

struct reduction_run {
    struct comm *comm;
    uint64_t members; /* as in struct transfer */
    float *data;
    int64_t count;
};

static int run_reduction(void *context)
{
    const struct reduction_run *r = context;

    return comm_run(r->comm,
                    &(struct transfer){ .kind = TRANSFER_ALL_REDUCE,
                                        .axis = AXIS_ALL,
                                        .members = r->members,
                                        .reduction = REDUCE_SUM,
                                        .dtype = DT_F32,
                                        .count = r->count },
                    r->data, r->data);
}

/* Among `ranks` ranks, as many lines of them as there are side by side. */
static int measure_link(struct comm *comm, uint64_t members, int ranks, double *link, double *message)
{
    struct reduction_run r = { comm, members, mem_alloc_array(MOVED, sizeof(float)), 1 };
    double large = 1, small = 1, bytes = 2.0 * MOVED * sizeof(float) * (ranks - 1) / ranks;
    int status = time_runs(comm, run_reduction, &r, &small);

    r.count = MOVED;
    if (status == OK)
        status = time_runs(comm, run_reduction, &r, &large);
    mem_free(r.data);
    *message = small / 2;
    *link = bytes / fmax(large - small, large / 2);
    return status;
}

/* Beyond what a set of members can name, links inside of a host are not measured. */
static int measure_links(struct comm *comm, const struct cluster *c, int ranks, double figure[])
{
    int on_host = c->host_ranks, first = comm->rank / on_host * on_host;

    if (c->hosts == 1)
        return ranks > 1 ? measure_link(comm, 0, ranks, &figure[LINK], &figure[MESSAGE]) : OK;
    if (on_host > 1 && ranks <= 64)
        TRY(measure_link(comm, (((uint64_t)1 << on_host) - 1) << first, on_host, &figure[LINK],
                         &figure[MESSAGE]));
    return measure_link(comm, 0, ranks, &figure[HOST_LINK], &figure[HOST_MESSAGE]);
}

/* The mean of all ranks, for all. */
static int agree(struct comm *comm, int ranks, double figure[])
{
    TRY(comm_run(comm,
                 &(struct transfer){ .kind = TRANSFER_ALL_REDUCE,
                                     .axis = AXIS_ALL,
                                     .reduction = REDUCE_SUM,
                                     .dtype = DT_F64,
                                     .count = FIGURES },
                 figure, figure));
    for (int i = 0; i < FIGURES; i++)
        figure[i] /= ranks;
    return OK;
}

static int probe_rank(void *context, int rank, struct comm *comm)
{
    const struct probing *p = context;
    struct cluster *c = p->cluster;
    double figure[FIGURES] = { 0 };
    double *const place[FIGURES] = { &c->flops,           &c->memory_bytes,    &c->link_bytes,
                                     &c->message_seconds, &c->host_link_bytes, &c->host_message_seconds };
    struct machine m;

    m.threads = parallel_threads();
    TRY(machine_detect(&m));
    TRY(measure_linear(comm, &m, &figure[FLOPS]));
    TRY(measure_memory(comm, &figure[MEMORY]));
    TRY(measure_links(comm, c, p->ranks, figure));
    TRY(agree(comm, p->ranks, figure));
    if (rank > 0 && !(p->world && p->world->comm)) /* a thread: the first one tells this process */
        return OK;
    for (int i = 0; i < FIGURES; i++)
        *place[i] = figure[i] > 0 ? figure[i] : *place[i];
    return OK;
}

/* ---- All of them ---- */

int cluster_probe(struct cluster *c, const struct world *w, int ranks)
{
    const struct mesh mesh = { .size = { ranks, 1, 1 } };
    struct cluster found = *c;
    const struct probing p = { w, &found, ranks };

    TRY(cluster_find_hosts(&found, w, ranks));
    TRY(world_run(w, &mesh, probe_rank, (void *)&p));
    *c = found;
    return OK;
}
