/* The header of a run: what is trained, on what, how much of it, at what cost. */
#include <inttypes.h>

#include "base/file.h"
#include "base/log.h"
#include "train/run.h"

static void line(const char *name, struct str *value)
{
    inform("  %s = %s", name, value->data);
    str_clear(value);
}

static void append_bytes(struct str *s, const char *before, int64_t bytes)
{
    str_append(s, before);
    str_append_bytes_human(s, (double)bytes);
}

static void tell_model(const struct run *r, struct str *s)
{
    const struct model *m = r->job->model;

    str_appendf(s, "%s, ", m->config.architecture);
    str_append_count(s, r->freeze.frozen + r->freeze.trained);
    str_append(s, " parameters");
    if (r->freeze.frozen > 0) {
        str_append(s, ", ");
        str_append_count(s, r->freeze.frozen);
        str_append(s, " of them frozen");
    }
    if (r->first_step > 0)
        str_appendf(s, ", from %s", r->job->checkpoint);
    else if (m->has_weights)
        str_appendf(s, ", weights of %s", m->weights.path);
    else
        str_appendf(s, ", random weights (%s, seed %" PRId64 ")", m->config.name, r->o->seed);
    line("Model", s);
}

static void tell_data(const struct run *r, struct str *s)
{
    str_append_count(s, r->job->train.count);
    str_append(s, " (of up to ");
    str_append_count(s, sample_longest(&r->job->train));
    str_append(s, " tokens");
    if (r->job->train.tokens > 0) {
        str_append(s, ", ");
        str_append_count(s, r->job->train.tokens);
        str_append(s, " in all");
    }
    str_append(s, ")");
    line("Num examples", s);
    if (r->job->eval.count > 0) {
        str_append_count(s, r->job->eval.count);
        line("Num evaluation examples", s);
    }
    str_appendf(s, "%.4g", (double)r->total_steps / (double)r->steps_per_epoch);
    line("Num Epochs", s);
}

static void tell_steps(const struct run *r, struct str *s)
{
    str_append_count(s, r->batches.microbatch);
    line("Instantaneous batch size per device", s);
    str_append_count(s, r->state.global_batch_size);
    line("Total train batch size (w. parallel & distributed)", s);
    str_append_count(s, r->batches.accumulation);
    line("Gradient Accumulation steps", s);
    str_append_count(s, r->total_steps);
    line("Total optimization steps", s);
    if (r->first_step > 0) {
        str_append_count(s, r->first_step);
        str_appendf(s, " (epoch %.4g)", r->state.epoch);
        line("Continuing after step", s);
    }
}

/* Of evaluation, beside what training takes. */
static int64_t eval_bytes(const struct run *r)
{
    return r->eval_plan ? r->eval_plan->program[PROGRAM_MICROBATCH].arena_bytes + r->eval_plan->input_bytes
                        : 0;
}

static int64_t arena_bytes(const struct run *r)
{
    return plan_bytes(r->plan) - r->plan->param_bytes - r->plan->state_bytes - r->plan->grad_bytes +
           eval_bytes(r);
}

/* Ends the line of the layout. */
static void tell_place(const struct run *r, const struct plan *p, struct str *s)
{
    str_appendf(s, ", %d thread%s%s, %s", r->machine.threads, r->machine.threads > 1 ? "s" : "",
                mesh_ranks(&r->mesh) > 1 ? " each" : "", isa_name(r->machine.isa));
    if (r->job->dtype == DT_BF16)
        str_append(s, ", bfloat16");
    line("Layout", s);
    placements_print(plan_whole(p), &r->mesh, s);
    if (s->length)
        line("Tensor parallel", s);
}

static void tell_layout(const struct run *r, struct str *s)
{
    const struct plan *p = r->plan;
    int ranks = mesh_ranks(&r->mesh);

    layout_print_ranks(&r->mesh, s);
    if (r->mesh.size[AXIS_PP] > 1)
        str_appendf(s, ", %s with %d microbatch%s", schedule_name(p->schedule->options.kind),
                    p->schedule->options.microbatches, p->schedule->options.microbatches > 1 ? "es" : "");
    if (r->layout.zero > 0 && r->mesh.size[AXIS_DP] > 1)
        str_appendf(s, ", ZeRO %d", r->layout.zero);
    layout_print_recompute(&r->layout, s);
    tell_place(r, p, s);
    append_bytes(s, "", plan_bytes(p) + eval_bytes(r));
    append_bytes(s, ": parameters ", p->param_bytes);
    append_bytes(s, ", optimizer ", p->state_bytes);
    append_bytes(s, ", gradients ", p->grad_bytes);
    append_bytes(s, ", activations ", arena_bytes(r));
    line(ranks > 1 ? "Memory of each rank" : "Memory", s);
    if (r->predicted.seconds > 0) {
        str_appendf(s, "%.3g s %s (transfers %.0f %%, bubble %.0f %%)", r->predicted.seconds,
                    r->ordinary ? "on an ordinary host" : "predicted",
                    100 * r->predicted.exchange / r->predicted.seconds,
                    100 * r->predicted.bubble / r->predicted.seconds);
        line("A step takes", s);
    }
    append_bytes(s, "", (int64_t)r->checkpoint_bytes);
    line("A checkpoint takes", s);
}

void report_header(const struct run *r)
{
    struct str s;

    str_init(&s);
    inform("***** Running training *****");
    tell_model(r, &s);
    tell_data(r, &s);
    tell_steps(r, &s);
    tell_layout(r, &s);
    str_release(&s);
}

void report_evaluation_layout(const struct run *r)
{
    const struct plan *p = r->eval_plan;
    struct str s;

    if (!p)
        return;
    str_init(&s);
    layout_print_ranks(&r->mesh, &s);
    tell_place(r, p, &s);
    append_bytes(&s, "", plan_bytes(p));
    append_bytes(&s, ": parameters ", p->param_bytes);
    line(mesh_ranks(&r->mesh) > 1 ? "Memory of each rank" : "Memory", &s);
    str_release(&s);
}
