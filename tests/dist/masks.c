/* Dropout's masks themselves. The table of positions has a row for each place (sample, position), and where a
 * row's embedding is dropped its gradient is exactly zero, so its gradient shows that mask. With one labelled
 * row, the gradient of the last layer's bias shows the mask behind it in that row. Masks are the same on all
 * layouts, in one microbatch or several, and however rows are packed; another step or seed has others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/hf.h"
#include "comm/comm.h"
#include "cpu/machine.h"
#include "lib/golden_case.h"

#include <cmocka.h>

enum { SAMPLES = 8, LENGTH = 12, WIDTH = 16, PLACES = SAMPLES * LENGTH, MOST_RANKS = 8, MOST_STAGES = 4 };
static const char overrides[] = "n_layer=4,n_embd=16,n_head=4,n_positions=96,vocab_size=61,bos_token_id=1,"
                                "eos_token_id=1,embd_pdrop=0.5,resid_pdrop=0.5,attn_pdrop=0.1";

struct masks {
    bool embedded[PLACES][WIDTH]; /* kept; in rows that are not there: false */
    bool last[WIDTH];             /* of the labelled row, if there is one alone */
};

struct setting {
    struct mesh mesh;
    struct pipeline_options pipeline; /* microbatches: without stages too */
    bool uneven;                      /* samples are of different lengths */
    int labelled;                     /* place; 0: all are */
    uint64_t seed, step;
};

struct run {
    struct setting s;
    struct plan *plans[MOST_STAGES];
    struct masks *out; /* ranks add what they see, one after the other */
};

static int each(const struct run *r) /* samples in a microbatch of a dp rank */
{
    return SAMPLES / mesh_size(&r->s.mesh, AXIS_DP) / r->s.pipeline.microbatches;
}

static int length_of(const struct run *r, int sample)
{
    return r->s.uneven ? LENGTH - sample * 5 % LENGTH : LENGTH;
}

/* ---- one rank ---- */

struct worker {
    struct run *r;
    struct executor *e;
    struct batch b;
    int dp;
};

static void add_sample(struct worker *w, int sample)
{
    int32_t ids[LENGTH], labels[LENGTH];
    int length = length_of(w->r, sample), first = (int)w->b.rows.count;

    for (int i = 0; i < length; i++) {
        int place = sample * LENGTH + i;
        ids[i] = (place * 7 + 3) % 61;
        labels[i] = w->r->s.labelled && w->r->s.labelled != place ? -100 : (place * 11 + 5) % 61;
    }
    batch_add(&w->b, ids, labels, length, sample, LENGTH);
    for (int i = 0; i < length; i++)
        w->b.rows.positions[first + i] = sample * LENGTH + i;
}

static void load(struct worker *w, int microbatch)
{
    int count = each(w->r), dp = mesh_size(&w->r->s.mesh, AXIS_DP);

    batch_clear(&w->b);
    for (int i = 0; i < count; i++)
        add_sample(w, (microbatch * dp + w->dp) * count + i);
}

static int feed(void *context, int microbatch, struct run_counts *counts)
{
    struct worker *w = context;

    load(w, microbatch);
    *counts = executor_copy_batch(w->e, &w->b);
    return OK;
}

static int run_microbatches(struct worker *w, const struct plan *plan)
{
    const struct setting *s = &w->r->s;
    struct run_options o = {
        .seed = s->seed, .step = s->step, .first_microbatch = true, .last_microbatch = true
    };

    if (plan->chunks > 0)
        return executor_run_pipeline(w->e, &(struct microbatches){ .load = feed, .context = w }, &o);
    for (int i = 0; i < s->pipeline.microbatches; i++) {
        o.first_microbatch = i == 0;
        o.last_microbatch = i == s->pipeline.microbatches - 1;
        load(w, i);
        executor_set_batch(w->e, &w->b);
        TRY(executor_run(w->e, PROGRAM_MICROBATCH, &o));
    }
    return OK;
}

/* Every rank shows its part of the sum or of the tensor. */
static void look(const struct store *store, const char *name, bool *kept, int count)
{
    const struct stored *s = store_find(store, name);
    float values[PLACES * WIDTH] = { 0 };

    if (s)
        stored_to_whole(s, values);
    for (int i = 0; i < count; i++)
        kept[i] = kept[i] || values[i] != 0;
}

static int train(void *context, int rank, struct comm *comm)
{
    struct run *r = context;
    const struct plan *plan = r->plans[mesh_coordinate(&r->s.mesh, rank, AXIS_PP)];
    struct worker w = { .r = r, .dp = mesh_coordinate(&r->s.mesh, rank, AXIS_DP) };
    struct store *store = store_create();
    int status;

    TRY(executor_create(plan, store, comm, rank, &w.e));
    model_init_store(store, 5);
    batch_init(&w.b, &(struct batch_capacity){ .rows = each(r) * LENGTH, .sequences = each(r) });
    status = run_microbatches(&w, plan);
    for (int k = 0; k < mesh_ranks(&r->s.mesh) && status == OK; k++) {
        status = comm_barrier(comm);
        if (k != rank)
            continue;
        look(store, "grad.transformer.wpe.weight", r->out->embedded[0], PLACES * WIDTH);
        look(store, "grad.transformer.h.3.mlp.c_proj.bias", r->out->last, WIDTH);
    }
    batch_release(&w.b);
    executor_free(w.e);
    store_free(store);
    return status;
}

static void find_masks(const struct setting *s, struct masks *out)
{
    struct run r = { .s = *s, .out = out };
    struct compile_options o = { .task = TASK_TRAIN,
                                 .mesh = s->mesh,
                                 .pipeline = s->pipeline,
                                 .cluster = case_fast_links,
                                 .optimizer = { .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6 } };
    struct machine machine;
    struct config config;

    memset(out, 0, sizeof(*out));
    must(config_preset(&config, "gpt2"));
    must(config_override(&config, overrides));
    must(machine_detect(&machine));
    o.sequences = each(&r);
    o.rows = o.labels = o.sequences * LENGTH;
    for (o.stage_rank = 0; o.stage_rank < mesh_size(&s->mesh, AXIS_PP); o.stage_rank++)
        must(plan_compile(&config, &o, &machine, &r.plans[o.stage_rank]));
    must(comm_local_run(&s->mesh, 1, train, &r));
    for (int i = 0; i < MOST_STAGES; i++)
        plan_free(r.plans[i]);
    config_release(&config);
}

/* ---- comparing ---- */

static double share_kept(const struct masks *m)
{
    int count = 0;

    for (int i = 0; i < PLACES; i++)
        for (int f = 0; f < WIDTH; f++)
            count += m->embedded[i][f];
    return (double)count / (PLACES * WIDTH);
}

static const struct setting alone = { .mesh = { { 1, 1, 1 } }, .pipeline = { .microbatches = 1 }, .seed = 7 };

static const struct setting layouts[] = {
    { .mesh = { { 1, 1, 1 } }, .pipeline = { .microbatches = 4 } },
    { .mesh = { { 1, 1, 1 } },
      .pipeline = { .microbatches = 8 } }, /* a sample by itself: nothing is packed */
    { .mesh = { { 2, 1, 1 } }, .pipeline = { .microbatches = 1 } },
    { .mesh = { { 1, 2, 1 } }, .pipeline = { .microbatches = 1 } },
    { .mesh = { { 1, 4, 1 } }, .pipeline = { .microbatches = 2 } },
    { .mesh = { { 1, 1, 2 } }, .pipeline = { SCHEDULE_1F1B, 1, 1 } },
    { .mesh = { { 1, 1, 4 } }, .pipeline = { SCHEDULE_ZERO_BUBBLE, 1, 4 } },
    { .mesh = { { 1, 2, 2 } }, .pipeline = { SCHEDULE_INTERLEAVED, 2, 4 } },
    { .mesh = { { 2, 2, 2 } }, .pipeline = { SCHEDULE_ZERO_BUBBLE, 1, 4 } },
    { .mesh = { { 2, 2, 2 } }, .pipeline = { SCHEDULE_GPIPE, 1, 2 } },
};
enum { LAYOUTS = sizeof(layouts) / sizeof(layouts[0]) };

/* The masks of `how` on every layout. */
static void same_everywhere(const struct setting *how, struct masks *expected)
{
    struct masks found;

    find_masks(how, expected);
    for (int i = 0; i < LAYOUTS; i++) {
        struct setting s = *how;
        s.mesh = layouts[i].mesh;
        s.pipeline = layouts[i].pipeline;
        find_masks(&s, &found);
        if (memcmp(&found, expected, sizeof(found)) != 0)
            fail_msg("layout %d has other masks", i);
    }
}

static void on_all_layouts(void **state)
{
    struct masks expected;

    (void)state;
    same_everywhere(&alone, &expected);
    assert_true(share_kept(&expected) > 0.45 && share_kept(&expected) < 0.55);
}

/* Rows of longer samples before it move a row, not its mask. */
static void however_rows_are_packed(void **state)
{
    struct setting uneven = alone;
    struct masks even, expected;
    int rows = 0;

    (void)state;
    uneven.uneven = true;
    find_masks(&alone, &even);
    same_everywhere(&uneven, &expected);
    for (int sample = 0; sample < SAMPLES; sample++)
        for (int i = 0; i < LENGTH - sample * 5 % LENGTH; i++, rows++)
            assert_memory_equal(expected.embedded[sample * LENGTH + i], even.embedded[sample * LENGTH + i],
                                WIDTH * sizeof(bool));
    assert_true(rows < PLACES);
}

static void of_the_last_layer(void **state)
{
    static const int places[] = { 5, 40, 94 };
    struct masks m[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct setting s = alone;
        int kept = 0;
        s.labelled = places[i];
        same_everywhere(&s, &m[i]);
        for (int f = 0; f < WIDTH; f++)
            kept += m[i].last[f];
        assert_true(kept > 0 && kept < WIDTH);
    }
    assert_memory_not_equal(m[0].last, m[1].last, sizeof(m[0].last));
    assert_memory_not_equal(m[0].last, m[2].last, sizeof(m[0].last));
}

static void other_steps_and_seeds(void **state)
{
    struct setting s = alone;
    struct masks first, found;

    (void)state;
    find_masks(&alone, &first);
    s.step = 1;
    find_masks(&s, &found);
    assert_memory_not_equal(first.embedded, found.embedded, sizeof(found.embedded));
    s.step = 0;
    s.seed = 8;
    find_masks(&s, &found);
    assert_memory_not_equal(first.embedded, found.embedded, sizeof(found.embedded));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_all_layouts),
        cmocka_unit_test(however_rows_are_packed),
        cmocka_unit_test(of_the_last_layer),
        cmocka_unit_test(other_steps_and_seeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
