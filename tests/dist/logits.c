/* Logits that wait for the gradient: fewer are made, and the results are the bits of those that are made
 * again. */
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

/* Full recompute keeps none. Three families, of three sorts of heads. */
static void same_bits(void **state)
{
    static const struct mesh meshes[] = { { { 1, 2 } }, { { 2, 2 } }, { { 1, 2, 2 } } };
    enum { CASES = 9 };

    (void)state;
    for (int i = 0; i < CASES; i++) {
        const struct toy_family *family = &toy_families[i % 3 * 2 + i % 3 / 2]; /* 0, 2, 5 */
        struct toy_setting l = { .mesh = meshes[i / 3], .schedule = SCHEDULE_1F1B, .chunks = 1 };
        struct toy_run kept, made;
        toy_run(family, &l, &kept);
        l.recompute = RECOMPUTE_FULL;
        toy_run(family, &l, &made);
        for (int s = 0; s < TOY_STEPS; s++) {
            assert_true(kept.loss[s] == made.loss[s]);
            assert_true(kept.norm[s] == made.norm[s]);
        }
    }
}

enum { VOCABULARY = 50000 };

static struct plan *compile_pipeline(enum recompute recompute, int tensor, double smoothing, int64_t rows,
                                     const enum schedule_kind *schedule)
{
    struct compile_options o = { .task = TASK_GRADIENT,
                                 .mesh = { { 1, tensor, schedule ? 2 : 1 } },
                                 .pipeline = { .microbatches = 2, .schedule = schedule ? *schedule : 0 },
                                 .stage_rank = schedule ? 1 : 0,
                                 .recompute = recompute,
                                 .label_smoothing = smoothing,
                                 .rows = rows,
                                 .sequences = 1,
                                 .labels = rows };
    struct machine machine;
    struct config config;
    struct plan *p;

    must(machine_detect(&machine));
    must(config_preset(&config, "gpt2"));
    must(config_override(&config, "n_layer=2,n_embd=64,n_head=2,vocab_size=50000"));
    must(plan_compile(&config, &o, &machine, &p));
    config_release(&config);
    return p;
}

static struct plan *compile(enum recompute recompute, int tensor, double smoothing, int64_t rows)
{
    return compile_pipeline(recompute, tensor, smoothing, rows, NULL);
}

/* -1: there is no such node. */
static int64_t kept_by(struct plan *p)
{
    int64_t kept = -1;

    for (size_t k = 0; k < p->graph->node_count; k++)
        if (p->graph->nodes[k]->op == &op_head_grad)
            kept = (int64_t)p->graph->nodes[k]->attr[HEAD_KEPT];
    plan_free(p);
    return kept;
}

static int64_t arena_of(struct plan *p)
{
    int64_t bytes = p->program[PROGRAM_MICROBATCH].arena_bytes;

    plan_free(p);
    return bytes;
}

static void as_many_as_there_is_room_for(void **state)
{
    enum { ROWS = 512, MANY = 16384 };
    const enum schedule_kind one_at_a_time = SCHEDULE_1F1B, all_at_once = SCHEDULE_GPIPE;
    int64_t share = (int64_t)VOCABULARY / 2 * 4, most = (256 << 20) / share / 16 * 16;

    (void)state;
    assert_true(kept_by(compile(RECOMPUTE_SELECTIVE, 2, 0, ROWS)) >= ROWS);
    assert_true(kept_by(compile(RECOMPUTE_NONE, 2, 0, MANY)) >= MANY);
    assert_int_equal(kept_by(compile(RECOMPUTE_SELECTIVE, 2, 0, MANY)), most);
    assert_int_equal(kept_by(compile(RECOMPUTE_FULL, 2, 0, ROWS)), 0);
    assert_int_equal(kept_by(compile(RECOMPUTE_SELECTIVE, 1, 0, ROWS)), -1); /* head_loss */
    assert_true(kept_by(compile(RECOMPUTE_SELECTIVE, 1, 0.1, ROWS)) >= ROWS);
    assert_true(kept_by(compile_pipeline(RECOMPUTE_SELECTIVE, 2, 0, ROWS, &one_at_a_time)) >= ROWS);
    assert_int_equal(kept_by(compile_pipeline(RECOMPUTE_SELECTIVE, 2, 0, ROWS, &all_at_once)), 0);
    assert_true(arena_of(compile(RECOMPUTE_SELECTIVE, 2, 0, ROWS)) <=
                arena_of(compile(RECOMPUTE_FULL, 2, 0, ROWS)) + ROWS * share);
    assert_true(arena_of(compile(RECOMPUTE_SELECTIVE, 2, 0, MANY)) <=
                arena_of(compile(RECOMPUTE_FULL, 2, 0, MANY)) + 2 * most * share);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),
        cmocka_unit_test(as_many_as_there_is_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
