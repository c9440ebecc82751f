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

enum { ROWS = 512, MANY = 16384 };

static struct compile_options options(int tensor, enum recompute recompute, int64_t rows)
{
    return (struct compile_options){ .task = TASK_GRADIENT,
                                     .mesh = { { 1, tensor } },
                                     .recompute = recompute,
                                     .rows = rows,
                                     .sequences = 1,
                                     .labels = rows };
}

static struct plan *compile(const struct compile_options *o)
{
    struct machine machine;
    struct config config;
    struct plan *p;

    must(machine_detect(&machine));
    must(config_preset(&config, "gpt2"));
    must(config_override(&config, "n_layer=2,n_embd=64,n_head=2,vocab_size=50000"));
    must(plan_compile(&config, o, &machine, &p));
    config_release(&config);
    return p;
}

/* -1: there is no such node. */
static int64_t kept_by(const struct compile_options *o)
{
    struct plan *p = compile(o);
    int64_t kept = -1;

    for (size_t k = 0; k < p->graph->node_count; k++)
        if (p->graph->nodes[k]->op == &op_head_grad)
            kept = (int64_t)p->graph->nodes[k]->attr[HEAD_KEPT];
    plan_free(p);
    return kept;
}

static int64_t arena_of(int64_t rows, enum recompute recompute)
{
    const struct compile_options o = options(2, recompute, rows);
    struct plan *p = compile(&o);
    int64_t bytes = p->program[PROGRAM_MICROBATCH].arena_bytes;

    plan_free(p);
    return bytes;
}

static int64_t kept(int tensor, enum recompute recompute, int64_t rows)
{
    const struct compile_options o = options(tensor, recompute, rows);

    return kept_by(&o);
}

static void as_many_as_there_is_room_for(void **state)
{
    int64_t share = (int64_t)VOCABULARY / 2 * 4, most = (256 << 20) / share / 16 * 16;

    (void)state;
    assert_true(kept(2, RECOMPUTE_SELECTIVE, ROWS) >= ROWS);
    assert_true(kept(2, RECOMPUTE_NONE, MANY) >= MANY);
    assert_int_equal(kept(2, RECOMPUTE_SELECTIVE, MANY), most);
    assert_int_equal(kept(2, RECOMPUTE_FULL, ROWS), 0);
    assert_int_equal(kept(1, RECOMPUTE_SELECTIVE, ROWS), -1); /* head_loss */
    assert_true(arena_of(ROWS, RECOMPUTE_SELECTIVE) <= arena_of(ROWS, RECOMPUTE_FULL) + ROWS * share);
    assert_true(arena_of(MANY, RECOMPUTE_SELECTIVE) <= arena_of(MANY, RECOMPUTE_FULL) + 2 * most * share);
}

static void other_losses_and_stages(void **state)
{
    struct compile_options o = options(1, RECOMPUTE_SELECTIVE, ROWS);
    int64_t few;

    (void)state;
    o.label_smoothing = 0.1;
    assert_true(kept_by(&o) >= ROWS);
    o = options(2, RECOMPUTE_SELECTIVE, ROWS);
    o.used[COUNT_LABELS] = 0.15; /* what is masked */
    few = kept_by(&o);
    assert_true(few >= 0.15 * ROWS && few < 0.3 * ROWS);
    o = options(2, RECOMPUTE_SELECTIVE, ROWS);
    o.mesh.size[AXIS_PP] = 2;
    o.stage_rank = 1;
    o.pipeline = (struct pipeline_options){ .schedule = SCHEDULE_1F1B, .microbatches = 2 };
    assert_true(kept_by(&o) >= ROWS);
    o.pipeline.schedule = SCHEDULE_GPIPE; /* which has the logits of all microbatches at once */
    assert_int_equal(kept_by(&o), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),
        cmocka_unit_test(as_many_as_there_is_room_for),
        cmocka_unit_test(other_losses_and_stages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
