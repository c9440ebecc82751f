/* plait forward -- tensors in, logits, loss and gradients out, as transformers' forward and backward give
 * them. The samples go through in runs of a few rows each; sums of the loss and of the gradients are kept
 * over the runs and divided by the number of labels in the end. Ranks
 * send what they have to the first, which writes. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/parallel.h"
#include "ckpt/gather.h"
#include "ckpt/hf.h"
#include "cli/cli.h"
#include "cli/forward_inputs.h"
#include "comm/world.h"
#include "cpu/machine.h"
#include "exec/exec.h"

enum { ROWS_AT_ONCE = 2048 };

struct values {
    struct model_choice model;
    struct compute_options compute;
    struct parallel_options parallel;
    struct {
        const char *inputs, *output;
        bool grad;
    } own;
};

#define OWN(member) offsetof(struct values, own.member) - offsetof(struct values, own)

static const struct option own_options[] = {
    { "inputs", OPTION_STRING, OWN(inputs), NULL,
      "safetensors file, or -: input_ids and, if wanted, attention_mask, token_type_ids, position_ids, "
      "labels, each [B, T]; labels of a classification: [B], or [B, L] numbers" },
    { "output", OPTION_STRING, OWN(output), NULL,
      "safetensors file, or -: logits (hidden_states of a base model), with labels the loss, with --grad the "
      "gradients" },
    { "grad", OPTION_BOOL, OWN(grad), "false", "also one grad.NAME for each parameter: of the mean loss" },
    { 0 },
};

static const struct option_part parts[] = {
    { "Forward", own_options, offsetof(struct values, own) },
    { "Model", model_options_table, offsetof(struct values, model) },
    { "Computing", compute_options, offsetof(struct values, compute) },
    { "Ranks", parallel_options, offsetof(struct values, parallel) },
    { "", hub_notes, 0 },
    { 0 },
};

/* One of the tensors that come out: rows of each sample. */
struct result {
    const char *name;
    const struct tensor *from; /* where its rows lie in the plan; NULL: it is not there */
    int ndim;
    int64_t dims[3]; /* samples first */
    int64_t sample;  /* numbers of one sample */
    size_t bytes;
    float *data;
};

enum { RESULTS = 2 };

struct forward {
    const struct values *values;
    struct model model;
    struct forward_inputs in;
    const struct world *world;
    struct mesh mesh;
    int64_t chunk; /* samples of one dp rank in one run */
    struct plan *plan;
    /* the first rank's */
    double loss; /* the sum */
    struct result results[RESULTS];
};

/* ---- one rank ---- */

struct worker {
    struct forward *f;
    struct comm *comm;
    struct executor *e;
    struct store *store;
    int rank, dp, tp;
    double loss; /* its part of the sum */
};

/* Samples of a dp rank in the run that begins with sample `at`. */
static int64_t share_of(const struct forward *f, int64_t at, int dp, int64_t *first)
{
    int64_t left;

    *first = at + dp * f->chunk;
    left = f->in.samples - *first;
    return left < 0 ? 0 : left < f->chunk ? left : f->chunk;
}

/* From the ranks with tp 0, whose rows are everybody's, to the first. */
static int collect(const struct worker *w, const struct result *r, int64_t at)
{
    struct forward *f = w->f;
    struct transfer x = { .axis = AXIS_DP, .dtype = DT_F32 };
    int64_t first, count;

    for (int dp = 0; dp < mesh_size(&f->mesh, AXIS_DP); dp++) {
        count = share_of(f, at, dp, &first);
        x.count = count * r->sample;
        if (count == 0 || (w->dp != 0 && w->dp != dp))
            continue;
        x.kind = w->dp == 0 ? TRANSFER_RECV : TRANSFER_SEND;
        x.peer = w->dp == 0 ? dp : 0;
        if (w->dp == 0 && dp == 0)
            memcpy(r->data + first * r->sample, executor_view(w->e, r->from).data,
                   (size_t)x.count * sizeof(float));
        else
            TRY(comm_run(w->comm, &x, w->dp == 0 ? NULL : executor_view(w->e, r->from).data,
                         w->dp == 0 ? r->data + first * r->sample : NULL));
    }
    return OK;
}

static void add_loss(struct worker *w)
{
    struct view v = executor_view(w->e, w->f->plan->loss);

    w->loss += v.dtype == DT_F64 ? *(const double *)v.data : *(const float *)v.data;
}

static int run_chunk(struct worker *w, struct batch *b, int64_t at)
{
    struct forward *f = w->f;
    int64_t first, count = share_of(f, at, w->dp, &first);

    forward_inputs_batch(&f->in, first, count, &f->model.config, b);
    executor_set_batch(w->e, b);
    TRY(executor_run(w->e, PROGRAM_MICROBATCH, &(struct run_options){ .first_microbatch = at == 0 }));
    for (int i = 0; i < RESULTS && w->tp == 0; i++)
        if (f->results[i].from)
            TRY(collect(w, &f->results[i], at));
    if (f->plan->loss)
        add_loss(w);
    return OK;
}

static int run_samples(struct worker *w)
{
    struct forward *f = w->f;
    int64_t stride = f->chunk * mesh_size(&f->mesh, AXIS_DP);
    struct batch b;
    int status = OK;

    batch_init(&b, &(struct batch_capacity){ .rows = f->chunk * f->in.rows,
                                             .encoder_rows = f->in.decoder_ids ? f->chunk * f->in.length : 0,
                                             .sequences = f->chunk,
                                             .target_width = f->in.target_width });
    for (int64_t at = 0; at < f->in.samples && status == OK; at += stride)
        status = run_chunk(w, &b, at);
    batch_release(&b);
    return status;
}

/* The rank holds a part of the sum, or of the tensor; ranks that hold what others hold too are passed over.
 */
static bool adds(const struct forward *f, const struct tensor *t, int rank)
{
    for (int axis = 0; axis < PLACEMENT_AXES; axis++)
        if (t->layout.on[axis].kind == REPLICATE && mesh_coordinate(&f->mesh, rank, (enum axis)axis) != 0)
            return false;
    return true;
}

static int sum_loss(struct worker *w)
{
    const struct transfer x = { .kind = TRANSFER_ALL_REDUCE, .axis = AXIS_ALL, .dtype = DT_F64, .count = 1 };
    struct forward *f = w->f;
    double sum = 0;

    /* samples are dealt out, whatever is said of a sum over no ranks */
    if (f->plan->loss && (f->plan->loss->layout.on[AXIS_TP].kind != REPLICATE || w->tp == 0))
        sum = w->loss;
    TRY(comm_run(w->comm, &x, &sum, &sum));
    if (w->rank == 0)
        f->loss = sum;
    return OK;
}

static int write_results(void *context, struct gather *g);

static int run_worker(struct worker *w)
{
    TRY(model_fill_store(&w->f->model, w->store));
    TRY(run_samples(w));
    TRY(sum_loss(w));
    return gather_run(w->comm, w->store, write_results, w->f);
}

static int run_rank(void *context, int rank, struct comm *comm)
{
    struct forward *f = context;
    struct worker w = { .f = f, .comm = comm, .store = store_create(), .rank = rank };
    int status;

    w.dp = mesh_coordinate(&f->mesh, rank, AXIS_DP);
    w.tp = mesh_coordinate(&f->mesh, rank, AXIS_TP);
    status = executor_create(f->plan, w.store, comm, rank, &w.e);
    if (status == OK)
        status = run_worker(&w);
    executor_free(w.e);
    store_free(w.store);
    return status;
}

/* ---- results ---- */

/* The gradient of the mean loss: shares put together, sums added. */
static int whole_gradient(const struct forward *f, struct gather *g, const char *param, float *values[2],
                          int64_t count)
{
    const struct tensor *t = graph_find(f->plan->graph, param, TENSOR_GRAD);
    float *sum = values[0], *part = values[1];
    struct str name;
    bool there;
    int status = OK;

    str_init(&name);
    str_appendf(&name, "grad.%s", param);
    memset(sum, 0, (size_t)count * sizeof(float));
    for (int r = 0; r < mesh_ranks(&f->mesh) && status == OK; r++) {
        if (!adds(f, t, r))
            continue;
        memset(part, 0, (size_t)count * sizeof(float));
        status = gather_part(g, r, name.data, part, &there);
        for (int64_t i = 0; i < count && status == OK; i++)
            sum[i] += part[i];
    }
    for (int64_t i = 0; i < count && f->in.label_count > 0; i++)
        sum[i] /= (float)f->in.label_count;
    str_release(&name);
    return status;
}

/* A parameter that nothing reads has none. */
static bool has_gradient(const struct forward *f, const struct param *p)
{
    return f->values->own.grad && graph_find(f->plan->graph, p->name, TENSOR_GRAD);
}

static void declare(const struct forward *f, const struct params *params, struct safetensors_writer *w)
{
    const struct element *f32 = element_named("F32");
    struct str name;

    for (int i = 0; i < RESULTS; i++)
        if (f->results[i].from)
            safetensors_writer_declare(w, f->results[i].name, f32, f->results[i].ndim, f->results[i].dims);
    if (forward_inputs_have_labels(&f->in))
        safetensors_writer_declare(w, "loss", f32, 1, (const int64_t[]){ 1 });
    str_init(&name);
    for (size_t i = 0; i < params->count; i++) {
        const struct param *p = &params->list[i];
        if (!has_gradient(f, p))
            continue;
        str_clear(&name);
        str_appendf(&name, "grad.%s", p->name);
        safetensors_writer_declare(w, name.data, f32, p->info->file_ndim, p->info->file_dims);
    }
    str_release(&name);
    safetensors_writer_header(w);
}

static int write_gradient(const struct forward *f, struct gather *g, const struct param *p,
                          struct safetensors_writer *w)
{
    float *values[2] = { mem_alloc_array((size_t)p->count + 1, sizeof(float)),
                         mem_alloc_array((size_t)p->count + 1, sizeof(float)) };
    int status = whole_gradient(f, g, p->name, values, p->count);

    if (status == OK)
        safetensors_writer_floats(w, values[0], (size_t)p->count);
    mem_free(values[0]);
    mem_free(values[1]);
    return status;
}

static int write_tensors(const struct forward *f, struct gather *g, const struct params *params,
                         struct safetensors_writer *w)
{
    float loss = (float)(f->loss / (double)f->in.label_count);

    safetensors_writer_metadata(w, "format", "pt");
    declare(f, params, w);
    for (int i = 0; i < RESULTS; i++)
        if (f->results[i].from)
            safetensors_writer_floats(w, f->results[i].data, f->results[i].bytes / sizeof(float));
    if (forward_inputs_have_labels(&f->in))
        safetensors_writer_floats(w, &loss, 1);
    for (size_t i = 0; i < params->count; i++)
        if (has_gradient(f, &params->list[i]))
            TRY(write_gradient(f, g, &params->list[i], w));
    return OK;
}

static int write_results(void *context, struct gather *g)
{
    const struct forward *f = context;
    struct safetensors_writer w;
    struct file_sink sink;
    struct params params;
    int status, ended;

    TRY(params_init(&params, &f->model.config));
    status = file_sink_begin(&sink, f->values->own.output);
    if (status == OK) {
        safetensors_writer_init(&w, &sink.sink);
        status = write_tensors(f, g, &params, &w);
        ended = safetensors_writer_end(&w);
        status = file_sink_end(&sink, status == OK ? ended : status);
    }
    params_release(&params);
    return status;
}

/* ---- the whole ---- */

static int check_size(const struct forward *f, double limit)
{
    double need = (double)plan_bytes(f->plan) * world_host_ranks(f->world, &f->mesh);
    struct str needed, there;
    int status;

    for (int i = 0; i < RESULTS; i++)
        need += (double)f->results[i].bytes;
    if (need <= limit)
        return OK;
    str_init(&needed);
    str_init(&there);
    str_append_bytes_human(&needed, need);
    str_append_bytes_human(&there, limit);
    status = fail(ERR_SYSTEM, "forward: not enough memory (found %s, expected %s)", there.data, needed.data);
    str_release(&needed);
    str_release(&there);
    return status;
}

/* The layout is the one asked for, whatever it costs: talking is taken to be free. */
static int compile(struct forward *f, enum recompute recompute)
{
    struct compile_options o = { .task = f->values->own.grad ? TASK_GRADIENT : TASK_FORWARD,
                                 .problem = f->in.problem,
                                 .mesh = f->mesh,
                                 .cluster = { .link_bytes = 1e15, .message_seconds = 1e-12 },
                                 .recompute = recompute,
                                 .dtype = compute_dtype(&f->values->compute) };
    int64_t dp = f->mesh.size[AXIS_DP], longest;
    struct machine machine;

    longest = f->in.length > f->in.rows ? f->in.length : f->in.rows;
    f->chunk = ROWS_AT_ONCE / longest > 0 ? ROWS_AT_ONCE / longest : 1;
    if (f->chunk > (f->in.samples + dp - 1) / dp)
        f->chunk = (f->in.samples + dp - 1) / dp;
    o.sequences = f->chunk;
    o.rows = o.labels = f->chunk * f->in.rows;
    o.encoder_rows = f->in.decoder_ids ? f->chunk * f->in.length : 0;
    TRY(machine_detect(&machine));
    return plan_compile(&f->model.config, &o, &machine, &f->plan);
}

static int compute(struct forward *f, double limit)
{
    TRY(check_size(f, limit));
    for (int i = 0; i < RESULTS && world_is_first(f->world); i++) {
        struct result *r = &f->results[i];
        r->data = r->from ? mem_map(r->bytes) : NULL;
        if (r->from && !r->data)
            return fail(ERR_SYSTEM, "%s: no memory (asked for %zu bytes)", r->name, r->bytes);
    }
    return world_run(f->world, &f->mesh, run_rank, f);
}

static void add_result(struct forward *f, int i, const char *name, const struct tensor *from, bool rows)
{
    struct result *r = &f->results[i];
    int64_t samples = f->in.samples, per_row = from ? from->dims[from->ndim - 1].size : 0;

    *r = (struct result){ .name = name, .from = from, .ndim = rows ? 3 : 2 };
    r->dims[0] = samples;
    r->dims[1] = rows ? f->in.rows : per_row;
    r->dims[2] = per_row;
    r->sample = rows ? f->in.rows * per_row : per_row;
    r->bytes = (size_t)(samples * r->sample) * sizeof(float);
}

static void find_results(struct forward *f)
{
    if (f->plan->logits) {
        add_result(f, 0, "logits", f->plan->logits, f->model.config.head != HEAD_CLASSIFICATION);
        return;
    }
    add_result(f, 0, "hidden_states", f->plan->hidden, true);
    add_result(f, 1, "pooler_output", f->plan->pooled, false);
}

static int forward(struct forward *f, double limit)
{
    const struct values *v = f->values;
    struct parallel_options parallel = v->parallel;

    TRY(parallel_mesh(&parallel, f->world, &f->mesh));
    TRY(model_check_memory(&f->model.config, v->own.grad ? 2 : 1, limit));
    TRY(forward_inputs_load(&f->in, v->own.inputs, &f->model.config));
    if (v->own.grad && !forward_inputs_have_labels(&f->in))
        return fail(ERR_USAGE, "--grad: there is no loss without labels (tensor \"labels\" missing in %s)",
                    v->own.inputs);
    TRY(compile(f, parallel_recompute(&parallel)));
    find_results(f);
    return compute(f, limit);
}

static void forward_release(struct forward *f)
{
    for (int i = 0; i < RESULTS; i++)
        if (f->results[i].data)
            mem_unmap(f->results[i].data, f->results[i].bytes);
    plan_free(f->plan);
    forward_inputs_release(&f->in);
    model_close(&f->model);
}

static int run_in(struct values *v, const struct world *w)
{
    struct forward f = { .values = v, .world = w };
    struct model_options options;
    double limit;
    int status;

    TRY(compute_check(&v->compute, &limit));
    model_choice_options(&v->model, &options);
    TRY(model_open(&f.model, &options));
    status = forward(&f, limit);
    forward_release(&f);
    return status;
}

static int run(void *values, struct options *o)
{
    struct values *v = values;
    struct world w;

    (void)o;
    TRY(require_text("model_name_or_path", v->model.name));
    TRY(require_text("inputs", v->own.inputs));
    TRY(require_text("output", v->own.output));
    TRY(parallel_open(&v->parallel, &w, tell_error));
    return world_close(&w, run_in(v, &w));
}

const struct command command_forward = {
    .name = "forward",
    .summary = "logits, loss and gradients of given tensors, to compare with anything",
    .example =
        "plait forward --model_name_or_path my-gpt2 --inputs in.safetensors --output out.safetensors --grad",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};
