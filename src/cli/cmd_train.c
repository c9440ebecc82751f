/* plait train -- trains a model on files of text or tokens. plait plan -- takes the same command line, goes
 * as far as the first step, and prints what would run. */
#include <string.h>

#include "api/run_options.h"
#include "base/err.h"
#include "base/log.h"
#include "cli/cli.h"
#include "comm/world.h"
#include "plan/partition.h"

struct values {
    struct model_choice model;
    struct { /* beside model_choice: its name alone */
        const char *type;
    } from;
    struct train_values train;
    struct compute_options compute;
    struct parallel_options parallel;
    struct {
        struct option_list dump;
        bool json;
    } plan;
};

static const struct option type_options[] = {
    { "model_type", OPTION_STRING, 0, NULL,
      "the built-in config of this name, where no model and no config is given" },
    { 0 },
};

static const struct option plan_options[] = {
    { "json", OPTION_BOOL, offsetof(struct values, plan.json) - offsetof(struct values, plan), "false",
      "one JSON object instead of text" },
    {
        "dump",
        OPTION_LIST,
        0,
        NULL,
        "what to print: graph, grad, optimizer, shard, stages, recompute, fuse, precision, overlap, memory; "
        "schedule; or all of these; or trace, the schedule for a browser's trace viewer",
    },
    { 0 },
};

static const struct option_part plan_parts[] = {
    { "What to print", plan_options, offsetof(struct values, plan) },
    { "Which model", model_options_table, offsetof(struct values, model) },
    { "Or which architecture", type_options, offsetof(struct values, from) },
    { .parts = train_parts, .offset = offsetof(struct values, train) },
    { "Where it is computed", compute_options, offsetof(struct values, compute) },
    { "Ranks", parallel_options, offsetof(struct values, parallel) },
    { "", hub_notes, 0 },
    { 0 },
};

static int make_session(struct values *v, struct options *o, const struct world *w, struct session_options *s)
{
    *s = (struct session_options){ .given = o, .world = w };
    model_choice_options(&v->model, &s->model);
    if (!s->model.name && !s->model.config_name)
        s->model.config_name = v->from.type;
    else
        option_tell_idle(o, "model_type", true, "the config says it");
    TRY(train_values_take(&v->train, s));
    return session_place(s, &v->compute, &v->parallel);
}

static int train_in(void *values, struct options *o, const struct world *w, struct stop *stop)
{
    struct session_options s;
    int status;

    TRY(make_session(values, o, w, &s));
    s.stop = stop;
    status = session_train(&s);
    partition_rules_free(s.rules);
    return status;
}

static int run(void *values, struct options *o)
{
    return session_run(&((struct values *)values)->parallel, train_in, values, o);
}

/* ---- plan ---- */

struct dump {
    const struct option_list *wanted;
    struct str text, report;
};

static bool wants(const struct option_list *list, const char *stage)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], stage) == 0 || strcmp(list->items[i], "all") == 0)
            return true;
    return false;
}

static const char *const other_dumps[] = { "schedule", "trace", "all", NULL };

static bool is_among(const char *const list[], const char *word)
{
    for (size_t k = 0; list[k]; k++)
        if (strcmp(list[k], word) == 0)
            return true;
    return false;
}

static int check_stages(const struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (!is_among(plan_stages, list->items[i]) && !is_among(other_dumps, list->items[i]))
            return fail(
                ERR_USAGE,
                "--dump %s: no such stage (expected graph, grad, optimizer, shard, stages, recompute, "
                "fuse, precision, overlap, memory, schedule, trace or all)",
                list->items[i]);
    return OK;
}

/* Of the pipeline, once. */
static void take_schedule(struct dump *d, const struct plan *p)
{
    struct timeline t;
    bool schedule = wants(d->wanted, "schedule"), trace = false;

    for (size_t i = 0; i < d->wanted->count; i++)
        trace = trace || strcmp(d->wanted->items[i], "trace") == 0;
    if ((!schedule && !trace) || plan_timeline(p, &(struct cluster){ 0 }, &t) != OK)
        return;
    if (schedule) {
        str_append(&d->text, "# schedule\n");
        schedule_print(p->schedule, &d->text);
        str_appendf(&d->text, "by the cost of its nodes a step takes %.3g s, %.1f %% of it idle\n", t.seconds,
                    100 * t.bubble);
    }
    if (trace)
        timeline_trace(&t, &d->text);
    timeline_release(&t);
}

/* Up to the cut the stages of a pipeline are one graph, which is shown once. */
static void take_stage(const char *name, const struct plan *p, void *context)
{
    struct dump *d = context;
    bool last = strcmp(name, "memory") == 0;

    if (strcmp(name, "stages") == 0 && p->schedule && p->stage_rank == 0)
        take_schedule(d, p);
    if ((!wants(d->wanted, name) && !(last && d->wanted->count == 0)) || (p->stage_rank > 0 && !p->whole))
        return;
    if (d->wanted->count > 0)
        str_appendf(&d->text, "# %s", name);
    if (d->wanted->count > 0 && p->whole)
        str_appendf(&d->text, " of pipeline rank %d", p->stage_rank);
    str_append(&d->text, d->wanted->count > 0 ? "\n" : "");
    if (!last)
        graph_print(p->graph, &d->text);
    else
        plan_print(p, d->wanted->count > 0, &d->text);
}

static bool has_no_data(const struct input_options *in)
{
    return in->train_file.count == 0 && in->validation_file.count == 0 && !in->dataset_name;
}

/* The report first, then what has been asked for beside it. */
static int report_plan(const struct values *v, struct session_options *s, struct dump *d)
{
    struct json_writer json;

    if (v->plan.json) {
        json_writer_init(&json, &d->report, 2);
        json_write_object_begin(&json);
        s->plan_json = &json;
    } else if (v->plan.dump.count == 0) {
        s->plan = &d->report;
    }
    TRY(session_train(s));
    if (v->plan.json)
        json_write_object_end(&json);
    str_append(&d->report, v->plan.json ? "\n" : "");
    if (!v->plan.json)
        str_append_bytes(&d->report, d->text.data, d->text.length);
    return OK;
}

static int plan_in(struct values *v, struct options *o, const struct world *w)
{
    struct dump d = { .wanted = &v->plan.dump };
    struct session_samples assumed = { .assumed = true };
    struct session_options s;
    int status;

    v->train.train.dry_run = true;
    if (!v->train.train.resume)
        v->train.train.output_dir = NULL; /* what is in there is not looked at */
    TRY(make_session(v, o, w, &s));
    if (has_no_data(&v->train.input)) {
        note("without --train_file a large text is assumed");
        s.samples = &assumed;
    }
    s.stage = take_stage;
    s.stage_context = &d;
    str_init(&d.text);
    str_init(&d.report);
    status = report_plan(v, &s, &d);
    if (status == OK && world_is_first(w))
        status = write_text(NULL, &d.report);
    str_release(&d.text);
    str_release(&d.report);
    partition_rules_free(s.rules);
    return status;
}

static int run_plan(void *values, struct options *o)
{
    struct values *v = values;
    struct world w;

    TRY(check_stages(&v->plan.dump));
    TRY(parallel_open(&v->parallel, &w, tell_error));
    return world_close(&w, plan_in(v, o, &w));
}

const struct command command_plan = {
    .name = "plan",
    .summary = "what plait train with the same options would run and take",
    .example =
        "plait plan --config_name gpt2 --tokenizer_name my-gpt2 --train_file train.txt --dump graph memory",
    .parts = plan_parts,
    .bytes = sizeof(struct values),
    .run = run_plan,
};

const struct command command_train = {
    .name = "train",
    .summary = "train a model, or go on training one",
    .example =
        "plait train --config_name my-gpt2 --tokenizer_name my-gpt2 --train_file train.txt --output_dir run\n"
        "plait train --model_name_or_path gpt2 --train_file train.txt --do_train --do_eval --output_dir run\n"
        "plait train run/run.json --resume_from_checkpoint auto",
    .parts = plan_parts + 1,
    .bytes = sizeof(struct values),
    .run = run,
};
