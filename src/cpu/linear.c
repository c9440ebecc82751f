/* linear and its two gradients: each is one call of gemm. As matrices: x (N, I), y (N, O), W (I, O), or
 * (O, I) in memory when out_first.
 *
 *     linear               y = x W             then bias, activation, residual
 *     linear_grad_input    dx = dy W^T         then the product with f'(pre)
 *     linear_grad_weight   dW (+)= x^T dy, or, when out_first, dy^T x; dbias comes off packing dy. */
#include "cpu/gemm.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"

static bool out_first(const struct node *n)
{
    return n->attr[LINEAR_OUT_FIRST] != 0;
}

/* Elements of one row of this rank's share, at capacity */
static int64_t local_row(const struct tensor *t, const struct mesh *mesh)
{
    int64_t count = 1;

    for (int d = 1; d < t->ndim; d++)
        count *= tensor_local_dim(t, d, mesh);
    return count;
}

static int64_t local_rows(const struct tensor *t, const struct mesh *mesh)
{
    return tensor_local_dim(t, 0, mesh);
}

/* An epilogue cannot run on a sum that is not finished. */
static const char *refuses_epilogue(const struct node *n, const struct machine *m)
{
    return n->nin > 2 ? refuse_all_but_plain_f32(n, n->nin) : refuse_other_than_f32(n, n->nin);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    return n->out[LINEAR_GRAD_WEIGHT_DW] ? refuse_other_than_f32(n, n->nin) : "no gradient of the weight";
}

/* ---- linear ---- */

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *x = n->in[LINEAR_X], *y = n->out[LINEAR_Y];

    return gemm_workspace(local_rows(x, mesh), local_row(y, mesh), local_row(x, mesh));
}

static void run(const struct kernel_args *a)
{
    const struct view *x = &a->in[LINEAR_X], *y = &a->out[LINEAR_Y];
    struct gemm_after after = { .bias = input_data(a, LINEAR_BIAS),
                                .pre = output_data(a, LINEAR_PRE),
                                .act = (enum activation_kind)a->node->attr[LINEAR_ACT],
                                .residual = input_data(a, LINEAR_RESIDUAL) };
    struct gemm g = { .m = view_rows(x), .n = view_row(y), .k = view_row(x) };

    g.a = x->data;
    g.b = a->in[LINEAR_WEIGHT].data;
    g.b_turned = out_first(a->node);
    g.a_step = g.k;
    g.b_step = g.b_turned ? g.k : g.n;
    g.c = y->data;
    g.c_step = g.n;
    g.add = a->add[LINEAR_Y];
    if (after.bias || after.pre || after.residual || after.act != ACT_NONE)
        g.after = &after;
    g.workspace = a->workspace;
    ISA(gemm)(&g);
}

const struct kernel ISA(cpu_linear)[] = { { "gemm " ISA_TEXT, .refuses = refuses_epilogue,
                                            .workspace = workspace, .run = run },
                                          { "reference", .run = ref_linear },
                                          { 0 } };

/* ---- linear_grad_input ---- */

static int64_t workspace_input(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *dy = n->in[LINEAR_GRAD_INPUT_DY], *dx = n->out[0];

    return gemm_workspace(local_rows(dy, mesh), local_row(dx, mesh), local_row(dy, mesh));
}

static void run_input(const struct kernel_args *a)
{
    const struct view *dy = &a->in[LINEAR_GRAD_INPUT_DY], *dx = &a->out[0];
    struct gemm_after after = { .act = (enum activation_kind)a->node->attr[LINEAR_ACT],
                                .grad_at = input_data(a, LINEAR_GRAD_INPUT_PRE) };
    struct gemm g = { .m = view_rows(dy), .n = view_row(dx), .k = view_row(dy) };

    g.a = dy->data;
    g.b = a->in[LINEAR_GRAD_INPUT_WEIGHT].data;
    g.b_turned = !out_first(a->node);
    g.a_step = g.k;
    g.b_step = g.b_turned ? g.k : g.n;
    g.c = dx->data;
    g.c_step = g.n;
    g.add = a->add[0];
    if (after.grad_at)
        g.after = &after;
    g.workspace = a->workspace;
    ISA(gemm)(&g);
}

const struct kernel ISA(cpu_linear_grad_input)[] = { { "gemm " ISA_TEXT, .refuses = refuses_epilogue,
                                                       .workspace = workspace_input, .run = run_input },
                                                     { "reference", .run = ref_linear_grad_input },
                                                     { 0 } };

/* ---- linear_grad_weight ---- */

static int64_t workspace_weight(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *x = n->in[LINEAR_GRAD_WEIGHT_X], *dy = n->in[LINEAR_GRAD_WEIGHT_DY];
    int64_t in = local_row(x, mesh), out = local_row(dy, mesh);

    return gemm_workspace(out_first(n) ? out : in, out_first(n) ? in : out, local_rows(x, mesh));
}

static void run_weight(const struct kernel_args *a)
{
    const struct view *x = &a->in[LINEAR_GRAD_WEIGHT_X], *dy = &a->in[LINEAR_GRAD_WEIGHT_DY];
    const struct view *left = out_first(a->node) ? dy : x, *right = out_first(a->node) ? x : dy;
    float *bias = output_data(a, LINEAR_GRAD_WEIGHT_DBIAS);
    struct gemm g = { .m = view_row(left), .n = view_row(right), .k = view_rows(x), .a_turned = true };

    g.a = left->data;
    g.b = right->data;
    g.a_step = g.m;
    g.b_step = g.n;
    g.c = a->out[LINEAR_GRAD_WEIGHT_DW].data;
    g.c_step = g.n;
    g.add = a->add[LINEAR_GRAD_WEIGHT_DW];
    if (out_first(a->node))
        g.a_sums = bias;
    else
        g.b_sums = bias;
    g.sums_add = bias && a->add[LINEAR_GRAD_WEIGHT_DBIAS];
    g.workspace = a->workspace;
    ISA(gemm)(&g);
}

const struct kernel ISA(cpu_linear_grad_weight)[] = { { "gemm " ISA_TEXT, .refuses = refuses,
                                                        .workspace = workspace_weight, .run = run_weight },
                                                      { "reference", .run = ref_linear_grad_weight },
                                                      { 0 } };
