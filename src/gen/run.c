/* run -- the loop of generation: take prompts while there is room, prefill them, then one step of decoding
 * for every sequence that runs. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/parallel.h"
#include "gen/gen_internal.h"

/* ---- Prompts ---- */

/* A prompt without tokens begins with the beginning-of-sequence token. */
static int read_prompt(const struct run *run, size_t i, int32_t *bos, struct prompt *p)
{
    int64_t vocab = run->g->config->sizes.vocab;

    *p = run->request->prompts[i];
    if (p->length == 0) {
        if (run->o->bos == INT_NONE)
            return fail(ERR_CONFIG,
                        "prompt %zu has no tokens: `bos_token_id` has to be defined when no `input_ids` are "
                        "provided",
                        i + 1);
        *bos = (int32_t)run->o->bos;
        *p = (struct prompt){ bos, 1 };
    }
    for (int64_t t = 0; t < p->length; t++)
        if (p->ids[t] < 0 || p->ids[t] >= vocab)
            return fail(ERR_DATA,
                        "prompt %zu: token %" PRId64 " is not the model's (found %" PRId32
                        ", expected 0 to %" PRId64 ")",
                        i + 1, t + 1, p->ids[t], vocab - 1);
    return OK;
}

int generation_room(const struct generation_request *request, const struct config *config,
                    struct generator_capacity *c)
{
    bool encoder = config_has_encoder(config);

    c->positions = 1;
    c->encoder_positions = encoder;
    TRY(generation_options_check(request->options));
    for (size_t i = 0; i < request->count; i++) {
        int64_t length = request->prompts[i].length > 0 ? request->prompts[i].length : 1, limit;
        int status = generation_limit(request->options, encoder ? 1 : length,
                                      model_position_limit(&config->sizes), &limit);
        if (status != OK && request->count > 1)
            error_prefix("prompt %zu: ", i + 1);
        TRY(status);
        c->positions = limit - 1 > c->positions ? limit - 1 : c->positions;
        if (encoder && length > c->encoder_positions)
            c->encoder_positions = length;
    }
    return OK;
}

/* The token that a decoder begins with. */
static int read_start(const struct run *run, int32_t *start)
{
    int64_t id = run->o->decoder_start != INT_NONE ? run->o->decoder_start : run->o->bos;

    if (id == INT_NONE)
        return fail(ERR_CONFIG, "`decoder_start_token_id` or `bos_token_id` has to be defined for "
                                "encoder-decoder generation");
    if (id >= run->g->config->sizes.vocab)
        return fail(ERR_CONFIG,
                    "decoder_start_token_id is not the model's (found %" PRId64 ", expected 0 to %" PRId64
                    ")",
                    id, run->g->config->sizes.vocab - 1);
    *start = (int32_t)id;
    return OK;
}

static int check_request(const struct run *run)
{
    const struct generation_options *o = run->o;
    const struct generator_capacity *c = &run->g->capacity;
    int64_t vocab = run->g->config->sizes.vocab;
    struct generator_capacity need;

    TRY(generation_room(run->request, run->g->config, &need));
    if (need.positions > c->positions || need.encoder_positions > c->encoder_positions ||
        generation_width(o) > c->width)
        return fail(ERR_CONFIG,
                    "this generator was made for less (found %" PRId64 " positions, %" PRId64
                    " of the encoder and %" PRId64 " sequences a prompt, expected at most %" PRId64
                    ", %" PRId64 " and %" PRId64 ")",
                    need.positions, need.encoder_positions, generation_width(o), c->positions,
                    c->encoder_positions, c->width);
    if (o->num_beams > 1 && beam_candidates(o) > o->num_beams * vocab)
        return fail(ERR_CONFIG, "%d end tokens are too many for beam search over %" PRId64 " tokens",
                    o->eos_count, vocab);
    if (o->stop_count > 0 && !run->request->tokenizer)
        return fail(ERR_CONFIG,
                    "There are one or more stop strings, either in the arguments to `generate` or in the "
                    "model's generation config, but we could not locate a tokenizer");
    for (size_t i = 0; i < run->request->count; i++) {
        struct prompt p;
        int32_t bos;
        TRY(read_prompt(run, i, &bos, &p));
    }
    return OK;
}

/* ---- Choosing and going on ---- */

static int fail_row(const struct row *r)
{
    if (r->problem == ROW_NOT_FINITE)
        return fail(ERR_DATA, "%s: the model's logits are not finite numbers", r->run->g->config->name);
    return fail(ERR_CONFIG, "prompt %zu: every next token is forbidden", r->group->prompt + 1);
}

static void choose(void *context, const struct logits *l)
{
    struct run *run = context;

    for (int64_t i = 0; i < l->count; i++)
        run->rows[l->first + i].logits = l->values + i * l->stride;
    parallel_for(l->count, row_choose, run->rows + l->first);
}

/* Where stages share the work, the last one alone has chosen. */
static int share(struct run *run, int64_t count)
{
    bool chosen = generator_chooses(run->g);
    int64_t words = 0;
    int32_t *list;
    int status;

    for (int64_t i = 0; i < count; i++)
        words += row_words(&run->rows[i]);
    list = mem_alloc_array((size_t)words + 1, sizeof(list[0]));
    for (int64_t i = 0, at = 0; i < count; at += row_words(&run->rows[i++]))
        if (chosen)
            row_pack(&run->rows[i], list + at);
    status = generator_share(run->g, list, words);
    for (int64_t i = 0, at = 0; i < count && status == OK; at += row_words(&run->rows[i++]))
        if (!chosen)
            row_unpack(&run->rows[i], list + at);
    mem_free(list);
    return status;
}

/* Rows of one group lie side by side. */
static int choose_and_advance(struct run *run, enum phase phase, int64_t count)
{
    TRY(generator_step(run->g, phase, choose, run));
    if (run->g->feeds[phase].own)
        TRY(share(run, count));
    for (int64_t i = 0; i < count; i++)
        if (run->rows[i].problem != ROW_FINE)
            return fail_row(&run->rows[i]);
    for (int64_t i = 0; i < count; i++)
        if (i + 1 == count || run->rows[i + 1].group != run->rows[i].group)
            group_advance(run, run->rows[i].group);
    return OK;
}

/* ---- Prefill ---- */

static int prefill_step(struct run *run)
{
    int64_t labels = run->g->feeds[PREFILL].labels;
    double start = clock_seconds();
    int status;

    for (int64_t i = 0; i < labels; i++)
        run->rows[i] = (struct row){ .run = run, .group = run->waiting[i], .count = run->waiting[i]->count };
    status = choose_and_advance(run, PREFILL, labels);
    run->results->prefill_seconds += clock_seconds() - start;
    return status;
}

static int agree(const struct run *run, int axis, double *stop)
{
    const struct transfer x = {
        .kind = TRANSFER_ALL_REDUCE, .axis = axis, .reduction = REDUCE_MAX, .dtype = DT_F64, .count = 1
    };

    return run->g->comm ? comm_run(run->g->comm, &x, stop, stop) : OK;
}

/* Ranks have to agree, or one of them would wait for the others forever: all of them, or those of this copy
 * of the model alone. */
static int ask(struct run *run, bool all)
{
    const struct generation_request *r = run->request;
    double stop = run->results->stopped || (r->proceed && !r->proceed(r->context));

    if (all || run->copies.count == 1)
        TRY(agree(run, AXIS_ALL, &stop));
    else {
        TRY(agree(run, AXIS_TP, &stop));
        TRY(agree(run, AXIS_PP, &stop));
    }
    run->results->stopped = stop > 0;
    return OK;
}

static int prefill_prompt(struct run *run, struct group *g, const struct prompt *p)
{
    struct feed *f = &run->g->feeds[PREFILL];

    for (int64_t t = 0; t < p->length; t++) {
        if (f->rows == f->row_capacity) {
            TRY(ask(run, false));
            if (run->results->stopped)
                return OK;
            TRY(prefill_step(run));
        }
        feed_row(f, p->ids[t], t, p->length, g->first);
    }
    run->waiting[f->labels] = g;
    feed_label(f);
    return OK;
}

/* The whole prompt through the encoder, and the decoder's first row. */
static int encode_prompt(struct run *run, struct group *g, const struct prompt *p)
{
    struct feed *f = &run->g->feeds[PREFILL];

    if (p->length > f->encoder_capacity - f->encoder_rows)
        TRY(prefill_step(run));
    feed_prompt(f, p, g->cross);
    g->encoded = p->length;
    feed_row(f, run->start, 0, 1, g->first);
    feed_cross(f, g->cross, g->encoded);
    run->waiting[f->labels] = g;
    feed_label(f);
    return OK;
}

static int begin_prompt(struct run *run, struct group *g, size_t number, const struct prompt *p)
{
    bool encoder = config_has_encoder(run->g->config);
    struct prompt own = encoder ? (struct prompt){ &run->start, 1 } : *p;

    TRY(generation_limit(run->o, own.length, model_position_limit(&run->g->config->sizes), &g->limit));
    group_begin(run, g, number, own.ids, own.length);
    return encoder ? encode_prompt(run, g, p) : prefill_prompt(run, g, p);
}

/* Takes prompts into the groups that are free. */
static int take_prompts(struct run *run)
{
    struct feed *f = &run->g->feeds[PREFILL];
    int64_t count = copies_deal(run), done = 0;

    for (struct group *g = run->groups; done < count; g++) {
        struct prompt p;
        int32_t bos;
        if (g->active)
            continue;
        if (f->labels == f->label_capacity)
            TRY(prefill_step(run));
        TRY(read_prompt(run, run->copies.taken[done], &bos, &p));
        TRY(begin_prompt(run, g, run->copies.taken[done++], &p));
        if (run->results->stopped)
            break;
    }
    if (f->rows > 0 && !run->results->stopped)
        TRY(prefill_step(run));
    return OK;
}

/* ---- Decode ---- */

static int64_t feed_sequences(struct run *run)
{
    struct feed *f = &run->g->feeds[DECODE];
    int64_t count = 0;

    for (int64_t k = 0; k < run->g->capacity.prompts; k++) {
        struct group *g = &run->groups[k];
        for (int64_t i = 0; g->active && i < g->count; i++) {
            struct sequence_view s = group_sequence(g, i);
            if (!g->searching && g->ended[i])
                continue;
            feed_row(f, s.ids[s.length - 1], s.length - 1, s.length, g->first + i);
            if (config_has_encoder(run->g->config))
                feed_cross(f, g->cross, g->encoded);
            feed_label(f);
            run->rows[count++] = (struct row){ .run = run, .group = g, .first = i, .count = 1 };
        }
    }
    return count;
}

static int decode_step(struct run *run)
{
    int64_t count = feed_sequences(run);
    double start = clock_seconds();
    int status;

    if (count == 0)
        return OK;
    status = choose_and_advance(run, DECODE, count);
    run->results->steps++;
    run->results->decode_seconds += clock_seconds() - start;
    return status;
}

/* ---- The whole ---- */

static void run_begin(struct run *run)
{
    const struct generator_capacity *c = &run->g->capacity;
    int64_t rows = c->prompts * c->width;

    copies_begin(run);
    run->groups = mem_alloc_array((size_t)c->prompts, sizeof(run->groups[0]));
    run->waiting = mem_alloc_array((size_t)c->prompts, sizeof(struct group *));
    run->rows = mem_alloc_array((size_t)rows, sizeof(run->rows[0]));
    run->threads = parallel_threads();
    run->scratch = mem_alloc_array((size_t)run->threads, sizeof(run->scratch[0]));
    run->choices = mem_alloc_array((size_t)run->threads, sizeof(run->choices[0]));
    for (int64_t i = 0; i < c->prompts; i++)
        run->groups[i] = (struct group){ .first = i * c->width, .cross = i };
    for (int t = 0; t < run->threads; t++) {
        run->scratch[t] = mem_alloc_array((size_t)c->positions + 1, sizeof(float));
        if (run->o->do_sample)
            choice_init(&run->choices[t], run->g->config->sizes.vocab);
    }
    for (int phase = 0; phase < PHASES; phase++)
        feed_clear(&run->g->feeds[phase]);
    run->results->count = run->request->count * (size_t)run->o->num_return_sequences;
    run->results->items = mem_alloc_array(run->results->count, sizeof(run->results->items[0]));
}

static void run_end(struct run *run)
{
    copies_end(run);
    for (int64_t i = 0; i < run->g->capacity.prompts; i++)
        group_release(&run->groups[i]);
    for (int t = 0; t < run->threads; t++) {
        mem_free(run->scratch[t]);
        choice_release(&run->choices[t]);
    }
    mem_free(run->groups);
    mem_free(run->waiting);
    mem_free(run->rows);
    mem_free(run->scratch);
    mem_free(run->choices);
}

/* A copy that stops in a prompt goes on to where all are asked, as the others wait for it there. */
static int advance(struct run *run, bool *ended)
{
    TRY(ask(run, true));
    *ended = run->results->stopped;
    if (*ended)
        return OK;
    TRY(take_prompts(run));
    if (!run->results->stopped)
        TRY(decode_step(run));
    return copies_exchange(run);
}

int generator_run(struct generator *g, const struct generation_request *request,
                  struct generation_results *out)
{
    const struct generation_options *o = request->options;
    struct generation_results results = { 0 };
    struct run run = { .g = g,
                       .request = request,
                       .o = o,
                       .stop = { request->tokenizer, o->stop_strings, o->stop_count },
                       .results = &results };
    bool ended = false;
    int status;

    TRY(check_request(&run));
    if (config_has_encoder(g->config))
        TRY(read_start(&run, &run.start));
    run_begin(&run);
    status = OK;
    while (status == OK && !ended && copies_busy(&run))
        status = advance(&run, &ended);
    run_end(&run);
    if (status == OK)
        *out = results;
    else
        generation_results_release(&results);
    return status;
}

void generation_results_release(struct generation_results *r)
{
    for (size_t i = 0; i < r->count; i++)
        mem_free(r->items[i].ids);
    mem_free(r->items);
    *r = (struct generation_results){ 0 };
}
