/* What is asked of a case on one rank: golden, gradient, kernels, cost, fusion. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/safetensors.h"
#include "core/autodiff.h"
#include "core/rewrite.h"
#include "lib/ops.h"

#include <cmocka.h>

/* The case, the values its node reads, and a call of it. */
static void begin(struct ops_case *c, const struct op_def *op, const struct ops_case_def *def,
                  struct ops_values *v)
{
    ops_case_init(c, op, def, -1);
    ops_values_init(v, c);
    ops_run(c, v, 0, (size_t)c->node->id);
}

static void end(struct ops_case *c, struct ops_values *v)
{
    ops_values_release(v);
    ops_case_release(c);
}

/* ---- Golden ---- */

static double *read_golden(const struct safetensors *st, const char *name, int64_t count)
{
    const struct safetensors_tensor *t = safetensors_find(st, name);
    size_t bytes = (size_t)count * sizeof(double);
    double *values;

    if (!t || t->count != count || t->end - t->begin != bytes)
        fail_msg("%s: no golden of %lld doubles for %s (tests/oracle/ops.py makes it)", st->path,
                 (long long)count, name);
    values = mem_alloc(bytes + 1);
    assert_int_equal(safetensors_read(st, t, 0, values, bytes), OK);
    return values;
}

static void compare_golden(struct ops_call *call, const struct safetensors *st, const char *name,
                           double tolerance)
{
    for (int r = 0; r < OPS_RESULTS; r++) {
        const struct view *v = ops_result(call, r);
        char buffer[32], full[128];
        double *want;
        if (!v)
            continue;
        snprintf(full, sizeof(full), "%s.%s", name, ops_result_name(call, r, buffer));
        want = read_golden(st, full, ops_count(v));
        for (int64_t i = 0; i < ops_count(v); i++)
            if (!ops_near(ops_get(v, i), want[i], tolerance))
                fail_msg("%s (%s), entry %lld: found %.17g, golden %.17g", full, dtype_name(v->dtype),
                         (long long)i, ops_get(v, i), want[i]);
        mem_free(want);
    }
}

void ops_check_golden(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def)
{
    static const struct {
        enum dtype real;
        double tolerance;
    } runs[] = { { DT_F64, 1e-11 }, { DT_F32, 1e-5 } };
    struct safetensors st;
    struct ops_case c;
    struct ops_values v;
    char path[512];

    (void)l;
    begin(&c, op, def, &v);
    snprintf(path, sizeof(path), "%s/ops/%s.safetensors", GOLDEN_DIR, op->name);
    if (!c.large && safetensors_open(&st, path) != OK)
        fail_msg("%s", error_message());
    for (size_t i = 0; !c.large && i < sizeof(runs) / sizeof(runs[0]); i++) {
        struct ops_call call;
        ops_call_init(&call, &c, c.node, &v, runs[i].real);
        ops_call_run(&call, ops_reference(op), 1);
        compare_golden(&call, &st, def->name, runs[i].tolerance);
        ops_call_release(&call);
    }
    if (!c.large)
        safetensors_close(&st);
    end(&c, &v);
}

/* ---- Gradient ---- */

static struct tensor *add_loss(struct ops_case *c)
{
    unsigned probes = c->probes ? c->probes : 1;
    struct tensor *loss = NULL;

    for (int j = 0; j < c->node->nout; j++) {
        struct tensor *sum;
        if (!(probes >> j & 1))
            continue;
        sum = ops_weighted_sum(c, c->node->out[j]);
        loss = loss ? add(&c->b, loss, sum) : sum;
    }
    return loss;
}

static double run_loss(struct ops_case *c, const struct tensor *loss, size_t nodes)
{
    struct ops_values v;
    double x;

    ops_values_init(&v, c);
    ops_run(c, &v, 0, nodes);
    x = v.of[loss->id][0];
    ops_values_release(&v);
    return x;
}

static int64_t leaf_count(const struct ops_case *c, const struct tensor *t)
{
    int64_t count = 1;

    for (int d = 0; d < t->ndim; d++) {
        const struct ops_group *g = ops_group_of(c, t->dims[d]);
        count *= g ? g->used : t->dims[d].size;
    }
    return count;
}

static void compare_differences(struct ops_case *c, const struct ops_leaf *leaf, const double *grad,
                                const struct tensor *loss, size_t nodes)
{
    for (int64_t i = 0; i < leaf_count(c, leaf->tensor); i++) {
        double x = leaf->data[i], step = 1e-5, high, low, found = grad ? grad[i] : 0;
        leaf->data[i] = x + step;
        high = run_loss(c, loss, nodes);
        leaf->data[i] = x - step;
        low = run_loss(c, loss, nodes);
        leaf->data[i] = x;
        if (!ops_near(found, (high - low) / (2 * step), 1e-7))
            fail_msg("%s, entry %lld: gradient %.12g, central difference %.12g", leaf->tensor->name,
                     (long long)i, found, (high - low) / (2 * step));
    }
}

/* With only one leaf trained; only: -1: all of them. Returns whether there is such a leaf. */
static bool check_trained(const struct op_def *op, const struct ops_case_def *def, int only)
{
    struct ops_case c;
    struct ops_values v;
    struct tensor *loss;
    size_t nodes;
    bool any = false;

    ops_case_init(&c, op, def, only);
    loss = add_loss(&c);
    nodes = c.graph->node_count;
    if (autodiff(&c.b, loss) != OK)
        fail_msg("%s", error_message());
    ops_values_init(&v, &c);
    ops_run(&c, &v, 0, c.graph->node_count);
    for (int i = 0; i < c.leaves; i++) {
        const struct tensor *t = c.leaf[i].tensor;
        if (t->kind != TENSOR_PARAM || !t->param->trainable)
            continue;
        compare_differences(&c, &c.leaf[i], t->grad ? v.of[t->grad->id] : NULL, loss, nodes);
        any = true;
    }
    any = any || only < c.leaves;
    end(&c, &v);
    return any;
}

void ops_check_gradient(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def)
{
    struct ops_case c;
    bool skip;

    (void)l;
    ops_case_init(&c, op, def, -1);
    skip = c.no_gradient || c.large || op->no_gradient;
    ops_case_release(&c);
    for (int only = -1; !skip && check_trained(op, def, only); only++)
        continue;
}

/* ---- Kernels ---- */

struct kernel_check {
    struct ops_case *c;
    const struct ops_values *v;
    const struct ops_call *want;
    double tolerance;
    const char *name;
};

static void same_bits(struct ops_call *a, struct ops_call *b, const char *what)
{
    for (int r = 0; r < OPS_RESULTS; r++) {
        const struct view *x = ops_result(a, r), *y = ops_result(b, r);
        if (x && memcmp(x->data, y->data, (size_t)ops_count(x) * dtype_bytes(x->dtype)) != 0)
            fail_msg("%s: other bits than on 1 thread", what);
    }
}

static void check_in_place(const struct kernel_check *s, const struct kernel *k, const char *what)
{
    for (int j = 0; j < s->c->node->nout; j++) {
        int i = s->c->node->op->in_place[j] - 1;
        struct ops_call call;
        if (i < 0 || !s->c->node->out[j] || s->c->node->out[j]->into)
            continue;
        ops_call_init(&call, s->c, s->c->node, s->v, s->want->out[j].dtype);
        mem_free(call.out[j].data);
        call.out[j].data = call.in[i].data;
        ops_call_run(&call, k, 2);
        ops_compare(&call, s->want, s->tolerance, what);
        call.out[j].data = NULL;
        ops_call_release(&call);
    }
}

static void check_kernel(void *context, const struct kernel *k)
{
    const struct kernel_check *s = context;
    struct ops_call call[3];
    char what[128];

    for (int t = 0; t < 3; t++) {
        snprintf(what, sizeof(what), "%s: kernel %s on %d threads", s->name, k->name, t + 1);
        ops_call_init(&call[t], s->c, s->c->node, s->v, DT_F32);
        ops_call_run(&call[t], k, t + 1);
        ops_compare(&call[t], s->want, s->tolerance, what);
        same_bits(&call[t], &call[0], what);
    }
    for (int t = 0; t < 3; t++)
        ops_call_release(&call[t]);
    snprintf(what, sizeof(what), "%s: kernel %s in place", s->name, k->name);
    check_in_place(s, k, what);
}

void ops_check_kernels(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def)
{
    struct ops_case c;
    struct ops_values v;
    struct ops_call want;
    struct kernel_check s = { .c = &c, .v = &v, .want = &want, .tolerance = l->tolerance, .name = def->name };

    begin(&c, op, def, &v);
    ops_call_init(&want, &c, c.node, &v, DT_F32);
    ops_call_run(&want, ops_reference(op), 1);
    check_in_place(&s, ops_reference(op), "reference in place");
    ops_each_kernel(c.node, check_kernel, &s);
    ops_call_release(&want);
    end(&c, &v);
}

/* ---- Cost ---- */

void ops_check_cost(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def)
{
    struct ops_case c;
    struct op_cost cost;
    double given = 0;

    ops_case_init(&c, op, def, -1);
    assert_non_null(op->cost);
    cost = op->cost(c.node);
    for (int i = 0; i < c.node->nin; i++)
        given += c.node->in[i] ? (double)tensor_bytes(c.node->in[i]) : 0;
    for (int j = 0; j < c.node->nout; j++)
        given += c.node->out[j] ? (double)tensor_bytes(c.node->out[j]) : 0;
    if (!isfinite(cost.flops) || cost.flops < 0 || (l->matmul && cost.flops <= 0))
        fail_msg("%s: %g flops", def->name, cost.flops);
    if (!isfinite(cost.bytes) || cost.bytes > 50 * given || (!c.dry && cost.bytes < 0.2 * given))
        fail_msg("%s: %g bytes moved, inputs and outputs have %g", def->name, cost.bytes, given);
    ops_case_release(&c);
}

/* ---- Fusion: c->node makes the loss; after fusing, the graph has fewer nodes and the same results ---- */

static int run_fusion(struct ops_case *c, const struct op_def *op, const struct ops_case_def *def,
                      struct ops_values *v, bool fused)
{
    struct tensor *loss;
    size_t before;

    ops_case_init(c, op, def, -1);
    loss = c->node->out[0];
    if (autodiff(&c->b, loss) != OK)
        fail_msg("%s", error_message());
    before = c->graph->node_count;
    if (fused)
        rewrite_fuse(c->graph, NULL);
    if (fused && c->graph->node_count >= before)
        fail_msg("%s: nothing was fused", def->name);
    ops_values_init(v, c);
    ops_run(c, v, 0, c->graph->node_count);
    return loss->id;
}

static void compare_entries(const char *what, const double *found, const double *want, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!ops_near(found[i], want[i], 1e-11))
            fail_msg("%s, entry %lld: fused %.12g, unfused %.12g", what, (long long)i, found[i], want[i]);
}

void ops_check_fusion(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def)
{
    struct ops_case plain, fused;
    struct ops_values want, found;
    int loss = run_fusion(&plain, op, def, &want, false), same = run_fusion(&fused, op, def, &found, true);

    (void)l;
    compare_entries("loss", found.of[same], want.of[loss], 1);
    for (int i = 0; i < plain.leaves; i++) {
        const struct tensor *t = plain.leaf[i].tensor, *f = fused.leaf[i].tensor;
        if (t->grad)
            compare_entries(t->name, found.of[f->grad->id], want.of[t->grad->id], leaf_count(&plain, t));
    }
    end(&plain, &want);
    end(&fused, &found);
}
