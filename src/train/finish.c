#include "train/finish.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/checkpoint.h"
#include "ckpt/merge.h"
#include "ckpt/weights.h"
#include "train/results.h"
#include "train/snapshot.h"

enum { MOST_FAILED = 3 };

/* ---- checkpoints ---- */

static int prune(struct run *r)
{
    if (r->o->save_total_limit < 1)
        return OK;
    return checkpoint_prune(r->o->output_dir, r->o->save_total_limit, r->state.best_model_checkpoint, NULL);
}

static int save(struct run *r, struct gather *g)
{
    double start = clock_seconds();

    TRY(snapshot_save(r, g));
    r->saved = r->state.global_step;
    r->save_seconds = clock_seconds() - start;
    if (r->job->stop)
        stop_set_reserve(r->job->stop, r->save_seconds * 1.5 + report_step_seconds(&r->report));
    return prune(r);
}

static int save_or_warn(struct worker *w, struct gather *g, bool must)
{
    struct run *r = w->run;
    int status = save(r, g);

    if (status == OK) {
        r->failed_saves = 0;
        return OK;
    }
    if (must || status == ERR_DATA || (w->comm && w->comm->echo) || ++r->failed_saves >= MOST_FAILED)
        return status; /* an echo: a rank is lost, and the run with it */
    warn("%s; training goes on without this checkpoint", error_message());
    error_clear();
    return OK;
}

/* The last checkpoint cannot be saved: a full disk may still have room for the model alone. */
static int rescue_model(struct run *r, struct gather *g, int status)
{
    char *cause = mem_strdup(error_message());

    error_clear();
    if (snapshot_save_model(r, g) == OK) {
        status = fail(status, "%s; the trained model alone is in %s", cause, r->o->output_dir);
        error_hint("a run cannot go on from it; --save_only_model and --save_total_limit take less room");
    } else {
        status = fail(status, "%s", cause);
    }
    mem_free(cause);
    return status;
}

/* Until every rank has updated its share, and none has a value that must not be saved. */
static int settle(const struct worker *w)
{
    comm_enter(w->comm, PHASE_SAVE);
    TRY(snapshot_check(w));
    return agree_wait(w);
}

struct saving {
    struct worker *worker;
    bool must;
};

static int save_once(void *context, struct gather *g)
{
    const struct saving *s = context;
    const struct run *r = s->worker->run;

    return r->saved == r->state.global_step ? OK : save_or_warn(s->worker, g, s->must);
}

int finish_save(struct worker *w, bool must)
{
    struct saving s = { w, must };

    TRY(settle(w));
    TRY(gather_run(w->comm, w->store, save_once, &s));
    comm_enter(w->comm, PHASE_TRAIN);
    return OK;
}

/* ---- evaluations ---- */

static bool take_best(struct run *r, const struct evaluation *e)
{
    bool accuracy = train_wants_accuracy(r->o);
    double metric = accuracy ? e->accuracy : e->loss;
    struct trainer_state *t = &r->state;
    struct str path;

    if (!isfinite(metric) ||
        !(isnan(t->best_metric) || (accuracy ? metric > t->best_metric : metric < t->best_metric)))
        return false;
    t->best_metric = metric;
    t->best_global_step = t->global_step;
    str_init(&path);
    str_appendf(&path, "%s/checkpoint-%" PRId64, r->o->output_dir, t->global_step);
    mem_free(t->best_model_checkpoint);
    t->best_model_checkpoint = str_detach(&path);
    return true;
}

bool finish_evaluation(struct run *r, const struct evaluation *e, bool saving)
{
    bool by_best = r->o->save_strategy == STRATEGY_BEST;

    r->evaluation = *e;
    r->evaluated = r->state.global_step;
    report_evaluation(&r->report, r);
    if (!by_best && !(r->o->load_best_model_at_end && saving))
        return false;
    return take_best(r, e);
}

/* ---- the end ---- */

int finish_stopped(struct worker *w, const char *reason)
{
    struct run *r = w->run;
    int64_t step;

    TRY(finish_save(w, true));
    if (!w->first)
        return OK; /* the first rank's status is that of all */
    step = r->state.global_step;
    report_end(&r->report);
    fail(ERR_STOPPED, "stopped at step %" PRId64 " of %" PRId64 " (%s), with %s/checkpoint-%" PRId64, step,
         r->total_steps, reason, r->o->output_dir, step);
    error_hint("the same command with --resume_from_checkpoint auto goes on from there");
    return ERR_STOPPED;
}

static int publish(struct run *r)
{
    const char *best = r->o->load_best_model_at_end ? r->state.best_model_checkpoint : NULL;
    const struct merge_options whole = { .max_shard_bytes = r->job->max_shard_bytes };
    char last[48], *path;
    int status;

    if (best && checkpoint_verify(best, CHECKPOINT_CHECKSUMS, NULL) != OK) {
        warn("%s; the final model is that of the last step", error_message());
        error_clear();
        best = NULL;
    }
    snprintf(last, sizeof(last), "checkpoint-%" PRId64, r->state.global_step);
    path = best ? mem_strdup(best) : path_join(r->o->output_dir, last);
    if (best)
        inform("The best model is that of %s (evaluation %s %.4f)", path_base(best),
               train_wants_accuracy(r->o) ? "accuracy" : "loss", r->state.best_metric);
    if (weights_in_pieces(path))
        status = merge_checkpoint(path, r->o->output_dir, &whole, NULL);
    else
        status = checkpoint_publish(path, r->o->output_dir);
    mem_free(path);
    return status;
}

static int save_last(void *context, struct gather *g)
{
    struct run *r = context;
    int status = OK;

    if (r->o->save_strategy == STRATEGY_NO)
        return snapshot_save_model(r, g);
    if (r->saved != r->state.global_step)
        status = save(r, g);
    return status == ERR_CREATE || status == ERR_IO ? rescue_model(r, g, status) : status;
}

static int evaluate_at_end(struct worker *w, bool *stopped)
{
    struct run *r = w->run;
    struct evaluation e;
    double done = w->first && r->evaluated == r->state.global_step;

    *stopped = false;
    TRY(agree_max(w, &done));
    if (r->job->eval.count == 0 || done != 0)
        return OK;
    TRY(evaluate(w, &e, stopped));
    if (w->first && !*stopped)
        finish_evaluation(r, &e,
                          r->o->save_strategy == STRATEGY_STEPS || r->o->save_strategy == STRATEGY_EPOCH);
    return OK;
}

int finish_run(struct worker *w)
{
    struct run *r = w->run;
    bool stopped;

    TRY(evaluate_at_end(w, &stopped));
    if (stopped)
        return finish_stopped(w, "asked for");
    TRY(settle(w));
    TRY(gather_run(w->comm, w->store, save_last, r));
    if (!w->first)
        return OK;
    if (r->o->save_strategy != STRATEGY_NO) {
        TRY(publish(r));
        TRY(prune(r)); /* what an earlier start was killed before it could */
    }
    TRY(results_write(r));
    report_end(&r->report);
    report_finish(&r->report, r);
    return OK;
}
