#include "core/op.h"

#include "base/err.h"

const struct op_def *const op_table[OP_COUNT] = {
#define OP(name) [OP_##name] = &op_##name,
#include "core/ops.def"
#undef OP
};

enum op_id op_find(const struct op_def *op)
{
    for (int i = 0; i < OP_COUNT; i++)
        if (op_table[i] == op)
            return (enum op_id)i;
    BUG("op %s is not in ops.def", op->name);
}

/* The part of a dim that one rank has, padding included: 2 of 3 heads on 2 ranks. */
static double share_of(const struct tensor *t, struct placement p, int size)
{
    int64_t whole = t && p.kind == SHARD && t->dims[p.dim].count == COUNT_FIXED ? t->dims[p.dim].size : 0;

    return whole > 0 ? (double)((whole + size - 1) / size) / (double)whole : 1.0 / size;
}

void shard_rules_add(struct shard_rules *r, const struct node *n, const struct placement in[],
                     const struct placement out[], bool divided)
{
    struct shard_rule *rule;

    if (r->count == MAX_RULES)
        BUG("%s has more than %d sharding rules", n->op->name, MAX_RULES);
    rule = &r->rule[r->count++];
    rule->in = arena_alloc(r->arena, (size_t)n->nin * sizeof(in[0]));
    rule->work = 1.0 / r->size;
    for (int i = 0; i < n->nin; i++) {
        double share = share_of(n->in[i], in[i], r->size);
        rule->in[i] = in[i];
        rule->work = share > rule->work ? share : rule->work;
    }
    for (int j = 0; j < n->nout; j++)
        rule->out[j] = out[j];
    rule->work = divided ? rule->work : 1;
}

void grad_accumulate(struct builder *b, struct node *n, int output, struct tensor *param)
{
    if (!n)
        return;
    if (param->kind != TENSOR_PARAM)
        BUG("%s (%s): only gradients of parameters are accumulated", n->op->name, n->scope);
    node_want(b, n, output);
    if (!param->grad) {
        struct tensor acc = *param;
        acc.kind = TENSOR_GRAD;
        acc.producer = NULL;
        acc.grad = NULL;
        param->grad = graph_add_tensor(b->graph, &acc);
    }
    node_write_into(n, output, param->grad, true);
    param->grad = n->out[output];
}
