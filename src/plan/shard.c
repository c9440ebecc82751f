/* shard -- gives every tensor its placements and puts collectives in where a reader wants another one than there is. One
 * axis after the other, and independently. The forward nodes' rules on tp come from search.c; every other node takes the
 * rule that costs least given where its inputs lie: after the forward pass is decided, gradients and updates have one
 * sensible choice left. On dp, only samples are dealt out, so there is nothing to search. */
#include "plan/shard.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "plan/plan.h"

/* ---- What things cost. Rough figures of one host; only their proportions matter. ---- */

static const double bytes_per_second = 6e9, message_seconds = 20e-6;
static const double flops_per_second = 150e9, memory_per_second = 12e9;

double redistribute_seconds(const struct tensor *t, struct placement have, struct placement want, int size)
{
    double part = (size - 1.0) / size, move = (double)tensor_bytes(t) * part / bytes_per_second;

    if (placement_equal(have, want))
        return 0;
    if (have.kind == REPLICATE)
        return want.kind == PARTIAL && want.reduction != REDUCE_SUM ? INFINITY : 1e-6; /* a local copy at most */
    if (want.kind == PARTIAL)
        return INFINITY;
    if (have.kind == PARTIAL)
        return want.kind == REPLICATE ? 2 * move + 2 * message_seconds : move + message_seconds;
    return want.kind == REPLICATE ? move + message_seconds : 2 * move + message_seconds;
}

double node_seconds(const struct node *n, double work)
{
    struct op_cost c = n->op->cost ? n->op->cost(n) : (struct op_cost){ 0 };
    double flops = c.flops / flops_per_second, bytes = c.bytes / memory_per_second;

    return work * (flops > bytes ? flops : bytes);
}

void node_rules(const struct node *n, const struct placement have[], enum axis axis, int size, struct arena *arena,
                struct shard_rules *out)
{
    struct placement *in = arena_alloc(arena, (size_t)n->nin * sizeof(in[0]) + 1); /* zero: REPLICATE */
    struct placement all[MAX_OUTPUTS] = { 0 };

    out->arena = arena;
    out->axis = axis;
    out->size = size;
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
    enum axis axis;
    int size;
    struct arena arena;
    struct form **forms; /* [tensor] */
    size_t tensor_count; /* before the pass */
};

static struct placement *on(const struct pass *s, struct tensor *t)
{
    return &t->layout.on[s->axis];
}

/* Parameters and what follows them are free on tp, REPLICATE on dp; gradients follow what is added to them. */
static void set_known(struct pass *s)
{
    for (size_t i = 0; i < s->g->tensor_count; i++) {
        struct tensor *t = s->g->tensors[i];
        bool free = t->kind == TENSOR_GRAD || (s->axis == AXIS_TP && t->kind != TENSOR_INPUT);
        if (t->producer)
            continue;
        if (free)
            *on(s, t) = PLACEMENT_FREE;
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
    struct node *n = graph_node(&s->b, op, 1, &t,
                                (struct attr_value[]){ { "axis", s->axis },
                                                       { "dim", dim },
                                                       { "reduction", have.kind == PARTIAL ? have.reduction : 0 },
                                                       { 0 } });

    n->out[0]->layout = t->layout;
    n->out[0]->param = t->param;
    *on(s, n->out[0]) = op == &op_all_gather ? (struct placement){ .kind = REPLICATE } : want;
    if (op == &op_all_reduce && tensor_storage(t)->kind == TENSOR_GRAD)
        node_write_into(n, 0, t, false);
    if (op == &op_all_gather && want.kind != REPLICATE)
        return emit_collective(s, n->out[0], want);
    return n->out[0];
}

/* Gathered values are gathered again in the backward pass, not kept; reduced ones are kept. */
static bool may_use(const struct form *f, enum unit unit)
{
    bool backward = unit != UNIT_FORWARD;

    return f->t->producer->op != &op_all_gather || (f->unit != UNIT_FORWARD) == backward;
}

static struct tensor *redistribute(struct pass *s, struct tensor *t, struct placement want, const struct node *reader)
{
    struct form *f;
    struct tensor *best = t;
    double least;

    if (placement_is_free(*on(s, t)))
        *on(s, t) = want;
    least = redistribute_seconds(t, *on(s, t), want, s->size);
    for (f = s->forms[t->id]; f; f = f->next) {
        double seconds = redistribute_seconds(t, *on(s, f->t), want, s->size);
        if (seconds < least && may_use(f, reader->unit)) {
            least = seconds;
            best = f->t;
        }
    }
    if (placement_equal(*on(s, best), want))
        return best;
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

/* An output that goes into an accumulator must lie as what is there; the first one decides. A gradient of a SHARDed
 * parameter is SHARDed alike. */
static bool output_fits(const struct pass *s, const struct tensor *out, struct placement p)
{
    struct placement there;

    if (!out || !out->into)
        return true;
    there = *on(s, out->into);
    if (!placement_is_free(there))
        return placement_equal(there, p);
    for (size_t i = 0; i < s->tensor_count && out->into->param; i++) {
        const struct tensor *param = s->g->tensors[i];
        if (param->kind != TENSOR_PARAM || param->param != out->into->param)
            continue;
        return param->layout.on[s->axis].kind == SHARD ? placement_equal(param->layout.on[s->axis], p)
                                                       : p.kind != SHARD;
    }
    return true;
}

static double rule_seconds(const struct pass *s, const struct node *n, const struct shard_rule *rule)
{
    double seconds = node_seconds(n, rule->work);

    for (int j = 0; j < n->nout; j++)
        if (!output_fits(s, n->out[j], rule->out[j]))
            return INFINITY;
    for (int i = 0; i < n->nin && seconds < INFINITY; i++) {
        double least;
        if (!n->in[i] || placement_is_free(*on(s, n->in[i])))
            continue;
        least = redistribute_seconds(n->in[i], *on(s, n->in[i]), rule->in[i], s->size);
        for (const struct form *f = s->forms[n->in[i]->id]; f; f = f->next)
            if (may_use(f, n->unit))
                least = fmin(least, redistribute_seconds(n->in[i], *on(s, f->t), rule->in[i], s->size));
        seconds += least;
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
    node_rules(n, have, s->axis, s->size, &s->arena, rules);
    for (int r = 0; r < rules->count; r++) {
        double seconds = rule_seconds(s, n, &rules->rule[r]);
        if (seconds < least) {
            least = seconds;
            best = &rules->rule[r];
        }
    }
    if (!best)
        BUG("%s: no sharding rule of op %s fits on %s", n->scope, n->op->name, axis_name(s->axis));
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

static void grow_forms(struct pass *s)
{
    /* readers hold the original tensors until they are rewritten, so forms are kept by those alone */
    s->forms = mem_alloc_array(s->tensor_count + 1, sizeof(s->forms[0]));
}

static void shard_axis(struct graph *g, enum axis axis, int size)
{
    struct pass s = { .g = g, .axis = axis, .size = size, .tensor_count = g->tensor_count };
    size_t count = g->node_count;
    struct node **nodes = mem_alloc_array(count + 1, sizeof(nodes[0]));
    const struct shard_rule **choice = mem_alloc_array(count + 1, sizeof(choice[0]));
    struct placement *known = mem_alloc_array(g->tensor_count + 1, sizeof(known[0]));

    arena_init(&s.arena);
    builder_init(&s.b, g);
    grow_forms(&s);
    set_known(&s);
    for (size_t i = 0; i < g->tensor_count; i++)
        known[i] = *on(&s, g->tensors[i]);
    if (axis == AXIS_TP)
        search_rules(g, axis, size, known, &s.arena, choice);
    memcpy(nodes, g->nodes, count * sizeof(nodes[0]));
    g->node_count = 0;
    for (size_t k = 0; k < count; k++)
        apply(&s, nodes[k], choice[k] ? choice[k] : cheapest(&s, nodes[k]));
    for (size_t i = 0; i < g->tensor_count; i++)
        if (placement_is_free(*on(&s, g->tensors[i])))
            *on(&s, g->tensors[i]) = (struct placement){ .kind = REPLICATE };
    arena_release(&s.arena);
    mem_free(s.forms);
    mem_free(nodes);
    mem_free(choice);
    mem_free(known);
}

int shard_graph(struct graph *g, const struct mesh *mesh)
{
    for (int a = 0; a < AXIS_COUNT; a++)
        if (mesh->size[a] > 1)
            shard_axis(g, (enum axis)a, mesh->size[a]);
    if (mesh_ranks(mesh) > 1)
        graph_check(g);
    return OK;
}
