/* plait eval -- the loss of a model on files of text or tokens. */
#include "api/run_options.h"
#include "base/err.h"
#include "cli/cli.h"
#include "comm/world.h"
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

static int run_in(struct values *v, struct options *o, const struct world *w, struct stop *stop)
{
    struct session_options s = { .in = &v->eval.input, .given = o, .world = w, .stop = stop };

    model_choice_options(&v->model, &s.model);
    TRY(compute_check(&v->compute, &s.memory));
    s.dtype = compute_dtype(&v->compute);
    TRY(parallel_mesh(&v->parallel, w, &s.mesh));
    TRY(parallel_pipeline(&v->parallel, &s.mesh, &s.pipeline));
    s.recompute = parallel_recompute(&v->parallel);
    return evaluate(v, &s);
}

static int run(void *values, struct options *o)
{
    struct values *v = values;
    struct world w;
    struct stop *stop;
    int status;

    TRY(stop_create(&stop));
    status = parallel_open(&v->parallel, &w, tell_error);
    if (status == OK)
        status = world_close(&w, run_in(v, o, &w, stop));
    stop_free(stop);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "the loss and perplexity of a model on data, as JSON",
    .example = "plait eval --model_name_or_path run --validation_file valid.txt",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};
