/* options -- what a run is told: tables of options for `plait train` and `plait eval`, with the names and
 * defaults of Hugging Face's TrainingArguments and run_clm scripts. Which data (input_options) is shared by
 * both commands. The model, the sizes of the mesh, the device and the type of saved weights are options of
 * the program and the library (api/options.h). */
#ifndef PLAIT_TRAIN_OPTIONS_H
#define PLAIT_TRAIN_OPTIONS_H

#include "base/options.h"

/* ---- which data ---- */

struct input_options {
    const char *tokenizer_name;
    struct option_list train_file, validation_file;
    const char *dataset_name, *dataset_config_name;
    int objective; /* enum objective_kind; -1: by the model */
    double mlm_probability, mean_noise_span_length;
    const char *source_column, *target_column, *source_prefix, *label_column;
    int64_t max_target_length; /* 0: as block_size */
    bool document_mask;
    const char *text_column, *text_pair_column, *json_field;
    int64_t block_size; /* 0: not given */
    int64_t validation_split_percentage;
    int64_t max_train_samples, max_eval_samples; /* 0: all */
    int64_t on_bad_line;                         /* OPTION_WORD(BAD_LINE_...) or how many are skipped */
    bool line_by_line, append_eos, keep_linebreaks, overwrite_cache;
    int64_t per_device_eval_batch_size;
};
enum { BAD_LINE_STOP, BAD_LINE_SKIP };

extern const struct option input_sample_options[]; /* what samples are made of, and how */
extern const struct option input_data_options[];   /* where else, and what is for evaluation */
extern const struct option input_train_options[];  /* what concerns training alone */

/* ---- how it is trained ---- */

enum strategy { STRATEGY_NO, STRATEGY_STEPS, STRATEGY_EPOCH, STRATEGY_BEST, STRATEGY_AUTO = -1 };

enum sampling { SAMPLING_RANDOM, SAMPLING_SEQUENTIAL, SAMPLING_BY_LENGTH };

struct train_options {
    const char *output_dir, *resume, *max_runtime;
    bool overwrite_output_dir, do_train, do_eval, dry_run;
    int64_t stop_after_steps; /* 0: none */
    /* batches */
    int64_t per_device_batch, accumulation, global_batch; /* global_batch 0: the product */
    double epochs;
    int64_t max_steps; /* at most 0: by epochs */
    bool no_shuffle, group_by_length;
    int sampling;            /* enum sampling: both of these by another name */
    int64_t seed, data_seed; /* data_seed < 0: seed; see the function */
    const char *freeze;
    /* optimizer */
    double learning_rate, warmup_steps, warmup_ratio, weight_decay, beta1, beta2, epsilon, max_grad_norm;
    double label_smoothing_factor, z_loss;
    int lr_scheduler_type, optim;
    const char *lr_scheduler_kwargs;
    /* log, evaluation, checkpoints. An interval below 1 is a part of all steps; 0: not given */
    double logging_steps, eval_steps, save_steps, eval_delay;
    int logging_strategy, eval_strategy, save_strategy;
    bool logging_first_step, eval_on_start, disable_tqdm;
    bool save_only_model, save_sharded, load_best_model_at_end;
    int64_t save_total_limit; /* 0: all stay */
    const char *metric_for_best_model, *logging_dir, *run_name;
    struct option_list report_to;
};

/* The names of `optim`; those before OPTIM_ADAFACTOR are AdamW's. */
enum { OPTIM_ADAFACTOR = 5, OPTIM_ADAFACTOR_FLAX };
extern const char *const optim_names[];

extern const struct option train_run_options[], train_batch_options[], train_optimizer_options[],
    train_log_options[], train_save_options[];
/* Names that other programs have: accepted with a note or refused with a sentence; bound to nothing. */
extern const struct option train_other_options[], input_other_options[], train_elsewhere_options[];

/* What no table can see: values that contradict each other. given: to know defaults from wishes; NULL: all
 * that differs from zero was given. Settles what follows from other options (do_train, strategies). */
int train_options_check(struct train_options *t, const struct input_options *in, const struct options *given);

/* Notes for what was given and changes nothing beside the rest of it. */
void train_options_tell_idle(const struct train_options *t, const struct input_options *in,
                             const struct options *given);
/* One such: nothing when it was not given. */
void option_tell_idle(const struct options *given, const char *name, bool idle, const char *why);

/* --metric_for_best_model is the accuracy: higher is better. */
bool train_wants_accuracy(const struct train_options *t);

/* Seconds of "90", "30m", "1.5h", "2d", "1:30:00" or Slurm's "1-12:00:00". ERR_USAGE naming the option. */
int parse_duration(const char *option, const char *text, double *seconds);

/* The seed of the order of samples. */
static inline uint64_t data_seed(const struct train_options *o)
{
    return (uint64_t)(o->data_seed >= 0 ? o->data_seed : o->seed);
}

#endif
