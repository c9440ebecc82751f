/* exec -- runs a plan: addresses are bound once, then a program is a loop over nodes. No allocation and no
 * shape inference inside a step. */
#ifndef PLAIT_EXEC_EXEC_H
#define PLAIT_EXEC_EXEC_H

#include "data/batch.h"
#include "plan/plan.h"

struct comm;

/* ---- Store: what outlives a program -- parameters, moments, accumulators, caches -- by name, one for each
 * rank. Executors of several plans of one model (training, evaluation, generation) share a store and so share
 * the weights. ---- */
struct stored {
    char *name; /* "transformer.wte.weight"; "grad.NAME" for accumulators */
    enum tensor_kind kind;
    float *data;         /* this rank's share, fp32 (F64 for sums: cast) */
    int64_t bytes, room; /* room: that it takes, with what may be behind them */
    enum dtype dtype;
    int ndim;
    int64_t dims[MAX_DIMS];  /* whole, logical */
    int64_t local[MAX_DIMS]; /* this rank's capacity */
    int64_t first[MAX_DIMS]; /* index of its first entry */
    bool has_param;
    struct param_info param; /* of a parameter, its gradient and its moments */
};

struct store;
struct store *store_create(void);
void store_free(struct store *s);
size_t store_count(const struct store *s);
struct stored *store_at(const struct store *s, size_t i);           /* in order of first use */
struct stored *store_find(const struct store *s, const char *name); /* NULL when absent */
/* Gives its memory back; no executor may use it any more. */
void store_remove(struct store *s, const char *name);

/* All but name and data of what a rank would have of a tensor. */
void stored_describe(struct stored *e, const struct tensor *t, const struct mesh *mesh, int rank);
/* Copies a stored share, without its padding, into the whole tensor as files hold it (fp32, row-major, file
 * dims = logical dims), which has room for all elements of dims. Parts of other ranks are left alone. */
void stored_to_whole(const struct stored *s, float *whole);
/* The other way: its part of the whole one. Padding stays as it is. */
void stored_from_whole(struct stored *s, const float *whole);

/* ---- Executor ---- */
struct executor;

/* Binds the plan to memory: finds or makes its parameters, states and accumulators in the store (new ones are
 * zero), takes the arena. Borrows plan, store and comm; all must outlive it. rank: position in plan->mesh.
 * ERR_SYSTEM when there is no memory, with bytes asked and available. */
int executor_create(const struct plan *plan, struct store *store, struct comm *comm, int rank,
                    struct executor **out);
void executor_free(struct executor *e);

void *executor_input(struct executor *e,
                     const char *name); /* storage of an input; NULL: the plan has no such input */
void executor_set_batch(struct executor *e, const struct batch *b);               /* copies rows and counts */
struct run_counts executor_copy_batch(struct executor *e, const struct batch *b); /* rows alone */
void executor_set_counts(struct executor *e, const struct run_counts *counts);

struct run_options {
    uint64_t seed, step;   /* for random streams */
    bool first_microbatch; /* accumulators are stored, not added to */
    bool last_microbatch;  /* of a step: reductions of what is complete may start */
};
int executor_run(struct executor *e, enum program program, const struct run_options *o);

/* The microbatches of a step (of an evaluation's round), through all stages of a pipeline. `load` puts a
 * microbatch of this rank into the executor's inputs, once for each chunk, and gives its counts (there may
 * be no rows). `done` (or NULL) is called when a chunk has computed a microbatch: what the plan keeps of
 * it there may be viewed until `done` returns. Collective over all ranks. */
struct microbatches {
    int (*load)(void *context, int microbatch, struct run_counts *counts);
    int (*done)(void *context, int microbatch, int chunk);
    void *context;
};
int executor_run_pipeline(struct executor *e, const struct microbatches *m, const struct run_options *o);

/* A value the plan keeps (plan->loss, logits, control, ...), valid until the next run. Collective when it
 * lies SHARDed or PARTIAL: loss is made whole by executor_loss. */
struct view executor_view(const struct executor *e, const struct tensor *t);

/* Time of each op by name, in seconds, since the executor was made (profiling is off by default). */
void executor_profile(struct executor *e, bool on);
void executor_print_profile(const struct executor *e, struct str *out);

#endif
