/* plait init -- a model directory: random weights for a config, or a model's weights changed. */
#include "api/export.h"
#include "base/err.h"
#include "cli/cli.h"
#include "comm/world.h"
#include "plan/partition.h"
#include "train/options.h"

struct values {
    struct model_choice model;
    struct export_values export;
    struct parallel_options parallel;
    struct {
        const char *output_dir;
        int64_t seed;
    } own;
};

#define OWN(member) offsetof(struct values, own.member) - offsetof(struct values, own)

static const struct option own_options[] = {
    { "output_dir", OPTION_STRING, OWN(output_dir), NULL, "directory for the model",
      .aliases = (const char *const[]){ "workdir", NULL } },
    { "seed", OPTION_INT, OWN(seed), "42", "random weights are a function of it, and of nothing else",
      .min = 0, .max = INT32_MAX, .aliases = (const char *const[]){ "jax_seed", NULL } },
    { 0 },
};

static const struct option_part parts[] = {
    { "What to make", own_options, offsetof(struct values, own) },
    { "Starting from", model_options_table, offsetof(struct values, model) },
    { .parts = export_parts, .offset = offsetof(struct values, export) },
    { "Ranks", parallel_options, offsetof(struct values, parallel) },
    { "", hub_notes, 0 },
    { "", no_compute_options, 0 },
    { 0 },
};

/* The weights are the same on any layout, so the first rank makes them for all. */
static int make(struct values *v, const struct mesh *mesh, const struct partition_rules *rules)
{
    struct model_options names;

    model_choice_options(&v->model, &names);
    names.new_head = true;
    names.seed = v->export.seed = (uint64_t)v->own.seed;
    v->export.output_dir = v->own.output_dir;
    if (mesh_size(mesh, AXIS_TP) > 1 || mesh_size(mesh, AXIS_PP) > 1)
        v->export.mesh = mesh;
    v->export.rules = rules;
    return export_model(&v->export, &names);
}

/* Nothing is computed, so nothing goes through stages and nothing is kept. */
static void tell_idle(const struct options *o, const struct mesh *mesh)
{
    static const char *const names[] = { "num_microbatches", "pipeline_schedule", "pipeline_chunks",
                                         "zero_stage", "recompute" };
    bool pieces = mesh_size(mesh, AXIS_TP) > 1 || mesh_size(mesh, AXIS_PP) > 1;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        option_tell_idle(o, names[i], true, "no step is taken here");
    option_tell_idle(o, "max_shard_size", pieces, "each rank has a file of its own");
}

static int run_in(struct values *v, const struct options *o, const struct world *w)
{
    struct partition_rules *rules;
    struct mesh mesh;
    int status;

    TRY(parallel_mesh(&v->parallel, w, &mesh));
    TRY(parallel_rules(&v->parallel, w, &mesh, &rules));
    tell_idle(o, &mesh);
    status = world_is_first(w) ? make(v, &mesh, rules) : OK;
    partition_rules_free(rules);
    return status;
}

static int run(void *values, struct options *o)
{
    struct values *v = values;
    struct world w;

    TRY(require_text("output_dir", v->own.output_dir));
    TRY(parallel_open(&v->parallel, &w, tell_error));
    return world_close(&w, run_in(v, o, &w));
}

const struct command command_init = {
    .name = "init",
    .summary = "make a model directory: random weights, or known ones with another vocabulary",
    .example = "plait init --config_name my-gpt2 --output_dir my-gpt2\n"
               "plait init --config_name my-gpt2 --tensor_parallel_size 4 --output_dir pieces\n"
               "plait init --model_name_or_path gpt2 --vocab_size 50304 --output_dir wider",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};
