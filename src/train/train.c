#include "train/train.h"

#include "base/err.h"
#include "base/json.h"
#include "train/run.h"
#include "train/run_file.h"

static int train_rank(void *context, int rank, struct comm *comm)
{
    struct run *r = context;
    struct worker w;
    int status;

    TRY(worker_init(&w, r, rank, comm));
    status = loop_run(&w);
    worker_release(&w);
    return status;
}

static int open_report(struct run *r)
{
    TRY(report_open(&r->report, r));
    if (r->job->given)
        TRY(run_file_write(r));
    report_begin(&r->report, r);
    return OK;
}

static int begin(struct run *r)
{
    if (world_is_first(r->job->world))
        TRY(open_report(r));
    return world_run(r->job->world, &r->mesh, train_rank, r);
}

static int verify_and_tell(struct run *r)
{
    const struct train_job *job = r->job;

    TRY(verify_run(r));
    if (job->plan)
        str_appendf(job->plan, "verified: %d step%s as on one rank\n", job->verify,
                    job->verify > 1 ? "s" : "");
    if (job->plan_json) {
        json_write_key(job->plan_json, "verified_steps");
        json_write_int(job->plan_json, job->verify);
    }
    return OK;
}

static int do_run(struct run *r)
{
    const struct train_job *job = r->job;

    if (job->verify > 0)
        TRY(verify_check(r));
    report_header(r);
    if (job->plan)
        plan_report_print(r, job->plan);
    if (job->plan_json)
        plan_report_write(r, job->plan_json);
    if (job->verify > 0)
        return verify_and_tell(r);
    return job->options->dry_run ? OK : begin(r);
}

int train(const struct train_job *job)
{
    struct run r;
    int status;

    TRY(run_init(&r, job));
    status = do_run(&r);
    run_release(&r);
    return status;
}

static int evaluate_rank(void *context, int rank, struct comm *comm)
{
    struct run *r = context;
    struct worker w;
    struct evaluation e;
    bool stopped = false;
    const char *reason;
    int status;

    TRY(worker_init(&w, r, rank, comm));
    status = evaluate(&w, &e, &stopped);
    reason = stop_reason(r->job->stop);
    if (stopped && comm && !w.first)
        comm->echo = true; /* all know, the first tells */
    if (status == OK && stopped)
        status = fail(ERR_STOPPED, "stopped while evaluating (%s)", reason ? reason : "another rank");
    if (status == OK && w.first)
        r->evaluation = e;
    worker_release(&w);
    return status;
}

int train_evaluate(const struct train_job *job, struct evaluation *out)
{
    struct run r;
    int status;

    TRY(run_init_evaluation(&r, job));
    report_evaluation_layout(&r);
    r.report.wants_bar = world_is_first(job->world) && bar_possible() && job->eval.count > 0;
    if (r.report.wants_bar)
        bar_begin(&r.report.bar);
    status = world_run(job->world, &r.mesh, evaluate_rank, &r);
    if (status == OK)
        *out = r.evaluation;
    run_release(&r);
    return status;
}
