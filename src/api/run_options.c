#include "api/run_options.h"

#include "base/err.h"

const struct option_part train_parts[] = {
    { "Which data", input_sample_options, offsetof(struct train_values, input) },
    { "Other data, and that of evaluation", input_data_options, offsetof(struct train_values, input) },
    { "How much of it", input_train_options, offsetof(struct train_values, input) },
    { "The run", train_run_options, offsetof(struct train_values, train) },
    { "Steps", train_batch_options, offsetof(struct train_values, train) },
    { "Optimizer", train_optimizer_options, offsetof(struct train_values, train) },
    { "Log and evaluation", train_log_options, offsetof(struct train_values, train) },
    { "Checkpoints", train_save_options, offsetof(struct train_values, train) },
    { "Files", saving_options, offsetof(struct train_values, saving) },
    { "", input_other_options, 0 },
    { "", train_other_options, 0 },
    { "", train_elsewhere_options, 0 },
    { 0 },
};

static const struct option result_options[] = {
    { "output_dir", OPTION_STRING, 0, NULL, "eval_results.json and all_results.json are written there too",
      .aliases = (const char *const[]){ "workdir", NULL } },
    { "do_eval", OPTION_NOTE, .help = "nothing else is done here", .bare = true },
    { 0 },
};

const struct option_part eval_parts[] = {
    { "Which data", input_sample_options, offsetof(struct eval_values, input) },
    { "Other data, and that of evaluation", input_data_options, offsetof(struct eval_values, input) },
    { "Results", result_options, offsetof(struct eval_values, output_dir) },
    { "", input_other_options, 0 },
    { 0 },
};

int train_values_take(struct train_values *v, struct session_options *s)
{
    s->in = &v->input;
    s->train = &v->train;
    s->save_dtype = saving_dtype(&v->saving);
    return saving_shard_bytes(&v->saving, &s->max_shard_bytes);
}
