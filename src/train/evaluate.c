/* The loss over all samples of the evaluation set, in order, without dropout. */
#include <math.h>

#include "base/clock.h"
#include "base/err.h"
#include "train/run.h"

static double scalar_of(const struct worker *w, const struct tensor *t)
{
    const struct view v = executor_view(w->eval, t);

    return v.dtype == DT_F64 ? *(const double *)v.data : (double)*(const float *)v.data;
}

/* Labels whose logit is the largest of their row. */
static double count_hits(const struct worker *w)
{
    const struct head_scores *s = &w->eval_plan->scores;
    const float *target, *best;
    double hits = 0;

    if (!s->best)
        return 0;
    target = executor_view(w->eval, s->target).data;
    best = executor_view(w->eval, s->best).data;
    for (int64_t i = 0; i < w->eval_batch.label_count; i++)
        hits += target[i] >= best[i];
    return hits;
}

enum sum { SUM_LOSS, SUM_COUNT, SUM_LABELS, SUM_HITS, SUMS };

/* Steps that go through the stages of a pipeline one behind the other, or one alone. */
struct round {
    struct worker *w;
    int64_t first, steps; /* of the round; of the evaluation */
    double sums[SUMS];
};

static int load(struct round *r, int microbatch)
{
    struct worker *w = r->w;

    if (r->first + microbatch < r->steps)
        return loader_fill(&w->eval_loader, r->first + microbatch, 0, w->dp, &w->eval_batch);
    batch_clear(&w->eval_batch);
    return OK;
}

static int feed(void *context, int microbatch, struct run_counts *counts)
{
    struct round *r = context;

    TRY(load(r, microbatch));
    *counts = executor_copy_batch(r->w->eval, &r->w->eval_batch);
    return OK;
}

static int take(void *context, int microbatch, int chunk)
{
    struct round *r = context;
    const struct worker *w = r->w;
    const struct plan *p = w->eval_plan;
    double labels = (double)w->eval_batch.label_count;

    (void)microbatch;
    if (!p->loss || chunk < p->chunks - 1 || w->eval_batch.rows.count == 0) /* the last stage has it */
        return OK;
    r->sums[SUM_LOSS] += scalar_of(w, p->loss);
    r->sums[SUM_COUNT] += p->count ? scalar_of(w, p->count) : labels;
    r->sums[SUM_LABELS] += labels;
    r->sums[SUM_HITS] += count_hits(w);
    return OK;
}

static int run_round(struct round *r)
{
    const struct microbatches m = { feed, take, r };
    const struct run_options o = { .first_microbatch = true };
    struct worker *w = r->w;

    if (w->eval_plan->chunks > 0)
        return executor_run_pipeline(w->eval, &m, &o);
    TRY(load(r, 0));
    executor_set_batch(w->eval, &w->eval_batch);
    TRY(executor_run(w->eval, PROGRAM_MICROBATCH, &o));
    return take(r, 0, 0);
}

static int64_t round_steps(const struct worker *w)
{
    return w->eval_plan->chunks > 0 ? w->eval_plan->schedule->options.microbatches : 1;
}

int evaluate(struct worker *w, struct evaluation *e, bool *stopped)
{
    struct run *r = w->run;
    struct round round = { .w = w, .steps = loader_steps_per_epoch(&w->eval_loader) };
    int64_t steps = round.steps;
    double labels, start = clock_seconds(), *sums = round.sums, stop = 0;

    comm_enter(w->comm, PHASE_EVALUATE);
    while (round.first < steps && stop == 0) {
        stop = stop_reason(r->job->stop) ? 1 : 0;
        TRY(agree_max(w, &stop));
        if (stop == 0)
            TRY(run_round(&round));
        round.first += round_steps(w);
        if (w->first)
            report_evaluating(&r->report, round.first < steps ? round.first : steps, steps);
    }
    *stopped = stop != 0;
    if (*stopped)
        return OK;
    TRY(agree_sum(w, sums, SUMS));
    TRY(agree_sum_stages(w, sums, SUMS));
    labels = sums[SUM_LABELS];
    *e =
        (struct evaluation){ .objective = r->job->objective.kind,
                             .own_loss = r->job->loss != NULL,
                             .loss = labels > 0 ? sums[SUM_LOSS] / sums[SUM_COUNT] : NAN,
                             .accuracy = labels > 0 && !r->job->loss && objective_has_hits(&r->job->objective)
                                             ? sums[SUM_HITS] / labels
                                             : NAN,
                             .label_tokens = (int64_t)labels,
                             .samples = r->job->eval.count,
                             .steps = steps,
                             .seconds = clock_seconds() - start };
    return OK;
}

/* As Hugging Face's scripts say it: those for causal models, and the others. */
void evaluation_tell(const struct evaluation *e, struct str *out)
{
    if (e->objective == OBJECTIVE_CLM && !e->own_loss)
        str_appendf(out, "Eval Loss: %.6g | Eval Perplexity: %.6g", e->loss, evaluation_perplexity(e));
    else if (isnan(e->accuracy))
        str_appendf(out, "Loss: %.6g", e->loss);
    else
        str_appendf(out, "Loss: %.6g, Acc: %.6g", e->loss, e->accuracy);
}

double evaluation_perplexity(const struct evaluation *e)
{
    return e->own_loss || e->objective == OBJECTIVE_CLASSIFICATION ? NAN : exp(e->loss);
}
