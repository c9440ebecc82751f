#include "lib/dist_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "ckpt/safetensors.h"
#include "lib/golden_case.h"

#include <cmocka.h>

static void fail_where(const struct golden_run *r, const char *what, double found, double bound)
{
    char where[600];

    golden_run_where(r, where);
    fail_msg("%s: %s differs by %g, bound %g", where, what, found, bound);
}

/* ---- What transformers gave ---- */

static double output_bound(const struct golden_run *r)
{
    return r->how.dtype == DT_BF16 ? 2e-2 : 2e-5;
}

static void check_outputs(const struct golden_run *r)
{
    double bound = output_bound(r);
    int64_t count = 0;

    for (const struct golden_output *o = r->outputs; o->name; o++) {
        float *expected = golden_case_expected(r->c, o->name, &count);
        double difference;
        assert_non_null(expected);
        assert_int_equal(count, r->c->in.samples * o->sample);
        difference = relative_difference(o->data, expected, count);
        if (!(difference < bound))
            fail_where(r, o->name, difference, bound);
        mem_free(expected);
    }
}

static void check_loss(const struct golden_run *r)
{
    int64_t count = 0;
    float *expected = golden_case_expected(r->c, "loss", &count);
    double bound = output_bound(r), difference;

    assert_non_null(expected);
    if (r->c->in.label_count == 0) { /* labels that say there is none */
        assert_true(isnan(expected[0]));
        mem_free(expected);
        return;
    }
    difference = fabs(golden_run_loss(r) - expected[0]);
    if (!(difference < bound * fabs(expected[0])))
        fail_where(r, "loss", difference, bound * fabs(expected[0]));
    mem_free(expected);
}

/* A parameter's gradient may be off by `part` of itself, or of `floor` of the whole gradient where it is
 * less: what is nearly zero has no relative error. The bounds of bfloat16 are those that PyTorch's keeps to
 * in these cases. */
static const struct gradient_bounds {
    double part, floor, whole;
} bounds_f32 = { 1e-3, 1e-4, 1e-3 }, bounds_bf16 = { 0.4, 5e-2, 0.15 };

/* Returns the square of the difference. */
static double check_gradient(const struct golden_run *r, const char *name, double whole)
{
    const struct gradient_bounds *b = r->how.dtype == DT_BF16 ? &bounds_bf16 : &bounds_f32;
    int64_t count = 0, expected_count = 0;
    float *g = golden_run_whole(r, name, &count),
          *expected = golden_case_expected(r->c, name, &expected_count);
    double difference = 0, norm = 0;

    if (!g)
        fail_msg("%s: no %s", r->c->dir, name);
    assert_int_equal(count, expected_count);
    for (int64_t k = 0; k < count; k++) {
        g[k] /= (float)r->c->in.label_count;
        difference += ((double)g[k] - expected[k]) * ((double)g[k] - expected[k]);
        norm += (double)expected[k] * expected[k];
    }
    if (!(sqrt(difference) <= b->part * fmax(sqrt(norm), b->floor * whole)))
        fail_where(r, name, sqrt(difference), b->part * fmax(sqrt(norm), b->floor * whole));
    mem_free(g);
    mem_free(expected);
    return difference;
}

static double whole_norm(const struct golden_run *r, const struct safetensors *st)
{
    double sum = 0;

    for (size_t i = 0; i < st->count; i++) {
        int64_t count = 0;
        float *g;
        if (strncmp(st->tensors[i].name, "grad.", 5) != 0)
            continue;
        g = golden_case_expected(r->c, st->tensors[i].name, &count);
        for (int64_t k = 0; k < count; k++)
            sum += (double)g[k] * g[k];
        mem_free(g);
    }
    return sqrt(sum);
}

/* All that are stored: cases about files hold none. */
static void check_gradients(const struct golden_run *r)
{
    char *path = path_join(r->c->dir, "expected.safetensors");
    struct safetensors st;
    double whole, difference = 0, bound;

    must(safetensors_open(&st, path));
    mem_free(path);
    whole = whole_norm(r, &st);
    for (size_t i = 0; i < st.count; i++)
        if (strncmp(st.tensors[i].name, "grad.", 5) == 0)
            difference += check_gradient(r, st.tensors[i].name, whole);
    safetensors_close(&st);
    bound = whole * (r->how.dtype == DT_BF16 ? bounds_bf16.whole : bounds_f32.whole);
    if (!(sqrt(difference) <= bound))
        fail_where(r, "the whole gradient", sqrt(difference), bound);
}

static void follows_transformers(const struct golden_case *c, const struct compile_options *how)
{
    struct compile_options o = *how;
    struct golden_run r;
    bool labels = forward_inputs_have_labels(&c->in);

    o.task = labels ? TASK_GRADIENT : TASK_FORWARD;
    golden_run_compile(&r, c, &o);
    for (int s = 0; s < mesh_size(&o.mesh, AXIS_PP); s++) {
        const struct plan_program *p = &r.plans[s]->program[PROGRAM_MICROBATCH];
        assert_true((double)p->arena_bytes <=
                    1.1 * (double)p->live_bytes + (o.mesh.size[AXIS_PP] > 1 ? 4096 : 0));
    }
    golden_run_go(&r);
    check_outputs(&r);
    if (labels)
        check_loss(&r);
    if (c->in.label_count > 0)
        check_gradients(&r);
    golden_run_release(&r);
}

/* ---- A step of AdamW ---- */

static void check_step(const struct golden_run *r, const struct golden_run *one)
{
    if (!(fabs(r->norm - one->norm) <= 1e-4 * one->norm))
        fail_where(r, "norm of the gradient", fabs(r->norm - one->norm), 1e-4 * one->norm);
    for (size_t i = 0; i < store_count(one->stores[0]); i++) {
        const struct stored *s = store_at(one->stores[0], i);
        int64_t count = 0;
        float *want, *found;
        double difference = 0, bound;
        if (s->kind != TENSOR_PARAM)
            continue;
        want = golden_run_whole(one, s->name, &count);
        found = golden_run_whole(r, s->name, &count);
        for (int64_t k = 0; k < count; k++)
            difference += ((double)found[k] - want[k]) * ((double)found[k] - want[k]);
        bound = 1e-3 * RUN_LEARNING_RATE * sqrt((double)count);
        if (!(sqrt(difference) <= bound))
            fail_where(r, s->name, sqrt(difference), bound);
        mem_free(want);
        mem_free(found);
    }
}

static const struct mesh meshes[] = { { { 1, 2 } }, { { 2, 1 } }, { { 2, 2 } }, { { 1, 4 } }, { { 4, 1 } } };
enum { MESHES = sizeof(meshes) / sizeof(meshes[0]) };

/* Each with stages; zero_bubble puts weight gradients off. */
static const struct staged {
    struct mesh mesh;
    struct pipeline_options pipeline;
} stages[] = {
    { { { 1, 1, 2 } }, { SCHEDULE_GPIPE, 1, 1 } },
    { { { 1, 1, 2 } }, { SCHEDULE_ZERO_BUBBLE, 1, 3 } },
    { { { 1, 2, 2 } }, { SCHEDULE_1F1B, 1, 2 } },
    { { { 2, 2, 2 } }, { SCHEDULE_ZERO_BUBBLE, 1, 2 } },
};
enum { STAGED = sizeof(stages) / sizeof(stages[0]) };

static void one_step_on_all_meshes(const struct golden_case *c, const struct compile_options *how)
{
    struct compile_options o = { .task = TASK_TRAIN };
    struct golden_run one, r;

    (void)how;
    if (c->in.label_count == 0)
        return;
    golden_run_compile(&one, c, &o);
    golden_run_go(&one);
    assert_true(one.norm > 0);
    for (int m = 0; m < MESHES + STAGED; m += m < MESHES - 1 ? 1 : 2) { /* every other one with stages */
        o.mesh = m < MESHES ? meshes[m] : stages[m - MESHES].mesh;
        if (m >= MESHES)
            o.pipeline = stages[m - MESHES].pipeline;
        golden_run_compile(&r, c, &o);
        golden_run_go(&r);
        check_step(&r, &one);
        golden_run_release(&r);
    }
    golden_run_release(&one);
}

/* ---- Names ---- */

/* Once the graph stands: names that say nothing, in an order of their own. */
static void scramble(const char *stage, const struct plan *p, void *context)
{
    struct graph *g = p->graph;

    (void)context;
    if (strcmp(stage, "graph") != 0)
        return;
    for (size_t i = 0; i < g->tensor_count; i++)
        if (g->tensors[i]->kind == TENSOR_PARAM)
            g->tensors[i]->name = arena_printf(&g->arena, "x%zu.bias", (i * 7919 + 13) % 10007);
    for (size_t k = 0; k < g->node_count; k++)
        g->nodes[k]->scope = arena_printf(&g->arena, "y%zu", (k * 7919 + 13) % 10007);
}

static void same_plan(const struct golden_run *a, const struct golden_run *b)
{
    const struct graph *g = a->plan->graph, *h = b->plan->graph;

    assert_int_equal(g->tensor_count, h->tensor_count);
    assert_int_equal(g->node_count, h->node_count);
    for (size_t i = 0; i < g->tensor_count; i++)
        for (int axis = 0; axis < PLACEMENT_AXES; axis++)
            assert_true(placement_equal(g->tensors[i]->layout.on[axis], h->tensors[i]->layout.on[axis]));
    for (size_t k = 0; k < g->node_count; k++) {
        assert_ptr_equal(g->nodes[k]->op, h->nodes[k]->op);
        assert_int_equal(a->plan->workspace[k], b->plan->workspace[k]);
    }
    assert_int_equal(plan_bytes(a->plan), plan_bytes(b->plan));
}

static void other_names(const struct golden_case *c, const struct compile_options *how)
{
    struct compile_options o = { .task = TASK_TRAIN };
    struct golden_run plain, scrambled;

    (void)how;
    for (int m = 0; m < MESHES && c->in.label_count > 0; m++) {
        o.mesh = meshes[m];
        o.stage = NULL;
        golden_run_compile(&plain, c, &o);
        o.stage = scramble;
        golden_run_compile(&scrambled, c, &o);
        same_plan(&plain, &scrambled);
        golden_run_release(&plain);
        golden_run_release(&scrambled);
    }
}

/* ---- All cases; under a sanitizer every third, others on each mesh ---- */

typedef void case_fn(const struct golden_case *c, const struct compile_options *how);

static void run_family(const char *family, case_fn *fn, const struct compile_options *how)
{
    char path[512], *save, *name;
    int every = getenv("PLAIT_SANITIZE") ? 3 : 1, at = how ? mesh_ranks(&how->mesh) : 0;
    struct golden_case c;
    struct str list;

    str_init(&list);
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/cases.txt", family);
    must(file_read(path, 0, &list));
    for (name = strtok_r(list.data, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
        if (at++ % every != 0)
            continue;
        golden_case_open(&c, family, name);
        fn(&c, how);
        golden_case_close(&c);
    }
    str_release(&list);
}

static void run_all(void **state, case_fn *fn, const struct compile_options *how)
{
    for (const char *const *family = *state; *family; family++)
        run_family(*family, fn, how);
}

static void forward(void **state, struct mesh mesh, enum dtype dtype, enum recompute recompute)
{
    run_all(state, follows_transformers,
            &(struct compile_options){ .mesh = mesh, .dtype = dtype, .recompute = recompute });
}

static void one_rank(void **state)
{
    forward(state, (struct mesh){ { 1, 1 } }, DT_F32, RECOMPUTE_SELECTIVE);
}

static void several_ranks(void **state)
{
    for (int m = 0; m < MESHES; m++)
        forward(state, meshes[m], DT_F32, RECOMPUTE_SELECTIVE);
}

static void stages_of_layers(void **state)
{
    for (int i = 0; i < STAGED; i++)
        run_all(state, follows_transformers,
                &(struct compile_options){ .mesh = stages[i].mesh, .pipeline = stages[i].pipeline });
}

static void stages_otherwise(void **state)
{
    struct compile_options o = { .mesh = stages[2].mesh, .pipeline = stages[2].pipeline, .dtype = DT_BF16 };

    run_all(state, follows_transformers, &o);
    o.dtype = DT_F32;
    o.recompute = RECOMPUTE_FULL;
    run_all(state, follows_transformers, &o);
}

static void bfloat16(void **state)
{
    forward(state, (struct mesh){ { 1, 1 } }, DT_BF16, RECOMPUTE_SELECTIVE);
    forward(state, (struct mesh){ { 2, 2 } }, DT_BF16, RECOMPUTE_SELECTIVE);
}

static void recomputed_layers(void **state)
{
    forward(state, (struct mesh){ { 1, 1 } }, DT_F32, RECOMPUTE_FULL);
    forward(state, (struct mesh){ { 2, 2 } }, DT_F32, RECOMPUTE_FULL);
}

static void one_step(void **state)
{
    run_all(state, one_step_on_all_meshes, NULL);
}

static void names_do_not_matter(void **state)
{
    run_all(state, other_names, NULL);
}

int dist_families(const char *const families[])
{
    void *state = (void *)(uintptr_t)families;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(one_rank, state),
        cmocka_unit_test_prestate(several_ranks, state),
        cmocka_unit_test_prestate(stages_of_layers, state),
        cmocka_unit_test_prestate(stages_otherwise, state),
        cmocka_unit_test_prestate(bfloat16, state),
        cmocka_unit_test_prestate(recomputed_layers, state),
        cmocka_unit_test_prestate(one_step, state),
        cmocka_unit_test_prestate(names_do_not_matter, state),
    };

    log_set_level(LOG_ERROR); /* files of some cases hold more than the model asks for */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
