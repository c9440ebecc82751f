/* shard -- gives every tensor its placements and puts collectives in where a reader wants another one than
 * there is, or a writer makes another one. One axis after the other. The forward nodes' rules on tp come from
 * search.c; every other node takes the rule that costs least given where its inputs lie: after the forward
 * pass is decided, gradients and updates have one sensible choice left. On dp, only samples are dealt out,
 * and what ZeRO says (zero.c), so there is nothing to search; it comes second because what it deals out
 * depends on what tp has cut. */
#include "plan/shard.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "plan/partition.h"
#include "plan/plan.h"

/* ---- What things cost ---- */

static double or_else(double figure, double ordinary)
{
    return figure > 0 ? figure : ordinary;
}

double redistribute_seconds(const struct axis_cost *c, const struct tensor *t, struct placement have,
                            struct placement want)
{
    double part = (c->size - 1.0) / c->size;
    double move = (double)tensor_bytes(t) * part / or_else(c->cluster->link_bytes, 6e9);
    double message = or_else(c->cluster->message_seconds, 20e-6);

    if (placement_equal(have, want))
        return 0;
    if (c->axis == AXIS_DP && t->ndim > 0 && t->dims[0].count != COUNT_FIXED)
        return INFINITY;                              /* samples stay where they are dealt */
    if (have.kind == REPLICATE && want.kind == SHARD) /* a local copy */
        return 2 * (double)tensor_bytes(t) / c->size / or_else(c->cluster->memory_bytes, 12e9);
    if (have.kind == REPLICATE)
        return want.kind == PARTIAL && want.reduction != REDUCE_SUM ? INFINITY : 1e-9;
    if (want.kind == PARTIAL || have.kind == HELD)
        return INFINITY;
    if (have.kind == PARTIAL)
        return want.kind == SHARD ? move + message : 2 * move + 2 * message;
    return want.kind == REPLICATE ? move + message : 2 * move + message;
}

double node_seconds(const struct axis_cost *c, const struct node *n, double work)
{
    struct op_cost cost = n->op->cost ? n->op->cost(n) : (struct op_cost){ 0 };
    double flops = cost.flops / or_else(c->cluster->flops, 150e9);
    double bytes = cost.bytes / or_else(c->cluster->memory_bytes, 12e9);

    return work * (flops > bytes ? flops : bytes);
}

void node_rules(const struct node *n, const struct placement have[], const struct axis_cost *c,
                struct arena *arena, struct shard_rules *out)
{
    struct placement *in = arena_alloc(arena, (size_t)n->nin * sizeof(in[0]) + 1); /* zero: REPLICATE */
    struct placement all[MAX_OUTPUTS] = { 0 };

    out->arena = arena;
    out->axis = c->axis;
    out->size = c->size;
    out->count = 0;
    if (n->op->shard)
        n->op->shard(n, have, out);
    shard_rules_add(out, n, in, all, false);
}

/* ---- The pass ---- */

struct form { /* another placement of a tensor that has been made already */
    struct tensor *t;
    enum unit unit;
    int layer;
    struct form *next;
};

struct pass {
    struct graph *g;
    const struct shard_options *o;
    struct axis_cost cost;
    struct arena arena;
    struct form **forms; /* [tensor]: readers hold the tensor until they are rewritten */
    size_t form_capacity;
    struct placement *share; /* [tensor] of parameters and accumulators, on dp: see zero_shares */
    size_t tensor_count;     /* before the pass */
};

static struct placement *on(const struct pass *s, struct tensor *t)
{
    return &t->layout.on[s->cost.axis];
}

static struct placement as_known(const struct pass *s, const struct tensor *t)
{
    const struct tensor *there = s->o->beside ? graph_find(s->o->beside, t->name, TENSOR_PARAM) : NULL;
    struct placement p;

    if (there)
        return there->layout.on[s->cost.axis];
    if (s->cost.axis == AXIS_TP && partition_rules_find(s->o->rules, t, AXIS_TP, &p))
        return p;
    return PLACEMENT_FREE;
}

static struct form *forms_of(const struct pass *s, const struct tensor *t)
{
    return (size_t)t->id < s->form_capacity ? s->forms[t->id] : NULL;
}

static void add_form(struct pass *s, const struct tensor *t, struct form *f)
{
    size_t had = s->form_capacity;

    s->forms = mem_grow(s->forms, (size_t)t->id, &s->form_capacity, sizeof(s->forms[0]));
    if (s->form_capacity > had)
        memset(&s->forms[had], 0, (s->form_capacity - had) * sizeof(s->forms[0]));
    f->next = s->forms[t->id];
    s->forms[t->id] = f;
}

/* Parameters and what follows them are free on tp, unless another plan has them already or the user wants
 * them so. On dp they are whole unless they are dealt out. */
static struct placement known_of(const struct pass *s, const struct tensor *t)
{
    struct placement p = t->kind == TENSOR_PARAM ? as_known(s, t) : PLACEMENT_FREE;

    if (!placement_is_free(p) || s->cost.axis == AXIS_TP)
        return p;
    return zero_known(s->g, s->o, t, s->share[t->id]);
}

static void set_known(struct pass *s)
{
    for (size_t i = 0; i < s->g->tensor_count; i++) {
        struct tensor *t = s->g->tensors[i];
        if (!t->producer && t->kind != TENSOR_INPUT)
            *on(s, t) = known_of(s, t);
    }
}

static const struct op_def *collective_for(struct placement have, struct placement want)
{
    if (have.kind == REPLICATE)
        return want.kind == SHARD ? &op_keep_shard : &op_keep_first;
    if (have.kind == PARTIAL)
        return want.kind == SHARD ? &op_reduce_scatter : &op_all_reduce;
    return &op_all_gather;
}

/* The node that brings t to where it is wanted, beside the one that reads or makes it; without its output. */
static struct node *add_collective(struct pass *s, struct tensor *t, struct placement want,
                                   const struct node *beside)
{
    struct placement have = *on(s, t);
    struct node *n = arena_alloc(&s->g->arena, sizeof(*n));

    *n = (struct node){ .op = collective_for(have, want),
                        .nin = 1,
                        .nout = 1,
                        .unit = beside->unit,
                        .layer = beside->layer,
                        .scope = beside->scope };
    n->in = arena_alloc(&s->g->arena, sizeof(n->in[0]));
    n->in[0] = t;
    n->attr[COLLECTIVE_AXIS] = s->cost.axis;
    n->attr[COLLECTIVE_DIM] = want.kind == SHARD ? want.dim : have.kind == SHARD ? have.dim : 0;
    n->attr[COLLECTIVE_REDUCTION] = have.kind == PARTIAL ? have.reduction : 0;
    graph_append(s->g, n);
    return n;
}

/* A tensor that n makes as output j, otherwise like t. */
static struct tensor *add_value(struct pass *s, struct node *n, int j, const struct tensor *t,
                                struct placement p)
{
    struct tensor like = *t;

    like.kind = TENSOR_VALUE;
    like.name = NULL;
    like.producer = n;
    like.output = j;
    like.into = NULL;
    like.constant = NULL;
    like.grad = NULL;
    like.layout.on[s->cost.axis] = p;
    return n->out[j] = graph_add_tensor(s->g, &like);
}

static struct tensor *emit_collective(struct pass *s, struct tensor *t, struct placement want,
                                      const struct node *reader)
{
    struct placement have = *on(s, t);
    struct node *n = add_collective(s, t, want, reader);

    add_value(s, n, 0, t, want);
    if (have.kind == PARTIAL && tensor_storage(t)->kind == TENSOR_GRAD)
        node_write_into(n, 0, t, false);
    return n->out[0];
}

/* Some changes are two collectives, by way of REPLICATE. */
static bool is_one_step(struct placement have, struct placement want)
{
    return have.kind == REPLICATE || want.kind == REPLICATE || (have.kind == PARTIAL && want.kind == SHARD);
}

/* Gathered values are gathered again in the backward pass, not kept, and gathered parameters in each layer
 * that reads them; reduced values are kept. What one rank keeps for all is only read as it is: there is no
 * sum to be made of it. What a microbatch has made is not there any more in the update. */
static bool may_use(const struct pass *s, const struct form *f, struct placement want,
                    const struct node *reader)
{
    bool forward = reader->unit == UNIT_FORWARD;

    if ((f->unit == UNIT_UPDATE) != (reader->unit == UNIT_UPDATE))
        return false;
    if (f->t->producer->op == &op_keep_first)
        return placement_equal(*on(s, f->t), want);
    if (f->t->producer->op != &op_all_gather)
        return true;
    return (f->unit == UNIT_FORWARD) == forward && (!f->t->param || f->layer == reader->layer);
}

/* t, or what has been summed in its place. */
static struct tensor *newest(const struct pass *s, struct tensor *t)
{
    for (const struct form *f = forms_of(s, t); f; f = f->next)
        if (f->t->into == t)
            return f->t;
    return t;
}

/* The cheapest form of t to make `want` from. A value cut into shares will be wanted whole again, so a node
 * that would only cut it is charged for that; inputs and weights have no such future. */
static struct tensor *cheapest_form(const struct pass *s, struct tensor *t, struct placement want,
                                    const struct node *reader, double *seconds)
{
    struct placement all = { .kind = REPLICATE };
    struct tensor *best = newest(s, t);

    *seconds = redistribute_seconds(&s->cost, t, *on(s, best), want);
    for (const struct form *f = forms_of(s, t); f; f = f->next) {
        double other = redistribute_seconds(&s->cost, t, *on(s, f->t), want);
        if (other < *seconds && may_use(s, f, want, reader)) {
            *seconds = other;
            best = f->t;
        }
    }
    if (t->kind == TENSOR_VALUE && want.kind == SHARD && on(s, best)->kind == REPLICATE)
        *seconds += redistribute_seconds(&s->cost, t, want, all);
    return best;
}

static struct tensor *redistribute(struct pass *s, struct tensor *t, struct placement want,
                                   const struct node *reader)
{
    struct form *f;
    struct tensor *best;
    double seconds;

    if (placement_is_free(*on(s, t)))
        *on(s, t) = placement_settle(want);
    best = cheapest_form(s, t, want, reader, &seconds);
    if (placement_equal(*on(s, best), want))
        return best;
    if (!is_one_step(*on(s, best), want))
        best = redistribute(s, t, (struct placement){ .kind = REPLICATE }, reader);
    f = arena_alloc(&s->arena, sizeof(*f));
    *f = (struct form){ .unit = reader->unit, .layer = reader->layer };
    f->t = emit_collective(s, best, want, reader);
    add_form(s, t, f);
    return f->t;
}

static const struct tensor *param_of(const struct pass *s, const struct tensor *gradient)
{
    for (size_t i = 0; gradient->param && i < s->tensor_count; i++)
        if (s->g->tensors[i]->kind == TENSOR_PARAM && s->g->tensors[i]->param == gradient->param)
            return s->g->tensors[i];
    return NULL;
}

/* What is added to an accumulator that lies in shares is cut, or reduced, on the way. */
static bool is_scattered(const struct tensor *out, struct placement there, struct placement p)
{
    bool sum = p.kind == PARTIAL && p.reduction == REDUCE_SUM;

    return there.kind == SHARD && (sum || p.kind == REPLICATE) &&
           tensor_storage(out->into)->kind == TENSOR_GRAD;
}

/* An output that goes into an accumulator must lie as what is there, or be brought there; the first one
 * decides, and pays for what it takes to bring the sum to where the parameter lies. */
static double output_seconds(const struct pass *s, const struct tensor *out, struct placement p)
{
    struct placement there;
    const struct tensor *param;

    if (!out || !out->into)
        return 0;
    there = out->into->layout.on[s->cost.axis];
    if (is_scattered(out, there, p))
        return redistribute_seconds(&s->cost, out, p, there);
    if (!placement_is_free(there))
        return placement_equal(there, p) ? 0 : INFINITY;
    param = param_of(s, out->into);
    if (!param || placement_is_free(param->layout.on[s->cost.axis]))
        return 0;
    return redistribute_seconds(&s->cost, out, p, param->layout.on[s->cost.axis]);
}

/* On tp weights stay as the forward pass has used them: to divide one otherwise may look cheap to a single
 * node of the backward pass, which does not see what becomes of its gradients. */
static bool moves_weight(const struct pass *s, const struct node *n, int i, struct placement want)
{
    bool moves = s->cost.axis == AXIS_TP && n->unit != UNIT_FORWARD && n->in[i]->kind == TENSOR_PARAM &&
                 !placement_equal(*on(s, n->in[i]), want);

    for (const struct form *f = forms_of(s, n->in[i]); f; f = f->next)
        moves = moves && !placement_equal(*on(s, f->t), want);
    return moves;
}

static double rule_seconds(const struct pass *s, const struct node *n, const struct shard_rule *rule)
{
    double seconds = node_seconds(&s->cost, n, rule->work), more;

    for (int j = 0; j < n->nout; j++)
        seconds += output_seconds(s, n->out[j], rule->out[j]);
    for (int i = 0; i < n->nin && seconds < INFINITY; i++) {
        if (!n->in[i] || placement_is_free(*on(s, n->in[i])))
            continue;
        cheapest_form(s, n->in[i], rule->in[i], n, &more);
        seconds += more;
        if (moves_weight(s, n, i, rule->in[i]))
            seconds += 1e6; /* only where no rule leaves it */
    }
    return seconds;
}

static const struct shard_rule *cheapest(struct pass *s, const struct node *n)
{
    struct placement *have = arena_alloc(&s->arena, (size_t)n->nin * sizeof(have[0]) + 1);
    struct shard_rules *rules = arena_alloc(&s->arena, sizeof(*rules));
    const struct shard_rule *best = NULL;
    double least = INFINITY;

    for (int i = 0; i < n->nin; i++)
        have[i] = n->in[i] ? *on(s, n->in[i]) : PLACEMENT_FREE;
    node_rules(n, have, &s->cost, &s->arena, rules);
    for (int r = 0; r < rules->count; r++) {
        double seconds = rule_seconds(s, n, &rules->rule[r]);
        if (seconds < least) {
            least = seconds;
            best = &rules->rule[r];
        }
    }
    if (!best)
        BUG("%s: no sharding rule of op %s fits on %s", n->scope, n->op->name, axis_name(s->cost.axis));
    return best;
}

/* ZeRO: the update reads gradients in shares, however they were added up. What is summed further in place
 * is so in the share's place. */
static void deal_out_gradients(struct pass *s, struct node *n)
{
    for (int i = 0; s->share && n->unit == UNIT_UPDATE && i < n->nin; i++) {
        struct tensor *t = n->in[i], *root = t ? tensor_storage(t) : NULL;
        if (!root || root->kind != TENSOR_GRAD || s->share[root->id].kind != SHARD ||
            on(s, t)->kind != PARTIAL)
            continue;
        n->in[i] = redistribute(s, t, s->share[root->id], n);
        for (int j = 0; j < n->nout; j++)
            if (n->out[j] && n->out[j]->into == t)
                n->out[j]->into = n->in[i];
    }
}

/* n makes a value of its own instead of output j, whose share goes into what output j takes over. */
static void scatter_output(struct pass *s, struct node *n, int j, struct placement p)
{
    struct tensor *out = n->out[j], *value = add_value(s, n, j, out, p);
    struct node *c = add_collective(s, value, *on(s, out->into), n);

    *on(s, out) = *on(s, out->into);
    out->producer = c;
    out->output = 0;
    c->out[0] = out;
    c->accumulate[0] = n->accumulate[j];
    n->accumulate[j] = false;
}

/* n has changed `from` in place, in the form of it that is its input i: back to where it lies. */
static void write_back(struct pass *s, struct tensor *from, const struct node *n, int i)
{
    struct node *c = add_collective(s, n->in[i], *on(s, from), n);

    add_value(s, c, 0, from, *on(s, from));
    node_write_into(c, 0, from, false);
    s->forms[from->id] = NULL;
}

/* Nodes without outputs change parameters and their state in place. */
static bool changes(const struct node *n, const struct tensor *t)
{
    return n->nout == 0 && n->unit == UNIT_UPDATE && (t->kind == TENSOR_PARAM || t->kind == TENSOR_STATE);
}

static void apply(struct pass *s, struct node *n, const struct shard_rule *rule)
{
    struct tensor **before = arena_alloc(&s->arena, (size_t)n->nin * sizeof(before[0]) + 1);

    for (int i = 0; i < n->nin; i++) {
        before[i] = n->in[i];
        if (n->in[i] && !(i < 8 && n->op->shape_only >> i & 1))
            n->in[i] = redistribute(s, n->in[i], rule->in[i], n);
    }
    graph_append(s->g, n);
    for (int j = 0; j < n->nout; j++) {
        struct tensor *t = n->out[j];
        if (!t)
            continue;
        *on(s, t) = rule->out[j];
        if (t->into && placement_is_free(*on(s, t->into)))
            *on(s, t->into) = rule->out[j];
        else if (t->into && !placement_equal(*on(s, t->into), rule->out[j]))
            scatter_output(s, n, j, rule->out[j]);
    }
    for (int i = 0; i < n->nin; i++)
        if (before[i] != n->in[i] && changes(n, before[i]))
            write_back(s, before[i], n, i);
}

static void make_whole(struct pass *s, struct tensor **const outputs[], int count)
{
    struct node host = { .unit = UNIT_FORWARD, .scope = "" };

    for (int i = 0; i < count; i++) {
        if (!*outputs[i])
            continue;
        host.layer = (*outputs[i])->producer ? (*outputs[i])->producer->layer : -1;
        *outputs[i] = redistribute(s, *outputs[i], (struct placement){ .kind = REPLICATE }, &host);
    }
}

static void shard_axis(struct graph *g, const struct axis_cost *cost, const struct shard_options *o,
                       struct tensor **const outputs[], int count)
{
    struct pass s = { .g = g, .o = o, .cost = *cost, .tensor_count = g->tensor_count };
    size_t node_count = g->node_count;
    struct node **nodes = mem_alloc_array(node_count + 1, sizeof(nodes[0]));
    const struct shard_rule **choice = mem_alloc_array(node_count + 1, sizeof(choice[0]));
    struct placement *known = mem_alloc_array(g->tensor_count + 1, sizeof(known[0]));

    arena_init(&s.arena);
    if (cost->axis == AXIS_DP)
        s.share = zero_shares(g, o, cost->size, &s.arena);
    set_known(&s);
    for (size_t i = 0; i < g->tensor_count; i++)
        known[i] = *on(&s, g->tensors[i]);
    if (cost->axis == AXIS_TP)
        search_rules(g, cost, known, &s.arena, choice);
    memcpy(nodes, g->nodes, node_count * sizeof(nodes[0]));
    g->node_count = 0;
    for (size_t k = 0; k < node_count; k++) {
        deal_out_gradients(&s, nodes[k]);
        apply(&s, nodes[k], choice[k] ? choice[k] : cheapest(&s, nodes[k]));
    }
    if (cost->axis == AXIS_TP)
        make_whole(&s, outputs, count);
    for (size_t i = 0; i < g->tensor_count; i++)
        if (placement_is_free(*on(&s, g->tensors[i])))
            *on(&s, g->tensors[i]) = (struct placement){ .kind = REPLICATE };
    arena_release(&s.arena);
    mem_free(s.forms);
    mem_free(nodes);
    mem_free(choice);
    mem_free(known);
}

int shard_graph(struct graph *g, const struct shard_options *o, struct tensor **const outputs[], int count)
{
    static const enum axis order[] = { AXIS_TP, AXIS_DP };

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const struct cluster on = cluster_on_axis(o->cluster, o->mesh, order[i]);
        if (mesh_size(o->mesh, order[i]) > 1)
            shard_axis(g, &(struct axis_cost){ order[i], o->mesh->size[order[i]], &on }, o, outputs, count);
    }
    if (mesh_ranks(o->mesh) > 1)
        graph_check(g);
    return OK;
}
