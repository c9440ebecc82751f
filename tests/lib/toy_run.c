#include "lib/toy_run.h"

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

enum { LENGTH = 12, MOST_STAGE = 8, VOCAB = 61 };

const struct toy_family toy_families[TOY_FAMILIES] = {
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

struct run {
    const struct toy_family *family;
    const struct toy_setting *setting;
    struct config config;
    struct mesh mesh;
    struct plan *plans[MOST_STAGE]; /* of each stage rank */
    struct toy_run *out;
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
    int samples = f->r->setting->samples, each = samples / mesh_size(&f->r->mesh, AXIS_DP);

    batch_clear(&f->b);
    for (int i = 0; i < each; i++)
        add_sample(f->r, &f->b,
                   (f->step * f->r->setting->microbatches + microbatch) * samples + f->dp * each + i);
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
    for (int i = 0; i < f->r->setting->microbatches; i++) {
        TRY(load(f, i));
        executor_set_batch(e, &f->b);
        each.first_microbatch = i == 0;
        each.last_microbatch = i == f->r->setting->microbatches - 1;
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
    batch_init(
        &f.b, &(struct batch_capacity){ .rows = r->setting->samples * LENGTH,
                                        .encoder_rows = r->family->encoder ? r->setting->samples * LENGTH : 0,
                                        .sequences = r->setting->samples });
    for (f.step = 0; f.step < r->setting->steps; f.step++) {
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
            r->out->loss[f.step] = control[CONTROL_LOSS];
            r->out->norm[f.step] = control[CONTROL_GRAD_NORM];
        }
    }
    batch_release(&f.b);
    executor_free(e);
    store_free(store);
    return OK;
}

/* All stages; with the bytes of the first. */
static void compile(struct run *r, const struct toy_setting *l)
{
    struct compile_options o = {
        .task = TASK_TRAIN,
        .mesh = l->mesh,
        .recompute = l->recompute,
        .dtype = l->dtype,
        .zero_stage = l->zero_stage,
        .pipeline = { l->schedule, l->chunks, l->microbatches },
        .cluster = case_fast_links,
        .optimizer = { .kind = l->optimizer, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.1 }
    };
    struct machine machine;

    must(machine_detect(&machine));
    o.sequences = l->samples / mesh_size(&l->mesh, AXIS_DP);
    o.rows = o.labels = o.sequences * LENGTH;
    o.encoder_rows = r->family->encoder ? o.rows : 0;
    for (; o.stage_rank < mesh_size(&l->mesh, AXIS_PP); o.stage_rank++) {
        const struct plan_program *microbatch;
        must(plan_compile(&r->config, &o, &machine, &r->plans[o.stage_rank]));
        microbatch = &r->plans[o.stage_rank]->program[PROGRAM_MICROBATCH];
        assert_true((double)microbatch->arena_bytes <= 1.1 * (double)microbatch->live_bytes + 4096);
    }
}

void toy_run(const struct toy_family *family, const struct toy_setting *setting, struct toy_run *out)
{
    struct toy_setting l = *setting;
    struct run r = { .family = family, .setting = &l, .mesh = l.mesh, .out = out };

    l.samples = l.samples ? l.samples : 2;
    l.steps = l.steps ? l.steps : TOY_STEPS;
    l.microbatches = l.microbatches ? l.microbatches : 4;
    must(config_preset(&r.config, family->preset));
    must(config_override(&r.config, family->overrides));
    compile(&r, &l);
    must(comm_local_run(&r.mesh, 1, train, &r));
    for (int s = 0; s < mesh_size(&l.mesh, AXIS_PP); s++)
        plan_free(r.plans[s]);
    config_release(&r.config);
}

void toy_run_compare(const struct toy_family *family, const struct toy_setting *l, const struct toy_run *one)
{
    double loose = l->dtype == DT_BF16 ? 100 : 1;
    struct toy_run r;

    toy_run(family, l, &r);
    for (int s = 0; s < (l->steps ? l->steps : TOY_STEPS); s++)
        if (!(fabs(r.loss[s] - one->loss[s]) <= 1e-4 * loose * one->loss[s]) ||
            !(fabs(r.norm[s] - one->norm[s]) <= 1e-3 * loose * one->norm[s]))
            fail_msg("%s dp %d tp %d pp %d %s zero %d: step %d: loss %.7f, norm %.7f, expected %.7f, %.7f",
                     family->preset, l->mesh.size[AXIS_DP], l->mesh.size[AXIS_TP], l->mesh.size[AXIS_PP],
                     schedule_name(l->schedule), l->zero_stage, s + 1, r.loss[s], r.norm[s], one->loss[s],
                     one->norm[s]);
}

int toy_run_families(void (*test)(void **state))
{
    struct CMUnitTest tests[TOY_FAMILIES];

    for (int i = 0; i < TOY_FAMILIES; i++)
        tests[i] = (struct CMUnitTest){ .name = toy_families[i].preset,
                                        .test_func = test,
                                        .initial_state = (void *)(uintptr_t)&toy_families[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
