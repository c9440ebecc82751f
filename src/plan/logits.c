/* logits -- whether the gradient of the head makes the logits again. head_stats and head_grad are two nodes
 * where ranks have shares of the vocabulary, as the first one's vectors are reduced in between (and where the
 * loss is none that head_loss knows). Logits of as many rows as fit into a few hundred megabytes wait for
 * the gradient, which takes their place; those beyond that, which a large vocabulary's share would take too
 * much memory for, are made twice. The results are the same bits. */
#include <string.h>

#include "ops/ops.h"
#include "plan/plan.h"

enum { KEPT_BYTES = 256 << 20, ROW_UNIT = 16 };

/* The backward pass gathers again what the forward pass has gathered. */
static bool is_same(const struct tensor *a, const struct tensor *b)
{
    const struct node *m = a ? a->producer : NULL, *n = b ? b->producer : NULL;

    return a == b || (m && n && m->op == &op_all_gather && n->op == m->op && is_same(m->in[0], n->in[0]) &&
                      m->attr[COLLECTIVE_AXIS] == n->attr[COLLECTIVE_AXIS] &&
                      m->attr[COLLECTIVE_DIM] == n->attr[COLLECTIVE_DIM]);
}

/* The node whose logits n makes again. */
static struct node *stats_of(const struct graph *g, const struct node *n)
{
    for (size_t k = 0; k < g->node_count; k++) {
        struct node *s = g->nodes[k];
        bool same = s->op == &op_head_stats && !s->out[HEAD_STATS_LOGITS] &&
                    s->attr[HEAD_OUT_FIRST] == n->attr[HEAD_OUT_FIRST];
        for (int i = HEAD_STATS_X; i <= HEAD_STATS_LABELS && same; i++)
            same = is_same(s->in[i], n->in[i]);
        if (same)
            return s;
    }
    return NULL;
}

/* Rows to keep: those that have labels on average and some more, where that is known. Those of a chunk are
 * rounded up, so all take more than there are. */
static int64_t rows_of(const struct node *s, const struct plan *p, enum recompute recompute)
{
    const struct tensor *weight = s->in[HEAD_STATS_WEIGHT];
    int64_t vocab = tensor_local_dim(weight, s->attr[HEAD_OUT_FIRST] != 0 ? 0 : 1, &p->mesh),
            rows = tensor_rows(s->in[HEAD_STATS_LABELS]), most = KEPT_BYTES / (int64_t)sizeof(float) / vocab;
    double used = p->used[COUNT_LABELS] * 1.25;

    if (used > 0 && used < 1)
        rows = (int64_t)((double)rows * used) + 1;
    rows += ROW_UNIT + rows / ROW_UNIT;
    rows = recompute == RECOMPUTE_NONE || rows < most ? rows : most;
    return rows / ROW_UNIT * ROW_UNIT;
}

static void keep(struct graph *g, struct node *s, struct node *n, int64_t rows)
{
    struct tensor **in = arena_alloc(&g->arena, (HEAD_GRAD_LOGITS + 1) * sizeof(in[0]));
    const struct placement vocab = s->in[HEAD_STATS_WEIGHT]->layout.on[AXIS_TP];
    struct builder b = { .graph = g };

    s->attr[HEAD_KEPT] = n->attr[HEAD_KEPT] = (double)rows;
    node_want(&b, s, HEAD_STATS_LOGITS);
    s->out[HEAD_STATS_LOGITS]->layout = s->out[HEAD_STATS_LSE]->layout;
    if (vocab.kind == SHARD)
        s->out[HEAD_STATS_LOGITS]->layout.on[AXIS_TP] = (struct placement){ .kind = SHARD, .dim = 1 };
    memcpy(in, n->in, (size_t)n->nin * sizeof(in[0]));
    in[HEAD_GRAD_LOGITS] = s->out[HEAD_STATS_LOGITS];
    n->in = in;
    n->nin = HEAD_GRAD_LOGITS + 1;
    node_want(&b, n, HEAD_GRAD_DLOGITS);
    n->out[HEAD_GRAD_DLOGITS]->layout = s->out[HEAD_STATS_LOGITS]->layout;
    node_write_into(n, HEAD_GRAD_DLOGITS, s->out[HEAD_STATS_LOGITS], false);
}

void logits_keep(struct plan *p, enum recompute recompute)
{
    for (size_t k = 0; k < p->graph->node_count && recompute != RECOMPUTE_FULL; k++) {
        struct node *n = p->graph->nodes[k], *s = n->op == &op_head_grad ? stats_of(p->graph, n) : NULL;
        int64_t rows = s ? rows_of(s, p, recompute) : 0;
        if (rows > 0)
            keep(p->graph, s, n, rows);
    }
}
