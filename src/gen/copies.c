/* Prompts among copies of the model: the next prompt goes to the copy that has the most room, so which copy a
 * prompt runs on follows from what all of them know. Each copy steps by itself; after every step they tell
 * each other which tokens were added and which prompts are done, and so all ranks have all results, and the
 * first one speaks of all as one rank does.
 *
 * What is told are words: prompt, sequence, id for a token; prompt, ~number of the result, length, padded,
 * new tokens, score, then the ids, for a result. */
#include <string.h>

#include "base/err.h"
#include "gen/gen_internal.h"

enum { TOKEN_WORDS = 3, RESULT_WORDS = 6 };

void copies_begin(struct run *run)
{
    struct copies *c = &run->copies;
    const struct mesh *mesh = run->g->comm ? &run->g->comm->mesh : NULL;

    c->count = mesh ? mesh_size(mesh, AXIS_DP) : 1;
    c->own = mesh ? mesh_coordinate(mesh, run->g->comm->rank, AXIS_DP) : 0;
    c->room = mem_alloc_array((size_t)c->count, sizeof(c->room[0]));
    c->taken = mem_alloc_array((size_t)run->g->capacity.prompts, sizeof(c->taken[0]));
    for (int i = 0; i < c->count; i++)
        c->room[i] = run->g->capacity.prompts;
}

void copies_end(struct run *run)
{
    mem_free(run->copies.room);
    mem_free(run->copies.taken);
    mem_free(run->copies.words);
    run->copies = (struct copies){ 0 };
}

/* ---- dealing out ---- */

bool copies_busy(const struct run *run)
{
    for (int i = 0; i < run->copies.count; i++)
        if (run->copies.room[i] < run->g->capacity.prompts)
            return true;
    return run->next < run->request->count;
}

int64_t copies_deal(struct run *run)
{
    struct copies *c = &run->copies;
    int64_t taken = 0;

    for (; run->next < run->request->count; run->next++) {
        int64_t length = run->request->prompts[run->next].length;
        int best = 0;
        for (int i = 1; i < c->count; i++)
            best = c->room[i] > c->room[best] ? i : best;
        if (c->room[best] == 0)
            break;
        c->room[best]--;
        run->results->prompt_tokens += length > 0 ? length : 1;
        if (best == c->own)
            c->taken[taken++] = run->next;
    }
    return taken;
}

/* ---- telling ---- */

static void tell(struct copies *c, const int32_t *words, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        c->words = mem_grow(c->words, (size_t)c->word_count, &c->word_capacity, sizeof(c->words[0]));
        c->words[c->word_count++] = words[i];
    }
}

void copies_tell_token(struct run *run, size_t prompt, int64_t sequence, int32_t id)
{
    if (run->copies.count > 1)
        tell(&run->copies, (const int32_t[]){ (int32_t)prompt, (int32_t)sequence, id }, TOKEN_WORDS);
}

void copies_tell_result(struct run *run, size_t prompt, int64_t i, int64_t new_tokens)
{
    const struct generated *r = &run->results->items[(int64_t)prompt * run->o->num_return_sequences + i];
    int32_t words[RESULT_WORDS] = { (int32_t)prompt, (int32_t)~i, (int32_t)r->length, (int32_t)r->padded,
                                    (int32_t)new_tokens };

    if (run->copies.count == 1)
        return;
    memcpy(&words[5], &r->score, sizeof(r->score));
    tell(&run->copies, words, RESULT_WORDS);
    tell(&run->copies, r->ids, r->padded);
}

/* ---- hearing ---- */

/* Returns the words it took. */
static int64_t hear_result(struct run *run, const int32_t *words)
{
    int64_t returned = run->o->num_return_sequences, i = ~words[1];
    struct generated *all = &run->results->items[words[0] * returned], *r = &all[i];

    *r = (struct generated){ .length = words[2], .padded = words[3] };
    memcpy(&r->score, &words[5], sizeof(r->score));
    r->ids = mem_alloc_array((size_t)r->padded, sizeof(r->ids[0]));
    memcpy(r->ids, words + RESULT_WORDS, (size_t)r->padded * sizeof(r->ids[0]));
    run->results->new_tokens += words[4];
    if (i + 1 == returned && run->request->done)
        run->request->done(run->request->context, (size_t)words[0], all);
    return RESULT_WORDS + r->padded;
}

static void hear(struct run *run, const int32_t *words, int64_t count)
{
    const struct generation_request *request = run->request;

    for (int64_t at = 0; at < count;) {
        const int32_t *w = words + at;
        if (w[1] < 0) {
            at += hear_result(run, w);
            continue;
        }
        if (request->token)
            request->token(request->context, (size_t)w[0], w[1], w[2]);
        at += TOKEN_WORDS;
    }
}

static int gather(const struct run *run, const int32_t *mine, int64_t count, int32_t *all)
{
    const struct transfer x = {
        .kind = TRANSFER_ALL_GATHER, .axis = AXIS_DP, .dtype = DT_I32, .count = count
    };

    return comm_run(run->g->comm, &x, mine, all);
}

static int hear_all(struct run *run, const int32_t *heads, int64_t most)
{
    struct copies *c = &run->copies;
    int32_t *mine = mem_alloc_array((size_t)most, sizeof(mine[0]));
    int32_t *all = mem_alloc_array((size_t)(most * c->count), sizeof(all[0]));
    int status;

    if (c->word_count > 0)
        memcpy(mine, c->words, (size_t)c->word_count * sizeof(mine[0]));
    status = gather(run, mine, most, all);
    for (int i = 0; i < c->count && status == OK; i++)
        if (i != c->own)
            hear(run, all + i * most, heads[2 * i]);
    c->word_count = 0;
    mem_free(mine);
    mem_free(all);
    return status;
}

int copies_exchange(struct run *run)
{
    struct copies *c = &run->copies;
    int32_t mine[2] = { (int32_t)c->word_count, 0 }, *heads;
    int64_t most = 0;
    int status;

    for (int64_t i = 0; i < run->g->capacity.prompts; i++)
        mine[1] += !run->groups[i].active;
    c->room[c->own] = mine[1];
    if (c->count == 1)
        return OK;
    heads = mem_alloc_array((size_t)c->count * 2, sizeof(heads[0]));
    status = gather(run, mine, 2, heads);
    for (int i = 0; i < c->count && status == OK; i++) {
        most = heads[2 * i] > most ? heads[2 * i] : most;
        c->room[i] = heads[2 * i + 1];
    }
    if (status == OK && most > 0)
        status = hear_all(run, heads, most);
    mem_free(heads);
    return status;
}
