/* Weights in pieces: whatever the cut, a reader gets the tensor; what does not fit together is refused. */
#include "ckpt/pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "lib/scratch.h"

enum { ROWS = 6, COLUMNS = 10 };
static const int64_t shape[] = { ROWS, COLUMNS };

static void expect_text(const char *text)
{
    if (strstr(error_message(), text) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", error_message(), text);
}

/* ---- written, and read again ---- */

static int read_number(const struct saved_piece *p, const struct box *part, float *out)
{
    int64_t count = 0;

    assert_true(box_contains(&p->box, part));
    for (int64_t r = 0; r < part->size[0]; r++)
        for (int64_t c = 0; c < part->size[1]; c++)
            out[count++] = (float)((part->start[0] + r) * COLUMNS + part->start[1] + c);
    return OK;
}

static struct saved_piece piece(int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    return (struct saved_piece){ .name = "w",
                                 .ndim = 2,
                                 .shape = shape,
                                 .box = { 2, { row, column }, { rows, columns } },
                                 .read = read_number };
}

static void save_two(void **state, const char *dtype, const char *second_tag)
{
    struct saved_piece first[] = { piece(0, 0, 6, 3), piece(0, 7, 4, 3) };
    struct saved_piece second[] = { piece(0, 3, 6, 4), piece(4, 7, 2, 3), piece(0, 0, 6, 10) };
    struct pieces_save_options o = { .dtype = dtype, .tag = "save 1" };
    struct save_options so = { .directory = *state, .name = "model" };
    struct save *s;

    second[2].name = "alone";
    assert_int_equal(save_begin(&s, &so), OK);
    assert_int_equal(pieces_save(s, "model_tp_0_pp_0.safetensors", first, 2, &o), OK);
    o.tag = second_tag;
    assert_int_equal(pieces_save(s, "model_tp_1_pp_0.safetensors", second, 3, &o), OK);
    assert_int_equal(save_install(s), OK);
}

static void check_box(const struct weights_tensor *t, int64_t row, int64_t column, int64_t rows,
                      int64_t columns)
{
    const struct box b = { 2, { row, column }, { rows, columns } };
    const int64_t stride[] = { 1, ROWS };
    float values[ROWS * COLUMNS];

    assert_int_equal(weights_read(t, &b, values, NULL), OK);
    for (int64_t i = 0; i < rows * columns; i++)
        assert_true(values[i] == (float)((row + i / columns) * COLUMNS + column + i % columns));
    assert_int_equal(weights_read(t, &b, values, stride), OK);
    for (int64_t i = 0; i < rows * columns; i++)
        assert_true(values[i / columns + i % columns * ROWS] ==
                    (float)((row + i / columns) * COLUMNS + column + i % columns));
}

static void reads_any_part(void **state)
{
    static const char *const dtypes[] = { "F32", "BF16" };
    struct weights w;
    struct weights_tensor *t;
    float values[ROWS * COLUMNS];

    for (int d = 0; d < 2; d++) {
        save_two(state, dtypes[d], "save 1");
        assert_true(weights_found(*state) && weights_in_pieces(*state));
        assert_int_equal(weights_open(&w, *state), OK);
        assert_int_equal(w.count, 2);
        assert_int_equal(weights_get(&w, "w", NULL, &t), OK);
        assert_int_equal(weights_check_shape(t, 2, shape), OK);
        for (int64_t row = 0; row < ROWS; row++)
            for (int64_t column = 0; column < COLUMNS; column++)
                for (int64_t rows = 1; rows <= ROWS - row; rows++)
                    check_box(t, row, column, rows, 1 + (row + 3 * rows + column) % (COLUMNS - column));
        assert_int_equal(weights_read_range(t, 7, 41, values), OK);
        for (int i = 0; i < 41; i++)
            assert_true(values[i] == (float)(7 + i));
        assert_int_equal(weights_get(&w, "alone", NULL, &t), OK);
        check_box(t, 0, 0, ROWS, COLUMNS);
        weights_close(&w);
    }
}

/* One value per element, of a piece that is written in many parts. */
static int read_large(const struct saved_piece *p, const struct box *part, float *out)
{
    int64_t count = 0;

    assert_true(box_contains(&p->box, part));
    for (int64_t i = 0; i < part->size[0]; i++)
        for (int64_t j = 0; j < part->size[1]; j++)
            for (int64_t k = 0; k < part->size[2]; k++)
                out[count++] =
                    (float)(((part->start[0] + i) * p->shape[1] + part->start[1] + j) * p->shape[2] +
                            part->start[2] + k);
    return OK;
}

static void writes_large_pieces_in_parts(void **state)
{
    static const int64_t large[] = { 2, 3, 600000 };
    struct saved_piece p = { .name = "w",
                             .ndim = 3,
                             .shape = large,
                             .box = { 3, { 0, 0, 0 }, { 2, 3, 600000 } },
                             .read = read_large };
    struct save_options so = { .directory = *state, .name = "model" };
    float *values = mem_alloc_array(3600000, sizeof(values[0]));
    struct save *s;
    struct weights w;

    assert_int_equal(save_begin(&s, &so), OK);
    assert_int_equal(pieces_save(s, "x_tp_0_pp_0.safetensors", &p, 1, &(struct pieces_save_options){ 0 }),
                     OK);
    assert_int_equal(save_install(s), OK);
    assert_int_equal(weights_open_base(&w, *state, "x"), OK);
    assert_int_equal(weights_read(&w.tensors[0], NULL, values, NULL), OK);
    for (int64_t i = 0; i < 3600000; i++)
        if (values[i] != (float)i)
            fail_msg("element %lld is %g", (long long)i, (double)values[i]);
    weights_close(&w);
    mem_free(values);
}

/* ---- names of files ---- */

static void knows_its_names(void **state)
{
    static const char *const others[] = { "model.safetensors",
                                          "model_tp_0.safetensors",
                                          "model_tp_00_pp_0.safetensors",
                                          "model_tp_0_pp_0_dp_-1.safetensors",
                                          "model_tp_0_pp_0.safetensors.index.json",
                                          "model_tp_+1_pp_0.safetensors",
                                          "model_tp_ 1_pp_0.safetensors",
                                          "model_tp_123456789_pp_0.safetensors",
                                          "my_model_tp_0_pp_0.safetensors" };
    struct pieces_place p;

    (void)state;
    assert_true(pieces_is_name("model_tp_3_pp_12.safetensors", "model", &p));
    assert_true(p.tp == 3 && p.pp == 12 && p.dp == -1);
    assert_true(pieces_is_name("optimizer_tp_0_pp_1_dp_2.safetensors", "optimizer", &p));
    assert_true(p.tp == 0 && p.pp == 1 && p.dp == 2);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(pieces_is_name(others[i], "model", NULL));
}

/* ---- what is refused ---- */

struct given {
    const char *name, *metadata; /* metadata NULL: none */
    const char *dtype;
    int64_t rows, columns;
};

/* A file with one tensor. */
static void put(void **state, const char *file, struct given g)
{
    const int64_t dims[] = { g.rows, g.columns };
    float values[ROWS * COLUMNS] = { 0 };
    char *path = scratch_path(state, file);
    struct file_sink f;
    struct safetensors_writer w;

    assert_int_equal(file_sink_begin(&f, path), OK);
    safetensors_writer_init(&w, &f.sink);
    if (g.metadata)
        safetensors_writer_metadata(&w, PIECES_KEY, g.metadata);
    safetensors_writer_declare(&w, g.name, element_named(g.dtype ? g.dtype : "F32"), 2, dims);
    safetensors_writer_header(&w);
    safetensors_writer_floats(&w, values, (size_t)(g.rows * g.columns));
    assert_int_equal(file_sink_end(&f, safetensors_writer_end(&w)), OK);
    mem_free(path);
}

static void refuse(void **state, const char *text)
{
    struct weights w;

    error_clear();
    assert_int_equal(weights_open(&w, *state), ERR_DATA);
    expect_text(text);
    error_clear();
}

#define PIECE(whole, start) "{\"a\":{\"of\":\"w\",\"shape\":" whole ",\"start\":" start "}}"

static void refuses_bad_pieces(void **state)
{
    static const struct {
        const char *metadata, *text;
    } cases[] = {
        { NULL, "no file of a sharded checkpoint (expected \"plait_pieces\" in its metadata)" },
        { "", "plait_pieces\":1:1" },
        { "[]", "plait_pieces" },
        { "{\"b\":{}}", "there is no such tensor in the file" },
        { "{\"a\":{}}", "\"of\" missing" },
        { "{\"a\":{\"of\":\"w\",\"start\":[0,0]}}", "\"shape\" missing" },
        { "{\"a\":{\"of\":\"w\",\"shape\":[2,3]}}", "\"start\" missing" },
        { "{\"a\":{\"of\":\"\",\"shape\":[2,3],\"start\":[0,0]}}", "a name of 0 bytes" },
        { "{\"a\":{\"of\":\"x\\n\",\"shape\":[2,3],\"start\":[0,0]}}", "a name with a control character" },
        { PIECE("[2]", "[0,0]"), "fewer dims than the piece has (found 1, expected 2)" },
        { PIECE("[2,3,4]", "[0,0]"), "more dims than the piece has (expected 2)" },
        { PIECE("[2,3]", "[0,0,0]"), "more dims than the piece has" },
        { PIECE("[2,3]", "[0,-1]"), "found -1" },
        { PIECE("[1,3]", "[0,0]"),
          "reaches beyond \"w\" along dim 0 (found 2 entries from 0, expected at most 1" },
        { PIECE("[4,3]", "[3,0]"),
          "reaches beyond \"w\" along dim 0 (found 2 entries from 3, expected at most 4" },
        { PIECE("[4,3]", "[9223372036854775807,0]"), "reaches beyond" },
        { PIECE("[4,9223372036854775807]", "[0,0]"), "element count overflows" },
        { PIECE("[2,2305843009213693951]", "[0,0]"), "byte size overflows" },
        { PIECE("[4,3]", "[2,0]"), "tensor \"w\": element [0,0] is in none of the files" },
        { PIECE("[4,3]", "[0,0]"), "tensor \"w\": element [2,0] is in none of the files" },
        { "{\"a\":{\"of\":\"w\",\"shape\":[2,3],\"start\":[0,0]},\"a\":{}}", "a" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put(state, "model_tp_0_pp_0.safetensors", (struct given){ "a", cases[i].metadata, NULL, 2, 3 });
        refuse(state, cases[i].text);
    }
}

static void refuses_what_does_not_fit_together(void **state)
{
    put(state, "model_tp_0_pp_0.safetensors", (struct given){ "a", PIECE("[4,3]", "[0,0]"), NULL, 2, 3 });
    put(state, "model_tp_1_pp_0.safetensors", (struct given){ "a", PIECE("[4,3]", "[1,0]"), NULL, 2, 3 });
    refuse(state, "tensor \"w\": element [1,0] is there 2 times (expected once)");
    put(state, "model_tp_1_pp_0.safetensors", (struct given){ "a", PIECE("[5,3]", "[2,0]"), NULL, 2, 3 });
    refuse(state, "a piece of F32 [5,3], but model_tp_0_pp_0.safetensors has pieces of F32 [4,3]");
    put(state, "model_tp_1_pp_0.safetensors", (struct given){ "a", PIECE("[4,3]", "[2,0]"), "BF16", 2, 3 });
    refuse(state, "a piece of BF16 [4,3]");
    put(state, "model_tp_1_pp_0.safetensors", (struct given){ "w", "{}", NULL, 4, 3 });
    refuse(state, "is there 2 times");
    put(state, "model_tp_1_pp_0.safetensors", (struct given){ "a", PIECE("[4,3]", "[2,0]"), NULL, 2, 3 });
    struct weights w;
    error_clear();
    assert_int_equal(weights_open(&w, *state), OK);
    weights_close(&w);
}

static void refuses_pieces_of_two_saves(void **state)
{
    save_two(state, "F32", "save 2");
    refuse(state, "shards of different saves");
}

static void gives_way_to_whole_weights(void **state)
{
    save_two(state, "F32", "save 1");
    put(state, "model.safetensors", (struct given){ "w", NULL, NULL, 2, 3 });
    struct weights w;
    assert_false(weights_in_pieces(*state));
    assert_int_equal(weights_open(&w, *state), OK);
    assert_int_equal(w.tensors[0].info->shape[0], 2);
    weights_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_any_part, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(writes_large_pieces_in_parts, scratch_create, scratch_remove),
        cmocka_unit_test(knows_its_names),
        cmocka_unit_test_setup_teardown(refuses_bad_pieces, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(refuses_what_does_not_fit_together, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(refuses_pieces_of_two_saves, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(gives_way_to_whole_weights, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
