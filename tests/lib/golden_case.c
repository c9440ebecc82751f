#include "lib/golden_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/safetensors.h"
#include "cpu/machine.h"

#include <cmocka.h>

const struct cluster case_fast_links = { .link_bytes = 1e15, .message_seconds = 1e-12 };

void must(int status)
{
    if (status != OK)
        fail_msg("%s", error_message());
}

/* ---- A case ---- */

void golden_case_open(struct golden_case *c, const char *family, const char *name)
{
    struct named_tensors tensors;
    struct safetensors st;
    char *path;

    snprintf(c->dir, sizeof(c->dir), GOLDEN_DIR "/%s/%s", family, name);
    must(model_open(&c->model, &(struct model_options){ .name = c->dir }));
    path = path_join(c->dir, "inputs.safetensors");
    must(safetensors_open(&st, path));
    named_tensors_init(&tensors, &st);
    must(forward_inputs_read(&c->in, &tensors, &c->model.config, false));
    named_tensors_release(&tensors);
    safetensors_close(&st);
    mem_free(path);
}

void golden_case_close(struct golden_case *c)
{
    forward_inputs_release(&c->in);
    model_close(&c->model);
}

float *golden_case_expected(const struct golden_case *c, const char *name, int64_t *count)
{
    char *path = path_join(c->dir, "expected.safetensors");
    struct safetensors st;
    const struct safetensors_tensor *t;
    float *values = NULL;

    must(safetensors_open(&st, path));
    mem_free(path);
    t = safetensors_find(&st, name);
    if (t) {
        *count = (int64_t)t->count;
        values = mem_alloc_array(t->count + 1, sizeof(float));
        must(safetensors_read_float(&st, t, values));
    }
    safetensors_close(&st);
    return values;
}

double relative_difference(const float *a, const float *b, int64_t count)
{
    double sum = 0, norm = 0;

    for (int64_t i = 0; i < count; i++) {
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(sum / (norm > 0 ? norm : 1));
}

/* ---- A run of it ---- */

static int64_t share(const struct golden_run *r) /* samples of a dp rank; the last ones may have fewer */
{
    int dp = mesh_size(&r->how.mesh, AXIS_DP);

    return (r->c->in.samples + dp - 1) / dp;
}

static int64_t microbatch(const struct golden_run *r) /* samples of one */
{
    int count = r->how.pipeline.microbatches;

    return (share(r) + (count > 1 ? count - 1 : 0)) / (count > 1 ? count : 1);
}

static void find_output(struct golden_run *r, int i, const char *name, const struct tensor *from)
{
    struct golden_output *o = &r->outputs[i];

    if (!from)
        return;
    *o = (struct golden_output){ .name = name };
    o->sample = from->dims[1].size * (from->dims[0].count == COUNT_ROWS ? r->c->in.rows : 1);
    o->data = mem_alloc_array((size_t)(r->c->in.samples * o->sample) + 1, sizeof(float));
}

static void find_outputs(struct golden_run *r)
{
    find_output(r, 0, "logits", r->plan->anywhere.logits);
    if (!r->plan->anywhere.logits)
        find_output(r, 0, "hidden_states", r->plan->anywhere.hidden);
    find_output(r, 1, "pooler_output", r->plan->anywhere.pooled);
}

void golden_run_compile(struct golden_run *r, const struct golden_case *c, const struct compile_options *how)
{
    struct compile_options *o = &r->how;
    struct machine machine;

    *r = (struct golden_run){ .c = c, .how = *how };
    o->problem = c->in.problem;
    o->cluster = case_fast_links;
    o->optimizer =
        (struct optimizer_options){ .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-3, .weight_decay = 0.1 };
    o->sequences = microbatch(r);
    o->rows = o->labels = o->sequences * c->in.rows;
    o->encoder_rows = c->in.decoder_ids ? o->sequences * c->in.length : 0;
    must(machine_detect(&machine));
    for (int s = 0; s < mesh_size(&o->mesh, AXIS_PP); s++) {
        o->stage_rank = s;
        must(plan_compile(&c->model.config, o, &machine, &r->plans[s]));
        r->plan = r->plans[s];
    }
    if (o->task != TASK_TRAIN)
        find_outputs(r);
}

struct worker { /* one rank */
    struct golden_run *r;
    const struct plan *plan;
    struct executor *e;
    struct batch batch;
    int rank, counted; /* microbatches whose labels are */
    int64_t first;     /* sample of the batch */
};

static const struct tensor *output_of(const struct plan *p, int i)
{
    return i == 1 ? p->pooled : p->anywhere.logits ? p->logits : p->hidden;
}

static int keep_results(void *context, int number, int chunk)
{
    const struct worker *w = context;
    struct golden_run *r = w->r;
    bool one = mesh_coordinate(&r->how.mesh, w->rank, AXIS_TP) == 0;

    for (int i = 0; i < RUN_OUTPUTS && r->outputs[i].name && one && w->batch.sequences > 0; i++) {
        const struct golden_output *o = &r->outputs[i];
        if (output_of(w->plan, i))
            memcpy(o->data + w->first * o->sample, executor_view(w->e, output_of(w->plan, i)).data,
                   (size_t)(w->batch.sequences * o->sample) * sizeof(float));
    }
    if (w->plan->loss && chunk + 1 >= w->plan->chunks) {
        struct view v = executor_view(w->e, w->plan->loss);
        r->loss[w->rank] += v.dtype == DT_F64 ? *(const double *)v.data : *(const float *)v.data;
    }
    return OK;
}

static int take_step(struct worker *w)
{
    double *settings = executor_input(w->e, "settings");

    *(double *)executor_input(w->e, "label_count") = (double)w->r->label_count[w->rank];
    settings[SETTING_LEARNING_RATE] = RUN_LEARNING_RATE;
    settings[SETTING_STEP] = 1;
    settings[SETTING_MAX_NORM] = 1;
    TRY(executor_run(w->e, PROGRAM_UPDATE, &(struct run_options){ .seed = 7 }));
    if (w->rank == 0)
        w->r->norm = ((const double *)executor_view(w->e, w->plan->control).data)[CONTROL_GRAD_NORM];
    return OK;
}

static void load(struct worker *w, int number)
{
    struct golden_run *r = w->r;
    const struct forward_inputs *in = &r->c->in;
    int64_t own = mesh_coordinate(&r->how.mesh, w->rank, AXIS_DP) * share(r), end = own + share(r), count;
    struct batch *b = &w->batch;

    end = end < in->samples ? end : in->samples;
    w->first = own + number * microbatch(r);
    count = end - w->first;
    count = count < 0 ? 0 : count < microbatch(r) ? count : microbatch(r);
    forward_inputs_batch(in, w->first, count, &r->c->model.config, b);
    for (int64_t i = 0; in->class_rows && r->how.task == TASK_TRAIN && i < b->label_count; i++)
        b->label_rows[i] = b->sequence_rows[b->label_rows[i]]; /* of rows, where no logits are asked for */
    if (number < w->counted)
        return;
    r->label_count[w->rank] += b->label_count;
    w->counted = number + 1;
}

static int feed(void *context, int number, struct run_counts *counts)
{
    struct worker *w = context;

    load(w, number);
    *counts = executor_copy_batch(w->e, &w->batch);
    return OK;
}

static int run_samples(struct worker *w)
{
    const struct forward_inputs *in = &w->r->c->in;
    const struct run_options o = { .seed = 7, .first_microbatch = true, .last_microbatch = true };
    int status;

    batch_init(&w->batch,
               &(struct batch_capacity){ .rows = microbatch(w->r) * in->rows,
                                         .encoder_rows = in->decoder_ids ? microbatch(w->r) * in->length : 0,
                                         .sequences = microbatch(w->r),
                                         .target_width = in->target_width });
    if (w->plan->chunks > 0) {
        status = executor_run_pipeline(w->e, &(struct microbatches){ feed, keep_results, w }, &o);
    } else {
        load(w, 0);
        executor_set_batch(w->e, &w->batch);
        status = executor_run(w->e, PROGRAM_MICROBATCH, &o);
        if (status == OK)
            status = keep_results(w, 0, 0);
    }
    batch_release(&w->batch);
    return status;
}

static int run_rank(void *context, int rank, struct comm *comm)
{
    struct golden_run *r = context;
    struct worker w = { .r = r, .rank = rank };
    int status;

    w.plan = r->plans[mesh_coordinate(&r->how.mesh, rank, AXIS_PP)];
    r->stores[rank] = store_create();
    TRY(executor_create(w.plan, r->stores[rank], comm, rank, &w.e));
    status = model_fill_store(&r->c->model, r->stores[rank]);
    if (status == OK)
        status = run_samples(&w);
    if (status == OK && r->how.task == TASK_TRAIN)
        status = take_step(&w);
    executor_free(w.e);
    return status;
}

void golden_run_go(struct golden_run *r)
{
    must(comm_local_run(&r->how.mesh, 1, run_rank, r));
}

void golden_run_release(struct golden_run *r)
{
    for (int i = 0; i < RUN_OUTPUTS; i++)
        mem_free(r->outputs[i].data);
    for (int k = 0; k < RUN_MOST_RANKS; k++) {
        store_free(r->stores[k]);
        plan_free(r->plans[k]);
    }
}

void golden_run_where(const struct golden_run *r, char out[600])
{
    snprintf(out, 600, "%s%s, dp %d, tp %d, pp %d, %s of %d", r->c->dir,
             r->how.dtype == DT_BF16 ? ", bfloat16" : "", mesh_size(&r->how.mesh, AXIS_DP),
             mesh_size(&r->how.mesh, AXIS_TP), mesh_size(&r->how.mesh, AXIS_PP),
             schedule_name(r->how.pipeline.schedule), r->how.pipeline.microbatches);
}

/* Others hold the same. Gradients on several stages are parts of a sum. */
static bool is_copy(const struct golden_run *r, const struct tensor *t, int rank)
{
    for (int k = rank; t->kind == TENSOR_PARAM && k >= 0; k--)
        if (mesh_coordinate(&r->how.mesh, k, AXIS_PP) < mesh_coordinate(&r->how.mesh, rank, AXIS_PP) &&
            store_find(r->stores[k], t->name))
            return true;
    for (int a = 0; a < PLACEMENT_AXES; a++)
        if (t->layout.on[a].kind == REPLICATE && mesh_coordinate(&r->how.mesh, rank, (enum axis)a) != 0)
            return true;
    return false;
}

double golden_run_loss(const struct golden_run *r)
{
    double sum = 0;

    for (int k = 0; k < mesh_ranks(&r->how.mesh); k++)
        if (!is_copy(r, r->plan->loss, k))
            sum += r->loss[k];
    return sum / (double)r->c->in.label_count;
}

float *golden_run_whole(const struct golden_run *r, const char *name, int64_t *count)
{
    bool grad = strncmp(name, "grad.", 5) == 0;
    const struct tensor *t =
        graph_find(plan_whole(r->plan), grad ? name + 5 : name, grad ? TENSOR_GRAD : TENSOR_PARAM);
    float *sum = NULL, *part;

    for (int k = 0; t && k < mesh_ranks(&r->how.mesh); k++) {
        const struct stored *s = store_find(r->stores[k], name);
        if (!s || is_copy(r, t, k))
            continue;
        *count = 1;
        for (int d = 0; d < s->ndim; d++)
            *count *= s->dims[d];
        sum = sum ? sum : mem_alloc_array((size_t)*count + 1, sizeof(float));
        part = mem_alloc_array((size_t)*count + 1, sizeof(float));
        stored_to_whole(s, part);
        for (int64_t i = 0; i < *count; i++)
            sum[i] += part[i];
        mem_free(part);
    }
    return sum;
}
