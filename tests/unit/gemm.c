/* gemm of every instruction set that this machine has, against sums in double: odd shapes, every lie of A and
 * B, epilogues, sums, blocks along every dim; and the same bits on any number of threads. */
#include "cpu/gemm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "cpu/machine.h"
#include "cpu/ref.h"

void gemm_base(const struct gemm *g);
void gemm_avx2(const struct gemm *g);
void gemm_avx512(const struct gemm *g);

typedef void gemm_fn(const struct gemm *g);

/* Fills fn with the variants that can run here; returns their number. */
static int variants(gemm_fn *fn[ISA_COUNT])
{
    struct machine m;

    assert_int_equal(machine_detect(&m), 0);
    fn[0] = gemm_base;
#if defined(__x86_64__)
    fn[1] = gemm_avx2;
    fn[2] = gemm_avx512;
#endif
    return (int)m.isa + 1;
}

static float noise(uint64_t place)
{
    return (float)((int64_t)(rng_mix(place) >> 40) - (1 << 23)) / (1 << 23);
}

static float *noisy(int64_t count, uint64_t stream)
{
    float *p = mem_alloc_array((size_t)count + 1, sizeof(float));

    for (int64_t i = 0; i < count; i++)
        p[i] = noise(stream * 1000003u + (uint64_t)i);
    return p;
}

struct data { /* everything a call may read or write, a few floats more than needed from row to row */
    float *a, *b, *c, *bias, *pre, *residual, *grad_at, *sums;
    int64_t a_step, b_step, c_step, c_count;
    char *space, *workspace; /* the latter ends, but for its alignment, where the former does */
};

static struct data data_for(const struct gemm *g)
{
    struct data d = { 0 };

    d.a_step = (g->a_turned ? g->m : g->k) + 3;
    d.b_step = (g->b_turned ? g->k : g->n) + 1;
    d.c_step = g->n + 5;
    d.c_count = g->m * d.c_step + 1;
    d.a = noisy((g->a_turned ? g->k : g->m) * d.a_step, 1);
    d.b = noisy((g->b_turned ? g->n : g->k) * d.b_step, 2);
    d.c = noisy(d.c_count, 3);
    d.bias = noisy(g->n, 4);
    d.pre = noisy(d.c_count, 5);
    d.residual = noisy(d.c_count, 6);
    d.grad_at = noisy(d.c_count, 7);
    d.sums = noisy(g->m + g->n, 8);
    d.space = mem_alloc((size_t)gemm_workspace(g->m, g->n, g->k) + 64);
    d.workspace = d.space + 64 - (uintptr_t)d.space % 64;
    return d;
}

static void release(struct data *d)
{
    mem_free(d->a);
    mem_free(d->b);
    mem_free(d->c);
    mem_free(d->bias);
    mem_free(d->pre);
    mem_free(d->residual);
    mem_free(d->grad_at);
    mem_free(d->sums);
    mem_free(d->space);
}

/* Points g (shape, lies and flags given) at d. */
static void connect(struct gemm *g, const struct data *d)
{
    g->a = d->a;
    g->b = d->b;
    g->c = d->c;
    g->a_step = d->a_step;
    g->b_step = d->b_step;
    g->c_step = d->c_step;
    g->workspace = d->workspace;
}

static double a_at(const struct gemm *g, int64_t i, int64_t k)
{
    return g->a[g->a_turned ? k * g->a_step + i : i * g->a_step + k];
}

static double b_at(const struct gemm *g, int64_t k, int64_t j)
{
    return g->b[g->b_turned ? j * g->b_step + k : k * g->b_step + j];
}

static void near(double got, double want, int64_t k, const char *what)
{
    double scale = (1 + sqrt((double)k)) * fmax(1, fabs(want));

    if (!(fabs(got - want) <= 4e-6 * scale))
        fail_msg("%s: found %.9g, expected %.9g (k %lld)", what, got, want, (long long)k);
}

/* Runs g over copies of its data and compares every element, also those that must not change. */
static void check(gemm_fn *fn, const struct gemm *shape, const struct gemm_after *after)
{
    struct gemm g = *shape;
    struct data d = data_for(&g), old = data_for(&g);
    struct gemm_after f = after ? *after : (struct gemm_after){ 0 };

    connect(&g, &d);
    if (after) { /* given pointers say which are wanted */
        f.bias = f.bias ? d.bias : NULL;
        f.pre = f.pre ? d.pre : NULL;
        f.residual = f.residual ? d.residual : NULL;
        f.grad_at = f.grad_at ? d.grad_at : NULL;
        g.after = &f;
    }
    fn(&g);
    for (int64_t at = 0; at < d.c_count; at++) {
        int64_t i = at / d.c_step, j = at % d.c_step;
        double want = g.add ? old.c[at] : 0;
        if (j >= g.n || i >= g.m) {
            assert_true(d.c[at] == old.c[at] && d.pre[at] == old.pre[at]);
            continue;
        }
        for (int64_t k = 0; k < g.k; k++)
            want += a_at(&g, i, k) * b_at(&g, k, j);
        want += f.bias ? f.bias[j] : 0;
        if (f.pre)
            near(d.pre[at], want, g.k, "pre");
        else
            assert_true(d.pre[at] == old.pre[at]);
        want = f.grad_at ? want * ref_activate_grad(f.act, f.grad_at[at]) : ref_activate(f.act, want);
        want += f.residual ? f.residual[at] : 0;
        near(d.c[at], want, g.k, "c");
    }
    release(&d);
    release(&old);
}

/* Four of the eight cases that have all pairs of flags. */
static void every_lie(gemm_fn *fn, int64_t m, int64_t n, int64_t k)
{
    static const int pairs[] = { 0, 3, 5, 6 };

    for (int i = 0; i < 4; i++) {
        int lie = pairs[i];
        struct gemm g = { .m = m, .n = n, .k = k };
        g.a_turned = lie & 1;
        g.b_turned = lie & 2;
        g.add = lie & 4;
        check(fn, &g, NULL);
    }
}

static void odd_shapes_are_right(void **state)
{
    static const int64_t sizes[] = { 0, 1, 2, 3, 7, 17, 33, 100 };
    gemm_fn *fn[ISA_COUNT];
    int count = variants(fn);

    for (int v = 0; v < count; v++)
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j++)
                for (int k = 0; k < 8; k++)
                    every_lie(fn[v], sizes[i], sizes[j], sizes[k]);
}

/* Several blocks along each dim, narrow and wide, ragged at the end. */
static void blocks_are_right(void **state)
{
    static const int64_t shapes[][3] = { { 70, 33, 900 },   { 1100, 20, 390 }, { 20, 1100, 400 },
                                         { 20, 2100, 130 }, { 9, 600, 1600 },  { 8, 300, 800 },
                                         { 2700, 520, 8 },  { 130, 20, 1700 } };
    gemm_fn *fn[ISA_COUNT];
    int count = variants(fn);

    for (int v = 0; v < count; v++)
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
            every_lie(fn[v], shapes[i][0], shapes[i][1], shapes[i][2]);
}

static void epilogues_are_right(void **state)
{
    static const int64_t shapes[][3] = { { 61, 70, 50 }, { 1, 200, 30 }, { 5, 33, 500 }, { 19, 600, 800 } };
    gemm_fn *fn[ISA_COUNT];
    int count = variants(fn);
    float wanted;

    for (int v = 0; v < count; v++) {
        for (int what = 0; what < 16 * ACT_LOG; what++) { /* a logarithm is of what is positive */
            const int64_t *s = shapes[what % 4];
            struct gemm g = { .m = s[0], .n = s[1], .k = s[2], .b_turned = what & 1 };
            struct gemm_after f = { .act = (enum activation_kind)(what / 16) };
            f.bias = what & 1 ? &wanted : NULL;
            f.pre = what & 2 ? &wanted : NULL;
            f.residual = what & 4 ? &wanted : NULL;
            f.grad_at = what & 8 ? &wanted : NULL;
            check(fn[v], &g, &f);
        }
    }
}

/* Sums over k of a turned A, or of a B that is not turned. */
static void check_sums(gemm_fn *fn, struct gemm g)
{
    struct data d = data_for(&g), old = data_for(&g);
    int64_t count = g.a_turned ? g.m : g.n;

    connect(&g, &d);
    g.a_sums = g.a_turned ? d.sums : NULL;
    g.b_sums = g.a_turned ? NULL : d.sums;
    fn(&g);
    for (int64_t i = 0; i < count; i++) {
        double want = g.sums_add ? old.sums[i] : 0;
        for (int64_t k = 0; k < g.k; k++)
            want += g.a_turned ? a_at(&g, i, k) : b_at(&g, k, i);
        near(d.sums[i], want, g.k, "sum");
    }
    for (int64_t i = count; i < g.m + g.n; i++)
        assert_true(d.sums[i] == old.sums[i]);
    release(&d);
    release(&old);
}

static void sums_are_right(void **state)
{
    static const int64_t shapes[][3] = { { 3, 5, 0 },    { 1, 1, 1 },      { 7, 70, 100 },   { 61, 600, 900 },
                                         { 8, 2100, 5 }, { 1100, 20, 33 }, { 2100, 600, 80 } };
    gemm_fn *fn[ISA_COUNT];
    int count = variants(fn);

    for (int v = 0; v < count; v++)
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
            for (int what = 0; what < 4; what++) {
                struct gemm g = { .m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2] };
                g.a_turned = what & 1;
                g.sums_add = what & 2;
                check_sums(fn[v], g);
            }
}

/* Also across numbers of rows, but for few rows and a turned B: a row of C does not depend on how many others
 * there are. */
static void bits_do_not_depend_on_threads_or_rows(void **state)
{
    static const int threads[] = { 1, 2, 3, 5 };
    gemm_fn *fn[ISA_COUNT];
    int count = variants(fn);

    for (int v = 0; v < count; v++) {
        for (int lie = 0; lie < 4; lie++) {
            struct gemm g = { .m = 300, .n = 700, .k = 1000, .a_turned = lie & 1, .b_turned = lie & 2 };
            struct data d = data_for(&g), other = data_for(&g);
            connect(&g, &d);
            parallel_set_threads(1);
            fn[v](&g);
            for (int t = 1; t < 4; t++) {
                parallel_set_threads(threads[t]);
                g.c = other.c;
                fn[v](&g);
                assert_memory_equal(d.c, other.c, (size_t)(g.m * d.c_step) * sizeof(float));
            }
            memset(other.c, 0, (size_t)other.c_count * sizeof(float));
            g.m = g.b_turned ? 9 : 3;
            fn[v](&g);
            for (int64_t i = 0; i < g.m; i++)
                assert_memory_equal(d.c + i * d.c_step, other.c + i * d.c_step, (size_t)g.n * sizeof(float));
            release(&d);
            release(&other);
        }
    }
}

/* Workspace is asked for at capacity, and sizes at run time are any smaller ones. */
static void workspace_is_enough_for_less(void **state)
{
    enum { M = 1200, N = 1300, K = 900, MARK = 0x5a, MARKS = 4096 };
    size_t bytes = (size_t)gemm_workspace(M, N, K);
    gemm_fn *fn[ISA_COUNT];
    int count = variants(fn);
    char *space = mem_map(bytes + MARKS);
    float *a = noisy(K * N, 1), *c = noisy(M * N, 2);

    assert_non_null(space);
    memset(space + bytes, MARK, MARKS);
    for (uint64_t i = 0; i < 60; i++) {
        struct gemm g = { .a = a, .b = a, .c = c, .workspace = space };
        g.m = (int64_t)(rng_mix(3 * i) % M) + 1;
        g.n = (int64_t)(rng_mix(3 * i + 1) % N) + 1;
        g.k = (int64_t)(rng_mix(3 * i + 2) % K) + 1;
        g.a_turned = i & 1;
        g.b_turned = i & 2;
        g.b_step = 1; /* rows overlap: what is read does not matter here */
        g.a_step = 1;
        g.c_step = g.n;
        fn[i % (uint64_t)count](&g);
    }
    for (int i = 0; i < MARKS; i++)
        assert_int_equal(space[bytes + (size_t)i], MARK);
    mem_free(a);
    mem_free(c);
    mem_unmap(space, bytes + MARKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_shapes_are_right),
        cmocka_unit_test(blocks_are_right),
        cmocka_unit_test(epilogues_are_right),
        cmocka_unit_test(sums_are_right),
        cmocka_unit_test(workspace_is_enough_for_less),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
