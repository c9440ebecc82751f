/* Running nodes of a case: views, references, comparisons. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/parallel.h"
#include "cpu/kernels.h"
#include "cpu/machine.h"
#include "lib/kernel_case.h"
#include "lib/ops.h"

#include <cmocka.h>

int64_t ops_count(const struct view *v)
{
    int64_t count = 1;

    for (int d = 0; d < v->ndim; d++)
        count *= v->dim[d];
    return count;
}

static double bf16_value(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float x;

    memcpy(&x, &wide, sizeof(x));
    return x;
}

/* Of numbers that bfloat16 holds. */
static uint16_t bf16_bits(double value)
{
    float x = (float)value;
    uint32_t wide;

    memcpy(&wide, &x, sizeof(wide));
    return (uint16_t)(wide >> 16);
}

double ops_get(const struct view *v, int64_t i)
{
    switch (v->dtype) {
    case DT_F32: return ((const float *)v->data)[i];
    case DT_F64: return ((const double *)v->data)[i];
    case DT_I32: return ((const int32_t *)v->data)[i];
    case DT_BF16: return bf16_value(((const uint16_t *)v->data)[i]);
    default: return (double)((const int64_t *)v->data)[i];
    }
}

void ops_set(const struct view *v, int64_t i, double x)
{
    switch (v->dtype) {
    case DT_F32: ((float *)v->data)[i] = (float)x; break;
    case DT_F64: ((double *)v->data)[i] = x; break;
    case DT_I32: ((int32_t *)v->data)[i] = (int32_t)x; break;
    case DT_BF16: ((uint16_t *)v->data)[i] = bf16_bits(x); break;
    default: ((int64_t *)v->data)[i] = (int64_t)x;
    }
}

bool ops_near(double x, double want, double tolerance)
{
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(x) : x == want;
    return fabs(x - want) <= tolerance * (1 + fabs(want));
}

/* ---- Values ---- */

void ops_values_init(struct ops_values *v, const struct ops_case *c)
{
    v->count = c->graph->tensor_count;
    v->of = mem_alloc_array(v->count + 1, sizeof(v->of[0]));
}

void ops_values_release(struct ops_values *v)
{
    for (size_t i = 0; i < v->count; i++)
        mem_free(v->of[i]);
    mem_free(v->of);
}

const double *ops_value_of(const struct ops_case *c, const struct ops_values *v, const struct tensor *t)
{
    if (v->of[t->id])
        return v->of[t->id];
    for (int i = 0; i < c->leaves; i++)
        if (c->leaf[i].tensor == t)
            return c->leaf[i].data;
    return NULL;
}

/* ---- Calls ---- */

static struct view view_of(const struct ops_case *c, const struct tensor *t, enum dtype real)
{
    struct view v = { .dtype = t->dtype == DT_F32 ? real : t->dtype, .ndim = t->ndim };

    for (int d = 0; d < t->ndim; d++) {
        const struct ops_group *g = ops_group_of(c, t->dims[d]);
        v.dim[d] = v.whole[d] = g ? g->used : t->dims[d].size;
    }
    v.data = mem_alloc((size_t)ops_count(&v) * dtype_bytes(v.dtype));
    return v;
}

void ops_fill(const struct view *v, const double *values)
{
    if (!values) {
        memset(v->data, 0xff, (size_t)ops_count(v) * dtype_bytes(v->dtype)); /* not a number */
        return;
    }
    for (int64_t i = 0; i < ops_count(v); i++)
        ops_set(v, i, values[i]);
}

static struct run_counts whole_counts(const struct ops_case *c)
{
    struct run_counts counts = { 0 };

    for (int i = c->groups - 1; i >= 0; i--) {
        counts.of[c->group[i].dim.count] = c->group[i].used;
        if (c->group[i].dim.count == COUNT_OFFSETS)
            counts.of[COUNT_SEQUENCES] = c->group[i].used - 1;
    }
    return counts;
}

void ops_call_init(struct ops_call *call, struct ops_case *c, struct node *n, const struct ops_values *v,
                   enum dtype real)
{
    memset(call, 0, sizeof(*call));
    call->c = c;
    call->node = n;
    call->counts = whole_counts(c);
    call->mesh = (struct mesh){ .size = { 1, 1 } };
    for (int i = 0; i < n->nin; i++) {
        if (!n->in[i])
            continue;
        call->in[i] = view_of(c, n->in[i], real);
        if (!ops_value_of(c, v, n->in[i]))
            BUG("%s: input %d has no value", n->op->name, i);
        ops_fill(&call->in[i], ops_value_of(c, v, n->in[i]));
    }
    for (int j = 0; j < n->nout; j++) {
        const double *before = NULL;
        if (!n->out[j])
            continue;
        call->out[j] = view_of(c, n->out[j], real);
        if (n->out[j]->into)
            before = ops_value_of(c, v, n->out[j]->into);
        call->add[j] = n->accumulate[j] && before; /* the first writer stores */
        ops_fill(&call->out[j], before);
    }
}

void ops_call_release(struct ops_call *call)
{
    for (int i = 0; i < call->node->nin; i++)
        mem_free(call->in[i].data);
    for (int j = 0; j < call->node->nout; j++)
        mem_free(call->out[j].data);
}

void ops_call_run(struct ops_call *call, const struct kernel *k, int threads)
{
    struct machine m;
    char *block, *workspace;
    size_t bytes;

    if (machine_detect(&m) != OK)
        BUG("%s", error_message());
    m.threads = threads;
    bytes = k->workspace ? (size_t)k->workspace(call->node, &call->mesh, &m) : 0;
    block = mem_alloc(bytes + 64);
    workspace = block + (64 - (uintptr_t)block % 64) % 64;
    memset(workspace, 0xff, bytes);
    parallel_set_threads(threads);
    k->run(&(struct kernel_args){ .node = call->node,
                                  .in = call->in,
                                  .out = call->out,
                                  .add = call->add,
                                  .workspace = workspace,
                                  .counts = &call->counts,
                                  .seed = call->c->seed,
                                  .step = call->c->step });
    mem_free(block);
}

const struct kernel *ops_reference(const struct op_def *op)
{
    const struct kernel *k = cpu_kernel_table(ISA_BASE)[op_find(op)];

    while (k[1].name)
        k++;
    return k;
}

void ops_each_kernel(const struct node *n, void (*fn)(void *context, const struct kernel *k), void *context)
{
    struct machine m;

    if (machine_detect(&m) != OK)
        BUG("%s", error_message());
    for (int isa = 0; isa < ISA_COUNT; isa++) {
        const struct kernel *k = cpu_kernel_table((enum isa)isa)[op_find(n->op)];
        m.isa = (enum isa)isa;
        for (; isa_runs_here((enum isa)isa) && k[1].name; k++)
            if (!k->refuses || !k->refuses(n, &m))
                fn(context, k);
    }
}

/* ---- Graphs ---- */

static void run_test_op(struct ops_call *call)
{
    if (call->node->nin == 1) { /* leaf */
        for (int64_t i = 0; i < ops_count(&call->out[0]); i++)
            ops_set(&call->out[0], i,
                    ops_get(&call->in[0], i) + (call->add[0] ? ops_get(&call->out[0], i) : 0));
        return;
    }
    ops_set(&call->out[0], 0, 0);
    for (int64_t i = 0; i < ops_count(&call->in[0]); i++)
        ops_set(&call->out[0], 0,
                ops_get(&call->out[0], 0) + ops_get(&call->in[0], i) * ops_get(&call->in[1], i));
}

void ops_run(struct ops_case *c, struct ops_values *v, size_t first, size_t last)
{
    for (size_t k = first; k < last; k++) {
        struct node *n = c->graph->nodes[k];
        struct ops_call call;
        ops_call_init(&call, c, n, v, DT_F64);
        if (ops_is_test_op(n->op))
            run_test_op(&call);
        else
            ops_call_run(&call, ops_reference(n->op), 1);
        for (int j = 0; j < n->nout; j++) {
            double **to;
            if (!n->out[j])
                continue;
            to = &v->of[n->out[j]->id];
            mem_free(*to);
            *to = mem_alloc_array((size_t)ops_count(&call.out[j]) + 1, sizeof(double));
            for (int64_t i = 0; i < ops_count(&call.out[j]); i++)
                (*to)[i] = ops_get(&call.out[j], i);
        }
        ops_call_release(&call);
    }
}

/* ---- Results ---- */

struct view *ops_result(struct ops_call *call, int r)
{
    if (r < MAX_OUTPUTS)
        return r < call->node->nout && call->node->out[r] ? &call->out[r] : NULL;
    r -= MAX_OUTPUTS;
    return r < call->node->nin && call->c->updated[r] ? &call->in[r] : NULL;
}

const char *ops_result_name(const struct ops_call *call, int r, char buffer[32])
{
    const char *name = call->node->op->outputs[r < MAX_OUTPUTS ? r : 0];

    if (r < MAX_OUTPUTS)
        return name[0] == '?' ? name + 1 : name;
    snprintf(buffer, 32, "in%d", r - MAX_OUTPUTS);
    return buffer;
}

void ops_compare(const struct ops_call *found, const struct ops_call *want, double tolerance,
                 const char *what)
{
    char buffer[32];

    for (int r = 0; r < OPS_RESULTS; r++) {
        const struct view *x = ops_result((struct ops_call *)found, r);
        const struct view *y = ops_result((struct ops_call *)want, r);
        for (int64_t i = 0; x && y->data && i < ops_count(y); i++)
            if (!ops_near(ops_get(x, i), ops_get(y, i), tolerance))
                fail_msg("%s: %s, entry %lld: found %.9g, reference %.9g", what,
                         ops_result_name(found, r, buffer), (long long)i, ops_get(x, i), ops_get(y, i));
    }
}
