/* Weights as transformers saves them: the split into shards, the index, element types. */
#include "ckpt/weights_save.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/weights.h"
#include "lib/scratch.h"

static void expect_text(const char *text)
{
    if (strstr(error_message(), text) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", error_message(), text);
}

static const int64_t one[] = { 1 }, two[] = { 2 }, three[] = { 3 }, nine[] = { 9 };
static const float values[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };

/* Out of order by name; "e" alone exceeds a shard of 16 bytes. */
static const struct weights_param params[] = {
    { .name = "d", .ndim = 1, .shape = three, .data = values },
    { .name = "b", .ndim = 1, .shape = one, .data = values },
    { .name = "e", .ndim = 1, .shape = nine, .data = values },
    { .name = "a", .ndim = 1, .shape = two, .data = values },
    { .name = "c", .ndim = 1, .shape = two, .data = values },
};

static int save_params(void **state, const struct weights_param *p, size_t count,
                       const struct weights_save_options *o)
{
    struct save *s;
    struct save_options so = { .directory = *state, .name = "w" };
    error_clear();
    assert_int_equal(save_begin(&s, &so), OK);
    int status = weights_save(s, p, count, o);
    if (status == OK)
        assert_int_equal(save_install(s), OK);
    else
        save_abort(s);
    return status;
}

static void expect_content(void **state, const char *name, const char *text)
{
    char *path = scratch_path(state, name);
    struct str s;
    str_init(&s);
    assert_int_equal(file_read(path, 0, &s), OK);
    assert_string_equal(s.data, text);
    str_release(&s);
    mem_free(path);
}

/* The bytes of safetensors 0.8's save_file({...}, metadata={"format": "pt"}). */
static void writes_one_file_sorted_by_name(void **state)
{
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                                 "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]},"
                                 "\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]},"
                                 "\"d\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[20,32]},"
                                 "\"e\":{\"dtype\":\"F32\",\"shape\":[9],\"data_offsets\":[32,68]}}";
    struct str s;
    char *path = scratch_path(state, "model.safetensors");
    assert_int_equal(
        save_params(state, params, 5, &(struct weights_save_options){ .tag = "not in one file" }), OK);
    str_init(&s);
    assert_int_equal(file_read(path, 0, &s), OK);
    assert_memory_equal(s.data + 8, header, strlen(header));
    assert_int_equal(s.length, 8 + (strlen(header) + 7) / 8 * 8 + 68);
    assert_true(s.length <= weights_save_bytes(params, 5, &(struct weights_save_options){ 0 }));
    str_release(&s);
    mem_free(path);
}

/* With a limit of 16 bytes: d and b fill one, e has its own and is closed before it, a and c the last. */
static void splits_as_transformers_does(void **state)
{
    static const char index[] = "{\n"
                                "  \"metadata\": {\n"
                                "    \"total_parameters\": 17,\n"
                                "    \"total_size\": 68\n"
                                "  },\n"
                                "  \"weight_map\": {\n"
                                "    \"a\": \"model-00003-of-00003.safetensors\",\n"
                                "    \"b\": \"model-00002-of-00003.safetensors\",\n"
                                "    \"c\": \"model-00003-of-00003.safetensors\",\n"
                                "    \"d\": \"model-00002-of-00003.safetensors\",\n"
                                "    \"e\": \"model-00001-of-00003.safetensors\"\n"
                                "  }\n"
                                "}\n";
    struct weights w;
    float out[9];
    struct weights_save_options o = { .max_shard_bytes = 16, .tag = "step 5" };
    assert_int_equal(save_params(state, params, 5, &o), OK);
    expect_content(state, "model.safetensors.index.json", index);
    assert_int_equal(weights_open(&w, *state), OK);
    assert_int_equal(w.file_count, 3);
    for (size_t f = 0; f < 3; f++) {
        assert_string_equal(safetensors_metadata(&w.files[f].safetensors, "format"), "pt");
        assert_string_equal(w.files[f].tag, "step 5");
    }
    assert_int_equal(weights_read(weights_find(&w, "e", NULL), NULL, out, NULL), OK);
    assert_memory_equal(out, values, sizeof(out));
    weights_close(&w);

    /* a later save in one file: the shards are gone */
    assert_int_equal(save_params(state, params, 5, &(struct weights_save_options){ 0 }), OK);
    char *old = scratch_path(state, "model-00001-of-00003.safetensors");
    assert_false(file_exists(old));
    mem_free(old);
}

static int read_large(const struct weights_param *p, int64_t first, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(first + i);
    return first + count > *(const int64_t *)p->context ? (fail)(ERR_IO, "no more") : OK;
}

static void reads_through_a_function(void **state)
{
    static const int64_t shape[] = { 3, 200000 };
    int64_t limit = 600000;
    struct weights w;
    struct weights_param p = {
        .name = "w", .ndim = 2, .shape = shape, .read = read_large, .context = &limit
    };
    assert_int_equal(save_params(state, &p, 1, &(struct weights_save_options){ 0 }), OK);
    float *out = mem_alloc_array(600000, sizeof(*out));
    assert_int_equal(weights_open(&w, *state), OK);
    assert_int_equal(weights_read(weights_find(&w, "w", NULL), NULL, out, NULL), OK);
    for (int i = 0; i < 600000; i++)
        assert_true(out[i] == (float)i);
    weights_close(&w);
    mem_free(out);
    limit = 500000;
    assert_int_equal(save_params(state, &p, 1, &(struct weights_save_options){ 0 }), ERR_IO);
    error_clear();
}

static void converts_to_the_type_asked_for(void **state)
{
    static const float large[] = { 1, 70000 };
    struct weights_param p = { .name = "w", .ndim = 1, .shape = two, .data = large };
    struct weights w;
    assert_int_equal(save_params(state, &p, 1, &(struct weights_save_options){ .dtype = "bfloat16" }), OK);
    assert_int_equal(weights_open(&w, *state), OK);
    assert_string_equal(w.tensors[0].info->element->name, "BF16");
    weights_close(&w);
    assert_int_equal(save_params(state, &p, 1, &(struct weights_save_options){ .dtype = "F16" }), ERR_DATA);
    expect_text("model.safetensors: tensor \"w\": a value is too large for F16");
    assert_int_equal(save_params(state, &p, 1, &(struct weights_save_options){ .dtype = "int8" }),
                     ERR_CONFIG);
    expect_text("weights cannot be saved as \"int8\" (expected float32, bfloat16 or float16)");
    error_clear();
    assert_string_equal(weights_save_dtype("torch.float16"), "F16");
    assert_null(weights_save_dtype("F64"));
}

static void saves_nothing_as_an_empty_file(void **state)
{
    struct weights w;
    assert_int_equal(save_params(state, NULL, 0, &(struct weights_save_options){ 0 }), OK);
    assert_int_equal(weights_open(&w, *state), OK);
    assert_int_equal(w.count, 0);
    weights_close(&w);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_create, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(writes_one_file_sorted_by_name), IN_SCRATCH(splits_as_transformers_does),
        IN_SCRATCH(reads_through_a_function),       IN_SCRATCH(converts_to_the_type_asked_for),
        IN_SCRATCH(saves_nothing_as_an_empty_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
