#include "lib/dist_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/safetensors.h"
#include "cpu/machine.h"
#include "lib/gpt2_case.h"

#include <cmocka.h>

static void must(int status)
{
    if (status != OK)
        fail_msg("%s", error_message());
}

struct job {
    const char *dir;
    struct mesh mesh;
    enum dtype dtype;
    struct config config;
    struct case_inputs in;
    struct plan *plan;
    struct store *stores[8];
    float *logits;  /* [B, T, V] gathered from dp ranks */
    double loss[8]; /* each rank's share of the sum */
    int64_t label_count;
};

static int run_rank(void *context, int rank, struct comm *comm)
{
    struct job *j = context;
    int dp = mesh_coordinate(&j->mesh, rank, AXIS_DP);
    int64_t share = j->in.samples / j->mesh.size[AXIS_DP];
    struct executor *e;
    struct batch b;
    struct view v;

    j->stores[rank] = store_create();
    TRY(executor_create(j->plan, j->stores[rank], comm, rank, &e));
    TRY(case_fill_store(j->stores[rank], j->dir));
    batch_init(&b, &(struct batch_capacity){ .rows = share * j->in.length, .sequences = share });
    case_batch(&b, &j->in, dp * share, share);
    executor_set_batch(e, &b);
    TRY(executor_run(e, PROGRAM_MICROBATCH, &(struct run_options){ .first_microbatch = true }));
    j->loss[rank] = *(double *)executor_view(e, j->plan->loss).data;
    v = executor_view(e, j->plan->logits);
    if (mesh_coordinate(&j->mesh, rank, AXIS_TP) == 0) {
        j->label_count += b.label_count;
        memcpy(j->logits + dp * share * j->in.length * j->config.sizes.vocab, v.data,
               (size_t)(v.dim[0] * v.dim[1]) * sizeof(float));
    }
    batch_release(&b);
    executor_free(e);
    return OK;
}

/* The whole gradient of the mean loss: shares put together over tp, sums over dp (and over tp where PARTIAL).
 */
static float *whole_gradient(const struct job *j, const char *param, int64_t *count)
{
    char name[256];
    float *sum = NULL, *part;

    snprintf(name, sizeof(name), "grad.%s", param);
    for (int r = 0; r < mesh_ranks(&j->mesh); r++) {
        const struct stored *s = store_find(j->stores[r], name);
        const struct tensor *t = NULL;
        bool adds;
        if (!s)
            return NULL;
        for (size_t i = 0; i < j->plan->graph->tensor_count; i++)
            if (j->plan->graph->tensors[i]->kind == TENSOR_GRAD &&
                strcmp(j->plan->graph->tensors[i]->name, param) == 0)
                t = j->plan->graph->tensors[i];
        *count = 1;
        for (int d = 0; d < s->ndim; d++)
            *count *= s->dims[d];
        if (!sum)
            sum = mem_alloc_array((size_t)*count + 1, sizeof(float));
        part = mem_alloc_array((size_t)*count + 1, sizeof(float));
        stored_to_whole(s, part);
        adds = t->layout.on[AXIS_TP].kind != REPLICATE || mesh_coordinate(&j->mesh, r, AXIS_TP) == 0;
        for (int64_t i = 0; adds && i < *count; i++)
            sum[i] += part[i];
        mem_free(part);
    }
    for (int64_t i = 0; sum && i < *count; i++)
        sum[i] /= (float)j->label_count;
    return sum;
}

static double gradient_norm(const struct job *j)
{
    double sum = 0;

    for (size_t i = 0; i < store_count(j->stores[0]); i++) {
        const struct stored *s = store_at(j->stores[0], i);
        char name[256];
        int64_t count;
        float *g;
        if (s->kind != TENSOR_PARAM)
            continue;
        snprintf(name, sizeof(name), "grad.%s", s->name);
        g = case_expected(j->dir, name, &count);
        for (int64_t k = 0; g && k < count; k++)
            sum += (double)g[k] * g[k];
        mem_free(g);
    }
    return sqrt(sum);
}

static void check_gradient(const struct job *j, const char *param, double floor)
{
    int64_t count = 0, expected_count = 0;
    double difference = 0, norm = 0;
    char name[256];
    float *g = whole_gradient(j, param, &count), *expected;

    snprintf(name, sizeof(name), "grad.%s", param);
    expected = case_expected(j->dir, name, &expected_count);
    if (!g)
        fail_msg("%s: no %s", j->dir, name);
    assert_int_equal(count, expected_count);
    for (int64_t k = 0; k < count; k++) {
        difference += ((double)g[k] - expected[k]) * ((double)g[k] - expected[k]);
        norm += (double)expected[k] * expected[k];
    }
    if (sqrt(difference) > (j->dtype == DT_BF16 ? 1e-1 : 1e-3) * fmax(sqrt(norm), floor))
        fail_msg("%s dp %d tp %d: %s differs by %g of %g", j->dir, j->mesh.size[AXIS_DP],
                 j->mesh.size[AXIS_TP], name, sqrt(difference), sqrt(norm));
    mem_free(g);
    mem_free(expected);
}

/* All that are stored: cases about files hold none. */
static void check_gradients(const struct job *j)
{
    double floor = (j->dtype == DT_BF16 ? 1e-2 : 1e-4) * gradient_norm(j);
    char *path = path_join(j->dir, "expected.safetensors");
    struct safetensors st;

    must(safetensors_open(&st, path));
    mem_free(path);
    for (size_t i = 0; i < st.count; i++)
        if (strncmp(st.tensors[i].name, "grad.", 5) == 0)
            check_gradient(j, st.tensors[i].name + 5, floor);
    safetensors_close(&st);
}

static void check_outputs(const struct job *j)
{
    int64_t count = 0;
    double loss = 0, difference, bound = j->dtype == DT_BF16 ? 2e-2 : 2e-5;
    float *expected = case_expected(j->dir, "logits", &count);

    difference = case_difference(j->logits, expected, count);
    if (!(difference < bound))
        fail_msg("%s dp %d tp %d: logits differ by %g", j->dir, j->mesh.size[AXIS_DP], j->mesh.size[AXIS_TP],
                 difference);
    mem_free(expected);
    expected = case_expected(j->dir, "loss", &count);
    for (int r = 0; r < mesh_ranks(&j->mesh); r++)
        if (mesh_coordinate(&j->mesh, r, AXIS_TP) == 0 || j->plan->loss->layout.on[AXIS_TP].kind == PARTIAL)
            loss += j->loss[r];
    loss /= (double)j->label_count;
    if (expected && !(fabs(loss - expected[0]) < bound * fabs(expected[0])))
        fail_msg("%s dp %d tp %d: loss %.8f, expected %.8f", j->dir, j->mesh.size[AXIS_DP],
                 j->mesh.size[AXIS_TP], loss, expected[0]);
    mem_free(expected);
}

/* how: mesh, recompute and dtype count. */
static void run_case(const char *family, const char *name, const struct compile_options *how)
{
    struct job j = { .mesh = how->mesh, .dtype = how->dtype };
    struct compile_options o = *how;
    int dp = how->mesh.size[AXIS_DP];
    struct machine machine;
    char dir[512];

    snprintf(dir, sizeof(dir), GOLDEN_DIR "/%s/%s", family, name);
    j.dir = dir;
    must(config_load(&j.config, dir));
    must(case_inputs_load(&j.in, dir));
    if (!j.in.labels || j.in.samples % dp != 0)
        goto out;
    o.task = TASK_GRADIENT;
    o.cluster = case_fast_links;
    o.sequences = j.in.samples / dp;
    o.rows = o.labels = o.sequences * j.in.length;
    must(machine_detect(&machine));
    must(plan_compile(&j.config, &o, &machine, &j.plan));
    assert_true((double)j.plan->program[PROGRAM_MICROBATCH].arena_bytes <=
                1.1 * (double)j.plan->program[PROGRAM_MICROBATCH].live_bytes);
    j.logits = mem_alloc_array((size_t)(j.in.samples * j.in.length * j.config.sizes.vocab), sizeof(float));
    must(comm_local_run(&j.mesh, 1, run_rank, &j));
    check_outputs(&j);
    check_gradients(&j);
    for (int r = 0; r < mesh_ranks(&j.mesh); r++)
        store_free(j.stores[r]);
    mem_free(j.logits);
    plan_free(j.plan);
out:
    case_inputs_release(&j.in);
    config_release(&j.config);
}

static void run_all(const char *family, const struct compile_options *how)
{
    char path[512], *save, *name;
    struct str list;

    str_init(&list);
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/cases.txt", family);
    must(file_read(path, 0, &list));
    for (name = strtok_r(list.data, "\n", &save); name; name = strtok_r(NULL, "\n", &save))
        run_case(family, name, how);
    str_release(&list);
}

static void one_rank(void **state)
{
    run_all(*state, &(struct compile_options){ .mesh = { { 1, 1 } } });
}

static void tp_2(void **state)
{
    run_all(*state, &(struct compile_options){ .mesh = { { 1, 2 } } });
}

static void dp_2(void **state)
{
    run_all(*state, &(struct compile_options){ .mesh = { { 2, 1 } } });
}

static void dp_2_tp_2(void **state)
{
    run_all(*state, &(struct compile_options){ .mesh = { { 2, 2 } } });
}

static void tp_4(void **state)
{
    run_all(*state, &(struct compile_options){ .mesh = { { 1, 4 } } });
}

static void bfloat16(void **state)
{
    run_all(*state, &(struct compile_options){ .mesh = { { 1, 1 } }, .dtype = DT_BF16 });
    run_all(*state, &(struct compile_options){ .mesh = { { 2, 2 } }, .dtype = DT_BF16 });
}

static void recomputed_layers(void **state)
{
    run_all(*state, &(struct compile_options){ .mesh = { { 1, 1 } }, .recompute = RECOMPUTE_FULL });
    run_all(*state, &(struct compile_options){ .mesh = { { 2, 2 } }, .recompute = RECOMPUTE_FULL });
}

int dist_family(const char *family)
{
    void *state = (void *)(uintptr_t)family;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(one_rank, state), cmocka_unit_test_prestate(tp_2, state),
        cmocka_unit_test_prestate(dp_2, state),     cmocka_unit_test_prestate(dp_2_tp_2, state),
        cmocka_unit_test_prestate(tp_4, state),     cmocka_unit_test_prestate(recomputed_layers, state),
        cmocka_unit_test_prestate(bfloat16, state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
