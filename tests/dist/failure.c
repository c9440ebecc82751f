/* A rank that fails while others stand in a collective of a compiled graph: every rank comes back, those that
 * wait for it with a status, and the message is the cause's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "cpu/machine.h"
#include "lib/golden_case.h"

static int read_nonsense(int rank)
{
    return fail(ERR_DATA, "rank %d has read nonsense", rank);
}

#include <cmocka.h>

enum { RANKS = 4 };

struct job {
    struct plan *plan;
    int failing; /* this rank never runs its plan */
    int status[RANKS];
};

static int run_rank(void *context, int rank, struct comm *comm)
{
    struct job *j = context;
    struct store *store = store_create();
    struct executor *e;

    assert_int_equal(executor_create(j->plan, store, comm, rank, &e), OK);
    j->status[rank] = rank == j->failing ? read_nonsense(rank)
                                         : executor_run(e, PROGRAM_MICROBATCH,
                                                        &(struct run_options){ .first_microbatch = true });
    executor_free(e);
    store_free(store);
    return j->status[rank];
}

static void others_come_back(void **state)
{
    struct compile_options o = { .task = TASK_GRADIENT,
                                 .mesh = { { 2, 2 } },
                                 .cluster = case_fast_links,
                                 .rows = 8,
                                 .labels = 8,
                                 .sequences = 1 };
    struct config config;
    struct machine machine;
    struct job j = { 0 };

    (void)state;
    assert_int_equal(config_load(&config, GOLDEN_DIR "/gpt2/act_gelu"), OK);
    assert_int_equal(machine_detect(&machine), OK);
    assert_int_equal(plan_compile(&config, &o, &machine, &j.plan), OK);
    for (j.failing = 0; j.failing < RANKS; j.failing++) {
        assert_int_equal(comm_local_run(&o.mesh, 1, run_rank, &j), ERR_DATA);
        assert_non_null(strstr(error_message(), "has read nonsense"));
        for (int r = 0; r < RANKS; r++) /* others need nothing of the failing one */
            if (mesh_coordinate(&o.mesh, r, AXIS_DP) == mesh_coordinate(&o.mesh, j.failing, AXIS_DP))
                assert_int_not_equal(j.status[r], OK);
    }
    j.failing = -1;
    assert_int_equal(comm_local_run(&o.mesh, 1, run_rank, &j), OK);
    plan_free(j.plan);
    config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(others_come_back) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
