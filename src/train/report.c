#include "train/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "train/flops.h"
#include "train/run.h"

/* ---- life ---- */

void report_init(struct report *p)
{
    *p = (struct report){ .log.fd = -1, .events.fd = -1 };
}

void report_release(struct report *p)
{
    report_end(p);
    train_log_close(&p->log);
    events_close(&p->events);
}

static bool wants_events(const struct train_options *o)
{
    bool wanted = false;

    for (size_t i = 0; i < o->report_to.count; i++)
        wanted = wanted || strcmp(o->report_to.items[i], "none") != 0;
    return wanted;
}

/* A run that goes on stays in the newest directory of its kind. */
static char *events_directory(const struct train_options *o, bool resumed)
{
    char *runs, *found = NULL, **names = NULL, host[64] = "", date[32];
    size_t count = 0;
    struct str path;
    struct tm now;
    time_t t = (time_t)clock_calendar();

    if (o->logging_dir)
        return mem_strdup(o->logging_dir);
    runs = path_join(o->output_dir, "runs");
    if (resumed && file_is_directory(runs) && directory_list(runs, &names, &count) == OK && count > 0)
        found = path_join(runs, names[count - 1]);
    names_free(names, count);
    error_clear();
    if (!found) {
        gethostname(host, sizeof(host) - 1);
        localtime_r(&t, &now);
        strftime(date, sizeof(date), "%b%d_%H-%M-%S", &now);
        str_init(&path);
        str_appendf(&path, "%s/%s_%s", runs, date, host);
        if (o->run_name && path_is_plain_name(o->run_name, strlen(o->run_name)))
            str_appendf(&path, "_%s", o->run_name);
        found = str_detach(&path);
    }
    mem_free(runs);
    return found;
}

int report_open(struct report *p, struct run *r)
{
    char *directory;
    int status;

    TRY(train_log_open(&p->log, r->o->output_dir, r->first_step));
    if (!wants_events(r->o))
        return OK;
    directory = events_directory(r->o, r->first_step > 0);
    status = events_open(&p->events, directory, r->first_step);
    mem_free(directory);
    return status;
}

void report_begin(struct report *p, const struct run *r)
{
    p->start = clock_seconds();
    p->peak = flops_peak(&r->machine, r->machine.threads * mesh_ranks(&r->mesh));
    p->wants_bar = !r->o->disable_tqdm && bar_possible();
    if (p->wants_bar)
        bar_begin(&p->bar);
}

void report_end(struct report *p)
{
    bar_end(&p->bar);
}

double report_step_seconds(const struct report *p)
{
    int64_t counted = p->start_steps - 1;

    return counted > 0 ? p->step_seconds / (double)counted : p->last.seconds;
}

/* ---- after a step ---- */

/* Of the step after `step`. */
static int64_t samples_of(const struct run *r, int64_t step)
{
    int64_t batch = r->state.global_batch_size,
            left = r->job->train.count - step % r->steps_per_epoch * batch;

    return left < batch ? left : batch;
}

static void count_step(struct report *p, struct run *r, const struct step_result *s)
{
    struct trainer_state *t = &r->state;

    t->samples_seen += samples_of(r, t->global_step);
    t->global_step++;
    t->epoch = (double)(t->global_step / r->steps_per_epoch) +
               (double)(t->global_step % r->steps_per_epoch) / (double)r->steps_per_epoch;
    t->num_input_tokens_seen += s->rows;
    t->label_tokens_seen += s->labels;
    t->total_flos += r->row_flops * (double)s->rows;
    t->train_seconds += s->seconds;
    t->skipped_steps += !s->applied;
    if (s->applied) {
        t->loss_sum += s->loss * (double)s->labels;
        t->loss_tokens += s->labels;
        t->train_loss_sum += s->loss * (double)s->labels;
        t->train_loss_tokens += s->labels;
    }
    p->last = *s;
    p->seconds += s->seconds;
    p->moving += s->moving;
    p->waiting += s->waiting;
    p->rows += s->rows;
    p->steps++;
    if (p->start_steps++ > 0)
        p->step_seconds += s->seconds;
}

static double mean_loss(const struct trainer_state *t)
{
    return t->loss_tokens > 0 ? t->loss_sum / (double)t->loss_tokens : NAN;
}

static double row_rate(const struct report *p)
{
    return p->seconds > 0 ? (double)p->rows / p->seconds : 0;
}

static double seconds_left(const struct report *p, const struct run *r)
{
    return p->start_steps > 1 ? (double)(r->total_steps - r->state.global_step) * report_step_seconds(p) : -1;
}

static void show_bar(struct report *p, const struct run *r)
{
    struct bar_state b = { .what = "Training",
                           .done = r->state.global_step,
                           .total = r->total_steps,
                           .seconds_left = seconds_left(p, r) };
    struct str detail;
    double loss = mean_loss(&r->state);

    str_init(&detail);
    if (!isnan(loss))
        str_appendf(&detail, "loss %.4g, ", loss);
    str_append_count(&detail, (int64_t)row_rate(p));
    str_append(&detail, " tokens/s");
    b.detail = detail.data;
    bar_update(&p->bar, &b);
    str_release(&detail);
}

static void call_back(struct report *p, const struct run *r)
{
    const struct train_progress progress = { .step = r->state.global_step,
                                             .total_steps = r->total_steps,
                                             .epoch = r->state.epoch,
                                             .loss = mean_loss(&r->state),
                                             .learning_rate = p->last.learning_rate,
                                             .grad_norm = p->last.grad_norm,
                                             .tokens_per_second = row_rate(p),
                                             .seconds_left = seconds_left(p, r) };

    if (r->job->progress && !r->job->progress(r->job->progress_context, &progress))
        p->refused = true;
}

/* Once, when a few steps have told how long one takes. */
static void estimate(struct report *p, const struct run *r)
{
    double left = seconds_left(p, r);
    struct str text;

    if (p->estimated || p->start_steps < 4 || clock_seconds() - p->start < 2)
        return;
    p->estimated = true;
    if (left < 5)
        return;
    str_init(&text);
    str_append_duration(&text, left);
    inform("  Estimated time = %s (%.3g s a step)", text.data, report_step_seconds(p));
    str_release(&text);
}

void report_step(struct report *p, struct run *r, const struct step_result *s)
{
    count_step(p, r, s);
    estimate(p, r);
    if (p->wants_bar)
        show_bar(p, r);
    call_back(p, r);
}

/* ---- lines ---- */

static void write_place(struct json_writer *w, const struct run *r)
{
    json_write_object_begin(w);
    json_write_member_int(w, "step", r->state.global_step);
    json_write_member_number(w, "epoch", r->state.epoch);
}

static double of_a_step(const struct report *p, double seconds)
{
    return p->steps > 0 ? 1e3 * seconds / (double)p->steps : NAN;
}

static void log_file(struct report *p, const struct run *r, double loss)
{
    double rate = row_rate(p);
    struct json_writer w;
    struct str line;

    str_init(&line);
    json_writer_init(&w, &line, 0);
    write_place(&w, r);
    json_write_member_number(&w, "loss", loss);
    json_write_member_number(&w, "learning_rate", p->last.learning_rate);
    json_write_member_number(&w, "grad_norm", p->last.grad_norm);
    json_write_member_number(&w, "tokens_per_second", rate);
    json_write_member_number(&w, "step_ms", of_a_step(p, p->seconds));
    if (mesh_ranks(&r->mesh) > 1) {
        json_write_member_number(&w, "communication_ms", of_a_step(p, p->moving));
        json_write_member_number(&w, "exposed_ms", of_a_step(p, p->waiting));
    }
    json_write_member_number(&w, "mfu", p->peak > 0 ? rate * r->row_flops / p->peak : NAN);
    if (r->predicted.seconds > 0)
        json_write_member_number(&w, "predicted_step_ms", r->predicted.seconds * 1e3);
    json_write_key(&w, "memory_bytes");
    json_write_uint64(&w, mem_peak_resident());
    json_write_member_int(&w, "predicted_bytes", run_process_bytes(r));
    if (r->state.skipped_steps > 0) {
        json_write_member_int(&w, "skipped_steps", r->state.skipped_steps);
    }
    json_write_object_end(&w);
    train_log_write(&p->log, &line);
    str_release(&line);
}

struct scalar { /* lists end without a tag */
    const char *tag;
    double value;
};

static void put_events(struct report *p, const struct run *r, const struct scalar *scalars)
{
    for (const struct scalar *s = scalars; s->tag; s++)
        if (isfinite(s->value))
            events_scalar(&p->events, s->tag, r->state.global_step, s->value);
    events_flush(&p->events);
}

static void log_events(struct report *p, const struct run *r, double loss)
{
    const struct scalar scalars[] = { { "train/loss", loss },
                                      { "train/learning_rate", p->last.learning_rate },
                                      { "train/grad_norm", p->last.grad_norm },
                                      { "train/epoch", r->state.epoch },
                                      { "train/tokens_per_second", row_rate(p) },
                                      { 0 } };

    put_events(p, r, scalars);
}

static void log_line(const struct report *p, const struct run *r, double loss)
{
    struct str rate;

    str_init(&rate);
    str_append_count(&rate, (int64_t)row_rate(p));
    inform("Step... (%" PRId64 " | Loss: %.6g, Learning Rate: %.6g, Grad norm: %.4g, %s tokens/s)",
           r->state.global_step, loss, p->last.learning_rate, p->last.grad_norm, rate.data);
    str_release(&rate);
}

void report_log(struct report *p, struct run *r)
{
    double loss = mean_loss(&r->state);

    log_file(p, r, loss);
    log_events(p, r, loss);
    if (!p->wants_bar)
        log_line(p, r, loss);
    r->state.loss_sum = 0;
    r->state.loss_tokens = 0;
    p->seconds = p->moving = p->waiting = 0;
    p->steps = p->rows = 0;
}

void report_evaluation(struct report *p, const struct run *r)
{
    const struct evaluation *e = &r->evaluation;
    double perplexity = evaluation_perplexity(e);
    const struct scalar scalars[] = { { "eval/loss", e->loss },
                                      { "eval/perplexity", perplexity },
                                      { "eval/accuracy", e->accuracy },
                                      { "eval/runtime", e->seconds },
                                      { "eval/samples_per_second", (double)e->samples / e->seconds },
                                      { "eval/steps_per_second", (double)e->steps / e->seconds },
                                      { 0 } };
    struct json_writer w;
    struct str line;

    str_init(&line);
    evaluation_tell(e, &line);
    inform("Step... (%" PRId64 " | %s)", r->state.global_step, line.data);
    str_release(&line);
    if (p->log.evaluated >= r->state.global_step)
        return; /* this line is there already: a run that goes on where it had just evaluated */
    str_init(&line);
    json_writer_init(&w, &line, 0);
    write_place(&w, r);
    json_write_member_number(&w, "eval_loss", e->loss);
    if (e->objective != OBJECTIVE_CLASSIFICATION)
        json_write_member_number(&w, "eval_perplexity", perplexity);
    if (!isnan(e->accuracy))
        json_write_member_number(&w, "eval_accuracy", e->accuracy);
    json_write_member_number(&w, "eval_runtime", e->seconds);
    json_write_object_end(&w);
    train_log_write(&p->log, &line);
    str_release(&line);
    put_events(p, r, scalars);
}

void report_evaluating(struct report *p, int64_t done, int64_t of)
{
    const struct bar_state b = { .what = "Evaluating", .done = done, .total = of, .seconds_left = -1 };

    if (p->wants_bar)
        bar_update(&p->bar, &b);
}

void report_finish(struct report *p, const struct run *r)
{
    const struct trainer_state *t = &r->state;
    double loss = t->train_loss_tokens > 0 ? t->train_loss_sum / (double)t->train_loss_tokens : NAN;
    const struct scalar scalars[] = {
        { "train/train_loss", loss },
        { "train/total_flos", t->total_flos },
        { "train/train_runtime", t->train_seconds },
        { "train/train_samples_per_second", (double)t->samples_seen / t->train_seconds },
        { "train/train_steps_per_second", (double)t->global_step / t->train_seconds },
        { 0 }
    };
    struct str text;

    put_events(p, r, scalars);
    str_init(&text);
    str_append_count(&text, t->global_step);
    str_append(&text, " steps, ");
    if (t->skipped_steps > 0) {
        str_append_count(&text, t->skipped_steps);
        str_append(&text, " of them left out, ");
    }
    str_append_count(&text, t->num_input_tokens_seen);
    str_append(&text, " tokens in ");
    str_append_duration(&text, t->train_seconds);
    if (!isnan(loss))
        str_appendf(&text, ", train loss %.4f", loss);
    inform("Training completed: %s. The model is in %s", text.data, r->o->output_dir);
    str_release(&text);
}
