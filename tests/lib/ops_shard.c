/* Sharding rules test themselves: the inputs are cut as a rule wants them, the node runs on every rank's
 * shares, the outputs are put together as the rule says they lie, and the whole must come out. On dp whole
 * sequences are dealt out, with offsets and label rows counted from each rank's first row, as the loader
 * does. PARTIAL inputs come once as random summands, and once as HELD ones do: the first rank has all, the
 * others have no data. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "lib/ops.h"

#include <cmocka.h>

struct cut { /* what each dp rank has of a group */
    const struct ops_group *group;
    int64_t from[OPS_RANKS], used[OPS_RANKS];
};

struct sharding {
    struct ops_case *c;
    const struct ops_values *v;
    const struct shard_rule *rule;
    enum axis axis;
    int ranks;
    bool summands; /* PARTIAL inputs as summands, not held by the first rank */
    bool dealt;    /* rows are dealt out on dp */
    struct cut cut[OPS_GROUPS];
    double tolerance;
    char what[160];
};

/* ---- Dealing rows to dp ranks ---- */

static int64_t clip(int64_t x, int64_t high)
{
    return x < high ? x : high;
}

static void cut_evenly(struct sharding *s, struct cut *k, int64_t count)
{
    int64_t each = (count + s->ranks - 1) / s->ranks;

    for (int r = 0; r < s->ranks; r++) {
        k->from[r] = clip(each * r, count);
        k->used[r] = clip(each * (r + 1), count) - k->from[r];
    }
}

/* Sequences evenly; an offsets tensor has one entry more than it has sequences. */
static void cut_rows(struct sharding *s, struct cut *k)
{
    const struct ops_leaf *l = &s->c->leaf[k->group->offsets < 0 ? 0 : k->group->offsets];
    struct cut sequences = { 0 };

    if (k->group->offsets < 0) {
        cut_evenly(s, k, k->group->used);
        return;
    }
    cut_evenly(s, &sequences, ops_group_of(s->c, l->tensor->dims[0])->used - 1);
    for (int r = 0; r < s->ranks; r++) {
        k->from[r] = (int64_t)l->data[sequences.from[r]];
        k->used[r] = (int64_t)l->data[sequences.from[r] + sequences.used[r]] - k->from[r];
    }
}

static void cut_labels(struct sharding *s, struct cut *k, const struct cut *rows)
{
    const double *row = s->c->leaf[k->group->row_index].data;
    int64_t at = 0;

    for (int r = 0; r < s->ranks; r++) {
        k->from[r] = at;
        while (at < k->group->used && row[at] < (double)(rows->from[r] + rows->used[r]))
            at++;
        k->used[r] = at - k->from[r];
    }
}

static void cut_groups(struct sharding *s)
{
    for (int i = 0; i < s->c->groups; i++) {
        struct cut *k = &s->cut[i];
        k->group = &s->c->group[i];
        if (k->group->dim.count == COUNT_ROWS)
            cut_rows(s, k);
        else if (k->group->row_index >= 0)
            cut_labels(s, k, &s->cut[0]);
        else
            cut_evenly(s, k, k->group->used - 1);
        for (int r = 0; r < s->ranks && k->group->dim.count == COUNT_OFFSETS; r++)
            k->used[r]++;
    }
}

static const struct cut *cut_of(const struct sharding *s, struct dim dim)
{
    const struct ops_group *g = ops_group_of(s->c, dim);

    return g ? &s->cut[g - s->c->group] : NULL;
}

/* ---- Shares ---- */

struct share {
    struct view v;
    int64_t from[MAX_DIMS], whole[MAX_DIMS]; /* in the whole value */
};

static void share_dim(const struct sharding *s, struct share *x, struct dim dim, int d, bool cut, int rank)
{
    const struct cut *k = cut_of(s, dim);
    int64_t capacity = (dim.size + s->ranks - 1) / s->ranks, used = k ? k->group->used : dim.size;

    x->whole[d] = x->v.whole[d] = x->v.dim[d] = used;
    if (k && s->axis == AXIS_DP && cut) { /* a rank's rows are all it knows of */
        x->from[d] = k->from[rank];
        x->v.whole[d] = x->v.dim[d] = k->used[rank];
    } else if (cut) {
        x->from[d] = x->v.first[d] = capacity * rank;
        x->v.dim[d] = k ? clip(used - x->from[d] > 0 ? used - x->from[d] : 0, capacity) : capacity;
    }
}

static struct share share_of(const struct sharding *s, const struct tensor *t, struct placement p, int rank,
                             enum dtype real)
{
    struct share x = { .v = { .dtype = t->dtype == DT_F32 ? real : t->dtype, .ndim = t->ndim } };

    for (int d = 0; d < t->ndim; d++)
        share_dim(s, &x, t->dims[d], d, p.kind == SHARD && p.dim == d, rank);
    x.v.data = mem_alloc((size_t)ops_count(&x.v) * dtype_bytes(x.v.dtype));
    return x;
}

/* Index in the whole value of entry i of a share; -1: padding. */
static int64_t whole_index(const struct share *x, int64_t i)
{
    int64_t at[MAX_DIMS], index = 0;

    for (int d = x->v.ndim - 1; d >= 0; d--) {
        at[d] = x->from[d] + i % x->v.dim[d];
        i /= x->v.dim[d];
        if (at[d] >= x->whole[d])
            return -1;
    }
    for (int d = 0; d < x->v.ndim; d++)
        index = index * x->whole[d] + at[d];
    return index;
}

/* One rank's part of x, so that all parts reduce to it. */
static double part(const struct sharding *s, struct placement p, double x, int64_t i, int rank)
{
    double rest = x;

    if (p.kind != PARTIAL)
        return x;
    if (p.reduction == REDUCE_MAX)
        return rank == i % s->ranks ? x : x - 1 - rank;
    if (p.reduction == REDUCE_LOGSUMEXP)
        return x - log(s->ranks);
    for (int r = 0; r + 1 < s->ranks && s->summands; r++) {
        double random = rng_normal((struct rng_key){ 3, (uint32_t)r }, 0, (uint64_t)i);
        if (r == rank)
            return random;
        rest -= random;
    }
    return s->summands ? rest : rank == 0 ? x : 0;
}

static void fill_share(const struct sharding *s, const struct share *x, struct placement p,
                       const double *values, int rank)
{
    for (int64_t i = 0; i < ops_count(&x->v); i++) {
        int64_t w = whole_index(x, i);
        ops_set(&x->v, i, w < 0 ? 0 : part(s, p, values[w], w, rank));
    }
}

/* Offsets and rows of labels count from the rank's first row. */
static void rebase(const struct sharding *s, const struct tensor *t, const struct share *x, int rank)
{
    enum ops_role role = OPS_PLAIN;
    double base = 0;

    for (int i = 0; i < s->c->leaves; i++)
        if (s->c->leaf[i].tensor == t)
            role = s->c->leaf[i].role;
    if (s->axis != AXIS_DP || role == OPS_PLAIN || ops_count(&x->v) == 0)
        return;
    base = role == OPS_OFFSETS ? ops_get(&x->v, 0) : (double)s->cut[0].from[rank];
    for (int64_t i = 0; i < ops_count(&x->v); i++)
        ops_set(&x->v, i, ops_get(&x->v, i) - base);
}

static void share_input(const struct sharding *s, struct ops_call *call, int i, int rank, enum dtype real)
{
    struct tensor *t = call->node->in[i];
    struct placement p = s->rule->in[i];
    struct share x = share_of(s, t, p, rank, real);

    t->layout.on[s->axis] = p;
    fill_share(s, &x, p, ops_value_of(s->c, s->v, t), rank);
    if (p.kind == SHARD)
        rebase(s, t, &x, rank);
    if ((p.kind == HELD || (p.kind == PARTIAL && p.reduction == REDUCE_SUM && !s->summands)) && rank > 0) {
        mem_free(x.v.data);
        x.v.data = NULL;
    }
    call->in[i] = x.v;
}

static void share_output(const struct sharding *s, struct ops_call *call, int j, int rank, enum dtype real)
{
    struct tensor *t = call->node->out[j];
    struct placement p = s->rule->out[j];
    struct share x = share_of(s, t, p, rank, real);
    const double *before = t->into ? ops_value_of(s->c, s->v, t->into) : NULL;

    t->layout.on[s->axis] = p;
    call->add[j] = call->node->accumulate[j] && before;
    if (before)
        fill_share(s, &x, p, before, rank);
    else
        ops_fill(&x.v, NULL);
    call->out[j] = x.v;
}

static void rank_call(const struct sharding *s, struct ops_call *call, int rank, enum dtype real)
{
    memset(call, 0, sizeof(*call));
    call->c = s->c;
    call->node = s->c->node;
    for (int a = 0; a < PLACEMENT_AXES; a++)
        call->mesh.size[a] = a == (int)s->axis ? s->ranks : 1;
    for (int i = s->c->groups - 1; i >= 0; i--) {
        int64_t used = s->dealt ? s->cut[i].used[rank] : s->c->group[i].used;
        call->counts.of[s->c->group[i].dim.count] = used;
        if (s->c->group[i].dim.count == COUNT_OFFSETS)
            call->counts.of[COUNT_SEQUENCES] = used - 1;
    }
    for (int i = 0; i < call->node->nin; i++)
        if (call->node->in[i])
            share_input(s, call, i, rank, real);
    for (int j = 0; j < call->node->nout; j++)
        if (call->node->out[j])
            share_output(s, call, j, rank, real);
}

/* ---- Putting results together ---- */

static double reduce(enum reduction r, double a, double b)
{
    double high = fmax(a, b);

    if (r == REDUCE_SUM)
        return a + b;
    return r == REDUCE_MAX || isinf(high) ? high : high + log(exp(a - high) + exp(b - high));
}

static void combine(struct sharding *s, struct ops_call *calls, int r)
{
    const struct tensor *t = r < MAX_OUTPUTS ? s->c->node->out[r] : s->c->node->in[r - MAX_OUTPUTS];
    struct placement p = r < MAX_OUTPUTS ? s->rule->out[r] : s->rule->in[r - MAX_OUTPUTS];
    struct view *whole =
        ops_result(&calls[s->ranks], r); /* the whole node's: becomes the difference's bound */
    double *sum = mem_alloc_array((size_t)ops_count(whole) + 1, sizeof(sum[0]));
    int *arrived = mem_alloc_array((size_t)ops_count(whole) + 1, sizeof(arrived[0]));
    char name[32];

    for (int rank = 0; rank < s->ranks; rank++) {
        struct share x = share_of(s, t, p, rank, DT_F64);
        mem_free(x.v.data);
        x.v.data = ops_result(&calls[rank], r)->data;
        for (int64_t i = 0; i < ops_count(&x.v); i++) {
            int64_t w = whole_index(&x, i);
            double e = ops_get(&x.v, i);
            if (w < 0 && e != 0)
                fail_msg("%s: %s, rank %d: padding holds %g", s->what, ops_result_name(&calls[rank], r, name),
                         rank, e);
            if (w < 0)
                continue;
            if (p.kind == REPLICATE && !ops_near(e, ops_get(whole, w), s->tolerance))
                fail_msg("%s: %s, rank %d, entry %lld: found %.9g, whole %.9g", s->what,
                         ops_result_name(&calls[rank], r, name), rank, (long long)w, e, ops_get(whole, w));
            sum[w] = p.kind == PARTIAL && arrived[w] ? reduce(p.reduction, sum[w], e) : e;
            arrived[w]++;
        }
    }
    for (int64_t w = 0; w < ops_count(whole); w++)
        if (arrived[w] != (p.kind == SHARD ? 1 : s->ranks) ||
            !ops_near(sum[w], ops_get(whole, w), s->tolerance))
            fail_msg("%s: %s, entry %lld: found %.9g from %d ranks, whole %.9g", s->what,
                     ops_result_name(&calls[s->ranks], r, name), (long long)w, sum[w], arrived[w],
                     ops_get(whole, w));
    mem_free(sum);
    mem_free(arrived);
}

/* ---- Kernels on shares ---- */

struct rank_check {
    const struct sharding *s;
    int rank;
    double tolerance;
};

static void check_kernel(void *context, const struct kernel *k)
{
    const struct rank_check *r = context;
    struct ops_call want, found;
    char what[256];

    snprintf(what, sizeof(what), "%s, rank %d, kernel %s", r->s->what, r->rank, k->name);
    rank_call(r->s, &want, r->rank, DT_F32);
    ops_call_run(&want, ops_reference(want.node->op), 1);
    rank_call(r->s, &found, r->rank, DT_F32);
    ops_call_run(&found, k, 1);
    ops_compare(&found, &want, r->tolerance, what);
    ops_call_release(&want);
    ops_call_release(&found);
}

static void check_rule(struct sharding *s, double kernel_tolerance)
{
    struct ops_call calls[OPS_RANKS + 1];

    ops_call_init(&calls[s->ranks], s->c, s->c->node, s->v, DT_F64);
    ops_call_run(&calls[s->ranks], ops_reference(s->c->node->op), 1);
    for (int r = 0; r < s->ranks; r++) {
        rank_call(s, &calls[r], r, DT_F64);
        ops_call_run(&calls[r], ops_reference(s->c->node->op), 1);
        ops_each_kernel(s->c->node, check_kernel, &(struct rank_check){ s, r, kernel_tolerance });
    }
    for (int r = 0; r < OPS_RESULTS; r++)
        if (ops_result(&calls[s->ranks], r))
            combine(s, calls, r);
    for (int r = 0; r <= s->ranks; r++)
        ops_call_release(&calls[r]);
    for (size_t i = 0; i < s->c->graph->tensor_count; i++)
        s->c->graph->tensors[i]->layout = (struct layout){ 0 };
}

/* ---- All rules of a card ---- */

static void describe(struct sharding *s, const char *name)
{
    static const char *const kinds[] = { "R", "S", "P", "H" };
    struct str text;

    str_init(&text);
    str_appendf(&text, "%s, %s of %d, in", name, axis_name(s->axis), s->ranks);
    for (int i = 0; i < s->c->node->nin && i < 12; i++)
        str_appendf(&text, " %s%.0d", kinds[s->rule->in[i].kind],
                    s->rule->in[i].kind == SHARD ? s->rule->in[i].dim : 0);
    snprintf(s->what, sizeof(s->what), "%s%s", text.data, s->summands ? " (summands)" : "");
    str_release(&text);
}

static bool deals_rows(const struct sharding *s)
{
    for (int i = 0; i < s->c->node->nin; i++) {
        const struct tensor *t = s->c->node->in[i];
        if (t && t->ndim > 0 && ops_group_of(s->c, t->dims[0]) && s->rule->in[i].kind == SHARD &&
            s->rule->in[i].dim == 0)
            return s->axis == AXIS_DP;
    }
    return false;
}

/* Placements the inputs may have when the card is asked: free, the same everywhere, each input alike. */
static void set_have(const struct node *n, int variant, struct placement have[])
{
    for (int i = 0; i < n->nin; i++) {
        have[i] = (struct placement){ .kind = (enum placement_kind)(-1) };
        if (variant == 1)
            have[i].kind = REPLICATE;
        else if (variant == 2)
            have[i] = (struct placement){ .kind = PARTIAL };
        else if (variant > 2)
            have[i] = n->in[i] && n->in[i]->ndim > variant - 3
                          ? (struct placement){ .kind = SHARD, .dim = variant - 3 }
                          : (struct placement){ .kind = REPLICATE };
    }
}

static bool has_partial(const struct sharding *s)
{
    for (int i = 0; i < s->c->node->nin; i++)
        if (s->c->node->in[i] && s->rule->in[i].kind == PARTIAL)
            return true;
    return false;
}

/* The card gives many of its rules again and again, whatever the inputs' placements are. */
static bool is_repeated(const struct sharding *s, const struct shard_rules all[], int variant, int r)
{
    const struct shard_rule *rule = &all[variant].rule[r], *other;
    bool same = false;

    for (int k = 0; k < variant && !same; k++) {
        for (int q = 0; q < all[k].count && !same; q++) {
            other = &all[k].rule[q];
            same = true;
            for (int i = 0; i < s->c->node->nin; i++)
                same = same && placement_equal(rule->in[i], other->in[i]);
            for (int j = 0; j < s->c->node->nout; j++)
                same = same && placement_equal(rule->out[j], other->out[j]);
        }
    }
    return same;
}

enum { VARIANTS = 3 + MAX_DIMS };

static void check_rules(struct sharding *s, const struct op_def *op, const struct op_cases *l,
                        const char *name)
{
    struct arena arena;
    struct placement have[OPS_INPUTS];
    struct shard_rules *all = mem_alloc_array(VARIANTS, sizeof(all[0]));

    arena_init(&arena);
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct shard_rules *rules = &all[variant];
        *rules = (struct shard_rules){ .arena = &arena, .size = s->ranks, .axis = s->axis };
        set_have(s->c->node, variant, have);
        op->shard(s->c->node, have, rules);
        for (int r = 0; r < rules->count; r++) {
            if (is_repeated(s, all, variant, r))
                continue;
            s->rule = &rules->rule[r];
            s->dealt = deals_rows(s);
            if (s->dealt && s->c->no_dp)
                continue;
            assert_true(s->rule->work >= 1.0 / s->ranks && s->rule->work <= 1);
            for (int form = 0; form <= has_partial(s); form++) {
                s->summands = form == 1;
                describe(s, name);
                check_rule(s, l->tolerance);
            }
        }
    }
    arena_release(&arena);
    mem_free(all);
}

void ops_check_sharding(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def)
{
    struct ops_case c;
    struct ops_values v;

    ops_case_init(&c, op, def, -1);
    ops_values_init(&v, &c);
    if (op->shard && !c.large)
        ops_run(&c, &v, 0, (size_t)c.node->id);
    for (int run = 0; run < 4 && op->shard && !c.large; run++) {
        struct sharding s = {
            .c = &c, .v = &v, .axis = run & 1 ? AXIS_TP : AXIS_DP, .ranks = run & 2 ? 4 : 2, .tolerance = 1e-9
        };
        cut_groups(&s);
        check_rules(&s, op, l, def->name);
    }
    ops_values_release(&v);
    ops_case_release(&c);
}
