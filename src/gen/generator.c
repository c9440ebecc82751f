#include <inttypes.h>
#include <string.h>

#include "base/err.h"
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

/* Several ranks run both phases by one plan: a plan chooses how the parameters lie, and two could choose
 * differently. */
static int compile(struct generator *g, enum phase phase, const struct machine *machine)
{
    const struct generator_capacity *c = &g->capacity;
    bool encoder = config_has_encoder(g->config);
    int64_t sequences = c->prompts * c->width, prefill = encoder ? c->prompts : c->chunk;
    int64_t rows = phase == DECODE || (g->comm && sequences > prefill) ? sequences : prefill;
    int64_t labels = g->comm || phase == DECODE ? sequences : c->prompts;
    struct compile_options o = { .task = TASK_GENERATE,
                                 .rows = rows,
                                 .encoder_rows = encoder_rows(g, phase),
                                 .sequences = encoder && phase == PREFILL ? c->prompts : 0,
                                 .labels = labels < rows ? labels : rows,
                                 .cross_rows = c->prompts,
                                 .cross_positions = c->encoder_positions,
                                 .cache_rows = sequences,
                                 .cache_positions = c->positions,
                                 .dtype = c->dtype,
                                 .mesh = { { 1, 1 } },
                                 .cluster = c->cluster,
                                 .rules = c->rules };

    if (g->config->head != HEAD_CAUSAL && g->config->head != HEAD_CONDITIONAL)
        return fail(ERR_CONFIG, "%s: this model has no language-model head, so there is nothing to generate",
                    g->config->name);
    if (g->config->head == HEAD_CAUSAL && !config_is_causal(g->config))
        return fail(ERR_CONFIG,
                    "%s: rows see what is to come, so nothing can be generated (found $.is_decoder "
                    "false, expected true)",
                    g->config->name);
    if (g->comm)
        o.mesh = g->comm->mesh;
    if (g->comm && phase == DECODE)
        g->plans[DECODE] = g->plans[PREFILL];
    else
        TRY(plan_compile(g->config, &o, machine, &g->plans[phase]));
    g->feeds[phase].row_capacity = rows;
    g->feeds[phase].encoder_capacity = o.encoder_rows;
    g->feeds[phase].label_capacity = o.labels;
    g->feeds[phase].first_position = g->config->sizes.first_position;
    return OK;
}

/* Weights and cache are shared by both plans. */
static int check_memory(const struct generator *g)
{
    const struct plan *p = g->plans[PREFILL], *d = g->plans[DECODE];
    int64_t bytes = plan_bytes(p) + plan_bytes(d) - d->param_bytes - d->state_bytes;

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
    struct executor *e;

    TRY(executor_create(g->plans[phase], store, g->comm, g->comm ? g->comm->rank : 0, &g->executors[phase]));
    e = g->executors[phase];
    f->ids = executor_input(e, "ids");
    f->positions = executor_input(e, "positions");
    f->order = executor_input(e, "order");
    f->longest = executor_input(e, "longest");
    f->slot = executor_input(e, "slot");
    f->label_rows = executor_input(e, "label_rows");
    f->source = executor_input(e, "source");
    f->encoder_ids = executor_input(e, "encoder_ids");
    f->encoder_order = executor_input(e, "encoder_order");
    f->encoder_key_order = executor_input(e, "encoder_key_order");
    f->encoder_offsets = executor_input(e, "encoder_offsets");
    f->encoder_slot = executor_input(e, "encoder_slot");
    f->cross_slot = executor_input(e, "cross_slot");
    f->cross_last = executor_input(e, "cross_last");
    for (int64_t row = 0; row < g->capacity.prompts * g->capacity.width; row++)
        for (int64_t t = 0; t < g->capacity.positions; t++)
            f->source[row * g->capacity.positions + t] = (int32_t)row;
    return OK;
}

int generator_create(const struct config *config, struct store *store, const struct generator_capacity *c,
                     struct comm *comm, struct generator **out)
{
    struct generator *g = mem_alloc(sizeof(*g));
    struct machine machine;
    int64_t table;
    int status;

    g->config = config;
    g->comm = comm;
    g->capacity = *c;
    if (c->chunk <= 0)
        g->capacity.chunk = CHUNK;
    status = machine_detect(&machine);
    if (status == OK && (!checked_mul(c->prompts, c->width, &table) || table > INT32_MAX ||
                         !checked_mul(table, c->positions, &table) || table > INT64_MAX / 4096))
        status = fail(ERR_CONFIG, "generation: %" PRId64 " prompts of %" PRId64 " sequences are too many",
                      c->prompts, c->width);
    for (int phase = 0; phase < PHASES && status == OK; phase++)
        status = compile(g, (enum phase)phase, &machine);
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

void generator_free(struct generator *g)
{
    if (!g)
        return;
    for (int phase = 0; phase < PHASES; phase++)
        executor_free(g->executors[phase]);
    if (g->store)
        remove_cache(g);
    if (g->plans[DECODE] != g->plans[PREFILL])
        plan_free(g->plans[DECODE]);
    plan_free(g->plans[PREFILL]);
    mem_free(g->table);
    mem_free(g);
}

/* ---- Steps ---- */

void feed_row(struct feed *f, int32_t id, int64_t position, int64_t length, int64_t slot)
{
    if (f->rows == f->row_capacity)
        BUG("more rows than the %lld of the plan", (long long)f->row_capacity);
    f->ids[f->rows] = id;
    f->order[f->rows] = (int32_t)position;
    f->positions[f->rows] = (int32_t)(f->first_position + position);
    if (f->longest)
        f->longest[f->rows] = (int32_t)length;
    f->slot[f->rows++] = (int32_t)slot;
}

void feed_cross(struct feed *f, int64_t slot, int64_t length)
{
    f->cross_slot[f->rows - 1] = (int32_t)slot;
    f->cross_last[f->rows - 1] = (int32_t)(length - 1);
}

void feed_prompt(struct feed *f, const struct prompt *p, int64_t slot)
{
    if (p->length > f->encoder_capacity - f->encoder_rows)
        BUG("more rows than the %lld of the encoder", (long long)f->encoder_capacity);
    for (int64_t t = 0; t < p->length; t++) {
        int64_t row = f->encoder_rows + t;
        f->encoder_ids[row] = p->ids[t];
        f->encoder_order[row] = f->encoder_key_order[row] = (int32_t)t;
        f->encoder_slot[row] = (int32_t)slot;
    }
    f->encoder_rows += p->length;
    f->encoder_offsets[0] = 0;
    f->encoder_offsets[++f->encoder_sequences] = (int32_t)f->encoder_rows;
}

void feed_label(struct feed *f)
{
    if (f->labels == f->label_capacity)
        BUG("more logits than the %lld rows of the plan", (long long)f->label_capacity);
    f->label_rows[f->labels++] = (int32_t)(f->rows - 1);
}

int generator_step(struct generator *g, enum phase phase, struct logits *out)
{
    struct feed *f = &g->feeds[phase];
    struct run_counts counts = { 0 };
    struct view v;

    counts.of[COUNT_ROWS] = f->rows;
    counts.of[COUNT_LABELS] = f->labels;
    counts.of[COUNT_ENCODER_ROWS] = f->encoder_rows;
    counts.of[COUNT_SEQUENCES] = f->encoder_sequences;
    counts.of[COUNT_OFFSETS] = f->encoder_sequences + 1;
    f->rows = f->labels = f->encoder_rows = f->encoder_sequences = 0;
    executor_set_counts(g->executors[phase], &counts);
    TRY(executor_run(g->executors[phase], PROGRAM_MICROBATCH, &(struct run_options){ 0 }));
    v = executor_view(g->executors[phase], g->plans[phase]->logits);
    *out = (struct logits){ .values = v.data, .stride = v.dim[1] };
    return OK;
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
