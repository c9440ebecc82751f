/* Tensors in, logits, loss and gradients out, as transformers' forward and backward give them. The samples
 * go through in runs of a few rows each, with stages in microbatches that follow each other; sums of the loss
 * and of the gradients are kept over the runs and divided by the number of labels in the end. Ranks send what
 * they have to the first. The plan and what is bound to it stay for the next forward of the same kind that is
 * no larger. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "api/api.h"
#include "base/parallel.h"
#include "cpu/machine.h"

enum { ROWS_AT_ONCE = 2048, LENGTH_STEP = 64 };

/* ---- life ---- */

static void release_results(struct forward *f)
{
    for (int i = 0; i < FORWARD_RESULTS; i++) {
        if (f->results[i].data)
            mem_unmap(f->results[i].data, f->results[i].bytes);
        f->results[i] = (struct forward_result){ 0 };
    }
}

void forward_free(struct plait_model *m)
{
    struct forward *f = m->forward;

    if (!f)
        return;
    for (int r = 0; r < mesh_ranks(&m->mesh); r++)
        executor_free(f->executors[r]);
    release_results(f);
    forward_inputs_release(&f->in);
    for (int s = 0; s < mesh_size(&m->mesh, AXIS_PP); s++)
        plan_free(f->plans[s]);
    mem_free(f->plans);
    mem_free(f->executors);
    mem_free(f);
    m->forward = NULL;
}

/* ---- the plan ---- */

/* The layout is settled, whatever it costs: talking is taken to be free. */
static int compile(const struct plait_model *m, const struct layout_choice *l, int stage,
                   const struct forward *like, const struct plait_loss *loss, struct plan **out)
{
    struct compile_options o = { .task = like->task,
                                 .problem = like->problem,
                                 .mesh = l->mesh,
                                 .stage_rank = stage,
                                 .pipeline = { .schedule = SCHEDULE_1F1B,
                                               .microbatches = like->microbatches },
                                 .cluster = { .link_bytes = 1e15, .message_seconds = 1e-12 },
                                 .recompute = m->recompute,
                                 .zero_stage = m->zero_stage,
                                 .dtype = m->dtype,
                                 .beside = m->forward ? m->forward->plan : NULL,
                                 .rows = like->rows,
                                 .encoder_rows = like->encoder_rows,
                                 .sequences = like->sequences,
                                 .labels = like->rows,
                                 .rules = m->rules,
                                 .loss = loss ? api_loss_build : NULL,
                                 .loss_context = (void *)loss,
                                 .target_width = like->in.target_width };
    struct machine machine;

    TRY(machine_detect(&machine));
    return plan_compile(&m->model.config, &o, &machine, out);
}

/* Of all stages that run in this process. */
static int compile_all(const struct plait_model *m, const struct forward *like, const struct plait_loss *loss,
                       struct plan *out[])
{
    const struct layout_choice l = { .mesh = m->mesh };
    bool processes = m->world && m->world->comm;

    for (int s = 0; s < mesh_size(&m->mesh, AXIS_PP); s++)
        if (!processes || mesh_coordinate(&m->mesh, m->world->rank, AXIS_PP) == s)
            TRY(compile(m, &l, s, like, loss, &out[s]));
    return OK;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The kind of plan. */
static void describe(const struct plait_model *m, const struct forward_inputs *in, int wanted,
                     struct forward *f)
{
    bool rows = m->model.config.head == HEAD_CLASSIFICATION; /* label rows are those of sequences */

    f->task = wanted & PLAIT_GRADIENTS        ? TASK_GRADIENT
              : wanted & PLAIT_LOGITS || rows ? TASK_FORWARD
                                              : TASK_EVAL;
    f->problem = in->problem;
}

/* Samples of a copy of the model at once. */
static int64_t batch_of(const struct forward_inputs *in)
{
    return larger(ROWS_AT_ONCE / larger(in->length, in->rows), 1);
}

/* Capacities for so many samples in a microbatch. */
static void set_chunk(struct forward *f, const struct forward_inputs *in, int64_t chunk)
{
    f->chunk = chunk;
    f->sequences = f->chunk;
    f->rows = larger(f->chunk * in->rows, LENGTH_STEP);
    f->encoder_rows = in->decoder_ids ? larger(f->chunk * in->length, LENGTH_STEP) : 0;
}

static void divide(const struct plait_model *m, const struct mesh *mesh, const struct forward_inputs *in,
                   struct forward *f)
{
    int64_t stages = mesh_size(mesh, AXIS_PP), most = larger(m->pipeline.microbatches, stages);
    int64_t share = ceil_div(in->samples, mesh_size(mesh, AXIS_DP));
    int64_t chunk = larger(batch_of(in) / most, 1);

    f->microbatches = (int)most;
    set_chunk(f, in, chunk < ceil_div(share, most) ? chunk : ceil_div(share, most));
}

/* ---- the layout, where it is open ---- */

struct placing {
    const struct plait_model *m;
    const struct forward_inputs *in;
    const struct forward *kind;
    const struct plait_loss *loss;
};

static int compile_batch(void *context, const struct layout_choice *l, struct plan **out)
{
    const struct placing *x = context;
    struct forward like = *x->kind;

    like.microbatches = 1;
    set_chunk(&like, x->in, l->microbatch);
    return compile(x->m, l, 0, &like, x->loss, out);
}

static int measure(void *context, struct layout_choice *l, double memory, int64_t *bytes)
{
    const struct placing *x = context;
    struct forward like = *x->kind;
    int64_t most = 0;

    (void)memory;
    divide(x->m, &l->mesh, x->in, &like);
    for (int s = 0; s < mesh_size(&l->mesh, AXIS_PP); s++) {
        struct plan *p;
        TRY(compile(x->m, l, s, &like, x->loss, &p));
        most = larger(most, plan_bytes(p));
        plan_free(p);
    }
    *bytes = most;
    return OK;
}

static int place(struct plait_model *m, const struct forward_inputs *in, const struct forward *kind,
                 const struct plait_loss *loss)
{
    struct placing x = { m, in, kind, loss };

    return model_place(m, &(struct layout_work){ .items = in->samples, .at_once = batch_of(in) },
                       &(struct layout_maker){ compile_batch, measure, &x });
}

/* ---- the executors ---- */

static bool fits(const struct forward *f, const struct forward *wanted)
{
    return f && !f->in.own_loss && f->task == wanted->task && f->problem == wanted->problem &&
           f->rows >= wanted->rows && f->encoder_rows >= wanted->encoder_rows &&
           f->sequences >= wanted->sequences;
}

static int bind(void *context, int rank, struct comm *comm)
{
    struct plait_model *m = context;
    const struct plan *plan = m->forward->plans[mesh_coordinate(&m->mesh, rank, AXIS_PP)];

    TRY(executor_create(plan, m->stores[rank], comm, rank, &m->forward->executors[rank]));
    return model_fill(m, rank);
}

/* Of one rank: the mean of the stages that lie in this process. */
static double bytes_of(const struct plait_model *m, struct plan *const plans[])
{
    double bytes = 0;
    int count = 0;

    for (int s = 0; s < mesh_size(&m->mesh, AXIS_PP); s++) {
        bytes += plans[s] ? (double)plan_bytes(plans[s]) : 0;
        count += plans[s] != NULL;
    }
    return bytes / count;
}

static int check_memory(const struct plait_model *m, struct plan *const plans[], double more)
{
    double need = bytes_of(m, plans) * world_host_ranks(m->world, &m->mesh) + more;
    struct str needed, there;
    int status;

    if (need <= m->available)
        return OK;
    str_init(&needed);
    str_init(&there);
    str_append_bytes_human(&needed, need);
    str_append_bytes_human(&there, m->available);
    status = fail(ERR_SYSTEM, "forward: not enough memory (found %s, expected %s)", there.data, needed.data);
    str_release(&needed);
    str_release(&there);
    return status;
}

/* A loss of the caller's own is built anew each time: what it reads may have changed. */
static int make(struct plait_model *m, const struct forward *wanted, const struct plait_loss *loss)
{
    int ranks = mesh_ranks(&m->mesh), stages = mesh_size(&m->mesh, AXIS_PP), status;
    struct plan **plans;

    if (!loss && fits(m->forward, wanted)) {
        m->forward->chunk = wanted->chunk;
        return OK;
    }
    if (m->generators && ranks > 1) /* parameters lie otherwise there */
        model_forget(m);
    TRY(model_check_memory(&m->model.config, wanted->task == TASK_GRADIENT ? 2 : 1, m->available));
    plans = mem_alloc_array((size_t)stages, sizeof(plans[0]));
    status = compile_all(m, wanted, loss, plans);
    if (status == OK)
        status = check_memory(m, plans, 0);
    if (status != OK) {
        for (int s = 0; s < stages; s++)
            plan_free(plans[s]);
        mem_free(plans);
        return status;
    }
    forward_free(m);
    m->forward = mem_alloc(sizeof(*m->forward));
    *m->forward = *wanted;
    m->forward->in = (struct forward_inputs){ 0 };
    m->forward->plans = plans;
    for (int s = 0; s < stages; s++)
        m->forward->plan = plans[s] ? plans[s] : m->forward->plan;
    m->forward->executors = mem_alloc_array((size_t)ranks, sizeof(m->forward->executors[0]));
    return model_run(m, bind, m);
}

/* ---- results ---- */

static void add_result(struct forward *f, int i, const char *name, const struct tensor *from, bool rows)
{
    struct forward_result *r = &f->results[i];
    int64_t samples = f->in.samples, per_row = from ? from->dims[from->ndim - 1].size : 0;

    *r = (struct forward_result){ .name = name, .from = from, .ndim = rows ? 3 : 2 };
    r->stage = from ? plan_stage_of(f->plan, from) : 0;
    r->dims[0] = samples;
    r->dims[1] = rows ? f->in.rows : per_row;
    r->dims[2] = per_row;
    r->sample = rows ? f->in.rows * per_row : per_row;
    r->bytes = (size_t)(samples * r->sample) * sizeof(float);
}

static void find_results(const struct plait_model *m, struct forward *f)
{
    const struct plan *p = f->plan;

    if (p->anywhere.logits)
        add_result(f, 0, "logits", p->anywhere.logits, m->model.config.head != HEAD_CLASSIFICATION);
    else if (f->task != TASK_EVAL) {
        add_result(f, 0, "hidden_states", p->anywhere.hidden, true);
        if (!f->in.own_loss)
            add_result(f, 1, "pooler_output", p->anywhere.pooled, false);
    }
}

int64_t forward_kept(const struct forward *f, const struct forward_result *r)
{
    return f->plan->chunks > 0 ? f->microbatches * f->chunk * r->sample : 0;
}

static int make_results(const struct plait_model *m, struct forward *f)
{
    double bytes = 0;

    release_results(f);
    find_results(m, f);
    for (int i = 0; i < FORWARD_RESULTS; i++)
        bytes += (double)f->results[i].bytes + (double)forward_kept(f, &f->results[i]) * sizeof(float);
    TRY(check_memory(m, f->plans, bytes));
    for (int i = 0; i < FORWARD_RESULTS; i++) {
        struct forward_result *r = &f->results[i];
        bool wanted = r->from && world_is_first(m->world);
        r->data = wanted ? mem_map(r->bytes) : NULL;
        if (wanted && !r->data)
            return fail(ERR_SYSTEM, "%s: no memory (asked for %zu bytes)", r->name, r->bytes);
    }
    return OK;
}

/* ---- gradients ---- */

/* The rank holds a part of the sum, or of the tensor; ranks that hold what others hold too are passed over.
 */
static bool adds(const struct plait_model *m, const struct tensor *t, int rank)
{
    for (int axis = 0; axis < PLACEMENT_AXES; axis++)
        if (t->layout.on[axis].kind == REPLICATE && mesh_coordinate(&m->mesh, rank, (enum axis)axis) != 0)
            return false;
    return true;
}

bool forward_has_gradient(const struct plait_model *m, const char *param)
{
    return graph_find(plan_whole(m->forward->plan), param, TENSOR_GRAD) != NULL;
}

int forward_gradient(const struct plait_model *m, struct gather *g, const char *param, float *out,
                     float *part, int64_t count)
{
    const struct tensor *t = graph_find(plan_whole(m->forward->plan), param, TENSOR_GRAD);
    double divisor = m->forward->count;
    struct str name;
    bool there;
    int status = OK;

    str_init(&name);
    str_appendf(&name, "grad.%s", param);
    memset(out, 0, (size_t)count * sizeof(float));
    for (int r = 0; r < mesh_ranks(&m->mesh) && status == OK; r++) {
        if (!adds(m, t, r))
            continue;
        memset(part, 0, (size_t)count * sizeof(float));
        status = gather_part(g, r, name.data, part, &there);
        for (int64_t i = 0; i < count && status == OK; i++)
            out[i] += part[i];
    }
    for (int64_t i = 0; i < count && divisor != 0; i++)
        out[i] = (float)(out[i] / divisor);
    str_release(&name);
    return status;
}

/* ---- the whole ---- */

static int check_wanted(const struct named_tensors *inputs, const struct forward_inputs *in, int wanted)
{
    if (wanted & ~(PLAIT_LOGITS | PLAIT_GRADIENTS))
        return fail(ERR_USAGE, "%s: no such thing is to be had (found %d)", inputs->path, wanted);
    if (forward_inputs_have_labels(in))
        return OK;
    if (wanted & PLAIT_GRADIENTS)
        return fail(ERR_USAGE,
                    "%s: there is no loss, and so no gradient, without labels (tensor \"labels\" "
                    "missing)",
                    inputs->path);
    if (!(wanted & PLAIT_LOGITS))
        return fail(ERR_USAGE, "%s: nothing is wanted (expected logits, or labels for a loss)", inputs->path);
    return OK;
}

static int run(struct plait_model *m, struct forward_inputs *in, int wanted, const struct plait_loss *loss)
{
    struct forward kind = { .in = *in };

    describe(m, in, wanted, &kind);
    TRY(place(m, in, &kind, loss));
    divide(m, &m->mesh, in, &kind);
    TRY(make(m, &kind, loss));
    forward_inputs_release(&m->forward->in);
    m->forward->in = *in; /* its memory too */
    *in = (struct forward_inputs){ 0 };
    TRY(make_results(m, m->forward));
    return model_run(m, forward_rank, m);
}

int forward_run(struct plait_model *m, const struct named_tensors *inputs, int wanted,
                const struct plait_loss *loss)
{
    struct forward_inputs in;
    int status;

    TRY(forward_inputs_read(&in, inputs, &m->model.config, loss != NULL));
    status = check_wanted(inputs, &in, wanted);
    if (status == OK) {
        status = run(m, &in, wanted, loss);
        if (status != OK)
            model_forget(m);
    }
    forward_inputs_release(&in);
    return status;
}
