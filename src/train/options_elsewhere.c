/* The options of Merak, redco and the less known ones of transformers that plait does by itself or not at
 * all: accepted with a note, or refused in one sentence. What means an option of plait's is its alias. */
#include "train/options.h"

#define NAMES(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }
#define NOTE(option, why)                                \
    {                                                    \
        .name = option, .type = OPTION_NOTE, .help = why \
    }
#define SWITCH(option, why)                                            \
    {                                                                  \
        .name = option, .type = OPTION_NOTE, .help = why, .bare = true \
    }
#define REFUSE(option, why, allowed)                                                  \
    {                                                                                 \
        .name = option, .type = OPTION_REFUSE, .help = why, .choices = NAMES(allowed) \
    }
#define REFUSE_SWITCH(option, why)                                                                  \
    {                                                                                               \
        .name = option, .type = OPTION_REFUSE, .help = why, .choices = NAMES("false"), .bare = true \
    }

#define NO_TRACE    "models are built from config.json, not traced"
#define NO_SCALING  "there is no float16 here, so no loss is scaled"
#define OWN_STAGES  "the planner balances stages by their cost"
#define OWN_BUCKETS "messages are cut by the planner"
#define SIZES       "sizes are those of config.json (--config_overrides changes them)"
#define NO_ADAPTERS "this version trains no adapters (--freeze trains a part of the model)"
#define WHOLE_STATE "resume_from_checkpoint takes up all of a run, model_name_or_path only the weights"

const struct option train_elsewhere_options[] = {
    /* transformers */
    SWITCH("save_safetensors", "weights are always saved as safetensors"),
    SWITCH("use_cpu", "this version computes on the processor"),
    SWITCH("tpu_metrics_debug", "this version computes on the processor"),
    SWITCH("include_tokens_per_second", "train_log.jsonl always has them"),
    SWITCH("split_batches", "global_batch_size says what a step takes"),
    SWITCH("dispatch_batches", "each rank reads its own samples"),
    /* Merak */
    REFUSE("init_method_std", "weights start as config.json says (--config_overrides initializer_range=0.02)",
           "0.02"),
    NOTE("partition_method", OWN_STAGES),
    NOTE("split_method", OWN_STAGES),
    REFUSE("custom_split_points", OWN_STAGES, ""),
    REFUSE("custom_partition", OWN_STAGES, ""),
    NOTE("trace_method", NO_TRACE),
    NOTE("trace_model", NO_TRACE),
    NOTE("input_names", NO_TRACE),
    REFUSE("checkpoint_num_layers", "--recompute full keeps what goes from layer to layer", "1"),
    REFUSE("activation_checkpoint_ratio", "--recompute none, selective or full says what is kept", ""),
    REFUSE("num_layers", SIZES, ""),
    REFUSE("hidden_size", SIZES, ""),
    REFUSE("num_heads", SIZES, ""),
    REFUSE("seq_length", "the length of samples is --block_size", ""),
    SWITCH("wall_clock_breakdown", "plait bench shows where the time goes"),
    NOTE("shard_count", OWN_STAGES),
    SWITCH("prescale_gradients", "the loss is always the mean over all label tokens of the global batch"),
    REFUSE("gradient_predivide_factor",
           "the loss is always the mean over all label tokens of the global batch", "1.0"),
    SWITCH("cache_sharding", "each rank reads its own part of the weights anyway"),
    NOTE("cache_name", "each rank reads its own part of the weights anyway"),
    REFUSE_SWITCH("return_logits", "logits come from plait forward"),
    SWITCH("zero_allow_untested_optimizer", "every optimizer here has been tested with every layout"),
    NOTE("zero_allgather_bucket_size", OWN_BUCKETS),
    NOTE("zero_reduce_bucket_size", OWN_BUCKETS),
    REFUSE_SWITCH("save", "checkpoints are saved as save_strategy and save_steps say"),
    REFUSE_SWITCH("finetune", WHOLE_STATE),
    REFUSE_SWITCH("no_save_rng", "a checkpoint holds all that a run needs to go on (or --save_only_model)"),
    REFUSE_SWITCH("no_save_optim", "without the optimizer's state a checkpoint is --save_only_model"),
    REFUSE_SWITCH("no_load_optim", WHOLE_STATE),
    REFUSE_SWITCH("no_load_rng", WHOLE_STATE),
    SWITCH("split_inputs", "the planner divides what is worth dividing"),
    SWITCH("parallel_vocab", "the planner divides the vocabulary where that is worth it"),
    NOTE("sequence_dim", "the planner divides what is worth dividing"),
    SWITCH("dealloc_pipeoutput", "memory is given out ahead: what is read no more is used again"),
    NOTE("tp_overlapping_level", "the planner orders messages"),
    NOTE("loss_scale", NO_SCALING),
    NOTE("initial_scale_power", NO_SCALING),
    NOTE("loss_scale_window", NO_SCALING),
    NOTE("hysteresis", NO_SCALING),
    NOTE("min_loss_scale", NO_SCALING),
    REFUSE_SWITCH("no_tie_modules", "tied weights are config.json's tie_word_embeddings"),
    NOTE("out_seq_length", "training generates no text (plait generate --max_length)"),
    NOTE("temperature", "training generates no text (plait generate --temperature)"),
    SWITCH("text_generation", "training generates no text (plait generate)"),
    REFUSE("lora_config", NO_ADAPTERS, ""),
    NOTE("adapter_name", "there are no adapters"),
    REFUSE("eval_iters", "the part of the data that is evaluated is --max_eval_samples", ""),
    /* redco */
    SWITCH("verbose", "--log_level says how much is told"),
    SWITCH("run_tensorboard", "events are written unless --report_to none"),
    REFUSE_SWITCH("run_wandb", "nothing is sent elsewhere (train_log.jsonl has every line)"),
    REFUSE("compute_dtype", "the type of the computation is --dtype", "float32"),
    { 0 },
};
