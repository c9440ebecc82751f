/* The safetensors writer, and the file it writes to. */
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

static void expect_text(const char *text)
{
    if (strstr(error_message(), text) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", error_message(), text);
}

struct memory_sink {
    struct sink sink;
    struct str bytes;
    int fail_after; /* calls that still succeed; -1: all */
};

static int write_memory(struct sink *sink, const void *bytes, size_t length)
{
    struct memory_sink *m = (struct memory_sink *)sink;
    if (m->fail_after == 0)
        return (fail)(ERR_IO, "sink is full");
    m->fail_after--;
    str_append_bytes(&m->bytes, bytes, length);
    return OK;
}

static void write_two(struct safetensors_writer *w)
{
    static const int64_t a[] = { 2, 3 }, b[] = { 0 };
    static const float values[] = { 1, 2, 3, 4, 5, 6 };
    safetensors_writer_metadata(w, "format", "pt");
    safetensors_writer_declare(w, "a", element_named("BF16"), 2, a);
    safetensors_writer_declare(w, "empty", element_named("F32"), 1, b);
    safetensors_writer_declare(w, "s", element_named("I64"), 0, NULL);
    safetensors_writer_header(w);
    safetensors_writer_floats(w, values, 4);
    safetensors_writer_floats(w, values + 4, 2);
    safetensors_writer_bytes(w, "\7\0\0\0\0\0\0\0", 8);
}

static void writes_what_the_library_writes(void **state)
{
    struct memory_sink m = { .sink.write = write_memory, .fail_after = -1 };
    struct safetensors_writer w;
    struct safetensors st;
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                                 "\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                                 "\"empty\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[12,12]},"
                                 "\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[12,20]}}";
    float f[6];
    int64_t i;
    str_init(&m.bytes);
    safetensors_writer_init(&w, &m.sink);
    write_two(&w);
    assert_int_equal(safetensors_writer_end(&w), OK);

    size_t padded = (strlen(header) + 7) / 8 * 8;
    assert_int_equal(m.bytes.length, 8 + padded + 20);
    assert_memory_equal(m.bytes.data + 8, header, strlen(header));
    for (size_t k = strlen(header); k < padded; k++)
        assert_int_equal(m.bytes.data[8 + k], ' ');
    assert_memory_equal(m.bytes.data + 8 + padded, "\x80\x3f\x00\x40\x40\x40\x80\x40\xa0\x40\xc0\x40\7", 13);

    assert_int_equal(safetensors_open_memory(&st, "m", m.bytes.data, m.bytes.length), OK);
    assert_string_equal(safetensors_metadata(&st, "format"), "pt");
    assert_null(safetensors_metadata(&st, "x"));
    assert_int_equal(safetensors_read_float(&st, safetensors_find(&st, "a"), f), OK);
    assert_true(f[0] == 1 && f[5] == 6);
    assert_int_equal(safetensors_read_int64(&st, safetensors_find(&st, "s"), &i), OK);
    assert_int_equal(i, 7);
    safetensors_close(&st);
    str_release(&m.bytes);
}

static void reports_the_sinks_failure(void **state)
{
    for (int k = 0; k < 4; k++) {
        struct memory_sink m = { .sink.write = write_memory, .fail_after = k };
        struct safetensors_writer w;
        str_init(&m.bytes);
        error_clear();
        safetensors_writer_init(&w, &m.sink);
        write_two(&w);
        assert_int_equal(safetensors_writer_end(&w), ERR_IO);
        str_release(&m.bytes);
    }
    error_clear();
}

static void refuses_values_that_do_not_fit(void **state)
{
    struct memory_sink m = { .sink.write = write_memory, .fail_after = -1 };
    struct safetensors_writer w;
    static const int64_t shape[] = { 2 };
    static const float values[] = { 1, 70000 };
    str_init(&m.bytes);
    error_clear();
    safetensors_writer_init(&w, &m.sink);
    safetensors_writer_declare(&w, "w", element_named("F16"), 1, shape);
    safetensors_writer_header(&w);
    safetensors_writer_floats(&w, values, 2);
    assert_int_equal(safetensors_writer_end(&w), ERR_DATA);
    expect_text("tensor \"w\": a value is too large for F16");
    error_clear();
    str_release(&m.bytes);
}

static void replaces_a_file_whole_or_not_at_all(void **state)
{
    char *path = scratch_path(state, "out.safetensors"), *link = scratch_path(state, "link");
    struct file_sink f;
    struct str s;
    struct stat info;
    str_init(&s);
    scratch_put(path, "old", 3);
    assert_int_equal(symlink("out.safetensors", link), 0);

    assert_int_equal(file_sink_begin(&f, link), OK);
    assert_int_equal(f.sink.write(&f.sink, "half", 4), OK);
    assert_int_equal(file_sink_end(&f, ERR_IO), ERR_IO);
    FILE *in = fopen(path, "rb");
    char text[8] = { 0 };
    assert_int_equal(fread(text, 1, 8, in), 3);
    fclose(in);
    assert_string_equal(text, "old");

    assert_int_equal(file_sink_begin(&f, link), OK);
    assert_int_equal(f.sink.write(&f.sink, "new!", 4), OK);
    assert_int_equal(file_sink_end(&f, OK), OK);
    in = fopen(path, "rb");
    assert_int_equal(fread(text, 1, 8, in), 4);
    fclose(in);
    assert_string_equal(text, "new!");
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));

    error_clear();
    assert_int_equal(file_sink_begin(&f, *state), ERR_CREATE);
    error_clear();
    assert_int_equal(file_sink_begin(&f, "/dev/null"), OK);
    assert_int_equal(f.sink.write(&f.sink, "x", 1), OK);
    assert_int_equal(file_sink_end(&f, OK), OK);
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    str_release(&s);
    mem_free(path), mem_free(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_the_library_writes),
        cmocka_unit_test(reports_the_sinks_failure),
        cmocka_unit_test(refuses_values_that_do_not_fit),
        cmocka_unit_test_setup_teardown(replaces_a_file_whole_or_not_at_all, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
