/* api -- what the files behind plait.h share: its handles, and the checks of arguments. */
#ifndef PLAIT_API_API_H
#define PLAIT_API_API_H

#include "base/err.h"
#include "ckpt/hf.h"
#include "gen/gen.h"
#include "plait.h"
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

/* ---- model.c ---- */

/* A plan and its executor on a model's weights. */
struct api_runner {
    struct plan *plan; /* NULL: none */
    struct executor *executor;
    enum task task;
    int64_t samples, length; /* capacity */
};

struct plait_model {
    struct model model;
    uint64_t seed;        /* of random weights, when there are none in files */
    enum dtype dtype;     /* see compile_options */
    struct params params; /* graph NULL: not made yet */
    /* Made when first wanted: */
    struct store *store;
    size_t filled; /* entries of the store when the weights were last read */
    struct api_runner forward;
    struct generator *generator;
    struct generator_capacity generator_capacity;
    int64_t gradient_labels; /* of the gradients in the store; 0: there are none */
};

int model_params(struct plait_model *m);          /* makes m->params */
struct store *model_store(struct plait_model *m); /* m->store, made if need be */
/* Reads the weights into parameters that executors have added to the store. */
int model_fill(struct plait_model *m);
void model_forget(struct plait_model *m);                    /* gives back all that is made when wanted */
void model_replace(struct plait_model *m, struct model *by); /* by becomes m's */
int api_runner_create(struct plait_model *m, const struct compile_options *o, struct api_runner *out);
void api_runner_free(struct api_runner *r);

/* ---- tokenizer.c ---- */

struct plait_tokenizer {
    struct tokenizer *tokenizer;
    struct encoder *encoder; /* made when first wanted */
};

/* ---- loss.c ---- */

struct api_loss {
    plait_loss_fn *make;
    void *context;
};

/* A loss_fn; context is a struct api_loss. */
struct tensor *api_loss_build(struct builder *b, const struct model_outputs *out,
                              const struct model_inputs *in, struct tensor *label_rows, struct tensor *labels,
                              void *context);

#endif
