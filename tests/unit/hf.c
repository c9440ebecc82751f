/* Model directories: what model_open takes and refuses, filling and randomising stores on any layout, and
 * saving. */
#include "ckpt/hf.h"
#include "ckpt/gather.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "comm/comm.h"
#include "cpu/machine.h"
#include "lib/scratch.h"

static const char plain[] = GOLDEN_DIR "/gpt2/plain";

static void must(int status)
{
    if (status != OK)
        fail_msg("%s", error_message());
}

/* ---- stores on a mesh ---- */

struct job {
    struct mesh mesh;
    struct model model;
    struct plan *plan;
    struct store *stores[8];
    bool random;
};

static int run_rank(void *context, int rank, struct comm *comm)
{
    struct job *j = context;
    struct executor *e;
    int status = OK;

    j->stores[rank] = store_create();
    TRY(executor_create(j->plan, j->stores[rank], comm, rank, &e));
    if (j->random)
        model_init_store(j->stores[rank], 7);
    else
        status = model_fill_store(&j->model, j->stores[rank]);
    executor_free(e);
    return status;
}

static void job_begin(struct job *j, const char *dir, int dp, int tp, bool random)
{
    struct machine machine;
    struct compile_options o = { .task = TASK_FORWARD, .rows = 8, .sequences = 1, .labels = 8 };

    *j = (struct job){ .mesh = { { dp, tp } }, .random = random };
    o.mesh = j->mesh;
    must(model_open(&j->model, &(struct model_options){ .name = dir }));
    must(machine_detect(&machine));
    must(plan_compile(&j->model.config, &o, &machine, &j->plan));
    must(comm_local_run(&j->mesh, 1, run_rank, j));
}

static void job_end(struct job *j)
{
    for (int r = 0; r < mesh_ranks(&j->mesh); r++)
        store_free(j->stores[r]);
    plan_free(j->plan);
    model_close(&j->model);
}

static int64_t count_of(const struct stored *s)
{
    int64_t count = 1;

    for (int d = 0; d < s->ndim; d++)
        count *= s->dims[d];
    return count;
}

/* The whole parameter out of the shares of the ranks with dp 0; NaN where none of them holds an element. */
static float *whole_of(const struct job *j, const char *name)
{
    int64_t count = count_of(store_find(j->stores[0], name));
    float *whole = mem_alloc_array((size_t)count + 1, sizeof(float));

    for (int64_t i = 0; i < count; i++)
        whole[i] = NAN;
    for (int r = 0; r < j->mesh.size[AXIS_TP]; r++)
        stored_to_whole(store_find(j->stores[r], name), whole);
    return whole;
}

static void compare(const struct job *one, const struct job *many)
{
    size_t params = 0;

    for (size_t i = 0; i < store_count(one->stores[0]); i++) {
        const struct stored *s = store_at(one->stores[0], i);
        float *whole;
        if (s->kind != TENSOR_PARAM)
            continue;
        params++;
        whole = whole_of(many, s->name);
        if (memcmp(whole, s->data, (size_t)count_of(s) * sizeof(float)) != 0)
            fail_msg("%s differs on %d x %d ranks", s->name, many->mesh.size[0], many->mesh.size[1]);
        mem_free(whole);
    }
    assert_int_equal(params, 28);
}

static void each_rank_its_share(void **state)
{
    static const int meshes[][2] = { { 1, 2 }, { 2, 1 }, { 2, 2 }, { 1, 4 } };
    struct job one, many;

    (void)state;
    for (int random = 0; random < 2; random++) {
        job_begin(&one, GOLDEN_DIR "/gpt2/heads3", 1, 1, random);
        for (size_t i = 0; i < sizeof(meshes) / sizeof(meshes[0]); i++) {
            job_begin(&many, GOLDEN_DIR "/gpt2/heads3", meshes[i][0], meshes[i][1], random);
            compare(&one, &many);
            job_end(&many);
        }
        job_end(&one);
    }
}

static void values_are_those_of_the_file(void **state)
{
    struct job j;
    const struct stored *s;
    float *expected;

    (void)state;
    job_begin(&j, plain, 1, 1, false);
    s = store_find(j.stores[0], "transformer.h.1.attn.c_attn.weight");
    expected = mem_alloc_array((size_t)count_of(s) + 1, sizeof(float));
    must(weights_read(model_source(&j.model, s->name), NULL, expected, NULL));
    assert_memory_equal(s->data, expected, (size_t)count_of(s) * sizeof(float));
    mem_free(expected);
    job_end(&j);
}

/* As the config says: normal with initializer_range, the projections into the residual stream smaller by
 * sqrt(2 L), biases 0, norms 1. */
static void random_weights_have_their_scale(void **state)
{
    static const struct {
        const char *name;
        double mean, deviation;
    } cases[] = {
        { "transformer.wte.weight", 0, 0.02 },
        { "transformer.h.0.mlp.c_fc.weight", 0, 0.02 },
        { "transformer.h.0.mlp.c_proj.weight", 0, 0.01 },
        { "transformer.h.1.attn.c_proj.weight", 0, 0.01 },
        { "transformer.h.1.attn.c_attn.bias", 0, 0 },
        { "transformer.ln_f.weight", 1, 0 },
    };
    struct job j;

    (void)state;
    job_begin(&j, plain, 1, 1, true);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct stored *s = store_find(j.stores[0], cases[i].name);
        int64_t count = count_of(s);
        double sum = 0, squares = 0;
        for (int64_t k = 0; k < count; k++) {
            sum += s->data[k];
            squares += (double)s->data[k] * s->data[k];
        }
        sum /= (double)count;
        squares = sqrt(fmax(0, squares / (double)count - sum * sum));
        assert_true(fabs(sum - cases[i].mean) <= 4 * cases[i].deviation / sqrt((double)count));
        assert_true(fabs(squares - cases[i].deviation) <= 0.1 * cases[i].deviation);
    }
    job_end(&j);
}

/* ---- saving ---- */

static void assert_same_file(const char *a, const char *b)
{
    struct str x, y;

    str_init(&x);
    str_init(&y);
    must(file_read(a, 0, &x));
    must(file_read(b, 0, &y));
    assert_int_equal(x.length, y.length);
    assert_memory_equal(x.data, y.data, x.length);
    str_release(&x);
    str_release(&y);
}

struct saving {
    struct job *job;
    const char *dir;
};

static int save_gathered(void *context, struct gather *g)
{
    const struct saving *s = context;
    size_t count;
    struct weights_param *params = gather_params(g, TENSOR_PARAM, &count);
    int status = model_save(s->dir, &s->job->model.config, params, count, &(struct model_save_options){ 0 });

    mem_free(params);
    return status;
}

static int save_rank(void *context, int rank, struct comm *comm)
{
    const struct saving *s = context;

    return gather_run(comm, s->job->stores[rank], save_gathered, context);
}

static void saved_as_transformers_saves(void **state)
{
    static const int meshes[][2] = { { 1, 1 }, { 1, 2 }, { 2, 2 } };
    char *dir = scratch_path(state, "out"), *path;
    struct str text;
    struct job j;

    for (size_t i = 0; i < sizeof(meshes) / sizeof(meshes[0]); i++) {
        job_begin(&j, plain, meshes[i][0], meshes[i][1], false);
        must(comm_local_run(&j.mesh, 1, save_rank, &(struct saving){ &j, dir }));
        job_end(&j);
        path = path_join(dir, "model.safetensors");
        assert_same_file(path, GOLDEN_DIR "/gpt2/plain/model.safetensors");
        mem_free(path);
        path = path_join(dir, "config.json");
        assert_same_file(path, GOLDEN_DIR "/gpt2/plain/config.json");
        mem_free(path);
    }
    path = path_join(dir, "generation_config.json");
    str_init(&text);
    must(file_read(path, 0, &text));
    assert_string_equal(text.data, "{\n  \"_from_model_config\": true,\n  \"bos_token_id\": 127,\n"
                                   "  \"eos_token_id\": 127,\n  \"transformers_version\": \"5.23.0\"\n}\n");
    str_release(&text);
    mem_free(path);
    mem_free(dir);
}

/* ---- what model_open takes and refuses ---- */

/* A model of its own: plain's config, and its weights changed. */
struct broken {
    const char *drop;  /* not written */
    const char *extra; /* written too, [2] */
    const char *copy; /* a copy of the token table under this name; copy_delta is added to its last element */
    float copy_delta;
    const char *reshape; /* written as one dim */
    const char *prefix;  /* of names that is left out */
    /* set on the way */
    float *table;
    const struct job *job;
    const char *dir;
};

static size_t change(const struct broken *how, const struct weights_param *params, size_t count,
                     struct weights_param *list)
{
    static const int64_t two[] = { 2 };
    static const float values[] = { 1, 2 };
    float *table = how->table;
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        struct weights_param *param = &list[n];
        *param = params[i];
        if (how->drop && strcmp(param->name, how->drop) == 0)
            continue;
        if (how->prefix && str_starts_with(param->name, how->prefix))
            param->name += strlen(how->prefix);
        if (how->reshape && strcmp(param->name, how->reshape) == 0)
            param->ndim--;
        n++;
        if (!how->copy || strcmp(params[i].name, "transformer.wte.weight") != 0)
            continue;
        memcpy(table, param->data, (size_t)(param->shape[0] * param->shape[1]) * sizeof(float));
        table[param->shape[0] * param->shape[1] - 1] += how->copy_delta;
        list[n] = *param;
        list[n].name = how->copy;
        list[n++].data = table;
    }
    if (how->extra)
        list[n++] = (struct weights_param){ .name = how->extra, .ndim = 1, .shape = two, .data = values };
    return n;
}

static int save_broken(void *context, struct gather *g)
{
    const struct broken *how = context;
    struct weights_param list[40];
    size_t count;
    struct weights_param *params = gather_params(g, TENSOR_PARAM, &count);
    int status = model_save(how->dir, &how->job->model.config, list, change(how, params, count, list),
                            &(struct model_save_options){ 0 });

    mem_free(params);
    return status;
}

static void write_broken(const char *dir, const struct broken *how)
{
    struct broken x = *how;
    struct job j;

    job_begin(&j, plain, 1, 1, false);
    x.table = mem_alloc_array(128 * 32, sizeof(float));
    x.job = &j;
    x.dir = dir;
    must(gather_run(NULL, j.stores[0], save_broken, &x));
    job_end(&j);
    mem_free(x.table);
}

static void weights_that_do_not_fit(void **state)
{
    static const struct {
        struct broken how;
        const char *message; /* NULL: it is taken */
    } cases[] = {
        { { .drop = "transformer.h.1.ln_2.bias" }, "tensor \"transformer.h.1.ln_2.bias\" missing" },
        { { .reshape = "transformer.h.0.attn.c_attn.weight" },
          "tensor \"transformer.h.0.attn.c_attn.weight\": wrong shape (found [32], expected [32,96])" },
        { { .copy = "lm_head.weight", .copy_delta = 1 },
          "tensor \"lm_head.weight\" differs from \"transformer.wte.weight\"" },
        { { .copy = "lm_head.weight" }, NULL },
        { { .extra = "transformer.h.2.ln_1.weight" }, NULL },
        { { .extra = "transformer.h.0.attn.masked_bias" }, NULL },
        { { .prefix = "transformer." }, NULL },
        { { .prefix = "transformer.", .copy = "lm_head.weight", .copy_delta = 1 },
          "differs from \"wte.weight\"" },
    };
    char *dir = scratch_path(state, "broken");
    struct model m;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_broken(dir, &cases[i].how);
        error_clear();
        if (!cases[i].message) {
            must(model_open(&m, &(struct model_options){ .name = dir }));
            model_close(&m);
            continue;
        }
        assert_int_equal(model_open(&m, &(struct model_options){ .name = dir }), ERR_DATA);
        if (!strstr(error_message(), cases[i].message) || strncmp(error_message(), dir, strlen(dir)) != 0)
            fail_msg("found    %s\nexpected %s", error_message(), cases[i].message);
    }
    mem_free(dir);
}

static void configs_and_weights_apart(void **state)
{
    struct model m;
    struct config c;
    char *directory;

    (void)state;
    error_clear();
    assert_int_equal(model_open(&m, &(struct model_options){ .name = plain, .overrides = "vocab_size=129" }),
                     ERR_DATA);
    assert_non_null(strstr(error_message(), "wrong shape (found [128,32], expected [129,32])"));
    error_clear();
    assert_int_equal(model_open(&m, &(struct model_options){ .name = plain, .overrides = "n_layer=3" }),
                     ERR_DATA);
    assert_non_null(strstr(error_message(), "tensor \"transformer.h.2.ln_1.weight\" missing"));
    error_clear();
    assert_int_equal(model_open(&m, &(struct model_options){ .config_name = "gpt2-xx" }), ERR_OPEN);
    assert_non_null(strstr(error_message(), "config \"gpt2-xx\" not found (looked in directory gpt2-xx"));
    error_clear();
    assert_int_equal(model_open(&m, &(struct model_options){ 0 }), ERR_USAGE);
    error_clear();
    must(model_open(&m, &(struct model_options){ .config_name = plain }));
    assert_string_equal(m.directory, plain);
    assert_null(model_source(&m, "transformer.wte.weight"));
    model_close(&m);
    must(model_find_config("openai-community/gpt2-xl", &(struct model_options){ 0 }, &c, &directory));
    assert_true(c.sizes.layers == 48 && !directory);
    config_release(&c);
    must(model_find_config(GOLDEN_DIR "/gpt2/plain/config.json", &(struct model_options){ 0 }, &c,
                           &directory));
    assert_string_equal(directory, plain);
    config_release(&c);
    mem_free(directory);
}

static void sizes_beyond_memory(void **state)
{
    struct config c;

    (void)state;
    must(config_preset(&c, "gpt2"));
    must(model_check_memory(&c, 4, 2e9));
    assert_int_equal(model_check_memory(&c, 4, 1.9e9), ERR_SYSTEM);
    assert_non_null(strstr(error_message(), "not enough memory for the parameters (found 1.90 GB, expected"));
    error_clear();
    must(config_override(&c, "n_embd=16777216,n_head=16,n_inner=67108864,n_layer=512"));
    assert_int_equal(model_check_memory(&c, 1, 1e12), ERR_CONFIG);
    assert_non_null(strstr(error_message(), "its elements cannot be counted"));
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rank_its_share),
        cmocka_unit_test(values_are_those_of_the_file),
        cmocka_unit_test(random_weights_have_their_scale),
        cmocka_unit_test_setup_teardown(saved_as_transformers_saves, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(weights_that_do_not_fit, scratch_create, scratch_remove),
        cmocka_unit_test(configs_and_weights_apart),
        cmocka_unit_test(sizes_beyond_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
