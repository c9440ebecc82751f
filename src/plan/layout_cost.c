/* What a layout costs, from the profile of its pieces. */
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "ops/ops.h"
#include "plan/layout.h"
#include "plan/shard.h"
#include "plan/stage.h"

enum figure { /* of a piece and one microbatch: seconds, then bytes */
              FORWARD,
              BACKWARD_INPUT, /* what is made again counts here */
              BACKWARD_WEIGHT,
              EXCHANGE_FORWARD, /* collectives of tp */
              EXCHANGE_BACKWARD,
              UPDATE,      /* of its parameters, once a step */
              PARAMS,      /* of parameters that no earlier piece reads */
              TIED,        /* of those that the first piece of all has too */
              KEPT,        /* from the forward pass to the backward pass */
              KEPT_INPUT,  /* the same, with weight gradients put off: until the input gradients are made */
              KEPT_WEIGHT, /* until the weight gradients are made */
              SENT,        /* over a cut behind this piece */
              PIECE_FIGURES
};

struct piece {
    double of[PIECE_FIGURES];
};

struct whole {
    double state, grads; /* bytes, for each byte of parameters */
    double inputs;       /* bytes of a microbatch */
    double arena;        /* that is not KEPT */
    double update_arena;
    double messages; /* gradients of their own */
};

struct profile {
    enum task task;
    int layers, tensor;
    int64_t microbatch;
    struct piece *piece; /* [layers + 2] */
    double *balance;     /* [layers + 2]: what stages are balanced by */
    struct whole whole;
};

/* ---- Taking a profile ---- */

struct taking {
    const struct plan *plan;
    const struct graph *g;
    struct cluster on_tp;
    struct profile *p;
    bool *again, *weight; /* [tensor]: a value that is read in the backward pass; for a weight gradient */
    bool *free;           /* [node]: computed from inputs alone */
};

static struct piece *piece_of(const struct taking *t, const struct node *n)
{
    int at = n->layer + 1, last = t->p->layers + 1;

    return &t->p->piece[at < 0 ? 0 : at > last ? last : at];
}

static void add_seconds(const struct taking *t, const struct node *n)
{
    const struct axis_cost axis = { .axis = AXIS_TP, .size = t->p->tensor, .cluster = &t->on_tp };
    double *of = piece_of(t, n)->of;
    double used = node_used(n, t->plan->used);
    bool moves = n->nin > 0 && n->in[0] && n->out[0] && node_moves(n);

    if (moves && n->unit != UNIT_UPDATE)
        of[n->unit == UNIT_FORWARD ? EXCHANGE_FORWARD : EXCHANGE_BACKWARD] +=
            used * redistribute_seconds(&axis, n->in[0], n->in[0]->layout.on[AXIS_TP],
                                        n->out[0]->layout.on[AXIS_TP]);
    else if (!moves && n->unit != UNIT_UPDATE)
        of[FORWARD + (int)n->unit] += used * node_seconds(&axis, n, node_share(n, &t->plan->mesh));
}

static void find_readers(struct taking *t)
{
    for (size_t k = 0; k < t->g->node_count; k++) {
        const struct node *n = t->g->nodes[k];
        t->free[k] = n->unit == UNIT_FORWARD;
        for (int i = 0; i < n->nin; i++) {
            struct tensor *root = n->in[i] ? tensor_storage(n->in[i]) : NULL;
            if (!root)
                continue;
            t->free[k] =
                t->free[k] && (root->kind == TENSOR_INPUT || (root->producer && t->free[root->producer->id]));
            if (n->unit == UNIT_BACKWARD_INPUT)
                t->again[root->id] = true;
            if (n->unit == UNIT_BACKWARD_WEIGHT)
                t->weight[root->id] = true;
        }
    }
}

static void add_kept(const struct taking *t, const struct tensor *x)
{
    double *of = piece_of(t, x->producer)->of, bytes = (double)tensor_local_bytes(x, &t->plan->mesh);
    bool forward = x->producer->unit == UNIT_FORWARD;

    if (forward && (t->again[x->id] || t->weight[x->id]))
        of[KEPT] += bytes;
    if (t->weight[x->id] && x->producer->unit != UNIT_BACKWARD_WEIGHT)
        of[KEPT_WEIGHT] += bytes;
    else if (forward && t->again[x->id])
        of[KEPT_INPUT] += bytes;
}

/* A value goes over every cut between the piece that makes it and the last one that reads it. */
static void add_sent(const struct taking *t)
{
    int *last = mem_alloc_array(t->g->tensor_count + 1, sizeof(last[0])), end = t->p->layers + 1;

    for (size_t k = 0; k < t->g->node_count; k++) {
        const struct node *n = t->g->nodes[k];
        for (int i = 0; i < n->nin && n->unit == UNIT_FORWARD; i++)
            if (n->in[i] && n->in[i]->producer && n->layer > last[n->in[i]->id])
                last[n->in[i]->id] = n->layer;
    }
    for (size_t i = 0; i < t->g->tensor_count; i++) {
        const struct tensor *x = t->g->tensors[i];
        if (!x->producer || x->producer->unit != UNIT_FORWARD || t->free[x->producer->id] || x->param)
            continue;
        for (int at = x->producer->layer + 1; at < last[i] + 1 && at <= end; at++)
            t->p->piece[at].of[SENT] += (double)tensor_local_bytes(x, &t->plan->mesh);
    }
    mem_free(last);
}

static void add_params(const struct taking *t)
{
    int *first = mem_alloc_array(t->g->tensor_count + 1, sizeof(first[0])); /* 1 + piece; 0: not read yet */
    double all = (double)t->plan->param_bytes;

    for (size_t k = 0; k < t->g->node_count; k++) {
        const struct node *n = t->g->nodes[k];
        for (int i = 0; i < n->nin && n->unit != UNIT_UPDATE; i++) {
            const struct tensor *x = n->in[i];
            double bytes;
            if (!x || x->kind != TENSOR_PARAM || first[x->id] == n->layer + 2)
                continue;
            bytes = (double)tensor_local_bytes(x, &t->plan->mesh);
            if (!first[x->id])
                piece_of(t, n)->of[PARAMS] += bytes;
            else if (n->unit == UNIT_FORWARD)
                piece_of(t, n)->of[TIED] += bytes;
            first[x->id] = first[x->id] ? first[x->id] : n->layer + 2;
            t->p->whole.messages++;
        }
    }
    t->p->whole.state = all > 0 ? (double)t->plan->state_bytes / all : 0;
    t->p->whole.grads = all > 0 ? (double)t->plan->grad_bytes / all : 0;
    mem_free(first);
}

/* The optimizer's nodes are of all parameters at once. */
static void add_updates(const struct taking *t)
{
    const struct axis_cost axis = { .axis = AXIS_TP, .size = t->p->tensor, .cluster = &t->on_tp };
    double seconds = 0, all = 0;

    for (size_t k = 0; k < t->g->node_count; k++)
        if (t->g->nodes[k]->unit == UNIT_UPDATE && !node_moves(t->g->nodes[k]))
            seconds += node_seconds(&axis, t->g->nodes[k], node_share(t->g->nodes[k], &t->plan->mesh));
    for (int i = 0; i < t->p->layers + 2; i++)
        all += t->p->piece[i].of[PARAMS];
    for (int i = 0; i < t->p->layers + 2 && all > 0; i++)
        t->p->piece[i].of[UPDATE] = seconds * t->p->piece[i].of[PARAMS] / all;
}

static void take(struct taking *t)
{
    const struct plan *plan = t->plan;
    struct whole *w = &t->p->whole;

    find_readers(t);
    for (size_t k = 0; k < t->g->node_count; k++)
        add_seconds(t, t->g->nodes[k]);
    w->arena = (double)plan->program[PROGRAM_MICROBATCH].arena_bytes;
    for (size_t i = 0; i < t->g->tensor_count; i++)
        if (t->g->tensors[i]->producer && tensor_storage(t->g->tensors[i]) == t->g->tensors[i])
            add_kept(t, t->g->tensors[i]);
    for (int i = 0; i < t->p->layers + 2; i++)
        w->arena -= t->p->piece[i].of[KEPT];
    w->arena = w->arena > 0 ? w->arena : 0;
    w->update_arena = (double)plan->program[PROGRAM_UPDATE].arena_bytes;
    w->inputs = (double)plan->input_bytes;
    add_sent(t);
    add_params(t);
    add_updates(t);
}

static struct profile *profile_new(int layers, int tensor, int64_t microbatch)
{
    struct profile *p = mem_alloc(sizeof(*p));

    p->layers = layers;
    p->tensor = tensor;
    p->microbatch = microbatch;
    p->piece = mem_alloc_array((size_t)layers + 2, sizeof(p->piece[0]));
    p->balance = mem_alloc_array((size_t)layers + 2, sizeof(p->balance[0]));
    return p;
}

struct profile *profile_create(const struct plan *plan, const struct cluster *cluster, int64_t microbatch)
{
    struct taking t = { .plan = plan, .g = plan->graph };

    t.on_tp = cluster_on_axis(cluster, &plan->mesh, AXIS_TP);
    t.p = profile_new(plan->layers, mesh_size(&plan->mesh, AXIS_TP), microbatch);
    t.p->task = plan->task;
    memcpy(t.p->balance, plan->piece_seconds, ((size_t)plan->layers + 2) * sizeof(t.p->balance[0]));
    t.again = mem_alloc_array(t.g->tensor_count + 1, sizeof(t.again[0]));
    t.weight = mem_alloc_array(t.g->tensor_count + 1, sizeof(t.weight[0]));
    t.free = mem_alloc_array(t.g->node_count + 1, sizeof(t.free[0]));
    take(&t);
    mem_free(t.again);
    mem_free(t.weight);
    mem_free(t.free);
    return t.p;
}

static double mix(double a, double b, double part)
{
    return a + (b - a) * part;
}

struct profile *profile_between(const struct profile *a, const struct profile *b, int64_t microbatch)
{
    struct profile *p = profile_new(a->layers, a->tensor, microbatch);
    double part = b->microbatch == a->microbatch
                      ? 0
                      : (double)(microbatch - a->microbatch) / (double)(b->microbatch - a->microbatch);

    for (int i = 0; i < p->layers + 2; i++) {
        p->balance[i] = mix(a->balance[i], b->balance[i], part);
        for (int f = 0; f < PIECE_FIGURES; f++)
            p->piece[i].of[f] = mix(a->piece[i].of[f], b->piece[i].of[f], part);
    }
    p->task = a->task;
    p->whole = a->whole;
    p->whole.inputs = mix(a->whole.inputs, b->whole.inputs, part);
    p->whole.arena = mix(a->whole.arena, b->whole.arena, part);
    return p;
}

void profile_free(struct profile *p)
{
    if (!p)
        return;
    mem_free(p->piece);
    mem_free(p->balance);
    mem_free(p);
}

/* ---- Weighing ---- */

struct weighing {
    const struct profile *p;
    const struct layout_choice *l;
    struct cluster on_dp, on_pp;
    int data, stages, chunks;
    struct layout_cost *out;
};

struct span { /* pieces first..end-1, added up */
    struct piece sum;
    double sent; /* behind them */
    bool first;  /* the first piece of all is among them */
};

static struct span add_up(const struct profile *p, int first, int end)
{
    struct span s = { .first = first == 0 };

    for (int i = first; i < end; i++)
        for (int f = 0; f < PIECE_FIGURES; f++)
            s.sum.of[f] += p->piece[i].of[f];
    s.sent = end > 0 && end < p->layers + 2 ? p->piece[end - 1].of[SENT] : 0;
    return s;
}

static double params_of(const struct span *s)
{
    return s->sum.of[PARAMS] + (s->first ? 0 : s->sum.of[TIED]);
}

/* One way around the ranks of dp for that many bytes: a gather or a reduce-scatter. */
static double once_around(const struct weighing *w, double bytes, double messages)
{
    return bytes * (w->data - 1.0) / w->data / w->on_dp.link_bytes + messages * w->on_dp.message_seconds;
}

/* What moves while ranks compute is waited for where it takes longer; half of it at the least, as ends are
 * met and computing is slowed down. */
static double beside(double moving, double computing)
{
    return fmax(moving / 2, moving - computing);
}

/* Gradients, and with ZeRO parameters, among copies of the model, in one step: what is waited for. Sums
 * of gradients are started in the last microbatch's backward pass, gathers a layer ahead. */
static double share_seconds(const struct weighing *w, const struct span *s)
{
    const double *of = s->sum.of, m = w->l->pipeline.microbatches;
    double params = params_of(s), grads = params * w->p->whole.grads;
    double messages = w->p->whole.messages * (w->p->layers > 0 ? 1.0 / w->stages : 1);
    double backward = of[BACKWARD_INPUT] + of[BACKWARD_WEIGHT], sum, gather;

    if (w->data == 1 || (w->p->task != TASK_TRAIN && w->l->zero < 3))
        return 0;
    sum = once_around(w, grads, messages);
    gather = once_around(w, params, messages);
    if (w->l->zero < 2)
        return beside(sum, backward) + gather;
    if (w->l->zero == 2)
        return m * beside(sum, backward) + gather;
    return m * (beside(sum + gather, backward) + beside(gather, of[FORWARD]));
}

static double update_seconds(const struct weighing *w, const struct span *s)
{
    return s->sum.of[UPDATE] / (w->l->zero > 0 ? w->data : 1);
}

/* Bytes of one rank but for its values. */
static void add_stores(const struct weighing *w, const struct span *s, struct layout_cost *c)
{
    const struct whole *whole = &w->p->whole;
    double params = params_of(s), largest = 0;

    for (int i = 0; i < w->p->layers + 2; i++)
        largest = fmax(largest, w->p->piece[i].of[PARAMS]);
    c->state += params * whole->state / (w->l->zero >= 1 ? w->data : 1);
    c->grads += params * whole->grads / (w->l->zero >= 2 ? w->data : 1);
    c->params += w->l->zero >= 3 ? params / w->data + fmin(params, 2 * largest) / w->chunks : params;
}

static double arena_of(const struct weighing *w)
{
    return fmax(w->p->whole.arena, w->p->whole.update_arena / w->stages);
}

static void total(struct layout_cost *c)
{
    c->bytes = c->params + c->state + c->grads + c->values;
    c->seconds = c->compute + c->exchange + c->bubble;
}

static void weigh_one_stage(const struct weighing *w)
{
    const struct span s = add_up(w->p, 0, w->p->layers + 2);
    const double *of = s.sum.of;
    double m = w->l->pipeline.microbatches;
    struct layout_cost *c = w->out;

    c->compute = m * (of[FORWARD] + of[BACKWARD_INPUT] + of[BACKWARD_WEIGHT]) + update_seconds(w, &s);
    c->exchange = m * (of[EXCHANGE_FORWARD] + of[EXCHANGE_BACKWARD]) + share_seconds(w, &s);
    add_stores(w, &s, c);
    c->values = fmax(of[KEPT] + w->p->whole.arena, w->p->whole.update_arena) + w->p->whole.inputs;
    total(c);
}

/* ---- Of a pipeline ---- */

static struct span span_of(const struct weighing *w, const struct stages *stages, int s)
{
    int first = stages->first_layer[s] + 1,
        end = s + 1 < stage_count(stages) ? stages->first_layer[s + 1] + 1 : w->p->layers + 2;

    return add_up(w->p, s == 0 ? 0 : first, end);
}

static void weigh_rank(const struct weighing *w, const struct stages *stages, const struct schedule *schedule,
                       int rank, struct layout_cost *c)
{
    double slots = 1;

    *c = (struct layout_cost){ .values = arena_of(w) };
    for (int chunk = 0; chunk < w->chunks; chunk++) {
        int s = chunk * w->stages + rank;
        const struct span span = span_of(w, stages, s);
        const double *of = span.sum.of;
        double f = schedule->f_slots[s], v = schedule->w_slots[s];
        add_stores(w, &span, c);
        c->values += schedule->split ? f * of[KEPT_INPUT] + v * of[KEPT_WEIGHT] : f * of[KEPT];
        c->values += f * 2 * span.sent;
        slots = fmax(slots, fmax(f, v));
        c->compute += w->l->pipeline.microbatches * (of[FORWARD] + of[BACKWARD_INPUT] + of[BACKWARD_WEIGHT]) +
                      update_seconds(w, &span);
        c->exchange += w->l->pipeline.microbatches * (of[EXCHANGE_FORWARD] + of[EXCHANGE_BACKWARD]) +
                       share_seconds(w, &span);
    }
    c->values += slots * w->p->whole.inputs;
    total(c);
}

static int simulate(const struct weighing *w, const struct stages *stages, const struct schedule *schedule,
                    double *seconds)
{
    struct stage_cost *cost = mem_alloc_array((size_t)stage_count(stages), sizeof(cost[0]));
    struct schedule_cost c = { .stage = cost };
    struct timeline t;
    int status;

    for (int s = 0; s < stage_count(stages); s++) {
        const struct span span = span_of(w, stages, s);
        const double *of = span.sum.of;
        cost[s] =
            (struct stage_cost){ .forward = of[FORWARD] + of[EXCHANGE_FORWARD],
                                 .backward_input = of[BACKWARD_INPUT] + of[EXCHANGE_BACKWARD],
                                 .backward_weight = of[BACKWARD_WEIGHT],
                                 .transfer = span.sent / w->on_pp.link_bytes + w->on_pp.message_seconds };
        c.reduce = fmax(c.reduce, share_seconds(w, &span));
        c.step = fmax(c.step, update_seconds(w, &span));
    }
    status = schedule_simulate(schedule, &c, &t);
    if (status == OK) {
        *seconds = t.seconds;
        timeline_release(&t);
    }
    mem_free(cost);
    return status;
}

/* Seconds of a step of so many microbatches, and what the ranks take. */
static int weigh_steps(const struct weighing *w, const struct stages *stages, int microbatches,
                       struct layout_cost *out)
{
    bool backward = w->p->task == TASK_TRAIN || w->p->task == TASK_GRADIENT;
    const struct schedule_options o = { .kind = w->l->pipeline.schedule,
                                        .ranks = w->stages,
                                        .chunks = w->chunks,
                                        .microbatches = microbatches,
                                        .forward_only = !backward };
    struct layout_cost slowest = { 0 }, most = { 0 };
    struct schedule *schedule;
    double seconds = 0;
    int status;

    TRY(schedule_create(&o, &schedule));
    for (int r = 0; r < w->stages; r++) {
        struct layout_cost c;
        weigh_rank(w, stages, schedule, r, &c);
        slowest = c.seconds > slowest.seconds ? c : slowest;
        most = c.bytes > most.bytes ? c : most;
    }
    status = simulate(w, stages, schedule, &seconds);
    schedule_free(schedule);
    *out = most;
    out->compute = slowest.compute;
    out->exchange = slowest.exchange;
    out->seconds = seconds;
    return status;
}

/* Beyond the first few rounds every further microbatch takes as long as the one before. */
static int weigh_pipeline(const struct weighing *w)
{
    int m = w->l->pipeline.microbatches, few = 4 * w->stages * w->chunks;
    struct layout_cost *c = w->out, half;
    struct stages stages;
    int status;

    TRY(stages_balance(w->p->balance, w->p->layers, w->stages, w->chunks, &stages));
    status = weigh_steps(w, &stages, m > 2 * few ? 2 * few : m, c);
    if (status == OK && m > 2 * few) {
        status = weigh_steps(w, &stages, few, &half);
        c->seconds += (c->seconds - half.seconds) / few * (m - 2 * few);
    }
    stages_release(&stages);
    c->seconds = fmax(c->seconds, c->compute + c->exchange);
    c->bubble = c->seconds - c->compute - c->exchange;
    return status;
}

int layout_weigh(const struct profile *p, const struct layout_choice *l, const struct cluster *cluster,
                 struct layout_cost *out)
{
    struct weighing w = { .p = p, .l = l, .out = out, .stages = mesh_size(&l->mesh, AXIS_PP) };

    *out = (struct layout_cost){ 0 };
    w.data = mesh_size(&l->mesh, AXIS_DP);
    w.chunks = l->pipeline.chunks > 1 ? l->pipeline.chunks : 1;
    w.on_dp = cluster_on_axis(cluster, &l->mesh, AXIS_DP);
    w.on_pp = cluster_on_axis(cluster, &l->mesh, AXIS_PP);
    if (w.stages > 1)
        return weigh_pipeline(&w);
    weigh_one_stage(&w);
    return OK;
}
