#include "gen/beam.h"

#include <math.h>
#include <string.h>

#include "gen/process.h"

#define WORST (-1e9f) /* transformers' stand-in for what must not be chosen */

int64_t beam_candidates(const struct generation_options *o)
{
    return o->num_beams * (o->eos_count > 1 ? 1 + o->eos_count : 2);
}

static int32_t **make_rows(int count, int64_t length)
{
    int32_t **rows = mem_alloc_array((size_t)count, sizeof(rows[0]));

    for (int i = 0; i < count; i++)
        rows[i] = mem_alloc_array((size_t)length, sizeof(rows[i][0]));
    return rows;
}

static void free_rows(int32_t **rows, int count)
{
    for (int i = 0; rows && i < count; i++)
        mem_free(rows[i]);
    mem_free(rows);
}

void beam_search_init(struct beam_search *s, const struct generation_options *o,
                      const struct stop_strings *stop, const int32_t *prompt, int64_t length, int64_t limit)
{
    *s = (struct beam_search){ .options = o,
                               .stop = stop,
                               .prompt = length,
                               .limit = limit,
                               .count = (int)o->num_beams,
                               .length = length };
    s->running = make_rows(s->count, limit);
    s->next = make_rows(s->count, limit);
    s->scores = mem_alloc_array((size_t)s->count, sizeof(s->scores[0]));
    s->parents = mem_alloc_array((size_t)s->count, sizeof(s->parents[0]));
    s->finished = mem_alloc_array((size_t)s->count, sizeof(s->finished[0]));
    for (int i = 0; i < s->count; i++) {
        memcpy(s->running[i], prompt, (size_t)length * sizeof(prompt[0]));
        s->scores[i] = i == 0 ? 0 : WORST;
        s->parents[i] = i;
        s->finished[i].score = WORST;
    }
}

void beam_search_release(struct beam_search *s)
{
    for (int i = 0; s->finished && i < s->count; i++)
        mem_free(s->finished[i].ids);
    free_rows(s->running, s->count);
    free_rows(s->next, s->count);
    mem_free(s->scores);
    mem_free(s->parents);
    mem_free(s->finished);
    *s = (struct beam_search){ 0 };
}

/* The token is put behind the sequence that it continues; nothing else reads that place. */
static bool ends(struct beam_search *s, const struct top *c)
{
    int32_t *ids = s->running[c->beam];

    ids[s->length] = c->token;
    return s->length + 1 >= s->limit || generation_is_eos(s->options, c->token) ||
           stop_matches(s->stop, ids, s->length + 1);
}

static void finish(struct beam_search *s, const struct top *c)
{
    int64_t length = s->length + 1;
    float score = c->score / (float)pow((double)(length - s->prompt), s->options->length_penalty);
    int at = 0;

    while (at < s->count && !(s->finished[at].score < score))
        at++;
    if (at == s->count)
        return;
    mem_free(s->finished[s->count - 1].ids);
    memmove(s->finished + at + 1, s->finished + at, (size_t)(s->count - 1 - at) * sizeof(s->finished[0]));
    s->finished[at] = (struct beam){ .finished = true,
                                     .score = score,
                                     .ids = mem_alloc_array((size_t)length, sizeof(int32_t)),
                                     .length = length };
    memcpy(s->finished[at].ids, s->running[c->beam], (size_t)(length - 1) * sizeof(int32_t));
    s->finished[at].ids[length - 1] = c->token;
}

static void run_on(struct beam_search *s, int beam, const struct top *c)
{
    memcpy(s->next[beam], s->running[c->beam], (size_t)s->length * sizeof(int32_t));
    s->next[beam][s->length] = c->token;
    s->scores[beam] = c->score;
    s->parents[beam] = c->beam;
}

static bool all_finished(const struct beam_search *s)
{
    return s->finished[s->count - 1].finished;
}

/* Whether the best running sequence could still beat the worst finished one. */
static bool may_improve(const struct beam_search *s)
{
    const struct generation_options *o = s->options;
    bool longest = o->early_stopping == EARLY_NEVER && o->length_penalty > 0;
    int64_t length = (longest ? s->limit : s->length) - s->prompt;
    float best = s->scores[0] / (float)pow((double)length, o->length_penalty);

    return best > (all_finished(s) ? s->finished[s->count - 1].score : WORST);
}

void beam_search_step(struct beam_search *s, const struct top *candidates, int64_t count)
{
    struct top_list left = { .room = s->count };
    int32_t **swap;
    int64_t ended = 0;

    if (candidates[0].score == -INFINITY) { /* every token is forbidden: what there is stays as it is */
        s->done = true;
        return;
    }
    left.items = mem_alloc_array((size_t)s->count, sizeof(left.items[0]));
    for (int64_t k = 0; k < count; k++) {
        struct top c = candidates[k];
        bool end = ends(s, &c);
        ended += end;
        if (end && k < s->count)
            finish(s, &c);
        c.score += end ? WORST : 0;
        c.key = c.score;
        top_add(&left, &c);
    }
    top_sort(&left);
    for (int i = 0; i < s->count; i++) {
        run_on(s, i, &left.items[i < left.count ? i : left.count - 1]);
        s->scores[i] += i < left.count ? 0 : WORST; /* fewer candidates than beams: copies that cannot win */
    }
    swap = s->running;
    s->running = s->next;
    s->next = swap;
    s->length++;
    s->done =
        ended == count || !may_improve(s) || (s->options->early_stopping == EARLY_TRUE && all_finished(s));
    mem_free(left.items);
}
