/* compile -- from a model and a task to a plan: inputs, model, objective, then the passes in their order:
 * gradient, optimizer, shard, recompute, fuse, kernels and memory. */
#include <stdio.h>

#include "base/err.h"
#include "core/autodiff.h"
#include "core/rewrite.h"
#include "plan/plan.h"

const char *const plan_stages[] = {
    "graph", "grad", "optimizer", "shard", "recompute", "fuse", "memory", NULL
};

struct compilation {
    struct builder b;
    const struct compile_options *o;
    struct plan *p;
    struct model_inputs in;
    struct model_outputs out;
    struct tensor *label_rows, *labels, *targets;
};

static struct tensor *labelled_input(struct compilation *c, const char *name, enum dtype dtype)
{
    const struct dim label = { c->o->labels, COUNT_LABELS };

    return graph_input(&c->b, name, dtype, 1, &label);
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

static void make_inputs(struct compilation *c, const struct model_def *def)
{
    const struct compile_options *o = c->o;
    const struct input_sizes sizes = { o->rows, o->encoder_rows, o->sequences };
    const struct dim targets[] = { { o->labels, COUNT_LABELS }, { o->target_width, COUNT_FIXED } };
    const struct graph *g = c->p->graph;

    model_inputs_make(&c->b, def, &sizes, &c->in);
    c->label_rows = labelled_input(c, "label_rows", DT_I32);
    if (o->task == TASK_GENERATE)
        make_cache_inputs(c);
    else
        c->labels = labelled_input(c, "labels", DT_I32);
    if (o->target_width)
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

static struct tensor *logits_of(struct builder *b, struct tensor *x, const struct head *head)
{
    return linear(b, x, head->weight, head->bias, 1, head->out_first);
}

static bool has_loss(enum task task)
{
    return task != TASK_GENERATE;
}

static bool has_logits(enum task task)
{
    return task == TASK_FORWARD || task == TASK_GRADIENT || task == TASK_GENERATE;
}

static int add_objective(struct compilation *c)
{
    struct plan *p = c->p;
    struct builder *b = &c->b;
    struct tensor *x = c->out.hidden;

    p->hidden = x;
    if (c->o->task == TASK_GENERATE)
        x = embedding(b, x, c->label_rows); /* the rows asked for */
    if (has_logits(c->o->task) && c->out.head.weight)
        p->logits = logits_of(b, x, &c->out.head);
    if (!has_loss(c->o->task) || builder_status(b) != OK)
        return builder_status(b);
    if (c->o->loss)
        p->loss = c->o->loss(b, &c->out, &c->in, c->label_rows, c->labels, c->o->loss_context);
    else if (c->out.head.weight)
        p->loss = head_loss(b, c->out.hidden, &c->out.head, c->label_rows, c->labels);
    if (builder_status(b) == OK && !p->loss && c->o->task != TASK_FORWARD)
        return fail(ERR_CONFIG, "this model has no head, so there is no loss to train or evaluate");
    return builder_status(b);
}

static void show(const struct compilation *c, const char *stage)
{
    if (c->o->stage)
        c->o->stage(stage, c->p, c->o->stage_context);
}

static int build_graph(struct compilation *c, const struct model_def *def, const void *config)
{
    make_inputs(c, def);
    def->build(&c->b, config, &c->in, &c->out);
    TRY(builder_status(&c->b));
    freeze(c);
    TRY(add_objective(c));
    show(c, "graph");
    if (c->o->task == TASK_TRAIN || c->o->task == TASK_GRADIENT) {
        TRY(autodiff(&c->b, c->p->loss));
        show(c, "grad");
    }
    if (c->o->task == TASK_TRAIN) {
        c->p->control = update_build(&c->b, c->p->loss, &c->o->adamw);
        TRY(builder_status(&c->b));
        show(c, "optimizer");
    }
    return builder_status(&c->b);
}

static void find_programs(struct plan *p)
{
    const struct graph *g = p->graph;
    int end = (int)g->node_count, update = end;

    while (update > 0 && g->nodes[update - 1]->unit == UNIT_UPDATE)
        update--;
    p->program[PROGRAM_MICROBATCH] = (struct plan_program){ .first = 0, .end = update };
    p->program[PROGRAM_UPDATE] = (struct plan_program){ .first = update, .end = end };
}

static int run_passes(struct compilation *c, const struct machine *machine)
{
    const struct compile_options *o = c->o;
    struct plan *p = c->p;
    struct tensor *outputs[4], **const read[] = { &p->loss, &p->logits, &p->hidden };

    TRY(shard_graph(p->graph, &o->mesh, &o->cluster, read, o->task == TASK_TRAIN ? 0 : 3));
    show(c, "shard");
    if (o->recompute == RECOMPUTE_FULL)
        rewrite_recompute_layers(p->graph);
    if (o->recompute != RECOMPUTE_NONE)
        rewrite_recompute_cheap(p->graph);
    show(c, "recompute");
    rewrite_fuse(p->graph);
    outputs[0] = p->loss;
    outputs[1] = p->logits;
    outputs[2] = c->out.head.weight ? NULL : p->hidden;
    outputs[3] = p->control;
    rewrite_drop_unused(p->graph, outputs, 4);
    show(c, "fuse");
    find_programs(p);
    TRY(plan_assign(p, machine, outputs, 4));
    show(c, "memory");
    return OK;
}

int plan_compile(const struct model_def *def, const void *config, const struct compile_options *o,
                 const struct machine *machine, struct plan **out)
{
    struct plan *p = mem_alloc(sizeof(*p));
    struct compilation c = { .o = o, .p = p };
    int status;

    p->graph = graph_create();
    p->mesh = o->mesh;
    p->task = o->task;
    builder_init(&c.b, p->graph);
    c.b.training = o->task == TASK_TRAIN;
    status = build_graph(&c, def, config);
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
    mem_free(p->offset);
    mem_free(p->kernels);
    mem_free(p->workspace);
    mem_free(p);
}

int64_t plan_bytes(const struct plan *p)
{
    int64_t arena = 0;

    for (int i = 0; i < PROGRAM_COUNT; i++)
        arena = p->program[i].arena_bytes > arena ? p->program[i].arena_bytes : arena;
    return p->param_bytes + p->state_bytes + p->grad_bytes + p->input_bytes + arena;
}
