/* What this machine does when all its ranks work at once: a linear of a layer's size, a pass over memory, a
 * reduction of a gradient's size and one of a single number. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/parallel.h"
#include "comm/comm.h"
#include "cpu/kernels.h"
#include "cpu/machine.h"
#include "ops/ops.h"
#include "plan/cluster.h"

enum { ROWS = 256, WIDTH = 768, INNER = 3072, FLOATS = 1 << 21, TILE = 1 << 16, MOVED = 1 << 20, TIMES = 2 };

struct probing {
    struct cluster *rank; /* [rank] */
    int ranks;
};

/* ---- One rank ---- */

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

static double linear_flops(const struct machine *m)
{
    struct tensor x = matrix(ROWS, WIDTH), w = matrix(WIDTH, INNER), y = matrix(ROWS, INNER);
    struct tensor *in[] = { &x, &w, NULL, NULL };
    struct node n = {
        .op = &op_linear, .nin = 4, .nout = 1, .in = in, .out = { &y }, .attr = { 1 }, .scope = ""
    };
    const struct kernel *k = kernel_choose(cpu_kernel_table(m->isa), &n, m, NULL);
    struct view views[] = { view_of(&x), view_of(&w), { 0 }, { 0 } }, out = view_of(&y);
    const struct run_counts counts = { { 0 } };
    const struct mesh alone = { .size = { 1, 1, 1 } };
    const bool add = false;
    struct kernel_args args = { .node = &n, .in = views, .out = &out, .add = &add, .counts = &counts };
    int64_t bytes = k->workspace ? k->workspace(&n, &alone, m) : 0;
    char *scratch = mem_map((size_t)bytes + 64);
    double best = INFINITY;

    args.workspace = scratch;
    for (int i = 0; scratch && i <= TIMES; i++) { /* the first one only warms up */
        double start = clock_seconds(), seconds;
        k->run(&args);
        seconds = clock_seconds() - start;
        best = i > 0 && seconds < best ? seconds : best;
    }
    mem_unmap(scratch, (size_t)bytes + 64);
    for (int i = 0; i < 2; i++)
        mem_free(views[i].data);
    mem_free(out.data);
    return 2.0 * ROWS * WIDTH * INNER / best;
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

static double memory_speed(void)
{
    struct pass p = { mem_alloc_array(FLOATS, sizeof(float)), mem_alloc_array(FLOATS, sizeof(float)) };
    double best = INFINITY;

    for (int i = 0; i <= TIMES; i++) {
        double start = clock_seconds(), seconds;
        parallel_for(FLOATS / TILE, pass_tile, &p);
        seconds = clock_seconds() - start;
        best = i > 0 && seconds < best ? seconds : best;
    }
    mem_free((void *)p.from);
    mem_free(p.to);
    return 3.0 * FLOATS * sizeof(float) / best;
}

static int reduce_seconds(struct comm *comm, float *data, int64_t count, double *seconds)
{
    const struct transfer x = {
        .kind = TRANSFER_ALL_REDUCE, .axis = AXIS_DP, .reduction = REDUCE_SUM, .dtype = DT_F32, .count = count
    };

    *seconds = INFINITY;
    for (int i = 0; i <= TIMES; i++) {
        double start;
        TRY(comm_barrier(comm));
        start = clock_seconds();
        TRY(comm_run(comm, &x, data, data));
        if (i > 0 && clock_seconds() - start < *seconds)
            *seconds = clock_seconds() - start;
    }
    return OK;
}

static int measure_links(struct comm *comm, int ranks, struct cluster *c)
{
    float *data = mem_alloc_array(MOVED, sizeof(float));
    double large = 0, small = 0, bytes = 2.0 * MOVED * sizeof(float) * (ranks - 1) / ranks;
    int status = reduce_seconds(comm, data, 1, &small);

    if (status == OK)
        status = reduce_seconds(comm, data, MOVED, &large);
    mem_free(data);
    TRY(status);
    c->message_seconds = small / 2;
    c->link_bytes = bytes / fmax(large - small, large / 2);
    return OK;
}

static int probe_rank(void *context, int rank, struct comm *comm)
{
    const struct probing *p = context;
    struct cluster *c = &p->rank[rank];
    struct machine m;

    m.threads = parallel_threads();
    TRY(machine_detect(&m));
    TRY(comm_barrier(comm));
    c->flops = linear_flops(&m);
    TRY(comm_barrier(comm));
    c->memory_bytes = memory_speed();
    return p->ranks > 1 ? measure_links(comm, p->ranks, c) : OK;
}

/* ---- All of them ---- */

int cluster_probe(struct cluster *c, int ranks, int threads)
{
    const struct mesh mesh = { .size = { ranks, 1, 1 } };
    struct probing p = { .ranks = ranks };
    struct cluster mean = *c;
    int status;

    p.rank = mem_alloc_array((size_t)ranks, sizeof(p.rank[0]));
    status = comm_local_run(&mesh, threads, probe_rank, &p);
    mean.flops = mean.memory_bytes = mean.link_bytes = mean.message_seconds = 0;
    for (int r = 0; r < ranks; r++) {
        mean.flops += p.rank[r].flops / ranks;
        mean.memory_bytes += p.rank[r].memory_bytes / ranks;
        mean.link_bytes += p.rank[r].link_bytes / ranks;
        mean.message_seconds += p.rank[r].message_seconds / ranks;
    }
    mem_free(p.rank);
    if (status == OK)
        *c = mean;
    return status;
}
