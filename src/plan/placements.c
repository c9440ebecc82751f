/* How tp divides a model, in a line: what linears, heads, tables and norms have become. */
#include <inttypes.h>
#include <string.h>

#include "ops/ops.h"
#include "plan/shard.h"

struct counts {
    int column, row, whole;  /* linears by what of their weight is dealt out */
    int64_t heads, kv_heads; /* of the first attention */
    bool has_attention, divides_heads, divides_kv;
    int64_t vocabulary;
    const struct tensor *table; /* the largest whose rows are dealt out */
    int norms, divided_norms;
};

static struct placement on_tp(const struct tensor *t)
{
    return t->layout.on[AXIS_TP];
}

/* The parameter that t is, or has been made of by transfers alone; NULL: none. */
static const struct tensor *param_behind(const struct tensor *t)
{
    while (t && t->producer && (node_moves(t->producer) || t->producer->op == &op_wait))
        t = t->producer->in[0];
    return t && t->kind == TENSOR_PARAM ? t : NULL;
}

static void count_linear(struct counts *c, const struct node *n)
{
    const struct tensor *w = n->in[LINEAR_WEIGHT];
    int in = (int)n->attr[LINEAR_IN_NDIM], from = n->attr[LINEAR_OUT_FIRST] != 0 ? w->ndim - in : 0;
    struct placement p = on_tp(w);

    if (p.kind != SHARD)
        c->whole++;
    else if (p.dim >= from && p.dim < from + in)
        c->row++;
    else
        c->column++;
}

/* (rows, parts, heads, width) or without parts */
static int64_t heads_of(const struct tensor *t, bool *divided)
{
    *divided = on_tp(t).kind == SHARD && on_tp(t).dim == t->ndim - 2;
    return t->dims[t->ndim - 2].size;
}

/* A table of the embedding or the head, itself or by way of a transfer, dealt out along its longer side. */
static void count_table(struct counts *c, const struct node *n, const struct tensor *t)
{
    struct placement p;

    t = param_behind(t);
    if (!t || t->ndim != 2)
        return;
    p = on_tp(t);
    if (p.kind != SHARD || t->dims[p.dim].size < t->dims[1 - p.dim].size)
        return;
    if (n->op != &op_embedding && n->op != &op_head_stats && n->op != &op_head_loss)
        return;
    if (!c->table || t->dims[p.dim].size > c->vocabulary) {
        c->table = t;
        c->vocabulary = t->dims[p.dim].size;
    }
}

static void count_node(struct counts *c, const struct node *n)
{
    const struct tensor *first = n->nin > 0 ? n->in[0] : NULL;

    if (n->op == &op_linear && param_behind(n->in[LINEAR_WEIGHT]))
        count_linear(c, n);
    if (n->op == &op_attention && !c->has_attention) {
        c->has_attention = true;
        c->heads = heads_of(n->in[ATTENTION_Q], &c->divides_heads);
        c->kv_heads = heads_of(n->in[ATTENTION_K], &c->divides_kv);
    }
    if (n->op == &op_layernorm || n->op == &op_rmsnorm) {
        c->norms++;
        c->divided_norms += on_tp(first).kind == SHARD && on_tp(first).dim == 0;
    }
    for (int i = 0; i < n->nin; i++)
        count_table(c, n, n->in[i]);
}

static void add_words(struct str *out, const char **between, const char *text)
{
    str_appendf(out, "%s%s", *between, text);
    *between = ", ";
}

static void print_dealt(struct str *out, const char **between, const char *what, int64_t size, int ranks)
{
    int64_t padded = (size + ranks - 1) / ranks * ranks;

    str_appendf(out, "%s%s %" PRId64, *between, what, size);
    if (padded != size)
        str_appendf(out, " -> padded %" PRId64, padded);
    str_appendf(out, " over %d", ranks);
    *between = ", ";
}

static void print_linears(const struct counts *c, struct str *out, const char **between)
{
    if (c->column > 0 && c->row > 0)
        add_words(out, between, "linears column/row");
    else if (c->column > 0 || c->row > 0)
        add_words(out, between, c->column > 0 ? "linears column" : "linears row");
    if (c->whole > 0 && c->column + c->row > 0)
        str_appendf(out, " (%d of %d whole)", c->whole, c->whole + c->column + c->row);
    else if (c->whole > 0)
        add_words(out, between, "linears whole");
}

void placements_print(const struct graph *g, const struct mesh *mesh, struct str *out)
{
    struct counts c = { 0 };
    const char *between = "";
    int ranks = mesh_size(mesh, AXIS_TP);

    if (ranks == 1)
        return;
    for (size_t k = 0; k < g->node_count; k++)
        if (g->nodes[k]->unit == UNIT_FORWARD)
            count_node(&c, g->nodes[k]);
    print_linears(&c, out, &between);
    if (c.has_attention && c.divides_heads)
        print_dealt(out, &between, "heads", c.heads, ranks);
    else if (c.has_attention)
        add_words(out, &between, "all heads on each rank");
    if (c.divides_heads && c.kv_heads != c.heads && c.divides_kv)
        print_dealt(out, &between, "key/value heads", c.kv_heads, ranks);
    else if (c.divides_heads && c.kv_heads != c.heads)
        add_words(out, &between, "all key/value heads on each rank");
    if (c.table)
        print_dealt(out, &between, "vocabulary", c.vocabulary, ranks);
    if (c.norms > 0)
        add_words(out, &between,
                  c.divided_norms == c.norms ? "norms sequence-parallel"
                  : c.divided_norms > 0      ? "some norms sequence-parallel"
                                             : "norms on each rank");
}
