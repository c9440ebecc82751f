/* The layout of a run, as far as it is left to plait. The first rank searches and tells the others. */
#include "base/err.h"
#include "base/log.h"
#include "plan/partition.h"
#include "train/run.h"

/* ---- what the search asks for ---- */

static int compile_alone(void *context, const struct layout_choice *l, struct plan **out)
{
    return run_compile(context, TASK_TRAIN, l, 0, out);
}

static int64_t bytes_beside(const struct plan *p)
{
    return p->program[PROGRAM_MICROBATCH].arena_bytes + p->input_bytes;
}

static int measure_stage(struct run *r, const struct layout_choice *l, int stage, int64_t *bytes)
{
    struct plan *p;

    TRY(run_compile(r, TASK_TRAIN, l, stage, &p));
    *bytes = plan_bytes(p);
    plan_free(p);
    if (r->job->eval.count == 0)
        return OK;
    TRY(run_compile(r, TASK_EVAL, l, stage, &p));
    *bytes += bytes_beside(p);
    plan_free(p);
    return OK;
}

/* Later stages of a pipeline hold fewer microbatches at once than the first: they may fit with more kept. */
static int measure_spared(struct run *r, struct layout_choice *l, int stage, double memory, int64_t *bytes)
{
    bool may = l->recompute == RECOMPUTE_FULL && stage < SPARABLE && memory > 0;

    if (may) {
        l->spared |= (uint64_t)1 << stage;
        TRY(measure_stage(r, l, stage, bytes));
        if ((double)*bytes <= memory)
            return OK;
        l->spared &= ~((uint64_t)1 << stage);
    }
    return measure_stage(r, l, stage, bytes);
}

static int measure(void *context, struct layout_choice *l, double memory, int64_t *bytes)
{
    int64_t most = 0, mine;
    int ranks = mesh_size(&l->mesh, AXIS_PP);

    l->spared = 0;
    for (int s = 0; s < ranks; s++) {
        TRY(measure_spared(context, l, s, memory, &mine));
        most = mine > most ? mine : most;
    }
    if (__builtin_popcountll(l->spared) == ranks) /* more was expected than it takes */
        *l = (struct layout_choice){ l->mesh, l->pipeline, RECOMPUTE_SELECTIVE, l->zero, l->microbatch, 0 };
    *bytes = most;
    return OK;
}

/* ---- the search ---- */

static bool is_wished(int wish, int found)
{
    return wish == 0 || wish == found;
}

static bool is_planned(int wish, int found)
{
    return wish == PLANNED || wish == found;
}

/* What the run has begun with goes on, to the same bits, where nothing says otherwise. */
static bool may_stay(const struct run *r, const struct layout_wish *w)
{
    const struct layout_choice *l = &r->kept;
    bool pipeline = mesh_size(&l->mesh, AXIS_PP) > 1;
    int64_t most = (w->global_batch + mesh_size(&l->mesh, AXIS_DP) - 1) / mesh_size(&l->mesh, AXIS_DP);
    int64_t rank_samples = (int64_t)l->pipeline.microbatches * l->microbatch;

    return l->microbatch > 0 && l->microbatch <= r->o->per_device_batch && mesh_ranks(&l->mesh) == w->world &&
           is_wished(w->data, mesh_size(&l->mesh, AXIS_DP)) &&
           is_wished(w->tensor, mesh_size(&l->mesh, AXIS_TP)) &&
           is_wished(w->pipeline, mesh_size(&l->mesh, AXIS_PP)) && l->pipeline.microbatches <= most &&
           rank_samples >= most && l->zero <= w->most_zero && is_planned(w->zero, l->zero) &&
           is_planned(w->recompute, (int)l->recompute) &&
           (!pipeline || (is_wished(w->chunks, l->pipeline.chunks) &&
                          is_wished(w->microbatches, l->pipeline.microbatches) &&
                          is_planned(w->schedule, (int)l->pipeline.schedule)));
}

static int search(struct run *r)
{
    const struct layout_maker maker = { compile_alone, measure, r };
    const struct train_job *job = r->job;
    struct layout_wish w = job->wish;

    w.per_device = r->o->per_device_batch;
    w.accumulation = r->o->accumulation;
    w.global_batch = job->checkpoint ? r->state.global_batch_size : r->o->global_batch;
    w.memory = job->memory / world_host_ranks(job->world, &r->mesh);
    w.fixed = may_stay(r, &w) ? &r->kept : NULL;
    if (w.fixed && layout_search(&w, &maker, &r->search) == OK)
        return OK;
    error_clear();
    w.fixed = NULL;
    return layout_search(&w, &maker, &r->search);
}

struct told { /* by the first rank */
    int status;
    struct layout_option option;
};

static int share(struct run *r)
{
    struct told told = { .status = ERR_SYSTEM };

    if (world_is_first(r->job->world)) {
        told.status = search(r);
        if (told.status == OK)
            told.option = r->search.option[0];
    }
    TRY(world_share(r->job->world, &told, sizeof(told)));
    if (world_is_first(r->job->world))
        return told.status;
    if (told.status != OK)
        return fail(told.status, "the first rank has found no layout");
    r->search.option = mem_alloc(sizeof(told.option));
    r->search.option[0] = told.option;
    r->search.count = 1;
    return OK;
}

int run_plan_layout(struct run *r)
{
    const struct world *w = r->job->world;

    if (r->job->wish.world == 0)
        return OK;
    TRY(w && w->comm ? share(r) : search(r));
    r->layout = r->search.option[0].layout;
    r->predicted = r->search.option[0].cost;
    r->mesh = r->layout.mesh;
    r->eval_batches.dp = r->mesh.size[AXIS_DP];
    if (r->job->wish.schedule != PLANNED && mesh_ranks(&r->mesh) > 1 && mesh_size(&r->mesh, AXIS_PP) == 1)
        note("--pipeline_schedule: with one stage there is nothing to order");
    if (r->job->wish.zero > 0 && r->job->wish.data != 1 && mesh_ranks(&r->mesh) > 1 &&
        mesh_size(&r->mesh, AXIS_DP) == 1)
        note("--zero_stage: the layout found has one copy of the model, so there is nothing to deal out "
             "(--data_parallel_size asks for more)");
    if (r->job->rules && mesh_ranks(&r->mesh) > 1)
        partition_rules_tell_idle(r->job->rules, &r->mesh);
    return OK;
}

/* ---- of an evaluation alone ---- */

static int compile_batch(void *context, const struct layout_choice *l, struct plan **out)
{
    return run_compile(context, TASK_EVAL, l, 0, out);
}

static int measure_batch(void *context, struct layout_choice *l, double memory, int64_t *bytes)
{
    struct run *r = context;
    struct layout_choice whole = *l;
    int64_t most = 0;

    (void)memory; /* there is no backward pass to make anything again for */
    whole.microbatch = r->eval_batches.microbatch;
    for (int s = 0; s < mesh_size(&l->mesh, AXIS_PP); s++) {
        struct plan *p;
        TRY(run_compile(r, TASK_EVAL, &whole, s, &p));
        most = plan_bytes(p) > most ? plan_bytes(p) : most;
        plan_free(p);
    }
    *bytes = most;
    return OK;
}

int run_plan_evaluation(struct run *r)
{
    const struct layout_maker maker = { compile_batch, measure_batch, r };
    const struct train_job *job = r->job;
    const struct layout_work work = { job->eval.count, job->eval_batch, EVAL_ROUND };
    struct layout_wish w = job->wish;
    struct layout_option found;

    if (layout_is_open(&w) && work.items > 0) {
        w.memory = job->memory / world_host_ranks(job->world, &r->mesh);
        TRY(layout_forward(&w, &work, &maker, job->world, &found));
        r->mesh = r->layout.mesh = found.layout.mesh;
        r->eval_batches.dp = mesh_size(&r->mesh, AXIS_DP);
    }
    if (w.world > 1 && job->rules)
        partition_rules_tell_idle(job->rules, &r->mesh);
    return OK;
}

/* ---- how long a step will take here ---- */

enum { LONG_RUN = 20 /* seconds, by the figures of an ordinary host */ };

int run_predict(struct run *r)
{
    const struct layout_maker maker = { compile_alone, measure, r };
    struct cluster c = r->job->wish.cluster;
    bool here = c.flops <= 0 && !r->o->dry_run;

    r->ordinary = r->job->wish.cluster.flops <= 0;
    if (!here || r->search.count == 0 || r->predicted.seconds * (double)r->total_steps < LONG_RUN)
        return OK;
    r->ordinary = false;
    TRY(cluster_probe(&c, r->job->world, mesh_ranks(&r->mesh)));
    return layout_predict(&maker, &r->layout, &c, &r->predicted);
}
