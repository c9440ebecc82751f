/* The loss over all samples of the evaluation set, in order, without dropout. */
#include <math.h>

#include "base/clock.h"
#include "base/err.h"
#include "train/run.h"

static double loss_of(const struct worker *w)
{
    const struct view v = executor_view(w->eval, w->run->eval_plan->loss);

    return v.dtype == DT_F64 ? *(const double *)v.data : (double)*(const float *)v.data;
}

static int evaluate_step(struct worker *w, int64_t step, double sums[2])
{
    const struct run_options o = { .first_microbatch = true };

    TRY(loader_fill(&w->eval_loader, step, 0, w->dp, &w->eval_batch));
    executor_set_batch(w->eval, &w->eval_batch);
    TRY(executor_run(w->eval, PROGRAM_MICROBATCH, &o));
    sums[0] += loss_of(w);
    sums[1] += (double)w->eval_batch.label_count;
    return OK;
}

int evaluate(struct worker *w, struct evaluation *e, bool *stopped)
{
    struct run *r = w->run;
    int64_t steps = loader_steps_per_epoch(&w->eval_loader);
    double start = clock_seconds(), sums[2] = { 0, 0 }, stop = 0;

    for (int64_t step = 0; step < steps && stop == 0; step++) {
        stop = w->first && stop_reason(r->job->stop) ? 1 : 0;
        TRY(agree_max(w, &stop));
        if (stop == 0)
            TRY(evaluate_step(w, step, sums));
        if (w->first)
            report_evaluating(&r->report, step + 1, steps);
    }
    *stopped = stop != 0;
    if (*stopped)
        return OK;
    TRY(agree_sum(w, sums, 2));
    *e = (struct evaluation){ .loss = sums[1] > 0 ? sums[0] / sums[1] : NAN,
                              .label_tokens = (int64_t)sums[1],
                              .samples = r->job->eval.count,
                              .steps = steps,
                              .seconds = clock_seconds() - start };
    return OK;
}

double evaluation_perplexity(const struct evaluation *e)
{
    return exp(e->loss);
}
