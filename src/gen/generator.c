#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/parallel.h"
#include "cpu/machine.h"
#include "gen/gen_internal.h"

enum { CHUNK = 128 };

/* ---- Life ---- */

/* Decoding encodes nothing, but its graph is the same: one row, which is never in use. */
static int64_t encoder_rows(const struct generator *g, enum phase phase)
{
    const struct generator_capacity *c = &g->capacity;

    if (!config_has_encoder(g->config))
        return 0;
    return phase == DECODE ? 1 : c->chunk > c->encoder_positions ? c->chunk : c->encoder_positions;
}

/* Copies of the model know nothing of each other's plans: each is a mesh without dp. */
static void find_place(struct generator *g)
{
    const struct mesh *all;

    g->mesh = (struct mesh){ { 1, 1, 1 } };
    if (!g->comm)
        return;
    all = &g->comm->mesh;
    g->mesh.size[AXIS_TP] = mesh_size(all, AXIS_TP);
    g->mesh.size[AXIS_PP] = mesh_size(all, AXIS_PP);
    g->rank = mesh_neighbour(&g->mesh, mesh_coordinate(all, g->comm->rank, AXIS_TP), AXIS_PP,
                             mesh_coordinate(all, g->comm->rank, AXIS_PP));
}

static bool is_divided(const struct generator *g)
{
    return mesh_ranks(&g->mesh) > 1;
}

/* Rows of a step are dealt out to as many microbatches as there are stages to be kept busy. */
static void divide(struct generator *g, struct compile_options *o)
{
    int64_t sequences = g->capacity.prompts * g->capacity.width;
    int stages = mesh_size(&g->mesh, AXIS_PP);

    g->microbatches = sequences < stages ? (int)sequences : stages;
    o->pipeline = (struct pipeline_options){ .schedule = SCHEDULE_GPIPE, .microbatches = g->microbatches };
    o->stage_rank = mesh_coordinate(&g->mesh, g->rank, AXIS_PP);
    o->rows = ceil_div(o->rows, g->microbatches);
    o->sequences = ceil_div(o->sequences, g->microbatches);
    o->labels = o->labels < o->rows ? o->labels : o->rows;
}

static int check_model(const struct config *config)
{
    if (config->head != HEAD_CAUSAL && config->head != HEAD_CONDITIONAL)
        return fail(ERR_CONFIG, "%s: this model has no language-model head, so there is nothing to generate",
                    config->name);
    if (config->head == HEAD_CAUSAL && !config_is_causal(config))
        return fail(ERR_CONFIG,
                    "%s: rows see what is to come, so nothing can be generated (found $.is_decoder "
                    "false, expected true)",
                    config->name);
    return OK;
}

static struct compile_options options_of(const struct generator *g, enum phase phase)
{
    const struct generator_capacity *c = &g->capacity;
    bool encoder = config_has_encoder(g->config);
    int64_t sequences = c->prompts * c->width, prefill = encoder ? c->prompts : c->chunk;
    int64_t rows = phase == DECODE || (is_divided(g) && sequences > prefill) ? sequences : prefill;
    int64_t labels = is_divided(g) || phase == DECODE ? sequences : c->prompts;

    return (struct compile_options){ .task = TASK_GENERATE,
                                     .rows = rows,
                                     .encoder_rows = encoder_rows(g, phase),
                                     .sequences = encoder && phase == PREFILL ? c->prompts : 0,
                                     .labels = labels < rows ? labels : rows,
                                     .cross_rows = c->prompts,
                                     .cross_positions = c->encoder_positions,
                                     .cache_rows = sequences,
                                     .cache_positions = c->positions,
                                     .dtype = c->dtype,
                                     .mesh = g->mesh,
                                     .cluster = c->cluster,
                                     .rules = c->rules };
}

/* Several ranks run both phases by one plan: a plan chooses how the parameters lie, and two could choose
 * differently. */
static int compile(struct generator *g, enum phase phase, const struct machine *machine)
{
    struct compile_options o = options_of(g, phase);

    g->feeds[phase] = (struct feed){ .row_capacity = o.rows,
                                     .encoder_capacity = o.encoder_rows,
                                     .label_capacity = o.labels,
                                     .source_count = o.cache_rows * o.cache_positions,
                                     .first_position = g->config->sizes.first_position };
    if (is_divided(g))
        divide(g, &o);
    if (is_divided(g) && phase == DECODE)
        g->plans[DECODE] = g->plans[PREFILL];
    else
        TRY(plan_compile(g->config, &o, machine, &g->plans[phase]));
    return OK;
}

/* Weights and cache are shared by both plans. */
static int64_t bytes_of(const struct generator *g)
{
    const struct plan *p = g->plans[PREFILL], *d = g->plans[DECODE];

    return plan_bytes(p) + plan_bytes(d) - d->param_bytes - d->state_bytes;
}

static int check_memory(const struct generator *g)
{
    const struct plan *p = g->plans[PREFILL];
    int64_t bytes = bytes_of(g);

    if (g->capacity.memory <= 0 || (double)bytes <= g->capacity.memory)
        return OK;
    fail(ERR_SYSTEM,
         "generation: not enough memory (%" PRId64 " bytes for weights, %" PRId64
         " for keys and values and %" PRId64 " for the rest, %.0f may be taken)",
         p->param_bytes, p->state_bytes, bytes - p->param_bytes - p->state_bytes, g->capacity.memory);
    error_hint("fewer prompts at once, fewer beams or fewer new tokens take less");
    return ERR_SYSTEM;
}

/* The cache of another size would be in the way. */
static void remove_cache(struct generator *g)
{
    const struct graph *graph = g->plans[PREFILL]->graph;

    for (size_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->kind == TENSOR_STATE && !graph->tensors[i]->producer)
            store_remove(g->store, graph->tensors[i]->name);
}

static int check_alone(const struct generator *g, const struct store *store)
{
    const struct graph *graph = g->plans[PREFILL]->graph;

    for (size_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->kind == TENSOR_STATE && store_find(store, graph->tensors[i]->name))
            return fail(ERR_INTERNAL, "%s: another generator has its cache in this store",
                        graph->tensors[i]->name);
    return OK;
}

static int bind(struct generator *g, enum phase phase, struct store *store)
{
    struct feed *f = &g->feeds[phase];

    TRY(executor_create(g->plans[phase], store, g->comm, g->rank, &g->executors[phase]));
    if (g->plans[phase]->chunks > 0)
        feed_make(f);
    else
        feed_bind(f, g->executors[phase]);
    for (int64_t row = 0; row < g->capacity.prompts * g->capacity.width; row++)
        for (int64_t t = 0; t < g->capacity.positions; t++)
            f->source[row * g->capacity.positions + t] = (int32_t)row;
    return OK;
}

/* As far as plans: both, or the one that they share. */
static int make_plans(struct generator *g)
{
    struct machine machine;

    if (g->capacity.chunk <= 0)
        g->capacity.chunk = CHUNK;
    TRY(check_model(g->config));
    TRY(machine_detect(&machine));
    for (int phase = 0; phase < PHASES; phase++)
        TRY(compile(g, (enum phase)phase, &machine));
    return OK;
}

static int check_size(const struct generator_capacity *c)
{
    int64_t table;

    if (checked_mul(c->prompts, c->width, &table) && table <= INT32_MAX &&
        checked_mul(table, c->positions, &table) && table <= INT64_MAX / 4096)
        return OK;
    return fail(ERR_CONFIG, "generation: %" PRId64 " prompts of %" PRId64 " sequences are too many",
                c->prompts, c->width);
}

int generator_create(const struct config *config, struct store *store, const struct generator_capacity *c,
                     struct comm *comm, struct generator **out)
{
    struct generator *g = mem_alloc(sizeof(*g));
    int status;

    g->config = config;
    g->comm = comm;
    find_place(g);
    g->capacity = *c;
    status = check_size(c);
    if (status == OK)
        status = make_plans(g);
    if (status == OK)
        status = check_memory(g);
    if (status == OK)
        status = check_alone(g, store);
    if (status == OK)
        g->store = store;
    for (int phase = 0; phase < PHASES && status == OK; phase++)
        status = bind(g, (enum phase)phase, store);
    if (status != OK) {
        generator_free(g);
        return status;
    }
    g->table = mem_alloc_array((size_t)(c->width * c->positions), sizeof(g->table[0]));
    *out = g;
    return OK;
}

static void free_plans(struct generator *g)
{
    if (g->plans[DECODE] != g->plans[PREFILL])
        plan_free(g->plans[DECODE]);
    plan_free(g->plans[PREFILL]);
}

void generator_free(struct generator *g)
{
    if (!g)
        return;
    for (int phase = 0; phase < PHASES; phase++) {
        executor_free(g->executors[phase]);
        feed_release(&g->feeds[phase]);
    }
    if (g->store)
        remove_cache(g);
    free_plans(g);
    mem_free(g->table);
    mem_free(g);
}

/* ---- Weighing a layout ---- */

int generator_step_plan(const struct config *config, const struct generator_capacity *c,
                        const struct mesh *mesh, struct plan **out)
{
    const struct generator g = { .config = config, .capacity = *c, .mesh = *mesh };
    const struct compile_options o = options_of(&g, DECODE);
    struct machine machine;

    TRY(check_model(config));
    TRY(check_size(c));
    TRY(machine_detect(&machine));
    return plan_compile(config, &o, &machine, out);
}

int generator_bytes(const struct config *config, const struct generator_capacity *c, const struct mesh *mesh,
                    int64_t *bytes)
{
    int status = check_size(c);
    int64_t most = 0;

    for (int s = 0; s < mesh_size(mesh, AXIS_PP) && status == OK; s++) {
        struct generator g = { .config = config, .capacity = *c };
        g.mesh = (struct mesh){ { 1, mesh_size(mesh, AXIS_TP), mesh_size(mesh, AXIS_PP) } };
        g.rank = mesh_neighbour(&g.mesh, 0, AXIS_PP, s);
        status = make_plans(&g);
        if (status == OK)
            most = bytes_of(&g) > most ? bytes_of(&g) : most;
        free_plans(&g);
    }
    if (status == OK)
        *bytes = most;
    return status;
}

/* ---- Steps ---- */

struct step {
    struct generator *g;
    enum phase phase;
    choose_fn *choose;
    void *context;
    struct feed_span span; /* of the newest microbatch */
};

static int load(void *context, int microbatch, struct run_counts *counts)
{
    struct step *s = context;

    feed_part(&s->g->feeds[s->phase], microbatch, s->g->microbatches, &s->span);
    *counts = feed_copy(&s->g->feeds[s->phase], &s->span, s->g->executors[s->phase]);
    return OK;
}

static void give_logits(const struct step *s, int64_t first, int64_t count)
{
    struct view v = executor_view(s->g->executors[s->phase], s->g->plans[s->phase]->logits);

    s->choose(s->context,
              &(struct logits){ .values = v.data, .stride = v.dim[1], .first = first, .count = count });
}

static int take(void *context, int microbatch, int chunk)
{
    const struct step *s = context;

    if (s->span.labels > 0 && generator_chooses(s->g))
        give_logits(s, s->span.label, s->span.labels);
    return OK;
}

int generator_step(struct generator *g, enum phase phase, choose_fn *choose, void *context)
{
    struct step s = { .g = g, .phase = phase, .choose = choose, .context = context };
    const struct run_options o = { .first_microbatch = true };
    struct executor *e = g->executors[phase];
    struct feed *f = &g->feeds[phase];
    const struct run_counts counts = feed_counts(f);

    if (f->own) {
        TRY(executor_run_pipeline(e, &(struct microbatches){ load, take, &s }, &o));
    } else {
        executor_set_counts(e, &counts);
        TRY(executor_run(e, PROGRAM_MICROBATCH, &o));
        give_logits(&s, 0, f->labels);
    }
    feed_clear(f);
    return OK;
}

bool generator_chooses(const struct generator *g)
{
    return g->plans[DECODE]->logits != NULL;
}

int generator_share(struct generator *g, int32_t *words, int64_t count)
{
    int stages = mesh_size(&g->mesh, AXIS_PP);
    const struct transfer x = {
        .kind = TRANSFER_BROADCAST, .axis = AXIS_PP, .dtype = DT_I32, .count = count, .peer = stages - 1
    };

    return stages > 1 ? comm_run(g->comm, &x, words, words) : OK;
}

/* ---- Sources. Prefill writes and reads each row of the cache as itself; the table that changes is decode's.
 * A sequence always writes into its own row; a position is written once, so what others read there stays.
 * ---- */

void sources_begin(struct generator *g, int64_t first, int64_t prompt)
{
    int64_t positions = g->capacity.positions;

    for (int64_t i = 0; i < g->capacity.width; i++)
        for (int64_t t = 0; t < positions; t++)
            g->feeds[DECODE].source[(first + i) * positions + t] = (int32_t)(t < prompt ? first : first + i);
}

void sources_reorder(struct generator *g, int64_t first, const int32_t *parents, int64_t count,
                     int64_t length)
{
    int64_t positions = g->capacity.positions;
    int32_t *rows = g->feeds[DECODE].source + first * positions;
    size_t bytes = (size_t)length * sizeof(rows[0]);

    for (int64_t i = 0; i < count; i++)
        memcpy(g->table + i * positions, rows + parents[i] * positions, bytes);
    for (int64_t i = 0; i < count; i++)
        memcpy(rows + i * positions, g->table + i * positions, bytes);
}
