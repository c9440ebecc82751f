/* update -- the optimizer step as nodes: the norm of all gradients, the decision whether this step counts,
 * AdamW on every trained parameter. Weight decay applies to what Hugging Face's Trainer decays: no biases, no
 * norm weights. */
#include <stdio.h>

#include "plan/plan.h"

static struct tensor *moment(struct builder *b, const char *kind, struct tensor *param)
{
    char name[512];
    struct tensor *t;

    snprintf(name, sizeof(name), "%s.%s", kind, param->name);
    t = graph_state(b, name, DT_F32, param->ndim, param->dims);
    if (t)
        t->param = param->param;
    return t;
}

/* Sum over the step's microbatches: the first stores, later ones add. */
static struct tensor *step_sum(struct builder *b, struct tensor *x, const char *name)
{
    struct tensor acc = *x;
    struct tensor *t;

    acc.kind = TENSOR_GRAD;
    acc.producer = NULL;
    acc.name = name;
    t = graph_add_tensor(b->graph, &acc);
    node_write_into(x->producer, x->output, t, true);
    return x;
}

static void update_group(struct builder *b, struct tensor *control, struct tensor *const params[],
                         size_t count, const struct adamw_options *o, bool decay)
{
    struct tensor **in = mem_alloc_array(ADAMW_FIRST + ADAMW_GROUP * count, sizeof(in[0]));
    struct attr_value attrs[] = { { "beta1", o->beta1 },
                                  { "beta2", o->beta2 },
                                  { "eps", o->eps },
                                  { "decay", decay ? o->weight_decay : 0 },
                                  { 0 } };
    int nin = 0;

    in[nin++] = control;
    for (size_t i = 0; i < count; i++) {
        struct tensor *p = params[i];
        if (p->param->decay != decay)
            continue;
        in[nin++] = p;
        in[nin++] = p->grad;
        in[nin++] = moment(b, "exp_avg", p);
        in[nin++] = moment(b, "exp_avg_sq", p);
    }
    if (nin > ADAMW_FIRST)
        graph_node(b, &op_adamw, nin, in, attrs);
    mem_free(in);
}

struct tensor *update_build(struct builder *b, struct tensor *loss, const struct adamw_options *o)
{
    struct graph *g = b->graph;
    const struct dim settings[] = { { CONTROL_SETTINGS, COUNT_FIXED } };
    struct tensor **params = mem_alloc_array(g->tensor_count + 1, sizeof(params[0]));
    struct tensor **grads = mem_alloc_array(g->tensor_count + 1, sizeof(grads[0]));
    struct tensor *control = NULL, *in[4];
    size_t count = 0;

    for (size_t i = 0; i < g->tensor_count; i++) {
        if (g->tensors[i]->kind != TENSOR_PARAM || !g->tensors[i]->grad)
            continue;
        params[count] = g->tensors[i];
        grads[count++] = g->tensors[i]->grad;
    }
    b->unit = UNIT_UPDATE;
    in[STEP_CONTROL_LOSS] = step_sum(b, loss, "loss");
    in[STEP_CONTROL_COUNT] = graph_input(b, "label_count", DT_F64, 0, NULL);
    in[STEP_CONTROL_SUMSQ] = sum_squares(b, (int)count, grads);
    in[STEP_CONTROL_SETTINGS] = graph_input(b, "settings", DT_F64, 1, settings);
    if (in[STEP_CONTROL_COUNT]) /* every dp rank knows its own samples' labels */
        in[STEP_CONTROL_COUNT]->layout.on[AXIS_DP] = (struct placement){ .kind = PARTIAL };
    if (builder_status(b) == 0) {
        struct node *n = graph_node(b, &op_step_control, 4, in, NULL);
        control = n ? n->out[0] : NULL;
    }
    update_group(b, control, params, count, o, true);
    update_group(b, control, params, count, o, false);
    mem_free(params);
    mem_free(grads);
    return control;
}
