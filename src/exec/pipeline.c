/* A step of a pipeline: this rank's instructions, one after the other. What is sent is waited for when its
 * slot is used again, or at the end; what is received is let in when its microbatch is loaded and waited
 * for where it is needed. */
#include <string.h>

#include "base/err.h"
#include "comm/comm.h"
#include "exec/exec_internal.h"
#include "ops/ops.h"

struct link { /* one transfer of one slot */
    struct request request;
    bool begun;
};

struct pipeline {
    struct executor *e;
    const struct instruction_list *list;
    int slots;                 /* of any chunk, at most */
    int *at;                   /* [node]: of a transfer, its number */
    struct link *links;        /* [transfer][slot] */
    struct run_counts *counts; /* [chunk][slot] */
    const struct microbatches *microbatches;
    const struct run_options *options;
};

typedef int step_fn(struct pipeline *p, const struct instruction *n);

/* ---- Slots ---- */

static int input_slot(const struct pipeline *p, const struct instruction *n)
{
    return p->e->plan->schedule->split ? n->w_slot : n->f_slot;
}

static struct run_counts *counts_of(const struct pipeline *p, const struct instruction *n)
{
    return &p->counts[n->chunk * p->slots + input_slot(p, n)];
}

static struct slots slots_of(const struct instruction *n)
{
    return (struct slots){ n->chunk, n->f_slot < 0 ? 0 : n->f_slot, n->w_slot < 0 ? 0 : n->w_slot };
}

static void bind(const struct pipeline *p, const struct instruction *n)
{
    const struct slots slots = slots_of(n);

    executor_bind(p->e, &slots, counts_of(p, n));
}

/* ---- Transfers ---- */

static struct link *link_of(const struct pipeline *p, int node, int slot)
{
    return &p->links[p->at[node] * p->slots + slot];
}

static int finish(struct pipeline *p, struct link *l)
{
    if (!l->begun)
        return OK;
    l->begun = false;
    return comm_wait(p->e->comm, &l->request);
}

/* Both sides know the counts, so neither speaks of what has no rows. */
static void begin(struct pipeline *p, int k, int slot)
{
    const struct node *n = p->e->plan->graph->nodes[k];
    const struct tensor *t = n->op == &op_send ? n->in[0] : n->out[0];
    const struct view *v = &p->e->tensors[t->id];
    struct link *l = link_of(p, k, slot);
    struct transfer x = { .kind = n->op == &op_send ? TRANSFER_SEND : TRANSFER_RECV,
                          .axis = AXIS_PP,
                          .dtype = t->dtype,
                          .count = 1,
                          .peer = (int)n->attr[TRANSFER_STAGE] % p->e->plan->schedule->options.ranks,
                          .tag = (int)n->attr[TRANSFER_TAG] };

    for (int d = 0; d < v->ndim; d++)
        x.count *= v->dim[d];
    if (x.count == 0)
        return;
    l->begun = true;
    comm_start(p->e->comm, &x, n->op == &op_send ? v->data : NULL, n->op == &op_send ? NULL : v->data,
               &l->request);
}

static void begin_part(struct pipeline *p, const struct instruction *n, enum part part)
{
    const struct plan_chunk *c = &p->e->plan->chunk[n->chunk];

    for (int k = c->part[part].first; k < c->part[part].end; k++)
        begin(p, k, n->f_slot);
}

static int finish_part(struct pipeline *p, int chunk, int slot, enum part part)
{
    const struct plan_chunk *c = &p->e->plan->chunk[chunk];

    for (int k = c->part[part].first; k < c->part[part].end; k++)
        TRY(finish(p, link_of(p, k, slot)));
    return OK;
}

/* ---- Instructions ---- */

static int run_part(struct pipeline *p, const struct instruction *n, enum part part)
{
    const struct plan_chunk *c = &p->e->plan->chunk[n->chunk];
    struct run_options options = *p->options;

    options.last_microbatch =
        options.last_microbatch && n->microbatch == p->e->plan->schedule->options.microbatches - 1;
    bind(p, n);
    return executor_run_nodes(p->e, c->part[part].first, c->part[part].end, &options);
}

static int load(struct pipeline *p, const struct instruction *n)
{
    struct run_counts counts = { 0 };

    TRY(finish_part(p, n->chunk, n->f_slot, PART_SEND_ACT));
    TRY(finish_part(p, n->chunk, n->f_slot, PART_SEND_GRAD));
    bind(p, n);
    TRY(p->microbatches->load(p->microbatches->context, n->microbatch, &counts));
    *counts_of(p, n) = counts;
    bind(p, n);
    begin_part(p, n, PART_RECEIVE_ACT);
    begin_part(p, n, PART_RECEIVE_GRAD);
    return OK;
}

static int forward(struct pipeline *p, const struct instruction *n)
{
    const struct microbatches *m = p->microbatches;

    TRY(run_part(p, n, PART_FORWARD));
    return m->done ? m->done(m->context, n->microbatch, n->chunk) : OK;
}

static int backward(struct pipeline *p, const struct instruction *n)
{
    return run_part(p, n, PART_BACKWARD);
}

static int backward_weight(struct pipeline *p, const struct instruction *n)
{
    return run_part(p, n, PART_WEIGHT);
}

static int send_act(struct pipeline *p, const struct instruction *n)
{
    bind(p, n);
    begin_part(p, n, PART_SEND_ACT);
    return OK;
}

static int send_grad(struct pipeline *p, const struct instruction *n)
{
    bind(p, n);
    begin_part(p, n, PART_SEND_GRAD);
    return OK;
}

static int receive_act(struct pipeline *p, const struct instruction *n)
{
    return finish_part(p, n->chunk, n->f_slot, PART_RECEIVE_ACT);
}

static int receive_grad(struct pipeline *p, const struct instruction *n)
{
    return finish_part(p, n->chunk, n->f_slot, PART_RECEIVE_GRAD);
}

static step_fn *const steps[INSTRUCTION_KINDS] = {
    [INSTRUCTION_LOAD] = load,
    [INSTRUCTION_FORWARD] = forward,
    [INSTRUCTION_BACKWARD] = backward,
    [INSTRUCTION_BACKWARD_INPUT] = backward,
    [INSTRUCTION_BACKWARD_WEIGHT] = backward_weight,
    [INSTRUCTION_SEND_ACT] = send_act,
    [INSTRUCTION_RECV_ACT] = receive_act,
    [INSTRUCTION_SEND_GRAD] = send_grad,
    [INSTRUCTION_RECV_GRAD] = receive_grad,
};

/* ---- The whole ---- */

static int run_all(struct pipeline *p)
{
    for (size_t i = 0; i < p->list->count;
         i++) /* the gradients are reduced and the step made by the update */
        if (steps[p->list->list[i].kind])
            TRY(steps[p->list->list[i].kind](p, &p->list->list[i]));
    return OK;
}

static int finish_all(struct pipeline *p)
{
    const struct graph *g = p->e->plan->graph;
    int status = OK;

    for (size_t k = 0; k < g->node_count; k++) {
        for (int slot = 0; p->at[k] >= 0 && slot < p->slots; slot++) {
            int one = finish(p, link_of(p, (int)k, slot));
            status = status == OK ? one : status;
        }
    }
    return status;
}

int executor_run_pipeline(struct executor *e, const struct microbatches *m, const struct run_options *o)
{
    struct pipeline *p = e->pipeline;
    const struct slots first = { 0 };
    int status, end;

    p->microbatches = m;
    p->options = o;
    if (o->first_microbatch)
        memset(e->written, 0, e->plan->graph->tensor_count * sizeof(bool));
    status = run_all(p);
    if (status != OK)
        comm_break(e->comm, status); /* nobody waits for what will not come, and what was begun ends */
    end = finish_all(p);
    executor_bind(e, &first, &p->counts[0]);
    return status == OK ? end : status;
}

int pipeline_create(struct executor *e, struct pipeline **out)
{
    const struct plan *plan = e->plan;
    struct pipeline *p = mem_alloc(sizeof(*p));
    int transfers = 0;

    p->e = e;
    p->list = &plan->schedule->rank[plan->stage_rank];
    p->slots = plan->input_slots;
    p->at = mem_alloc_array(plan->graph->node_count + 1, sizeof(p->at[0]));
    for (size_t k = 0; k < plan->graph->node_count; k++) {
        const struct op_def *op = plan->graph->nodes[k]->op;
        p->at[k] = op == &op_send || op == &op_receive ? transfers++ : -1;
    }
    p->links = mem_alloc_array((size_t)transfers * (size_t)p->slots + 1, sizeof(p->links[0]));
    p->counts = mem_alloc_array((size_t)plan->chunks * (size_t)p->slots + 1, sizeof(p->counts[0]));
    *out = p;
    return OK;
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    mem_free(p->at);
    mem_free(p->links);
    mem_free(p->counts);
    mem_free(p);
}
