/* What a run comes to, settled before its ranks start: batches, steps, schedule, plans, sizes. */
#include "train/run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/parallel.h"
#include "ckpt/checkpoint.h"
#include "train/flops.h"
#include "train/snapshot.h"

/* ---- going on ---- */

static int check_seed(const char *checkpoint, const char *name, uint64_t found, uint64_t expected)
{
    if (found == expected)
        return OK;
    return fail(ERR_CONFIG, "%s: --%s is not that of the run (found %" PRIu64 ", expected %" PRIu64 ")",
                checkpoint, name, expected, found);
}

static int check_notes(const struct train_job *job, const struct manifest *m)
{
    for (size_t i = 0; i < job->note_count; i++) {
        const struct train_note *n = &job->notes[i];
        const char *found = manifest_note(m, n->key);
        if (!found || strcmp(found, n->value) == 0)
            continue;
        fail(ERR_CONFIG, "%s: %s is not that of the run (found %s, expected %s)", job->checkpoint, n->key,
             n->value, found);
        if (n->hint)
            error_hint("%s", n->hint);
        return ERR_CONFIG;
    }
    return OK;
}

static int load_state(struct run *r)
{
    const struct train_job *job = r->job;
    struct manifest m;
    int status;

    TRY(checkpoint_verify(job->checkpoint, CHECKPOINT_SIZES, &m));
    snprintf(r->id, sizeof(r->id), "%s", m.run);
    status = check_notes(job, &m);
    if (status == OK && manifest_note(&m, "layout") &&
        layout_read(manifest_note(&m, "layout"), &r->kept) != OK)
        error_clear(); /* of another version: it is found anew */
    if (status == OK && !manifest_find(&m, TRAINER_STATE_NAME))
        status =
            fail(ERR_DATA, "%s: saved with --save_only_model, so nothing can go on from it", job->checkpoint);
    manifest_release(&m);
    TRY(status);
    TRY(trainer_state_load(&r->state, job->checkpoint));
    TRY(check_seed(job->checkpoint, "seed", r->state.seed, (uint64_t)r->o->seed));
    TRY(check_seed(job->checkpoint, "data_seed", r->state.data_seed, data_seed(r->o)));
    r->first_step = r->saved = r->state.global_step;
    r->first_skipped = r->state.skipped_steps;
    return OK;
}

static void new_state(struct run *r)
{
    double now[2] = { clock_calendar(), clock_seconds() };
    uint64_t id = hash_bytes(now, sizeof(now), (uint64_t)getpid());

    snprintf(r->id, sizeof(r->id), "%016" PRIx64, id);
    trainer_state_init(&r->state);
    r->state.seed = (uint64_t)r->o->seed;
    r->state.data_seed = data_seed(r->o);
}

/* ---- batches and steps ---- */

/* Without a table of them, all rows are of type 0. */
static int64_t type_limit(const struct run *r)
{
    int64_t types = r->job->model->config.sizes.token_types;

    return types > 0 ? types : 1;
}

/* Stages need several microbatches to be busy at once. Asked for neither these nor as much accumulation, a
 * rank divides its samples into at most four for each stage, or one each. */
static int settle_microbatches(const struct run *r, struct loader_options *b, int64_t samples)
{
    const struct pipeline_options *p = &r->layout.pipeline;
    int64_t stages = mesh_size(&r->mesh, AXIS_PP), count = p->microbatches;

    if (stages == 1)
        return OK;
    if (count > samples)
        return fail(ERR_CONFIG,
                    "--num_microbatches: more than the samples of one rank's step (found %" PRId64
                    ", expected at most %" PRId64 ")",
                    count, samples);
    if (count == 0)
        count = b->accumulation >= stages ? b->accumulation : samples < 4 * stages ? samples : 4 * stages;
    if (p->microbatches == 0 && p->schedule == SCHEDULE_INTERLEAVED && count > stages)
        count = count / stages * stages;
    b->microbatch = ceil_div(samples, count);
    b->accumulation = count;
    return OK;
}

/* A global batch that is given decides; one that a checkpoint has must stay. */
static int settle_batches(struct run *r)
{
    const struct train_options *o = r->o;
    int64_t dp = r->mesh.size[AXIS_DP], product, wanted = o->global_batch, saved = r->state.global_batch_size;
    struct loader_options *b = &r->batches;

    if (!checked_mul(o->per_device_batch, o->accumulation, &product) || !checked_mul(product, dp, &product))
        return fail(ERR_USAGE, "the global batch is too large to count");
    if (r->job->checkpoint && wanted && wanted != saved)
        return fail(ERR_CONFIG,
                    "%s: --global_batch_size is not that of the run (found %" PRId64 ", expected %" PRId64
                    ")",
                    r->job->checkpoint, wanted, saved);
    if (r->job->checkpoint && !wanted && product != saved)
        note("the global batch stays %" PRId64 ", as the run began (these options alone: %" PRId64 ")", saved,
             product);
    if (r->job->checkpoint)
        wanted = saved;
    *b = (struct loader_options){ .microbatch = o->per_device_batch,
                                  .accumulation = o->accumulation,
                                  .dp = dp,
                                  .global_batch = wanted,
                                  .seed = data_seed(o),
                                  .no_shuffle = o->no_shuffle,
                                  .by_length = o->group_by_length,
                                  .objective = r->job->objective,
                                  .vocab_size = r->job->model->config.sizes.vocab,
                                  .token_types = type_limit(r) };
    if (wanted && wanted != product) {
        if (wanted < dp)
            return fail(ERR_CONFIG,
                        "--global_batch_size %" PRId64
                        " leaves ranks without a sample (expected at least %" PRId64
                        ", the data-parallel ranks)",
                        wanted, dp);
        if (o->accumulation > 1 && !r->job->checkpoint)
            note("--gradient_accumulation_steps: changes nothing, as the global batch is to be %" PRId64
                 " (these options alone: %" PRId64 ")",
                 wanted, product);
        if (b->microbatch > ceil_div(wanted, dp))
            b->microbatch = ceil_div(wanted, dp);
        b->accumulation = ceil_div(wanted, b->microbatch * dp);
    }
    r->state.global_batch_size = b->global_batch = wanted ? wanted : product;
    if (r->search.count > 0) {
        b->microbatch = r->layout.microbatch;
        b->accumulation = r->layout.pipeline.microbatches;
        return OK;
    }
    return settle_microbatches(r, b, ceil_div(b->global_batch, dp));
}

static int64_t part_of(const struct run *r, double steps)
{
    double n = steps < 1 ? ceil(steps * (double)r->total_steps) : steps;

    return n < 1 ? 1 : n < 0x1p62 ? (int64_t)n : (int64_t)1 << 62;
}

static int64_t interval(const struct run *r, int strategy, double steps)
{
    if (strategy == STRATEGY_STEPS)
        return part_of(r, steps);
    return strategy == STRATEGY_EPOCH ? r->steps_per_epoch : 0;
}

static int settle_steps(struct run *r)
{
    const struct train_options *o = r->o;
    struct loader l;

    TRY(loader_init(&l, &r->job->train, &r->batches));
    r->steps_per_epoch = loader_steps_per_epoch(&l);
    r->total_steps = loader_total_steps(&l, o->epochs, o->max_steps);
    r->state.max_steps = r->total_steps;
    r->state.num_train_epochs = (int64_t)ceil(loader_epoch(&l, r->total_steps));
    loader_release(&l);
    r->log_every = interval(r, o->logging_strategy, o->logging_steps);
    r->eval_every = r->job->eval.count > 0 ? interval(r, o->eval_strategy, o->eval_steps) : 0;
    r->save_every = interval(r, o->save_strategy, o->save_steps);
    r->plateau =
        (struct lr_plateau){ r->state.lr_factor, r->state.lr_best, r->state.lr_bad, r->state.lr_cooldown };
    r->lr = (struct lr_schedule){ .kind = o->lr_scheduler_type,
                                  .peak = o->learning_rate,
                                  .total = r->total_steps };
    if (o->warmup_steps > 0)
        r->lr.warmup = part_of(r, o->warmup_steps);
    else if (o->warmup_ratio > 0)
        r->lr.warmup = (int64_t)ceil(o->warmup_ratio * (double)r->total_steps);
    return lr_init(&r->lr, o->lr_scheduler_kwargs);
}

/* ---- plans ---- */

enum { FLAX_FACTOR_FROM = 128 }; /* optax' min_dim_size_to_factor */

static struct optimizer_options optimizer_options(const struct train_options *o)
{
    bool flax = o->optim == OPTIM_ADAFACTOR_FLAX;

    return (struct optimizer_options){ .kind =
                                           o->optim < OPTIM_ADAFACTOR ? OPTIMIZER_ADAMW : OPTIMIZER_ADAFACTOR,
                                       .weight_decay = o->weight_decay,
                                       .beta1 = o->beta1,
                                       .beta2 = o->beta2,
                                       .eps = o->epsilon,
                                       .relative = flax,
                                       .factor_from = flax ? FLAX_FACTOR_FROM : 0 };
}

/* Batches of an evaluation that follow each other through the stages: as many as keep these busy most of the
 * time. They take no more memory than one. */
static int round_of_evaluation(const struct run *r, const struct mesh *mesh)
{
    int64_t samples = r->eval_batches.microbatch * mesh_size(mesh, AXIS_DP);
    int64_t steps = ceil_div(r->job->eval.count, samples), most = EVAL_ROUND * mesh_size(mesh, AXIS_PP);

    return (int)(steps < 1 ? 1 : steps < most ? steps : most);
}

/* How much of the room for the longest samples a microbatch takes on average; 0 where it is not known. */
static void find_used(const struct objective *o, const struct sample_source *source,
                      const struct example_sizes *sizes, double used[COUNT_KINDS])
{
    double most = (double)(sample_longest(source) + sample_longest_target(source)), part;

    if (o->kind == OBJECTIVE_SEQ2SEQ && !o->encoder)
        most = (double)sizes->rows;
    part = (double)source->tokens / (double)source->count / most;
    part = part < 1 ? part : 1;
    used[COUNT_ROWS] = used[COUNT_ENCODER_ROWS] = part;
    used[COUNT_LABELS] = o->kind == OBJECTIVE_MLM ? part * o->noise : part;
    if (o->kind == OBJECTIVE_CLASSIFICATION)
        used[COUNT_LABELS] = 0;
}

int run_compile(struct run *r, enum task task, const struct layout_choice *l, int stage_rank,
                struct plan **out)
{
    const struct train_job *job = r->job;
    const struct train_options *o = r->o;
    int64_t samples = task == TASK_TRAIN || !o ? l->microbatch : r->eval_batches.microbatch;
    const struct sample_source *source = task == TASK_TRAIN ? &job->train : &job->eval;
    struct example_sizes sizes;
    struct compile_options c = { .task = task,
                                 .scores = task == TASK_EVAL && objective_has_hits(&job->objective),
                                 .mesh = l->mesh,
                                 .cluster = job->wish.cluster,
                                 .pipeline = l->pipeline,
                                 .rules = r->job->rules,
                                 .stage_rank = stage_rank,
                                 .beside = task == TASK_EVAL && r->plans ? r->plans[stage_rank] : NULL,
                                 .loss = job->loss,
                                 .loss_context = job->loss_context,
                                 .target_width = job->target_width,
                                 .recompute = layout_recompute(l, stage_rank),
                                 .zero_stage = l->zero,
                                 .dtype = job->dtype };

    objective_sizes(&job->objective, source, &sizes);
    find_used(&job->objective, source, &sizes, c.used);
    c.rows = samples * sizes.rows;
    c.encoder_rows = samples * sizes.encoder_rows;
    c.sequences = samples * sizes.sequences;
    c.labels = job->objective.kind == OBJECTIVE_CLASSIFICATION ? samples : c.rows;
    c.pipeline.microbatches =
        task == TASK_TRAIN ? l->pipeline.microbatches : round_of_evaluation(r, &l->mesh);
    if (task == TASK_TRAIN) {
        c.optimizer = optimizer_options(o);
        c.label_smoothing = o->label_smoothing_factor;
        c.z_loss = o->z_loss;
        c.frozen = freeze_matches;
        c.frozen_context = &r->freeze;
        c.stage = l == &r->layout ? job->stage : NULL;
        c.stage_context = job->stage_context;
    }
    return plan_compile(&job->model->config, &c, &r->machine, out);
}

/* A process of a launcher has one rank, unless it is to tell of all of them. */
static bool is_elsewhere(const struct run *r, int stage)
{
    const struct world *w = r->job->world;

    if (!w || !w->comm || (r->o && r->o->dry_run && world_is_first(w)))
        return false;
    return mesh_coordinate(&r->mesh, w->rank, AXIS_PP) != stage;
}

/* The plans of all stage ranks that run in this process. *largest: of those that take most memory. */
static int compile_stages(struct run *r, enum task task, struct plan ***out, const struct plan **largest)
{
    int ranks = mesh_size(&r->mesh, AXIS_PP);

    *out = mem_alloc_array((size_t)ranks, sizeof((*out)[0]));
    for (int s = 0; s < ranks; s++) {
        if (is_elsewhere(r, s))
            continue;
        TRY(run_compile(r, task, &r->layout, s, &(*out)[s]));
        if (!*largest || plan_bytes((*out)[s]) > plan_bytes(*largest))
            *largest = (*out)[s];
    }
    return OK;
}

static int64_t stage_bytes(const struct run *r, int s)
{
    int64_t bytes = r->plans && r->plans[s] ? plan_bytes(r->plans[s]) : 0;

    if (r->eval_plans && r->eval_plans[s])
        bytes += bytes > 0 ? r->eval_plans[s]->program[PROGRAM_MICROBATCH].arena_bytes +
                                 r->eval_plans[s]->input_bytes
                           : plan_bytes(r->eval_plans[s]);
    return bytes;
}

int64_t run_process_bytes(const struct run *r)
{
    const struct world *w = r->job->world;
    int stages = mesh_size(&r->mesh, AXIS_PP);
    int64_t bytes = 0;

    if (w && w->comm)
        return stage_bytes(r, mesh_coordinate(&r->mesh, w->rank, AXIS_PP));
    for (int s = 0; s < stages; s++)
        bytes += stage_bytes(r, s);
    return bytes * (mesh_ranks(&r->mesh) / stages);
}

static int check_memory(const struct run *r)
{
    double needed = (double)run_process_bytes(r), available = r->job->memory;
    struct str need, have;

    if (r->job->world && r->job->world->comm)
        needed *= world_host_ranks(r->job->world, &r->mesh);
    if (available <= 0 || needed <= available)
        return OK;
    str_init(&need);
    str_init(&have);
    str_append_bytes_human(&need, needed);
    str_append_bytes_human(&have, available);
    fail(ERR_SYSTEM, "not enough memory for this run (found %s, expected %s)", have.data, need.data);
    error_hint("a smaller per_device_train_batch_size with more gradient_accumulation_steps takes less");
    str_release(&need);
    str_release(&have);
    return ERR_SYSTEM;
}

static int look_around(struct run *r)
{
    const struct train_job *job = r->job;
    bool adamw = r->o && r->o->optim < OPTIM_ADAFACTOR;
    int copies = adamw ? 4 : r->o ? 2 : 1; /* weights, gradients, and AdamW's moments */
    int hosts = mesh_ranks(&r->mesh) / world_host_ranks(job->world, &r->mesh);

    r->machine.threads = parallel_threads();
    TRY(machine_detect(&r->machine));
    r->machine.threads = world_threads(job->world, &r->mesh);
    if (job->memory <= 0)
        return OK;
    return model_check_memory(&job->model->config, copies, job->memory * (hosts > 1 ? hosts : 1));
}

static int make_plans(struct run *r)
{
    const struct train_job *job = r->job;

    r->layout.microbatch = r->o ? r->batches.microbatch : r->eval_batches.microbatch;
    r->layout.pipeline.microbatches = (int)r->batches.accumulation;
    if (r->o)
        TRY(compile_stages(r, TASK_TRAIN, &r->plans, &r->plan));
    if (job->eval.count > 0)
        TRY(compile_stages(r, TASK_EVAL, &r->eval_plans, &r->eval_plan));
    if (r->plan)
        r->row_flops = flops_row(r->plan, &job->model->config.sizes, sample_longest(&job->train));
    return check_memory(r);
}

/* ---- life ---- */

static void begin(struct run *r, const struct train_job *job)
{
    *r = (struct run){ .job = job, .mesh = job->mesh, .evaluated = -1, .saved = -1 };
    for (int a = 0; a < AXIS_COUNT; a++)
        r->mesh.size[a] = r->mesh.size[a] > 0 ? r->mesh.size[a] : 1;
    r->layout = (struct layout_choice){ r->mesh, job->pipeline, job->recompute, job->zero_stage, 0 };
    r->eval_batches = (struct loader_options){ .microbatch = job->eval_batch,
                                               .dp = r->mesh.size[AXIS_DP],
                                               .no_shuffle = true,
                                               .objective = job->objective,
                                               .vocab_size = job->model->config.sizes.vocab,
                                               .token_types = type_limit(r) };
    report_init(&r->report);
    trainer_state_init(&r->state);
}

static int settle(struct run *r)
{
    r->o = r->job->options;
    if (r->job->checkpoint)
        TRY(load_state(r));
    else
        new_state(r);
    TRY(freeze_init(&r->freeze, r->o->freeze, &r->job->model->config));
    if (train_wants_accuracy(r->o) && !objective_has_hits(&r->job->objective))
        return fail(ERR_USAGE, "--metric_for_best_model accuracy: objective %s has none (expected loss)",
                    objective_names[r->job->objective.kind]);
    TRY(look_around(r));
    TRY(run_plan_layout(r));
    TRY(settle_batches(r));
    TRY(settle_steps(r));
    TRY(make_plans(r));
    TRY(run_predict(r));
    return snapshot_bytes(r, &r->checkpoint_bytes);
}

int run_init(struct run *r, const struct train_job *job)
{
    int status;

    begin(r, job);
    status = settle(r);
    if (status != OK)
        run_release(r);
    return status;
}

int run_init_evaluation(struct run *r, const struct train_job *job)
{
    int status;

    begin(r, job);
    status = look_around(r);
    if (status == OK)
        status = run_plan_evaluation(r);
    if (status == OK)
        status = make_plans(r);
    if (status != OK)
        run_release(r);
    return status;
}

static void free_plans(const struct run *r, struct plan **plans)
{
    for (int s = 0; plans && s < mesh_size(&r->mesh, AXIS_PP); s++)
        plan_free(plans[s]);
    mem_free(plans);
}

void run_release(struct run *r)
{
    report_release(&r->report);
    free_plans(r, r->plans);
    free_plans(r, r->eval_plans);
    freeze_release(&r->freeze);
    trainer_state_release(&r->state);
    layout_search_release(&r->search);
}
