/* target_loss -- regression (mean squared error) and several labels a row (binary cross-entropy of each): the
 * loss of logits against numbers, where head_stats' is against one label. transformers'
 * ForSequenceClassificationLoss. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    const struct tensor *logits = n->in[TARGET_LOSS_LOGITS], *targets = n->in[TARGET_LOSS_TARGETS];

    if (logits->ndim != 2 || !same_shape(logits, targets))
        return fail(ERR_INTERNAL, "target_loss: (R, %" PRId64 ") logits against (R, %" PRId64 ") targets",
                    tensor_row_count(logits), tensor_row_count(targets));
    out[0] = scalar_of(DT_F64);
    return OK;
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct tensor *const in[] = { dout[0], n->in[TARGET_LOSS_LOGITS], n->in[TARGET_LOSS_TARGETS] };

    if (wants[TARGET_LOSS_LOGITS])
        din[TARGET_LOSS_LOGITS] =
            output_of(graph_node(b, &op_target_loss_grad, 3, in,
                                 (struct attr_value[]){ { "kind", n->attr[TARGET_LOSS_KIND] }, { 0 } }),
                      0);
}

static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(r, n, (struct placement[]){ ON_SHARD(0), ON_SHARD(0) }, (struct placement[]){ ON_SUM },
                    true);
}

static struct op_cost cost(const struct node *n)
{
    return (struct op_cost){ .bytes = 8.0 * (double)tensor_count(n->in[n->nin - 1]) };
}

const struct op_def op_target_loss = {
    .name = "target_loss",
    .inputs = { "logits", "targets" },
    .outputs = { "loss" },
    .attrs = { { "kind", TARGET_SQUARE } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
};

struct tensor *target_loss(struct builder *b, struct tensor *logits, struct tensor *targets,
                           enum target_loss_kind kind)
{
    struct tensor *const in[] = { logits, targets };

    return output_of(graph_node(b, &op_target_loss, 2, in, (struct attr_value[]){ { "kind", kind }, { 0 } }),
                     0);
}

/* ---- Gradient ---- */

static int infer_grad(const struct node *n, struct tensor out[])
{
    out[0] = *n->in[TARGET_LOSS_GRAD_LOGITS];
    return OK;
}

static void shard_grad(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    (void)have;
    shard_rules_add(r, n, (struct placement[]){ ON_ALL, ON_SHARD(0), ON_SHARD(0) },
                    (struct placement[]){ ON_SHARD(0) }, true);
}

const struct op_def op_target_loss_grad = {
    .name = "target_loss_grad",
    .inputs = { "dloss", "logits", "targets" },
    .outputs = { "dlogits" },
    .attrs = { { "kind", TARGET_SQUARE } },
    .infer = infer_grad,
    .no_gradient = true,
    .shard = shard_grad,
    .cost = cost,
};
