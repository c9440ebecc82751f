/* Models through the library: opened, made, saved, asked. */
#include <unistd.h>

#include "support.h"

#define PLAIN GOLDEN_DIR "/gpt2/plain"

static struct plait_model *open_golden(const char *name)
{
    struct plait_model *m = NULL;
    char path[512];

    snprintf(path, sizeof(path), GOLDEN_DIR "/gpt2/%s", name);
    must(plait_model_open(path, NULL, &m));
    return m;
}

/* ---- facts ---- */

static void facts(void **state)
{
    struct plait_model *m = open_golden("plain");
    int64_t dims[2] = { 0, 0 };
    float values[96];

    (void)state;
    assert_string_equal(plait_version(), "0.1.0");
    assert_string_equal(plait_model_type(m), "gpt2");
    assert_string_equal(plait_model_class(m), "GPT2LMHeadModel");
    assert_int_equal(plait_model_vocab_size(m), 128);
    assert_int_equal(plait_model_max_length(m), 64);
    assert_int_equal(plait_model_width(m), 32);
    assert_int_equal(plait_model_layer_count(m), 2);
    assert_string_equal(plait_model_directory(m), PLAIN);
    assert_string_equal(plait_model_config(m, "n_head"), "4");
    assert_null(plait_model_config(m, "no_such_key"));
    assert_int_equal(plait_model_param_count(m), 28);
    assert_string_equal(plait_model_param_name(m, 0), "transformer.wte.weight");
    assert_null(plait_model_param_name(m, 28));
    assert_int_equal(plait_model_param_shape(m, 0, dims, 2), 2);
    assert_int_equal(dims[0], 128);
    assert_int_equal(dims[1], 32);
    assert_int_equal(plait_model_param_shape(m, -1, NULL, 0), -1);
    refused(plait_model_param_read(m, "no.such", values, 96), PLAIT_ERROR_USAGE, "no such parameter");
    refused(plait_model_param_read(m, "transformer.h.0.attn.c_attn.bias", values, 95), PLAIT_ERROR_USAGE,
            "found room for 95, expected 96");
    refused(plait_model_gradient_read(m, "transformer.h.0.attn.c_attn.bias", values, 96), PLAIT_ERROR_USAGE,
            "there is no gradient");
    plait_model_free(m);
}

static void read_param(struct plait_model *m, const char *name, float **values, int64_t *count)
{
    int64_t dims[6], i = 0;
    int ndim;

    while (plait_model_param_name(m, i) && strcmp(plait_model_param_name(m, i), name) != 0)
        i++;
    ndim = plait_model_param_shape(m, i, dims, 6);
    assert_true(ndim > 0);
    *count = 1;
    for (int d = 0; d < ndim; d++)
        *count *= dims[d];
    *values = malloc((size_t)*count * sizeof(float));
    must(plait_model_param_read(m, name, *values, *count));
}

static void compare_params(struct plait_model *a, struct plait_model *b, bool same)
{
    for (int64_t i = 0; i < plait_model_param_count(a); i++) {
        float *x, *y;
        int64_t n, k;
        read_param(a, plait_model_param_name(a, i), &x, &n);
        read_param(b, plait_model_param_name(a, i), &y, &k);
        assert_int_equal(n, k);
        if (same)
            assert_memory_equal(x, y, (size_t)n * sizeof(float));
        else if (strstr(plait_model_param_name(a, i), "wte"))
            assert_memory_not_equal(x, y, (size_t)n * sizeof(float));
        free(x);
        free(y);
    }
}

static void saves_what_it_opened(void **state)
{
    struct plait_model *m = open_golden("plain"), *again;
    struct path p;

    must(plait_model_save(m, within(state, "copy", &p), NULL));
    must(plait_model_open(p.text, NULL, &again));
    compare_params(m, again, true);
    refused(plait_model_save(m, within(state, "other", &p), (const char *[]){ "save_dtype", "int7", NULL }),
            PLAIT_ERROR_USAGE, "int7");
    plait_model_free(m);
    plait_model_free(again);
}

/* In the pieces of the layout that it was opened for; they open on another one, and are made whole. */
static void saves_in_pieces(void **state)
{
    const char *two[] = { "tensor_parallel_size", "2", NULL }, *sharded[] = { "save_sharded", "true", NULL };
    struct plait_model *m, *again, *whole;
    struct path pieces, merged, one;

    must(plait_model_open(GOLDEN_DIR "/gpt2/plain", two, &m));
    must(plait_model_save(m, within(state, "pieces", &pieces), sharded));
    assert_int_equal(access(within(state, "pieces/model_tp_1_pp_0.safetensors", &one), F_OK), 0);
    assert_int_not_equal(access(within(state, "pieces/model.safetensors", &one), F_OK), 0);
    must(plait_model_open(pieces.text, NULL, &again));
    compare_params(m, again, true);
    must(plait_checkpoint_merge(pieces.text, within(state, "merged", &merged), NULL));
    assert_int_equal(access(within(state, "merged/model.safetensors", &one), F_OK), 0);
    must(plait_model_open(merged.text, NULL, &whole));
    compare_params(m, whole, true);
    plait_model_free(m);
    plait_model_free(again);
    plait_model_free(whole);
}

/* As `plait init` does. */
static void saves_with_another_vocabulary(void **state)
{
    const char *wider[] = { "vocab_size", "131", "new_rows", "mean", NULL };
    struct plait_model *m = open_golden("plain"), *again;
    int64_t count, rows;
    float *old, *new;
    struct path p;

    must(plait_model_save(m, within(state, "wider", &p), wider));
    must(plait_model_open(p.text, NULL, &again));
    assert_int_equal(plait_model_vocab_size(again), 131);
    assert_int_equal(plait_model_vocab_size(m), 128);
    read_param(m, "transformer.wte.weight", &old, &rows);
    read_param(again, "transformer.wte.weight", &new, &count);
    assert_int_equal(count, rows + 3 * plait_model_width(m));
    assert_memory_equal(old, new, (size_t)rows * sizeof(float));
    assert_memory_equal(new + rows, new + rows + plait_model_width(m),
                        (size_t)plait_model_width(m) * sizeof(float));
    free(old);
    free(new);
    plait_model_free(m);
    plait_model_free(again);
}

static void makes_models_from_a_seed(void **state)
{
    const char *o[] = { "config_overrides", "n_layer=1,n_embd=16,n_head=2,vocab_size=50,n_positions=8",
                        "seed", "5", NULL };
    struct plait_model *m, *same, *other, *saved;
    struct path p;

    must(plait_model_create("gpt2", o, &m));
    must(plait_model_create("gpt2", o, &same));
    o[3] = "6";
    must(plait_model_create("gpt2", o, &other));
    assert_int_equal(plait_model_layer_count(m), 1);
    assert_null(plait_model_directory(m));
    compare_params(m, same, true);
    compare_params(m, other, false);
    must(plait_model_save(m, within(state, "model", &p), NULL));
    must(plait_model_open(p.text, NULL, &saved));
    compare_params(m, saved, true);
    o[3] = "-1";
    refused(plait_model_create("gpt2", o, &m), PLAIT_ERROR_USAGE, "seed");
    plait_model_free(m);
    plait_model_free(same);
    plait_model_free(other);
    plait_model_free(saved);
}

/* ---- misuse ---- */

static void models_refuse(void **state)
{
    struct plait_model *m = NULL;
    struct path p;

    refused(plait_model_open(NULL, NULL, &m), PLAIT_ERROR_USAGE, "name is NULL");
    refused(plait_model_open(PLAIN, NULL, NULL), PLAIT_ERROR_USAGE, "out is NULL");
    refused(plait_model_open(within(state, "nowhere", &p), NULL, &m), PLAIT_ERROR_OPEN, "nowhere");
    refused(plait_model_create("gpt7", NULL, &m), PLAIT_ERROR_OPEN, "gpt7");
    assert_null(m);
    refused(plait_model_open(PLAIN, (const char *[]){ "dtipe", "x", NULL }, &m), PLAIT_ERROR_USAGE,
            "did you mean --dtype?");
    refused(plait_model_open(PLAIN, (const char *[]){ "dtype", NULL }, &m), PLAIT_ERROR_USAGE, "no value");
    refused(plait_model_open(PLAIN, (const char *[]){ "dtype", "float16", NULL }, &m), PLAIT_ERROR_CONFIG,
            "float16");
    refused(plait_model_open(PLAIN, (const char *[]){ "device", "cuda", NULL }, &m), PLAIT_ERROR_CONFIG,
            "without CUDA");
    refused(plait_model_create(PLAIN, (const char *[]){ "config_name", "gpt2", NULL }, &m), PLAIT_ERROR_USAGE,
            "two configs");
    assert_int_equal(plait_model_param_count(NULL), -1);
    assert_null(plait_model_type(NULL));
    assert_int_equal(plait_model_vocab_size(NULL), 0);
    assert_null(plait_model_param_name(NULL, 0));
    plait_model_free(NULL);
    refused(plait_log_set(9), PLAIT_ERROR_USAGE, "level");
    refused(plait_threads_set(0), PLAIT_ERROR_USAGE, "threads");
    must(plait_threads_set(2));
    assert_int_equal(plait_threads_get(), 2);
    assert_string_equal(plait_error(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts),
        cmocka_unit_test_setup_teardown(saves_what_it_opened, scratch_begin, scratch_end),
        cmocka_unit_test_setup_teardown(saves_in_pieces, scratch_begin, scratch_end),
        cmocka_unit_test_setup_teardown(saves_with_another_vocabulary, scratch_begin, scratch_end),
        cmocka_unit_test_setup_teardown(makes_models_from_a_seed, scratch_begin, scratch_end),
        cmocka_unit_test_setup_teardown(models_refuse, scratch_begin, scratch_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
