/* Transfers on in-process ranks: every kind among every group of a mesh of 2 x 2 x 2, with data read where
 * it lies and through windows of a few bytes, as processes of one host do it. */
#include "comm/comm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "comm/traffic.h"

static int give_up(int rank)
{
    return fail(ERR_DATA, "rank %d gives up", rank);
}

#include <cmocka.h>

enum { RANKS = 8, COUNT = 1000, AHEAD = 5 };

static const struct mesh mesh = { { 2, 2, 2 } };

/* ---- ranks with or without windows ---- */

struct start {
    pthread_t thread;
    struct comm *comm;
    int (*fn)(void *context, int rank, struct comm *comm);
    int status;
};

static void *run_one(void *argument)
{
    struct start *s = argument;

    s->status = s->fn(NULL, s->comm->rank, s->comm);
    if (s->status != OK)
        comm_break(s->comm);
    error_clear();
    return NULL;
}

static void keep(struct traffic *t)
{
    (void)t;
}

static void run_windows(int (*fn)(void *context, int rank, struct comm *comm), size_t window)
{
    struct segment *s = mem_map(segment_bytes(RANKS, window));
    struct start starts[RANKS];

    assert_non_null(s);
    segment_init(s, RANKS, window);
    for (int r = 0; r < RANKS; r++) {
        starts[r] = (struct start){ .comm = traffic_create(&mesh, r, s), .fn = fn };
        starts[r].comm->traffic->release = keep;
    }
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(pthread_create(&starts[r].thread, NULL, run_one, &starts[r]), 0);
    for (int r = 0; r < RANKS; r++)
        pthread_join(starts[r].thread, NULL);
    for (int r = 0; r < RANKS; r++) {
        comm_free(starts[r].comm);
        if (starts[r].status != OK)
            fail_msg("rank %d: status %d", r, starts[r].status);
    }
    mem_unmap(s, segment_bytes(RANKS, window));
}

static void run_both(int (*fn)(void *context, int rank, struct comm *comm))
{
    if (comm_local_run(&mesh, 1, fn, NULL) != OK)
        fail_msg("%s", error_message());
    run_windows(fn, 256);
    run_windows(fn, 1 << 16);
}

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
    return right ? OK : (fail)(ERR_DATA, "%s along axis %d: rank %d has another result", what, axis, rank);
}

/* ---- each kind ---- */

static int reduce_floats(struct comm *c, int axis, enum reduction reduction)
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
    TRY(expect(memcmp(out, wanted, sizeof(out)) == 0, "all_reduce", axis, c->rank));
    TRY(comm_run(c, &x, in, in));
    return expect(memcmp(in, wanted, sizeof(in)) == 0, "all_reduce in place", axis, c->rank);
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

static int gather_and_scatter(struct comm *c, int axis)
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
    mem_free(all);
    return expect(memcmp(own, sum, sizeof(sum)) == 0, "reduce_scatter", axis, c->rank);
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

static int every_kind(void *context, int rank, struct comm *c)
{
    (void)context;
    (void)rank;
    for (int axis = 0; axis <= AXIS_ALL; axis++) {
        TRY(reduce_floats(c, axis, REDUCE_SUM));
        TRY(reduce_floats(c, axis, REDUCE_MAX));
        TRY(reduce_others(c, axis));
        TRY(gather_and_scatter(c, axis));
        TRY(broadcast_all(c, axis));
    }
    return OK;
}

static void kinds(void **state)
{
    (void)state;
    run_both(every_kind);
}

/* ---- some ranks of an axis ---- */

static int some_of_all(void *context, int rank, struct comm *c)
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

static void members(void **state)
{
    (void)state;
    run_both(some_of_all);
}

/* ---- started and waited for later ---- */

/* All send to the next rank, several times, before anybody receives. */
static int send_around(void *context, int rank, struct comm *c)
{
    struct transfer send = { TRANSFER_SEND, AXIS_ALL, 0, REDUCE_SUM, DT_F32, COUNT, (rank + 1) % RANKS };
    struct transfer recv = { TRANSFER_RECV, AXIS_ALL, 0, REDUCE_SUM, DT_F32, COUNT, (rank + 7) % RANKS };
    struct transfer sum = { TRANSFER_ALL_REDUCE, AXIS_TP, 0, REDUCE_SUM, DT_F32, COUNT, 0 };
    float *out = mem_alloc_array(AHEAD * COUNT, sizeof(float)), in[COUNT], sums[COUNT];
    struct line l = line_of(rank, AXIS_TP, 0);
    struct request requests[AHEAD], reduction;
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
    TRY(expect(c->times.busy > 0 && c->times.exposed > 0 && c->times.count == 2 * AHEAD + 1, "times", 0,
               rank));
    return expect(right, "send", AXIS_ALL, rank);
}

static void ahead(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        run_both(send_around);
}

/* ---- a rank that fails ---- */

static int fail_in(void *context, int rank, struct comm *c)
{
    struct transfer x = { .dtype = DT_F32, .count = COUNT, .axis = AXIS_ALL };
    float in[RANKS * COUNT] = { 0 }, out[RANKS * COUNT];
    struct request request;

    x.kind = *(const enum transfer_kind *)context;
    if (rank == 3)
        return give_up(rank);
    x.peer = x.kind == TRANSFER_BROADCAST || rank != 3 ? 3 : 0;
    comm_start(c, &x, in, out, &request);
    TRY(comm_barrier(c));
    return comm_wait(c, &request);
}

static void failures(void **state)
{
    (void)state;
    for (enum transfer_kind kind = TRANSFER_ALL_REDUCE; kind <= TRANSFER_BARRIER; kind++) {
        assert_int_equal(comm_local_run(&mesh, 1, fail_in, &kind), ERR_DATA);
        assert_string_equal(error_message(), "rank 3 gives up");
        error_clear();
    }
}

static void coordinates(void **state)
{
    const struct mesh m = { { 3, 2, 4 } };

    (void)state;
    assert_int_equal(mesh_ranks(&m), 24);
    assert_int_equal(mesh_ranks(&(struct mesh){ { 2, 2 } }), 4);
    for (int r = 0; r < 24; r++) {
        int tp = mesh_coordinate(&m, r, AXIS_TP), dp = mesh_coordinate(&m, r, AXIS_DP),
            pp = mesh_coordinate(&m, r, AXIS_PP);
        assert_int_equal((pp * 3 + dp) * 2 + tp, r);
        assert_int_equal(mesh_neighbour(&m, r, AXIS_PP, 0), dp * 2 + tp);
        assert_int_equal(mesh_neighbour(&m, r, AXIS_DP, 2), (pp * 3 + 2) * 2 + tp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(coordinates), cmocka_unit_test(kinds),
                                        cmocka_unit_test(members), cmocka_unit_test(ahead),
                                        cmocka_unit_test(failures) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
