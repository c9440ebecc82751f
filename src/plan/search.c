/* search -- exact dynamic programming over the frontier of live tensors: after each node a state is the
 * placement of every tensor that a later forward node reads; of all ways to reach a state only the cheapest
 * goes on. Each edge is charged both ways: the gradient of a SHARDed tensor is SHARDed alike, that of a
 * PARTIAL one is REPLICATEd, and that of a REPLICATEd one is PARTIAL when its reader divides its work. No
 * name is looked at. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "plan/search_internal.h"

static void find_last_reads(struct search *s)
{
    const struct graph *g = s->g;

    memset(s->last_read, -1, g->tensor_count * sizeof(s->last_read[0]));
    for (size_t k = 0; k < g->node_count; k++) {
        const struct node *n = g->nodes[k];
        s->backward = s->backward || n->unit == UNIT_BACKWARD_INPUT;
        for (int i = 0; i < n->nin; i++) {
            if (n->in[i] && n->unit == UNIT_FORWARD)
                s->last_read[n->in[i]->id] = (int)k;
            else if (n->in[i] && n->unit != UNIT_UPDATE)
                s->read_again[n->in[i]->id] = true;
        }
        for (int j = 0; j < n->nout; j++)
            if (n->out[j] && n->out[j]->into && n->unit == UNIT_FORWARD)
                s->last_read[n->out[j]->into->id] = (int)k;
    }
}

/* ---- The cost of a step ---- */

enum { WHOLE_MESSAGES = 8 };

static double backward_seconds(const struct search *s, const struct tensor *t, struct placement want,
                               double work, struct lay *lay)
{
    struct placement all = { .kind = REPLICATE }, sum = { .kind = PARTIAL }, from, to;

    if (!s->backward || t->kind != TENSOR_VALUE)
        return 0;
    from = want.kind == SHARD ? want : want.kind == PARTIAL ? all : work < 1 ? sum : all;
    to = lay->born.kind == SHARD ? lay->born : all;
    if (placement_equal(from, to) || (lay->charged && from.kind == PARTIAL))
        return 0;
    lay->charged = true;
    return redistribute_seconds(s->cost, t, from, to);
}

/* What every rank has, every rank updates: AdamW reads four numbers and writes three, but once a step, for
 * several microbatches, so about half of it counts. */
static double update_seconds(const struct search *s, const struct tensor *t, struct placement p)
{
    double part = 1 - 1.0 / s->cost->size;

    if (!s->backward || t->kind != TENSOR_PARAM || !t->param->trainable || p.kind == SHARD)
        return 0;
    return 4 * part * (double)tensor_bytes(t) / cluster_complete(s->cost->cluster).memory_bytes;
}

static double input_seconds(const struct search *s, const struct tensor *t, struct placement want,
                            double work, struct lay *lay)
{
    double seconds, update = 0;

    if (placement_is_free(lay->now)) {
        lay->now = lay->born = placement_settle(want);
        update = update_seconds(s, t, lay->now);
    }
    seconds = redistribute_seconds(s->cost, t, lay->now, want);
    if (seconds == INFINITY)
        return INFINITY;
    if (lay->now.kind == SHARD && want.kind == REPLICATE && s->read_again[t->id])
        seconds *= 2;
    if (t->kind == TENSOR_PARAM && s->known[t->id].kind == SHARD && !placement_equal(lay->now, want))
        seconds += 1e6; /* somebody has said how it lies: only where no rule takes it so */
    seconds += backward_seconds(s, t, want, work, lay);
    if (lay->now.kind != REPLICATE)
        lay->now = want; /* paid for once; what was REPLICATE stays so beside its share */
    return seconds + update;
}

/* Ranks of tp are there to divide the model, so a product with a matrix that each of them holds whole has a
 * price: some messages more than it takes to divide it forward and backward. What the bytes of messages cost
 * may still be more. */
static double whole_seconds(const struct search *s, const struct node *n, int i, struct placement want)
{
    const struct tensor *t = n->in[i];

    if (t->kind != TENSOR_PARAM || t->ndim < 2 || want.kind != REPLICATE || !n->op->cost ||
        n->op->cost(n).flops < 2 * (double)tensor_count(t))
        return 0;
    return WHOLE_MESSAGES * cluster_complete(s->cost->cluster).message_seconds;
}

static double rule_seconds(const struct search *s, const struct node *n, const struct shard_rule *rule,
                           struct lay lay[])
{
    double seconds = node_seconds(s->cost, n, rule->work) * (s->backward ? 3 : 1);

    for (int i = 0; i < n->nin && seconds < INFINITY; i++)
        if (n->in[i])
            seconds += input_seconds(s, n->in[i], rule->in[i], rule->work, &lay[n->in[i]->id]) +
                       whole_seconds(s, n, i, rule->in[i]);
    for (int j = 0; j < n->nout; j++) {
        if (!n->out[j])
            continue;
        if (n->out[j]->into) {
            struct lay *there = &lay[n->out[j]->into->id];
            if (placement_is_free(there->now))
                there->now = there->born = rule->out[j];
            if (!placement_equal(there->now, rule->out[j]))
                return INFINITY;
        }
        lay[n->out[j]->id] = (struct lay){ rule->out[j], rule->out[j], false };
    }
    return seconds;
}

/* ---- States ---- */

static void touch(struct search *s, const struct tensor *t)
{
    if (!t || s->touched[t->id])
        return;
    s->touched[t->id] = true;
    s->live[s->live_count++] = t->id;
}

static void find_frontier(struct search *s, int place)
{
    const struct node *n = s->g->nodes[place];

    for (int i = 0; i < n->nin; i++)
        touch(s, n->in[i]);
    for (int j = 0; j < n->nout; j++) {
        touch(s, n->out[j]);
        touch(s, n->out[j] ? n->out[j]->into : NULL);
    }
    s->kept = 0;
    for (int i = 0, gone = 0; i < s->live_count; i++) { /* in order, so that layers are alike */
        if (s->last_read[s->live[i]] > place)
            s->live[s->kept++] = s->live[i];
        else
            s->gone[gone++] = s->live[i];
    }
    memcpy(&s->live[s->kept], s->gone, (size_t)(s->live_count - s->kept) * sizeof(s->live[0]));
}

static bool same_frontier(const struct search *s, const struct lay *a, const struct lay *b)
{
    for (int i = 0; i < s->kept; i++) {
        const struct lay *x = &a[s->live[i]], *y = &b[s->live[i]];
        if (!placement_equal(x->now, y->now) || x->charged != y->charged ||
            !placement_equal(x->born, y->born))
            return false;
    }
    return true;
}

static uint64_t mix(uint64_t hash, struct placement p)
{
    uint64_t kind = (uint64_t)(p.kind + 1), which = (uint64_t)(p.kind == SHARD     ? p.dim
                                                               : p.kind == PARTIAL ? (int)p.reduction
                                                                                   : 0);

    return (hash ^ (kind << 8 | which)) * 0x100000001b3;
}

static uint64_t frontier_hash(const struct search *s, const struct lay *lay)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (int i = 0; i < s->kept; i++) {
        const struct lay *l = &lay[s->live[i]];
        hash = mix(mix(hash, l->now), l->born) + l->charged;
    }
    return hash;
}

static void copy_lay(const struct search *s, int count, const struct lay from[], struct lay to[])
{
    for (int i = 0; i < count; i++)
        to[s->live[i]] = from[s->live[i]];
}

/* Where the state goes: to the one with its frontier, or to a new place, or to that of the most expensive. */
static int place_of(const struct search *s, const struct state *new)
{
    int worst = 0;

    for (int i = 0; i < s->next_count; i++)
        if (s->next[i].frontier == new->frontier && same_frontier(s, s->next[i].lay, new->lay))
            return i;
    if (s->next_count < MOST_STATES)
        return s->next_count;
    for (int i = 1; i < s->next_count; i++)
        worst = s->next[i].seconds > s->next[worst].seconds ? i : worst;
    return worst;
}

/* Each state begins with what is known. */
void search_begin_state(const struct search *s, struct state *state)
{
    if (state->lay)
        return;
    state->lay = mem_alloc_array(s->g->tensor_count + 1, sizeof(state->lay[0]));
    for (size_t k = 0; k < s->g->tensor_count; k++)
        state->lay[k] = (struct lay){ s->known[k], s->known[k], false };
}

static void add_state(struct search *s, struct state *new)
{
    int at;

    new->frontier = frontier_hash(s, new->lay);
    at = place_of(s, new);
    if (at < s->next_count && s->next[at].seconds <= new->seconds)
        return;
    s->next_count += at == s->next_count;
    search_begin_state(s, &s->next[at]);
    copy_lay(s, s->kept, new->lay, s->next[at].lay);
    new->lay = s->next[at].lay;
    s->next[at] = *new;
}

static void expand(struct search *s, int place, int from, struct lay *scratch)
{
    const struct node *n = s->g->nodes[place];
    const struct state *state = &s->row[from];
    struct placement *have = arena_alloc(s->rules, (size_t)n->nin * sizeof(have[0]) + 1);
    struct shard_rules rules;

    for (int i = 0; i < n->nin; i++)
        have[i] = n->in[i] ? state->lay[n->in[i]->id].now : PLACEMENT_FREE;
    node_rules(n, have, s->cost, s->rules, &rules);
    for (int r = 0; r < rules.count; r++) {
        struct state new = { .parent = from, .lay = scratch };
        copy_lay(s, s->live_count, state->lay, scratch);
        new.seconds = state->seconds + rule_seconds(s, n, &rules.rule[r], scratch);
        if (new.seconds == INFINITY)
            continue;
        new.rule = arena_alloc(s->rules, sizeof(*new.rule));
        *new.rule = rules.rule[r];
        add_state(s, &new);
    }
}

static void step(struct search *s, int place, struct lay *scratch)
{
    struct state *swap;

    s->next_count = 0;
    find_frontier(s, place);
    for (int from = 0; from < s->count; from++)
        expand(s, place, from, scratch);
    if (s->next_count == 0)
        BUG("%s: no sharding rule fits", s->g->nodes[place]->op->name);
    s->history[place] = mem_alloc_array((size_t)s->next_count, sizeof(struct state));
    s->history_count[place] = s->next_count;
    memcpy(s->history[place], s->next, (size_t)s->next_count * sizeof(struct state));
    swap = s->row;
    s->row = s->next;
    s->next = swap;
    s->count = s->next_count;
    s->live_count = s->kept;
}

static void trace_back(struct search *s, const struct shard_rule *choice[])
{
    int at = 0;

    for (int i = 1; i < s->count; i++)
        at = s->row[i].seconds < s->row[at].seconds ? i : at;
    for (size_t k = s->g->node_count; k-- > 0;) {
        if (!s->history[k])
            continue;
        choice[k] = s->history[k][at].rule;
        at = s->history[k][at].parent;
    }
}

static void free_row(struct state *row)
{
    for (int i = 0; i <= MOST_STATES; i++)
        mem_free(row[i].lay);
    mem_free(row);
}

/* Nodes of one layer that stand together are searched together; of what is outside the layers, each one. */
static int end_of_layer(const struct graph *g, int first)
{
    const struct node *n = g->nodes[first];
    int end = first + 1;

    while (n->layer >= 0 && end < (int)g->node_count && g->nodes[end]->layer == n->layer &&
           g->nodes[end]->unit == n->unit)
        end++;
    return end;
}

void search_rules(const struct graph *g, const struct axis_cost *c, const struct placement on[],
                  struct arena *arena, const struct shard_rule *choice[])
{
    struct search s = { .g = g, .cost = c, .known = on, .rules = arena };
    struct lay *scratch = mem_alloc_array(g->tensor_count + 1, sizeof(scratch[0]));

    s.last_read = mem_alloc_array(g->tensor_count + 1, sizeof(s.last_read[0]));
    s.read_again = mem_alloc_array(g->tensor_count + 1, sizeof(s.read_again[0]));
    s.history = mem_alloc_array(g->node_count + 1, sizeof(s.history[0]));
    s.history_count = mem_alloc_array(g->node_count + 1, sizeof(s.history_count[0]));
    s.live = mem_alloc_array(g->tensor_count + 1, sizeof(s.live[0]));
    s.gone = mem_alloc_array(g->tensor_count + 1, sizeof(s.gone[0]));
    s.touched = mem_alloc_array(g->tensor_count + 1, sizeof(s.touched[0]));
    s.row = mem_alloc_array(MOST_STATES + 1, sizeof(s.row[0]));
    s.next = mem_alloc_array(MOST_STATES + 1, sizeof(s.next[0]));
    find_last_reads(&s);
    s.count = 1;
    search_begin_state(&s, &s.row[0]);
    for (int k = 0, end; k < (int)g->node_count; k = end) {
        end = end_of_layer(g, k);
        if (g->nodes[k]->unit != UNIT_FORWARD || search_take_layer(&s, k, end))
            continue;
        for (int at = k; at < end; at++)
            step(&s, at, scratch);
        search_keep_layer(&s);
    }
    trace_back(&s, choice);
    search_forget_layers(&s);
    for (size_t k = 0; k < g->node_count; k++)
        mem_free(s.history[k]);
    mem_free(s.history);
    mem_free(s.history_count);
    mem_free(s.last_read);
    mem_free(s.live);
    mem_free(s.gone);
    mem_free(s.touched);
    mem_free(s.read_again);
    free_row(s.row);
    free_row(s.next);
    mem_free(scratch);
}
