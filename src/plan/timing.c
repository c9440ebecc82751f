/* How long a step takes by the cost of its nodes: each as long as it computes or moves bytes on the ranks
 * of its stage, transfers between stages beside that. */
#include "ops/ops.h"
#include "plan/shard.h"
#include "plan/stage.h"

double node_share(const struct node *n, const struct mesh *mesh)
{
    double least = 1;

    for (int i = 0; i < n->nin + n->nout; i++) {
        const struct tensor *t = i < n->nin ? n->in[i] : n->out[i - n->nin];
        double part;
        if (!t || t->ndim == 0 || tensor_bytes(t) == 0)
            continue;
        part = (double)tensor_local_bytes(t, mesh) / (double)tensor_bytes(t);
        least = part < least ? part : least;
    }
    return least;
}

double node_used(const struct node *n, const double used[COUNT_KINDS])
{
    double least = 1;

    for (int i = 0; i < n->nin + n->nout; i++) {
        const struct tensor *t = i < n->nin ? n->in[i] : n->out[i - n->nin];
        double part = t && t->ndim > 0 ? used[t->dims[0].count] : 0;
        least = part > 0 && part < least ? part : least;
    }
    return least;
}

bool node_moves(const struct node *n)
{
    return n->op == &op_all_reduce || n->op == &op_all_gather || n->op == &op_reduce_scatter;
}

static void add_node(const struct plan *p, const struct cluster *cluster, const struct node *n,
                     struct schedule_cost *c, struct stage_cost *stage)
{
    const struct axis_cost axis = { .axis = AXIS_TP, .size = 1, .cluster = cluster };
    double seconds = node_seconds(&axis, n, node_share(n, &p->mesh) * node_used(n, p->used));

    stage = &stage[stage_of_layer(p->stages, n->layer)];
    switch (n->unit) {
    case UNIT_FORWARD: stage->forward += seconds; break;
    case UNIT_BACKWARD_INPUT: stage->backward_input += seconds; break;
    case UNIT_BACKWARD_WEIGHT: stage->backward_weight += seconds; break;
    case UNIT_UPDATE: c->step += seconds / p->schedule->options.ranks; break;
    }
}

/* What this rank's stages receive in one transfer, as that of every cut: they are alike. */
static double transfer_seconds(const struct plan *p, const struct cluster *cluster)
{
    double bytes = 0, link = cluster->link_bytes > 0 ? cluster->link_bytes : 6e9;

    for (size_t k = 0; k < p->graph->node_count; k++)
        if (p->graph->nodes[k]->op == &op_receive)
            bytes = (double)tensor_local_bytes(p->graph->nodes[k]->out[0], &p->mesh) *
                    node_used(p->graph->nodes[k], p->used);
    return bytes / link;
}

int plan_timeline(const struct plan *p, const struct cluster *cluster, struct timeline *out)
{
    struct stage_cost *stage = mem_alloc_array((size_t)stage_count(p->stages), sizeof(stage[0]));
    struct schedule_cost c = { .stage = stage };
    double transfer = transfer_seconds(p, cluster);
    int status;

    for (size_t k = 0; k < p->whole->node_count; k++)
        add_node(p, cluster, p->whole->nodes[k], &c, stage);
    for (int s = 0; s < stage_count(p->stages); s++)
        stage[s].transfer = transfer;
    status = schedule_simulate(p->schedule, &c, out);
    mem_free(stage);
    return status;
}
