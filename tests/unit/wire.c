/* Encodings against the examples of the protocol buffers' documentation, CRC-32C against RFC 3720, framing
 * against the first bytes of TensorBoard's files; a reader that is given broken bytes. */
#include "base/wire.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"

static void encodings_are_those_of_the_documentation(void **state)
{
    struct str s;
    str_init(&s);
    wire_put_varint(&s, 1, 150);
    assert_int_equal(s.length, 3);
    assert_memory_equal(s.data, "\x08\x96\x01", 3);
    str_clear(&s);
    wire_put_bytes(&s, 2, "testing", 7);
    assert_int_equal(s.length, 9);
    assert_memory_equal(s.data, "\x12\x07testing", 9);
    str_clear(&s);
    wire_put_varint(&s, 1, (uint64_t)-2);
    assert_int_equal(s.length, 11);
    assert_memory_equal(s.data, "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    str_clear(&s);
    wire_put_double(&s, 1, 1.0);
    wire_put_float(&s, 16, -2.0f);
    assert_int_equal(s.length, 15);
    assert_memory_equal(s.data, "\x09\0\0\0\0\0\0\xf0\x3f\x85\x01\0\0\0\xc0", 15);
    str_clear(&s);
    wire_put_varint(&s, (1 << 29) - 1, 0);
    assert_int_equal(s.length, 6);
    assert_memory_equal(s.data, "\xf8\xff\xff\xff\x0f\0", 6);
    str_release(&s);
}

static void crc_is_that_of_the_standard(void **state)
{
    unsigned char bytes[32];
    assert_int_equal(crc32c("", 0), 0);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(crc32c(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(bytes, 32), 0x46dd794e);
}

static uint32_t crc_bit_by_bit(const unsigned char *p, size_t length)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < length; i++)
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (((crc ^ p[i] >> bit) & 1) ? 0x82f63b78 : 0);
    return ~crc;
}

static void crc_agrees_with_the_definition(void **state)
{
    unsigned char bytes[400];
    for (uint32_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)rng_below((struct rng_key){ 1, 1 }, 0, i, 256);
    for (size_t length = 0; length <= sizeof(bytes); length++)
        assert_int_equal(crc32c(bytes, length), crc_bit_by_bit(bytes, length));
}

/* An event file starts with a record of 24 bytes: an Event with a wall time and file_version "brain.Event:2".
 */
static void records_are_framed_as_tensorboard_wants(void **state)
{
    struct str event, s;
    str_init(&event);
    str_init(&s);
    str_append(&s, "before");
    wire_put_double(&event, 1, 1.5e9);
    wire_put_bytes(&event, 3, "brain.Event:2", 13);
    assert_int_equal(event.length, 24);
    wire_put_record(&s, event.data, event.length);
    assert_int_equal(s.length, 6 + 8 + 4 + 24 + 4);
    assert_memory_equal(s.data, "before\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\x09", 6 + 13);
    assert_memory_equal(s.data + 18, event.data, 24);
    uint32_t crc = crc_bit_by_bit((const unsigned char *)event.data, 24), stored;
    memcpy(&stored, s.data + 42, 4);
    assert_int_equal(stored, (uint32_t)((crc >> 15 | crc << 17) + 0xa282ead8));
    str_release(&s);
    str_release(&event);
}

static double double_of(const struct wire_field *f)
{
    double v;

    memcpy(&v, &f->value, sizeof(v));
    return v;
}

static void what_was_written_is_read(void **state)
{
    static const uint64_t numbers[] = { 0, 1, 127, 128, 300, UINT32_MAX, INT64_MAX, UINT64_MAX };
    struct wire_reader r;
    struct wire_field f;
    struct str s;
    str_init(&s);
    for (int i = 0; i < 8; i++)
        wire_put_varint(&s, i + 1, numbers[i]);
    wire_put_double(&s, 1000, -0.1);
    wire_put_float(&s, 1001, 0.1f);
    wire_put_bytes(&s, 1002, "a\0b", 3);
    wire_put_bytes(&s, 1003, NULL, 0);
    wire_reader_init(&r, "test", s.data, s.length);
    for (int i = 0; i < 8; i++) {
        assert_true(wire_next(&r, &f));
        assert_int_equal(f.number, i + 1);
        assert_int_equal(f.type, WIRE_VARINT);
        assert_true(f.value == numbers[i]);
        assert_null(f.bytes);
    }
    assert_true(wire_next(&r, &f) && f.number == 1000 && f.type == WIRE_64_BIT && double_of(&f) == -0.1);
    assert_true(wire_next(&r, &f) && f.number == 1001 && f.type == WIRE_32_BIT && wire_float(&f) == 0.1f);
    assert_true(wire_next(&r, &f) && f.number == 1002 && f.type == WIRE_BYTES && f.value == 3);
    assert_memory_equal(f.bytes, "a\0b", 3);
    assert_true(wire_next(&r, &f) && f.number == 1003 && f.type == WIRE_BYTES && f.value == 0);
    assert_false(wire_next(&r, &f));
    assert_false(wire_next(&r, &f));
    assert_int_equal(wire_status(&r), OK);
    str_release(&s);
}

/* Reads all fields from a copy that ends where the bytes end, so that the sanitizer sees a step too far. */
static int read_all(const char *bytes, size_t length, int *fields)
{
    struct wire_reader r;
    struct wire_field f;
    char *copy = mem_resize(NULL, length);
    memcpy(copy, bytes, length);
    wire_reader_init(&r, "test", copy, length);
    unsigned sum = 0;
    for (*fields = 0; wire_next(&r, &f); ++*fields)
        for (uint64_t i = 0; f.bytes && i < f.value; i++)
            sum += (unsigned char)f.bytes[i];
    int status = wire_status(&r);
    assert_false(wire_next(&r, &f));
    mem_free(copy);
    return sum == ~0u ? OK : status;
}

static void broken_bytes_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *message;
    } rows[] = {
        { "\x08", 1, "test: byte 1: the data end inside a number" },
        { "\x08\x01\x08\x80", 4, "test: byte 3: the data end inside a number" },
        { "\x09\0\0\0\0\0\0\0", 8, "test: byte 1: the data end inside a number" },
        { "\x0d\0\0\0", 4, "test: byte 1: the data end inside a number" },
        { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11,
          "test: byte 1: a number has more than 64 bits" },
        { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 12,
          "test: byte 1: a number has more than 64 bits" },
        { "\x12\x03"
          "ab",
          4, "test: byte 2: a field reaches beyond the end of the data" },
        { "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11,
          "test: byte 11: a field reaches beyond the end of the data" },
        { "\x00\x01", 2, "test: byte 1: a field's number is out of range" },
        { "\x80\x80\x80\x80\x10\x01", 6, "test: byte 5: a field's number is out of range" },
        { "\x0b", 1, "test: byte 1: unknown wire type (groups are not supported)" },
        { "\x0f", 1, "test: byte 1: unknown wire type (groups are not supported)" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fields;
        assert_int_equal(read_all(rows[i].bytes, rows[i].length, &fields), ERR_DATA);
        assert_string_equal(error_message(), rows[i].message);
        error_clear();
    }
}

static void no_bytes_lead_astray(void **state)
{
    static const struct rng_key key = { 3, 3 };
    struct str s;
    int fields;
    str_init(&s);
    wire_put_varint(&s, 1, 1u << 20);
    wire_put_bytes(&s, 2, "0123456789", 10);
    wire_put_double(&s, 3, 1);
    for (size_t length = 0; length < s.length; length++) { /* cut anywhere but between fields is an error */
        int status = read_all(s.data, length, &fields);
        assert_int_equal(status, length == 0 || length == 4 || length == 16 ? OK : ERR_DATA);
        error_clear();
    }
    int good = 0;
    for (uint64_t i = 0; i < 50000; i++) {
        uint64_t at = rng_below(key, 1, i, s.length);
        char kept = s.data[at];
        s.data[at] = (char)rng_below(key, 2, i, 256);
        good += read_all(s.data, s.length, &fields) == OK;
        error_clear();
        s.data[at] = kept;
    }
    assert_true(good > 10000 && good < 45000);
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_are_those_of_the_documentation),
        cmocka_unit_test(crc_is_that_of_the_standard),
        cmocka_unit_test(crc_agrees_with_the_definition),
        cmocka_unit_test(records_are_framed_as_tensorboard_wants),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(broken_bytes_are_refused),
        cmocka_unit_test(no_bytes_lead_astray),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
