/* ZeRO: whatever dp ranks deal out among them, losses and gradient norms are those of one rank, and a rank
 * takes its share of the bytes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cpu/machine.h"
#include "lib/golden_case.h"
#include "lib/toy_run.h"
#include "ops/ops.h"

#include <cmocka.h>

static const struct toy_setting settings[] = {
    { { { 2, 1, 1 } }, .zero_stage = 1 },
    { { { 2, 1, 1 } }, .zero_stage = 2 },
    { { { 2, 1, 1 } }, .zero_stage = 3, .recompute = RECOMPUTE_FULL },
    { { { 2, 2, 1 } }, .zero_stage = 1 },
    { { { 2, 2, 1 } }, .zero_stage = 2 },
    { { { 2, 2, 1 } }, .zero_stage = 3 },
    { { { 2, 1, 2 } }, SCHEDULE_1F1B, 1, .zero_stage = 1 },
    { { { 2, 1, 2 } }, SCHEDULE_ZERO_BUBBLE, 1, .zero_stage = 2 },
    { { { 2, 1, 2 } }, SCHEDULE_1F1B, 1, .zero_stage = 3 },
};

/* Of the first family alone. */
static const struct toy_setting more[] = {
    { { { 2, 1, 2 } }, SCHEDULE_ZERO_BUBBLE, 1, .zero_stage = 3 },
    { { { 2, 2, 2 } }, SCHEDULE_1F1B, 1, .zero_stage = 3 },
    { { { 2, 1, 2 } }, SCHEDULE_INTERLEAVED, 2, RECOMPUTE_FULL, .zero_stage = 3 },
    { { { 2, 1, 1 } }, .dtype = DT_BF16, .zero_stage = 3 },
};

static void follows_one_rank(void **state)
{
    struct toy_run one;

    toy_run(*state, &(struct toy_setting){ .schedule = SCHEDULE_1F1B }, &one);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        toy_run_compare(*state, &settings[i], &one);
    for (size_t i = 0; *state == &toy_families[0] && i < sizeof(more) / sizeof(more[0]); i++)
        toy_run_compare(*state, &more[i], &one);
}

/* Sizes that four ranks do not divide (61 entries), with and without an encoder. */
static void four_ranks(void **state)
{
    struct toy_setting l = { .samples = 4 };
    struct toy_run one;

    (void)state;
    for (int f = 0; f < TOY_FAMILIES; f += TOY_FAMILIES - 1) {
        l = (struct toy_setting){ .samples = 4 };
        toy_run(&toy_families[f], &l, &one);
        for (l.mesh.size[AXIS_DP] = 4; l.zero_stage <= 3; l.zero_stage++)
            toy_run_compare(&toy_families[f], &l, &one);
    }
}

static void adafactor(void **state)
{
    struct toy_setting l = { .optimizer = OPTIMIZER_ADAFACTOR };
    struct toy_run one;

    (void)state;
    for (int f = 0; f < TOY_FAMILIES; f += TOY_FAMILIES - 1) {
        l = (struct toy_setting){ .optimizer = OPTIMIZER_ADAFACTOR };
        toy_run(&toy_families[f], &l, &one);
        l.mesh.size[AXIS_DP] = 2;
        for (l.zero_stage = 1; l.zero_stage <= 3; l.zero_stage++) {
            l.mesh.size[AXIS_TP] = l.zero_stage == 1 ? 1 : 2;
            toy_run_compare(&toy_families[f], &l, &one);
        }
    }
}

/* Ranks are added up in one order wherever that is done, so only the norm's own sum may round otherwise;
 * stage 2 does it in each microbatch. */
static void stages_add_up_alike(void **state)
{
    struct toy_run r[4];

    (void)state;
    for (int z = 0; z < 4; z++)
        toy_run(&toy_families[0], &(struct toy_setting){ .mesh = { { 2 } }, .zero_stage = z }, &r[z]);
    for (int z = 0; z < 4; z += 2)
        for (int s = 0; s < TOY_STEPS; s++)
            assert_true(fabs(r[z].loss[s] - r[z + 1].loss[s]) <= 1e-7 * r[z].loss[s]);
}

/* Shares of two axes along one dim would not lie side by side, wherever links put the gradients. */
static void no_dim_is_cut_twice(void **state)
{
    static const struct cluster clusters[] = { { 0 }, { .link_bytes = 1e15, .message_seconds = 1e-12 } };
    struct compile_options o = { .mesh = { { 2, 2 } }, .rows = 64, .sequences = 1, .labels = 64 };
    struct machine machine;
    struct config config;
    struct plan *p;

    (void)state;
    must(machine_detect(&machine));
    for (int i = 0; i < 2 * 2 * 2 * TOY_FAMILIES; i++) {
        const struct toy_family *f = &toy_families[i / 8];
        o.task = i & 1 ? TASK_TRAIN : TASK_GRADIENT;
        o.zero_stage = i & 2 ? 3 : 2;
        o.cluster = clusters[i >> 2 & 1];
        o.encoder_rows = f->encoder ? 64 : 0;
        must(config_preset(&config, f->preset));
        must(config_override(&config, f->overrides));
        must(plan_compile(&config, &o, &machine, &p));
        for (size_t k = 0; k < p->graph->tensor_count; k++) {
            const struct tensor *t = p->graph->tensors[k];
            const struct placement *on = t->layout.on;
            assert_false(on[AXIS_DP].kind == SHARD && on[AXIS_TP].kind == SHARD &&
                         on[AXIS_DP].dim == on[AXIS_TP].dim && t->dims[on[AXIS_DP].dim].count == COUNT_FIXED);
        }
        plan_free(p);
        config_release(&config);
    }
}

/* ---- Bytes ---- */

static struct plan *compile(const struct config *config, int zero_stage)
{
    struct compile_options o = { .task = TASK_TRAIN,
                                 .mesh = { { 4 } },
                                 .zero_stage = zero_stage,
                                 .rows = 64,
                                 .sequences = 1,
                                 .labels = 64,
                                 .optimizer = { .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6 } };
    struct machine machine;
    struct plan *p;

    must(machine_detect(&machine));
    must(plan_compile(config, &o, &machine, &p));
    return p;
}

static int count_nodes(const struct graph *g, const struct op_def *op)
{
    int count = 0;

    for (size_t k = 0; k < g->node_count; k++)
        count += g->nodes[k]->op == op;
    return count;
}

/* Gradients that are reduced while the last microbatch goes on. */
static int count_ahead(const struct graph *g)
{
    int count = 0;

    for (size_t k = 0; k < g->node_count; k++)
        count += g->nodes[k]->op == &op_reduce_scatter && g->nodes[k]->last_only;
    return count;
}

/* What is dealt out is a quarter, but vectors; what is made of one parameter at a time is there only then. */
static void bytes_are_dealt_out(void **state)
{
    enum { D = 256, LAYERS = 4, VOCABULARY = 1000, VECTORS = (13 * LAYERS + 2) * D * 4 };
    struct config config;
    struct plan *p[4];

    (void)state;
    must(config_preset(&config, "gpt2"));
    must(config_override(&config, "n_layer=4,n_embd=256,n_head=4,n_positions=64,vocab_size=1000"));
    for (int z = 0; z < 4; z++)
        p[z] = compile(&config, z);
    for (int z = 0; z < 4; z++) {
        int64_t whole = p[0]->param_bytes, dealt = (whole - VECTORS) / 4 + VECTORS;
        int64_t once = (int64_t)VOCABULARY * D * 4 * 9 / 4 + /* the table, packed beside it, and its share */
                       2 * 12 * D * D * 4; /* weights of a layer, and of the next on their way */
        assert_int_equal(p[z]->state_bytes, 2 * (z >= 1 ? dealt : whole));
        assert_int_equal(p[z]->grad_bytes - 8, z >= 2 ? dealt : whole);
        assert_int_equal(p[z]->param_bytes, z >= 3 ? dealt : whole);
        assert_int_equal(count_nodes(p[z]->graph, &op_head_loss), 1);
        if (z >= 2)
            assert_true(plan_bytes(p[z]) - 2 * dealt - p[z]->grad_bytes - p[z]->param_bytes <=
                        p[0]->program[PROGRAM_MICROBATCH].arena_bytes + p[0]->input_bytes + once);
    }
    assert_int_equal(count_ahead(p[1]->graph), 4 * LAYERS + 2);                     /* and the tables */
    assert_int_equal(count_nodes(p[2]->graph, &op_reduce_scatter), 4 * LAYERS + 2); /* the tied one once */
    for (int z = 0; z < 4; z++)
        plan_free(p[z]);
    config_release(&config);
}

/* Of a table whose rows four ranks do not divide too. */
static void padded_gradients_are_reduced_ahead(void **state)
{
    enum { D = 128, MATRICES = 4 };
    struct config config;
    struct plan *p;

    (void)state;
    must(config_preset(&config, "gpt2"));
    must(config_override(&config, "n_layer=1,n_embd=128,n_head=4,n_positions=66,vocab_size=1001"));
    p = compile(&config, 1);
    assert_int_equal(count_ahead(p->graph), MATRICES + 1); /* positions are too few to be worth it */
    assert_int_equal(p->grad_bytes - p->param_bytes - 8, 3 * D * 4); /* up to 1004 */
    plan_free(p);
    config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_ranks),          cmocka_unit_test(adafactor),
        cmocka_unit_test(stages_add_up_alike), cmocka_unit_test(no_dim_is_cut_twice),
        cmocka_unit_test(bytes_are_dealt_out), cmocka_unit_test(padded_gradients_are_reduced_ahead),
    };
    int failed = toy_run_families(follows_one_rank);

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
