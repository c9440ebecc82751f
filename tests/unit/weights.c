/* Weights of a model directory: one file, shards, malformed indices, names, parts of tensors. */
#include "ckpt/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "lib/child.h"
#include "lib/scratch.h"

static void expect_text(const char *text)
{
    if (strstr(error_message(), text) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", error_message(), text);
}

static void put(void **state, const char *name, const char *text)
{
    char *path = scratch_path(state, name);
    scratch_put(path, text, strlen(text));
    mem_free(path);
}

/* A file with F32 tensors [2,3] of these names (separated by spaces), values 0, 1, 2, ... */
static void put_weights(void **state, const char *file, const char *names, const char *tag)
{
    static const int64_t shape[] = { 2, 3 };
    static const float values[] = { 0, 1, 2, 3, 4, 5 };
    char *path = scratch_path(state, file);
    struct file_sink f;
    struct safetensors_writer w;
    assert_int_equal(file_sink_begin(&f, path), OK);
    safetensors_writer_init(&w, &f.sink);
    if (tag != NULL)
        safetensors_writer_metadata(&w, WEIGHTS_SAVE_KEY, tag);
    size_t count = 0;
    for (const char *p = names; *p != '\0'; count++) {
        const char *end = strchr(p, ' ') != NULL ? strchr(p, ' ') : p + strlen(p);
        char *name = mem_strndup(p, (size_t)(end - p));
        safetensors_writer_declare(&w, name, element_named("F32"), 2, shape);
        mem_free(name);
        p = *end == ' ' ? end + 1 : end;
    }
    safetensors_writer_header(&w);
    for (size_t i = 0; i < count; i++)
        safetensors_writer_floats(&w, values, 6);
    assert_int_equal(file_sink_end(&f, safetensors_writer_end(&w)), OK);
    mem_free(path);
}

static const char good_index[] = "{\"metadata\":{\"total_size\":72},\"weight_map\":{"
                                 "\"a\":\"model-00001-of-00002.safetensors\","
                                 "\"b\":\"model-00001-of-00002.safetensors\","
                                 "\"c\":\"model-00002-of-00002.safetensors\"}}";

static void put_shards(void **state)
{
    put_weights(state, "model-00001-of-00002.safetensors", "a b", NULL);
    put_weights(state, "model-00002-of-00002.safetensors", "c", NULL);
}

static void refuse_status(void **state, int status, const char *text)
{
    struct weights w;
    error_clear();
    assert_int_equal(weights_open(&w, *state), status);
    expect_text(text);
    error_clear();
}

static void refuse_index(void **state, const char *index, const char *text)
{
    put(state, "model.safetensors.index.json", index);
    refuse_status(state, ERR_DATA, text);
}

static void opens_shards(void **state)
{
    struct weights w;
    struct weights_tensor *t;
    float values[6];
    put_shards(state);
    put(state, "model.safetensors.index.json", good_index);
    assert_int_equal(weights_open(&w, *state), OK);
    assert_int_equal(w.count, 3);
    assert_int_equal(w.file_count, 2);
    assert_int_equal(weights_get(&w, "c", NULL, &t), OK);
    assert_int_equal(weights_read(t, NULL, values, NULL), OK);
    assert_true(values[5] == 5);
    assert_true(t->used && !w.tensors[0].used);
    weights_close(&w);
    char *index = scratch_path(state, "model.safetensors.index.json");
    assert_int_equal(weights_open(&w, index), OK);
    weights_close(&w);
    mem_free(index);
}

static void follows_links(void **state)
{
    struct weights w;
    char *link = scratch_path(state, "model-00002-of-00002.safetensors");
    put_weights(state, "model-00001-of-00002.safetensors", "a b", NULL);
    put_weights(state, "blob", "c", NULL);
    assert_int_equal(symlink("blob", link), 0);
    put(state, "model.safetensors.index.json", good_index);
    assert_int_equal(weights_open(&w, *state), OK);
    weights_close(&w);
    mem_free(link);
}

static void refuses_bad_indices(void **state)
{
    put_shards(state);
    refuse_index(state, "{\"metadata\":{}}", "\"weight_map\" missing");
    refuse_index(state, "{\"weight_map\":[]}", "$.weight_map");
    refuse_index(state, "{\"weight_map\":{}}", "\"weight_map\" is empty");
    refuse_index(state, "[]", "expected an object");
    refuse_index(state, "", "model.safetensors.index.json:1:1");
    refuse_index(state, "{\"weight_map\":{\"a\":1}}", "$.weight_map.a: ");
    refuse_index(state, "{\"weight_map\":{\"a\":\"x.safetensors\",\"a\":\"y.safetensors\"}}",
                 "duplicate key \"a\"");
}

static void refuses_shard_names_that_lead_away(void **state)
{
    static const char *const names[] = {
        "../../x.safetensors", "/etc/passwd", "a/b", "..", ".", "", "C:\\\\x", "a\\u0000b", "..\\\\x"
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct str s;
        str_init(&s);
        str_appendf(&s, "{\"weight_map\":{\"w\":\"%s\"}}", names[i]);
        refuse_index(state, s.data, "$.weight_map.w: shard name must be a plain file name");
        str_release(&s);
    }
}

static void names_absent_shards(void **state)
{
    struct weights w;
    put(state, "model.safetensors.index.json", good_index);
    put_weights(state, "model-00001-of-00002.safetensors", "a b", NULL);
    error_clear();
    assert_int_equal(weights_open(&w, *state), ERR_OPEN);
    expect_text("shard \"model-00002-of-00002.safetensors\" missing (1 of 2 shards are)");
    assert_string_equal(error_hint_text(), "absent: model-00002-of-00002.safetensors");
    error_clear();
}

static void refuses_tensors_elsewhere(void **state)
{
    put(state, "model.safetensors.index.json", good_index);
    put_weights(state, "model-00001-of-00002.safetensors", "a", NULL);
    put_weights(state, "model-00002-of-00002.safetensors", "b c", NULL);
    refuse_status(
        state, ERR_DATA,
        "tensor \"b\" not in model-00001-of-00002.safetensors (found in model-00002-of-00002.safetensors)");
    put_weights(state, "model-00001-of-00002.safetensors", "a b", NULL);
    refuse_status(
        state, ERR_DATA,
        "tensor \"b\" in model-00001-of-00002.safetensors also in model-00002-of-00002.safetensors");
    put_weights(state, "model-00002-of-00002.safetensors", "c d e f g", NULL);
    refuse_status(state, ERR_DATA, "4 tensors in the shards are not in the index: \"d\", \"e\", \"f\", ...");
}

/* Converters drop a tied tensor from the files and leave it in the index. */
static void misses_a_promised_tensor_only_when_asked(void **state)
{
    struct weights w;
    struct weights_tensor *t;
    put(state, "model.safetensors.index.json", good_index);
    put_weights(state, "model-00001-of-00002.safetensors", "a", NULL);
    put_weights(state, "model-00002-of-00002.safetensors", "c", NULL);
    error_clear();
    assert_int_equal(weights_open(&w, *state), OK);
    assert_null(weights_find(&w, "b", NULL));
    assert_int_equal(weights_get(&w, "b", NULL, &t), ERR_DATA);
    expect_text("tensor \"b\" not in model-00001-of-00002.safetensors, where the index says it is");
    error_clear();
    weights_close(&w);
}

static void refuses_shards_of_two_saves(void **state)
{
    put(state, "model.safetensors.index.json", good_index);
    put_weights(state, "model-00001-of-00002.safetensors", "a b", "step 900");
    put_weights(state, "model-00002-of-00002.safetensors", "c", "step 1000");
    refuse_status(
        state, ERR_DATA,
        "model-00001-of-00002.safetensors belongs to \"step 900\", model-00002-of-00002.safetensors to "
        "\"step 1000\"");
    struct weights w;
    put_weights(state, "model-00002-of-00002.safetensors", "c", "step 900");
    assert_int_equal(weights_open(&w, *state), OK);
    weights_close(&w);
}

static void **shared_state; /* for the child below */

static int open_and_read(void)
{
    struct weights w;
    if (weights_open(&w, *shared_state) != OK)
        return 1;
    size_t count = w.count;
    weights_close(&w);
    return count == 3 ? 0 : 2;
}

static void warns_of_a_wrong_total(void **state)
{
    struct child c;
    put_shards(state);
    put(state, "model.safetensors.index.json",
        "{\"metadata\":{\"total_size\":100},\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\","
        "\"b\":\"model-00001-of-00002.safetensors\",\"c\":\"model-00002-of-00002.safetensors\"}}");
    shared_state = state;
    child_run(&c, open_and_read);
    assert_int_equal(c.exit_code, 0);
    assert_non_null(strstr(c.text, "total_size says 100, shards hold 72"));
}

static void prefers_one_file_and_warns(void **state)
{
    struct child c;
    put_shards(state);
    put(state, "model.safetensors.index.json", good_index);
    put_weights(state, "model.safetensors", "x y z", NULL);
    shared_state = state;
    child_run(&c, open_and_read);
    assert_int_equal(c.exit_code, 0);
    assert_non_null(strstr(c.text, "holds both model.safetensors and model.safetensors.index.json"));
}

static void says_what_is_there_instead(void **state)
{
    refuse_status(state, ERR_OPEN, "no weights (found none, expected model.safetensors, ");
    put(state, "model.gguf", "GGUF");
    refuse_status(state, ERR_OPEN, "no weights (found model.gguf, expected model.safetensors,");
    put(state, "pytorch_model.bin", "PK");
    refuse_status(state, ERR_DATA, "pytorch_model.bin: truncated");
}

static void finds_names_with_and_without_prefix(void **state)
{
    struct weights w;
    struct weights_tensor *t;
    put_weights(state, "model.safetensors", "transformer.wte.weight h.0.bias lm_head.weight", NULL);
    error_clear();
    assert_int_equal(weights_open(&w, *state), OK);
    assert_non_null(weights_find(&w, "wte.weight", "transformer."));
    assert_non_null(weights_find(&w, "transformer.wte.weight", "transformer."));
    assert_non_null(weights_find(&w, "transformer.h.0.bias", "transformer."));
    assert_non_null(weights_find(&w, "lm_head.weight", "transformer."));
    assert_null(weights_find(&w, "wte.weight", NULL));
    assert_null(weights_find(&w, "transformer.wte", "transformer."));
    assert_int_equal(weights_get(&w, "h.0.bia", NULL, &t), ERR_DATA);
    expect_text("tensor \"h.0.bia\" missing");
    assert_string_equal(error_hint_text(), "the nearest name there is \"h.0.bias\"");
    error_clear();
    weights_close(&w);
}

static void checks_shapes(void **state)
{
    struct weights w;
    struct weights_tensor *t;
    const int64_t good[] = { 2, 3 }, bad[] = { 3, 2 };
    put_weights(state, "model.safetensors", "w", NULL);
    assert_int_equal(weights_open(&w, *state), OK);
    assert_int_equal(weights_get(&w, "w", NULL, &t), OK);
    assert_int_equal(weights_check_shape(t, 2, good), OK);
    assert_int_equal(weights_check_shape(t, 2, bad), ERR_DATA);
    expect_text("tensor \"w\": wrong shape (found [2,3], expected [3,2])");
    error_clear();
    assert_int_equal(weights_check_shape(t, 1, good), ERR_DATA);
    error_clear();
    weights_close(&w);
}

/* ---- parts ---- */

static const int64_t big_shape[] = { 37, 3, 5, 1021 }; /* 2.2 MB: spans cut the first and the second dim */

static void put_big(void **state, const char *element)
{
    char *path = scratch_path(state, "model.safetensors");
    struct file_sink f;
    struct safetensors_writer w;
    assert_int_equal(file_sink_begin(&f, path), OK);
    safetensors_writer_init(&w, &f.sink);
    safetensors_writer_declare(&w, "first", element_named("U8"), 1, (const int64_t[]){ 3 });
    safetensors_writer_declare(&w, "w", element_named(element), 4, big_shape);
    safetensors_writer_header(&w);
    safetensors_writer_bytes(&w, "abc", 3);
    for (int64_t i = 0; i < 37 * 3 * 5 * 1021; i++) {
        float v = (float)(i % 251); /* exact in every type */
        safetensors_writer_floats(&w, &v, 1);
    }
    assert_int_equal(file_sink_end(&f, safetensors_writer_end(&w)), OK);
    mem_free(path);
}

static void check_part(const struct weights_tensor *t, const struct box *b, bool transposed)
{
    int64_t count = box_count(b), stride[4] = { 0 }, step = 1;
    float *out = mem_alloc_array((size_t)count, sizeof(*out));
    for (int i = 0; i < 4; i++) {
        int d = transposed ? i : 3 - i;
        stride[d] = step;
        step *= b->size[d];
    }
    assert_int_equal(weights_read(t, b, out, transposed ? stride : NULL), OK);
    int64_t at[4];
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, place = 0, index = 0;
        for (int d = 3; d >= 0; d--) {
            at[d] = rest % b->size[d];
            rest /= b->size[d];
        }
        for (int d = 0; d < 4; d++) {
            place += at[d] * stride[d];
            index = index * big_shape[d] + b->start[d] + at[d];
        }
        if (out[place] != (float)(index % 251))
            fail_msg("element %lld is %g", (long long)index, (double)out[place]);
    }
    mem_free(out);
}

static void reads_parts(void **state)
{
    static const char *const elements[] = { "F32", "BF16", "F16" };
    static const struct box boxes[] = {
        { .ndim = 4, .size = { 37, 3, 5, 1021 } },                          /* all */
        { .ndim = 4, .start = { 10 }, .size = { 20, 3, 5, 1021 } },         /* rows: no gaps */
        { .ndim = 4, .start = { 0, 1 }, .size = { 37, 1, 5, 1021 } },       /* c_attn's keys */
        { .ndim = 4, .start = { 3, 0, 2, 500 }, .size = { 30, 3, 2, 7 } },  /* few of each row */
        { .ndim = 4, .start = { 36, 2, 4, 1020 }, .size = { 1, 1, 1, 1 } }, /* the last element */
        { .ndim = 4, .start = { 0, 0, 0, 1020 }, .size = { 37, 3, 5, 1 } }, /* a column */
        { .ndim = 4, .start = { 5, 1, 1, 1 }, .size = { 0, 1, 1, 1 } },     /* nothing */
    };
    for (size_t e = 0; e < 3; e++) {
        struct weights w;
        struct weights_tensor *t;
        put_big(state, elements[e]);
        assert_int_equal(weights_open(&w, *state), OK);
        assert_int_equal(weights_get(&w, "w", NULL, &t), OK);
        for (size_t i = 0; i < sizeof(boxes) / sizeof(boxes[0]); i++) {
            check_part(t, &boxes[i], false);
            check_part(t, &boxes[i], true);
        }
        weights_close(&w);
    }
}

static void refuses_to_read_integers(void **state)
{
    struct weights w;
    float out[3];
    put_big(state, "F32");
    assert_int_equal(weights_open(&w, *state), OK);
    error_clear();
    assert_int_equal(weights_read(weights_find(&w, "first", NULL), NULL, out, NULL), ERR_DATA);
    expect_text("tensor \"first\": elements are U8, expected F32, F64, F16 or BF16");
    error_clear();
    weights_close(&w);
}

static void reports_a_file_cut_while_open(void **state)
{
    struct weights w;
    char *path = scratch_path(state, "model.safetensors");
    float *out = mem_alloc_array(37 * 3 * 5 * 1021, sizeof(*out));
    put_big(state, "F32");
    assert_int_equal(weights_open(&w, path), OK);
    assert_int_equal(truncate(path, 1500000), 0);
    error_clear();
    assert_int_equal(weights_read(weights_find(&w, "w", NULL), NULL, out, NULL), ERR_IO);
    error_clear();
    struct box b = { .ndim = 4, .start = { 0, 1 }, .size = { 37, 1, 5, 1021 } };
    assert_int_equal(weights_read(weights_find(&w, "w", NULL), &b, out, NULL), ERR_IO);
    error_clear();
    weights_close(&w);
    mem_free(out);
    mem_free(path);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_create, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(opens_shards),
        IN_SCRATCH(follows_links),
        IN_SCRATCH(refuses_bad_indices),
        IN_SCRATCH(refuses_shard_names_that_lead_away),
        IN_SCRATCH(names_absent_shards),
        IN_SCRATCH(refuses_tensors_elsewhere),
        IN_SCRATCH(misses_a_promised_tensor_only_when_asked),
        IN_SCRATCH(refuses_shards_of_two_saves),
        IN_SCRATCH(warns_of_a_wrong_total),
        IN_SCRATCH(prefers_one_file_and_warns),
        IN_SCRATCH(says_what_is_there_instead),
        IN_SCRATCH(finds_names_with_and_without_prefix),
        IN_SCRATCH(checks_shapes),
        IN_SCRATCH(reads_parts),
        IN_SCRATCH(refuses_to_read_integers),
        IN_SCRATCH(reports_a_file_cut_while_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
