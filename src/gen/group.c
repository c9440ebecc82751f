#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "gen/gen_internal.h"

/* ---- Life ---- */

void group_begin(struct run *run, struct group *g, size_t prompt, const int32_t *ids, int64_t length)
{
    const struct generation_options *o = run->o;
    int64_t limit = g->limit;

    g->active = true;
    g->prompt = prompt;
    g->prompt_length = length;
    g->searching = o->num_beams > 1;
    g->count = generation_width(o);
    sources_begin(run->g, g->first, length);
    if (g->searching) {
        beam_search_init(&g->beams, o, &run->stop, ids, length, limit);
        g->candidates = mem_alloc_array((size_t)g->count, sizeof(g->candidates[0]));
        for (int64_t i = 0; i < g->count; i++) {
            g->candidates[i].room = beam_candidates(o);
            g->candidates[i].items = mem_alloc_array((size_t)beam_candidates(o), sizeof(struct top));
        }
        return;
    }
    g->ids = mem_alloc_array((size_t)g->count, sizeof(g->ids[0]));
    g->lengths = mem_alloc_array((size_t)g->count, sizeof(g->lengths[0]));
    g->ended = mem_alloc_array((size_t)g->count, sizeof(g->ended[0]));
    g->chosen = mem_alloc_array((size_t)g->count, sizeof(g->chosen[0]));
    for (int64_t i = 0; i < g->count; i++) {
        g->ids[i] = mem_alloc_array((size_t)limit, sizeof(g->ids[i][0]));
        memcpy(g->ids[i], ids, (size_t)length * sizeof(ids[0]));
        g->lengths[i] = length;
    }
}

void group_release(struct group *g)
{
    for (int64_t i = 0; g->candidates && i < g->count; i++)
        mem_free(g->candidates[i].items);
    for (int64_t i = 0; g->ids && i < g->count; i++)
        mem_free(g->ids[i]);
    beam_search_release(&g->beams);
    mem_free(g->candidates);
    mem_free(g->ids);
    mem_free(g->lengths);
    mem_free(g->ended);
    mem_free(g->chosen);
    *g = (struct group){ .first = g->first, .cross = g->cross };
}

struct sequence_view group_sequence(const struct group *g, int64_t i)
{
    return (struct sequence_view){ .ids = g->searching ? g->beams.running[i] : g->ids[i],
                                   .length = g->searching ? g->beams.length : g->lengths[i],
                                   .prompt = g->prompt_length };
}

/* ---- Choosing ---- */

static struct draw draw_of(const struct row *r, int64_t sequence)
{
    const struct generation_options *o = r->run->o;
    struct sequence_view s = group_sequence(r->group, sequence);
    uint64_t each = r->group->searching ? 1 : (uint64_t)o->num_return_sequences;

    return (struct draw){ .seed = o->seed,
                          .sample = r->group->prompt * each + (r->group->searching ? 0 : (uint64_t)sequence),
                          .step = (uint64_t)(s.length - s.prompt) };
}

/* The best continuations of one beam by their accumulated log-probability. */
static void collect(const struct row *r, int64_t beam, int64_t vocab)
{
    struct top_list *list = &r->group->candidates[beam];
    float sum = r->group->beams.scores[beam];

    list->count = 0;
    for (int64_t v = 0; v < vocab; v++) {
        float score = r->logits[v] + sum;
        if (list->count < list->room || score > list->items[0].key)
            top_add(list, &(struct top){
                              .key = score, .score = score, .token = (int32_t)v, .beam = (int32_t)beam });
    }
}

/* The same with draws in place of the best. */
static void collect_draws(const struct row *r, int64_t beam, const struct choice *c)
{
    struct top_list *list = &r->group->candidates[beam];
    struct draw d = draw_of(r, beam);

    list->count = 0;
    for (int64_t i = 0; i < c->count; i++) {
        float score = c->scores[i] + r->group->beams.scores[beam];
        top_add(list, &(struct top){ .key = (double)score + gumbel(&d, (int)beam, c->ids[i]),
                                     .score = score,
                                     .token = c->ids[i],
                                     .beam = (int32_t)beam });
    }
}

static void choose(struct row *r, struct choice *c, int64_t vocab)
{
    bool sample = r->run->o->do_sample;

    for (int64_t i = r->first; i < r->first + r->count; i++) {
        if (r->group->searching && sample) {
            collect_draws(r, i, c);
        } else if (r->group->searching) {
            collect(r, i, vocab);
        } else if (sample) {
            struct draw d = draw_of(r, i);
            r->group->chosen[i] = choice_draw(c, &d);
        } else {
            r->group->chosen[i] = scores_largest(r->logits, vocab);
        }
    }
}

void row_choose(void *rows, int64_t tile)
{
    struct row *r = (struct row *)rows + tile;
    const struct generation_options *o = r->run->o;
    int64_t vocab = r->run->g->config->sizes.vocab;
    struct sequence_view s = group_sequence(r->group, r->first);
    int thread = parallel_thread_index();
    struct choice *c = o->do_sample ? &r->run->choices[thread] : NULL;

    if (!scores_finite(r->logits, vocab)) {
        r->problem = ROW_NOT_FINITE;
        return;
    }
    if (r->group->searching)
        scores_log_softmax(r->logits, vocab);
    scores_process(r->logits, vocab, o, &s, r->run->scratch[thread]);
    if (c) {
        choice_filter(c, r->logits, vocab, o, r->group->searching ? o->eos_count + 1 : 1);
        if (c->count == 0) {
            r->problem = ROW_FORBIDDEN;
            return;
        }
    }
    choose(r, c, vocab);
}

/* ---- As words, for ranks that have chosen nothing ---- */

enum { TOP_WORDS = (sizeof(struct top) + sizeof(int32_t) - 1) / sizeof(int32_t) };

static int64_t list_words(const struct top_list *l)
{
    return 1 + l->room * TOP_WORDS;
}

int64_t row_words(const struct row *r)
{
    int64_t words = 1;

    if (!r->group->searching)
        return words + r->count;
    for (int64_t i = r->first; i < r->first + r->count; i++)
        words += list_words(&r->group->candidates[i]);
    return words;
}

void row_pack(const struct row *r, int32_t *words)
{
    *words++ = (int32_t)r->problem;
    for (int64_t i = r->first; i < r->first + r->count; i++) {
        const struct top_list *l;
        if (!r->group->searching) {
            *words++ = r->group->chosen[i];
            continue;
        }
        l = &r->group->candidates[i];
        words[0] = (int32_t)l->count;
        memcpy(words + 1, l->items, (size_t)l->count * sizeof(l->items[0]));
        words += list_words(l);
    }
}

void row_unpack(struct row *r, const int32_t *words)
{
    r->problem = (enum row_problem) * words++;
    for (int64_t i = r->first; i < r->first + r->count; i++) {
        struct top_list *l;
        if (!r->group->searching) {
            r->group->chosen[i] = *words++;
            continue;
        }
        l = &r->group->candidates[i];
        l->count = words[0];
        memcpy(l->items, words + 1, (size_t)l->count * sizeof(l->items[0]));
        words += list_words(l);
    }
}

/* ---- Results ---- */

/* What follows an ended sequence: the pad token, else the first end token. transformers' beam search takes a
 * pad token 0 for none. */
static int64_t padding(const struct run *run)
{
    const struct generation_options *o = run->o;

    if (o->pad != INT_NONE && !(o->pad == 0 && o->num_beams > 1 && o->eos_count > 0))
        return o->pad;
    return o->eos_count > 0 ? o->eos[0] : INT_NONE;
}

static void tell_token(struct run *run, const struct group *g, int64_t i, int32_t id)
{
    const struct generation_request *request = run->request;

    if (request->token)
        request->token(request->context, g->prompt, i, id);
    copies_tell_token(run, g->prompt, i, id);
}

static void take_result(struct run *run, const struct group *g, int64_t i, struct generated *out)
{
    struct sequence_view s = group_sequence(g, i);
    float score = 0;

    if (g->searching && g->beams.finished[i].finished) {
        s.ids = g->beams.finished[i].ids;
        s.length = g->beams.finished[i].length;
        score = g->beams.finished[i].score;
    }
    *out = (struct generated){ .ids = mem_alloc_array((size_t)g->limit, sizeof(int32_t)),
                               .length = s.length,
                               .score = score };
    memcpy(out->ids, s.ids, (size_t)s.length * sizeof(s.ids[0]));
    run->results->new_tokens += s.length - s.prompt;
    for (int64_t t = s.prompt; g->searching && t < s.length; t++)
        tell_token(run, g, i, s.ids[t]);
}

static void group_end(struct run *run, struct group *g)
{
    int64_t returned = run->o->num_return_sequences, longest = 0, pad = padding(run);
    struct generated *out = run->results->items + (int64_t)g->prompt * returned;

    for (int64_t i = 0; i < returned; i++) {
        take_result(run, g, i, &out[i]);
        longest = out[i].length > longest ? out[i].length : longest;
    }
    for (int64_t i = 0; i < returned; i++) {
        out[i].padded = pad == INT_NONE ? out[i].length : longest;
        for (int64_t t = out[i].length; t < out[i].padded; t++)
            out[i].ids[t] = (int32_t)pad;
        copies_tell_result(run, g->prompt, i, out[i].length - g->prompt_length);
    }
    if (run->request->done)
        run->request->done(run->request->context, g->prompt, out);
    group_release(g);
}

/* ---- Advancing ---- */

/* The lists of all beams, put together and cut to the best. Beams that have no list of their own count: at
 * the first step every beam was given one. */
static void advance_beams(struct run *run, struct group *g)
{
    struct top_list all = { .room = beam_candidates(run->o) };
    int64_t cached = g->beams.length;

    all.items = mem_alloc_array((size_t)all.room, sizeof(all.items[0]));
    for (int64_t b = 0; b < g->count; b++)
        for (int64_t k = 0; k < g->candidates[b].count; k++)
            top_add(&all, &g->candidates[b].items[k]);
    top_sort(&all);
    beam_search_step(&g->beams, all.items, all.count);
    sources_reorder(run->g, g->first, g->beams.parents, g->count, cached);
    g->active = !g->beams.done;
    mem_free(all.items);
}

static bool advance_sequence(struct run *run, struct group *g, int64_t i)
{
    int32_t token = g->chosen[i];

    if (g->ended[i])
        return false;
    g->ids[i][g->lengths[i]++] = token;
    tell_token(run, g, i, token);
    g->ended[i] = g->lengths[i] >= g->limit || generation_is_eos(run->o, token) ||
                  stop_matches(&run->stop, g->ids[i], g->lengths[i]);
    return !g->ended[i];
}

void group_advance(struct run *run, struct group *g)
{
    bool running = false;

    if (g->searching) {
        advance_beams(run, g);
    } else {
        for (int64_t i = 0; i < g->count; i++)
            running = advance_sequence(run, g, i) || running;
        g->active = running;
    }
    if (!g->active)
        group_end(run, g);
}
