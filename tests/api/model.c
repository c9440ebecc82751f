/* Models through the library: opened, made, saved, asked; forward and gradients are those of the goldens. */
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

    must(plait_model_save(m, within(state, "copy", &p), NULL, NULL));
    must(plait_model_open(p.text, NULL, &again));
    compare_params(m, again, true);
    refused(plait_model_save(m, within(state, "other", &p), "int7", NULL), PLAIT_ERROR_CONFIG, "int7");
    plait_model_free(m);
    plait_model_free(again);
}

static void makes_models_from_a_seed(void **state)
{
    struct plait_model_options o;
    struct plait_model *m, *same, *other, *saved;
    struct path p;

    must(plait_model_options_init(&o, sizeof(o)));
    o.overrides = "n_layer=1,n_embd=16,n_head=2,vocab_size=50,n_positions=8";
    o.seed = 5;
    must(plait_model_create("gpt2", &o, &m));
    must(plait_model_create("gpt2", &o, &same));
    o.seed = 6;
    must(plait_model_create("gpt2", &o, &other));
    assert_int_equal(plait_model_layer_count(m), 1);
    assert_null(plait_model_directory(m));
    compare_params(m, same, true);
    compare_params(m, other, false);
    must(plait_model_save(m, within(state, "model", &p), NULL, NULL));
    must(plait_model_open(p.text, NULL, &saved));
    compare_params(m, saved, true);
    o.seed = -1;
    refused(plait_model_create("gpt2", &o, &m), PLAIT_ERROR_USAGE, "seed");
    plait_model_free(m);
    plait_model_free(same);
    plait_model_free(other);
    plait_model_free(saved);
}

/* ---- forward ---- */

struct run {
    struct plait_model *m;
    struct plait_forward_inputs in;
    struct plait_forward_outputs out;
    int32_t *ids, *mask, *positions, *labels;
    char expected[512];
};

static void run_open(struct run *r, const char *name)
{
    char inputs[512];
    int64_t count = 0, batch = 1;

    r->m = open_golden(name);
    snprintf(inputs, sizeof(inputs), GOLDEN_DIR "/gpt2/%s/inputs.safetensors", name);
    snprintf(r->expected, sizeof(r->expected), GOLDEN_DIR "/gpt2/%s/expected.safetensors", name);
    must(plait_forward_inputs_init(&r->in, sizeof(r->in)));
    must(plait_forward_outputs_init(&r->out, sizeof(r->out)));
    r->labels = read_ints(inputs, "labels", &batch, &count);
    r->mask = read_ints(inputs, "attention_mask", &batch, &count);
    r->positions = read_ints(inputs, "position_ids", &batch, &count);
    r->ids = read_ints(inputs, "input_ids", &batch, &count);
    r->in.batch = batch;
    r->in.length = count / batch;
    r->in.ids = r->ids;
    r->in.labels = r->labels;
    r->in.attention_mask = r->mask;
    r->in.position_ids = r->positions;
    r->out.logits_count = count * plait_model_vocab_size(r->m);
    r->out.logits = malloc((size_t)r->out.logits_count * sizeof(float));
}

static void run_close(struct run *r)
{
    plait_model_free(r->m);
    free(r->out.logits);
    free(r->ids);
    free(r->labels);
    free(r->mask);
    free(r->positions);
}

static void compare_gradients(struct run *r)
{
    for (int64_t i = 0; i < plait_model_param_count(r->m); i++) {
        const char *name = plait_model_param_name(r->m, i);
        char key[200];
        size_t bytes;
        float *values, *expected;
        int64_t count, rows;
        snprintf(key, sizeof(key), "grad.%s", name);
        expected = read_tensor(r->expected, key, &bytes, &rows);
        assert_non_null(expected);
        read_param(r->m, name, &values, &count);
        must(plait_model_gradient_read(r->m, name, values, count));
        assert_int_equal((size_t)count * sizeof(float), bytes);
        if (difference(values, expected, count) > 1e-3)
            fail_msg("%s: gradient differs by %g", name, difference(values, expected, count));
        free(values);
        free(expected);
    }
}

static void check_case(const char *name)
{
    struct run r;
    size_t bytes;
    float *logits, *loss;
    double with_logits;
    int64_t rows;

    run_open(&r, name);
    logits = read_tensor(r.expected, "logits", &bytes, &rows);
    loss = read_tensor(r.expected, "loss", &bytes, &rows);
    must(plait_model_forward(r.m, &r.in, &r.out));
    if (difference(r.out.logits, logits, r.out.logits_count) > 2e-5)
        fail_msg("%s: logits differ by %g", name, difference(r.out.logits, logits, r.out.logits_count));
    if (loss) {
        assert_true(fabs(r.out.loss - *loss) <= 2e-5 * fabs(*loss));
        with_logits = r.out.loss;
        r.in.gradients = 1;
        must(plait_model_forward(r.m, &r.in, &r.out));
        compare_gradients(&r);
        r.in.gradients = 0;
        free(r.out.logits);
        r.out.logits = NULL;
        must(plait_model_forward(r.m, &r.in, &r.out));
        assert_true(fabs(r.out.loss - with_logits) <= 1e-6 * with_logits);
    } else {
        assert_true(isnan(r.out.loss));
    }
    free(logits);
    free(loss);
    run_close(&r);
}

static void forward_is_transformers(void **state)
{
    (void)state;
    check_case("plain");
    check_case("pad_left");
    check_case("pad_right");
    check_case("mask_hole");
    check_case("position_ids");
    check_case("untied");
}

/* One sample alone and many more than go through at once, on one handle: a sample's logits are its own. */
static void batches_of_any_size(void **state)
{
    enum { MANY = 230 };
    struct run r;
    float *alone, *all;
    int32_t *ids;
    int64_t row;

    (void)state;
    run_open(&r, "plain");
    row = r.in.length * plait_model_vocab_size(r.m);
    alone = malloc((size_t)row * sizeof(float));
    all = malloc((size_t)(MANY * row) * sizeof(float));
    ids = malloc((size_t)(MANY * r.in.length) * sizeof(ids[0]));
    for (int64_t i = 0; i < MANY; i++)
        memcpy(ids + i * r.in.length, r.ids + (i == MANY - 2 ? 1 : 0) * r.in.length,
               (size_t)r.in.length * sizeof(ids[0]));
    free(r.out.logits);
    r.in.labels = NULL;
    r.in.batch = 1;
    r.in.ids = r.ids + r.in.length;
    r.out.logits = alone;
    r.out.logits_count = row;
    must(plait_model_forward(r.m, &r.in, &r.out));
    r.in.batch = MANY;
    r.in.ids = ids;
    r.out.logits = all;
    r.out.logits_count = MANY * row;
    must(plait_model_forward(r.m, &r.in, &r.out));
    assert_true(difference(all + (MANY - 2) * row, alone, row) < 1e-6);
    assert_true(difference(all, alone, row) > 1e-2);
    free(alone);
    free(ids);
    run_close(&r);
}

/* ---- misuse ---- */

static void forward_refuses(void **state)
{
    struct run r;
    int32_t *bad;

    (void)state;
    run_open(&r, "plain");
    bad = malloc((size_t)(3 * r.in.length) * sizeof(bad[0]));
    memcpy(bad, r.ids, (size_t)(3 * r.in.length) * sizeof(bad[0]));
    refused(plait_model_forward(NULL, &r.in, &r.out), PLAIT_ERROR_USAGE, "m is NULL");
    refused(plait_model_forward(r.m, NULL, &r.out), PLAIT_ERROR_USAGE, "in is NULL");
    refused(plait_model_forward(r.m, &r.in, NULL), PLAIT_ERROR_USAGE, "out is NULL");
    r.in.size = 3;
    refused(plait_model_forward(r.m, &r.in, &r.out), PLAIT_ERROR_USAGE, "wrong size");
    r.in.size = sizeof(r.in) + 8;
    refused(plait_model_forward(r.m, &r.in, &r.out), PLAIT_ERROR_USAGE, "wrong size");
    assert_non_null(strstr(plait_error_hint(), "newer plait.h"));
    r.in.size = sizeof(r.in);
    r.out.logits_count--;
    refused(plait_model_forward(r.m, &r.in, &r.out), PLAIT_ERROR_USAGE, "wrong logits_count");
    r.out.logits_count++;
    bad[5] = 128;
    r.in.ids = bad;
    refused(plait_model_forward(r.m, &r.in, &r.out), PLAIT_ERROR_DATA, "found 128, expected 0 to 127");
    r.in.ids = NULL;
    refused(plait_model_forward(r.m, &r.in, &r.out), PLAIT_ERROR_USAGE, "ids is NULL");
    r.in.ids = r.ids;
    bad[5] = -101;
    r.in.labels = bad;
    refused(plait_model_forward(r.m, &r.in, &r.out), PLAIT_ERROR_DATA, "labels");
    r.in.labels = NULL;
    r.in.gradients = 1;
    refused(plait_model_forward(r.m, &r.in, &r.out), PLAIT_ERROR_USAGE, "no gradients without labels");
    r.in.gradients = 0;
    r.in.batch = INT64_MAX / 2;
    refused(plait_model_forward(r.m, &r.in, &r.out), PLAIT_ERROR_USAGE, "cannot be");
    r.in.batch = 1;
    r.in.length = 65;
    refused(plait_model_forward(r.m, &r.in, &r.out), PLAIT_ERROR_USAGE, "found 65, expected at most 64");
    free(bad);
    run_close(&r);
}

static void models_refuse(void **state)
{
    struct plait_model *m = NULL;
    struct plait_model_options o;
    struct path p;

    refused(plait_model_open(NULL, NULL, &m), PLAIT_ERROR_USAGE, "name is NULL");
    refused(plait_model_open(PLAIN, NULL, NULL), PLAIT_ERROR_USAGE, "out is NULL");
    refused(plait_model_open(within(state, "nowhere", &p), NULL, &m), PLAIT_ERROR_OPEN, "nowhere");
    refused(plait_model_create("gpt7", NULL, &m), PLAIT_ERROR_OPEN, "gpt7");
    assert_null(m);
    refused(plait_model_options_init(NULL, sizeof(o)), PLAIT_ERROR_USAGE, "NULL");
    refused(plait_model_options_init(&o, 4), PLAIT_ERROR_USAGE, "wrong size (found 4");
    memset(&o, 0, sizeof(o));
    refused(plait_model_open(PLAIN, &o, &m), PLAIT_ERROR_USAGE, "wrong size (found 0");
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
        cmocka_unit_test_setup_teardown(makes_models_from_a_seed, scratch_begin, scratch_end),
        cmocka_unit_test(forward_is_transformers),
        cmocka_unit_test(batches_of_any_size),
        cmocka_unit_test(forward_refuses),
        cmocka_unit_test_setup_teardown(models_refuse, scratch_begin, scratch_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
