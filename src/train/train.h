/* train -- trains or evaluates a model. A job says which model, on which samples, how; where all this comes
 * from (options, files) is not its business (session.h). */
#ifndef PLAIT_TRAIN_TRAIN_H
#define PLAIT_TRAIN_TRAIN_H

#include "ckpt/hf.h"
#include "comm/world.h"
#include "data/objective.h"
#include "plan/layout.h"
#include "train/options.h"
#include "train/stop.h"

/* What must be the same when a run goes on: kept in the checkpoint's manifest. */
struct train_note {
    const char *key;   /* "train_data" */
    const char *value; /* a hash, or words */
    const char *hint;  /* what makes it differ; may be NULL */
};

struct train_progress {
    int64_t step, total_steps; /* done, of */
    double epoch, loss;        /* loss: mean since the last log line; NAN: no label token yet */
    double learning_rate, grad_norm, tokens_per_second, seconds_left; /* seconds_left below 0: unknown */
};

struct train_job {
    const struct model *model;           /* without weights: random ones, a function of options->seed */
    const struct train_options *options; /* checked; output_dir is there and locked */
    struct sample_source train, eval;    /* count 0: none */
    struct objective objective;          /* all zero: clm */
    int64_t eval_batch;                  /* samples that a dp rank evaluates at once */
    const struct world *world;           /* what ranks are; NULL: threads of this process */
    struct mesh mesh;                    /* of the ranks; sizes 0: 1 */
    const struct partition_rules *rules; /* see compile_options */
    struct pipeline_options pipeline;    /* microbatches 0: as accumulation and samples suggest */
    enum recompute recompute;
    int zero_stage;                /* see compile_options */
    struct str *plan;              /* what would run, for people; NULL: nobody asks */
    struct json_writer *plan_json; /* the same as members of an object; NULL: nobody asks */
    int verify; /* so many steps are compared with those of one rank, instead of training; 0: none */
    /* For tests of that: called on every rank's store before each step on the layout; NULL: nobody. */
    void (*disturb)(void *context, int rank, struct store *store);
    void *disturb_context;
    struct layout_wish wish;        /* how these three are found instead; world 0: they are as above */
    enum dtype dtype;               /* see compile_options */
    double memory;                  /* bytes that the ranks of this host may take; 0: not checked */
    const char *save_dtype;         /* NULL: float32 */
    uint64_t max_shard_bytes;       /* 0: as weights_save */
    const char *tokenizer_dir;      /* its files go with the model; NULL: none */
    const char *checkpoint;         /* to go on from: then model is this checkpoint's; NULL: anew */
    const struct train_note *notes; /* beside those of the job itself */
    size_t note_count;
    const struct options *given; /* for run.json; NULL: no such file */
    struct stop *stop;           /* NULL: nobody stops it */
    loss_fn *loss;               /* NULL: cross-entropy of the head */
    void *loss_context;
    int64_t target_width; /* see compile_options */
    void (*stage)(const char *name, const struct plan *p,
                  void *context); /* see compile_options; may be NULL */
    void *stage_context;
    /* After every step, on the first rank's thread; false stops with a checkpoint. May be NULL. */
    bool (*progress)(void *context, const struct train_progress *p);
    void *progress_context;
};

struct evaluation {
    enum objective_kind objective;
    bool own_loss;   /* not that of the objective */
    double loss;     /* mean over all label tokens */
    double accuracy; /* labels that were the likeliest; NAN: not counted */
    int64_t label_tokens, samples, steps;
    double seconds;
};

/* In every process of the world. ERR_STOPPED: stopped, with a checkpoint; the first rank tells. */
int train(const struct train_job *job);
/* Loss of job->eval, in the first rank's process; model weights are needed. options, checkpoint and what
 * is saved play no part. */
int train_evaluate(const struct train_job *job, struct evaluation *out);

/* NAN where the loss is not that of tokens to come. */
double evaluation_perplexity(const struct evaluation *e);
void evaluation_tell(const struct evaluation *e, struct str *out);

#endif
