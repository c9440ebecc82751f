/* References of linear and its two gradients. As matrices: x (N, I), y (N, O), W (I, O), or (O, I) in memory
 * when out_first. */
#include "cpu/ref.h"
#include "ops/ops.h"

struct weight {
    const struct view *view;
    int64_t in, out; /* I, O of this rank's share */
    bool out_first;
};

static struct weight weight_of(const struct kernel_args *a, const struct view *view, int64_t in, int64_t out)
{
    return (struct weight){ view, in, out, a->node->attr[LINEAR_OUT_FIRST] != 0 };
}

static int64_t weight_index(const struct weight *w, int64_t i, int64_t o)
{
    return w->out_first ? o * w->in + i : i * w->out + o;
}

/* An optional input's element; 0 when it is absent. */
static double optional(const struct kernel_args *a, int input, int64_t i)
{
    return input < a->node->nin ? ref_load(&a->in[input], i) : 0;
}

void ref_linear(const struct kernel_args *a)
{
    const struct view *x = &a->in[LINEAR_X], *y = &a->out[LINEAR_Y];
    struct weight w = weight_of(a, &a->in[LINEAR_WEIGHT], view_row(x), view_row(y));
    int act = (int)a->node->attr[LINEAR_ACT];

    for (int64_t n = 0; n < y->dim[0]; n++) {
        for (int64_t o = 0; o < w.out; o++) {
            double sum = optional(a, LINEAR_BIAS, o);
            for (int64_t i = 0; i < w.in; i++)
                sum += ref_load(x, n * w.in + i) * ref_load(w.view, weight_index(&w, i, o));
            if (a->node->nout > LINEAR_PRE)
                ref_put(a, LINEAR_PRE, n * w.out + o, sum);
            sum = ref_activate(act, sum) + optional(a, LINEAR_RESIDUAL, n * w.out + o);
            ref_put(a, LINEAR_Y, n * w.out + o, sum);
        }
    }
}

void ref_linear_grad_input(const struct kernel_args *a)
{
    const struct view *dy = &a->in[LINEAR_GRAD_INPUT_DY], *dx = &a->out[0];
    struct weight w = weight_of(a, &a->in[LINEAR_GRAD_INPUT_WEIGHT], view_row(dx), view_row(dy));
    int act = (int)a->node->attr[LINEAR_ACT];

    for (int64_t n = 0; n < dx->dim[0]; n++) {
        for (int64_t i = 0; i < w.in; i++) {
            double sum = 0;
            for (int64_t o = 0; o < w.out; o++)
                sum += ref_load(dy, n * w.out + o) * ref_load(w.view, weight_index(&w, i, o));
            if (act != ACT_NONE)
                sum *= ref_activate_grad(act, ref_load(&a->in[LINEAR_GRAD_INPUT_PRE], n * w.in + i));
            ref_put(a, 0, n * w.in + i, sum);
        }
    }
}

void ref_linear_grad_weight(const struct kernel_args *a)
{
    const struct view *x = &a->in[LINEAR_GRAD_WEIGHT_X], *dy = &a->in[LINEAR_GRAD_WEIGHT_DY];
    struct weight w = weight_of(a, &a->out[LINEAR_GRAD_WEIGHT_DW], view_row(x), view_row(dy));

    for (int64_t o = 0; o < w.out; o++) {
        double bias = 0;
        for (int64_t n = 0; n < x->dim[0]; n++)
            bias += ref_load(dy, n * w.out + o);
        if (a->node->nout > LINEAR_GRAD_WEIGHT_DBIAS)
            ref_put(a, LINEAR_GRAD_WEIGHT_DBIAS, o, bias);
        for (int64_t i = 0; i < w.in; i++) {
            double sum = 0;
            for (int64_t n = 0; n < x->dim[0]; n++)
                sum += ref_load(x, n * w.in + i) * ref_load(dy, n * w.out + o);
            ref_put(a, LINEAR_GRAD_WEIGHT_DW, weight_index(&w, i, o), sum);
        }
    }
}
