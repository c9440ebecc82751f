/* Proves a schedule sound: what a stage does with a microbatch comes in an order that can be, slots hold
 * one microbatch at a time, gradients are complete before they are reduced, and nobody waits for ever. */
#include "base/err.h"
#include "base/mem.h"
#include "pipe/schedule.h"

/* How far a microbatch has come on a stage: bits of the instructions done. */
#define DONE(kind) (1u << (kind))

struct proof {
    const struct schedule *s;
    int rank;
    unsigned *done;   /* [chunk][microbatch] */
    int *f_by, *w_by; /* [chunk][slot]: the microbatch in it, -1: free */
    const struct instruction *at;
};

static int wrong(const struct proof *p, const char *what)
{
    return fail(ERR_INTERNAL, "schedule %s: rank %d: %s of microbatch %d, chunk %d: %s",
                schedule_name(p->s->options.kind), p->rank, instruction_name(p->at->kind), p->at->microbatch,
                p->at->chunk, what);
}

static bool is_last_stage(const struct proof *p)
{
    return p->at->chunk * p->s->options.ranks + p->rank == schedule_stages(p->s) - 1;
}

static bool is_first_stage(const struct proof *p)
{
    return p->at->chunk == 0 && p->rank == 0;
}

/* What must have come before. */
static unsigned needed(const struct proof *p)
{
    unsigned forward = DONE(INSTRUCTION_FORWARD), grad = is_last_stage(p) ? 0 : DONE(INSTRUCTION_RECV_GRAD);

    switch (p->at->kind) {
    case INSTRUCTION_RECV_ACT: return DONE(INSTRUCTION_LOAD);
    case INSTRUCTION_FORWARD:
        return DONE(INSTRUCTION_LOAD) | (is_first_stage(p) ? 0 : DONE(INSTRUCTION_RECV_ACT));
    case INSTRUCTION_SEND_ACT:
    case INSTRUCTION_RECV_GRAD: return forward;
    case INSTRUCTION_BACKWARD:
    case INSTRUCTION_BACKWARD_INPUT: return forward | grad;
    case INSTRUCTION_BACKWARD_WEIGHT: return DONE(INSTRUCTION_BACKWARD_INPUT);
    case INSTRUCTION_SEND_GRAD: return DONE(p->s->split ? INSTRUCTION_BACKWARD_INPUT : INSTRUCTION_BACKWARD);
    default: return 0;
    }
}

/* All that a microbatch goes through on the stage of p->at. */
static unsigned whole(const struct proof *p)
{
    unsigned all = DONE(INSTRUCTION_LOAD) | DONE(INSTRUCTION_FORWARD);

    if (!is_first_stage(p))
        all |= DONE(INSTRUCTION_RECV_ACT);
    if (!is_last_stage(p))
        all |= DONE(INSTRUCTION_SEND_ACT);
    if (p->s->options.forward_only)
        return all;
    all |= p->s->split ? DONE(INSTRUCTION_BACKWARD_INPUT) | DONE(INSTRUCTION_BACKWARD_WEIGHT)
                       : DONE(INSTRUCTION_BACKWARD);
    return all | (is_first_stage(p) ? 0 : DONE(INSTRUCTION_SEND_GRAD)) |
           (is_last_stage(p) ? 0 : DONE(INSTRUCTION_RECV_GRAD));
}

/* ---- Slots ---- */

static int hold(const struct proof *p, int *by, int slot, int slots, bool take)
{
    int *holder;

    if (slot < 0 || slot >= slots)
        return wrong(p, "its slot is out of range");
    holder = &by[p->at->chunk * p->s->options.microbatches + slot];
    if (take && *holder >= 0)
        return wrong(p, "its slot is in use");
    if (!take && *holder != p->at->microbatch)
        return wrong(p, "its slot holds another microbatch");
    *holder = p->at->microbatch;
    return OK;
}

static void let_go(const struct proof *p, int *by, int slot)
{
    by[p->at->chunk * p->s->options.microbatches + slot] = -1;
}

static int check_slots(const struct proof *p)
{
    const struct instruction *n = p->at;
    int stage = n->chunk * p->s->options.ranks + p->rank;
    bool take = n->kind == INSTRUCTION_LOAD, weight = n->kind == INSTRUCTION_BACKWARD_WEIGHT;
    bool ends = n->kind == INSTRUCTION_BACKWARD || n->kind == INSTRUCTION_BACKWARD_INPUT ||
                (p->s->options.forward_only && n->kind == INSTRUCTION_FORWARD);

    if (!weight && n->kind != INSTRUCTION_SEND_ACT && n->kind != INSTRUCTION_SEND_GRAD)
        TRY(hold(p, p->f_by, n->f_slot, p->s->f_slots[stage], take));
    if (p->s->split && (weight || take))
        TRY(hold(p, p->w_by, n->w_slot, p->s->w_slots[stage], take));
    if (ends)
        let_go(p, p->f_by, n->f_slot);
    if (weight)
        let_go(p, p->w_by, n->w_slot);
    return OK;
}

/* ---- One rank ---- */

static int check_sizes(const struct proof *p)
{
    if (p->at->chunk < 0 || p->at->chunk >= p->s->options.chunks || p->at->microbatch < 0 ||
        p->at->microbatch >= p->s->options.microbatches)
        return wrong(p, "there is no such chunk or microbatch");
    return OK;
}

static int check_chunk_complete(const struct proof *p)
{
    const unsigned *done = p->done + p->at->chunk * p->s->options.microbatches;
    unsigned last = DONE(p->s->split ? INSTRUCTION_BACKWARD_WEIGHT : INSTRUCTION_BACKWARD);

    for (int m = 0; m < p->s->options.microbatches; m++)
        if (!(done[m] & last))
            return wrong(p, "comes before all gradients are made");
    return OK;
}

static int check_instruction(struct proof *p)
{
    unsigned *done, bit = DONE(p->at->kind);

    TRY(check_sizes(p));
    done = &p->done[p->at->chunk * p->s->options.microbatches + p->at->microbatch];
    if (p->at->kind == INSTRUCTION_STEP)
        return OK;
    if (p->at->kind == INSTRUCTION_REDUCE)
        return check_chunk_complete(p);
    if (*done & bit)
        return wrong(p, "comes twice");
    if ((*done & needed(p)) != needed(p) || (bit & ~whole(p)))
        return wrong(p, "cannot be here");
    *done |= bit;
    return check_slots(p);
}

/* Everything has been done with every microbatch; the step comes last. */
static int check_complete(struct proof *p)
{
    const struct schedule_options *o = &p->s->options;
    const struct instruction_list *l = &p->s->rank[p->rank];
    int steps = 0, reduces = 0;

    for (int c = 0; c < o->chunks; c++) {
        for (int m = 0; m < o->microbatches; m++) {
            struct instruction n = { .kind = INSTRUCTION_FORWARD, .chunk = c, .microbatch = m };
            p->at = &n;
            if (p->done[c * o->microbatches + m] != whole(p))
                return wrong(p, "something is never done with it");
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        steps += l->list[i].kind == INSTRUCTION_STEP;
        reduces += l->list[i].kind == INSTRUCTION_REDUCE;
    }
    p->at = &l->list[l->count - 1];
    if (o->forward_only ? steps + reduces > 0 : steps != 1 || p->at->kind != INSTRUCTION_STEP)
        return wrong(p, "the step is not the last");
    return o->forward_only || reduces == o->chunks ? OK : wrong(p, "not every chunk is reduced once");
}

static int check_rank(const struct schedule *s, int rank)
{
    size_t count = (size_t)s->options.chunks * (size_t)s->options.microbatches;
    struct proof p = { .s = s, .rank = rank };
    int status = OK;

    p.done = mem_alloc_array(count, sizeof(p.done[0]));
    p.f_by = mem_alloc_array(count, sizeof(int));
    p.w_by = mem_alloc_array(count, sizeof(int));
    for (size_t i = 0; i < count; i++)
        p.f_by[i] = p.w_by[i] = -1;
    for (size_t i = 0; i < s->rank[rank].count && status == OK; i++) {
        p.at = &s->rank[rank].list[i];
        status = check_instruction(&p);
    }
    if (status == OK)
        status = check_complete(&p);
    mem_free(p.done);
    mem_free(p.f_by);
    mem_free(p.w_by);
    return status;
}

int schedule_check(const struct schedule *s)
{
    struct stage_cost *costs = mem_alloc_array((size_t)schedule_stages(s), sizeof(costs[0]));
    struct timeline t;
    int status = OK;

    for (int r = 0; r < s->options.ranks && status == OK; r++)
        status = check_rank(s, r);
    if (status == OK)
        status = schedule_simulate(s, &(struct schedule_cost){ .stage = costs }, &t);
    if (status == OK)
        timeline_release(&t);
    mem_free(costs);
    return status;
}
