#include "ops/card.h"

void card_shard_elementwise(const struct node *n, struct shard_rules *r, bool linear)
{
    struct placement in[MAX_RULE_INPUTS], out[MAX_OUTPUTS];

    for (int d = -linear; d < n->in[0]->ndim; d++) {
        struct placement p = d < 0 ? ON_SUM : ON_SHARD(d);
        for (int i = 0; i < n->nin; i++)
            in[i] = p;
        for (int j = 0; j < n->nout; j++)
            out[j] = p;
        shard_rules_add(r, n, in, out, d >= 0); /* of a sum every rank works on all entries */
    }
}

bool card_may_split(const struct tensor *x, int d, int size)
{
    return x->dims[d].count != COUNT_FIXED || x->dims[d].size % size == 0;
}

struct placement card_update_placement(struct placement param, struct placement grad,
                                       const struct shard_rules *r)
{
    if (param.kind == SHARD)
        return param;
    return r->axis == AXIS_DP && grad.kind == SHARD ? grad : ON_ALL;
}

void card_fuse_into_sum(struct rewrite *r, struct node *n, int j, int i)
{
    struct tensor *y = n->out[j], *other;
    struct node *sum = rewrite_reader(r, y, 0);

    if (n->in[i] || !sum || sum->op != &op_add || sum->unit != n->unit || rewrite_reader_count(r, y) != 1)
        return;
    other = sum->in[0] == y ? sum->in[1] : sum->in[0];
    if (other == y || !rewrite_precedes(r, other, n))
        return;
    rewrite_set_input(r, n, i, other);
    rewrite_set_input(r, sum, 0, other); /* so that nothing reads y any more */
    rewrite_set_input(r, sum, 1, other);
    rewrite_take_output(r, n, j, sum->out[0]);
    rewrite_remove(r, sum);
}

void card_fuse_sum(struct rewrite *r, struct node *n, int x, int other, int j)
{
    struct tensor *t = n->in[x];
    struct node *sum = t->producer;

    if (n->in[other] || !sum || sum->op != &op_add || sum->unit != n->unit || t->into)
        return;
    if (rewrite_reader(r, t, 0) != n)
        return;
    rewrite_set_input(r, n, x, sum->in[0]);
    rewrite_set_input(r, n, other, sum->in[1]);
    rewrite_take_output(r, n, j, t);
    rewrite_remove(r, sum);
}
