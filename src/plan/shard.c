/* shard -- gives every tensor its placements and puts collectives in where a reader wants another one than
 * there is. One axis after the other, and independently. The forward nodes' rules on tp come from search.c;
 * every other node takes the rule that costs least given where its inputs lie: after the forward pass is
 * decided, gradients and updates have one sensible choice left. On dp, only samples are dealt out, so there
 * is nothing to search. */
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
    struct form *next;
};

struct pass {
    struct builder b;
    struct graph *g;
    const struct shard_known *known;
    struct axis_cost cost;
    struct arena arena;
    struct form *
        *forms; /* [tensor] that was there before the pass: readers hold those until they are rewritten */
    size_t tensor_count; /* before the pass */
};

static struct placement *on(const struct pass *s, struct tensor *t)
{
    return &t->layout.on[s->cost.axis];
}

static struct placement as_known(const struct pass *s, const struct tensor *t)
{
    const struct graph *beside = s->known->beside;
    const struct tensor *there =
        beside && t->kind == TENSOR_PARAM ? graph_find(beside, t->name, TENSOR_PARAM) : NULL;
    struct placement p;

    if (there)
        return there->layout.on[s->cost.axis];
    return partition_rules_find(s->known->rules, t, s->cost.axis, &p) ? p : PLACEMENT_FREE;
}

/* Parameters and what follows them are free on tp (unless another plan has them already, or the user wants
 * them so), REPLICATE on dp; gradients follow what is added to them. */
static void set_known(struct pass *s)
{
    for (size_t i = 0; i < s->g->tensor_count; i++) {
        struct tensor *t = s->g->tensors[i];
        bool free = t->kind == TENSOR_GRAD || (s->cost.axis == AXIS_TP && t->kind != TENSOR_INPUT);
        if (t->producer)
            continue;
        if (free)
            *on(s, t) = as_known(s, t);
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

static struct tensor *emit_collective(struct pass *s, struct tensor *t, struct placement want)
{
    struct placement have = *on(s, t);
    const struct op_def *op = collective_for(have, want);
    int dim = want.kind == SHARD ? want.dim : have.kind == SHARD ? have.dim : 0;
    struct node *n =
        graph_node(&s->b, op, 1, &t,
                   (struct attr_value[]){ { "axis", s->cost.axis },
                                          { "dim", dim },
                                          { "reduction", have.kind == PARTIAL ? have.reduction : 0 },
                                          { 0 } });

    n->out[0]->layout = t->layout;
    n->out[0]->param = t->param;
    *on(s, n->out[0]) = want;
    if (op == &op_all_reduce && tensor_storage(t)->kind == TENSOR_GRAD)
        node_write_into(n, 0, t, false);
    return n->out[0];
}

/* Some changes are two collectives, by way of REPLICATE. */
static bool is_one_step(struct placement have, struct placement want)
{
    return have.kind == REPLICATE || want.kind == REPLICATE || (have.kind == PARTIAL && want.kind == SHARD);
}

/* Gathered values are gathered again in the backward pass, not kept; reduced ones are kept. What one
 * rank keeps for all is only read as it is: there is no sum to be made of it. The update is a program of its
 * own: what a microbatch has made is not there any more. */
static bool may_use(const struct pass *s, const struct form *f, struct placement want, enum unit unit)
{
    bool backward = unit != UNIT_FORWARD;

    if ((f->unit == UNIT_UPDATE) != (unit == UNIT_UPDATE))
        return false;
    if (f->t->producer->op == &op_keep_first)
        return placement_equal(*on(s, f->t), want);
    return f->t->producer->op != &op_all_gather || (f->unit != UNIT_FORWARD) == backward;
}

/* The cheapest form of t to make `want` from. A value cut into shares will be wanted whole again, so a node
 * that would only cut it is charged for that; inputs and weights have no such future. */
static struct tensor *cheapest_form(const struct pass *s, struct tensor *t, struct placement want,
                                    enum unit unit, double *seconds)
{
    struct placement all = { .kind = REPLICATE };
    struct tensor *best = t;

    *seconds = redistribute_seconds(&s->cost, t, *on(s, t), want);
    for (const struct form *f = s->forms[t->id]; f; f = f->next) {
        double other = redistribute_seconds(&s->cost, t, *on(s, f->t), want);
        if (other < *seconds && may_use(s, f, want, unit)) {
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
    best = cheapest_form(s, t, want, reader->unit, &seconds);
    if (placement_equal(*on(s, best), want))
        return best;
    if (!is_one_step(*on(s, best), want))
        best = redistribute(s, t, (struct placement){ .kind = REPLICATE }, reader);
    s->b.unit = reader->unit;
    s->b.layer = reader->layer;
    memcpy(s->b.scope, reader->scope, strlen(reader->scope) + 1);
    f = arena_alloc(&s->arena, sizeof(*f));
    f->t = emit_collective(s, best, want);
    f->unit = reader->unit;
    f->next = s->forms[t->id];
    s->forms[t->id] = f;
    return f->t;
}

static const struct tensor *param_of(const struct pass *s, const struct tensor *gradient)
{
    for (size_t i = 0; gradient->param && i < s->tensor_count; i++)
        if (s->g->tensors[i]->kind == TENSOR_PARAM && s->g->tensors[i]->param == gradient->param)
            return s->g->tensors[i];
    return NULL;
}

/* An output that goes into an accumulator must lie as what is there; the first one decides, and pays for what
 * it takes to bring the sum to where the parameter lies. */
static double output_seconds(const struct pass *s, const struct tensor *out, struct placement p)
{
    struct placement there;
    const struct tensor *param;

    if (!out || !out->into)
        return 0;
    there = out->into->layout.on[s->cost.axis];
    if (!placement_is_free(there))
        return placement_equal(there, p) ? 0 : INFINITY;
    param = param_of(s, out->into);
    if (!param || placement_is_free(param->layout.on[s->cost.axis]))
        return 0;
    return redistribute_seconds(&s->cost, out, p, param->layout.on[s->cost.axis]);
}

/* Weights stay as the forward pass has used them: to divide one otherwise may look cheap to a single node of
 * the backward pass, which does not see what becomes of its gradients. */
static bool moves_weight(const struct pass *s, const struct node *n, int i, struct placement want)
{
    bool moves =
        n->unit != UNIT_FORWARD && n->in[i]->kind == TENSOR_PARAM && !placement_equal(*on(s, n->in[i]), want);

    for (const struct form *f = s->forms[n->in[i]->id]; f; f = f->next)
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
        cheapest_form(s, n->in[i], rule->in[i], n->unit, &more);
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

static void apply(struct pass *s, struct node *n, const struct shard_rule *rule)
{
    for (int i = 0; i < n->nin; i++)
        if (n->in[i])
            n->in[i] = redistribute(s, n->in[i], rule->in[i], n);
    for (int j = 0; j < n->nout; j++) {
        if (!n->out[j])
            continue;
        *on(s, n->out[j]) = rule->out[j];
        if (n->out[j]->into && placement_is_free(*on(s, n->out[j]->into)))
            *on(s, n->out[j]->into) = rule->out[j];
    }
    graph_append(s->g, n);
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

static void shard_axis(struct graph *g, const struct axis_cost *cost, const struct shard_known *known_before,
                       struct tensor **const outputs[], int count)
{
    struct pass s = { .g = g, .known = known_before, .cost = *cost, .tensor_count = g->tensor_count };
    size_t node_count = g->node_count;
    struct node **nodes = mem_alloc_array(node_count + 1, sizeof(nodes[0]));
    const struct shard_rule **choice = mem_alloc_array(node_count + 1, sizeof(choice[0]));
    struct placement *known = mem_alloc_array(g->tensor_count + 1, sizeof(known[0]));

    arena_init(&s.arena);
    builder_init(&s.b, g);
    s.forms = mem_alloc_array(s.tensor_count + 1, sizeof(s.forms[0]));
    set_known(&s);
    for (size_t i = 0; i < g->tensor_count; i++)
        known[i] = *on(&s, g->tensors[i]);
    if (cost->axis == AXIS_TP)
        search_rules(g, cost, known, &s.arena, choice);
    memcpy(nodes, g->nodes, node_count * sizeof(nodes[0]));
    g->node_count = 0;
    for (size_t k = 0; k < node_count; k++)
        apply(&s, nodes[k], choice[k] ? choice[k] : cheapest(&s, nodes[k]));
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

int shard_graph(struct graph *g, const struct mesh *mesh, const struct cluster *cluster,
                const struct shard_known *known, struct tensor **const outputs[], int count)
{
    for (int a = 0; a < PLACEMENT_AXES; a++)
        if (mesh->size[a] > 1)
            shard_axis(g,
                       &(struct axis_cost){ .axis = (enum axis)a, .size = mesh->size[a], .cluster = cluster },
                       known, outputs, count);
    if (mesh_ranks(mesh) > 1)
        graph_check(g);
    return OK;
}
