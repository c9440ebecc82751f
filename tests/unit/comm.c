/* Transfers on in-process ranks: every kind among every group of a mesh of 2 x 2 x 2, with data read where
 * it lies and through windows of a few bytes, as processes of one host do it. */
#include "comm/comm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "comm/traffic.h"

static int give_up(int rank)
{
    return fail(ERR_DATA, "rank %d gives up", rank);
}

#include "lib/transfers.h"

#include <cmocka.h>

enum { RANKS = TRANSFERS_RANKS, COUNT = 1000 };

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
        comm_break(s->comm, s->status);
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

static void kinds(void **state)
{
    (void)state;
    run_both(transfers_every_kind);
}

static void members(void **state)
{
    (void)state;
    run_both(transfers_members);
}

static void ahead(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        run_both(transfers_ahead);
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
