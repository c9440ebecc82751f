/* golden_case -- a stored case, tests/golden/FAMILY/NAME: a model directory, inputs.safetensors, and
 * expected.safetensors as transformers gave it. It is run on a mesh of in-process ranks. */
#ifndef PLAIT_TESTS_GOLDEN_CASE_H
#define PLAIT_TESTS_GOLDEN_CASE_H

#include "api/forward_inputs.h"
#include "ckpt/hf.h"
#include "comm/comm.h"

/* Links so fast that even these small models are worth dealing out. */
extern const struct cluster case_fast_links;

void must(int status); /* the test fails with the message, unless it is OK */

struct golden_case {
    char dir[512];
    struct model model;
    struct forward_inputs in;
};
void golden_case_open(struct golden_case *c, const char *family, const char *name);
void golden_case_close(struct golden_case *c);
/* Values of a tensor of expected.safetensors; NULL: it has no such one. */
float *golden_case_expected(const struct golden_case *c, const char *name, int64_t *count);

#define RUN_LEARNING_RATE 0.01
enum { RUN_MOST_RANKS = 8, RUN_OUTPUTS = 3 };

/* What came out of all samples -- in one microbatch, or with stages in how.pipeline.microbatches of them --
 * and, in TASK_TRAIN, one step of AdamW. */
struct golden_run {
    const struct golden_case *c;
    struct compile_options how;
    struct plan *plans[RUN_MOST_RANKS]; /* [coordinate on pp] */
    const struct plan *plan;            /* the last of them */
    struct store *stores[RUN_MOST_RANKS];
    double loss[RUN_MOST_RANKS]; /* each rank's share of the sum */
    int64_t label_count[RUN_MOST_RANKS];
    double norm; /* of the gradient, TASK_TRAIN */
    struct golden_output {
        const char *name; /* in expected.safetensors; NULL: there is no more */
        int64_t sample;   /* numbers of one sample */
        float *data;      /* whole */
    } outputs[RUN_OUTPUTS];
};
/* how: task, mesh, pipeline, dtype and recompute; the capacities follow from the case. */
void golden_run_compile(struct golden_run *r, const struct golden_case *c, const struct compile_options *how);
void golden_run_go(struct golden_run *r); /* after compile */
void golden_run_release(struct golden_run *r);
/* Where it failed: case and mesh. */
void golden_run_where(const struct golden_run *r, char out[600]);
double golden_run_loss(const struct golden_run *r); /* mean over the labels */
/* Whole values of a stored tensor, put together from shares and sums. */
float *golden_run_whole(const struct golden_run *r, const char *name, int64_t *count);

/* || a - b || / || b || */
double relative_difference(const float *a, const float *b, int64_t count);

#endif
