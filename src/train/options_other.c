/* What other programs' command lines say, and what becomes of it here: a note, or a refusal in one sentence.
 */
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

#define NO_TORCH   "there is no PyTorch underneath"
#define NO_HUB     "nothing is uploaded"
#define NO_DEVICES "this version computes on the processor"
#define OWN_RANKS  "ranks talk without it"

const struct option train_other_options[] = {
    /* what would change the result or the run: refused */
    { "neftune_noise_alpha", OPTION_REFUSE, .help = "this version adds no noise to embeddings",
      .choices = NAMES("0") },
    { "dataloader_drop_last", OPTION_REFUSE, .help = "the last, smaller batch of an epoch is trained on too",
      .choices = NAMES("false"), .bare = true },
    { "auto_find_batch_size", OPTION_REFUSE,
      .help =
          "memory is known before the first step (--dry_run shows it): choose per_device_train_batch_size",
      .choices = NAMES("false"), .bare = true },
    { "optim_args", OPTION_REFUSE,
      .help = "AdamW's settings are adam_beta1, adam_beta2, adam_epsilon, weight_decay" },
    { "optim_target_modules", OPTION_REFUSE,
      .help = "the optimizer trains all parameters; --freeze leaves some out" },
    { "fsdp", OPTION_REFUSE, .help = "the same is done by --zero_stage and --tensor_parallel_size",
      .choices = NAMES("") },
    { "fsdp_config", OPTION_REFUSE, .help = "the same is done by --zero_stage and --tensor_parallel_size" },
    { "fsdp_min_num_params", OPTION_REFUSE, .help = "the same is done by --zero_stage",
      .choices = NAMES("0") },
    { "fsdp_transformer_layer_cls_to_wrap", OPTION_REFUSE, .help = "the same is done by --zero_stage" },
    { "sharded_ddp", OPTION_REFUSE, .help = "the same is done by --zero_stage", .choices = NAMES("") },
    { "deepspeed", OPTION_REFUSE,
      .help = "the same is done by --zero_stage, --pipeline_parallel_size and their like" },
    { "parallelism_config", OPTION_REFUSE,
      .help = "sizes are given by --tensor_parallel_size and --data_parallel_size" },
    { "push_to_hub", OPTION_REFUSE, .help = NO_HUB, .choices = NAMES("false"), .bare = true },
    { "tp_size", OPTION_REFUSE, .help = "sizes are given by --tensor_parallel_size", .choices = NAMES("0") },
    { "mp_parameters", OPTION_REFUSE, .help = "sizes are given by --tensor_parallel_size",
      .choices = NAMES("") },
    { "use_mps_device", OPTION_REFUSE, .help = NO_DEVICES, .choices = NAMES("false"), .bare = true },
    { "tpu_num_cores", OPTION_REFUSE, .help = NO_DEVICES },
    /* what changes nothing */
    NOTE("ignore_data_skip", "a resumed run finds its place in the data without reading what came before"),
    NOTE("logging_nan_inf_filter",
         "a step whose loss is not finite is left out and never counted in the loss"),
    NOTE("average_tokens_across_devices",
         "the loss is always the mean over all label tokens of the global batch"),
    NOTE("accelerator_config", "each rank reads its own samples; global_batch_size says what a step takes"),
    NOTE("length_column_name", "lengths are known without a column"),
    NOTE("log_level_replica", "only the first rank speaks"),
    NOTE("log_on_each_node", "only the first rank speaks"),
    NOTE("save_on_each_node", "a run saves once"),
    SWITCH("full_determinism", "runs are always reproducible"),
    SWITCH("greater_is_better", "an accuracy is the better the higher it is, a loss the lower"),
    SWITCH("use_legacy_prediction_loop", "no predictions are kept"),
    SWITCH("skip_memory_metrics", "memory is in train_log.jsonl"),
    NOTE("include_num_input_tokens_seen", "trainer_state.json always has them"),
    NOTE("gradient_checkpointing_kwargs", "--recompute says it all"),
    NOTE("activation_checkpointing_kwargs", "--recompute says it all"),
    SWITCH("use_cache", "training never keeps keys and values"),
    SWITCH("restore_callback_states_from_checkpoint",
           "a resumed run always goes on as if it had not stopped"),
    SWITCH("enable_jit_checkpoint", "SIGTERM always leaves a checkpoint"),
    NOTE("tf32", NO_DEVICES),
    SWITCH("bf16_full_eval", "evaluation computes in the type of training (--dtype)"),
    SWITCH("fp16_full_eval", "evaluation computes in the type of training (--dtype)"),
    NOTE("fp16_opt_level", NO_TORCH),
    NOTE("fp16_backend", NO_TORCH),
    NOTE("half_precision_backend", NO_TORCH),
    SWITCH("torch_compile", "graphs are always compiled ahead"),
    NOTE("torch_compile_backend", "graphs are always compiled ahead"),
    NOTE("torch_compile_mode", "graphs are always compiled ahead"),
    NOTE("torchdynamo", "graphs are always compiled ahead"),
    NOTE("torch_empty_cache_steps", NO_TORCH),
    SWITCH("jit_mode_eval", "graphs are always compiled ahead"),
    SWITCH("use_ipex", NO_TORCH),
    SWITCH("use_liger_kernel", "kernels are always fused where that is possible"),
    NOTE("liger_kernel_config", "kernels are always fused where that is possible"),
    NOTE("xpu_backend", OWN_RANKS),
    NOTE("local_rank", "the launcher is asked, not the command line"),
    NOTE("ddp_backend", OWN_RANKS),
    NOTE("ddp_bucket_cap_mb", OWN_RANKS),
    NOTE("ddp_find_unused_parameters", OWN_RANKS),
    NOTE("ddp_broadcast_buffers", OWN_RANKS),
    NOTE("ddp_static_graph", OWN_RANKS),
    NOTE("ddp_timeout", OWN_RANKS),
    NOTE("ray_scope", "there is no search for hyperparameters"),
    NOTE("debug", "--log_level debug says more"),
    NOTE("project", NO_HUB),
    NOTE("trackio_space_id", NO_HUB),
    NOTE("trackio_bucket_id", NO_HUB),
    NOTE("trackio_static_space_id", NO_HUB),
    NOTE("hub_model_id", NO_HUB),
    NOTE("hub_token", NO_HUB),
    NOTE("hub_strategy", NO_HUB),
    NOTE("hub_revision", NO_HUB),
    SWITCH("hub_private_repo", NO_HUB),
    SWITCH("hub_always_push", NO_HUB),
    NOTE("push_to_hub_model_id", NO_HUB),
    NOTE("push_to_hub_organization", NO_HUB),
    NOTE("push_to_hub_token", NO_HUB),
    { 0 },
};
