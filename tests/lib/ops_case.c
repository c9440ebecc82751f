/* Building cases. Two ops exist for tests alone: `leaf` makes a value out of a parameter, so that gradients
 * of values end in an accumulator too, and `weighted_sum` makes a loss out of anything. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "lib/ops.h"

/* ---- Ops for tests ---- */

static const struct op_def leaf_op, weighted_sum_op;

static int infer_leaf(const struct node *n, struct tensor out[])
{
    out[0] = *n->in[0];
    out[0].param = NULL;
    out[0].name = NULL;
    return OK;
}

static void grad_leaf(struct builder *b, const struct node *n, struct tensor *const dout[],
                      struct tensor *din[], const bool wants[])
{
    (void)din;
    (void)wants;
    grad_accumulate(b, graph_node(b, &leaf_op, 1, &dout[0], NULL), 0, n->in[0]);
}

static int infer_sum(const struct node *n, struct tensor out[])
{
    (void)n;
    out[0] = (struct tensor){ .dtype = DT_F64 };
    return OK;
}

/* The weights themselves: the seed of a loss is 1. */
static void grad_sum(struct builder *b, const struct node *n, struct tensor *const dout[],
                     struct tensor *din[], const bool wants[])
{
    (void)b;
    (void)dout;
    (void)wants;
    din[0] = n->in[1];
}

static const struct op_def leaf_op = {
    .name = "leaf", .inputs = { "x" }, .outputs = { "y" }, .infer = infer_leaf, .grad = grad_leaf
};
static const struct op_def weighted_sum_op = { .name = "weighted_sum",
                                               .inputs = { "x", "weights" },
                                               .outputs = { "sum" },
                                               .infer = infer_sum,
                                               .grad = grad_sum };

bool ops_is_test_op(const struct op_def *op)
{
    return op == &leaf_op || op == &weighted_sum_op;
}

/* ---- Life cycle ---- */

void ops_case_init(struct ops_case *c, const struct op_def *op, const struct ops_case_def *def,
                   int only_trainable)
{
    memset(c, 0, sizeof(*c));
    c->op = op;
    c->with = def->with;
    c->graph = graph_create();
    builder_init(&c->b, c->graph);
    c->seed = 20240607;
    c->step = 11;
    c->only_trainable = only_trainable;
    scope_begin(&c->b, "case");
    def->build(c);
    if (builder_status(&c->b) != OK)
        BUG("%s: %s", def->name, error_message());
}

void ops_case_release(struct ops_case *c)
{
    for (int i = 0; i < c->leaves; i++)
        mem_free(c->leaf[i].data);
    graph_free(c->graph);
}

/* ---- Groups of counted dims ---- */

static struct dim add_group(struct ops_case *c, enum count count, int64_t used)
{
    struct ops_group *g = &c->group[c->groups];

    if (c->groups == OPS_GROUPS)
        BUG("too many groups");
    *g = (struct ops_group){
        .dim = { used + 3 + 2 * c->groups, count }, .used = used, .offsets = -1, .row_index = -1
    };
    while (c->groups > 0 && ops_group_of(c, g->dim))
        g->dim.size++;
    c->groups++;
    return g->dim;
}

const struct ops_group *ops_group_of(const struct ops_case *c, struct dim dim)
{
    for (int i = 0; i < c->groups; i++)
        if (c->group[i].dim.count == dim.count && c->group[i].dim.size == dim.size)
            return &c->group[i];
    return NULL;
}

struct dim ops_rows(struct ops_case *c, int64_t used)
{
    return add_group(c, COUNT_ROWS, used);
}

/* ---- Leaves ---- */

static int64_t used_count(const struct ops_case *c, const struct tensor *t)
{
    int64_t count = 1;

    for (int d = 0; d < t->ndim; d++) {
        const struct ops_group *g = ops_group_of(c, t->dims[d]);
        count *= g ? g->used : t->dims[d].size;
    }
    return count;
}

static struct ops_leaf *add_leaf(struct ops_case *c, struct tensor *t)
{
    struct ops_leaf *l = &c->leaf[c->leaves];

    if (c->leaves == OPS_LEAVES)
        BUG("too many leaves");
    l->tensor = t;
    l->data = mem_alloc_array((size_t)used_count(c, t) + 1, sizeof(double));
    c->leaves++;
    return l;
}

/* Rounded to float, so that a run in float begins with the same numbers. */
static void fill_normal(const struct ops_case *c, struct ops_leaf *l)
{
    for (int64_t i = 0; i < used_count(c, l->tensor); i++)
        l->data[i] = (float)rng_normal((struct rng_key){ 5, (uint32_t)c->leaves }, 0, (uint64_t)i);
}

static int dims_count(const struct dim dims[])
{
    int ndim = 0;

    while (dims[ndim].size >= 0)
        ndim++;
    return ndim;
}

struct tensor *ops_param(struct ops_case *c, const struct dim dims[])
{
    struct param_info info = { .file_ndim = dims_count(dims),
                               .trainable = c->only_trainable < 0 || c->only_trainable == c->leaves };
    char name[32];
    struct tensor *t;

    for (int d = 0; d < info.file_ndim; d++)
        info.file_dims[d] = dims[d].size;
    snprintf(name, sizeof(name), "leaf%d", c->leaves);
    t = graph_param(&c->b, name, &info, info.file_ndim, info.file_dims);
    for (int d = 0; d < info.file_ndim; d++)
        t->dims[d].count = dims[d].count;
    fill_normal(c, add_leaf(c, t));
    return t;
}

struct tensor *ops_value(struct ops_case *c, const struct dim dims[])
{
    struct tensor *p = ops_param(c, dims);

    return graph_node(&c->b, &leaf_op, 1, &p, NULL)->out[0];
}

static struct tensor *input(struct ops_case *c, enum dtype dtype, const struct dim dims[])
{
    char name[32];

    snprintf(name, sizeof(name), "leaf%d", c->leaves);
    return graph_input(&c->b, name, dtype, dims_count(dims), dims);
}

struct tensor *ops_double(struct ops_case *c, const struct dim dims[])
{
    struct ops_leaf *l = add_leaf(c, input(c, DT_F64, dims));

    fill_normal(c, l);
    return l->tensor;
}

struct tensor *ops_state(struct ops_case *c, const struct dim dims[])
{
    struct ops_leaf *l = add_leaf(c, graph_state(&c->b, "state", DT_F32, dims_count(dims), dims));

    fill_normal(c, l);
    return l->tensor;
}

struct tensor *ops_ints(struct ops_case *c, enum dtype dtype, const struct dim dims[], const int64_t values[])
{
    struct ops_leaf *l = add_leaf(c, input(c, dtype, dims));

    for (int64_t i = 0; i < used_count(c, l->tensor); i++)
        l->data[i] = (double)values[i];
    return l->tensor;
}

struct tensor *ops_offsets(struct ops_case *c, struct dim rows, int64_t count, const int64_t values[])
{
    struct dim dim = add_group(c, COUNT_OFFSETS, count);
    struct ops_group *g = (struct ops_group *)ops_group_of(c, rows);

    g->offsets = c->leaves;
    c->leaf[c->leaves].role = OPS_OFFSETS;
    return ops_ints(c, DT_I32, SHAPE(dim), values);
}

struct tensor *ops_row_index(struct ops_case *c, int64_t count, const int64_t values[], struct dim *labels)
{
    *labels = add_group(c, COUNT_LABELS, count);
    ((struct ops_group *)ops_group_of(c, *labels))->row_index = c->leaves;
    c->leaf[c->leaves].role = OPS_ROW_INDEX;
    return ops_ints(c, DT_I32, SHAPE(*labels), values);
}

double *ops_data(struct ops_case *c, const struct tensor *t)
{
    if (t->producer && t->producer->op == &leaf_op)
        t = t->producer->in[0];
    for (int i = 0; i < c->leaves; i++)
        if (c->leaf[i].tensor == t)
            return c->leaf[i].data;
    BUG("not a leaf");
}

void ops_under_test(struct ops_case *c, struct node *n, unsigned wants)
{
    if (!n)
        BUG("the node under test cannot be: %s", error_message());
    for (int j = 0; j < n->nout; j++)
        if (wants >> j & 1)
            node_want(&c->b, n, j);
    c->node = n;
}

void ops_accumulate(struct ops_case *c, int j)
{
    struct tensor acc = *c->node->out[j];
    struct ops_leaf *l;

    acc.kind = TENSOR_GRAD;
    acc.producer = NULL;
    l = add_leaf(c, graph_add_tensor(c->graph, &acc));
    fill_normal(c, l);
    node_write_into(c->node, j, l->tensor, true);
}

struct tensor *ops_weighted_sum(struct ops_case *c, struct tensor *t)
{
    struct tensor *both[2] = { t };
    char name[32];
    struct ops_leaf *l;

    snprintf(name, sizeof(name), "weights%d", c->leaves);
    l = add_leaf(c, graph_input(&c->b, name, DT_F32, t->ndim, t->dims));
    fill_normal(c, l);
    both[1] = l->tensor;
    return graph_node(&c->b, &weighted_sum_op, 2, both, NULL)->out[0];
}
