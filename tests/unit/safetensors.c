/* The safetensors reader against files made byte by byte, and the writer. */
#include "ckpt/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "lib/scratch.h"

/* A file: the length of the header, the header, zeros as data. */
static void make(struct str *s, const char *header, size_t data_bytes)
{
    uint64_t n = strlen(header);
    str_clear(s);
    str_append_bytes(s, &n, 8);
    str_append(s, header);
    for (size_t i = 0; i < data_bytes; i++)
        str_append_char(s, (char)i);
}

static void expect_text(const char *text)
{
    if (strstr(error_message(), text) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", error_message(), text);
}

static void refuse_bytes(const void *bytes, size_t length, const char *text)
{
    struct safetensors st;
    error_clear();
    assert_int_equal(safetensors_open_memory(&st, "m.safetensors", bytes, length), ERR_DATA);
    assert_int_equal(strncmp(error_message(), "m.safetensors: ", 15), 0);
    expect_text(text);
    error_clear();
}

static void refuse(const char *header, size_t data_bytes, const char *text)
{
    struct str s;
    str_init(&s);
    make(&s, header, data_bytes);
    refuse_bytes(s.data, s.length, text);
    str_release(&s);
}

static void accept(const char *header, size_t data_bytes, size_t tensors)
{
    struct safetensors st;
    struct str s;
    str_init(&s);
    make(&s, header, data_bytes);
    error_clear();
    if (safetensors_open_memory(&st, "m.safetensors", s.data, s.length) != OK)
        fail_msg("%s: refused: %s", header, error_message());
    assert_int_equal(st.count, tensors);
    safetensors_close(&st);
    str_release(&s);
}

#define W(more) "{\"w\":{" more "}}"
#define F32_2x2 "\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]"

static void refuses_bad_lengths(void **state)
{
    refuse_bytes("", 0, "file is empty (found 0 bytes, expected at least 8)");
    refuse_bytes("1234567", 7, "truncated before the end of the 8-byte header length (found 7 bytes)");
    refuse_bytes("\0\0\0\0\0\0\0\0", 8, "header length 0, expected at least 2");
    refuse_bytes("\1\0\0\0\0\0\0\0{", 9, "header length 1, expected at least 2");
    refuse_bytes("\377\377\377\377\377\377\377\377{}", 10,
                 "header length 18446744073709551615 exceeds limit 100000000");
    struct str s;
    str_init(&s);
    make(&s, "{}", 58);
    s.data[0] = (char)0xe8, s.data[1] = 3;
    refuse_bytes(s.data, s.length, "header length 1000 but only 60 bytes follow: truncated file");
    str_release(&s);
}

static void refuses_a_long_header_before_reading_it(void **state)
{
    char *path = scratch_path(state, "m.safetensors");
    uint64_t n = 100000001;
    struct safetensors st;
    scratch_put(path, &n, 8);
    assert_int_equal(truncate(path, 200000000), 0); /* sparse */
    error_clear();
    assert_int_equal(safetensors_open(&st, path), ERR_DATA);
    expect_text("header length 100000001 exceeds limit 100000000");
    assert_true(mem_resident() < (uint64_t)100 << 20);
    mem_free(path);
}

static void refuses_bad_json(void **state)
{
    struct str s;
    refuse("{ ", 0, "header:1:3");
    refuse("\377\377", 0, "header:1:1");
    refuse("[]", 0, "found an array, expected an object");
    refuse("null", 0, "found null, expected an object");
    refuse("1 ", 0, "expected an object");
    refuse("{}x", 0, "header:1:3: text after the value");
    refuse("{}{}", 0, "text after the value");
    str_init(&s);
    for (int i = 0; i < 100000; i++)
        str_append_char(&s, '[');
    struct str nested;
    str_init(&nested);
    str_appendf(&nested, "{\"w\":{\"x\":%s", s.data);
    refuse(nested.data, 0, "nesting deeper than 64");
    str_release(&nested);
    str_release(&s);
    refuse(W("\"dtype\":\"F32\",\"shape\":[1E400],\"data_offsets\":[0,4]"), 4, "$.w.shape[0]");
    refuse(W("\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]"), 4, "header:1:");
    refuse(W("\"dtype\":\"F32\",\"shape\":[+1],\"data_offsets\":[0,4]"), 4, "header:1:");
    refuse(W("\"dtype\":\"F32\",\"shape\":[NaN],\"data_offsets\":[0,4]"), 4, "$.w.shape[0]");
}

static void refuses_a_number_of_10000_digits(void **state)
{
    struct str s;
    str_init(&s);
    str_append(&s, "{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4],\"shape\":[");
    for (int i = 0; i < 10000; i++)
        str_append_char(&s, '7');
    str_append(&s, "]}}");
    refuse(s.data, 4, "$.w.shape[0]");
    str_release(&s);
}

static void refuses_duplicates(void **state)
{
    refuse("{\"w\":{" F32_2x2 "},\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[16,20]}}", 20,
           "duplicate key \"w\"");
    refuse("{\"w\":{" F32_2x2 "},\"w\":{" F32_2x2 "}}", 16, "duplicate key \"w\"");
    refuse("{\"a\":{" F32_2x2 "},\"\\u0061\":{" F32_2x2 "}}", 16, "duplicate key \"a\"");
    refuse("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate key \"__metadata__\"");
    refuse(W(F32_2x2 ",\"dtype\":\"F32\""), 16, "$.w: duplicate key \"dtype\"");
}

static void refuses_bad_metadata(void **state)
{
    refuse("{\"__metadata__\":{\"k\":1}}", 0, "$.__metadata__.k: ");
    refuse("{\"__metadata__\":{\"k\":1}}", 0, "expected a string");
    refuse("{\"__metadata__\":{" F32_2x2 "}}", 16, "$.__metadata__.shape");
    refuse("{\"__metadata__\":[]}", 0, "$.__metadata__");
}

static void refuses_bad_entries(void **state)
{
    refuse(W("\"dtype\":\"F33\",\"shape\":[2,2],\"data_offsets\":[0,16]"), 16,
           "tensor \"w\": unknown dtype \"F33\"");
    refuse(W("\"shape\":[2,2],\"data_offsets\":[0,16]"), 16, "tensor \"w\": missing \"dtype\"");
    refuse(W("\"dtype\":\"F32\",\"data_offsets\":[0,16]"), 16, "tensor \"w\": missing \"shape\"");
    refuse(W("\"dtype\":\"F32\",\"shape\":[2,2]"), 16, "tensor \"w\": missing \"data_offsets\"");
    refuse("{\"w\":3}", 0, "$.w");
    refuse(W("\"dtype\":\"F32\",\"shape\":[2,-1],\"data_offsets\":[0,16]"), 16, "$.w.shape[1]");
    refuse(W("\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]"), 8, "$.w.shape[0]");
    refuse(W("\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]"), 8, "$.w.shape[0]");
    refuse(W("\"dtype\":\"F32\",\"shape\":[1e3],\"data_offsets\":[0,8]"), 8, "$.w.shape[0]");
    refuse(W("\"dtype\":\"F32\",\"shape\":[2,18446744073709551614],\"data_offsets\":[0,16]"), 16,
           "tensor \"w\": element count overflows");
    refuse(W("\"dtype\":\"I32\",\"shape\":[2,9223372036854775807],\"data_offsets\":[0,16]"), 16,
           "tensor \"w\": element count overflows");
    refuse(W("\"dtype\":\"I32\",\"shape\":[2,4611686018427387903],\"data_offsets\":[0,16]"), 16,
           "tensor \"w\": byte size overflows");
    refuse(W("\"dtype\":\"F4\",\"shape\":[5],\"data_offsets\":[0,2]"), 2,
           "tensor \"w\": 5 elements of F4 do not fill whole bytes");
}

static void refuses_too_many_dims(void **state)
{
    struct str s;
    str_init(&s);
    str_append(&s, "{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,1],\"shape\":[1");
    for (int i = 1; i < 10000; i++)
        str_append(&s, ",1");
    str_append(&s, "]}}");
    refuse(s.data, 1, "tensor \"w\": 10000 dimensions, at most 16");
    str_release(&s);
}

static void refuses_bad_places(void **state)
{
    refuse(W("\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[16,0]"), 16,
           "tensor \"w\": data_offsets [16,0]: end before begin");
    refuse(W("\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[16]"), 16,
           "tensor \"w\": data_offsets has 1 entries, expected 2");
    refuse(W("\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16,32]"), 16,
           "tensor \"w\": data_offsets has 3 entries, expected 2");
    refuse(W("\"dtype\":\"F32\",\"shape\":[20,20],\"data_offsets\":[0,1600]"), 1200,
           "tensor \"w\": data ends at 1600, file holds 1200 data bytes: truncated");
    refuse(W("\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,4]"), 16,
           "tensor \"w\": 4 bytes for 4 elements of F32, expected 16");
    refuse(W("\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[18446744073709551608,18446744073709551615]"),
           16, "tensor \"w\": 7 bytes for 8 elements");
    refuse(W("\"dtype\":\"U8\",\"shape\":[7],\"data_offsets\":[18446744073709551608,18446744073709551615]"),
           16, "tensor \"w\": data ends at 18446744073709551615, file holds 16 data bytes");
    refuse("{\"a\":{" F32_2x2 "},\"b\":{" F32_2x2 "}}", 16, "tensors \"a\" and \"b\" overlap at [0,16)");
    refuse("{\"a\":{" F32_2x2 "},\"b\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[24,32]}}", 32,
           "8 unreferenced bytes at [16,24) before \"b\"");
    refuse(W(F32_2x2), 50, "34 bytes after the last tensor (found 50 data bytes, expected 16)");
    refuse("{}", 3, "3 bytes after the last tensor");
    refuse(W(F32_2x2), 14, "data ends at 16, file holds 14 data bytes: truncated");
}

static void tells_what_to_do_about_a_truncated_file(void **state)
{
    struct safetensors st;
    struct str s;
    str_init(&s);
    make(&s, W(F32_2x2), 14);
    error_clear();
    assert_int_equal(safetensors_open_memory(&st, "m", s.data, s.length), ERR_DATA);
    assert_non_null(strstr(error_hint_text(), "download"));
    error_clear();
    str_release(&s);
}

/* 100,000 tensors over the same bytes: refused, and soon. */
static void refuses_many_names_on_one_buffer(void **state)
{
    struct str s;
    str_init(&s);
    for (int i = 0; i < 100000; i++)
        str_appendf(&s, "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[0,16]}", i ? "," : "{",
                    i);
    str_append(&s, "}");
    refuse(s.data, 16, "overlap at [0,16)");
    str_release(&s);
}

static void checks_names(void **state)
{
    struct str s, name;
    refuse("{\"a\\u0000b\":{" F32_2x2 "}}", 16, "holds a control character");
    refuse("{\"a\\nb\":{" F32_2x2 "}}", 16, "holds a control character");
    refuse("{\"\\u001b[2Jb\":{" F32_2x2 "}}", 16, "holds a control character");
    refuse("{\"\":{" F32_2x2 "}}", 16, "has a length outside 1 to 4096 bytes");
    str_init(&s);
    str_init(&name);
    for (int i = 0; i < 1000000; i++)
        str_append_char(&name, 'n');
    str_appendf(&s, "{\"%s\":{" F32_2x2 "}}", name.data);
    refuse(s.data, 16, "has a length outside 1 to 4096 bytes");
    str_release(&s);
    str_release(&name);
    refuse("{\"a\":{" F32_2x2 "},\"\xc2\x9b\":{}}", 16, "missing \"dtype\"");
    accept("{\"\xe6\x97\xa5\":{" F32_2x2 "}}", 16, 1);
}

static void names_other_formats(void **state)
{
    static const char lfs[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1300000000\n";
    refuse_bytes(lfs, strlen(lfs), "looks like a Git LFS pointer (1.30 GB object not downloaded)");
    refuse_bytes("PK\003\004................", 20, "looks like a ZIP archive");
    refuse_bytes("GGUF................", 20, "looks like a GGUF file");
    refuse_bytes("\x80\002}q\001........X", 14, "looks like a Python pickle");
    refuse_bytes("<!DOCTYPE html><html>", 21, "looks like an HTML page");
    refuse_bytes("404: Not Found", 14, "looks like an error page");
    refuse_bytes("\0\0\0\0\0\0\0\2{}", 10, "the header length is big-endian");
}

static void accepts_what_real_files_do(void **state)
{
    accept("{}", 0, 0);
    accept("{}      ", 0, 0);
    accept(" \n{}\t ", 0, 0);
    accept("{\"__metadata__\":null}", 0, 0);
    accept("{\"__metadata__\":{}}", 0, 0);
    accept(W("\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]"), 4, 1);
    accept(W("\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[0,0]"), 0, 1);
    accept(W("\"dtype\":\"F8_E8M0\",\"shape\":[3],\"data_offsets\":[0,3]"), 3, 1);
    accept(W("\"dtype\":\"F4\",\"shape\":[6],\"data_offsets\":[0,3]"), 3, 1);
    accept(W("\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[0,3]"), 3, 1);
    accept(W("\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[0,8]"), 8, 1);
    accept(W("\"extra\":[1,{\"a\":null}]," F32_2x2), 16, 1);
    accept("{\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[16,20]},\"a\":{" F32_2x2 "},"
           "\"z\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[16,16]}}",
           20, 3);
    accept(W("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]"), 1, 1);
}

static void accepts_a_header_of_megabytes(void **state)
{
    struct str s;
    str_init(&s);
    for (int i = 0; i < 50000; i++)
        str_appendf(&s, "%s\"layer.%d.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                    i ? "," : "{", i, i, i + 1);
    str_append(&s, "}");
    accept(s.data, 50000, 50000);
    str_release(&s);
}

/* Every prefix of a good file is refused; nothing is read beyond it (the sanitizer would tell). */
static void refuses_every_prefix(void **state)
{
    struct safetensors st;
    struct str s;
    str_init(&s);
    make(&s,
         "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{" F32_2x2 "},"
         "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[16,20]}}",
         20);
    for (size_t n = 0; n < s.length; n++) {
        error_clear();
        assert_int_equal(safetensors_open_memory(&st, "m", s.data, n), ERR_DATA);
        assert_string_not_equal(error_message(), "");
    }
    error_clear();
    str_release(&s);
}

static void opens_only_regular_files(void **state)
{
    struct safetensors st;
    char *path = scratch_path(state, "fifo"), *link = scratch_path(state, "loop"),
         *good = scratch_path(state, "good");
    char *other = scratch_path(state, "link"), *absent = scratch_path(state, "absent");
    struct str s;
    error_clear();
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(safetensors_open(&st, path), ERR_OPEN);
    expect_text("not a regular file");
    error_clear();
    assert_int_equal(safetensors_open(&st, *state), ERR_OPEN);
    error_clear();
    assert_int_equal(safetensors_open(&st, "/dev/zero"), ERR_OPEN);
    expect_text("not a regular file");
    error_clear();
    assert_int_equal(symlink(link, link), 0);
    assert_int_equal(safetensors_open(&st, link), ERR_OPEN);
    error_clear();
    assert_int_equal(safetensors_open(&st, absent), ERR_OPEN);
    expect_text("No such file");
    error_clear();
    str_init(&s);
    make(&s, W(F32_2x2), 16);
    scratch_put(good, s.data, s.length);
    assert_int_equal(symlink("good", other), 0);
    assert_int_equal(safetensors_open(&st, other), OK);

    /* cut while it is open: an error, no signal */
    char bytes[16];
    assert_int_equal(truncate(good, (off_t)s.length - 4), 0);
    assert_int_equal(safetensors_read(&st, &st.tensors[0], 0, bytes, 16), ERR_IO);
    error_clear();
    assert_int_equal(safetensors_read(&st, &st.tensors[0], 4, bytes, 8), OK);
    assert_int_equal(bytes[0], 4);
    safetensors_close(&st);
    str_release(&s);
    mem_free(path), mem_free(link), mem_free(good), mem_free(other), mem_free(absent);
}

static void reads_values(void **state)
{
    struct safetensors st;
    struct str s;
    float f[4];
    int64_t i[3];
    str_init(&s);
    make(&s,
         "{\"i\":{\"dtype\":\"I16\",\"shape\":[3],\"data_offsets\":[8,14]},"
         "\"h\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]},"
         "\"u\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[14,22]}}",
         22);
    memcpy(s.data + s.length - 22,
           "\x00\x3c\x00\xc0\x01\x00\x00\x7c\xff\xff\x00\x80\x05\x00\xff\xff\xff\xff\xff\xff\xff\xff", 22);
    assert_int_equal(safetensors_open_memory(&st, "m", s.data, s.length), OK);
    assert_int_equal(safetensors_read_float(&st, safetensors_find(&st, "h"), f), OK);
    assert_true(f[0] == 1.0f && f[1] == -2.0f && f[2] == 0x1p-24f && f[3] > 3e38f);
    assert_int_equal(safetensors_read_int64(&st, safetensors_find(&st, "i"), i), OK);
    assert_true(i[0] == -1 && i[1] == -32768 && i[2] == 5);
    assert_null(safetensors_find(&st, "x"));
    assert_int_equal(safetensors_read_int64(&st, safetensors_find(&st, "u"), i), ERR_DATA);
    expect_text("m: tensor \"u\": a value is beyond 63 bits");
    error_clear();
    assert_int_equal(safetensors_read_float(&st, safetensors_find(&st, "i"), f), ERR_DATA);
    expect_text("m: tensor \"i\": elements are I16, expected F32, F64, F16 or BF16");
    error_clear();
    assert_int_equal(safetensors_read_int64(&st, safetensors_find(&st, "h"), i), ERR_DATA);
    error_clear();
    safetensors_close(&st);
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_lengths),
        cmocka_unit_test_setup_teardown(refuses_a_long_header_before_reading_it, scratch_create,
                                        scratch_remove),
        cmocka_unit_test(refuses_bad_json),
        cmocka_unit_test(refuses_a_number_of_10000_digits),
        cmocka_unit_test(refuses_duplicates),
        cmocka_unit_test(refuses_bad_metadata),
        cmocka_unit_test(refuses_bad_entries),
        cmocka_unit_test(refuses_too_many_dims),
        cmocka_unit_test(refuses_bad_places),
        cmocka_unit_test(tells_what_to_do_about_a_truncated_file),
        cmocka_unit_test(refuses_many_names_on_one_buffer),
        cmocka_unit_test(checks_names),
        cmocka_unit_test(names_other_formats),
        cmocka_unit_test(accepts_what_real_files_do),
        cmocka_unit_test(accepts_a_header_of_megabytes),
        cmocka_unit_test(refuses_every_prefix),
        cmocka_unit_test_setup_teardown(opens_only_regular_files, scratch_create, scratch_remove),
        cmocka_unit_test(reads_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
