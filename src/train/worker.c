/* One rank's part of a run: its share of the weights, its executors, its place in the data. */
#include <string.h>

#include "base/err.h"
#include "ckpt/optimizer_state.h"
#include "train/run.h"
#include "train/snapshot.h"

/* ---- weights ---- */

static int fill_weights(struct worker *w)
{
    const struct train_job *job = w->run->job;

    if (job->checkpoint && w->run->o)
        return snapshot_load(job->model, job->checkpoint, w->store);
    if (job->model->has_weights)
        return model_fill_store(job->model, w->store);
    model_init_store(w->store, (uint64_t)w->run->o->seed);
    return OK;
}

/* ---- life ---- */

static int make_executors(struct worker *w)
{
    struct run *r = w->run;
    struct comm *comm = mesh_ranks(&r->mesh) > 1 ? w->comm : NULL; /* kernels of one rank need none */

    if (r->plan) {
        TRY(executor_create(w->plan, w->store, comm, w->rank, &w->train));
        TRY(loader_init(&w->loader, &r->job->train, &r->batches));
        loader_batch_init(&w->loader, &w->batch);
    }
    if (r->eval_plan) {
        TRY(executor_create(w->eval_plan, w->store, comm, w->rank, &w->eval));
        TRY(loader_init(&w->eval_loader, &r->job->eval, &r->eval_batches));
        loader_batch_init(&w->eval_loader, &w->eval_batch);
    }
    return OK;
}

int worker_init(struct worker *w, struct run *r, int rank, struct comm *comm)
{
    int status;

    *w = (struct worker){ .run = r, .comm = comm, .rank = rank, .first = rank == 0, .step = r->first_step };
    comm_enter(comm, PHASE_MODEL);
    w->dp = mesh_coordinate(&r->mesh, rank, AXIS_DP);
    w->plan = r->plans ? r->plans[mesh_coordinate(&r->mesh, rank, AXIS_PP)] : NULL;
    w->eval_plan = r->eval_plans ? r->eval_plans[mesh_coordinate(&r->mesh, rank, AXIS_PP)] : NULL;
    w->store = store_create();
    status = make_executors(w);
    if (status == OK)
        status = fill_weights(w);
    if (status != OK)
        worker_release(w);
    return status;
}

void worker_release(struct worker *w)
{
    executor_free(w->train);
    executor_free(w->eval);
    loader_release(&w->loader);
    loader_release(&w->eval_loader);
    batch_release(&w->batch);
    batch_release(&w->eval_batch);
    store_free(w->store);
    *w = (struct worker){ 0 };
}

/* ---- agreement ---- */

static int reduce(const struct worker *w, int axis, enum reduction kind, double *values, int count)
{
    return comm_run(
        w->comm,
        &(struct transfer){
            .kind = TRANSFER_ALL_REDUCE, .axis = axis, .reduction = kind, .dtype = DT_F64, .count = count },
        values, values);
}

int agree_sum(const struct worker *w, double *values, int count)
{
    return reduce(w, AXIS_DP, REDUCE_SUM, values, count);
}

int agree_sum_stages(const struct worker *w, double *values, int count)
{
    return reduce(w, AXIS_PP, REDUCE_SUM, values, count);
}

int agree_max(const struct worker *w, double *value)
{
    return reduce(w, AXIS_ALL, REDUCE_MAX, value, 1);
}

int agree_wait(const struct worker *w)
{
    return comm_barrier(w->comm);
}
