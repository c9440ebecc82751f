/* One rank's part of a forward: its samples, and what of them goes to the first rank. */
#include <math.h>
#include <string.h>

#include "api/api.h"

struct worker {
    const struct plait_model *m;
    struct forward *f;
    const struct plan *plan;
    struct comm *comm;
    struct executor *e;
    int rank, dp, tp, stage;
    int64_t at;                   /* first sample of the run */
    struct batch batch;           /* the newest */
    float *kept[FORWARD_RESULTS]; /* [microbatch], with stages */
    double loss, count;           /* its part of the sums */
};

/* ---- samples ---- */

/* Samples of all ranks in a microbatch. */
static int64_t stride(const struct forward *f)
{
    return f->chunk * mesh_size(&f->plan->mesh, AXIS_DP);
}

/* Samples of a dp rank in the microbatch that begins with sample `at`. */
static int64_t share_of(const struct forward *f, int64_t at, int dp, int64_t *first)
{
    int64_t left;

    *first = at + dp * f->chunk;
    left = f->in.samples - *first;
    return left < 0 ? 0 : left < f->chunk ? left : f->chunk;
}

/* ---- results ---- */

/* Where a result lies in the plan of the stage that makes it. */
static const struct tensor *result_in(const struct plan *p, int i)
{
    return i == 1 ? p->pooled : p->anywhere.logits ? p->logits : p->hidden;
}

/* From the ranks with tp 0 of the stage that makes it, whose rows are everybody's, to the first. */
static int collect(const struct worker *w, int i, int64_t at, const float *mine)
{
    const struct forward_result *r = &w->f->results[i];
    const struct mesh *mesh = &w->m->mesh;
    int stages = mesh_size(mesh, AXIS_PP);
    struct transfer x = { .axis = AXIS_ALL, .dtype = DT_F32 };

    for (int dp = 0; dp < mesh_size(mesh, AXIS_DP); dp++) {
        int from = mesh_neighbour(mesh, mesh_neighbour(mesh, 0, AXIS_DP, dp), AXIS_PP, r->stage % stages);
        int64_t first, count = share_of(w->f, at, dp, &first);
        x.count = count * r->sample;
        if (count == 0 || (w->rank != 0 && w->rank != from))
            continue;
        x.kind = w->rank == 0 ? TRANSFER_RECV : TRANSFER_SEND;
        x.peer = w->rank == 0 ? from : 0;
        if (from == 0)
            memcpy(r->data + first * r->sample, mine, (size_t)x.count * sizeof(float));
        else if (w->rank == 0)
            TRY(comm_run(w->comm, &x, NULL, r->data + first * r->sample));
        else
            TRY(comm_run(w->comm, &x, mine, NULL));
    }
    return OK;
}

static const float *values_of(const struct worker *w, int i)
{
    return executor_view(w->e, result_in(w->plan, i)).data;
}

static bool makes(const struct worker *w, int i)
{
    const struct forward_result *r = &w->f->results[i];

    return r->from && w->tp == 0 && w->stage == r->stage % mesh_size(&w->m->mesh, AXIS_PP);
}

/* ---- runs ---- */

static void load(struct worker *w, int microbatch)
{
    struct forward *f = w->f;
    int64_t first, count = share_of(f, w->at + microbatch * stride(f), w->dp, &first);

    forward_inputs_batch(&f->in, first, count, &w->m->model.config, &w->batch);
}

static double scalar_of(const struct worker *w, const struct tensor *t)
{
    struct view v = executor_view(w->e, t);

    return v.dtype == DT_F64 ? *(const double *)v.data : (double)*(const float *)v.data;
}

static void add_loss(struct worker *w)
{
    const struct plan *p = w->plan;

    if (!p->loss || w->batch.sequences == 0)
        return;
    w->loss += scalar_of(w, p->loss);
    w->count += p->count ? scalar_of(w, p->count) : (double)w->batch.label_count;
}

static int feed(void *context, int microbatch, struct run_counts *counts)
{
    struct worker *w = context;

    load(w, microbatch);
    *counts = executor_copy_batch(w->e, &w->batch);
    return OK;
}

static int keep(void *context, int microbatch, int chunk)
{
    struct worker *w = context;
    const struct forward *f = w->f;

    for (int i = 0; i < FORWARD_RESULTS; i++) {
        int64_t each = f->chunk * f->results[i].sample, count = w->batch.sequences * f->results[i].sample;
        if (makes(w, i) && chunk == f->results[i].stage / mesh_size(&w->m->mesh, AXIS_PP) && count > 0)
            memcpy(w->kept[i] + microbatch * each, values_of(w, i), (size_t)count * sizeof(float));
    }
    if (chunk == w->plan->chunks - 1)
        add_loss(w);
    return OK;
}

static int run_stages(struct worker *w, const struct run_options *o)
{
    const struct forward *f = w->f;

    TRY(executor_run_pipeline(w->e, &(struct microbatches){ feed, keep, w }, o));
    for (int k = 0; k < f->microbatches; k++)
        for (int i = 0; i < FORWARD_RESULTS; i++)
            if (f->results[i].from)
                TRY(collect(w, i, w->at + k * stride(f), w->kept[i] + k * f->chunk * f->results[i].sample));
    return OK;
}

static int run_chunk(struct worker *w, const struct run_options *o)
{
    load(w, 0);
    executor_set_batch(w->e, &w->batch);
    TRY(executor_run(w->e, PROGRAM_MICROBATCH, o));
    for (int i = 0; i < FORWARD_RESULTS; i++)
        if (makes(w, i))
            TRY(collect(w, i, w->at, values_of(w, i)));
    add_loss(w);
    return OK;
}

/* Samples are dealt out, whatever is said of a sum over no ranks. */
static double part_of(const struct worker *w, const struct tensor *t, double value)
{
    return w->tp == 0 || (t && t->layout.on[AXIS_TP].kind != REPLICATE) ? value : 0;
}

static int sum_loss(struct worker *w)
{
    const struct transfer x = { .kind = TRANSFER_ALL_REDUCE, .axis = AXIS_ALL, .dtype = DT_F64, .count = 2 };
    const struct plan *p = w->plan;
    double sums[] = { part_of(w, p->loss, w->loss), part_of(w, p->count, w->count) };

    TRY(comm_run(w->comm, &x, sums, sums));
    if (w->rank > 0)
        return OK;
    w->f->count = sums[1];
    w->f->loss = w->f->count != 0 ? (float)(sums[0] / w->f->count) : NAN;
    return OK;
}

/* ---- the whole ---- */

static void worker_init(struct worker *w, struct plait_model *m, int rank, struct comm *comm)
{
    struct forward *f = m->forward;

    *w = (struct worker){ .m = m, .f = f, .comm = comm, .e = f->executors[rank], .rank = rank };
    w->dp = mesh_coordinate(&m->mesh, rank, AXIS_DP);
    w->tp = mesh_coordinate(&m->mesh, rank, AXIS_TP);
    w->stage = mesh_coordinate(&m->mesh, rank, AXIS_PP);
    w->plan = f->plans[w->stage];
    for (int i = 0; i < FORWARD_RESULTS; i++)
        w->kept[i] =
            mem_alloc_array(makes(w, i) ? (size_t)forward_kept(f, &f->results[i]) + 1 : 1, sizeof(float));
    batch_init(&w->batch,
               &(struct batch_capacity){ .rows = f->chunk * f->in.rows,
                                         .encoder_rows = f->in.decoder_ids ? f->chunk * f->in.length : 0,
                                         .sequences = f->chunk,
                                         .target_width = f->in.target_width });
}

static void worker_release(struct worker *w)
{
    for (int i = 0; i < FORWARD_RESULTS; i++)
        mem_free(w->kept[i]);
    batch_release(&w->batch);
}

int forward_rank(void *context, int rank, struct comm *comm)
{
    struct plait_model *m = context;
    const struct forward *f = m->forward;
    struct worker w;
    int status = OK;

    comm_enter(comm, PHASE_RUN);
    worker_init(&w, m, rank, comm);
    for (; w.at < f->in.samples && status == OK; w.at += f->microbatches * stride(f)) {
        const struct run_options o = { .first_microbatch = w.at == 0 };
        status = w.plan->chunks > 0 ? run_stages(&w, &o) : run_chunk(&w, &o);
    }
    if (status == OK)
        status = sum_loss(&w);
    worker_release(&w);
    return status;
}
