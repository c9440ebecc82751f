/* builder -- adds tensors and nodes. A failure sticks: later calls do nothing and return NULL, so that model
 * files read like formulas; whoever began the graph asks builder_status once. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "core/op.h"

void builder_init(struct builder *b, struct graph *g)
{
    *b = (struct builder){ .graph = g, .layer = -1 };
}

int builder_status(const struct builder *b)
{
    return b->status;
}

/* ---- Scopes: "h.3.attn." while inside, so that a name is appended to it as it is ---- */

void scope_begin(struct builder *b, const char *name)
{
    size_t used = strlen(b->scope), more = strlen(name);

    if (used + more + 2 > sizeof(b->scope))
        BUG("scope \"%s%s\" is too long", b->scope, name);
    memcpy(b->scope + used, name, more);
    memcpy(b->scope + used + more, ".", 2);
}

/* A scope's name may hold dots ("encoder.layer.3"): its end is remembered nowhere, so names are closed one
 * component set at a time by the caller giving the same name. */
void scope_end(struct builder *b, const char *name)
{
    size_t used = strlen(b->scope), tail = strlen(name) + 1;

    if (used < tail || strncmp(b->scope + used - tail, name, tail - 1) != 0)
        BUG("scope \"%s\" does not end with \"%s\"", b->scope, name);
    b->scope[used - tail] = '\0';
}

void layer_begin(struct builder *b, int layer, const char *scope)
{
    b->layer = layer;
    scope_begin(b, scope);
}

void layer_end(struct builder *b, const char *scope)
{
    scope_end(b, scope);
    b->layer++; /* what follows the last layer stands at L */
    b->graph->layers = b->layer > b->graph->layers ? b->layer : b->graph->layers;
}

/* ---- Named tensors ---- */

static struct tensor *named(struct builder *b, enum tensor_kind kind, const char *name, enum dtype dtype,
                            int ndim, const struct dim dims[])
{
    struct tensor t = { .kind = kind, .dtype = dtype, .ndim = ndim };

    if (b->status != OK)
        return NULL;
    if (ndim > MAX_DIMS)
        BUG("%s has %d dims", name, ndim);
    for (int d = 0; d < ndim; d++)
        t.dims[d] = dims[d];
    t.name = arena_strdup(&b->graph->arena, name);
    return graph_add_tensor(b->graph, &t);
}

static void check_split(const char *name, const struct param_info *info, int ndim, const int64_t dims[])
{
    int d = 0;

    for (int f = 0; f < info->file_ndim; f++) {
        int64_t product = 1;
        while (d < ndim && product < info->file_dims[f])
            product *= dims[d++];
        if (product != info->file_dims[f])
            BUG("%s: logical dims do not split dim %d of the file", name, f);
    }
    for (; d < ndim; d++)
        if (dims[d] != 1)
            BUG("%s: logical dims do not split the file's: one of %" PRId64 " is left", name, dims[d]);
}

struct tensor *graph_param(struct builder *b, const char *name, const struct param_info *info, int ndim,
                           const int64_t dims[])
{
    struct dim logical[MAX_DIMS] = { 0 };
    const char *full;
    struct tensor *t;
    struct param_info *copy;

    if (b->status != OK)
        return NULL;
    full = arena_printf(&b->graph->arena, "%s%s", b->scope, name);
    t = graph_find(b->graph, full, TENSOR_PARAM);
    if (t)
        return t;
    check_split(full, info, ndim, dims);
    for (int d = 0; d < ndim; d++)
        logical[d].size = dims[d];
    t = named(b, TENSOR_PARAM, full, DT_F32, ndim, logical);
    copy = arena_alloc(&b->graph->arena, sizeof(*copy));
    *copy = *info;
    t->param = copy;
    return t;
}

struct tensor *graph_input(struct builder *b, const char *name, enum dtype dtype, int ndim,
                           const struct dim dims[])
{
    return named(b, TENSOR_INPUT, name, dtype, ndim, dims);
}

struct tensor *graph_constant(struct builder *b, const char *name, int64_t rows, int64_t width,
                              const float values[])
{
    struct tensor *t = graph_input(b, name, DT_F32, 2, (struct dim[]){ { .size = rows }, { .size = width } });
    float *copy;

    if (!t)
        return NULL;
    copy = arena_alloc(&b->graph->arena, (size_t)(rows * width) * sizeof(copy[0]));
    memcpy(copy, values, (size_t)(rows * width) * sizeof(copy[0]));
    t->constant = copy;
    return t;
}

struct tensor *graph_state(struct builder *b, const char *name, enum dtype dtype, int ndim,
                           const struct dim dims[])
{
    return named(b, TENSOR_STATE, name, dtype, ndim, dims);
}

/* ---- Nodes ---- */

static bool is_variadic(const struct op_def *op, int i)
{
    return op->inputs[i] && op->inputs[i][0] == '*';
}

/* Inputs a node of this op has: all that are declared (absent optional ones are NULL), or as many as were
 * given. */
static int input_count(const struct op_def *op, int nin)
{
    int declared = 0;

    while (declared < MAX_RULE_INPUTS && op->inputs[declared] && !is_variadic(op, declared))
        declared++;
    return nin > declared ? nin : declared;
}

static void check_input_list(const struct op_def *op, int nin, struct tensor *const in[])
{
    int i = 0;

    for (; i < nin; i++) {
        if (i < MAX_RULE_INPUTS && is_variadic(op, i))
            return;
        if (i >= MAX_RULE_INPUTS || !op->inputs[i])
            BUG("%s takes %d inputs, given %d", op->name, i, nin);
        if (!in[i] && op->inputs[i][0] != '?')
            BUG("%s: input %s is missing", op->name, op->inputs[i]);
    }
    for (; i < MAX_RULE_INPUTS && op->inputs[i]; i++)
        if (op->inputs[i][0] != '?' && op->inputs[i][0] != '*')
            BUG("%s: input %s is missing", op->name, op->inputs[i]);
}

static int attr_index(const struct op_def *op, const char *name)
{
    for (int i = 0; i < MAX_ATTRS && op->attrs[i].name; i++)
        if (strcmp(op->attrs[i].name, name) == 0)
            return i;
    BUG("%s has no attr \"%s\"", op->name, name);
}

/* The k-th random op of a scope has stream hash("scope/op/k"). */
static uint32_t stream_of(const struct builder *b, const struct op_def *op)
{
    char name[280];
    int k = 0;

    for (size_t i = b->graph->node_count; i-- > 0 && b->graph->nodes[i]->layer == b->layer;) {
        const struct node *other = b->graph->nodes[i]; /* a scope lies within one layer */
        k += other->op == op && strcmp(other->scope, b->scope) == 0;
    }
    snprintf(name, sizeof(name), "%s/%s/%d", b->scope, op->name, k);
    return rng_stream(name);
}

static void make_output(struct builder *b, struct node *n, int j, const struct tensor *like)
{
    struct tensor t = {
        .kind = TENSOR_VALUE, .dtype = like->dtype, .ndim = like->ndim, .producer = n, .output = j
    };

    memcpy(t.dims, like->dims, sizeof(t.dims));
    n->out[j] = graph_add_tensor(b->graph, &t);
}

struct node *graph_node(struct builder *b, const struct op_def *op, int nin, struct tensor *const in[],
                        const struct attr_value attrs[])
{
    struct tensor out[MAX_OUTPUTS] = { 0 };
    struct node *n;

    if (b->status != OK)
        return NULL;
    check_input_list(op, nin, in);
    n = arena_alloc(&b->graph->arena, sizeof(*n));
    n->op = op;
    n->nin = input_count(op, nin);
    n->in = arena_alloc(&b->graph->arena, (size_t)n->nin * sizeof(n->in[0]));
    for (int i = 0; i < nin; i++)
        n->in[i] = in[i];
    for (int i = 0; i < MAX_ATTRS && op->attrs[i].name; i++)
        n->attr[i] = op->attrs[i].preset;
    for (; attrs && attrs->name; attrs++)
        n->attr[attr_index(op, attrs->name)] = attrs->value;
    n->unit = b->unit;
    n->layer = b->layer;
    n->scope = arena_strdup(&b->graph->arena, b->scope);
    b->status = op->infer(n, out);
    if (b->status != OK)
        return NULL;
    if (op->reads_random)
        n->stream = stream_of(b, op);
    while (n->nout < MAX_OUTPUTS && op->outputs[n->nout]) {
        if (op->outputs[n->nout][0] != '?')
            make_output(b, n, n->nout, &out[n->nout]);
        n->nout++;
    }
    graph_append(b->graph, n);
    return n;
}

void node_want(struct builder *b, struct node *n, int output)
{
    struct tensor out[MAX_OUTPUTS] = { 0 };

    if (!n || n->out[output])
        return;
    if (n->op->infer(n, out) != OK)
        BUG("%s: infer failed on a node that exists: %s", n->op->name, error_message());
    make_output(b, n, output, &out[output]);
}

void node_write_into(struct node *n, int output, struct tensor *t, bool accumulate)
{
    struct tensor *out;

    if (!n)
        return;
    out = n->out[output];
    if (out->dtype != t->dtype || tensor_count(out) != tensor_count(t))
        BUG("%s: output %d cannot take over a tensor of another shape", n->op->name, output);
    out->into = t;
    n->accumulate[output] = accumulate;
}
