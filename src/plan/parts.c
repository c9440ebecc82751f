/* Nodes of a rank stand as the cut has put them: chunk after chunk, in the order of the parts; what later
 * passes add stands before its reader. */
#include "base/err.h"
#include "ops/ops.h"
#include "plan/plan.h"

static enum part part_of(const struct node *n)
{
    bool forward = n->unit == UNIT_FORWARD;

    if (n->op == &op_receive)
        return forward ? PART_RECEIVE_ACT : PART_RECEIVE_GRAD;
    if (n->op == &op_send)
        return forward ? PART_SEND_ACT : PART_SEND_GRAD;
    if (forward)
        return PART_FORWARD;
    return n->unit == UNIT_BACKWARD_WEIGHT ? PART_WEIGHT : PART_BACKWARD;
}

/* Weight gradients that are not put off stand among the input gradients; what is made again for those that
 * are stands with them. */
static enum part next_part(const struct plan *p, const struct node *n, enum part now)
{
    enum part part = part_of(n);

    if (part == PART_WEIGHT && !p->schedule->split)
        part = PART_BACKWARD;
    if (part == PART_BACKWARD && now > PART_BACKWARD)
        part = PART_WEIGHT;
    if (part < now)
        BUG("%s (%s) stands in the wrong part of a stage", n->op->name, n->scope);
    return part;
}

void parts_find(struct plan *p)
{
    const struct graph *g = p->graph;
    int ranks = p->stages ? p->schedule->options.ranks : 0, last = -1;
    enum part now = PART_RECEIVE_ACT;

    if (!p->stages)
        return;
    p->chunks = p->schedule->options.chunks;
    p->chunk = mem_alloc_array((size_t)p->chunks, sizeof(p->chunk[0]));
    for (int k = p->program[PROGRAM_MICROBATCH].first; k < p->program[PROGRAM_MICROBATCH].end; k++) {
        int chunk = g->nodes[k]->stage / ranks;
        struct plan_chunk *c = &p->chunk[chunk];
        if (chunk != last) {
            bool again = c->part[PART_FORWARD].end > 0 || c->part[PART_SEND_ACT].end > 0;
            now = again ? PART_RECEIVE_GRAD : PART_RECEIVE_ACT;
        }
        last = chunk;
        now = next_part(p, g->nodes[k], now);
        if (c->part[now].end == 0)
            c->part[now].first = k;
        c->part[now].end = k + 1;
    }
    for (int c = 0; c < p->chunks; c++) {
        p->chunk[c].f_slots = p->schedule->f_slots[c * ranks + p->stage_rank];
        p->chunk[c].w_slots = p->schedule->w_slots[c * ranks + p->stage_rank];
    }
}
