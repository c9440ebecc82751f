/* Plays a schedule through. A rank goes on as long as its next instruction can: a RECV needs the SEND to
 * have begun; a LOAD needs what was sent from its slot to have arrived. Which rank is looked at first makes
 * no difference. */
#include "base/err.h"
#include "base/mem.h"
#include "pipe/schedule.h"

enum way { WAY_ACT, WAY_GRAD, WAYS };

struct place { /* a microbatch on a stage: since when it has a slot, and when its SENDs began; < 0: not yet */
    double loaded, sent[WAYS];
};

struct play {
    const struct schedule *s;
    const struct schedule_cost *cost;
    struct timeline *out;
    size_t *next;  /* [rank]: instruction */
    double *clock; /* [rank] */
    double *busy;
    struct place *places; /* [stage][microbatch] */
    int *last_of_slot;    /* [stage][slot]: the microbatch that had it last, -1: none */
};

static struct place *place_at(const struct play *p, int stage, int microbatch)
{
    return &p->places[stage * p->s->options.microbatches + microbatch];
}

static bool is_send(const struct instruction *n)
{
    return n->kind == INSTRUCTION_SEND_ACT || n->kind == INSTRUCTION_SEND_GRAD;
}

static bool is_recv(const struct instruction *n)
{
    return n->kind == INSTRUCTION_RECV_ACT || n->kind == INSTRUCTION_RECV_GRAD;
}

static enum way way_of(const struct instruction *n)
{
    return n->kind == INSTRUCTION_SEND_GRAD || n->kind == INSTRUCTION_RECV_GRAD ? WAY_GRAD : WAY_ACT;
}

/* ---- What holds an instruction up ---- */

/* When what a stage sent that way is at its neighbour; < 0: there is no telling yet. */
static double arrival(const struct play *p, enum way way, int from, int microbatch)
{
    int to = way == WAY_ACT ? from + 1 : from - 1;
    double sent = place_at(p, from, microbatch)->sent[way], ready = place_at(p, to, microbatch)->loaded;

    if (sent < 0 || ready < 0)
        return -1;
    return (sent > ready ? sent : ready) + p->cost->stage[from < to ? from : to].transfer;
}

/* *when becomes no earlier than the slot is free; false: there is no telling yet. */
static bool slot_is_free(const struct play *p, int stage, const struct instruction *n, double *when)
{
    int m = p->last_of_slot[stage * p->s->options.microbatches + n->f_slot];

    for (int way = 0; way < WAYS && m >= 0; way++) {
        double at;
        if (place_at(p, stage, m)->sent[way] < 0)
            continue; /* the end of the pipeline */
        at = arrival(p, (enum way)way, stage, m);
        if (at < 0)
            return false;
        *when = at > *when ? at : *when;
    }
    return true;
}

static bool receive(const struct play *p, int stage, const struct instruction *n, double *when)
{
    double at = arrival(p, way_of(n), n->kind == INSTRUCTION_RECV_ACT ? stage - 1 : stage + 1, n->microbatch);

    if (at < 0)
        return false;
    *when = at > *when ? at : *when;
    return true;
}

static double duration(const struct play *p, int stage, const struct instruction *n)
{
    const struct stage_cost *c = &p->cost->stage[stage];

    switch (n->kind) {
    case INSTRUCTION_FORWARD: return c->forward;
    case INSTRUCTION_BACKWARD: return c->backward_input + c->backward_weight;
    case INSTRUCTION_BACKWARD_INPUT: return c->backward_input;
    case INSTRUCTION_BACKWARD_WEIGHT: return c->backward_weight;
    case INSTRUCTION_REDUCE: return p->cost->reduce;
    case INSTRUCTION_STEP: return p->cost->step;
    default: return 0;
    }
}

static void record(struct play *p, int rank, const struct instruction *n, double seconds)
{
    struct timeline *t = p->out;

    p->busy[rank] += seconds;
    t->events = mem_grow(t->events, t->count, &t->capacity, sizeof(t->events[0]));
    t->events[t->count++] = (struct event){ rank, n, p->clock[rank], p->clock[rank] + seconds };
    p->clock[rank] += seconds;
}

/* Runs a rank's next instruction, if it can. */
static bool advance(struct play *p, int rank)
{
    const struct schedule *s = p->s;
    const struct instruction *n;
    int stage;

    if (p->next[rank] == s->rank[rank].count)
        return false;
    n = &s->rank[rank].list[p->next[rank]];
    stage = n->chunk * s->options.ranks + rank;
    if (n->kind == INSTRUCTION_LOAD) {
        if (!slot_is_free(p, stage, n, &p->clock[rank]))
            return false;
        p->last_of_slot[stage * s->options.microbatches + n->f_slot] = n->microbatch;
        place_at(p, stage, n->microbatch)->loaded = p->clock[rank];
    } else if (is_recv(n)) {
        if (!receive(p, stage, n, &p->clock[rank]))
            return false;
    } else if (is_send(n)) {
        place_at(p, stage, n->microbatch)->sent[way_of(n)] = p->clock[rank];
    } else {
        record(p, rank, n, duration(p, stage, n));
    }
    p->next[rank]++;
    return true;
}

/* ---- The whole ---- */

static int tell_waiting(const struct play *p)
{
    for (int r = 0; r < p->s->options.ranks; r++) {
        const struct instruction *n = &p->s->rank[r].list[p->next[r]];
        if (p->next[r] < p->s->rank[r].count)
            return fail(ERR_INTERNAL, "schedule %s: rank %d waits for ever at %s of microbatch %d, chunk %d",
                        schedule_name(p->s->options.kind), r, instruction_name(n->kind), n->microbatch,
                        n->chunk);
    }
    return OK;
}

static void sum_up(const struct play *p)
{
    int ranks = p->s->options.ranks;
    double busy = 0, last = 0;

    for (int r = 0; r < ranks; r++) {
        busy += p->busy[r];
        last = p->clock[r] > last ? p->clock[r] : last;
    }
    p->out->seconds = last;
    p->out->bubble = last > 0 ? 1 - busy / (last * ranks) : 0;
}

int schedule_simulate(const struct schedule *s, const struct schedule_cost *cost, struct timeline *out)
{
    size_t ranks = (size_t)s->options.ranks;
    size_t slots = (size_t)schedule_stages(s) * (size_t)s->options.microbatches;
    struct play p = { .s = s, .cost = cost, .out = out };
    bool moved = true;
    int status;

    *out = (struct timeline){ 0 };
    p.next = mem_alloc_array(ranks, sizeof(p.next[0]));
    p.clock = mem_alloc_array(ranks, sizeof(p.clock[0]));
    p.busy = mem_alloc_array(ranks, sizeof(p.busy[0]));
    p.places = mem_alloc_array(slots, sizeof(p.places[0]));
    p.last_of_slot = mem_alloc_array(slots, sizeof(p.last_of_slot[0]));
    for (size_t i = 0; i < slots; i++)
        p.last_of_slot[i] = -1;
    for (size_t i = 0; i < slots; i++)
        p.places[i] = (struct place){ .loaded = -1, .sent = { -1, -1 } };
    while (moved) {
        moved = false;
        for (int r = 0; r < s->options.ranks; r++)
            while (advance(&p, r))
                moved = true;
    }
    status = tell_waiting(&p);
    sum_up(&p);
    mem_free(p.next);
    mem_free(p.clock);
    mem_free(p.busy);
    mem_free(p.places);
    mem_free(p.last_of_slot);
    if (status != OK)
        timeline_release(out);
    return status;
}

void timeline_release(struct timeline *t)
{
    mem_free(t->events);
    *t = (struct timeline){ 0 };
}

void timeline_trace(const struct timeline *t, struct str *out)
{
    str_append(out, "[");
    for (size_t i = 0; i < t->count; i++) {
        const struct event *e = &t->events[i];
        const struct instruction *n = e->instruction;
        str_appendf(out,
                    "%s\n{\"name\":\"%s %d\",\"ph\":\"X\",\"pid\":0,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,",
                    i ? "," : "", instruction_name(n->kind), n->microbatch, e->rank, e->begin * 1e6,
                    (e->end - e->begin) * 1e6);
        str_appendf(out, "\"args\":{\"chunk\":%d,\"microbatch\":%d}}", n->chunk, n->microbatch);
    }
    str_append(out, "\n]\n");
}
