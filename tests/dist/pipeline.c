/* Pipelines of in-process ranks: every family, schedule and mesh gives the losses, gradient norms and
 * weights of one rank, with dropout on, also with layers made again and in bfloat16. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "ckpt/hf.h"
#include "comm/comm.h"
#include "cpu/machine.h"
#include "lib/golden_case.h"

#include <cmocka.h>

enum { STEPS = 6, LENGTH = 12, MICROBATCHES = 4, SAMPLES = 2, MOST_STAGE = 8, VOCAB = 61 };

static const struct family {
    const char *preset, *overrides;
    bool encoder, causal;
} families[] = {
    { "gpt2", "n_layer=5,n_embd=16,n_head=4,n_positions=32,vocab_size=61,bos_token_id=1,eos_token_id=1",
      false, true },
    { "EleutherAI/gpt-neo-125m",
      "num_layers=6,hidden_size=16,num_heads=4,max_position_embeddings=32,vocab_size=61,window_size=4,"
      "embed_dropout=0.1,resid_dropout=0.1,attention_dropout=0.1,bos_token_id=1,eos_token_id=1",
      false, true },
    { "huggyllama/llama-7b",
      "num_hidden_layers=5,hidden_size=16,intermediate_size=24,num_attention_heads=4,"
      "max_position_embeddings=32,"
      "vocab_size=61,attention_dropout=0.1",
      false, true },
    { "bert-base-uncased",
      "num_hidden_layers=5,hidden_size=16,intermediate_size=24,num_attention_heads=4,"
      "max_position_embeddings=32,"
      "vocab_size=61",
      false, false },
    { "roberta-base",
      "num_hidden_layers=5,hidden_size=16,intermediate_size=24,num_attention_heads=4,"
      "max_position_embeddings=40,"
      "vocab_size=61",
      false, false },
    { "t5-small", "num_layers=3,num_decoder_layers=3,d_model=16,d_kv=4,d_ff=24,num_heads=4,vocab_size=61",
      true, false },
};
enum { FAMILIES = sizeof(families) / sizeof(families[0]) };

struct setting {
    struct mesh mesh;
    enum schedule_kind schedule;
    int chunks;
    enum recompute recompute;
    enum dtype dtype;
};

struct run {
    const struct family *family;
    struct config config;
    struct mesh mesh;
    struct plan *plans[MOST_STAGE]; /* of each stage rank */
    double loss[STEPS], norm[STEPS];
};

/* ---- Data: a function of the sample's number ---- */

static int32_t token(int sample, int i)
{
    return (int32_t)(hash_bytes((int[]){ sample, i }, 2 * sizeof(int), 3) % (VOCAB - 2)) + 2;
}

static void add_sample(const struct run *r, struct batch *b, int sample)
{
    int32_t ids[LENGTH], labels[LENGTH];
    int length = LENGTH - sample % 3; /* not all alike */

    for (int i = 0; i < length; i++) {
        ids[i] = token(sample, i);
        labels[i] = sample % 2 == i % 3 ? token(sample, i + 40) : -100;
    }
    if (r->family->encoder)
        batch_add_encoder(b, ids, length - 2, sample, LENGTH);
    if (r->family->causal)
        batch_add_causal(b, ids, NULL, length, sample, LENGTH);
    else
        batch_add(b, ids, labels, length, sample, LENGTH);
}

struct feed {
    const struct run *r;
    struct executor *e;
    struct batch b;
    int step, dp;
    double labels;
};

static int load(struct feed *f, int microbatch)
{
    int each = SAMPLES / f->r->mesh.size[AXIS_DP];

    batch_clear(&f->b);
    for (int i = 0; i < each; i++)
        add_sample(f->r, &f->b, (f->step * MICROBATCHES + microbatch) * SAMPLES + f->dp * each + i);
    f->labels += (double)f->b.label_count;
    return OK;
}

static int feed_stage(void *context, int microbatch, struct run_counts *counts)
{
    struct feed *f = context;

    TRY(load(f, microbatch));
    *counts = executor_copy_batch(f->e, &f->b);
    return OK;
}

/* ---- One rank ---- */

static int run_microbatches(struct executor *e, const struct plan *p, struct feed *f,
                            const struct run_options *o)
{
    const struct microbatches m = { .load = feed_stage, .context = f };
    struct run_options each = *o;

    f->labels = 0;
    if (p->chunks) {
        TRY(executor_run_pipeline(e, &m, o));
        f->labels /= p->chunks; /* each chunk has loaded them */
        return OK;
    }
    for (int i = 0; i < MICROBATCHES; i++) {
        TRY(load(f, i));
        executor_set_batch(e, &f->b);
        each.first_microbatch = i == 0;
        each.last_microbatch = i == MICROBATCHES - 1;
        TRY(executor_run(e, PROGRAM_MICROBATCH, &each));
    }
    return OK;
}

static int train(void *context, int rank, struct comm *comm)
{
    struct run *r = context;
    const struct plan *plan = r->plans[mesh_coordinate(&r->mesh, rank, AXIS_PP)];
    struct feed f = { .r = r, .dp = mesh_coordinate(&r->mesh, rank, AXIS_DP) };
    struct store *store = store_create();
    struct executor *e;
    double *settings;

    TRY(executor_create(plan, store, comm, rank, &e));
    f.e = e;
    model_init_store(store, 5);
    batch_init(&f.b, &(struct batch_capacity){ .rows = SAMPLES * LENGTH,
                                               .encoder_rows = r->family->encoder ? SAMPLES * LENGTH : 0,
                                               .sequences = SAMPLES });
    for (f.step = 0; f.step < STEPS; f.step++) {
        const struct run_options o = {
            .seed = 7, .step = (uint64_t)f.step, .first_microbatch = true, .last_microbatch = true
        };
        const double *control;
        TRY(run_microbatches(e, plan, &f, &o));
        settings = executor_input(e, "settings");
        *(double *)executor_input(e, "label_count") = f.labels;
        settings[SETTING_LEARNING_RATE] = 0.003;
        settings[SETTING_STEP] = f.step + 1;
        settings[SETTING_MAX_NORM] = 1;
        TRY(executor_run(e, PROGRAM_UPDATE, &o));
        control = executor_view(e, plan->control).data;
        if (rank == 0) {
            r->loss[f.step] = control[CONTROL_LOSS];
            r->norm[f.step] = control[CONTROL_GRAD_NORM];
        }
    }
    batch_release(&f.b);
    executor_free(e);
    store_free(store);
    return OK;
}

static void run_setting(struct run *r, const struct family *family, const struct setting *l)
{
    struct compile_options o = { .task = TASK_TRAIN,
                                 .mesh = l->mesh,
                                 .recompute = l->recompute,
                                 .dtype = l->dtype,
                                 .pipeline = { l->schedule, l->chunks, MICROBATCHES },
                                 .cluster = case_fast_links,
                                 .optimizer = {
                                     .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.1 } };
    struct machine machine;
    int ranks = mesh_size(&l->mesh, AXIS_PP);

    memset(r, 0, sizeof(*r));
    r->family = family;
    r->mesh = l->mesh;
    must(config_preset(&r->config, family->preset));
    must(config_override(&r->config, family->overrides));
    must(machine_detect(&machine));
    o.sequences = SAMPLES / mesh_size(&l->mesh, AXIS_DP);
    o.rows = o.labels = o.sequences * LENGTH;
    o.encoder_rows = family->encoder ? o.rows : 0;
    for (o.stage_rank = 0; o.stage_rank < ranks; o.stage_rank++) {
        must(plan_compile(&r->config, &o, &machine, &r->plans[o.stage_rank]));
        assert_true((double)r->plans[o.stage_rank]->program[PROGRAM_MICROBATCH].arena_bytes <=
                    1.1 * (double)r->plans[o.stage_rank]->program[PROGRAM_MICROBATCH].live_bytes + 4096);
    }
    must(comm_local_run(&r->mesh, 1, train, r));
    for (int s = 0; s < ranks; s++)
        plan_free(r->plans[s]);
    config_release(&r->config);
}

static const struct setting settings[] = {
    { { { 1, 1, 2 } }, SCHEDULE_GPIPE, 1 },
    { { { 1, 1, 2 } }, SCHEDULE_1F1B, 1 },
    { { { 1, 1, 2 } }, SCHEDULE_ZERO_BUBBLE, 1 },
    { { { 1, 1, 2 } }, SCHEDULE_INTERLEAVED, 2 },
    { { { 1, 1, 4 } }, SCHEDULE_1F1B, 1 },
    { { { 1, 1, 4 } }, SCHEDULE_ZERO_BUBBLE, 1 },
    { { { 1, 2, 2 } }, SCHEDULE_1F1B, 1 },
    { { { 2, 1, 2 } }, SCHEDULE_ZERO_BUBBLE, 1 },
    { { { 2, 2, 2 } }, SCHEDULE_1F1B, 1 },
    { { { 2, 2, 2 } }, SCHEDULE_INTERLEAVED, 2 },
    { { { 1, 1, 2 } }, SCHEDULE_ZERO_BUBBLE, 1, RECOMPUTE_FULL },
    { { { 1, 2, 2 } }, SCHEDULE_INTERLEAVED, 2, RECOMPUTE_FULL },
    { { { 1, 1, 2 } }, SCHEDULE_1F1B, 1, RECOMPUTE_SELECTIVE, DT_BF16 },
};

static void follows_one_rank(void **state)
{
    const struct family *family = *state;
    const struct setting alone = { { { 1, 1, 1 } }, SCHEDULE_1F1B, 1 };
    struct run first, r;

    run_setting(&first, family, &alone);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const struct setting *l = &settings[i];
        run_setting(&r, family, l);
        for (int s = 0; s < STEPS; s++) {
            double loose = l->dtype == DT_BF16 ? 100 : 1;
            if (!(fabs(r.loss[s] - first.loss[s]) <= 1e-4 * loose * first.loss[s]) ||
                !(fabs(r.norm[s] - first.norm[s]) <= 1e-3 * loose * first.norm[s]))
                fail_msg("%s dp %d tp %d pp %d %s: step %d: loss %.7f, norm %.7f, expected %.7f, %.7f",
                         family->preset, l->mesh.size[AXIS_DP], l->mesh.size[AXIS_TP], l->mesh.size[AXIS_PP],
                         schedule_name(l->schedule), s + 1, r.loss[s], r.norm[s], first.loss[s],
                         first.norm[s]);
        }
    }
}

int main(void)
{
    struct CMUnitTest tests[FAMILIES];

    for (int i = 0; i < FAMILIES; i++)
        tests[i] = (struct CMUnitTest){ .name = families[i].preset,
                                        .test_func = follows_one_rank,
                                        .initial_state = (void *)(uintptr_t)&families[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
