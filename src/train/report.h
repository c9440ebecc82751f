/* report -- what a run says while it goes on: lines or a bar on stderr, train_log.jsonl, event files, the
 * caller's callback. Belongs to the first rank, and adds up in the run's state what the lines tell. */
#ifndef PLAIT_TRAIN_REPORT_H
#define PLAIT_TRAIN_REPORT_H

#include "train/bar.h"
#include "train/events.h"
#include "train/train_log.h"

struct run;

struct step_result {
    double loss, grad_norm, learning_rate; /* loss: mean over the label tokens of the global batch */
    int64_t labels, rows;                  /* of the global batch */
    bool applied;                          /* the weights were changed */
    double seconds;
    double moving, waiting; /* seconds in which data moved between ranks; in which the first one waited */
};

struct report {
    struct train_log log;
    struct events events;
    struct bar bar;
    bool wants_bar;
    bool refused;                     /* the callback wants no more */
    struct step_result last;          /* the newest step */
    double start, seconds;            /* of this start; in steps since the last line */
    double moving, waiting;           /* in these: see step_result */
    double step_seconds;              /* of this start, in steps after the first */
    int64_t steps, rows, start_steps; /* since the last line; steps of this start */
    bool estimated;
    double peak; /* flops of all ranks' threads; 0: not known */
};

void report_init(struct report *p);
void report_release(struct report *p);
/* Opens log and event files, cut back to the run's first step. ERR_CREATE, ERR_IO. */
int report_open(struct report *p, struct run *r);
void report_begin(struct report *p, const struct run *r); /* the bar */
void report_end(struct report *p);                        /* no bar any more */

/* After a step: counts it in r->state; bar, callback. */
void report_step(struct report *p, struct run *r, const struct step_result *s);
void report_log(struct report *p, struct run *r);                   /* a line */
void report_evaluation(struct report *p, const struct run *r);      /* of r->evaluation */
void report_evaluating(struct report *p, int64_t done, int64_t of); /* where there is nothing else to show */
void report_finish(struct report *p, const struct run *r);          /* last words */

double report_step_seconds(const struct report *p); /* a step of this start takes */

/* ---- header.c ---- */
void report_header(const struct run *r);
void report_evaluation_layout(const struct run *r); /* of an evaluation alone */

#endif
