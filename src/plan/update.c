/* update -- the optimizer step as nodes: the norm of all gradients, the decision whether this step counts,
 * AdamW or Adafactor on every trained parameter. Weight decay applies to what Hugging Face's Trainer decays:
 * no biases, no norm weights. */
#include <stdio.h>

#include "plan/plan.h"

/* KIND.NAME: moments of the parameter's dims first .. end-1, which are those of `info` in a file. */
static struct tensor *moment_of(struct builder *b, const char *kind, const struct tensor *param, int first,
                                int end, const struct param_info *info)
{
    char name[512];
    struct tensor *t;

    snprintf(name, sizeof(name), "%s.%s", kind, param->name);
    t = graph_state(b, name, DT_F32, end - first, &param->dims[first]);
    if (t)
        t->param = info;
    return t;
}

static struct tensor *moment(struct builder *b, const char *kind, const struct tensor *param)
{
    return moment_of(b, kind, param, 0, param->ndim, param->param);
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

static void update_adamw(struct builder *b, struct tensor *control, struct tensor *const params[],
                         size_t count, const struct optimizer_options *o, bool decay)
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

/* ---- Adafactor ---- */

/* Leading dims that are the rows of the file's matrix; 0: moments of entries, not of rows and columns. */
static int split_of(const struct tensor *param, int64_t from)
{
    const struct param_info *info = param->param;
    int64_t rows = 1;
    int k = 0;

    if (info->file_ndim != 2 || info->file_dims[0] < 2 || info->file_dims[1] < 2)
        return 0;
    if (info->file_dims[0] < from || info->file_dims[1] < from)
        return 0;
    while (rows < info->file_dims[0])
        rows *= param->dims[k++].size;
    return k;
}

static const struct param_info *vector_info(struct builder *b, const struct tensor *param, int file_dim)
{
    struct param_info *info = arena_alloc(&b->graph->arena, sizeof(*info));

    *info = *param->param;
    info->file_ndim = 1;
    info->file_dims[0] = param->param->file_dims[file_dim];
    return info;
}

/* v, col and what both come from, in their places. */
static void add_moments(struct builder *b, struct tensor *p, int k, struct tensor *in[])
{
    struct node *sums;

    if (k == 0) {
        in[ADAFACTOR_V] = moment(b, "exp_avg_sq", p);
        return;
    }
    in[ADAFACTOR_V] = moment_of(b, "exp_avg_sq_row", p, 0, k, vector_info(b, p, 0));
    in[ADAFACTOR_COL] = moment_of(b, "exp_avg_sq_col", p, k, p->ndim, vector_info(b, p, 1));
    sums = graph_node(b, &op_adafactor_sums, 1, &p->grad, (struct attr_value[]){ { "split", k }, { 0 } });
    in[ADAFACTOR_ROWS] = sums ? sums->out[ADAFACTOR_SUMS_ROWS] : NULL;
    in[ADAFACTOR_COLS] = sums ? sums->out[ADAFACTOR_SUMS_COLS] : NULL;
}

static void update_adafactor(struct builder *b, struct tensor *control, struct tensor *p,
                             const struct optimizer_options *o)
{
    int k = split_of(p, o->factor_from);
    struct tensor *in[ADAFACTOR_COLS + 1] = { control, p, p->grad };
    struct attr_value attrs[] = {
        { "split", k }, { "decay", p->param->decay ? o->weight_decay : 0 }, { "relative", o->relative }, { 0 }
    };
    struct node *norms;

    add_moments(b, p, k, in);
    norms = graph_node(b, &op_adafactor_norms, ADAFACTOR_COLS + 1, in,
                       (struct attr_value[]){ { "split", k }, { 0 } });
    in[ADAFACTOR_NORM] = norms ? norms->out[0] : NULL;
    graph_node(b, &op_adafactor, ADAFACTOR_NORM + 1, in, attrs);
}

static void update_params(struct builder *b, struct tensor *control, struct tensor *const params[],
                          size_t count, const struct optimizer_options *o, bool apart)
{
    size_t each = apart ? 1 : count;

    for (size_t i = 0; o->kind == OPTIMIZER_ADAMW && i < count; i += each) {
        update_adamw(b, control, params + i, each, o, true);
        update_adamw(b, control, params + i, each, o, false);
    }
    for (size_t i = 0; o->kind == OPTIMIZER_ADAFACTOR && i < count; i++)
        update_adafactor(b, control, params[i], o);
}

struct tensor *update_build(struct builder *b, struct tensor *loss, struct tensor *count,
                            const struct optimizer_options *o, bool apart)
{
    struct graph *g = b->graph;
    const struct dim settings[] = { { CONTROL_SETTINGS, COUNT_FIXED } };
    struct tensor **params = mem_alloc_array(g->tensor_count + 1, sizeof(params[0]));
    struct tensor **grads = mem_alloc_array(g->tensor_count + 1, sizeof(grads[0]));
    struct tensor *control = NULL, *in[4];
    size_t trained = 0;

    for (size_t i = 0; i < g->tensor_count; i++) {
        if (g->tensors[i]->kind != TENSOR_PARAM || !g->tensors[i]->grad)
            continue;
        params[trained] = g->tensors[i];
        grads[trained++] = g->tensors[i]->grad;
    }
    b->unit = UNIT_UPDATE;
    in[STEP_CONTROL_LOSS] = step_sum(b, loss, "loss");
    in[STEP_CONTROL_COUNT] =
        count ? step_sum(b, count, "count") : graph_input(b, "label_count", DT_F64, 0, NULL);
    in[STEP_CONTROL_SUMSQ] = sum_squares(b, (int)trained, grads);
    in[STEP_CONTROL_SETTINGS] = graph_input(b, "settings", DT_F64, 1, settings);
    if (in[STEP_CONTROL_COUNT] && !count) /* every dp rank knows its own samples' labels */
        in[STEP_CONTROL_COUNT]->layout.on[AXIS_DP] = (struct placement){ .kind = PARTIAL };
    if (builder_status(b) == 0) {
        struct node *n = graph_node(b, &op_step_control, 4, in, NULL);
        control = n ? n->out[0] : NULL;
    }
    update_params(b, control, params, trained, o, apart);
    mem_free(params);
    mem_free(grads);
    return control;
}
