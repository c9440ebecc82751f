/* How a command's work is laid out over ranks. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/options.h"
#include "api/oslo.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "comm/world.h"
#include "core/placement.h"
#include "plan/layout.h"
#include "plan/partition.h"

enum { AUTO = 0 /* index of the word */, MOST_RANKS = 256 };

static const char *const words[] = { "auto", NULL };
static const char *const answers[] = { "auto", "true", "false", NULL };
static const char *const schedules[] = { "auto", "gpipe", "1f1b", "interleaved", "zero_bubble", NULL };
static const char *const recomputes[] = { "auto", "none", "selective", "full", NULL };
static const char *const comms[] = { "auto", "local", "mpi", "nccl", NULL };

#define SIZE(member) OPTION_INT, offsetof(struct parallel_options, member), "auto"

const struct option parallel_options[] = {
    { "data_parallel_size", SIZE(data), "copies of the model, each with its part of the batch", .min = 1,
      .max = 1 << 20, .choices = words },
    { "tensor_parallel_size", SIZE(tensor), "ranks among which each layer is divided", .min = 1,
      .max = 1 << 20, .choices = words,
      .aliases = (const char *const[]){ "n_model_shards", "tensor_model_parallel_size", NULL } },
    { "pipeline_parallel_size", SIZE(pipeline), "stages of consecutive layers", .min = 1, .max = 1 << 20,
      .choices = words, .aliases = (const char *const[]){ "pipeline_model_parallel_size", NULL } },
    { "num_microbatches", SIZE(microbatches),
      "parts of a batch that go through the stages one after the other", .min = 1, .max = 1 << 20,
      .choices = words },
    { "pipeline_schedule", OPTION_CHOICE, offsetof(struct parallel_options, schedule), "auto",
      "order of the parts", .choices = schedules,
      .aliases = (const char *const[]){ "train_schedule", NULL } },
    { "pipeline_chunks", SIZE(chunks), "stages on one rank", .min = 1, .max = 1 << 10, .choices = words },
    { "zero_stage", SIZE(zero),
      "what copies of the model deal out, instead of each "
      "having all: 1 the optimizer's state, 2 also gradients, 3 also parameters",
      .min = 0, .max = 3, .choices = words },
    { "sequence_parallel", OPTION_CHOICE, offsetof(struct parallel_options, sequence), "auto",
      "divide norms and residuals along the tokens", .choices = answers, .bare = true },
    { "recompute", OPTION_CHOICE, offsetof(struct parallel_options, recompute), "auto",
      "what is computed again for the gradient instead of kept", .choices = recomputes,
      .aliases =
          (const char *const[]){ "gradient_checkpointing=full", "activation_checkpointing=full", NULL } },
    { "partition_rules", OPTION_STRING, offsetof(struct parallel_options, rules), NULL,
      "JSON file with placements of parameters by pattern" },
    { "parallel_config", OPTION_STRING, offsetof(struct parallel_options, config), NULL,
      "JSON file {\"model_parallelism\": {\"tensor_parallel_size\": N, ...}, \"activation_checkpointing\": "
      "{...}}, as OSLO takes it" },
    { "world_size", SIZE(world), "ranks inside this process; under mpirun and srun their number", .min = 1,
      .max = 1 << 20, .choices = words },
    { "n_processes", OPTION_INT, offsetof(struct parallel_options, processes), NULL,
      "processes that mpirun or srun has started: refused when it is another number", .min = 1,
      .max = 1 << 20 },
    { "process_id", OPTION_INT, offsetof(struct parallel_options, process), "-1",
      "number of this process among them: refused when it is another; -1: not said", .min = -1,
      .max = 1 << 20 },
    { "n_local_devices", OPTION_INT, offsetof(struct parallel_options, local), NULL,
      "ranks on this host: refused when there are others", .min = 1, .max = 1 << 20 },
    { "host0_address", OPTION_NOTE, .help = "mpirun and srun tell ranks where the others are" },
    { "host0_port", OPTION_NOTE, .help = "mpirun and srun tell ranks where the others are" },
    { "nproc_per_node", OPTION_REFUSE, .help = "ranks are --world_size, or those of mpirun or srun" },
    { "nnodes", OPTION_REFUSE, .help = "hosts are those of mpirun or srun" },
    { "model_parallelism", OPTION_REFUSE, .help = "a file of OSLO's goes to --parallel_config" },
    { "comm", OPTION_CHOICE, offsetof(struct parallel_options, comm), "auto", "what ranks talk through",
      .choices = comms },
    { 0 },
};

/* ---- checks ---- */

/* As the user should have started it. */
static void hint_launch(const struct world *w, long long ranks)
{
    if (w && w->launcher)
        error_hint("%s -n %lld plait ...", w->launcher, ranks);
}

static int64_t or_one(int64_t size)
{
    return size > 0 ? size : 1;
}

static void append_size(struct str *out, const char *name, int64_t size)
{
    str_appendf(out, "%s%s ", out->length > 0 ? " x " : "", name);
    if (size > 0)
        str_appendf(out, "%lld", (long long)size);
    else
        str_append(out, "auto");
}

/* ERR_CONFIG: the world is not the sizes, `given` together, times what is left open. */
static int refuse_world(const struct parallel_options *p, const struct world *w, int64_t given)
{
    const char *launcher = w ? w->launcher : NULL;
    bool open = p->data <= 0 || p->tensor <= 0 || p->pipeline <= 0;
    int64_t below = p->world / given * given, above = below + given, nearest;
    struct str sizes, expected;

    if (!open || below == 0)
        below = above = given;
    nearest = p->world - below <= above - p->world ? below : above;
    str_init(&sizes);
    str_init(&expected);
    append_size(&sizes, "data_parallel_size", p->data);
    append_size(&sizes, "tensor_parallel_size", p->tensor);
    append_size(&sizes, "pipeline_parallel_size", p->pipeline);
    str_appendf(&expected, "%lld", (long long)below);
    if (above != below)
        str_appendf(&expected, " or %lld", (long long)above);
    fail(ERR_CONFIG, "%s: not %s (found %lld, expected %s)", launcher ? launcher : "--world_size", sizes.data,
         (long long)p->world, expected.data);
    hint_launch(w, (long long)nearest);
    str_release(&sizes);
    str_release(&expected);
    return ERR_CONFIG;
}

/* A size left to plait: what is left of the world, for data; one for tensor and pipeline. */
static int fill_sizes(const struct parallel_options *p, const struct world *w, struct mesh *mesh)
{
    int64_t tensor = or_one(p->tensor), stages = or_one(p->pipeline), data = or_one(p->data), given;

    if (!checked_mul(tensor, stages, &given) || !checked_mul(given, data, &given))
        return fail(ERR_CONFIG, "the sizes of the layout are too large to count");
    if (p->world > 0 && p->world % given != 0)
        return refuse_world(p, w, given);
    if (p->world > 0 && p->data <= 0)
        data = p->world / (tensor * stages);
    else if (p->world > 0 && p->tensor <= 0)
        tensor = p->world / (data * stages);
    else if (p->world > 0 && p->pipeline <= 0)
        stages = p->world / (data * tensor);
    if (p->world > 0 && data * tensor * stages != p->world)
        return refuse_world(p, w, given);
    if (data * tensor * stages > MOST_RANKS && !(w && w->launcher) && !p->thought)
        return fail(ERR_CONFIG, "too many ranks for one process (found %lld, expected at most %d)",
                    (long long)(data * tensor * stages), MOST_RANKS);
    *mesh = (struct mesh){ .size = { (int)data, (int)tensor, (int)stages } };
    return OK;
}

/* ---- the world ---- */

int agree_on_bytes(const struct world *w, const char *what, const void *bytes, size_t length)
{
    char hash[32];

    snprintf(hash, sizeof(hash), "%016" PRIx64, hash_bytes(bytes, length, 0));
    return world_agree(w, what, hash);
}

static int agree_on_rest(const struct world *w, const char *what, const char *path, size_t skipped)
{
    struct str text;
    int status;

    if (!w || !w->comm)
        return OK;
    str_init(&text);
    status = file_read(path, 0, &text);
    if (status == OK) {
        size_t from = skipped < text.length ? skipped : text.length;
        status = agree_on_bytes(w, what, text.data + from, text.length - from);
    }
    str_release(&text);
    return status;
}

int agree_on_file(const struct world *w, const char *what, const char *path)
{
    return path && file_exists(path) ? agree_on_rest(w, what, path, 0) : agree_on_bytes(w, what, "", 0);
}

/* All ranks are the same program with the same options. */
static int agree(const struct world *w)
{
    if (!w->comm)
        return OK;
    TRY(agree_on_rest(w, "plait", "/proc/self/exe", 0));
    return agree_on_rest(w, "command line", "/proc/self/cmdline", strlen(program_invocation_name) + 1);
}

/* What redco's command lines say of the launcher. */
static int check_said(const char *option, int64_t said, int64_t there, const struct world *w)
{
    if (said == there)
        return OK;
    return fail(ERR_CONFIG, "--%s: contradicts %s (found %lld, expected %lld)", option,
                w && w->launcher ? w->launcher : "a start without mpirun or srun", (long long)said,
                (long long)there);
}

static int check_world(struct parallel_options *p, const struct world *w)
{
    if (p->processes > 0)
        TRY(check_said("n_processes", p->processes, w->comm ? w->ranks : 1, w));
    if (p->process >= 0)
        TRY(check_said("process_id", p->process, w->rank, w));
    if (!w->comm)
        return OK;
    if (p->world > 0 && p->world != w->ranks) {
        fail(ERR_CONFIG, "--world_size: not what %s has started (found %lld, expected %d)", w->launcher,
             (long long)p->world, w->ranks);
        hint_launch(w, (long long)p->world);
        return ERR_CONFIG;
    }
    p->world = w->ranks;
    return agree(w);
}

int parallel_open(struct parallel_options *p, struct world *w, void (*tell)(int status))
{
    static const enum world_comm kinds[] = { WORLD_AUTO, WORLD_LOCAL, WORLD_MPI };
    int status;

    if (p->comm >= (int)(sizeof(kinds) / sizeof(kinds[0])))
        return fail(ERR_CONFIG, "--comm %s: this plait was built without it (expected local or mpi)",
                    comms[p->comm]);
    TRY(world_open(w, &(struct world_options){ .comm = kinds[p->comm], .tell = tell }));
    status = check_world(p, w);
    return status == OK ? OK : world_close(w, status);
}

int parallel_mesh(struct parallel_options *p, const struct world *w, struct mesh *mesh)
{
    if (p->config)
        TRY(oslo_read(p->config, p));
    TRY(fill_sizes(p, w, mesh));
    if (p->local > 0)
        TRY(check_said("n_local_devices", p->local, world_host_ranks(w, mesh), w));
    if (p->sequence)
        note("--sequence_parallel: norms and residuals are divided where that is cheaper, asked for or not");
    return OK;
}

int parallel_rules(const struct parallel_options *p, const struct world *w, const struct mesh *mesh,
                   struct partition_rules **out)
{
    *out = NULL;
    if (!p->rules)
        return OK;
    TRY(agree_on_rest(w, "partition rules", p->rules, 0));
    if (mesh_ranks(mesh) == 1)
        note("--partition_rules: one rank has all parameters, so there is nothing to deal out");
    TRY(partition_rules_load(p->rules, out));
    if (mesh_ranks(mesh) > 1 && !p->searched)
        partition_rules_tell_idle(*out, mesh);
    return OK;
}

bool parallel_has_stages(const struct parallel_options *p, const struct mesh *mesh)
{
    return mesh_size(mesh, AXIS_PP) > 1 || (p->searched && p->pipeline <= 0 && mesh_ranks(mesh) > 1);
}

int parallel_pipeline(const struct parallel_options *p, const struct mesh *mesh, struct pipeline_options *out)
{
    *out = (struct pipeline_options){ .schedule = p->chunks > 1 ? SCHEDULE_INTERLEAVED : SCHEDULE_1F1B,
                                      .chunks = (int)or_one(p->chunks) };
    if (!parallel_has_stages(p, mesh)) {
        if (p->schedule > 0)
            note("--pipeline_schedule: with one stage there is nothing to order");
        if (p->chunks > 1)
            return fail(ERR_CONFIG,
                        "--pipeline_chunks: one rank has the whole model (found %lld, expected 1)",
                        (long long)p->chunks);
        if (p->microbatches > 1)
            return fail(ERR_CONFIG,
                        "--num_microbatches: one rank has the whole model (found %lld, expected 1); "
                        "gradient_accumulation_steps divides a batch without stages",
                        (long long)p->microbatches);
        return OK;
    }
    if (p->schedule > 0)
        out->schedule = (enum schedule_kind)(p->schedule - 1);
    if (out->schedule == SCHEDULE_INTERLEAVED && p->chunks <= 0)
        out->chunks = 2;
    out->microbatches = p->microbatches > 0 ? (int)p->microbatches : 0;
    return OK;
}

int parallel_zero_stage(const struct parallel_options *p, const struct mesh *mesh)
{
    if (p->zero > 0 && mesh_size(mesh, AXIS_DP) == 1 &&
        !(p->searched && p->data != 1 && mesh_ranks(mesh) > 1))
        note("--zero_stage: with one copy of the model there is nothing to deal out among copies");
    return p->zero > 0 ? (int)p->zero : 0;
}

void parallel_wish(const struct parallel_options *p, const struct mesh *mesh, struct layout_wish *w)
{
    *w = (struct layout_wish){ .world = mesh_ranks(mesh),
                               .data = (int)p->data,
                               .tensor = (int)p->tensor,
                               .pipeline = (int)p->pipeline,
                               .microbatches = (int)p->microbatches,
                               .chunks = (int)p->chunks,
                               .schedule = p->schedule > 0 ? p->schedule - 1 : PLANNED,
                               .recompute = p->recompute > 0 ? (int)parallel_recompute(p) : PLANNED,
                               .zero = p->zero >= 0 ? (int)p->zero : PLANNED,
                               .most_zero = 3 };
}

enum recompute parallel_recompute(const struct parallel_options *p)
{
    static const enum recompute kinds[] = { RECOMPUTE_SELECTIVE, RECOMPUTE_NONE, RECOMPUTE_SELECTIVE,
                                            RECOMPUTE_FULL };

    return kinds[p->recompute]; /* in the order of enum recompute_word */
}
