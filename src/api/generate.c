/* Generation. The generator is kept for the next call; one that wants more room than it has begins anew,
 * weights included, because the cache of keys and values lies beside them. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"

enum { PROMPTS_AT_ONCE = 16, POSITION_STEP = 64, MODELS_OWN = -1 };

_Static_assert(PLAIT_EARLY_STOPPING_FALSE == (int)EARLY_FALSE &&
                   PLAIT_EARLY_STOPPING_TRUE == (int)EARLY_TRUE &&
                   PLAIT_EARLY_STOPPING_NEVER == (int)EARLY_NEVER,
               "plait.h has the words of gen/options.h");

struct plait_generation {
    struct generation_results results;
};

/* ---- options ---- */

static int64_t shown_count(int64_t v)
{
    return v == INT_NONE ? -1 : v;
}

static int64_t taken_count(int64_t v)
{
    return v < 0 ? INT_NONE : v;
}

static int load_options(const struct plait_model *m, struct generation_options *o)
{
    return generation_options_load(o, m->model.has_weights ? m->model.directory : NULL, &m->model.config);
}

static void show_options(const struct generation_options *o, struct plait_generate_options *out)
{
    *out = (struct plait_generate_options){ .max_new_tokens = shown_count(o->max_new_tokens),
                                            .max_length = shown_count(o->max_length),
                                            .min_new_tokens = o->min_new_tokens,
                                            .min_length = o->min_length,
                                            .do_sample = o->do_sample,
                                            .temperature = o->temperature,
                                            .top_p = o->top_p,
                                            .top_k = o->top_k,
                                            .num_beams = o->num_beams,
                                            .num_return_sequences = o->num_return_sequences,
                                            .length_penalty = o->length_penalty,
                                            .early_stopping = (int)o->early_stopping,
                                            .repetition_penalty = o->repetition_penalty,
                                            .no_repeat_ngram_size = o->no_repeat_ngram_size,
                                            .bos_token = shown_count(o->bos),
                                            .pad_token = shown_count(o->pad),
                                            .eos_count = MODELS_OWN,
                                            .seed = (int64_t)o->seed };
}

int plait_generate_options_init(const struct plait_model *m, struct plait_generate_options *o, size_t size)
{
    struct generation_options models;
    struct plait_generate_options preset;

    TRY(api_begin("plait_generate_options_init", m, "m"));
    TRY(api_require("plait_generate_options_init", o, "o"));
    TRY(load_options(m, &models));
    show_options(&models, &preset);
    generation_options_release(&models);
    return api_give("plait_generate_options", o, size, &preset, sizeof(preset), sizeof(preset));
}

static int take_eos(const struct plait_generate_options *o, struct generation_options *out)
{
    if (o->eos_count == MODELS_OWN && !o->eos_tokens)
        return OK;
    if (o->eos_count < 0 || o->eos_count > GENERATION_MAX_EOS || (o->eos_count > 0 && !o->eos_tokens))
        return fail(ERR_USAGE, "plait_model_generate: wrong eos_count (found %" PRId64 ", expected 0 to %d)",
                    o->eos_count, GENERATION_MAX_EOS);
    for (int64_t i = 0; i < o->eos_count; i++)
        out->eos[i] = o->eos_tokens[i];
    out->eos_count = (int)o->eos_count;
    return OK;
}

static int take_stops(const struct plait_generate_options *o, struct generation_options *out)
{
    if (o->stop_count < 0 || (o->stop_count > 0 && !o->stop_strings))
        return fail(ERR_USAGE, "plait_model_generate: wrong stop_count (found %" PRId64 ")", o->stop_count);
    for (int64_t i = 0; i < o->stop_count; i++) {
        TRY(api_require("plait_model_generate", o->stop_strings[i], "a stop string"));
        generation_options_add_stop(out, o->stop_strings[i], strlen(o->stop_strings[i]));
    }
    return OK;
}

/* Over what the model's file says. */
static int take_options(const struct plait_generate_options *o, struct generation_options *out)
{
    if (o->early_stopping < PLAIT_EARLY_STOPPING_FALSE || o->early_stopping > PLAIT_EARLY_STOPPING_NEVER)
        return fail(ERR_USAGE, "plait_model_generate: no such early_stopping (found %d)", o->early_stopping);
    if (o->seed < 0 || o->prompts_at_once < 0)
        return fail(ERR_USAGE,
                    "plait_model_generate: seed and prompts_at_once must be at least 0 (found %" PRId64
                    " and %" PRId64 ")",
                    o->seed, o->prompts_at_once);
    out->max_new_tokens = taken_count(o->max_new_tokens);
    out->max_length = taken_count(o->max_length);
    out->min_new_tokens = o->min_new_tokens;
    out->min_length = o->min_length;
    out->do_sample = o->do_sample != 0;
    out->temperature = o->temperature;
    out->top_p = o->top_p;
    out->top_k = o->top_k;
    out->num_beams = o->num_beams;
    out->num_return_sequences = o->num_return_sequences;
    out->length_penalty = o->length_penalty;
    out->early_stopping = (enum early_stopping)o->early_stopping;
    out->repetition_penalty = o->repetition_penalty;
    out->no_repeat_ngram_size = o->no_repeat_ngram_size;
    out->bos = taken_count(o->bos_token);
    out->pad = taken_count(o->pad_token);
    out->seed = (uint64_t)o->seed;
    TRY(take_eos(o, out));
    return take_stops(o, out);
}

/* ---- the generator ---- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool has_room(const struct plait_model *m, const struct generator_capacity *c)
{
    const struct generator_capacity *had = &m->generator_capacity;

    return m->generator && had->prompts >= c->prompts && had->width >= c->width &&
           had->positions >= c->positions && had->encoder_positions >= c->encoder_positions;
}

static int make_generator(struct plait_model *m, const struct generation_request *r, int64_t at_once)
{
    struct generator_capacity c = { .width = generation_width(r->options), .dtype = m->dtype };
    int64_t positions = model_position_limit(&m->model.config.sizes),
            most = at_once ? at_once : PROMPTS_AT_ONCE;
    int status;

    c.prompts = (int64_t)r->count < most ? (int64_t)r->count : most;
    TRY(generation_room(r, &m->model.config, &c));
    if (has_room(m, &c))
        return OK;
    c.positions = larger(c.positions, (c.positions + POSITION_STEP - 1) / POSITION_STEP * POSITION_STEP);
    c.positions = c.positions < positions ? c.positions : positions;
    c.encoder_positions = (c.encoder_positions + POSITION_STEP - 1) / POSITION_STEP * POSITION_STEP;
    if (m->generator)
        model_forget(m);
    TRY(generator_create(&m->model.config, model_store(m), &c, NULL, &m->generator));
    m->generator_capacity = c;
    status = model_fill(m);
    if (status != OK) /* without weights it is of no use */
        model_forget(m);
    return status;
}

/* ---- running ---- */

struct listener {
    const struct plait_generate_options *o;
    bool ended;
};

static void hear_token(void *context, size_t prompt, int64_t sequence, int32_t id)
{
    struct listener *l = context;

    if (!l->ended && l->o->token(l->o->context, (int64_t)prompt, sequence, id) != 0)
        l->ended = true;
}

static bool may_proceed(void *context)
{
    return !((const struct listener *)context)->ended;
}

static int take_prompts(const int32_t *const *prompts, const int64_t *lengths, int64_t count,
                        struct prompt *out)
{
    for (int64_t i = 0; i < count; i++) {
        if (lengths[i] < 0 || (lengths[i] > 0 && !prompts[i]))
            return fail(ERR_USAGE,
                        "plait_model_generate: prompt %" PRId64 " has no ids (found length %" PRId64 ")", i,
                        lengths[i]);
        out[i] = (struct prompt){ prompts[i], lengths[i] };
    }
    return OK;
}

static int generate(struct plait_model *m, const struct plait_generate_options *o,
                    const struct prompt *prompts, int64_t count, struct generation_results *results)
{
    struct listener listener = { .o = o };
    struct generation_options options;
    struct generation_request request = { .prompts = prompts,
                                          .count = (size_t)count,
                                          .options = &options,
                                          .tokenizer = o->tokenizer ? o->tokenizer->tokenizer : NULL,
                                          .token = o->token ? hear_token : NULL,
                                          .proceed = may_proceed,
                                          .context = &listener };
    int status;

    TRY(load_options(m, &options));
    status = take_options(o, &options);
    if (status == OK)
        status = generation_options_check(&options);
    if (status == OK)
        status = make_generator(m, &request, o->prompts_at_once);
    if (status == OK)
        status = generator_run(m->generator, &request, results);
    generation_options_release(&options);
    return status;
}

int plait_model_generate(struct plait_model *m, const struct plait_generate_options *options,
                         const int32_t *const *prompts, const int64_t *lengths, int64_t count,
                         struct plait_generation **out)
{
    struct plait_generate_options o = { 0 };
    struct generation_results results;
    struct prompt *list;
    int status;

    TRY(api_begin("plait_model_generate", m, "m"));
    TRY(api_require("plait_model_generate", options, "options"));
    TRY(api_require("plait_model_generate", prompts, "prompts"));
    TRY(api_require("plait_model_generate", lengths, "lengths"));
    TRY(api_require("plait_model_generate", out, "out"));
    TRY(api_take("plait_generate_options", options, &o, sizeof(o), sizeof(o)));
    if (count < 1 || count > INT32_MAX)
        return fail(ERR_USAGE,
                    "plait_model_generate: wrong number of prompts (found %" PRId64 ", expected at least 1)",
                    count);
    list = mem_alloc_array((size_t)count, sizeof(list[0]));
    status = take_prompts(prompts, lengths, count, list);
    if (status == OK)
        status = generate(m, &o, list, count, &results);
    mem_free(list);
    TRY(status);
    *out = mem_alloc(sizeof(**out));
    (*out)->results = results;
    return OK;
}

/* ---- results ---- */

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
