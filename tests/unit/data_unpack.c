/* Compressed data: the bytes that come out, and in which words what is damaged is refused. */
#include "data/unpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef PLAIT_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef PLAIT_HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lib/documents.h"
#include "lib/scratch.h"

static void pack_gzip(struct str *out, const char *bytes, size_t length)
{
#ifdef PLAIT_HAVE_ZLIB
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, length);
    char *packed = mem_alloc(bound);
    z.next_in = (unsigned char *)(uintptr_t)bytes;
    z.avail_in = (unsigned)length;
    z.next_out = (unsigned char *)packed;
    z.avail_out = (unsigned)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    str_append_bytes(out, packed, z.total_out);
    deflateEnd(&z);
    mem_free(packed);
#else
    (void)out, (void)bytes, (void)length;
    skip();
#endif
}

static void pack_zstd(struct str *out, const char *bytes, size_t length)
{
#ifdef PLAIT_HAVE_ZSTD
    size_t bound = ZSTD_compressBound(length);
    char *packed = mem_alloc(bound);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t size = ZSTD_compress2(context, packed, bound, bytes, length);
    assert_false(ZSTD_isError(size));
    str_append_bytes(out, packed, size);
    ZSTD_freeCCtx(context);
    mem_free(packed);
#else
    (void)out, (void)bytes, (void)length;
    skip();
#endif
}

static void pack(enum packing packing, struct str *out, const char *bytes, size_t length)
{
    if (packing == PACKING_GZIP)
        pack_gzip(out, bytes, length);
    else
        pack_zstd(out, bytes, length);
}

/* All bytes, asked for in steps. */
static int unpack(const char *path, enum packing packing, size_t step, struct str *out)
{
    struct unpacker *u;
    size_t count = 1;
    int fd;
    char *bytes = mem_alloc(step);
    assert_int_equal(file_open(path, &fd), OK);
    int status = unpacker_create(packing, fd, path, &u);
    assert_int_equal(status, OK);
    while (status == OK && count) {
        status = unpacker_read(u, bytes, step, &count);
        if (status == OK)
            str_append_bytes(out, bytes, count);
    }
    unpacker_free(u);
    mem_free(bytes);
    close(fd);
    return status;
}

/* Text, then what packs badly: several times the buffers. */
static void make(struct str *text)
{
    struct rng_key key = { .seed = 3 };
    for (int i = 0; i < 60000; i++)
        str_append(text, "the same line\n");
    for (uint64_t i = 0; i < 700000; i++)
        str_append_char(text, (char)rng_below(key, 0, i, 256));
}

static void round_trip(void **state, enum packing packing)
{
    static const size_t steps[] = { 1000, 300000, 4 << 20 };
    char *path = scratch_path(state, "packed");
    struct str text, packed, out;
    str_init(&text);
    str_init(&packed);
    str_init(&out);
    make(&text);
    pack(packing, &packed, text.data, text.length);
    pack(packing, &packed, "", 0);
    pack(packing, &packed, text.data, 5);
    scratch_put(path, packed.data, packed.length);
    str_append_bytes(&text, text.data, 5);
    for (int i = 0; i < 3; i++) {
        str_clear(&out);
        assert_int_equal(unpack(path, packing, steps[i], &out), OK);
        assert_int_equal(out.length, text.length);
        assert_memory_equal(out.data, text.data, text.length);
    }
    str_release(&text);
    str_release(&packed);
    str_release(&out);
    mem_free(path);
}

/* Cut anywhere, and with any bit changed, it is refused or gives what was packed. */
static void every_damage(void **state, enum packing packing, const char *name)
{
    static const char text[] = "some text, some more text, and some text again\n";
    char *path = scratch_path(state, name);
    struct str packed, out;
    str_init(&packed);
    str_init(&out);
    pack(packing, &packed, text, sizeof(text) - 1);
    for (size_t i = 1; i < packed.length; i++) {
        scratch_put(path, packed.data, i);
        assert_int_equal(unpack(path, packing, 100, &out), ERR_DATA);
        assert_non_null(strstr(error_message(), " data is cut off at byte "));
        error_clear();
    }
    for (size_t i = 0; i < packed.length * 8; i++) {
        packed.data[i / 8] ^= (char)(1 << i % 8);
        scratch_put(path, packed.data, packed.length);
        packed.data[i / 8] ^= (char)(1 << i % 8);
        str_clear(&out);
        int status = unpack(path, packing, 100, &out);
        if (status == OK && (out.length != sizeof(text) - 1 || memcmp(out.data, text, out.length) != 0))
            fail_msg("bit %zu", i);
        assert_true(status == OK || status == ERR_DATA);
        error_clear();
    }
    str_append(&packed, "and more");
    scratch_put(path, packed.data, packed.length);
    assert_int_equal(unpack(path, packing, 100, &out), ERR_DATA);
    error_clear();
    str_release(&packed);
    str_release(&out);
    mem_free(path);
}

static void gzip_is_unpacked(void **state)
{
    round_trip(state, PACKING_GZIP);
}

static void zstd_is_unpacked(void **state)
{
    round_trip(state, PACKING_ZSTD);
}

static void damaged_gzip_is_refused(void **state)
{
    every_damage(state, PACKING_GZIP, "d.gz");
}

static void damaged_zstd_is_refused(void **state)
{
    every_damage(state, PACKING_ZSTD, "d.zst");
}

static void zeros_may_follow_gzip(void **state)
{
    char *path = scratch_path(state, "zeros.gz");
    struct str packed, out;
    str_init(&packed);
    str_init(&out);
    pack(PACKING_GZIP, &packed, "text", 4);
    str_append_bytes(&packed, "\0\0\0\0", 4);
    scratch_put(path, packed.data, packed.length);
    assert_int_equal(unpack(path, PACKING_GZIP, 100, &out), OK);
    assert_string_equal(out.data, "text");
    str_release(&packed);
    str_release(&out);
    mem_free(path);
}

static void put_packed(const char *path, enum packing packing, const char *text)
{
    struct str packed;
    str_init(&packed);
    pack(packing, &packed, text, strlen(text));
    scratch_put(path, packed.data, packed.length);
    str_release(&packed);
}

static void every_format_may_be_packed(void **state)
{
    static const struct {
        const char *name, *text, *documents;
    } cases[] = {
        { "a.txt", "x\ny", "|x\n||y|" },
        { "a.csv", "id,body\n1,\"x\ny\"\n", "|x\ny|" },
        { "a.jsonl", "{\"text\": \"x\"}\n", "|x|" },
        { "a.json", "[{\"text\": \"x\"}, {\"text\": \"y\"}]", "|x||y|" },
    };
    struct source_options o = { .spool_directory = *state };
    for (size_t i = 0; i < 4; i++)
        for (int packing = PACKING_GZIP; packing < PACKING_COUNT; packing++) {
            char name[20];
            snprintf(name, sizeof(name), "%s%s", cases[i].name, packing_endings[packing]);
            char *path = scratch_path(state, name);
            put_packed(path, (enum packing)packing, cases[i].text);
            char *found = documents_with(&o, path);
            assert_string_equal(found, cases[i].documents);
            mem_free(found);
            mem_free(path);
        }
}

static void names_have_to_be_right(void **state)
{
    char *plain = scratch_path(state, "plain.csv.gz"), *packed = scratch_path(state, "packed.csv");
    char *other = scratch_path(state, "other.csv.zst");
    put_packed(packed, PACKING_GZIP, "text\nx\n");
    put_packed(other, PACKING_GZIP, "text\nx\n");
    scratch_put(plain, "text\nx\n", 7);
    assert_documents_fail(packed, ERR_DATA, "packed.csv: not text: looks like gzip");
    assert_string_equal(error_hint_text(), "rename it so that it ends in .gz");
    error_clear();
    assert_documents_fail(other, ERR_DATA, "other.csv.zst: not zstd: looks like gzip");
    error_clear();
    assert_documents_fail(plain, ERR_DATA, "plain.csv.gz: not gzip: looks like something else");
    error_clear();
    scratch_put(plain, "", 0);
    assert_documents_fail(plain, ERR_DATA, "plain.csv.gz: not gzip: looks like an empty file");
    error_clear();
    mem_free(plain);
    mem_free(packed);
    mem_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_is_unpacked),        cmocka_unit_test(zstd_is_unpacked),
        cmocka_unit_test(damaged_gzip_is_refused), cmocka_unit_test(damaged_zstd_is_refused),
        cmocka_unit_test(zeros_may_follow_gzip),   cmocka_unit_test(every_format_may_be_packed),
        cmocka_unit_test(names_have_to_be_right),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
