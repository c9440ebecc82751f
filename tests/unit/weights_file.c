/* Weights of torch.save and of Flax against the goldens of tests/oracle/weights.py; malformed files. */
#include "ckpt/weights_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/weights.h"

#define FOLDER GOLDEN_DIR "/weights/"

static void expect_text(const char *text)
{
    if (strstr(error_message(), text) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", error_message(), text);
}

static void open_golden(struct weights *w, const char *name)
{
    struct str path;
    str_init(&path);
    str_appendf(&path, FOLDER "%s", name);
    if (weights_open(w, path.data) != OK)
        fail_msg("%s", error_message());
    str_release(&path);
}

/* ---- values ---- */

/* Any range, whatever rows it cuts, holds what the whole holds. */
static void check_ranges(const struct weights_tensor *t, const float *whole)
{
    float part[256];
    for (int64_t first = 0; first < t->info->count; first += 3) {
        for (int64_t count = 0; first + count <= t->info->count; count += 5) {
            assert_int_equal(weights_read_range(t, first, count, part), OK);
            assert_memory_equal(part, whole + first, (size_t)count * sizeof(float));
        }
    }
}

/* A box of all dims but their first and last indices, to strides in the opposite order. */
static void check_inner_box(const struct weights_tensor *t, const float *whole)
{
    struct box b;
    float part[256];
    int64_t stride[BOX_MAX_DIMS], step = 1;
    box_whole(&b, t->info->ndim, t->info->shape);
    for (int d = 0; d < b.ndim; d++) {
        b.start[d] = b.size[d] > 2;
        b.size[d] -= 2 * b.start[d];
        stride[d] = step;
        step *= b.size[d];
    }
    assert_int_equal(weights_read(t, &b, part, stride), OK);
    for (int64_t i = 0; i < box_count(&b); i++) {
        int64_t rest = i, at = 0;
        int64_t index[BOX_MAX_DIMS];
        for (int d = 0; d < b.ndim; d++) {
            index[d] = b.start[d] + rest % b.size[d];
            rest /= b.size[d];
        }
        for (int d = 0; d < b.ndim; d++)
            at = at * t->info->shape[d] + index[d];
        assert_true(part[i] == whole[at]);
    }
}

static void check_file(const char *name, struct weights *expected)
{
    struct weights w;
    open_golden(&w, name);
    for (size_t i = 0; i < expected->count; i++) {
        const struct weights_tensor *e = &expected->tensors[i];
        struct weights_tensor *t = weights_find(&w, e->name, NULL);
        float wanted[256], found[256];
        if (t == NULL)
            fail_msg("%s: no %s", name, e->name);
        if (weights_check_shape(t, e->info->ndim, e->info->shape) != OK)
            fail_msg("%s", error_message());
        assert_int_equal(weights_read(e, NULL, wanted, NULL), OK);
        assert_int_equal(weights_read(t, NULL, found, NULL), OK);
        if (memcmp(wanted, found, (size_t)e->info->count * sizeof(float)) != 0)
            fail_msg("%s: values of %s", name, e->name);
        check_ranges(t, wanted);
        check_inner_box(t, wanted);
    }
    weights_close(&w);
}

static void reads_what_torch_saves(void **state)
{
    static const char *const names[] = { "torch/protocol2.bin", "torch/protocol3.bin", "torch/protocol4.bin",
                                         "torch/protocol5.bin", "torch/zip64.bin",     "torch/legacy.bin",
                                         "torch/legacy4.bin" };
    struct weights expected, w;
    (void)state;
    open_golden(&expected, "expected.safetensors");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        check_file(names[i], &expected);
        open_golden(&w, names[i]);
        assert_int_equal(w.count, 15);
        assert_string_equal(weights_find(&w, "ids", NULL)->info->element->name, "I64");
        assert_string_equal(weights_find(&w, "flags", NULL)->info->element->name, "BOOL");
        assert_string_equal(weights_find(&w, "half", NULL)->info->element->name, "F16");
        weights_close(&w);
    }
    weights_close(&expected);
}

static void knows_what_is_shared(void **state)
{
    struct weights w;
    (void)state;
    open_golden(&w, "gpt2_bin");
    const struct weights_tensor *table = weights_find(&w, "transformer.wte.weight", NULL);
    assert_true(weights_same_place(table, weights_find(&w, "lm_head.weight", NULL)));
    assert_false(weights_same_place(table, weights_find(&w, "transformer.wpe.weight", NULL)));
    weights_close(&w);
    open_golden(&w, "torch/protocol2.bin");
    assert_false(weights_same_place(weights_find(&w, "shared", NULL), weights_find(&w, "transposed", NULL)));
    assert_false(weights_same_place(weights_find(&w, "shared", NULL), weights_find(&w, "steps", NULL)));
    weights_close(&w);
}

static void reads_other_torch_files(void **state)
{
    struct weights w;
    float values[6];
    (void)state;
    open_golden(&w, "torch/module.bin"); /* an OrderedDict with attributes */
    assert_int_equal(w.count, 2);
    assert_int_equal(weights_read(weights_find(&w, "weight", NULL), NULL, values, NULL), OK);
    assert_true(values[0] == 0 && values[5] == 5);
    weights_close(&w);
    open_golden(&w, "torch/extra.bin"); /* beside tensors, other values */
    assert_int_equal(w.count, 1);
    weights_close(&w);
    open_golden(&w, "torch/float8.bin");
    assert_string_equal(weights_find(&w, "eight", NULL)->info->element->name, "F8_E4M3");
    weights_close(&w);
}

static void reads_flax(void **state)
{
    struct weights expected, w;
    (void)state;
    open_golden(&expected, "flax/expected.safetensors");
    check_file("flax/all.msgpack", &expected);
    check_file("flax/params.msgpack", &expected);
    open_golden(&w, "flax/all.msgpack");
    assert_int_equal(w.count, expected.count);
    assert_string_equal(weights_find(&w, "norm.weight", NULL)->info->element->name, "BF16");
    weights_close(&w);
    weights_close(&expected);
}

static void reads_model_directories(void **state)
{
    static const char *const names[] = { "gpt2_bin", "gpt2_bin_shards", "gpt2_flax", "gpt2_flax_shards" };
    struct weights expected, w;
    (void)state;
    open_golden(&expected, "gpt2");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        float wanted[1024], found[1024];
        open_golden(&w, names[i]);
        assert_int_equal(w.count, expected.count + (i == 0)); /* the tied head */
        for (size_t k = 0; k < expected.count; k++) {
            const struct weights_tensor *e = &expected.tensors[k];
            assert_int_equal(weights_read(e, NULL, wanted, NULL), OK);
            assert_int_equal(weights_read(weights_find(&w, e->name, NULL), NULL, found, NULL), OK);
            assert_memory_equal(wanted, found, (size_t)e->info->count * sizeof(float));
        }
        weights_close(&w);
    }
    weights_close(&expected);
}

/* ---- refused ---- */

static void refuses_what_is_no_state_dict(void **state)
{
    static const char *const cases[][2] = {
        { "system.bin", "data.pkl @177: global \"posix.system\" is refused" },
        { "compressed.bin", "entry \"archive/data.pkl\" is compressed (expected stored" },
        { "module.bin", "global \"torch.nn.modules.linear.Linear\" is refused" },
        { "nested.bin", "no tensors at the top (found a dict with \"state_dict\", \"epoch\"" },
        { "sparse.bin", "global \"torch._utils._rebuild_sparse_tensor\" is refused" },
        { "plain.bin", "a pickle that torch.save did not write" },
        { "big.bin", "its numbers are big-endian" },
        { "number.bin", "a tensor's name is an int, expected a string" },
        { "other.bin", "a ZIP archive without data.pkl" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct weights w;
        struct str path;
        str_init(&path);
        str_appendf(&path, FOLDER "refused/%s", cases[i][0]);
        error_clear();
        assert_int_equal(weights_open(&w, path.data), ERR_DATA);
        assert_int_equal(strncmp(error_message(), path.data, path.length), 0);
        expect_text(cases[i][1]);
        str_release(&path);
    }
    error_clear();
    assert_false(file_exists("executed"));
}

/* Tensors can be listed; those of numbers can be read. */
static void read_everything(const struct weights_file *f)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct weights_tensor *t = &f->tensors[i];
        float values[512];
        if (t->info->element->kind == ELEMENT_FLOAT && t->info->count <= 512)
            assert_int_equal(weights_read(t, NULL, values, NULL), OK);
    }
}

static void open_changed(const char *bytes, size_t length, bool may_pass)
{
    struct weights_file f;
    error_clear();
    int status = weights_file_open_memory(&f, "m.bin", bytes, length);
    if (status == OK) {
        read_everything(&f);
        weights_file_close(&f);
        if (!may_pass)
            fail_msg("%zu bytes are accepted", length);
        return;
    }
    assert_int_equal(status, ERR_DATA);
    assert_int_equal(strncmp(error_message(), "m.bin", 5), 0);
}

/* Cut off anywhere, a file is refused; with any byte changed it is refused or read within its bounds. */
static void survives_damage(void **state)
{
    static const char *const names[] = { "torch/module.bin", "torch/legacy4.bin", "torch/zip64.bin",
                                         "flax/all.msgpack" };
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct str path, bytes;
        str_init(&path);
        str_init(&bytes);
        str_appendf(&path, FOLDER "%s", names[i]);
        assert_int_equal(file_read(path.data, 0, &bytes), OK);
        for (size_t n = 0; n < bytes.length; n++) {
            static const char changes[] = { 1, (char)0x80, (char)0xff };
            open_changed(bytes.data, n, false);
            bytes.data[n] ^= changes[n % sizeof(changes)];
            open_changed(bytes.data, bytes.length, true);
            bytes.data[n] ^= changes[n % sizeof(changes)];
        }
        str_release(&path);
        str_release(&bytes);
    }
    error_clear();
}

/* ---- pickles by hand ---- */

#define MAGIC               "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define LEGACY              MAGIC "\x80\2M\xe9\3.\x80\2}."
#define STORAGE(count)      "((U\7storagectorch\nFloatStorage\nU\1kU\3cpu" count "tQ"
#define TENSOR(count, rest) "ctorch._utils\n_rebuild_tensor_v2\n" STORAGE(count) rest "tR"
#define EXACT(text)         text, sizeof(text) - 1
#define BODY(pickle)        LEGACY pickle, sizeof(LEGACY pickle) - 1

static void refuses_malformed_pickles(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *text;
    } cases[] = {
        { BODY("\x80\1}."), "pickle of protocol 1 (expected 2 to 5)" },
        { BODY("\x80\6}."), "pickle of protocol 6" },
        { BODY("I1\n."), "opcode 0x49 is not read as data" },
        { BODY("cos\nsystem\n."), "global \"os.system\" is refused" },
        { BODY("\x8c\2os\x8c\6system\x93."), "global \"os.system\" is refused" },
        { BODY("c\33[2J\nsystem\n."), "global \"\\x1b[2J.system\" is refused" },
        { BODY("\x82\1."), "opcode 0x82" },
        { BODY("}}R."), "a dict is called with a dict" },
        { BODY("ccollections\nOrderedDict\nK\1R."), "an object is called with an int" },
        { BODY("K\1)R."), "an int is called with a tuple" },
        { BODY("ctorch\nFloatStorage\n)R."), "a value is called that is no function" },
        { BODY("."), "a value is missing on the stack" },
        { BODY("0."), "a value is missing on the stack" },
        { BODY("(."), "a value is missing on the stack" },
        { BODY("t."), "a mark is missing" },
        { BODY("(\x85."), "a value is missing" },
        { BODY("}K\1s."), "a value is missing" },
        { BODY("](K\1u."), "items are put into a list, expected a dict" },
        { BODY("}(K\1u."), "a key without a value" },
        { BODY("(K\1d."), "a key without a value" },
        { BODY("h\0."), "memo entry 0 was never put" },
        { BODY("}r\377\377\377\377."), "memo entry 4294967295 is out of range" },
        { BODY("X\377\377\377\377abc"), "truncated (4294967295 bytes expected, 3 left)" },
        { BODY("\x8d\377\377\377\377\377\377\377\377"), "truncated (18446744073709551615 bytes expected" },
        { BODY("K\1Q."), "a persistent id is no storage" },
        { BODY("(tQ."), "a persistent id is no storage" },
        { BODY(TENSOR("K\1", "K\0K\1K\1") "."), "a tensor is not made of storage, offset" },
        { BODY(TENSOR("K\1", "K\0)(K\1t") "."), "a tensor of 0 sizes has 1 strides" },
        { BODY(TENSOR("K\1", "K\1))") "."), "a tensor reaches beyond its storage \"k\" of 1 elements" },
        { BODY(TENSOR("K\4", "K\0(K\2K\2t(K\3K\1t") "."), "reaches beyond its storage" },
        { BODY(TENSOR("K\4", "K\0(K\2t(J\377\377\377\377t") "."), "no integer of 0 or more" },
        { BODY(TENSOR("K\4",
                      "K\0(\x8a\10\377\377\377\377\377\377\377\177t(\x8a\10\377\377\377\377\377\377\377"
                      "\177t") "."),
          "reaches beyond its storage" },
        { BODY("ccollections\nOrderedDict\n(]K\1atR."), "is no pair" },
        { BODY("K\1.\x80\2]."), "no tensors at the top (found an int" },
        { BODY("}.\x80\2](U\1ke."), "one that no tensor has" },
        { BODY("}."), "truncated" },
        { EXACT(MAGIC "\x80\2M\xe9\3.\x80\2}U\15little_endian\x89s."), "its numbers are big-endian" },
        { EXACT(MAGIC "\x80\2M\xe8\3."), "version of the format is not 1001" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct weights_file f;
        error_clear();
        if (weights_file_open_memory(&f, "m.bin", cases[i].bytes, cases[i].length) != ERR_DATA)
            fail_msg("case %zu (%s) is accepted", i, cases[i].text);
        expect_text(cases[i].text);
    }
    error_clear();
}

static void reads_old_ordered_dicts(void **state)
{
    static const char bytes[] = LEGACY "ccollections\nOrderedDict\n(]](U\1w" TENSOR(
        "K\2", "K\1(K\1t(K\1t") "eatR.\x80\2](U\1ke.\2\0\0\0\0\0\0\0\0\0\200?\0\0\0@";
    struct weights_file f;
    float value;
    (void)state;
    error_clear();
    if (weights_file_open_memory(&f, "m.bin", bytes, sizeof(bytes) - 1) != OK)
        fail_msg("%s", error_message());
    assert_int_equal(f.count, 1);
    assert_int_equal(weights_read(&f.tensors[0], NULL, &value, NULL), OK);
    assert_true(value == 2);
    weights_file_close(&f);
}

/* Neither a million values nor a deep or cyclic one takes memory or stack without bound. */
static void bounds_pickles(void **state)
{
    static const char *const repeated[] = { "}", "(", "]q\0h\0a", "K\1\x85", "h\0" };
    (void)state;
    for (size_t i = 0; i < sizeof(repeated) / sizeof(repeated[0]); i++) {
        struct weights_file f;
        struct str s;
        size_t n = i == 2 || i == 3 ? (i == 2 ? 6 : 3) : i == 4 ? 2 : 1;
        str_init(&s);
        str_append_bytes(&s, LEGACY "}q\0", sizeof(LEGACY "}q\0") - 1);
        for (int k = 0; k < 3000000; k++)
            str_append_bytes(&s, repeated[i], n);
        str_append(&s, ".");
        error_clear();
        assert_int_equal(weights_file_open_memory(&f, "m.bin", s.data, s.length), ERR_DATA);
        expect_text("more than 1048576 values");
        str_release(&s);
    }
    error_clear();
}

/* ---- MessagePack by hand ---- */

#define MAP1          "\x81\xa6kernel" /* {"kernel": ... */
#define MSGPACK(text) text "________________", sizeof(text "________________") - 1
#define EXACT(text)   text, sizeof(text) - 1

static void refuses_malformed_msgpack(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *text;
    } cases[] = {
        { MSGPACK(MAP1 "\xc1"), "byte 0xc1 begins no MessagePack value" },
        { MSGPACK(MAP1 "\xdf\377\377\377\377"),
          "a map of length 4294967295, but 16 bytes are left: truncated" },
        { MSGPACK(MAP1 "\xc6\377\377\377\377"), "bytes of length 4294967295, but 16 bytes are left" },
        { MSGPACK(MAP1 "\xc9\0\1\0\0\1"), "an extension of length 65536" },
        { MSGPACK("\x82\xa6kernel\1\2\3"), "a key is an integer, expected a string" },
        { MSGPACK(MAP1 "\xd5\5ab"), "an extension that is no array" },
        { MSGPACK(MAP1 "\xd5\1ab"), "an array's content is an integer, expected an array" },
        { MSGPACK(MAP1 "\xd5\1\x92\x90"), "an array's content has not 3 parts" },
        { MSGPACK(MAP1 "\xd8\1\x93\x91\2\xa7"
                       "float32\xc4\4aaaa"),
          "the data has not the size of shape and type" },
        { MSGPACK(MAP1 "\xd8\1\x93\x91\xff\xa7"
                       "float32\xc4\4aaaa"),
          "a size is out of range" },
        { MSGPACK(MAP1 "\xd8\1\x93\x91\1\xa5"
                       "float\xc4\4aaaaaa"),
          "unknown type \"float\"" },
        { MSGPACK(MAP1 "\xc7\x16\1\x93\x91\1\xa7"
                       "float32\xc4\4aaaaaaaaa"),
          "does not fill its extension" },
        { MSGPACK(MAP1 "\xc7\x13\1\x93\xdc\0\x11\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"), "more than 16 dimensions" },
        { MSGPACK(MAP1 "\1"), "16 bytes after the last value" },
        { EXACT(MAP1 "\xd9\10\0\0\0\0\0\0\0\0"), "no arrays in it" },
        { EXACT("\x82\xda\0\0\1\xac" /* an empty key */
                "step of step\1"),
          "no arrays in it" },
        { EXACT("\x81\xa1"
                "a\x82\xb9__msgpack_chunked_array__\xc3\xa5shape\x81\xa1"
                "1\2"),
          "not in order" },
        { EXACT("\x81\xa1"
                "a\x82\xb9__msgpack_chunked_array__\xc3\xa5shape\x80"),
          "chunked array without chunks" },
        { EXACT("\x81\xa1"
                "a\x82\xb9__msgpack_chunked_array__\xc3\xa5shapf\x80"),
          "a key of no meaning" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct weights_file f;
        error_clear();
        if (weights_file_open_memory(&f, "m.bin", cases[i].bytes, cases[i].length) != ERR_DATA)
            fail_msg("case %zu (%s) is accepted", i, cases[i].text);
        expect_text(cases[i].text);
    }
    error_clear();
}

static void bounds_nesting(void **state)
{
    struct weights_file f;
    struct str s;
    (void)state;
    str_init(&s);
    for (int i = 0; i < 100000; i++)
        str_append(&s, "\x81\xa1"
                       "a");
    str_append(&s, "\xc0");
    error_clear();
    assert_int_equal(weights_file_open_memory(&f, "m.bin", s.data, s.length), ERR_DATA);
    expect_text("nesting deeper than 32");
    str_clear(&s);
    str_append(&s, "\x81\xa1"
                   "a");
    for (int i = 0; i < 100000; i++)
        str_append(&s, "\x91");
    str_append(&s, "\xc0");
    error_clear();
    assert_int_equal(weights_file_open_memory(&f, "m.bin", s.data, s.length), ERR_DATA);
    expect_text("no arrays in it");
    str_release(&s);
    error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_torch_saves),    cmocka_unit_test(knows_what_is_shared),
        cmocka_unit_test(reads_other_torch_files),   cmocka_unit_test(reads_flax),
        cmocka_unit_test(reads_model_directories),   cmocka_unit_test(refuses_what_is_no_state_dict),
        cmocka_unit_test(survives_damage),           cmocka_unit_test(refuses_malformed_pickles),
        cmocka_unit_test(reads_old_ordered_dicts),   cmocka_unit_test(bounds_pickles),
        cmocka_unit_test(refuses_malformed_msgpack), cmocka_unit_test(bounds_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
