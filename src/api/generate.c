/* Generation. The generators are kept for the next call; one that wants more room than they have begins anew,
 * weights included, because the cache of keys and values lies beside them. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"
#include "base/log.h"
#include "base/parallel.h"

enum { POSITION_STEP = 64 };

struct plait_generation {
    struct generation_results results;
};

/* ---- the generators ---- */

static int64_t rounded(int64_t positions)
{
    return (positions + POSITION_STEP - 1) / POSITION_STEP * POSITION_STEP;
}

static bool has_room(const struct plait_model *m, const struct generator_capacity *c)
{
    const struct generator_capacity *had = &m->generator_capacity;

    return m->generators && had->prompts >= c->prompts && had->width >= c->width &&
           had->positions >= c->positions && had->encoder_positions >= c->encoder_positions &&
           (c->chunk == 0 || c->chunk == had->chunk);
}

static int bind(void *context, int rank, struct comm *comm)
{
    struct plait_model *m = context;

    TRY(generator_create(&m->model.config, m->stores[rank], &m->generator_capacity,
                         mesh_ranks(&m->mesh) > 1 ? comm : NULL, &m->generators[rank]));
    return model_fill(m, rank);
}

static void warn_of_positions(const struct plait_model *m, const struct generation_request *r)
{
    int64_t most = 0, positions = model_position_limit(&m->model.config.sizes);

    for (size_t i = 0; i < r->count; i++)
        most = r->prompts[i].length > most ? r->prompts[i].length : most;
    most =
        r->options->max_new_tokens != INT_NONE ? most + r->options->max_new_tokens : r->options->max_length;
    if (most > positions + 1)
        warn("generation ends at %" PRId64 " tokens, where the model's positions end (found %" PRId64 ")",
             positions + 1, most);
}

/* Of one copy of the model, at the same time. */
static int64_t prompts_of(int64_t count, int64_t at_once, const struct mesh *mesh)
{
    int64_t share = ceil_div(count, mesh_size(mesh, AXIS_DP));

    return share < at_once ? share : at_once;
}

static void round_up(const struct plait_model *m, struct generator_capacity *c)
{
    int64_t positions = model_position_limit(&m->model.config.sizes);

    c->positions = rounded(c->positions) < positions ? rounded(c->positions) : positions;
    c->encoder_positions = rounded(c->encoder_positions);
}

struct placing {
    const struct config *config;
    struct generator_capacity capacity;
    struct layout_work work;
};

static int compile_step(void *context, const struct layout_choice *l, struct plan **out)
{
    struct placing *x = context;

    x->capacity.prompts = l->microbatch;
    return generator_step_plan(x->config, &x->capacity, &l->mesh, out);
}

static int measure(void *context, struct layout_choice *l, double memory, int64_t *bytes)
{
    struct placing *x = context;

    (void)memory;
    x->capacity.prompts = prompts_of(x->work.items, x->work.at_once, &l->mesh);
    return generator_bytes(x->config, &x->capacity, &l->mesh, bytes);
}

/* Where sizes are left open: by how long a step of all prompts takes that run at the same time. */
static int place(struct plait_model *m, const struct generator_capacity *c, int64_t count, int64_t at_once)
{
    struct placing x = { .config = &m->model.config,
                         .capacity = *c,
                         .work = { .items = count, .at_once = at_once } };

    round_up(m, &x.capacity);
    m->wish.zero = 0; /* each copy has all parameters */
    return model_place(m, &x.work, &(struct layout_maker){ compile_step, measure, &x });
}

int generate_prepare(struct plait_model *m, const struct generation_request *r, int64_t at_once,
                     int64_t chunk)
{
    int ranks = mesh_ranks(&m->mesh);
    struct generator_capacity c = { .width = generation_width(r->options),
                                    .chunk = chunk,
                                    .memory = m->available / world_host_ranks(m->world, &m->mesh),
                                    .rules = m->rules,
                                    .dtype = m->dtype };
    int status;

    TRY(model_check_memory(&m->model.config, 1, m->available));
    warn_of_positions(m, r);
    TRY(generation_room(r, &m->model.config, &c));
    TRY(place(m, &c, (int64_t)r->count, at_once));
    c.prompts = prompts_of((int64_t)r->count, at_once, &m->mesh);
    if (has_room(m, &c))
        return OK;
    round_up(m, &c);
    if (m->generators || ranks > 1) /* parameters lie otherwise elsewhere */
        model_forget(m);
    m->generators = mem_alloc_array((size_t)ranks, sizeof(m->generators[0]));
    m->generator_capacity = c;
    status = model_run(m, bind, m);
    if (status != OK) /* without weights they are of no use */
        model_forget(m);
    return status;
}

/* ---- running ---- */

struct run {
    struct plait_model *m;
    const struct generation_request *request;
    struct generation_results *results;
};

/* The first rank speaks; each is asked whether to go on. */
static int run_rank(void *context, int rank, struct comm *comm)
{
    struct run *run = context;
    struct generation_request request = *run->request;
    struct generation_results results;

    comm_enter(comm, PHASE_RUN);
    if (rank > 0) {
        request.token = NULL;
        request.done = NULL;
    }
    TRY(generator_run(run->m->generators[rank], &request, &results));
    if (rank == 0)
        *run->results = results;
    else
        generation_results_release(&results);
    return OK;
}

int generate_run(struct plait_model *m, const struct generation_request *r, struct generation_results *out)
{
    int status = model_run(m, run_rank, &(struct run){ m, r, out });

    if (status != OK && mesh_ranks(&m->mesh) > 1)
        model_forget(m);
    return status;
}

/* ---- public ---- */

struct listener {
    const struct plait_generate_request *r;
    _Atomic bool ended; /* ranks in this process ask for it */
};

static void hear_token(void *context, size_t prompt, int64_t sequence, int32_t id)
{
    struct listener *l = context;

    if (!l->ended && l->r->token(l->r->context, (int64_t)prompt, sequence, id) != 0)
        l->ended = true;
}

static bool may_proceed(void *context)
{
    return !((const struct listener *)context)->ended;
}

static int take_prompts(const struct plait_generate_request *r, struct prompt *out)
{
    for (int64_t i = 0; i < r->count; i++) {
        if (r->lengths[i] < 0 || (r->lengths[i] > 0 && !r->prompts[i]))
            return fail(ERR_USAGE,
                        "plait_model_generate: prompt %" PRId64 " has no ids (found length %" PRId64 ")", i,
                        r->lengths[i]);
        out[i] = (struct prompt){ r->prompts[i], r->lengths[i] };
    }
    return OK;
}

static int generate(struct plait_model *m, const struct generate_values *v, const struct options *seen,
                    const struct plait_generate_request *r, struct generation_results *results)
{
    struct prompt *list = mem_alloc_array((size_t)r->count, sizeof(list[0]));
    struct listener listener = { .r = r };
    struct generation_options options;
    struct generation_request request = { .prompts = list,
                                          .count = (size_t)r->count,
                                          .options = &options,
                                          .tokenizer = r->tokenizer ? r->tokenizer->tokenizer : NULL,
                                          .token = r->token ? hear_token : NULL,
                                          .proceed = may_proceed,
                                          .context = &listener };
    int status = take_prompts(r, list);

    if (status == OK)
        status = generate_options_take(v, seen, &m->model, &options);
    if (status == OK) {
        status = generate_prepare(m, &request, v->batch_size, v->chunk);
        if (status == OK)
            status = generate_run(m, &request, results);
        generation_options_release(&options);
    }
    mem_free(list);
    return status;
}

int plait_model_generate(struct plait_model *m, const char *const *options,
                         const struct plait_generate_request *request, struct plait_generation **out)
{
    struct plait_generate_request r = { 0 };
    struct generation_results results;
    struct generate_values v = { 0 };
    struct api_options given;
    int status;

    TRY(api_begin("plait_model_generate", m, "m"));
    TRY(api_require("plait_model_generate", request, "request"));
    TRY(api_require("plait_model_generate", out, "out"));
    TRY(api_take("plait_generate_request", request, &r, sizeof(r), sizeof(r)));
    TRY(api_require("plait_model_generate", r.prompts, "request->prompts"));
    TRY(api_require("plait_model_generate", r.lengths, "request->lengths"));
    if (r.count < 1 || r.count > INT32_MAX)
        return fail(ERR_USAGE,
                    "plait_model_generate: wrong number of prompts (found %" PRId64 ", expected at least 1)",
                    r.count);
    TRY(api_options_read(&given, "generate", generate_parts, &v, options));
    status = generate(m, &v, &given.options, &r, &results);
    api_options_release(&given);
    TRY(status);
    *out = mem_alloc(sizeof(**out));
    (*out)->results = results;
    return OK;
}

void plait_generation_free(struct plait_generation *g)
{
    if (!g)
        return;
    generation_results_release(&g->results);
    mem_free(g);
}

int64_t plait_generation_count(const struct plait_generation *g)
{
    return g ? (int64_t)g->results.count : 0;
}

const int32_t *plait_generation_ids(const struct plait_generation *g, int64_t index, int64_t *length)
{
    bool there = g && index >= 0 && index < (int64_t)g->results.count && g->results.items[index].ids;

    if (length)
        *length = there ? g->results.items[index].length : 0;
    return there ? g->results.items[index].ids : NULL;
}

double plait_generation_score(const struct plait_generation *g, int64_t index)
{
    if (!g || index < 0 || index >= (int64_t)g->results.count)
        return 0;
    return (double)g->results.items[index].score;
}
