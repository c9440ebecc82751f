/* Forward through the library: every stored case of all families and heads is as transformers has it, given
 * under the names of its arguments; on several ranks the same; wrong inputs are refused by name. */
#include "support.h"

#define PLAIN GOLDEN_DIR "/gpt2/plain"

struct run {
    struct plait_model *m;
    struct tensors in, expected;
};

static void run_open(struct run *r, const char *family, const char *name, const char *const *options)
{
    char path[512];

    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/%s", family, name);
    must(plait_model_open(path, options, &r->m));
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/%s/inputs.safetensors", family, name);
    tensors_read(&r->in, path);
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/%s/expected.safetensors", family, name);
    tensors_read(&r->expected, path);
}

static void run_close(struct run *r)
{
    tensors_release(&r->in);
    tensors_release(&r->expected);
    plait_model_free(r->m);
}

/* ---- against transformers ---- */

/* Some gradients are zero but for rounding. */
static bool are_small(const float *a, const float *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (fabsf(a[i]) > 1e-6f || fabsf(b[i]) > 1e-6f)
            return false;
    return true;
}

static void compare_gradient(struct run *r, const struct plait_array *expected, const char *where)
{
    int64_t count = elements(expected);
    float *values = malloc((size_t)count * sizeof(float));

    must(plait_model_gradient_read(r->m, expected->name + strlen("grad."), values, count));
    if (!are_small(values, expected->data, count) && difference(values, expected->data, count) > 1e-3)
        fail_msg("%s: %s differs by %g", where, expected->name, difference(values, expected->data, count));
    free(values);
}

static void compare_output(struct run *r, const struct plait_array *expected, const char *where)
{
    const struct plait_array found = output(r->m, expected->name);

    assert_int_equal(elements(&found), elements(expected));
    if (strcmp(found.name, "loss") != 0)
        assert_memory_equal(found.shape, expected->shape, (size_t)found.ndim * sizeof(found.shape[0]));
    if (difference(found.data, expected->data, elements(&found)) > 2e-5)
        fail_msg("%s: %s differs by %g", where, found.name,
                 difference(found.data, expected->data, elements(&found)));
}

static void compare(struct run *r, const char *where)
{
    for (int64_t i = 0; i < r->expected.count; i++) {
        const struct plait_array *x = &r->expected.list[i];
        if (strncmp(x->name, "grad.", 5) == 0)
            compare_gradient(r, x, where);
        else
            compare_output(r, x, where);
    }
}

static void check_case(const char *family, const char *name, const char *const *options)
{
    struct run r;
    char where[200];
    float loss;

    snprintf(where, sizeof(where), "%s/%s", family, name);
    run_open(&r, family, name, options);
    if (!tensors_find(&r.expected, "loss")) {
        must(plait_model_forward(r.m, r.in.list, r.in.count, PLAIT_LOGITS, NULL));
        compare(&r, where);
    } else {
        must(plait_model_forward(r.m, r.in.list, r.in.count, PLAIT_LOGITS | PLAIT_GRADIENTS, NULL));
        compare(&r, where);
        loss = loss_of(r.m);
        must(plait_model_forward(r.m, r.in.list, r.in.count, 0, NULL));
        assert_true(isnan(loss) || fabsf(loss_of(r.m) - loss) <= 1e-5f * fabsf(loss));
    }
    run_close(&r);
}

static void forward_is_transformers(void **state)
{
    static const char *const families[] = { "gpt2",          "gpt2_heads", "gpt_neo",
                                            "gpt_neo_heads", "llama",      "llama_heads",
                                            "bert",          "roberta",    "t5" };

    (void)state;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        char path[512], *cases, *end;
        size_t length;
        snprintf(path, sizeof(path), GOLDEN_DIR "/%s/cases.txt", families[i]);
        cases = read_bytes(path, &length);
        for (char *name = cases; (end = strchr(name, '\n')) != NULL; name = end + 1) {
            *end = '\0';
            check_case(families[i], name, NULL);
        }
        free(cases);
    }
}

static void ranks_change_nothing(void **state)
{
    static const char *const cases[][2] = { { "gpt2", "plain" },
                                            { "gpt2", "heads3" },
                                            { "bert", "padded" },
                                            { "llama_heads", "class" },
                                            { "t5", "plain" } };

    (void)state;
    for (int i = 0; i < 5; i++) {
        check_case(cases[i][0], cases[i][1], (const char *[]){ "tensor_parallel_size", "2", NULL });
        check_case(cases[i][0], cases[i][1], (const char *[]){ "data_parallel_size", "2", NULL });
        check_case(cases[i][0], cases[i][1], (const char *[]){ "pipeline_parallel_size", "2", NULL });
    }
}

/* One sample alone and many more than go through at once, on one handle: a sample's logits are its own. */
static void batches_of_any_size(void **state)
{
    enum { MANY = 230 };
    struct plait_array in, logits;
    const int64_t *ids;
    struct run r;
    int32_t *many;
    int64_t length, row;
    float *alone;

    (void)state;
    run_open(&r, "gpt2", "plain", NULL);
    ids = tensors_find(&r.in, "input_ids")->data;
    length = tensors_find(&r.in, "input_ids")->shape[1];
    row = length * plait_model_vocab_size(r.m);
    many = malloc((size_t)(MANY * length) * sizeof(many[0]));
    alone = malloc((size_t)row * sizeof(float));
    for (int64_t i = 0; i < MANY * length; i++)
        many[i] = (int32_t)ids[(i / length == MANY - 2 ? length : 0) + i % length];
    in = ints("input_ids", many + (MANY - 2) * length, 1, length);
    must(plait_model_forward(r.m, &in, 1, PLAIT_LOGITS, NULL));
    memcpy(alone, output(r.m, "logits").data, (size_t)row * sizeof(float));
    in = ints("input_ids", many, MANY, length);
    must(plait_model_forward(r.m, &in, 1, PLAIT_LOGITS, NULL));
    logits = output(r.m, "logits");
    assert_true(difference((const float *)logits.data + (MANY - 2) * row, alone, row) < 1e-6);
    assert_true(difference(logits.data, alone, row) > 1e-2);
    refused(plait_model_output(r.m, "loss", &in), PLAIT_ERROR_USAGE, "no such thing");
    assert_int_equal(*(const int64_t *)output(r.m, "label_count").data, 0);
    free(many);
    free(alone);
    run_close(&r);
}

/* ---- misuse ---- */

static int forward(struct plait_model *m, const struct plait_array *a)
{
    return plait_model_forward(m, a, 1, PLAIT_LOGITS, NULL);
}

static void arrays_that_cannot_be(void **state)
{
    static const int32_t ids[] = { 1, 2, 3, 128 };
    struct plait_array a = ints("input_ids", ids, 1, 3), out;
    const struct plait_array twice[] = { a, a };
    struct plait_model *m;

    (void)state;
    must(plait_model_open(PLAIN, NULL, &m));
    refused(plait_model_output(m, "logits", &out), PLAIT_ERROR_USAGE, "no such thing");
    refused(plait_model_forward(NULL, &a, 1, 1, NULL), PLAIT_ERROR_USAGE, "m is NULL");
    refused(plait_model_forward(m, NULL, 1, 1, NULL), PLAIT_ERROR_USAGE, "inputs is NULL");
    refused(plait_model_forward(m, &a, 0, 1, NULL), PLAIT_ERROR_USAGE, "number of arrays");
    refused(plait_model_forward(m, twice, 2, 1, NULL), PLAIT_ERROR_USAGE, "there twice");
    refused(plait_model_forward(m, &a, 1, 8, NULL), PLAIT_ERROR_USAGE, "found 8");
    refused(plait_model_forward(m, &a, 1, 0, NULL), PLAIT_ERROR_USAGE, "nothing is wanted");
    refused(plait_model_forward(m, &a, 1, PLAIT_GRADIENTS, NULL), PLAIT_ERROR_USAGE, "without labels");
    a.type = 7;
    refused(forward(m, &a), PLAIT_ERROR_USAGE, "no such type");
    a.type = PLAIT_FLOAT32;
    refused(forward(m, &a), PLAIT_ERROR_DATA, "float32, expected integers");
    a.type = PLAIT_INT32;
    a.ndim = 5;
    refused(forward(m, &a), PLAIT_ERROR_USAGE, "number of dims");
    a.ndim = 1;
    refused(forward(m, &a), PLAIT_ERROR_DATA, "found 1, expected 2");
    a.ndim = 2;
    a.shape[0] = -1;
    refused(forward(m, &a), PLAIT_ERROR_USAGE, "dim 0");
    a.shape[0] = INT64_MAX / 16;
    refused(forward(m, &a), PLAIT_ERROR_USAGE, "dim 1");
    a.shape[0] = 0;
    refused(forward(m, &a), PLAIT_ERROR_DATA, "number of tokens");
    a.shape[0] = 1;
    a.data = NULL;
    refused(forward(m, &a), PLAIT_ERROR_USAGE, "data is NULL");
    a.data = ids;
    a.name = "";
    refused(forward(m, &a), PLAIT_ERROR_USAGE, "no name");
    a.name = "labels";
    refused(forward(m, &a), PLAIT_ERROR_DATA, "\"input_ids\" missing");
    plait_model_free(m);
}

static void inputs_the_model_has_not(void **state)
{
    static const int32_t ids[] = { 1, 2, 3, 128 }, bad_labels[] = { 1, -101, 3 };
    int32_t many[65] = { 0 };
    struct plait_array in[] = { ints("input_ids", ids, 1, 3), ints("token_type_ids", ids, 1, 3) };
    struct plait_model *m;

    (void)state;
    must(plait_model_open(PLAIN, NULL, &m));
    refused(plait_model_forward(m, in, 2, 1, NULL), PLAIT_ERROR_DATA, "\"token_type_ids\": no input of gpt2");
    in[1] = ints("labels", bad_labels, 1, 3);
    refused(plait_model_forward(m, in, 2, 1, NULL), PLAIT_ERROR_DATA, "found -101");
    in[1] = ints("attention_mask", ids, 3, 1);
    refused(plait_model_forward(m, in, 2, 1, NULL), PLAIT_ERROR_DATA, "wrong shape (found [3, 1]");
    in[0] = ints("input_ids", ids, 1, 4);
    refused(forward(m, in), PLAIT_ERROR_DATA, "found 128, expected 0 to 127");
    in[0] = ints("input_ids", many, 1, 65);
    refused(forward(m, in), PLAIT_ERROR_USAGE, "found 65, expected at most 64");
    plait_model_free(m);
    must(plait_model_open(GOLDEN_DIR "/t5/plain", NULL, &m));
    in[0] = ints("input_ids", ids, 1, 3);
    refused(forward(m, in), PLAIT_ERROR_DATA, "decoder_input_ids");
    plait_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_transformers),  cmocka_unit_test(ranks_change_nothing),
        cmocka_unit_test(batches_of_any_size),      cmocka_unit_test(arrays_that_cannot_be),
        cmocka_unit_test(inputs_the_model_has_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
