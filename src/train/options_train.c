/* How a model is trained, evaluated on the way, logged and saved. */
#include "train/lr.h"
#include "train/options.h"

#define AT(member) offsetof(struct train_options, member)
#define NAMES(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static const char *const strategies[] = { "no", "steps", "epoch", NULL };
static const char *const samplings[] = { "random", "sequential", "group_by_length", NULL };
static const char *const save_strategies[] = { "no", "steps", "epoch", "best", NULL };
const char *const optim_names[] = { "adamw_torch",      "adamw_torch_fused", "adamw_hf",       "adamw",
                                    "adamw_apex_fused", "adafactor",         "adafactor_flax", NULL };

const struct option train_run_options[] = {
    { "output_dir", OPTION_STRING, AT(output_dir), NULL,
      "where the model, checkpoints and logs go (must be given)", .aliases = NAMES("workdir") },
    { "overwrite_output_dir", OPTION_BOOL, AT(overwrite_output_dir), "false",
      "start anew: what an old run left in output_dir is removed first", .once = true },
    { "do_train", OPTION_BOOL, AT(do_train), "false", "train; implied unless do_eval stands alone" },
    { "do_eval", OPTION_BOOL, AT(do_eval), "false", "evaluate, at the end at least" },
    { "resume_from_checkpoint", OPTION_STRING, AT(resume), NULL,
      "a checkpoint; true: the newest in output_dir; auto: the same, or anew when there is none",
      .once = true },
    { "stop_after_steps", OPTION_INT, AT(stop_after_steps), NULL,
      "checkpoint and exit with 75 after so many steps of this start", .min = 1, .max = 1e15, .once = true },
    { "max_runtime", OPTION_STRING, AT(max_runtime), NULL,
      "checkpoint and exit with 75 after this time: seconds, 30m, 2h, 1:30:00", .once = true },
    { "dry_run", OPTION_BOOL, AT(dry_run), "false", "check everything, print the header and leave",
      .once = true },
    { "seed", OPTION_INT, AT(seed), "42", "of initial weights, dropout and order", .min = 0, .max = 1e15,
      .aliases = NAMES("jax_seed") },
    { 0 },
};

const struct option train_batch_options[] = {
    { "per_device_train_batch_size", OPTION_INT, AT(per_device_batch), "8",
      "samples that a data-parallel rank computes at once", .min = 1, .max = 1 << 20,
      .aliases = NAMES("per_device_batch_size", "per_gpu_train_batch_size", "micro_batch_size") },
    { "gradient_accumulation_steps", OPTION_INT, AT(accumulation), "1", "such batches of a step", .min = 1,
      .max = 1 << 20, .aliases = NAMES("accumulate_grad_batches") },
    { "global_batch_size", OPTION_INT, AT(global_batch), NULL,
      "samples of a step on all ranks; without it the product of the two above and the data-parallel ranks",
      .min = 1, .max = 1e12 },
    { "num_train_epochs", OPTION_DOUBLE, AT(epochs), "3.0",
      "times that all samples are seen; may end within one", .min = 0, .max = 1e9,
      .aliases = NAMES("n_epochs") },
    { "max_steps", OPTION_INT, AT(max_steps), "-1", "steps, instead of epochs", .min = -1, .max = 1e15,
      .aliases = NAMES("train_iters") },
    { "group_by_length", OPTION_BOOL, AT(group_by_length), "false",
      "samples of like length together, as far as a shuffle allows" },
    { "no_shuffle", OPTION_BOOL, AT(no_shuffle), "false", "samples in the order of the files" },
    { "train_sampling_strategy", OPTION_CHOICE, AT(sampling), "random",
      "the same as no_shuffle (sequential) and group_by_length", .choices = samplings },
    { "data_seed", OPTION_INT, AT(data_seed), "-1", "of the order of samples; -1: seed", .min = -1,
      .max = 1e15 },
    { "freeze", OPTION_STRING, AT(freeze), NULL,
      "regular expression: parameters with a match in their name are not trained" },
    { 0 },
};

const struct option train_optimizer_options[] = {
    { "learning_rate", OPTION_DOUBLE, AT(learning_rate), "5e-5", "the highest", .min = 0, .max = 1e30,
      .aliases = NAMES("lr") },
    { "lr_scheduler_type", OPTION_CHOICE, AT(lr_scheduler_type), "linear", "its course", .choices = lr_names,
      .aliases = NAMES("lr_schedule_type") },
    { "lr_scheduler_kwargs", OPTION_STRING, AT(lr_scheduler_kwargs), NULL,
      "JSON object with what the course takes: num_cycles, power, lr_end, min_lr, num_decay_steps, ...",
      .json = true },
    { "warmup_steps", OPTION_DOUBLE, AT(warmup_steps), "0", "steps of warm-up; below 1 a part of all steps",
      .min = 0, .max = 1e15 },
    { "warmup_ratio", OPTION_DOUBLE, AT(warmup_ratio), "0.0",
      "the same as a part of all steps; warmup_steps wins", .min = 0, .max = 1,
      .aliases = NAMES("warmup_rate") },
    { "weight_decay", OPTION_DOUBLE, AT(weight_decay), "0.0",
      "of all parameters but biases and norms, times the rate", .min = 0, .max = 1e9 },
    { "adam_beta1", OPTION_DOUBLE, AT(beta1), "0.9", "AdamW's first beta", .min = 0, .max = 0.9999999999 },
    { "adam_beta2", OPTION_DOUBLE, AT(beta2), "0.999", "AdamW's second beta", .min = 0, .max = 0.9999999999 },
    { "adam_epsilon", OPTION_DOUBLE, AT(epsilon), "1e-8", "AdamW's epsilon", .min = 0, .max = 1 },
    { "max_grad_norm", OPTION_DOUBLE, AT(max_grad_norm), "1.0",
      "gradients are clipped to this norm; 0: they are not", .min = 0, .max = 1e30,
      .aliases = NAMES("grad_norm_clip", "clip_grad") },
    { "label_smoothing_factor", OPTION_DOUBLE, AT(label_smoothing_factor), "0.0",
      "part of a label's weight that all entries of the vocabulary share; not in evaluation", .min = 0,
      .max = 1 },
    { "z_loss", OPTION_DOUBLE, AT(z_loss), "0.0",
      "this times log(sum of exp of the logits)^2 is added to each label's loss; not in evaluation", .min = 0,
      .max = 1e9 },
    { "optim", OPTION_CHOICE, AT(optim), "adamw_torch",
      "AdamW by any of its names; adafactor: as HF's Trainer has it; adafactor_flax (or --adafactor): as "
      "HF's Flax scripts have it, steps in proportion to each parameter's size",
      .choices = optim_names, .aliases = NAMES("adafactor=adafactor_flax") },
    { 0 },
};

const struct option train_log_options[] = {
    { "logging_strategy", OPTION_CHOICE, AT(logging_strategy), "steps", "when a line is logged",
      .choices = strategies },
    { "logging_steps", OPTION_DOUBLE, AT(logging_steps), "500",
      "steps between lines; below 1 a part of all steps", .min = 0, .max = 1e15 },
    { "logging_first_step", OPTION_BOOL, AT(logging_first_step), "false", "a line for the first step too" },
    { "logging_dir", OPTION_STRING, AT(logging_dir), NULL,
      "of TensorBoard's event files; without it OUTPUT_DIR/runs/DATE_HOST" },
    { "report_to", OPTION_LIST, AT(report_to), "all", "tensorboard, all or none" },
    { "run_name", OPTION_STRING, AT(run_name), NULL,
      "kept in run.json, and part of the name of the events' directory" },
    { "disable_tqdm", OPTION_BOOL, AT(disable_tqdm), "false",
      "no progress bar on a terminal: lines instead" },
    { "eval_strategy", OPTION_CHOICE, AT(eval_strategy), NULL,
      "when it is evaluated; without it every eval_steps if that is given, else at the end",
      .choices = strategies, .aliases = NAMES("evaluation_strategy") },
    { "eval_steps", OPTION_DOUBLE, AT(eval_steps), NULL,
      "steps between evaluations; below 1 a part of all steps; 0 and without it: logging_steps", .min = 0,
      .max = 1e15 },
    { "eval_delay", OPTION_DOUBLE, AT(eval_delay), "0",
      "steps (or epochs, where they count) without evaluation", .min = 0, .max = 1e15 },
    { "eval_on_start", OPTION_BOOL, AT(eval_on_start), "false", "evaluate before the first step too" },
    { 0 },
};

const struct option train_save_options[] = {
    { "save_strategy", OPTION_CHOICE, AT(save_strategy), "steps", "when a checkpoint is saved",
      .choices = save_strategies },
    { "save_steps", OPTION_DOUBLE, AT(save_steps), "500",
      "steps between checkpoints; below 1 a part of all steps", .min = 1e-9, .max = 1e15 },
    { "save_total_limit", OPTION_INT, AT(save_total_limit), NULL,
      "checkpoints that are kept, the newest; others go. 0 and -1: all stay", .min = -1, .max = 1e9 },
    { "save_only_model", OPTION_BOOL, AT(save_only_model), "false",
      "leave out what is needed to go on training: such a checkpoint cannot be resumed from" },
    { "save_sharded", OPTION_BOOL, AT(save_sharded), "false",
      "checkpoints in the pieces that ranks hold, which are written at the same time and read on any other "
      "layout; the final model is whole all the same" },
    { "load_best_model_at_end", OPTION_BOOL, AT(load_best_model_at_end), "false",
      "the final model is the checkpoint with the best evaluation" },
    { "metric_for_best_model", OPTION_STRING, AT(metric_for_best_model), NULL,
      "loss (or perplexity: the same order), or accuracy" },
    { 0 },
};
