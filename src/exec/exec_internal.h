/* What exec.c and pipeline.c share. */
#ifndef PLAIT_EXEC_EXEC_INTERNAL_H
#define PLAIT_EXEC_EXEC_INTERNAL_H

#include "exec/exec.h"

struct slots { /* that a microbatch has in a chunk */
    int chunk, f, w;
};

struct executor {
    const struct plan *plan;
    struct store *store;
    struct comm *comm;
    int rank;
    char *arena, *inputs;
    int64_t arena_bytes, input_bytes;
    int64_t *input_at;        /* [tensor]: of an input, within a slot's inputs */
    struct view *tensors;     /* [tensor] */
    struct kernel_args *args; /* [node] */
    bool *written;            /* [tensor]: of an accumulator: in this step */
    struct arena memory;      /* views and flags of nodes */
    struct run_counts counts;
    struct slots slots; /* that addresses are bound to */
    bool profiling;
    double *seconds; /* [op] */
    int64_t *calls;
    struct pipeline *pipeline; /* NULL without stages */
};

/* Binds what lies in the slots of a chunk to these, and dims to their counts. */
void executor_bind(struct executor *e, const struct slots *slots, const struct run_counts *counts);
/* Runs nodes first..end-1. */
int executor_run_nodes(struct executor *e, int first, int end, const struct run_options *o);

int pipeline_create(struct executor *e, struct pipeline **out);
void pipeline_free(struct pipeline *p);

#endif
