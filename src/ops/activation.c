/* activation -- y = f(x), entry by entry, f one of the kinds in ops.h. Cheap to make again from x. */
#include <string.h>

#include "ops/card.h"

static const struct {
    const char *name; /* as config.json says it */
    enum activation_kind kind;
} names[] = {
    { "gelu_new", ACT_GELU_TANH },
    { "gelu_pytorch_tanh", ACT_GELU_TANH },
    { "gelu_fast", ACT_GELU_TANH },
    { "gelu_accurate", ACT_GELU_TANH },
    { "gelu_python_tanh", ACT_GELU_TANH },
    { "gelu", ACT_GELU_ERF },
    { "gelu_python", ACT_GELU_ERF },
    { "relu", ACT_RELU },
    { "silu", ACT_SILU },
    { "swish", ACT_SILU },
    { "tanh", ACT_TANH },
    { "quick_gelu", ACT_QUICK_GELU },
};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

int activation_find(const char *name, enum activation_kind *kind)
{
    struct str known;

    for (size_t i = 0; i < NAMES; i++) {
        if (strcmp(names[i].name, name) == 0) {
            *kind = names[i].kind;
            return OK;
        }
    }
    str_init(&known);
    for (size_t i = 0; i < NAMES; i++)
        str_appendf(&known, "%s%s", i ? ", " : "", names[i].name);
    fail(ERR_CONFIG, "activation \"%s\" is not supported (supported: %s)", name, known.data);
    str_release(&known);
    return ERR_CONFIG;
}

static int infer(const struct node *n, struct tensor out[])
{
    out[0] = *n->in[0];
    return OK;
}

static void grad(struct builder *b, const struct node *n, struct tensor *const dout[], struct tensor *din[],
                 const bool wants[])
{
    struct tensor *const in[] = { dout[0], n->in[0] };

    (void)wants;
    din[0] = output_of(graph_node(b, &op_activation_grad, 2, in,
                                  (struct attr_value[]){ { "kind", n->attr[ACTIVATION_KIND] }, { 0 } }),
                       0);
}

/* Where f(0), or of the gradient 0 * f'(0), is not 0, padding of a share would not be zeros. */
static void shard(const struct node *n, const struct placement have[], struct shard_rules *r)
{
    bool zero = n->attr[ACTIVATION_KIND] != ACT_EXP && n->attr[ACTIVATION_KIND] != ACT_LOG;

    (void)have;
    for (int d = 0; d < n->in[0]->ndim; d++)
        if (zero || card_may_split(n->in[0], d, r->size))
            shard_rules_add(r, n, (struct placement[]){ ON_SHARD(d), ON_SHARD(d) },
                            (struct placement[]){ ON_SHARD(d) }, true);
}

static struct op_cost cost(const struct node *n)
{
    double count = (double)tensor_count(n->out[0]);

    return (struct op_cost){ .flops = 10.0 * count, .bytes = 4.0 * count * (n->nin + 1) };
}

const struct op_def op_activation = {
    .name = "activation",
    .inputs = { "x" },
    .outputs = { "y" },
    .attrs = { { "kind", ACT_NONE } },
    .infer = infer,
    .grad = grad,
    .shard = shard,
    .cost = cost,
    .cheap = true,
};

const struct op_def op_activation_grad = {
    .name = "activation_grad",
    .inputs = { "dy", "x" },
    .outputs = { "dx" },
    .attrs = { { "kind", ACT_NONE } },
    .infer = infer,
    .no_gradient = true,
    .shard = shard,
    .cost = cost,
    .in_place = { 1 },
};

struct tensor *activation(struct builder *b, struct tensor *x, enum activation_kind kind)
{
    return output_of(graph_node(b, &op_activation, 1, &x, (struct attr_value[]){ { "kind", kind }, { 0 } }),
                     0);
}
