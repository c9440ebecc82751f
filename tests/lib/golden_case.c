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

static void find_output(struct golden_run *r, int i, const char *name, const struct tensor *from)
{
    struct golden_output *o = &r->outputs[i];

    if (!from)
        return;
    *o = (struct golden_output){ .name = name, .from = from };
    o->sample = from->dims[1].size * (from->dims[0].count == COUNT_ROWS ? r->c->in.rows : 1);
    o->data = mem_alloc_array((size_t)(r->c->in.samples * o->sample) + 1, sizeof(float));
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
    o->sequences = share(r);
    o->rows = o->labels = o->sequences * c->in.rows;
    o->encoder_rows = c->in.decoder_ids ? o->sequences * c->in.length : 0;
    must(machine_detect(&machine));
    must(plan_compile(&c->model.config, o, &machine, &r->plan));
    if (o->task == TASK_TRAIN)
        return;
    find_output(r, 0, "logits", r->plan->logits);
    if (!r->plan->logits)
        find_output(r, 0, "hidden_states", r->plan->hidden);
    find_output(r, 1, "pooler_output", r->plan->pooled);
}

static void keep_results(struct golden_run *r, const struct executor *e, int rank, int64_t first,
                         int64_t count)
{
    bool one = mesh_coordinate(&r->how.mesh, rank, AXIS_TP) == 0;

    for (struct golden_output *o = r->outputs; o->name && one && count > 0; o++)
        memcpy(o->data + first * o->sample, executor_view(e, o->from).data,
               (size_t)(count * o->sample) * sizeof(float));
    if (r->plan->loss) {
        struct view v = executor_view(e, r->plan->loss);
        r->loss[rank] = v.dtype == DT_F64 ? *(const double *)v.data : *(const float *)v.data;
    }
}

static int take_step(struct golden_run *r, struct executor *e, int rank)
{
    double *settings = executor_input(e, "settings");

    *(double *)executor_input(e, "label_count") = (double)r->label_count[rank];
    settings[SETTING_LEARNING_RATE] = RUN_LEARNING_RATE;
    settings[SETTING_STEP] = 1;
    settings[SETTING_MAX_NORM] = 1;
    TRY(executor_run(e, PROGRAM_UPDATE, &(struct run_options){ .seed = 7 }));
    if (rank == 0)
        r->norm = ((const double *)executor_view(e, r->plan->control).data)[CONTROL_GRAD_NORM];
    return OK;
}

static int run_samples(struct golden_run *r, struct executor *e, int rank)
{
    const struct forward_inputs *in = &r->c->in;
    int64_t first = mesh_coordinate(&r->how.mesh, rank, AXIS_DP) * share(r), count = in->samples - first;
    struct batch b;
    int status;

    count = count < 0 ? 0 : count < share(r) ? count : share(r);
    batch_init(&b, &(struct batch_capacity){ .rows = share(r) * in->rows,
                                             .encoder_rows = in->decoder_ids ? share(r) * in->length : 0,
                                             .sequences = share(r),
                                             .target_width = in->target_width });
    forward_inputs_batch(in, first, count, &r->c->model.config, &b);
    for (int64_t i = 0; in->class_rows && r->how.task == TASK_TRAIN && i < b.label_count; i++)
        b.label_rows[i] = b.sequence_rows[b.label_rows[i]]; /* of rows, where no logits are asked for */
    executor_set_batch(e, &b);
    r->label_count[rank] = b.label_count;
    status =
        executor_run(e, PROGRAM_MICROBATCH, &(struct run_options){ .seed = 7, .first_microbatch = true });
    if (status == OK)
        keep_results(r, e, rank, first, count);
    batch_release(&b);
    return status;
}

static int run_rank(void *context, int rank, struct comm *comm)
{
    struct golden_run *r = context;
    struct executor *e;
    int status;

    r->stores[rank] = store_create();
    TRY(executor_create(r->plan, r->stores[rank], comm, rank, &e));
    status = model_fill_store(&r->c->model, r->stores[rank]);
    if (status == OK)
        status = run_samples(r, e, rank);
    if (status == OK && r->how.task == TASK_TRAIN)
        status = take_step(r, e, rank);
    executor_free(e);
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
    for (int k = 0; k < RUN_MOST_RANKS; k++)
        store_free(r->stores[k]);
    plan_free(r->plan);
}

void golden_run_where(const struct golden_run *r, char out[600])
{
    snprintf(out, 600, "%s%s, dp %d, tp %d", r->c->dir, r->how.dtype == DT_BF16 ? ", bfloat16" : "",
             mesh_size(&r->how.mesh, AXIS_DP), mesh_size(&r->how.mesh, AXIS_TP));
}

/* Others hold the same. */
static bool is_copy(const struct golden_run *r, const struct tensor *t, int rank)
{
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
    const struct stored *s = store_find(r->stores[0], name);
    bool grad = strncmp(name, "grad.", 5) == 0;
    const struct tensor *t =
        graph_find(r->plan->graph, grad ? name + 5 : name, grad ? TENSOR_GRAD : TENSOR_PARAM);
    float *sum, *part;

    if (!s || !t)
        return NULL;
    *count = 1;
    for (int d = 0; d < s->ndim; d++)
        *count *= s->dims[d];
    sum = mem_alloc_array((size_t)*count + 1, sizeof(float));
    for (int k = 0; k < mesh_ranks(&r->how.mesh); k++) {
        if (is_copy(r, t, k))
            continue;
        part = mem_alloc_array((size_t)*count + 1, sizeof(float));
        stored_to_whole(store_find(r->stores[k], name), part);
        for (int64_t i = 0; i < *count; i++)
            sum[i] += part[i];
        mem_free(part);
    }
    return sum;
}
