/* print -- a compiled plan as text: one line a node,
 *     12 B h.0.mlp                  linear_grad_input by "tiles avx512"  %31 @4096+16384  workspace @20480
 * Addresses are in the arena of the node's program; "state" and the like have storage of their own. */
#include <inttypes.h>

#include "plan/plan.h"

static void print_place(const struct plan *p, struct tensor *t, struct str *out)
{
    const struct tensor *storage = tensor_storage(t);

    str_appendf(out, "  %%%d ", t->id);
    if (p->offset[storage->id] < 0)
        str_appendf(out, "in %s", storage->name ? storage->name : "its input");
    else
        str_appendf(out, "@%" PRId64 "+%" PRId64, p->offset[storage->id],
                    tensor_local_bytes(storage, &p->mesh));
}

static void print_nodes(const struct plan *p, const struct plan_program *g, struct str *out)
{
    for (int k = g->first; k < g->end; k++) {
        const struct node *n = p->graph->nodes[k];
        str_appendf(out, "%4d %-24s %s by \"%s\"", n->id, n->scope, n->op->name, p->kernels[k]->name);
        for (int j = 0; j < n->nout; j++)
            if (n->out[j])
                print_place(p, n->out[j], out);
        if (p->kernels[k]->workspace)
            str_appendf(out, "  workspace @%" PRId64, p->workspace[k]);
        str_append(out, "\n");
    }
}

void plan_print(const struct plan *p, bool nodes, struct str *out)
{
    static const char *const names[PROGRAM_COUNT] = { "microbatch", "update" };

    str_appendf(out,
                "one rank: parameters %" PRId64 ", state %" PRId64 ", gradients %" PRId64 ", inputs %" PRId64
                " bytes\n",
                p->param_bytes, p->state_bytes, p->grad_bytes, p->input_bytes);
    for (int i = 0; i < PROGRAM_COUNT; i++) {
        const struct plan_program *g = &p->program[i];
        str_appendf(out, "%s: %" PRId64 " bytes of arena, %" PRId64 " alive at once at most\n", names[i],
                    g->arena_bytes, g->live_bytes);
        if (nodes)
            print_nodes(p, g, out);
    }
}
