/* Transfers of every kind among every group of a mesh of 2 x 2 x 2. */
#include "lib/transfers.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { RANKS = TRANSFERS_RANKS, COUNT = 1000, AHEAD = 5 };

static const struct mesh mesh = { { 2, 2, 2 } };

/* ---- groups ---- */

struct line { /* of the ranks that a transfer of this rank is among */
    int size, me, rank[RANKS];
};

static struct line line_of(int rank, int axis, uint64_t members)
{
    struct line l = { 0 };
    int size = axis == AXIS_ALL ? RANKS : 2;

    for (int i = 0; i < size; i++) {
        int other = axis == AXIS_ALL ? i : mesh_neighbour(&mesh, rank, (enum axis)axis, i);
        if (members && !(members >> i & 1))
            continue;
        l.me = other == rank ? l.size : l.me;
        l.rank[l.size++] = other;
    }
    return l;
}

/* Sums of these depend on their order. */
static float value(int rank, int64_t i)
{
    return sinf((float)(i + 1) * 0.37f) * powf(10, (float)((rank * 5 + i) % 7 - 3));
}

static int expect(bool right, const char *what, int axis, int rank)
{
    return right ? OK : fail(ERR_DATA, "%s along axis %d: rank %d has another result", what, axis, rank);
}

/* ---- each kind ---- */

static bool equal(const float *a, const float *b, bool in_order)
{
    bool near = true;

    for (int64_t i = 0; i < COUNT; i++)
        near = near && fabsf(a[i] - b[i]) <= 1e-5f * fabsf(b[i]) + 1e-3f;
    return in_order ? memcmp(a, b, COUNT * sizeof(float)) == 0 : near;
}

static int reduce_floats(struct comm *c, int axis, enum reduction reduction, bool in_order)
{
    struct transfer x = { TRANSFER_ALL_REDUCE, axis, 0, reduction, DT_F32, COUNT, 0 };
    struct line l = line_of(c->rank, axis, 0);
    float in[COUNT], out[COUNT], wanted[COUNT];

    for (int64_t i = 0; i < COUNT; i++) {
        in[i] = value(c->rank, i);
        wanted[i] = value(l.rank[0], i);
        for (int k = 1; k < l.size; k++) {
            float v = value(l.rank[k], i);
            wanted[i] = reduction == REDUCE_SUM ? wanted[i] + v : fmaxf(wanted[i], v);
        }
    }
    TRY(comm_run(c, &x, in, out));
    TRY(expect(equal(out, wanted, in_order), "all_reduce", axis, c->rank));
    TRY(comm_run(c, &x, in, in));
    return expect(equal(in, wanted, in_order), "all_reduce in place", axis, c->rank);
}

static int reduce_others(struct comm *c, int axis)
{
    struct transfer x = { TRANSFER_ALL_REDUCE, axis, 0, REDUCE_SUM, DT_F64, 3, 0 };
    struct line l = line_of(c->rank, axis, 0);
    double d[3] = { c->rank, 0.5, -1 }, sum = 0;
    uint16_t h[3] = { 0x3f80, 0x4000, 0x7fc0 }; /* 1, 2, NaN */
    int32_t n[3] = { c->rank, INT32_MIN, 7 };

    for (int k = 0; k < l.size; k++)
        sum += l.rank[k];
    TRY(comm_run(c, &x, d, d));
    TRY(expect(d[0] == sum && d[1] == 0.5 * l.size && d[2] == -l.size, "F64", axis, c->rank));
    x.dtype = DT_BF16;
    TRY(comm_run(c, &x, h, h));
    TRY(expect(h[0] == (l.size == 2 ? 0x4000 : 0x4100) && (h[2] & 0x7fc0) == 0x7fc0, "BF16", axis, c->rank));
    x.dtype = DT_I32;
    x.reduction = REDUCE_MAX;
    TRY(comm_run(c, &x, n, n));
    TRY(expect(n[0] == l.rank[l.size - 1] && n[1] == INT32_MIN && n[2] == 7, "I32", axis, c->rank));
    d[0] = log(c->rank + 1);
    d[1] = -INFINITY;
    x.dtype = DT_F64;
    x.reduction = REDUCE_LOGSUMEXP;
    TRY(comm_run(c, &x, d, d));
    return expect(fabs(exp(d[0]) - sum - l.size) < 1e-9 && d[1] == -INFINITY, "log-sum-exp", axis, c->rank);
}

static int gather_and_scatter(struct comm *c, int axis, bool in_order)
{
    struct transfer x = { TRANSFER_ALL_GATHER, axis, 0, REDUCE_SUM, DT_F32, COUNT, 0 };
    struct line l = line_of(c->rank, axis, 0);
    float *all = mem_alloc_array(COUNT * (size_t)l.size, sizeof(float)), own[COUNT], sum[COUNT];
    bool right = true;

    for (int64_t i = 0; i < COUNT; i++)
        all[l.me * COUNT + i] = value(c->rank, i);
    TRY(comm_run(c, &x, all + l.me * COUNT, all));
    for (int k = 0; k < l.size; k++)
        for (int64_t i = 0; i < COUNT; i++)
            right = right && all[k * COUNT + i] == value(l.rank[k], i);
    TRY(expect(right, "all_gather", axis, c->rank));
    for (int64_t i = 0; i < COUNT * l.size; i++) /* what each has for each */
        all[i] = value(c->rank, i);
    x.kind = TRANSFER_REDUCE_SCATTER;
    TRY(comm_run(c, &x, all, own));
    for (int64_t i = 0; i < COUNT; i++) {
        sum[i] = value(l.rank[0], l.me * COUNT + i);
        for (int k = 1; k < l.size; k++)
            sum[i] += value(l.rank[k], l.me * COUNT + i);
    }
    TRY(expect(equal(own, sum, in_order), "reduce_scatter", axis, c->rank));
    TRY(comm_run(c, &x, all, all));
    right = equal(all, sum, in_order);
    mem_free(all);
    return expect(right, "reduce_scatter in place", axis, c->rank);
}

static int broadcast_all(struct comm *c, int axis)
{
    struct transfer x = { TRANSFER_BROADCAST, axis, 0, REDUCE_SUM, DT_I64, COUNT, 0 };
    struct line l = line_of(c->rank, axis, 0);
    int64_t data[COUNT];

    for (x.peer = 0; x.peer < l.size; x.peer++) {
        bool right = true;
        for (int64_t i = 0; i < COUNT; i++)
            data[i] = c->rank * 100000 + i;
        TRY(comm_run(c, &x, data, data));
        for (int64_t i = 0; i < COUNT; i++)
            right = right && data[i] == l.rank[x.peer] * 100000 + i;
        TRY(expect(right, "broadcast", axis, c->rank));
    }
    return comm_barrier(c);
}

int transfers_every_kind(void *context, int rank, struct comm *c)
{
    bool in_order = context == NULL;

    (void)rank;
    for (int axis = 0; axis <= AXIS_ALL; axis++) {
        TRY(reduce_floats(c, axis, REDUCE_SUM, in_order));
        TRY(reduce_floats(c, axis, REDUCE_MAX, in_order));
        TRY(reduce_others(c, axis));
        TRY(gather_and_scatter(c, axis, in_order));
        TRY(broadcast_all(c, axis));
    }
    return OK;
}

/* ---- some ranks of an axis ---- */

int transfers_members(void *context, int rank, struct comm *c)
{
    struct transfer x = { TRANSFER_ALL_REDUCE, AXIS_ALL, 0, REDUCE_SUM, DT_I32, 1, 0 };
    int32_t first = 1 << rank, second = first;

    (void)context;
    x.members = 0x8a; /* ranks 1, 3, 7 */
    if (x.members >> rank & 1)
        TRY(comm_run(c, &x, &first, &first));
    TRY(expect(first == (x.members >> rank & 1 ? 0x8a : 1 << rank), "members", AXIS_ALL, rank));
    x.members = 0x83;
    x.kind = TRANSFER_BROADCAST;
    x.peer = 7;
    if (x.members >> rank & 1)
        TRY(comm_run(c, &x, &second, &second));
    TRY(expect(second == (x.members >> rank & 1 ? 0x80 : 1 << rank), "members", AXIS_ALL, rank));
    x = (struct transfer){ TRANSFER_ALL_REDUCE, AXIS_PP, 2, REDUCE_SUM, DT_I32, 1, 0 }; /* one alone */
    return mesh_coordinate(&mesh, rank, AXIS_PP) == 1 ? comm_run(c, &x, &first, &first) : OK;
}

/* ---- started and waited for later ---- */

/* All send to the next rank, several times, before anybody receives. */
int transfers_ahead(void *context, int rank, struct comm *c)
{
    struct transfer send = { TRANSFER_SEND, AXIS_ALL, 0, REDUCE_SUM, DT_F32, COUNT, (rank + 1) % RANKS };
    struct transfer recv = { TRANSFER_RECV, AXIS_ALL, 0, REDUCE_SUM, DT_F32, COUNT, (rank + 7) % RANKS };
    struct transfer sum = { TRANSFER_ALL_REDUCE, AXIS_TP, 0, REDUCE_SUM, DT_F32, COUNT, 0 };
    float *out = mem_alloc_array(AHEAD * COUNT, sizeof(float)), in[COUNT], sums[COUNT];
    struct line l = line_of(rank, AXIS_TP, 0);
    struct request requests[AHEAD], reduction;
    int64_t before = c->times.count;
    bool right = true;

    (void)context;
    for (int64_t i = 0; i < AHEAD * COUNT; i++)
        out[i] = value(rank, i);
    for (int64_t i = 0; i < COUNT; i++)
        sums[i] = value(rank, i);
    comm_start(c, &sum, sums, sums, &reduction);
    for (int k = 0; k < AHEAD; k++)
        comm_start(c, &send, out + k * COUNT, NULL, &requests[k]);
    for (int k = 0; k < AHEAD; k++) {
        TRY(comm_run(c, &recv, NULL, in));
        for (int64_t i = 0; i < COUNT; i++)
            right = right && in[i] == value((rank + 7) % RANKS, k * COUNT + i);
    }
    for (int k = AHEAD - 1; k >= 0; k--)
        TRY(comm_wait(c, &requests[k]));
    TRY(comm_wait(c, &reduction));
    for (int64_t i = 0; i < COUNT; i++)
        right = right && sums[i] == value(l.rank[0], i) + value(l.rank[1], i);
    mem_free(out);
    TRY(expect(c->times.busy > 0 && c->times.exposed > 0 && c->times.count == before + 2 * AHEAD + 1, "times",
               0, rank));
    return expect(right, "send", AXIS_ALL, rank);
}
