/* The search for layouts: large models get plans that fit, in seconds; tensor parallelism comes out as by
 * hand for all six families; what is given stays; what cannot be is refused. */
#include "plan/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cpu/machine.h"

#include <cmocka.h>

/* One host of eight accelerators with fast links. */
static const struct cluster fast = {
    .flops = 1e14, .memory_bytes = 2e12, .link_bytes = 4e11, .message_seconds = 5e-6
};

struct trial {
    struct config config;
    struct machine machine;
    int64_t length; /* tokens of a sample */
    struct layout_wish wish;
    int measured;
};

static void trial_init(struct trial *t, const char *preset, const char *overrides, int ranks)
{
    *t = (struct trial){ .machine = { .threads = 1 }, .length = 512 };
    assert_int_equal(config_preset(&t->config, preset), OK);
    if (overrides)
        assert_int_equal(config_override(&t->config, overrides), OK);
    t->wish = (struct layout_wish){ .world = ranks,
                                    .schedule = PLANNED,
                                    .recompute = PLANNED,
                                    .zero = PLANNED,
                                    .most_zero = 3,
                                    .per_device = 8,
                                    .accumulation = 1,
                                    .cluster = fast };
}

static int compile(void *context, const struct layout_choice *l, struct plan **out)
{
    const struct trial *t = context;
    int64_t rows = l->microbatch * t->length;
    const struct compile_options o = { .task = TASK_TRAIN,
                                       .rows = rows,
                                       .encoder_rows = config_has_encoder(&t->config) ? rows : 0,
                                       .sequences = l->microbatch,
                                       .labels = rows,
                                       .mesh = l->mesh,
                                       .cluster = t->wish.cluster,
                                       .pipeline = l->pipeline,
                                       .recompute = l->recompute,
                                       .zero_stage = l->zero,
                                       .optimizer = { .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8 } };

    return plan_compile(&t->config, &o, &t->machine, out);
}

/* Of the first stage alone: the tests ask whether it is looked at. */
static int measure(void *context, struct layout_choice *l, double memory, int64_t *bytes)
{
    struct trial *t = context;
    struct plan *p;

    (void)memory;
    t->measured++;
    TRY(compile(t, l, &p));
    *bytes = plan_bytes(p);
    plan_free(p);
    return OK;
}

static int search(struct trial *t, struct layout_search *found)
{
    const struct layout_maker maker = { compile, measure, t };

    return layout_search(&t->wish, &maker, found);
}

static void release(struct trial *t, struct layout_search *found)
{
    layout_search_release(found);
    config_release(&t->config);
}

/* ---- Tensor parallelism ---- */

static const char *const families[] = {
    "gpt2", "EleutherAI/gpt-neo-1.3B", "huggyllama/llama-7b", "bert-large-uncased", "roberta-base", "t5-base"
};

static void all_families_are_divided_as_by_hand(void **state)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        for (int ranks = 2; ranks <= 4; ranks += 2) {
            struct layout_choice l = { .mesh = { .size = { 1, ranks, 1 } }, .microbatch = 8 };
            struct trial t;
            struct plan *p;
            struct str text;
            trial_init(&t, families[i], NULL, ranks);
            assert_int_equal(compile(&t, &l, &p), OK);
            str_init(&text);
            placements_print(p->graph, &l.mesh, &text);
            if (!str_starts_with(text.data, "linears column/row, heads ") ||
                !strstr(text.data, ", vocabulary ") || !str_ends_with(text.data, "norms sequence-parallel"))
                fail_msg("%s on %d: %s", families[i], ranks, text.data);
            str_release(&text);
            plan_free(p);
            config_release(&t.config);
        }
    }
}

/* ---- Large models ---- */

struct large {
    const char *preset, *overrides;
    int ranks, length;
    double memory;
    int64_t global_batch;
};

static const struct large large[] = {
    { "huggyllama/llama-13b", NULL, 8, 2048, 80e9, 256 },
    { "huggyllama/llama-65b", NULL, 32, 2048, 80e9, 512 },
    { "gpt2", "n_embd=8192,n_layer=48,n_head=64,vocab_size=51200", 64, 1024, 16e9, 1024 },
    { "bert-large-uncased", NULL, 4, 512, 16e9, 64 },
    { "t5-base", NULL, 4, 512, 16e9, 64 },
};

static void large_models_get_plans_that_fit(void **state)
{
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        const struct large *x = &large[i];
        struct layout_search found;
        struct trial t;
        trial_init(&t, x->preset, x->overrides, x->ranks);
        t.length = x->length;
        t.wish.memory = x->memory;
        t.wish.global_batch = x->global_batch;
        t.wish.cluster.host_ranks = 8;
        if (search(&t, &found) != OK)
            fail_msg("%s: %s", x->preset, error_message());
        assert_true(found.count > 1 && found.option[0].fits && found.option[0].exact);
        assert_true(found.option[0].cost.bytes <= x->memory);
        assert_int_equal(mesh_ranks(&found.option[0].layout.mesh), x->ranks);
        assert_true(mesh_size(&found.option[0].layout.mesh, AXIS_TP) <= 8);
        assert_true(t.measured <= 20);
        for (size_t k = 1; k < found.count; k++)
            assert_non_null(found.option[k].why);
        release(&t, &found);
    }
}

static void data_parallel_alone_is_zero_3_or_refused(void **state)
{
    struct layout_search found;
    struct trial t;

    trial_init(&t, "huggyllama/llama-13b", NULL, 8);
    t.length = 2048;
    t.wish.per_device = 1;
    t.wish.memory = 80e9;
    t.wish.tensor = t.wish.pipeline = 1;
    assert_int_equal(search(&t, &found), OK);
    assert_int_equal(found.option[0].layout.zero, 3);
    layout_search_release(&found);
    t.wish.zero = 0;
    assert_int_equal(search(&t, &found), ERR_SYSTEM);
    assert_non_null(strstr(error_message(), "not enough memory for this run (found 2"));
    assert_non_null(strstr(error_message(), "expected 80.0 GB"));
    error_clear();
    config_release(&t.config);
}

/* ---- What is given ---- */

static void without_a_global_batch_data_comes_first(void **state)
{
    struct layout_search found;
    struct trial t;

    trial_init(&t, "gpt2", "n_layer=4", 4);
    assert_int_equal(search(&t, &found), OK);
    assert_int_equal(found.option[0].layout.mesh.size[AXIS_DP], 4);
    assert_int_equal(found.option[0].global_batch, 32);
    release(&t, &found);
}

static void what_is_given_stays(void **state)
{
    struct layout_search found;
    struct trial t;
    const struct layout_choice *l;

    trial_init(&t, "gpt2", "n_layer=4", 4);
    t.wish.global_batch = 16;
    t.wish.pipeline = 2;
    t.wish.data = 1;
    t.wish.schedule = SCHEDULE_INTERLEAVED;
    t.wish.microbatches = 4;
    t.wish.recompute = RECOMPUTE_FULL;
    assert_int_equal(search(&t, &found), OK);
    l = &found.option[0].layout;
    assert_int_equal(l->mesh.size[AXIS_DP], 1);
    assert_int_equal(l->mesh.size[AXIS_TP], 2);
    assert_int_equal(l->pipeline.schedule, SCHEDULE_INTERLEAVED);
    assert_int_equal(l->pipeline.microbatches, 4);
    assert_int_equal(l->microbatch, 4);
    assert_int_equal(l->recompute, RECOMPUTE_FULL);
    layout_search_release(&found);
    t.wish.microbatches = 17;
    assert_int_equal(search(&t, &found), ERR_CONFIG);
    assert_non_null(strstr(error_message(), "found 17, expected at most 16"));
    error_clear();
    config_release(&t.config);
}

/* Slow links between hosts keep tensor parallelism within one, and what is sent over them small. */
static void hosts_count(void **state)
{
    const struct cluster c = { .host_ranks = 4,
                               .link_bytes = 1e11,
                               .message_seconds = 1e-6,
                               .host_link_bytes = 1e9,
                               .host_message_seconds = 1e-4 };
    const struct mesh mesh = { .size = { 2, 2, 2 } };

    assert_true(cluster_on_axis(&c, &mesh, AXIS_TP).link_bytes == 1e11);
    assert_true(cluster_on_axis(&c, &mesh, AXIS_DP).link_bytes == 1e11);
    assert_true(cluster_on_axis(&c, &mesh, AXIS_PP).link_bytes == 1e9);
    assert_true(cluster_on_axis(&c, &mesh, AXIS_PP).message_seconds == 1e-4);
    assert_true(cluster_on_axis(&c, &(struct mesh){ .size = { 2, 4, 1 } }, AXIS_DP).link_bytes == 1e9);
    assert_true(cluster_on_axis(&c, &(struct mesh){ .size = { 1, 8, 1 } }, AXIS_TP).link_bytes == 1e9);
    assert_true(cluster_on_axis(&c, &(struct mesh){ .size = { 4, 1, 1 } }, AXIS_DP).link_bytes == 1e11);
}

/* ---- As a checkpoint keeps it ---- */

static void layouts_are_written_and_read(void **state)
{
    static const char *const bad[] = {
        "",
        "data 2",
        "data 0, tensor 1, pipeline 1, 1f1b, chunks 1, microbatches 1 of 1, zero 0, recompute none",
        "data 1, tensor 1, pipeline 1, 2f2b, chunks 1, microbatches 1 of 1, zero 0, recompute none",
        "data 1, tensor 1, pipeline 1, 1f1b, chunks 1, microbatches 1 of 1, zero 7, recompute none",
        "data 1, tensor 1, pipeline 99999999, 1f1b, chunks 1, microbatches 1 of 1, zero 0, recompute none"
    };
    const struct layout_choice l = { .mesh = { .size = { 2, 1, 4 } },
                                     .pipeline = { SCHEDULE_ZERO_BUBBLE, 1, 8 },
                                     .recompute = RECOMPUTE_FULL,
                                     .zero = 1,
                                     .microbatch = 3 };
    struct layout_choice read;
    struct str text;

    str_init(&text);
    layout_write(&l, &text);
    assert_int_equal(layout_read(text.data, &read), OK);
    assert_memory_equal(&read.mesh, &l.mesh, sizeof(l.mesh));
    assert_memory_equal(&read.pipeline, &l.pipeline, sizeof(l.pipeline));
    assert_int_equal(read.recompute, l.recompute);
    assert_int_equal(read.zero, 1);
    assert_int_equal(read.microbatch, 3);
    str_release(&text);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(layout_read(bad[i], &read), ERR_DATA);
    error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_families_are_divided_as_by_hand),
        cmocka_unit_test(large_models_get_plans_that_fit),
        cmocka_unit_test(data_parallel_alone_is_zero_3_or_refused),
        cmocka_unit_test(without_a_global_batch_data_comes_first),
        cmocka_unit_test(what_is_given_stays),
        cmocka_unit_test(hosts_count),
        cmocka_unit_test(layouts_are_written_and_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
