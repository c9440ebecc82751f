/* run -- what the parts of a training run share. Private to src/train.
 *
 * A run is settled before its ranks start (run.c), in every process alike, and constant from then on,
 * except for what belongs to the first rank: state, report. Each rank has a worker of its own (worker.c),
 * a thread or a process; ranks share nothing but what they tell each other. The loop (loop.c) is the same
 * on all of them, and what one decides alone is agreed on by a reduction. */
#ifndef PLAIT_TRAIN_RUN_H
#define PLAIT_TRAIN_RUN_H

#include "ckpt/trainer_state.h"
#include "comm/comm.h"
#include "cpu/machine.h"
#include "data/loader.h"
#include "exec/exec.h"
#include "train/freeze.h"
#include "train/lr.h"
#include "train/report.h"
#include "train/train.h"

struct run {
    const struct train_job *job;
    const struct train_options *o;
    struct mesh mesh;
    struct layout_choice layout;  /* its mesh is that one */
    struct layout_search search;  /* what was weighed; nothing: all was given */
    struct layout_choice kept;    /* of the checkpoint; microbatch 0: it has none */
    struct layout_cost predicted; /* of a step; seconds 0: nobody has weighed it */
    bool ordinary;                /* by the figures of an ordinary host, which this one need not be */
    struct machine machine;
    struct loader_options batches, eval_batches;
    struct lr_schedule lr;
    struct lr_plateau plateau; /* as the run begins */
    int64_t total_steps, steps_per_epoch;
    int64_t log_every, eval_every, save_every; /* steps; 0: never */
    int64_t first_step, first_skipped;         /* done before this start; of these, left out */
    struct freeze freeze;
    /* Of each coordinate on pp (in a world of processes its own alone, elsewhere NULL, but that the first
     * one has all of a dry run); not wanted: NULL. */
    struct plan **plans, **eval_plans;
    const struct plan *plan, *eval_plan; /* the largest of these; NULL: not wanted */
    double row_flops;                    /* of one token row, forward and backward */
    uint64_t checkpoint_bytes;           /* on disk, about */
    char id[20];                         /* names the run in its checkpoints */
    /* the first rank's */
    struct trainer_state state;
    struct report report;
    struct evaluation evaluation; /* the newest */
    int64_t evaluated;            /* at this step; -1: not in this start */
    int64_t saved;                /* newest checkpoint's step; -1: none */
    int failed_saves;             /* in a row */
    double save_seconds;          /* the last save took */
};

/* The plan of one rank of a layout, which need not be that of the run. */
int run_compile(struct run *r, enum task task, const struct layout_choice *l, int stage_rank,
                struct plan **out);
int64_t run_process_bytes(const struct run *r); /* that the ranks of this process take */
/* plan_layout.c: finds what is left to plait; of an evaluation alone. */
enum { EVAL_ROUND = 4 }; /* batches for each stage that follow each other through a pipeline */
int run_plan_layout(struct run *r);
int run_plan_evaluation(struct run *r);
/* Measures what this machine does, for a run that takes longer than that: how long a step will take. What was
 * chosen stays. */
int run_predict(struct run *r);

/* plan_report.c: what would run, for people; and as members of a JSON object. */
void plan_report_print(const struct run *r, struct str *out);
struct json_writer;
void plan_report_write(const struct run *r, struct json_writer *w);

int run_init(struct run *r, const struct train_job *job);
int run_init_evaluation(struct run *r, const struct train_job *job);
void run_release(struct run *r);

struct worker { /* one rank */
    struct run *run;
    struct comm *comm;
    int rank, dp;
    const struct plan *plan, *eval_plan; /* of this rank's stages */
    bool first;                          /* of all ranks: it speaks and writes */
    int64_t step;                        /* done */
    struct store *store;
    struct executor *train, *eval; /* NULL: not wanted */
    struct loader loader, eval_loader;
    struct batch batch, eval_batch;
};

int worker_init(struct worker *w, struct run *r, int rank, struct comm *comm);
void worker_release(struct worker *w);

/* ---- agreement of ranks ---- */
int agree_sum(const struct worker *w, double *values, int count);        /* over dp */
int agree_sum_stages(const struct worker *w, double *values, int count); /* over pp */
int agree_max(const struct worker *w, double *value);                    /* over all */
int agree_wait(const struct worker *w);

int loop_run(struct worker *w);
int loop_step(struct worker *w); /* one step alone, told to nobody */
/* verify.c: the layout of r against one rank. ERR_DATA naming the first tensor that differs. */
int verify_run(struct run *r);
int verify_check(const struct run *r); /* it can be */
/* On all ranks; *stopped: given up because a stop was asked for. */
int evaluate(struct worker *w, struct evaluation *e, bool *stopped);

#endif
