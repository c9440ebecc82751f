/* print -- a graph as text: one line a node,
 *     12 B h.0.mlp  %31 f32[N<=1024,4,32] dp:S0 tp:P = linear_grad_input(%30, c_proj.weight) in_ndim=1 */
#include <inttypes.h>

#include "base/err.h"
#include "core/op.h"

static const char *const count_letters[COUNT_KINDS] = { "", "N<=", "R<=", "S<=", "S+1<=", "M<=" };
static const char *const unit_letters[] = { "F", "B", "W", "U" };

static void print_name(const struct tensor *t, struct str *out)
{
    if (!t)
        str_append(out, "-");
    else if (t->name && t->kind != TENSOR_GRAD)
        str_append(out, t->name);
    else if (t->name)
        str_appendf(out, "grad(%s)", t->name);
    else
        str_appendf(out, "%%%d", t->id);
}

static void print_layout(const struct layout *l, struct str *out)
{
    for (int a = 0; a < PLACEMENT_AXES; a++) {
        struct placement p = l->on[a];
        if (p.kind == SHARD)
            str_appendf(out, " %s:S%d", axis_name((enum axis)a), p.dim);
        else if (p.kind == PARTIAL)
            str_appendf(out, " %s:P", axis_name((enum axis)a));
        else if (p.kind == HELD)
            str_appendf(out, " %s:H", axis_name((enum axis)a));
    }
}

static void print_tensor(const struct tensor *t, struct str *out)
{
    print_name(t, out);
    str_appendf(out, " %s[", dtype_name(t->dtype));
    for (int d = 0; d < t->ndim; d++)
        str_appendf(out, "%s%s%" PRId64, d ? "," : "", count_letters[t->dims[d].count], t->dims[d].size);
    str_append(out, "]");
    print_layout(&t->layout, out);
    if (t->into) {
        str_append(out, " into ");
        print_name(t->into, out);
    }
}

static void print_node(const struct node *n, struct str *out)
{
    bool first = true;

    str_appendf(out, "%4d %s %-24s ", n->id, unit_letters[n->unit], n->scope);
    for (int j = 0; j < n->nout; j++) {
        if (!n->out[j])
            continue;
        str_append(out, first ? "" : ", ");
        print_tensor(n->out[j], out);
        first = false;
    }
    str_appendf(out, " = %s(", n->op->name);
    for (int i = 0; i < n->nin; i++) {
        str_append(out, i ? ", " : "");
        print_name(n->in[i], out);
    }
    str_append(out, ")");
    for (int i = 0; i < MAX_ATTRS && n->op->attrs[i].name; i++)
        if (n->attr[i] != n->op->attrs[i].preset)
            str_appendf(out, " %s=%g", n->op->attrs[i].name, n->attr[i]);
    str_append(out, "\n");
}

void graph_print(const struct graph *g, struct str *out)
{
    for (size_t k = 0; k < g->node_count; k++)
        print_node(g->nodes[k], out);
}
