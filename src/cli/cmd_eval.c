/* plait eval -- the loss of a model on files of text or tokens. */
#include "api/run_options.h"
#include "base/err.h"
#include "cli/cli.h"
#include "comm/world.h"
#include "plan/partition.h"
#include "train/results.h"

struct values {
    struct model_choice model;
    struct eval_values eval;
    struct compute_options compute;
    struct parallel_options parallel;
};

static const struct option_part parts[] = {
    { "Which model", model_options_table, offsetof(struct values, model) },
    { .parts = eval_parts, .offset = offsetof(struct values, eval) },
    { "Where it is computed", compute_options, offsetof(struct values, compute) },
    { "Ranks", parallel_options, offsetof(struct values, parallel) },
    { "", hub_notes, 0 },
    { 0 },
};

static int evaluate(struct values *v, struct session_options *s)
{
    struct evaluation e;
    struct str text;
    int status;

    TRY(session_evaluate(s, v->eval.output_dir, &e));
    if (!world_is_first(s->world))
        return OK;
    str_init(&text);
    results_evaluation(&e, &text);
    status = write_text(NULL, &text);
    str_release(&text);
    return status;
}

/* There is no backward pass to put in order, and batches go through as they are. */
static void tell_idle(const struct options *o, bool stages)
{
    static const char why[] = "an evaluation sends whole batches through the stages";

    option_tell_idle(o, "recompute", true, "nothing is kept for a gradient");
    option_tell_idle(o, "num_microbatches", stages, why);
    option_tell_idle(o, "pipeline_schedule", stages, why);
}

static int run_in(void *values, struct options *o, const struct world *w, struct stop *stop)
{
    struct values *v = values;
    struct session_options s = { .in = &v->eval.input, .given = o, .world = w, .stop = stop };
    int status;

    model_choice_options(&v->model, &s.model);
    v->parallel.searched = true;
    TRY(session_place(&s, &v->compute, &v->parallel));
    tell_idle(o, parallel_has_stages(&v->parallel, &s.mesh));
    status = evaluate(v, &s);
    partition_rules_free(s.rules);
    return status;
}

static int run(void *values, struct options *o)
{
    return session_run(&((struct values *)values)->parallel, run_in, values, o);
}

const struct command command_eval = {
    .name = "eval",
    .summary = "the loss and perplexity of a model on data, as JSON",
    .example = "plait eval --model_name_or_path run --validation_file valid.txt",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};
