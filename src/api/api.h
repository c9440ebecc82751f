/* api -- what the files behind plait.h share, and the program's commands with them: model handles, and what
 * is done with one. */
#ifndef PLAIT_API_API_H
#define PLAIT_API_API_H

#include "api/forward_inputs.h"
#include "api/generate_options.h"
#include "api/options.h"
#include "base/err.h"
#include "ckpt/gather.h"
#include "ckpt/hf.h"
#include "comm/world.h"
#include "gen/gen.h"
#include "plait.h"
#include "plan/layout.h"
#include "tok/tok.h"

/* ---- arguments.c ---- */

/* ERR_USAGE when an argument is NULL. Clears the record of errors first: each public function that can fail
 * begins with it. */
int api_begin(const char *function, const void *argument, const char *name);
int api_require(const char *function, const void *argument, const char *name); /* for further arguments */

/* A caller's struct, which begins with its size, over the defaults in `own` (own_size bytes). `first`: its
 * size in the first version that had it. ERR_USAGE for a size that no version had. */
int api_take(const char *name, const void *given, void *own, size_t own_size, size_t first);
/* The way back, and what _init functions do: sets given's size too. */
int api_give(const char *name, void *given, size_t size, const void *own, size_t own_size, size_t first);

/* A caller's options: names and values in turn, ending with NULL; or NULL. */
struct api_options {
    struct option_table *tables;
    struct options options; /* owns the strings */
};
/* Reads them into values, which parts are bound to; command: of whose --help hints speak. ERR_USAGE; then
 * nothing has to be released. */
int api_options_read(struct api_options *o, const char *command, const struct option_part *parts,
                     void *values, const char *const *given);
void api_options_release(struct api_options *o);

/* ---- model.c ---- */

struct plait_model {
    struct model model;
    struct model_options names; /* how it was opened */
    struct arena memory;        /* of these names */
    enum dtype dtype;           /* these are as in compile_options */
    enum recompute recompute;
    int zero_stage;
    const struct world *world; /* what ranks are; NULL: threads of this process */
    struct mesh mesh;
    struct layout_wish wish; /* what is open of its sizes; world 0: nothing, or not any more */
    struct pipeline_options pipeline;
    struct partition_rules *rules; /* NULL: none */
    double available;              /* bytes that may be taken */
    struct params params;          /* graph NULL: not made yet */
    /* Made when first wanted; those for each rank are there for the ranks of this process: */
    struct comm **ends;    /* [rank], of threads */
    struct store **stores; /* [rank] */
    size_t *filled;        /* [rank]: entries of the store when the weights were last read */
    struct forward *forward;
    struct generator **generators; /* [rank] */
    struct generator_capacity generator_capacity;
};

struct model_handle_options {
    struct model_options names;
    const struct compute_options *compute;
    struct parallel_options *parallel;
    const struct world *world; /* outlives the handle; NULL: ranks are threads of this process */
};
/* In every process of the world, as all that is done with a handle. As plait_model_open. The caller frees
 * with plait_model_free. */
int model_handle_open(const struct model_handle_options *o, struct plait_model **out);

int model_params(struct plait_model *m); /* makes m->params */
/* Makes the stores, if need be, and runs fn on each rank: on this thread where there is one alone. When it
 * fails, what is made when wanted may be broken: model_forget. */
int model_run(struct plait_model *m, int (*fn)(void *context, int rank, struct comm *comm), void *context);
/* fn on the first rank alone: see gather_run. */
int model_gather(struct plait_model *m, int (*fn)(void *context, struct gather *g), void *context);
/* Reads the weights into parameters that executors have added to a rank's store. */
int model_fill(struct plait_model *m, int rank);
void model_forget(struct plait_model *m);                  /* gives back all that is made when wanted */
int model_reopen(struct plait_model *m, const char *name); /* m becomes what is there */

/* ---- place.c ---- */

/* Settles the mesh, where it is open: to be called before the model first runs, with what it will run. */
int model_place(struct plait_model *m, const struct layout_work *work, const struct layout_maker *maker);

/* ---- forward.c ---- */

struct forward_result { /* numbers of each sample */
    const char *name;
    const struct tensor *from; /* of the plan, whichever stage has it; NULL: it is not there */
    int stage;                 /* that makes it */
    int ndim;
    int64_t dims[3]; /* samples first */
    int64_t sample;  /* numbers of one sample */
    size_t bytes;
    float *data;
};

enum { FORWARD_RESULTS = 2 };

struct forward {                 /* the newest */
    struct plan **plans;         /* [coordinate on pp] those of ranks of this process; else NULL */
    const struct plan *plan;     /* one of these */
    struct executor **executors; /* [rank] */
    struct forward_inputs in;
    enum task task; /* these say what the plan is for */
    enum problem problem;
    int64_t rows, encoder_rows, sequences; /* its capacity */
    int64_t chunk;                         /* samples of one dp rank in one microbatch */
    int microbatches;                      /* of a run; 1 without stages */
    /* in the first rank's process: */
    struct forward_result results[FORWARD_RESULTS];
    double count; /* what the sum of losses is divided by: labels, or what a loss says */
    float loss;   /* the mean */
};

/* wanted: PLAIT_LOGITS, PLAIT_GRADIENTS; loss NULL: that of the head. What comes out is in m->forward until
 * the next. */
int forward_run(struct plait_model *m, const struct named_tensors *inputs, int wanted,
                const struct plait_loss *loss);
void forward_free(struct plait_model *m);
/* One rank's part: forward_rank.c. context: the model. */
int forward_rank(void *context, int rank, struct comm *comm);
/* Numbers of a result that a rank keeps until all stages have done their run. */
int64_t forward_kept(const struct forward *f, const struct forward_result *r);
/* The gradient of the mean loss, whole, with room for as many numbers in part; within model_gather. */
int forward_gradient(const struct plait_model *m, struct gather *g, const char *param, float *out,
                     float *part, int64_t count);
/* A parameter that nothing reads has none. */
bool forward_has_gradient(const struct plait_model *m, const char *param);

/* ---- arrays.c ---- */

int array_take(const char *function, const struct plait_array *a, struct named_tensor *out); /* ERR_USAGE */

/* ---- generate.c ---- */

/* Makes the generators for the request, unless those there are have room: at_once prompts at the same time,
 * chunk as in generator_capacity. */
int generate_prepare(struct plait_model *m, const struct generation_request *r, int64_t at_once,
                     int64_t chunk);
int generate_run(struct plait_model *m, const struct generation_request *r, struct generation_results *out);

/* ---- fill_mask.c ---- */

/* Runs prompts together; where: for messages. */
int fill_mask_run(struct plait_model *m, const char *where, const struct prompt *prompts, int64_t count);
/* The best fillings of a token of one of them, at most top_k, with their probabilities: returns how many. */
struct top;
int64_t fill_mask_best(const struct plait_model *m, int64_t prompt, int64_t token, int64_t top_k,
                       struct top *out);

/* ---- tokenizer.c ---- */

struct plait_tokenizer {
    struct tokenizer *tokenizer;
    struct encoder *encoder; /* made when first wanted */
};

/* ---- loss.c ---- */

/* A loss_fn; context is a struct plait_loss. */
struct tensor *api_loss_build(struct builder *b, struct loss_inputs *x, void *context);

#endif
