/* plait train -- trains a model on files of text or tokens. */
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/parallel.h"
#include "cli/train_command.h"
#include "comm/world.h"
#include "plan/partition.h"

static const struct option type_options[] = {
    { "model_type", OPTION_STRING, 0, NULL,
      "the built-in config of this name, where no model and no config is given" },
    { 0 },
};

static const struct option cluster_options[] = {
    { "cluster", OPTION_STRING, 0, NULL,
      "JSON file with what ranks compute, move and hold, for the layout that is chosen; without it the "
      "figures of an ordinary host" },
    { 0 },
};

const struct option_part train_command_parts[] = {
    { "Which model", model_options_table, offsetof(struct train_command, model) },
    { "Or which architecture", type_options, offsetof(struct train_command, from) },
    { .parts = train_parts, .offset = offsetof(struct train_command, train) },
    { "Where it is computed", compute_options, offsetof(struct train_command, compute) },
    { "Ranks", parallel_options, offsetof(struct train_command, parallel) },
    { "", cluster_options, offsetof(struct train_command, machines) },
    { "", hub_notes, 0 },
    { 0 },
};

/* Where nobody has said how ranks lie on hosts, the launcher knows. */
static int find_hosts(struct session_options *s)
{
    struct cluster c = s->wish.cluster;

    if (c.host_ranks > 0)
        return OK;
    TRY(cluster_find_hosts(&c, s->world, mesh_ranks(&s->mesh)));
    if (c.hosts > 1)
        s->wish.cluster = c;
    return OK;
}

static int load_cluster(struct train_command *v, const struct options *o, struct session_options *s)
{
    struct cluster *c = &s->wish.cluster;
    double part = compute_memory_part(&v->compute); /* of the memory there is, not a size */

    if (!v->machines.cluster)
        return OK;
    TRY(cluster_load(c, v->machines.cluster));
    if (part > 0 && c->memory > 0)
        s->memory =
            (options_given(o, "device_memory") ? part : 1) * c->memory * world_host_ranks(s->world, &s->mesh);
    else if (part > 0 && c->host_ranks > 0 && v->parallel.thought) /* hosts like this one */
        s->memory *= (double)ceil_div(mesh_ranks(&s->mesh), c->host_ranks);
    return OK;
}

int train_command_session(struct train_command *v, struct options *o, const struct world *w,
                          struct session_options *s)
{
    *s = (struct session_options){ .given = o, .world = w };
    model_choice_options(&v->model, &s->model);
    if (!s->model.name && !s->model.config_name)
        s->model.config_name = v->from.type;
    else
        option_tell_idle(o, "model_type", true, "the config says it");
    TRY(train_values_take(&v->train, s));
    v->parallel.searched = true;
    TRY(session_place(s, &v->compute, &v->parallel));
    TRY(load_cluster(v, o, s));
    return find_hosts(s);
}

static int train_in(void *values, struct options *o, const struct world *w, struct stop *stop)
{
    struct session_options s;
    int status;

    TRY(train_command_session(values, o, w, &s));
    s.stop = stop;
    status = session_train(&s);
    partition_rules_free(s.rules);
    return status;
}

static int run(void *values, struct options *o)
{
    return session_run(&((struct train_command *)values)->parallel, train_in, values, o);
}

const struct command command_train = {
    .name = "train",
    .summary = "train a model, or go on training one",
    .example =
        "plait train --config_name my-gpt2 --tokenizer_name my-gpt2 --train_file train.txt --output_dir run\n"
        "plait train --model_name_or_path gpt2 --train_file train.txt --do_train --do_eval --output_dir run\n"
        "plait train run/run.json --resume_from_checkpoint auto",
    .parts = train_command_parts,
    .bytes = sizeof(struct train_command),
    .run = run,
};
