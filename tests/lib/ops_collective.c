/* Collectives, at once and as start and wait, on in-process ranks: 2 and 4 along their axis, and 2 x 2 with
 * every placement on the other axis that the card lets pass. A rank's part of the value is a function of its
 * place, before and after. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "base/err.h"
#include "comm/comm.h"
#include "comm/kernels.h"
#include "lib/ops.h"

#include <cmocka.h>

struct meeting {
    struct ops_case *c;
    const struct ops_values *v;
    struct mesh mesh;
    bool in_place;
    bool apart; /* started, then waited for */
    bool add;   /* to what is there, which is 1 */
};

static struct placement reduced(const struct node *n)
{
    return (struct placement){ .kind = PARTIAL, .reduction = (enum reduction)n->attr[COLLECTIVE_REDUCTION] };
}

static struct placement dealt(const struct node *n)
{
    return (struct placement){ .kind = SHARD, .dim = (int)n->attr[COLLECTIVE_DIM] };
}

static void set_layouts(struct node *n, enum axis axis)
{
    struct placement all = { .kind = REPLICATE }, *in = &n->in[0]->layout.on[axis],
                     *out = &n->out[0]->layout.on[axis];

    *in = n->op == &op_all_gather                              ? dealt(n)
          : n->op == &op_keep_shard || n->op == &op_keep_first ? all
                                                               : reduced(n);
    *out = n->op == &op_keep_first                              ? reduced(n)
           : n->op == &op_all_reduce || n->op == &op_all_gather ? all
                                                                : dealt(n);
}

/* As the plan has it. */
static int64_t room_of(const struct meeting *m, const struct tensor *t)
{
    int64_t bytes = tensor_local_bytes(t, &m->mesh), padded;

    return collective_whole(m->c->node, &m->mesh, &padded) == t && padded > bytes ? padded : bytes;
}

static struct view view_of(const struct meeting *m, const struct tensor *t, int rank)
{
    struct view v = { .dtype = t->dtype, .ndim = t->ndim };

    for (int d = 0; d < t->ndim; d++) {
        const struct ops_group *g = ops_group_of(m->c, t->dims[d]);
        int64_t capacity = tensor_local_dim(t, d, &m->mesh), left;
        v.whole[d] = g ? g->used : t->dims[d].size;
        v.first[d] = tensor_first(t, d, &m->mesh, rank);
        left = v.whole[d] - v.first[d] > 0 ? v.whole[d] - v.first[d] : 0;
        v.dim[d] = g && left < capacity ? left : capacity;
    }
    v.data = mem_alloc((size_t)room_of(m, t));
    return v;
}

/* Rank's part of x under PARTIAL, so that n ranks reduce to x. */
static double part(enum reduction r, double x, int n, int at)
{
    double weight = 2.0 * (at + 1) / (n * (n + 1.0));

    return r == REDUCE_SUM ? x * weight : r == REDUCE_MAX ? x - (n - 1 - at) : x + log(weight);
}

/* What entry i of a rank's share is; padding is zero. */
static double entry(const struct meeting *m, const struct tensor *t, const struct view *v, int64_t i,
                    int rank)
{
    int64_t index = 0, stride = 1;
    double x;

    for (int d = v->ndim - 1; d >= 0; d--) {
        int64_t at = v->first[d] + i % v->dim[d];
        i /= v->dim[d];
        if (at >= v->whole[d])
            return 0;
        index += at * stride;
        stride *= v->whole[d];
    }
    x = ops_value_of(m->c, m->v, m->c->node->in[0])[index];
    for (int a = 0; a < PLACEMENT_AXES; a++)
        if (t->layout.on[a].kind == PARTIAL)
            x = part(t->layout.on[a].reduction, x, m->mesh.size[a],
                     mesh_coordinate(&m->mesh, rank, (enum axis)a));
    return x;
}

static int check_rank(const struct meeting *m, const struct view *out, int rank)
{
    const struct tensor *t = m->c->node->out[0];

    for (int64_t i = 0; i < ops_count(out); i++)
        if (!ops_near(ops_get(out, i), m->add + entry(m, t, out, i, rank), t->dtype == DT_F64 ? 1e-12 : 1e-6))
            return (fail)(ERR_INTERNAL, "rank %d, entry %lld: found %.9g, expected %.9g", rank, (long long)i,
                          ops_get(out, i), m->add + entry(m, t, out, i, rank));
    return OK;
}

static int run_rank(void *context, int rank, struct comm *comm)
{
    const struct meeting *m = context;
    struct node *n = m->c->node;
    const struct kernel *k = comm_kernels[op_find(n->op)];
    struct machine machine = { .threads = 1 };
    struct view in = view_of(m, n->in[0], rank), out = view_of(m, n->out[0], rank), own = out;
    void *workspace = mem_alloc(k->workspace ? (size_t)k->workspace(n, &m->mesh, &machine) : 0);
    struct kernel_args args = {
        .node = n, .in = &in, .out = &out, .add = &(bool){ m->add }, .workspace = workspace, .comm = comm
    };
    struct request request = { 0 };
    int status;

    args.request = m->apart ? &request : NULL;
    for (int64_t i = 0; i < ops_count(&in); i++)
        ops_set(&in, i, entry(m, n->in[0], &in, i, rank));
    ops_fill(&out, NULL);
    for (int64_t i = 0; m->add && i < ops_count(&out); i++)
        ops_set(&out, i, 1);
    if (m->in_place)
        out.data = in.data;
    k->run(&args);
    if (m->apart)
        comm_kernels[OP_wait]->run(&(struct kernel_args){ .started = &args });
    comm_barrier(comm); /* a rank that fails would break the others' collectives */
    status = check_rank(m, &out, rank);
    mem_free(in.data);
    mem_free(own.data);
    mem_free(workspace);
    return status;
}

static void run_mesh(struct meeting *m, const char *name)
{
    struct node *n = m->c->node;
    const struct op_def *op = n->op;
    bool transfers = op != &op_keep_shard && op != &op_keep_first;

    for (int way = 0; way < 8; way++) {
        m->in_place = way & 1;
        m->apart = way & 2;
        m->add = n->accumulate[0] = way & 4;
        if ((m->in_place && !op->in_place[0]) || (m->apart && !transfers) ||
            (m->add && (op != &op_reduce_scatter || n->in[0]->dtype != DT_F32)))
            continue;
        if (comm_local_run(&m->mesh, 1, run_rank, m) != OK)
            fail_msg("%s on a mesh of %d x %d: %s", name, m->mesh.size[0], m->mesh.size[1], error_message());
    }
    n->accumulate[0] = false;
}

/* 2 x 2: each placement on the other axis. */
static void run_square(struct meeting *m, enum axis axis, const char *name)
{
    struct node *n = m->c->node;
    enum axis other = axis == AXIS_TP ? AXIS_DP : AXIS_TP;
    struct placement have = { .kind = (enum placement_kind)(-1) };
    struct arena arena;
    struct shard_rules rules = { .arena = &arena, .size = 2, .axis = other };

    arena_init(&arena);
    n->op->shard(n, &have, &rules);
    for (int r = 0; r < rules.count; r++) {
        bool rows =
            rules.rule[r].in[0].kind == SHARD && ops_group_of(m->c, n->in[0]->dims[rules.rule[r].in[0].dim]);
        if (other == AXIS_DP && rows)
            continue; /* each dp rank has rows of its own: nothing to put together */
        n->in[0]->layout.on[other] = rules.rule[r].in[0];
        n->out[0]->layout.on[other] = rules.rule[r].out[0];
        m->mesh = (struct mesh){ .size = { 2, 2 } };
        run_mesh(m, name);
    }
    n->in[0]->layout.on[other] = n->out[0]->layout.on[other] = (struct placement){ .kind = REPLICATE };
    arena_release(&arena);
}

void ops_check_collective(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def)
{
    struct ops_case c;
    struct ops_values v;
    struct meeting m = { .c = &c, .v = &v };

    (void)l;
    ops_case_init(&c, op, def, -1);
    ops_values_init(&v, &c);
    ops_run(&c, &v, 0, (size_t)c.node->id);
    for (int a = 0; a < PLACEMENT_AXES && !op->alias; a++) {
        bool counted = c.groups > 0;
        if (a == AXIS_DP && counted && op != &op_all_reduce)
            continue; /* rows of dp ranks are never gathered or dealt out */
        c.node->attr[COLLECTIVE_AXIS] = a;
        set_layouts(c.node, (enum axis)a);
        for (int ranks = 2; ranks <= 4; ranks += 2) {
            m.mesh = (struct mesh){ .size = { 1, 1 } };
            m.mesh.size[a] = ranks;
            run_mesh(&m, def->name);
        }
        run_square(&m, (enum axis)a, def->name);
        for (int i = 0; i < PLACEMENT_AXES; i++)
            c.node->in[0]->layout.on[i] = c.node->out[0]->layout.on[i] =
                (struct placement){ .kind = REPLICATE };
    }
    ops_values_release(&v);
    ops_case_release(&c);
}
