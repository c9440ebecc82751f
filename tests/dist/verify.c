/* plait plan --verify: the steps of a layout are those of one rank, and a fault on one rank is found and its
 * tensor named. Started by mpirun, `test_dist_verify AXIS [TENSOR]` does the same on two processes: without a
 * tensor nothing is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "comm/world.h"
#include "train/train.h"

#include <cmocka.h>

enum { T = 16, VOCAB = 90 };

struct trial {
    struct train_options o;
    struct train_job job;
    struct model model;
    struct { /* the fault: the store's tensor of a rank, every entry times a factor; NULL: none */
        const char *name;
        int rank;
        float factor;
    } fault;
    bool met;
};

static int read_sample(void *context, int64_t index, struct sample *s)
{
    (void)context;
    s->length = T - index % 3;
    for (int64_t i = 0; i < s->length; i++)
        s->ids[i] = (int32_t)rng_below((struct rng_key){ .seed = 3 }, (uint64_t)index, (uint64_t)i, VOCAB);
    return OK;
}

static void disturb(void *context, int rank, struct store *store)
{
    struct trial *t = context;
    struct stored *e = t->fault.name && rank == t->fault.rank ? store_find(store, t->fault.name) : NULL;

    for (int64_t i = 0; e && i < e->bytes / (int64_t)sizeof(float); i++)
        e->data[i] = e->data[i] * t->fault.factor + (e->kind == TENSOR_STATE ? 1e-3f : 0);
    t->met = t->met || e;
}

static void trial_init(struct trial *t, const struct mesh *mesh)
{
    *t = (struct trial){ 0 };
    t->o = (struct train_options){ .per_device_batch = 2,
                                   .accumulation = 1,
                                   .global_batch = 8,
                                   .epochs = 4,
                                   .dry_run = true,
                                   .seed = 7,
                                   .data_seed = -1,
                                   .learning_rate = 1e-2,
                                   .beta1 = 0.9,
                                   .beta2 = 0.98,
                                   .epsilon = 1e-8,
                                   .max_grad_norm = 1 };
    assert_int_equal(model_open(&t->model, &(struct model_options){ .name = GOLDEN_DIR "/gpt2/untied" }), OK);
    t->job = (struct train_job){ .model = &t->model,
                                 .options = &t->o,
                                 .train = { .count = 24, .max_length = T, .read = read_sample },
                                 .mesh = *mesh,
                                 .verify = 2,
                                 .disturb = disturb,
                                 .disturb_context = t };
}

static void expect(struct trial *t, int expected, const char *words)
{
    int status = train(&t->job);

    if (status != expected || (words && !strstr(error_message(), words)))
        fail_msg("status %d \"%s\", expected %d \"%s\"", status, error_message(), expected,
                 words ? words : "");
    error_clear();
    model_close(&t->model);
}

static const struct mesh meshes[] = {
    { .size = { 2, 1, 1 } }, { .size = { 1, 2, 1 } }, { .size = { 1, 1, 2 } }, { .size = { 2, 2, 1 } }
};
enum { MESHES = sizeof(meshes) / sizeof(meshes[0]) };

static void a_layout_is_as_one_rank(void **state)
{
    for (int m = 0; m < MESHES; m++) {
        struct trial t;
        trial_init(&t, &meshes[m]);
        t.job.zero_stage = m == 0 ? 2 : 0;
        expect(&t, OK, NULL);
        assert_false(t.met);
    }
}

static void a_fault_of_one_rank_is_named(void **state)
{
    for (int m = 0; m < MESHES; m++) {
        struct trial t;
        trial_init(&t, &meshes[m]);
        t.fault.name = "exp_avg_sq.transformer.h.1.mlp.c_proj.weight";
        t.fault.rank = 1;
        t.fault.factor = 1;
        expect(&t, ERR_DATA,
               "the gradient's square of transformer.h.1.mlp.c_proj.weight differs from one rank's");
        assert_true(t.met);
        trial_init(&t, &meshes[m]);
        t.fault.name = "exp_avg.transformer.h.1.mlp.c_fc.bias";
        t.fault.rank = 1;
        t.fault.factor = 1;
        expect(&t, ERR_DATA, "step 1: the gradient of transformer.h.1.mlp.c_fc.bias differs from one rank's");
        assert_true(t.met);
    }
}

static void a_weight_that_is_another_is_noticed(void **state)
{
    struct trial t;

    trial_init(&t, &meshes[0]);
    t.fault.name = "transformer.h.0.ln_1.weight";
    t.fault.rank = 1;
    t.fault.factor = 2;
    expect(&t, ERR_DATA, "step 1: the loss differs from one rank's");
    assert_true(t.met);
}

static void more_steps_than_there_are(void **state)
{
    struct trial t;

    trial_init(&t, &meshes[0]);
    t.job.verify = 13;
    expect(&t, ERR_USAGE, "--verify_steps: more than the run has (found 13, expected at most 12)");
}

/* ---- on processes ---- */

static void tell(int status)
{
    fprintf(stderr, "verify: %s (status %d)\n", error_message(), status);
}

static int in_processes(int argc, char **argv)
{
    struct mesh mesh = { .size = { 1, 1, 1 } };
    struct world w;
    struct trial t;
    int status;

    mesh.size[strcmp(argv[1], "dp") == 0 ? AXIS_DP : strcmp(argv[1], "tp") == 0 ? AXIS_TP : AXIS_PP] = 2;
    status = world_open(&w, &(struct world_options){ .comm = WORLD_MPI, .tell = tell });
    if (status != OK)
        return 1;
    trial_init(&t, &mesh);
    t.job.world = &w;
    if (argc > 2) {
        t.fault.name = argv[2];
        t.fault.rank = 1;
        t.fault.factor = 1.01f;
    }
    status = train(&t.job);
    model_close(&t.model);
    return error_exit_code(world_close(&w, status));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layout_is_as_one_rank),
        cmocka_unit_test(a_fault_of_one_rank_is_named),
        cmocka_unit_test(a_weight_that_is_another_is_noticed),
        cmocka_unit_test(more_steps_than_there_are),
    };

    log_set_level(LOG_ERROR);
    if (argc > 1)
        return in_processes(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
