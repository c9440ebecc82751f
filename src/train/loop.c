/* The loop: microbatches, update, and between steps what is due: log, evaluation, checkpoint, stop. All ranks
 * run it; the first one speaks and writes. A stop is looked for before each microbatch: a step that has begun
 * is given up, because nothing of it has touched the weights yet. */
#include <inttypes.h>
#include <math.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/parallel.h"
#include "ops/ops.h"
#include "train/finish.h"
#include "train/run.h"

enum { MOST_BAD = 10 }; /* steps in a row that may be left out */

struct loop {
    struct worker *w;
    int64_t step, skipped; /* done; of these, left out */
    int bad;               /* left out in a row */
    double stop;           /* agreed on */
    const char *reason;    /* the first rank's, for its message */
    struct lr_plateau plateau;
    double moving, waiting; /* seconds of this step in which data moved between ranks; waited for */
};

/* ---- one step ---- */

static double rate_of(const struct loop *l)
{
    return lr_at(&l->w->run->lr, l->step) * l->plateau.factor;
}

static int look_for_stop(struct loop *l)
{
    const struct run *r = l->w->run;

    l->reason = stop_reason(r->job->stop);
    if (l->w->first && !l->reason && r->report.refused)
        l->reason = "the caller";
    if (!l->reason && r->o->stop_after_steps && l->step - r->first_step >= r->o->stop_after_steps)
        l->reason = "stop_after_steps";
    l->stop = l->reason != NULL;
    return agree_max(l->w, &l->stop);
}

static void count(const struct worker *w, double counts[2])
{
    counts[0] += (double)w->batch.label_count;
    counts[1] += (double)(w->batch.rows.count + w->batch.encoder.count);
}

/* The transfers of a program, apart from those by which ranks agree. */
static void time_transfers(struct loop *l, const struct comm_times *before)
{
    l->moving += l->w->comm->times.busy - before->busy;
    l->waiting += l->w->comm->times.exposed - before->exposed;
}

static int run_program(struct loop *l, enum program program, const struct run_options *o)
{
    struct comm_times before = l->w->comm->times;

    TRY(executor_run(l->w->train, program, o));
    time_transfers(l, &before);
    return OK;
}

static int run_one_by_one(struct loop *l, double counts[2])
{
    struct worker *w = l->w;
    const struct loader_options *o = &w->loader.options;
    int64_t samples = loader_sample_count(&w->loader, l->step);
    int64_t full = ceil_div(samples, o->microbatch * o->dp);
    int64_t last = (full < o->accumulation ? full : o->accumulation) - 1;
    struct run_options run = { .seed = (uint64_t)w->run->o->seed, .step = (uint64_t)l->step };

    for (int64_t m = 0; m <= last; m++) {
        TRY(look_for_stop(l));
        if (l->stop != 0)
            return OK;
        TRY(loader_fill(&w->loader, l->step, m, w->dp, &w->batch));
        executor_set_batch(w->train, &w->batch);
        run.first_microbatch = m == 0;
        run.last_microbatch = m == last;
        TRY(run_program(l, PROGRAM_MICROBATCH, &run));
        count(w, counts);
    }
    return OK;
}

struct feed {
    struct loop *loop;
    double *counts;
    int counted; /* microbatches: each chunk asks for all of them */
};

static int feed_next(void *context, int microbatch, struct run_counts *counts)
{
    struct feed *f = context;
    struct worker *w = f->loop->w;

    TRY(loader_fill(&w->loader, f->loop->step, microbatch, w->dp, &w->batch));
    if (microbatch >= f->counted) {
        count(w, f->counts);
        f->counted = microbatch + 1;
    }
    *counts = executor_copy_batch(w->train, &w->batch);
    return OK;
}

/* Through the stages of a pipeline. They stop together, so only between steps. */
static int run_stages(struct loop *l, double counts[2])
{
    struct feed f = { .loop = l, .counts = counts };
    const struct microbatches m = { .load = feed_next, .context = &f };
    const struct run_options run = { .seed = (uint64_t)l->w->run->o->seed,
                                     .step = (uint64_t)l->step,
                                     .first_microbatch = true,
                                     .last_microbatch = true };
    struct comm_times before;

    TRY(look_for_stop(l));
    if (l->stop != 0)
        return OK;
    before = l->w->comm->times;
    TRY(executor_run_pipeline(l->w->train, &m, &run));
    time_transfers(l, &before);
    return OK;
}

static int run_microbatches(struct loop *l, double counts[2])
{
    counts[0] = counts[1] = 0;
    return l->w->plan->chunks > 0 ? run_stages(l, counts) : run_one_by_one(l, counts);
}

static int update(struct loop *l, double labels)
{
    struct worker *w = l->w;
    struct run_options run = { .seed = (uint64_t)w->run->o->seed, .step = (uint64_t)l->step };
    double *settings = executor_input(w->train, "settings"), *count = executor_input(w->train, "label_count");

    if (count) /* else a loss counts by itself */
        *count = labels;
    settings[SETTING_LEARNING_RATE] = rate_of(l);
    settings[SETTING_STEP] = (double)(l->step - l->skipped + 1);
    settings[SETTING_MAX_NORM] = w->run->o->max_grad_norm;
    return run_program(l, PROGRAM_UPDATE, &run);
}

/* Without the sign that a NaN may have. */
static double shown(double x)
{
    return isnan(x) ? NAN : x;
}

static void warn_of_bad(struct loop *l, const struct step_result *s)
{
    struct worker *w = l->w;
    struct str samples;
    int64_t count = loader_sample_count(&w->loader, l->step), epoch, index;

    str_init(&samples);
    for (int64_t i = 0; i < count && i < 4; i++) {
        loader_sample_at(&w->loader, l->step, i, &epoch, &index);
        str_appendf(&samples, "%s%" PRId64, i ? ", " : "", index);
    }
    warn("step %" PRId64 " is left out: loss %g, gradient norm %g (epoch %" PRId64 ", samples %s%s)",
         l->step + 1, shown(s->loss), shown(s->grad_norm), epoch, samples.data, count > 4 ? ", ..." : "");
    str_release(&samples);
}

/* What the update decided, the same on every rank. */
static int take_result(struct loop *l, double counts[2], double seconds)
{
    struct worker *w = l->w;
    const double *control = executor_view(w->train, w->plan->control).data;
    struct step_result s = { .learning_rate = rate_of(l),
                             .loss = control[CONTROL_LOSS],
                             .grad_norm = control[CONTROL_GRAD_NORM],
                             .applied = control[CONTROL_APPLY] != 0,
                             .seconds = seconds,
                             .moving = l->moving,
                             .waiting = l->waiting };
    bool bad;

    TRY(agree_sum(w, counts, 2));
    s.labels = (int64_t)counts[0];
    s.rows = (int64_t)counts[1];
    bad = !s.applied && s.labels > 0;
    if (bad && w->first)
        warn_of_bad(l, &s);
    l->skipped += !s.applied;
    l->bad = bad ? l->bad + 1 : 0;
    w->step = ++l->step;
    comm_step(w->comm, l->step, seconds);
    if (w->first)
        report_step(&w->run->report, w->run, &s);
    if (l->bad < MOST_BAD)
        return OK;
    fail(ERR_DATA,
         "the loss or the gradient norm was not finite in %d steps in a row, up to step %" PRId64
         " (loss %g, gradient norm %g)",
         MOST_BAD, l->step, s.loss, s.grad_norm);
    error_hint("a lower learning_rate may help; checkpoints hold only what is finite");
    return ERR_DATA;
}

static int run_step(struct loop *l)
{
    double start = clock_seconds(), counts[2], labels;

    l->moving = l->waiting = 0;
    TRY(run_microbatches(l, counts));
    if (l->stop != 0)
        return OK;
    labels = counts[0];
    TRY(update(l, labels));
    return take_result(l, counts, clock_seconds() - start);
}

int loop_step(struct worker *w)
{
    struct loop l = { .w = w, .step = w->step, .plateau = w->run->plateau };
    double counts[2];

    TRY(run_microbatches(&l, counts));
    TRY(update(&l, counts[0]));
    w->step++;
    return OK;
}

/* ---- between steps ---- */

static bool is_due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

static bool log_is_due(const struct run *r, int64_t step)
{
    if (r->o->logging_first_step && step == 1)
        return true;
    return is_due(r->log_every, step) || (r->log_every > 0 && step == r->total_steps);
}

static bool eval_is_due(const struct run *r, int64_t step)
{
    double passed =
        r->o->eval_strategy == STRATEGY_EPOCH ? (double)step / (double)r->steps_per_epoch : (double)step;

    return is_due(r->eval_every, step) && passed >= r->o->eval_delay;
}

/* Every rank for itself: all have the same evaluation. The first one's is saved. */
static void take_plateau(struct loop *l, const struct evaluation *e)
{
    struct run *r = l->w->run;
    struct trainer_state *t = &r->state;
    bool accuracy = train_wants_accuracy(r->o);

    lr_plateau_take(&r->lr, &l->plateau, accuracy ? e->accuracy : e->loss, accuracy);
    if (!l->w->first)
        return;
    t->lr_factor = l->plateau.factor;
    t->lr_best = l->plateau.best;
    t->lr_bad = l->plateau.bad;
    t->lr_cooldown = l->plateau.cooldown;
}

static int evaluate_now(struct loop *l, bool saving)
{
    struct worker *w = l->w;
    struct evaluation e;
    bool stopped, best = false;
    double save = 0;

    TRY(evaluate(w, &e, &stopped));
    comm_enter(w->comm, PHASE_TRAIN);
    if (stopped)
        return look_for_stop(l);
    take_plateau(l, &e);
    if (w->first) {
        best = finish_evaluation(w->run, &e, saving);
        save = best && w->run->o->save_strategy == STRATEGY_BEST;
    }
    TRY(agree_max(w, &save));
    return save != 0 ? finish_save(w, false) : OK;
}

static int do_what_is_due(struct loop *l)
{
    struct run *r = l->w->run;
    bool saving = is_due(r->save_every, l->step);

    if (l->w->first && log_is_due(r, l->step))
        report_log(&r->report, r);
    if (eval_is_due(r, l->step))
        TRY(evaluate_now(l, saving));
    if (l->stop != 0 || !saving)
        return OK;
    return finish_save(l->w, false);
}

/* An evaluation before the first step: wanted, or not done when the run was stopped at this place, which only
 * the first rank's log tells. */
static int begin(struct loop *l)
{
    struct run *r = l->w->run;
    double due = 0;

    if (l->w->first && l->step == 0)
        due = r->o->eval_on_start && r->job->eval.count > 0;
    else if (l->w->first)
        due = eval_is_due(r, l->step) && r->report.log.evaluated < l->step;
    TRY(agree_max(l->w, &due));
    return due != 0 ? evaluate_now(l, false) : OK;
}

int loop_run(struct worker *w)
{
    struct run *r = w->run;
    struct loop l = { .w = w, .step = r->first_step, .skipped = r->first_skipped, .plateau = r->plateau };

    TRY(begin(&l));
    comm_enter(w->comm, PHASE_TRAIN);
    while (l.step < r->total_steps && l.stop == 0) {
        TRY(run_step(&l));
        if (l.stop == 0)
            TRY(do_what_is_due(&l));
    }
    if (l.stop != 0)
        return finish_stopped(w, l.reason ? l.reason : "another rank");
    return finish_run(w);
}
