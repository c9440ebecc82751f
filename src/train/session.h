/* session -- a run from options and files: opens the output directory, the model, the tokenizer and the data,
 * and hands train.h a job. */
#ifndef PLAIT_TRAIN_SESSION_H
#define PLAIT_TRAIN_SESSION_H

#include "ckpt/hf.h"
#include "train/options.h"
#include "train/stop.h"
#include "train/train.h"

/* Samples of the caller's own. */
struct session_samples {
    struct sample_source train, eval; /* count 0: none. max_target: of a decoder beside an encoder */
    const char *name;                 /* of the data to train on, for checkpoints; NULL: not named */
    int64_t target_width;             /* numbers that go with each label, for a loss that asks; 0: none */
    struct objective objective;       /* set before the first one is read */
    bool assumed;                     /* none is ever read: as many and as long as those of a large text */
};

struct session_options {
    struct model_options model; /* name, config_name, overrides, where names are looked up */
    struct input_options *in;
    struct train_options *train; /* checked here */
    const struct world *world;   /* what ranks are; NULL: threads of this process */
    struct mesh mesh;
    struct pipeline_options pipeline;
    struct partition_rules *rules; /* NULL: none */
    enum recompute recompute;
    int zero_stage;
    struct str *plan; /* these three as in struct train_job */
    struct json_writer *plan_json;
    int verify;
    struct layout_wish wish; /* as in struct train_job */
    enum dtype dtype;
    double memory;          /* bytes that may be taken; 0: not checked */
    const char *save_dtype; /* NULL: the model's own, float32 from scratch */
    uint64_t max_shard_bytes;
    struct session_samples *samples; /* in place of files; NULL: those that `in` names */
    const struct options *given;     /* NULL: there was no command line */
    bool unrecorded;                 /* no run.json: the options alone would not give this run */
    loss_fn *loss;                   /* these four are as in struct train_job */
    void *loss_context;
    bool (*progress)(void *context, const struct train_progress *p);
    void *progress_context;
    struct stop *stop; /* may be NULL */
    void (*stage)(const char *name, const struct plan *p,
                  void *context); /* of training's plan; may be NULL */
    void *stage_context;
};

/* In every process of the world. Trains, or evaluates when that alone is wanted. ERR_STOPPED: with a
 * checkpoint, unless the sentence says otherwise. */
int session_train(const struct session_options *o);
/* plait eval: options.train is not looked at; output_dir may be NULL, else eval_results.json goes there.
 * *out: in the first process. */
int session_evaluate(const struct session_options *o, const char *output_dir, struct evaluation *out);

#endif
