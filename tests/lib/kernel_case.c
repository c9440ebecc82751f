#include "lib/kernel_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "cpu/kernels.h"
#include "cpu/view.h"

void case_init(struct kernel_case *c, enum op_id op)
{
    memset(c, 0, sizeof(*c));
    c->op = op;
    c->node.op = op_table[op];
    c->node.in = c->in;
    c->node.stream = 77;
    c->seed = 12345;
    c->step = 9;
}

void case_release(struct kernel_case *c)
{
    for (int i = 0; i < c->node.nin; i++)
        if (c->in[i] == &c->tensor_in[i])
            mem_free(c->view_in[i].data);
    for (int j = 0; j < c->node.nout; j++)
        mem_free(c->view_out[j].data);
}

static size_t bytes_of(const struct view *v)
{
    return (size_t)view_count(v) * dtype_bytes(v->dtype);
}

static void make(struct tensor *t, struct view *v, enum dtype dtype, const int64_t dims[], uint32_t stream)
{
    t->dtype = v->dtype = dtype;
    while (dims[v->ndim] != INT64_MIN) {
        v->dim[v->ndim] = v->whole[v->ndim] = dims[v->ndim];
        t->dims[v->ndim].size = dims[v->ndim];
        t->ndim = ++v->ndim;
    }
    v->data = mem_alloc(bytes_of(v));
    for (int64_t i = 0; i < view_count(v); i++) {
        double x = rng_normal((struct rng_key){ 1, stream }, 0, (uint64_t)i);
        if (dtype == DT_F32)
            ((float *)v->data)[i] = (float)x;
        else if (dtype == DT_F64)
            ((double *)v->data)[i] = x;
        else if (dtype == DT_BF16)
            ((uint16_t *)v->data)[i] = (uint16_t)(0x3f80 + i % 100);
    }
}

struct view *case_input(struct kernel_case *c, enum dtype dtype, const int64_t dims[])
{
    int i = c->node.nin++;
    if (i >= CASE_INPUTS)
        BUG("too many inputs");
    c->in[i] = &c->tensor_in[i];
    make(c->in[i], &c->view_in[i], dtype, dims, (uint32_t)i);
    return &c->view_in[i];
}

struct view *case_output(struct kernel_case *c, enum dtype dtype, const int64_t dims[])
{
    int j = c->node.nout++;
    c->node.out[j] = &c->tensor_out[j];
    make(c->node.out[j], &c->view_out[j], dtype, dims, 100 + (uint32_t)j);
    return &c->view_out[j];
}

void case_absent_input(struct kernel_case *c)
{
    c->in[c->node.nin++] = NULL;
}

void case_absent_output(struct kernel_case *c)
{
    c->node.out[c->node.nout++] = NULL;
}

void case_same_input(struct kernel_case *c, int input)
{
    c->view_in[c->node.nin] = c->view_in[input];
    c->in[c->node.nin++] = c->in[input];
}

bool isa_runs_here(enum isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == ISA_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return isa == ISA_BASE;
}

static struct machine machine_of(enum isa isa, int threads)
{
    return (struct machine){
        .isa = isa, .threads = threads, .l1_bytes = 32 << 10, .l2_bytes = 1 << 20, .l3_bytes = 8 << 20
    };
}

void case_run(struct kernel_case *c, const struct kernel *k, int threads)
{
    struct machine m = machine_of(ISA_BASE, threads);
    struct mesh mesh = { .size = { 1, 1 } };
    size_t bytes = k->workspace ? (size_t)k->workspace(&c->node, &mesh, &m) : 0;
    char *block = mem_alloc(bytes + 64), *workspace = block + (64 - (uintptr_t)block % 64) % 64;
    struct kernel_args a = { .node = &c->node,
                             .in = c->view_in,
                             .out = c->view_out,
                             .add = c->add,
                             .workspace = workspace,
                             .counts = &c->counts,
                             .seed = c->seed,
                             .step = c->step };

    memset(workspace, 0xff, bytes); /* not a number: nobody may count on zeros */
    parallel_set_threads(threads);
    k->run(&a);
    mem_free(block);
}

const struct kernel *case_reference(const struct kernel_case *c)
{
    const struct kernel *k = cpu_kernel_table(ISA_BASE)[c->op];

    while (k[1].name)
        k++;
    return k;
}

static struct view *view_at(struct kernel_case *c, int i)
{
    return i < c->node.nin ? &c->view_in[i] : &c->view_out[i - c->node.nin];
}

static void save(struct kernel_case *c, char *copy[])
{
    for (int i = 0; i < c->node.nin + c->node.nout; i++) {
        struct view *v = view_at(c, i);
        copy[i] = mem_alloc(bytes_of(v));
        if (v->data)
            memcpy(copy[i], v->data, bytes_of(v));
    }
}

static void restore(struct kernel_case *c, char *copy[])
{
    for (int i = 0; i < c->node.nin + c->node.nout; i++)
        if (view_at(c, i)->data)
            memcpy(view_at(c, i)->data, copy[i], bytes_of(view_at(c, i)));
}

static void drop(struct kernel_case *c, char *copy[])
{
    for (int i = 0; i < c->node.nin + c->node.nout; i++)
        mem_free(copy[i]);
}

static double element(const void *data, enum dtype dtype, int64_t i)
{
    if (dtype == DT_F64)
        return ((const double *)data)[i];
    return dtype == DT_F32 ? ((const float *)data)[i] : 0;
}

static bool near(double x, double want, double tolerance)
{
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(x) : x == want;
    return fabs(x - want) <= tolerance * (1 + fabs(want));
}

/* What the buffers hold now, against what the reference left in `want`. */
static void compare_buffers(struct kernel_case *c, const struct kernel *k, char *want[], double tolerance)
{
    for (int i = 0; i < c->node.nin + c->node.nout; i++) {
        struct view *v = view_at(c, i);
        if (!v->data)
            continue;
        if (v->dtype != DT_F32 && v->dtype != DT_F64) {
            assert_memory_equal(v->data, want[i], bytes_of(v));
            continue;
        }
        for (int64_t e = 0; e < view_count(v); e++) {
            double x = element(v->data, v->dtype, e), y = element(want[i], v->dtype, e);
            if (!near(x, y, tolerance))
                fail_msg("%s, %s: %s %d, element %lld: found %.9g, reference %.9g", c->node.op->name, k->name,
                         i < c->node.nin ? "input" : "output", i < c->node.nin ? i : i - c->node.nin,
                         (long long)e, x, y);
        }
    }
}

static void compare_kernel(struct kernel_case *c, const struct kernel *k, char *before[], char *want[],
                           double tolerance)
{
    static const int threads[] = { 1, 2, 3, 5 };
    char *one[CASE_INPUTS + MAX_OUTPUTS];

    for (int t = 0; t < 4; t++) {
        restore(c, before);
        case_run(c, k, threads[t]);
        compare_buffers(c, k, want, tolerance);
        if (t == 0)
            save(c, one);
        for (int i = 0; i < c->node.nin + c->node.nout; i++)
            if (view_at(c, i)->data && memcmp(view_at(c, i)->data, one[i], bytes_of(view_at(c, i))) != 0)
                fail_msg("%s, %s: other bits on %d threads than on 1", c->node.op->name, k->name, threads[t]);
    }
    drop(c, one);
}

void case_compare(struct kernel_case *c, double tolerance)
{
    char *before[CASE_INPUTS + MAX_OUTPUTS], *want[CASE_INPUTS + MAX_OUTPUTS];
    int compared = 0;

    save(c, before);
    case_run(c, case_reference(c), 1);
    save(c, want);
    for (int isa = 0; isa < ISA_COUNT; isa++) {
        struct machine m = machine_of((enum isa)isa, 1);
        const struct kernel *k = cpu_kernel_table((enum isa)isa)[c->op];
        for (; isa_runs_here((enum isa)isa) && k[1].name; k++) {
            if (k->refuses && k->refuses(&c->node, &m))
                continue;
            compare_kernel(c, k, before, want, tolerance);
            compared++;
        }
    }
    restore(c, before);
    drop(c, before);
    drop(c, want);
    assert_true(compared > 0);
}
