/* plait forward -- a file of tensors in, a file of logits, loss and gradients out, as transformers' forward
 * and backward give them. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"
#include "ckpt/safetensors.h"
#include "cli/cli.h"

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

/* ---- tensors in ---- */

static int run_file(struct plait_model *m, const struct values *v)
{
    struct named_tensors inputs;
    struct safetensors st;
    int status;

    TRY(safetensors_open(&st, v->own.inputs));
    named_tensors_init(&inputs, &st);
    status = forward_run(m, &inputs, PLAIT_LOGITS | (v->own.grad ? PLAIT_GRADIENTS : 0), NULL);
    named_tensors_release(&inputs);
    safetensors_close(&st);
    return status;
}

/* ---- tensors out ---- */

struct writing {
    struct plait_model *m;
    const struct values *v;
};

static bool has_gradient(const struct writing *x, const struct param *p)
{
    return x->v->own.grad && forward_has_gradient(x->m, p->name);
}

static void declare(const struct writing *x, struct safetensors_writer *w)
{
    const struct element *f32 = element_named("F32");
    const struct plait_model *m = x->m;
    const struct forward *f = m->forward;
    struct str name;

    for (int i = 0; i < FORWARD_RESULTS; i++)
        if (f->results[i].from)
            safetensors_writer_declare(w, f->results[i].name, f32, f->results[i].ndim, f->results[i].dims);
    if (forward_inputs_have_labels(&f->in))
        safetensors_writer_declare(w, "loss", f32, 1, (const int64_t[]){ 1 });
    str_init(&name);
    for (size_t i = 0; i < m->params.count; i++) {
        const struct param *p = &m->params.list[i];
        if (!has_gradient(x, p))
            continue;
        str_clear(&name);
        str_appendf(&name, "grad.%s", p->name);
        safetensors_writer_declare(w, name.data, f32, p->info->file_ndim, p->info->file_dims);
    }
    str_release(&name);
    safetensors_writer_header(w);
}

static int write_gradient(const struct writing *x, struct gather *g, const struct param *p,
                          struct safetensors_writer *w)
{
    float *sum = mem_alloc_array((size_t)p->count + 1, sizeof(float));
    float *part = mem_alloc_array((size_t)p->count + 1, sizeof(float));
    int status = forward_gradient(x->m, g, p->name, sum, part, p->count);

    if (status == OK)
        safetensors_writer_floats(w, sum, (size_t)p->count);
    mem_free(sum);
    mem_free(part);
    return status;
}

static int write_tensors(const struct writing *x, struct gather *g, struct safetensors_writer *w)
{
    const struct plait_model *m = x->m;
    const struct forward *f = m->forward;

    safetensors_writer_metadata(w, "format", "pt");
    declare(x, w);
    for (int i = 0; i < FORWARD_RESULTS; i++)
        if (f->results[i].from)
            safetensors_writer_floats(w, f->results[i].data, f->results[i].bytes / sizeof(float));
    if (forward_inputs_have_labels(&f->in))
        safetensors_writer_floats(w, &f->loss, 1);
    for (size_t i = 0; i < m->params.count; i++)
        if (has_gradient(x, &m->params.list[i]))
            TRY(write_gradient(x, g, &m->params.list[i], w));
    return OK;
}

static int write_file(void *context, struct gather *g)
{
    const struct writing *x = context;
    struct safetensors_writer w;
    struct file_sink sink;
    int status, ended;

    TRY(model_params(x->m));
    TRY(file_sink_begin(&sink, x->v->own.output));
    safetensors_writer_init(&w, &sink.sink);
    status = write_tensors(x, g, &w);
    ended = safetensors_writer_end(&w);
    return file_sink_end(&sink, status == OK ? ended : status);
}

/* ---- the command ---- */

static int run_in(struct values *v, const struct world *w)
{
    struct model_handle_options handle = { .compute = &v->compute, .parallel = &v->parallel, .world = w };
    struct plait_model *m;
    int status;

    model_choice_options(&v->model, &handle.names);
    TRY(model_handle_open(&handle, &m));
    status = strcmp(v->own.inputs, "-") == 0 ? OK : agree_on_file(w, "inputs", v->own.inputs);
    if (status == OK)
        status = run_file(m, v);
    if (status == OK)
        status = model_gather(m, write_file, &(struct writing){ m, v });
    plait_model_free(m);
    return status;
}

static int run(void *values, struct options *o)
{
    struct values *v = values;
    struct world w;
    int status;

    (void)o;
    TRY(require_text("model_name_or_path", v->model.name));
    TRY(require_text("inputs", v->own.inputs));
    TRY(require_text("output", v->own.output));
    TRY(parallel_open(&v->parallel, &w, tell_error));
    status = strcmp(v->own.inputs, "-") == 0 ? world_share_input(&w) : OK;
    return world_close(&w, status == OK ? run_in(v, &w) : status);
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
