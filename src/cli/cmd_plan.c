/* plait plan -- takes the command line of plait train, goes as far as the first step, and prints what would
 * run: the layout, what a rank takes, how long a step will take, and why other layouts were not chosen. */
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/train_command.h"
#include "comm/world.h"
#include "plan/partition.h"

struct plan_options {
    struct option_list dump;
    bool json, probe, verify;
    int64_t verify_steps;
};

struct values {
    struct plan_options plan;
    struct train_command train;
};

#define AT(member) offsetof(struct plan_options, member)

static const struct option plan_options[] = {
    { "json", OPTION_BOOL, AT(json), "false", "one JSON object instead of text" },
    {
        "dump",
        OPTION_LIST,
        AT(dump),
        NULL,
        "what to print: graph, grad, optimizer, shard, stages, recompute, fuse, precision, overlap, memory; "
        "schedule; or all of these; or trace, the schedule for a browser's trace viewer",
    },
    { "probe", OPTION_BOOL, AT(probe), "false",
      "measure the machines, all ranks at work, and plan with that; without a model print it for --cluster" },
    { "verify", OPTION_BOOL, AT(verify), "false",
      "take steps on one rank and on the layout and compare every gradient and every update" },
    { "verify_steps", OPTION_INT, AT(verify_steps), "2", "so many", .min = 1, .max = 1000 },
    { 0 },
};

static const struct option_part parts[] = {
    { "What to print", plan_options, offsetof(struct values, plan) },
    { .parts = train_command_parts, .offset = offsetof(struct values, train) },
    { 0 },
};

struct dump {
    const struct option_list *wanted;
    const struct cluster *cluster;
    bool scheduled; /* there is a pipeline */
    struct str text, trace, report;
};

static bool names(const struct option_list *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], word) == 0)
            return true;
    return false;
}

static bool wants(const struct option_list *list, const char *stage)
{
    return names(list, stage) || names(list, "all");
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
    bool schedule = wants(d->wanted, "schedule"), trace = names(d->wanted, "trace");

    d->scheduled = true;
    if ((!schedule && !trace) || plan_timeline(p, d->cluster, &t) != OK)
        return;
    if (schedule) {
        str_append(&d->text, "# schedule\n");
        schedule_print(p->schedule, &d->text);
        str_appendf(&d->text, "by the cost of its nodes a step takes %.3g s, %.1f %% of it idle\n", t.seconds,
                    100 * t.bubble);
    }
    if (trace)
        timeline_trace(&t, &d->trace);
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

static void tell_unscheduled(const struct dump *d)
{
    if (!d->scheduled && (names(d->wanted, "schedule") || names(d->wanted, "trace")))
        note("--dump: a model that is one stage has no schedule");
}

static void write_dumps(struct json_writer *json, const struct dump *d)
{
    if (d->wanted->count > 0 && d->text.length > 0) {
        json_write_key(json, "dump");
        json_write_bytes(json, d->text.data, d->text.length);
    }
    if (d->trace.length > 0) {
        json_write_key(json, "trace");
        json_write_raw(json, d->trace.data, d->trace.length);
    }
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
    tell_unscheduled(d);
    if (v->plan.json) {
        write_dumps(&json, d);
        json_write_object_end(&json);
        str_append(&d->report, "\n");
    } else {
        str_append_bytes(&d->report, d->text.data, d->text.length);
        str_append_bytes(&d->report, d->trace.data, d->trace.length);
    }
    return OK;
}

static int print_cluster(const struct values *v, const struct cluster *c)
{
    struct json_writer json;
    struct str text;
    int status;

    str_init(&text);
    json_writer_init(&json, &text, v->plan.json ? 0 : 2);
    cluster_write(c, &json);
    str_append(&text, "\n");
    status = write_text(NULL, &text);
    str_release(&text);
    return status;
}

static int probe_alone(struct values *v, const struct world *w)
{
    struct cluster c = { 0 };
    struct mesh mesh;

    TRY(parallel_mesh(&v->train.parallel, w, &mesh));
    TRY(cluster_probe(&c, w, mesh_ranks(&mesh)));
    return world_is_first(w) ? print_cluster(v, &c) : OK;
}

static bool has_no_model(const struct train_command *t)
{
    return !t->model.name && !t->model.config_name && !t->from.type && !t->train.train.resume;
}

static int make_session(struct values *v, struct options *o, const struct world *w,
                        struct session_samples *samples, struct session_options *s)
{
    struct train_options *t = &v->train.train.train;

    t->dry_run = true;
    if (!t->resume)
        t->output_dir = NULL; /* what is in there is not looked at */
    TRY(train_command_session(&v->train, o, w, s));
    if (v->plan.probe)
        TRY(cluster_probe(&s->wish.cluster, w, mesh_ranks(&s->mesh)));
    if (has_no_data(&v->train.train.input)) {
        note("without --train_file a large text is assumed");
        s->samples = samples;
    }
    return OK;
}

static int plan_in(struct values *v, struct options *o, const struct world *w)
{
    struct dump d = { .wanted = &v->plan.dump };
    struct session_samples samples = { .assumed = true };
    struct session_options s = { 0 };
    int status;

    if (v->plan.probe && has_no_model(&v->train))
        return probe_alone(v, w);
    str_init(&d.text);
    str_init(&d.trace);
    str_init(&d.report);
    status = make_session(v, o, w, &samples, &s);
    s.stage = take_stage;
    s.stage_context = &d;
    d.cluster = &s.wish.cluster;
    option_tell_idle(o, "verify_steps", !v->plan.verify, "nothing is compared without --verify");
    s.verify = v->plan.verify ? (int)v->plan.verify_steps : 0;
    if (status == OK)
        status = report_plan(v, &s, &d);
    if (status == OK && world_is_first(w))
        status = write_text(NULL, &d.report);
    str_release(&d.text);
    str_release(&d.trace);
    str_release(&d.report);
    partition_rules_free(s.rules);
    return status;
}

/* A described cluster says how many ranks there are. */
static int count_ranks(struct values *v)
{
    struct parallel_options *p = &v->train.parallel;
    struct cluster c;

    if (!v->train.machines.cluster || p->world > 0)
        return OK;
    TRY(cluster_load(&c, v->train.machines.cluster));
    if (c.host_ranks > 0)
        p->world = (int64_t)c.host_ranks * (c.hosts > 0 ? c.hosts : 1);
    return OK;
}

static int run_plan(void *values, struct options *o)
{
    struct values *v = values;
    struct world w;

    TRY(check_stages(&v->plan.dump));
    TRY(count_ranks(v));
    v->train.parallel.thought = !v->plan.probe && !v->plan.verify;
    TRY(parallel_open(&v->train.parallel, &w, tell_error));
    return world_close(&w, plan_in(v, o, &w));
}

const struct command command_plan = {
    .name = "plan",
    .summary = "what plait train with the same options would run and take",
    .example =
        "plait plan --config_name gpt2 --tokenizer_name my-gpt2 --train_file train.txt --dump graph memory",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run_plan,
};
