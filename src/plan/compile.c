/* compile -- from a model and a task to a plan: inputs, model, objective, then the passes in their order:
 * gradient, optimizer, shard, stages, recompute, fuse, kernels and memory. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "core/autodiff.h"
#include "core/rewrite.h"
#include "plan/partition.h"
#include "plan/plan.h"
#include "plan/stage.h"

const char *const plan_stages[] = { "graph", "grad",      "optimizer", "shard",  "stages", "recompute",
                                    "fuse",  "precision", "overlap",   "memory", NULL };

struct compilation {
    struct builder b;
    const struct config *config;
    const struct compile_options *o;
    struct plan *p;
    struct model_inputs in;
    struct model_outputs out;
    struct tensor *label_rows, *labels, *targets;
    struct tensor *sequence_rows; /* I32 [sequences]; NULL: nobody asks for a result of each sequence */
    enum problem problem;         /* of a classification head */
};

static bool has_targets(const struct compilation *c)
{
    return c->problem == PROBLEM_REGRESSION || c->problem == PROBLEM_MULTI_LABEL;
}

static enum problem problem_of(const struct config *config, const struct compile_options *o)
{
    if (config->head != HEAD_CLASSIFICATION)
        return PROBLEM_UNSAID;
    if (o->problem != PROBLEM_UNSAID || config->problem != PROBLEM_UNSAID)
        return o->problem != PROBLEM_UNSAID ? o->problem : config->problem;
    return config->labels == 1 ? PROBLEM_REGRESSION : PROBLEM_SINGLE_LABEL;
}

/* Numbers that go with each label. */
static int64_t target_width(const struct compilation *c)
{
    return has_targets(c) ? c->config->labels : c->o->loss ? c->o->target_width : 0;
}

static struct tensor *labelled_input(struct compilation *c, const char *name, enum dtype dtype)
{
    const struct dim label = { c->o->labels, COUNT_LABELS };

    return graph_input(&c->b, name, dtype, 1, &label);
}

static void make_cross_inputs(struct compilation *c)
{
    const struct compile_options *o = c->o;
    const struct dim row = { o->rows, COUNT_ROWS }, encoded = { o->encoder_rows, COUNT_ENCODER_ROWS };

    c->in.cross.cache_rows = o->cross_rows;
    c->in.cross.cache_positions = o->cross_positions;
    c->in.cross.encoder_slot = graph_input(&c->b, "encoder_slot", DT_I32, 1, &encoded);
    c->in.cross.slot = graph_input(&c->b, "cross_slot", DT_I32, 1, &row);
    c->in.cross.last = graph_input(&c->b, "cross_last", DT_I32, 1, &row);
}

static void make_cache_inputs(struct compilation *c)
{
    const struct compile_options *o = c->o;
    const struct dim row = { o->rows, COUNT_ROWS };
    const struct dim source[] = { { o->cache_rows, COUNT_FIXED }, { o->cache_positions, COUNT_FIXED } };

    c->in.cached = true;
    c->in.cache_rows = o->cache_rows;
    c->in.cache_positions = o->cache_positions;
    c->in.slot = graph_input(&c->b, "slot", DT_I32, 1, &row);
    c->in.source = graph_input(&c->b, "source", DT_I32, 2, source);
}

/* forward: of every sequence, labelled or not; label_rows, where logits are compared, then count these. */
static bool has_sequence_results(const struct compilation *c)
{
    enum head_kind head = c->config->head;

    return (c->o->task == TASK_FORWARD || c->o->task == TASK_GRADIENT) &&
           (head == HEAD_CLASSIFICATION || head == HEAD_NONE);
}

static void make_inputs(struct compilation *c)
{
    const struct compile_options *o = c->o;
    const struct input_sizes sizes = { o->rows, o->encoder_rows, o->sequences };
    const struct dim sequence = { o->sequences, COUNT_SEQUENCES };
    const struct dim targets[] = { { o->labels, COUNT_LABELS }, { target_width(c), COUNT_FIXED } };
    const struct graph *g = c->p->graph;

    model_inputs_make(&c->b, c->config, &sizes, &c->in);
    if (has_sequence_results(c))
        c->sequence_rows = graph_input(&c->b, "sequence_rows", DT_I32, 1, &sequence);
    c->label_rows = labelled_input(c, "label_rows", DT_I32);
    if (o->task == TASK_GENERATE)
        make_cache_inputs(c);
    if (o->task == TASK_GENERATE && config_has_encoder(c->config))
        make_cross_inputs(c);
    if (o->task != TASK_GENERATE)
        c->labels = labelled_input(c, "labels", DT_I32);
    if (target_width(c) > 0 && o->task != TASK_GENERATE)
        c->targets = graph_input(&c->b, "targets", DT_F32, 2, targets);
    for (size_t i = 0; i < g->tensor_count; i++) /* each dp rank fills what is counted for its own samples */
        if (g->tensors[i]->dims[0].count != COUNT_FIXED)
            g->tensors[i]->layout.on[AXIS_DP] = (struct placement){ .kind = SHARD, .dim = 0 };
}

static void freeze(struct compilation *c)
{
    const struct graph *g = c->p->graph;

    for (size_t i = 0; c->o->frozen && i < g->tensor_count; i++) {
        struct tensor *t = g->tensors[i];
        struct param_info *info;
        if (t->kind != TENSOR_PARAM || !c->o->frozen(t->name, c->o->frozen_context))
            continue;
        info = arena_alloc(&c->p->graph->arena, sizeof(*info));
        *info = *t->param;
        info->trainable = false;
        t->param = info;
    }
}

static bool has_loss(enum task task)
{
    return task != TASK_GENERATE;
}

static bool has_logits(enum task task)
{
    return task == TASK_FORWARD || task == TASK_GRADIENT || task == TASK_GENERATE;
}

/* Logits of all rows are asked for: the head's work is done for all of them. */
static bool needs_every_row(const struct compilation *c)
{
    return (c->o->task == TASK_FORWARD || c->o->task == TASK_GRADIENT) &&
           c->config->head != HEAD_CLASSIFICATION;
}

/* Those that head_loss would choose by itself need not be gathered, when nothing stands before it. */
static bool gathers(const struct compilation *c)
{
    return !needs_every_row(c) && (has_logits(c->o->task) || has_targets(c) || c->out.head.prepare);
}

static void add_head(struct compilation *c)
{
    const struct head *head = &c->out.head;
    struct tensor *chosen = c->sequence_rows ? c->sequence_rows : c->label_rows;
    struct tensor *place = c->in.rows.sequences.place, *rows = gathers(c) ? chosen : NULL;
    struct tensor *x = head_input(&c->b, head, c->out.hidden, rows, place), *logits = NULL;
    const struct head_loss_options loss = { .smoothing = c->o->label_smoothing,
                                            .z = c->o->z_loss,
                                            .scores = c->o->scores ? &c->p->scores : NULL };

    if (has_logits(c->o->task) || has_targets(c))
        logits = head_logits(&c->b, head, x);
    if (has_logits(c->o->task))
        c->p->logits = logits;
    if (!has_loss(c->o->task) || c->o->loss || builder_status(&c->b) != OK)
        return;
    if (has_targets(c) && (loss.smoothing != 0 || loss.z != 0))
        c->b.status = fail(ERR_CONFIG, "label_smoothing_factor and z_loss are for labels that are one of "
                                       "several, not for numbers or several at once");
    else if (has_targets(c))
        c->p->loss =
            target_loss(&c->b, c->sequence_rows ? embedding(&c->b, logits, c->label_rows) : logits,
                        c->targets, c->problem == PROBLEM_REGRESSION ? TARGET_SQUARE : TARGET_BINARY);
    else
        c->p->loss =
            head_loss_with(&c->b, x, head, rows == c->label_rows ? NULL : c->label_rows, c->labels, &loss);
}

static void add_own_loss(struct compilation *c)
{
    struct loss_inputs x = {
        .out = &c->out, .in = &c->in, .label_rows = c->label_rows, .labels = c->labels, .targets = c->targets
    };

    x.rows = head_input(&c->b, &c->out.head, c->out.hidden, c->label_rows, c->in.rows.sequences.place);
    if (builder_status(&c->b) != OK)
        return;
    c->p->loss = c->o->loss(&c->b, &x, c->o->loss_context);
    c->p->count = x.count;
}

static int add_objective(struct compilation *c)
{
    struct plan *p = c->p;
    struct builder *b = &c->b;

    p->hidden = c->out.hidden;
    if (c->out.head.weight && (has_logits(c->o->task) || !c->o->loss))
        add_head(c);
    else if (c->out.head.prepare && c->o->task == TASK_FORWARD)
        p->pooled = head_input(b, &c->out.head, p->hidden, c->sequence_rows, c->in.rows.sequences.place);
    if (has_loss(c->o->task) && c->o->loss && builder_status(b) == OK)
        add_own_loss(c);
    if (builder_status(b) == OK && !p->loss && c->o->task != TASK_FORWARD && c->o->task != TASK_GENERATE)
        return fail(ERR_CONFIG, "this model has no head, so there is no loss to train or evaluate");
    return builder_status(b);
}

static void show(const struct compilation *c, const char *stage)
{
    if (c->o->stage)
        c->o->stage(stage, c->p, c->o->stage_context);
}

/* Each rank makes a slice of every parameter in the update, for all to have. */
static bool slices_params(const struct compile_options *o)
{
    return mesh_size(&o->mesh, AXIS_DP) > 1 && (o->zero_stage == 1 || o->zero_stage == 2);
}

static int build_graph(struct compilation *c)
{
    make_inputs(c);
    config_build(c->config, &c->b, &c->in, &c->out);
    TRY(builder_status(&c->b));
    TRY(add_objective(c));
    freeze(c);
    show(c, "graph");
    if (c->o->task == TASK_TRAIN || c->o->task == TASK_GRADIENT) {
        TRY(autodiff(&c->b, c->p->loss));
        show(c, "grad");
    }
    if (c->o->task == TASK_TRAIN) {
        c->p->control = update_build(&c->b, c->p->loss, c->p->count, &c->o->optimizer, slices_params(c->o));
        TRY(builder_status(&c->b));
        show(c, "optimizer");
    }
    return builder_status(&c->b);
}

enum { OUTPUTS = 8 }; /* that the host may read */

static void find_programs(struct plan *p)
{
    const struct graph *g = p->graph;
    int end = (int)g->node_count, update = end;

    while (update > 0 && g->nodes[update - 1]->unit == UNIT_UPDATE)
        update--;
    p->program[PROGRAM_MICROBATCH] = (struct plan_program){ .first = 0, .end = update };
    p->program[PROGRAM_UPDATE] = (struct plan_program){ .first = update, .end = end };
}

static int or_one(int count)
{
    return count > 0 ? count : 1;
}

static bool has_backward(enum task task)
{
    return task == TASK_TRAIN || task == TASK_GRADIENT;
}

/* Keeps the nodes of this rank's stages. outputs: OUTPUTS of them. */
static int cut_stages(struct compilation *c, struct tensor **const outputs[])
{
    const struct compile_options *o = c->o;
    struct plan *p = c->p;
    const struct schedule_options schedule = { .kind = o->pipeline.schedule,
                                               .ranks = mesh_size(&o->mesh, AXIS_PP),
                                               .chunks = or_one(o->pipeline.chunks),
                                               .microbatches = or_one(o->pipeline.microbatches),
                                               .forward_only = !has_backward(o->task) };

    p->layers = p->graph->layers;
    p->piece_seconds = stages_piece_seconds(p, &o->cluster);
    if (schedule.ranks == 1)
        return OK;
    p->stages = mem_alloc(sizeof(*p->stages));
    if (o->beside)
        stages_copy(o->beside->stages, p->stages);
    else
        TRY(stages_balance(p->piece_seconds, p->layers, schedule.ranks, schedule.chunks, p->stages));
    TRY(schedule_create(&schedule, &p->schedule));
    p->whole = p->graph;
    p->graph = stages_cut(p->stages, p->whole, o->stage_rank, p->schedule->split, outputs, OUTPUTS);
    return OK;
}

/* Shares need not be alike, nor does each rank need a head; but there must be something to share out. */
static int check_ranks(const struct compilation *c)
{
    const struct tensor *hidden = c->out.hidden;
    int ranks = mesh_size(&c->o->mesh, AXIS_TP);
    int64_t width = hidden->dims[hidden->ndim - 1].size;

    if (ranks <= width)
        return OK;
    return fail(ERR_CONFIG,
                "--tensor_parallel_size: more ranks than the model is wide (found %d, expected 1 to %" PRId64
                ")",
                ranks, width);
}

static int run_passes(struct compilation *c, const struct machine *machine)
{
    const struct compile_options *o = c->o;
    struct plan *p = c->p;
    const struct shard_options shard = { .mesh = &o->mesh,
                                         .cluster = &o->cluster,
                                         .beside = o->beside ? plan_whole(o->beside) : NULL,
                                         .rules = o->rules,
                                         .zero_stage = o->zero_stage };
    struct tensor *outputs[OUTPUTS],
        **const read[OUTPUTS] = { &p->loss,          &p->logits,      &p->hidden, &p->pooled,
                                  &p->scores.target, &p->scores.best, &p->count,  &p->control };

    TRY(check_ranks(c));
    TRY(partition_rules_check(o->rules, p->graph));
    TRY(shard_graph(p->graph, &shard, read, o->task == TASK_TRAIN ? 0 : 7));
    p->anywhere.logits = p->logits;
    p->anywhere.hidden = p->hidden;
    p->anywhere.pooled = p->pooled;
    show(c, "shard");
    rewrite_fuse(p->graph, &op_head_stats); /* stages are balanced by the loss as it will be computed */
    if (mesh_size(&o->mesh, AXIS_PP) == 1 || o->pipeline.schedule != SCHEDULE_GPIPE)
        logits_keep(p, o->recompute); /* else they would be there for all microbatches */
    TRY(cut_stages(c, read));
    show(c, "stages");
    if (o->recompute == RECOMPUTE_FULL) {
        rewrite_recompute_layers(p->graph);
        zero_merge_gathers(p->graph);
    } else {
        zero_merge_scatters(p->graph, p->schedule && p->schedule->split);
    }
    if (o->recompute != RECOMPUTE_NONE)
        rewrite_recompute_cheap(p->graph);
    show(c, "recompute");
    rewrite_fuse(p->graph, NULL);
    outputs[0] = p->loss;
    outputs[1] = p->logits;
    outputs[2] = c->out.head.weight ? NULL : p->hidden;
    outputs[3] = p->control;
    outputs[4] = p->pooled;
    outputs[5] = p->scores.target;
    outputs[6] = p->scores.best;
    outputs[7] = p->count;
    rewrite_drop_unused(p->graph, outputs, OUTPUTS);
    show(c, "fuse");
    if (o->dtype == DT_BF16)
        precision_narrow(p->graph, outputs, 5);
    show(c, "precision");
    overlap_collectives(p->graph, &o->mesh, &o->cluster, p->schedule && p->schedule->split, outputs, OUTPUTS);
    show(c, "overlap");
    find_programs(p);
    parts_find(p);
    TRY(plan_assign(p, machine, outputs, OUTPUTS));
    show(c, "memory");
    return OK;
}

int plan_compile(const struct config *config, const struct compile_options *o, const struct machine *machine,
                 struct plan **out)
{
    struct plan *p = mem_alloc(sizeof(*p));
    struct compilation c = { .config = config, .o = o, .p = p, .problem = problem_of(config, o) };
    int status;

    p->graph = graph_create();
    p->mesh = o->mesh;
    memcpy(p->used, o->used, sizeof(p->used));
    p->task = o->task;
    p->stage_rank = o->stage_rank;
    builder_init(&c.b, p->graph);
    c.b.training = o->task == TASK_TRAIN;
    status = build_graph(&c);
    if (status == OK)
        status = run_passes(&c, machine);
    if (status == OK)
        *out = p;
    else
        plan_free(p);
    return status;
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    graph_free(p->graph);
    graph_free(p->whole);
    schedule_free(p->schedule);
    if (p->stages)
        stages_release(p->stages);
    mem_free(p->stages);
    mem_free(p->chunk);
    mem_free(p->piece_seconds);
    mem_free(p->region);
    mem_free(p->offset);
    mem_free(p->kernels);
    mem_free(p->workspace);
    mem_free(p);
}

const struct graph *plan_whole(const struct plan *p)
{
    return p->whole ? p->whole : p->graph;
}

int plan_stage_of(const struct plan *p, const struct tensor *t)
{
    return p->stages ? stage_of_layer(p->stages, t->producer->layer) : 0;
}

int64_t plan_bytes(const struct plan *p)
{
    int64_t arena = 0;

    for (int i = 0; i < PROGRAM_COUNT; i++)
        arena = p->program[i].arena_bytes > arena ? p->program[i].arena_bytes : arena;
    return p->param_bytes + p->state_bytes + p->grad_bytes + p->input_bytes + arena;
}
