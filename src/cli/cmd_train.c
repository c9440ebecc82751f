/* plait train -- trains a model on files of text or tokens. */
#include "base/err.h"
#include "cli/cli.h"
#include "train/session.h"

struct values {
    struct model_choice model;
    struct { /* beside model_choice: its name alone */
        const char *type;
    } from;
    struct input_options input;
    struct train_options train;
    struct compute_options compute;
    struct parallel_options parallel;
    struct saving_options saving;
};

static const struct option type_options[] = {
    { "model_type", OPTION_STRING, 0, NULL,
      "the built-in config of this name, where no model and no config is given" },
    { 0 },
};

static const struct command_part parts[] = {
    { "Which model", model_options_table, offsetof(struct values, model) },
    { "Or which architecture", type_options, offsetof(struct values, from) },
    { "Which data", input_data_options, offsetof(struct values, input) },
    { "How much of it", input_train_options, offsetof(struct values, input) },
    { "The run", train_run_options, offsetof(struct values, train) },
    { "Steps", train_batch_options, offsetof(struct values, train) },
    { "Optimizer", train_optimizer_options, offsetof(struct values, train) },
    { "Log and evaluation", train_log_options, offsetof(struct values, train) },
    { "Checkpoints", train_save_options, offsetof(struct values, train) },
    { "Files", saving_options, offsetof(struct values, saving) },
    { "Where it is computed", compute_options, offsetof(struct values, compute) },
    { "Ranks", parallel_options, offsetof(struct values, parallel) },
    { "", hub_notes, 0 },
    { "", input_other_options, 0 },
    { "", train_other_options, 0 },
    { 0 },
};

static int make_session(struct values *v, struct options *o, struct session_options *s)
{
    *s = (struct session_options){ .in = &v->input, .train = &v->train, .given = o };
    model_choice_options(&v->model, &s->model);
    if (!s->model.name && !s->model.config_name)
        s->model.config_name = v->from.type;
    TRY(compute_check(&v->compute, &s->memory));
    TRY(parallel_mesh(&v->parallel, &s->mesh));
    s->recompute = parallel_recompute(&v->parallel);
    TRY(saving_shard_bytes(&v->saving, &s->max_shard_bytes));
    s->save_dtype = saving_dtype(&v->saving);
    return OK;
}

static int run(void *values, struct options *o)
{
    struct session_options s;
    int status;

    TRY(make_session(values, o, &s));
    TRY(stop_create(&s.stop));
    status = session_train(&s);
    stop_free(s.stop);
    return status;
}

const struct command command_train = {
    .name = "train",
    .summary = "train a model, or go on training one",
    .example =
        "plait train --config_name my-gpt2 --tokenizer_name my-gpt2 --train_file train.txt --output_dir run\n"
        "plait train --model_name_or_path gpt2 --train_file train.txt --do_train --do_eval --output_dir run\n"
        "plait train run/run.json --resume_from_checkpoint auto",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};
