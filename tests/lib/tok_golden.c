#include "lib/tok_golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "lib/scratch.h"

#include <cmocka.h>

/* ---- files of JSON lines ---- */

void lines_read(struct lines *l, const char *path)
{
    const char *p, *end;

    str_init(&l->text);
    l->count = 0;
    assert_int_equal(file_read(path, 0, &l->text), OK);
    for (p = l->text.data, end = p + l->text.length; p < end; l->count++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        assert_true(stop && l->count < LINES_MOST);
        l->items[l->count] = (struct tok_text){ p, (size_t)(stop - p) };
        p = stop + 1;
    }
}

void string_of(struct tok_text line, struct str *out)
{
    struct json_reader r;
    struct json_string s;

    json_reader_init(&r, "line", line.bytes, line.length);
    assert_true(json_string(&r, &s));
    str_clear(out);
    str_append_bytes(out, s.data, s.length);
    assert_int_equal(json_end(&r), OK);
    json_reader_release(&r);
}

size_t ids_of(struct tok_text line, int32_t *ids, size_t most)
{
    struct json_reader r;
    size_t n = 0;

    json_reader_init(&r, "ids", line.bytes, line.length);
    assert_true(json_array_begin(&r));
    while (json_next_element(&r)) {
        assert_true(n < most);
        ids[n++] = (int32_t)json_int(&r, 0, INT32_MAX);
    }
    assert_int_equal(json_end(&r), OK);
    json_reader_release(&r);
    return n;
}

/* ---- encoding ---- */

static void expect_ids(const char *where, size_t line, const struct encoding *e, const int32_t *ids,
                       size_t count)
{
    if (e->count == count && (count == 0 || memcmp(e->ids, ids, count * sizeof(*ids)) == 0))
        return;
    print_error("%s, line %zu: %zu ids, expected %zu\n", where, line + 1, e->count, count);
    for (size_t i = 0; i < e->count || i < count; i++)
        print_error("  %d %d\n", i < e->count ? e->ids[i] : -1, i < count ? ids[i] : -1);
    fail();
}

/* All lines at once, so that padding and truncation act, as they do in the goldens; without them each line
 * alone too, with one encoder for all, and once more from its cache. */
static void check_encoding(const struct tokenizer *t, const char *path, bool bare, bool alone)
{
    static struct lines texts, expected;
    static struct encoding out[LINES_MOST];
    struct encode_options options = { .no_special_tokens = bare };
    struct encoder *encoder = encoder_create(t);
    struct tok_input inputs[LINES_MOST] = { 0 };
    static int32_t ids[4096];

    lines_read(&texts, GOLDEN_DIR "/tokenizer/lines.jsonl");
    lines_read(&expected, path);
    assert_int_equal(texts.count, expected.count);
    for (size_t i = 0; i < texts.count; i++) {
        struct str s;
        str_init(&s);
        string_of(texts.items[i], &s);
        inputs[i].text.length = s.length;
        inputs[i].text.bytes = str_detach(&s);
    }
    memset(out, 0, sizeof(out));
    assert_int_equal(tokenizer_encode_batch(t, inputs, texts.count, &options, out), OK);
    for (size_t i = 0; i < texts.count; i++) {
        size_t n = ids_of(expected.items[i], ids, 4096);
        expect_ids(path, i, &out[i], ids, n);
        for (int again = 0; alone && again < 2; again++) {
            out[i].count = 0;
            assert_int_equal(
                tokenizer_encode(encoder, inputs[i].text.bytes, inputs[i].text.length, &options, &out[i]),
                OK);
            expect_ids(path, i, &out[i], ids, n);
        }
        encoding_release(&out[i]);
        mem_free((char *)inputs[i].text.bytes);
    }
    encoder_free(encoder);
    str_release(&texts.text);
    str_release(&expected.text);
}

static void check_decoding(const struct tokenizer *t, const char *ids_path, const char *path, bool skip)
{
    static struct lines input, expected;
    static int32_t ids[4096];
    struct str want, got;

    str_init(&want);
    str_init(&got);
    lines_read(&input, ids_path);
    lines_read(&expected, path);
    assert_int_equal(input.count, expected.count);
    for (size_t i = 0; i < input.count; i++) {
        size_t n = ids_of(input.items[i], ids, 4096);
        string_of(expected.items[i], &want);
        str_clear(&got);
        assert_int_equal(tokenizer_decode(t, ids, n, skip, &got), OK);
        if (got.length != want.length || memcmp(got.data, want.data, got.length) != 0)
            fail_msg("%s, line %zu: \"%s\", expected \"%s\"", path, i + 1, got.data, want.data);
    }
    str_release(&want);
    str_release(&got);
    str_release(&input.text);
    str_release(&expected.text);
}

static void check_files(const struct tokenizer *t, const char *directory, bool alone)
{
    char *ids = path_join(directory, "ids.jsonl"), *bare = path_join(directory, "ids_bare.jsonl");
    char *decoded = path_join(directory, "decoded.jsonl"), *all = path_join(directory, "decoded_all.jsonl");
    char *broken = path_join(directory, "broken_ids.jsonl"),
         *mended = path_join(directory, "broken_decoded.jsonl");

    check_encoding(t, ids, false, alone);
    if (file_exists(bare))
        check_encoding(t, bare, true, alone);
    else
        check_encoding(t, ids, true, alone);
    if (file_exists(decoded)) {
        check_decoding(t, ids, decoded, true);
        check_decoding(t, ids, all, false);
    }
    if (file_exists(broken))
        check_decoding(t, broken, mended, true);
    mem_free(ids);
    mem_free(bare);
    mem_free(decoded);
    mem_free(all);
    mem_free(broken);
    mem_free(mended);
}

struct tokenizer *tok_golden_load(const char *path)
{
    struct tokenizer *t = NULL;

    if (tokenizer_load(path, &t) != OK)
        fail_msg("%s", error_message());
    return t;
}

/* Every golden directory as it is; saved and opened again it is the same tokenizer. */
void tok_golden_check(const char *root, void **state)
{
    static struct lines names;
    char *copy = scratch_path(state, "copy"), *list = path_join(root, "encoders.txt");

    lines_read(&names, list);
    for (size_t i = 0; i < names.count; i++) {
        char *name = mem_strndup(names.items[i].bytes, names.items[i].length),
             *folder = path_join(root, "encode"), *path = path_join(folder, name);
        struct tokenizer *t = tok_golden_load(path), *again;
        bool alone = !strstr(name, "cut");
        check_files(t, path, alone);
        assert_int_equal(directory_create(copy), OK);
        assert_int_equal(tokenizer_save(t, copy), OK);
        again = tok_golden_load(copy);
        check_files(again, path, alone);
        assert_int_equal(tokenizer_size(again), tokenizer_size(t));
        assert_true(tokenizer_hash(again) == tokenizer_hash(t));
        for (int k = 0; k < TOK_SPECIAL_COUNT; k++)
            assert_int_equal(tokenizer_special_id(again, k), tokenizer_special_id(t, k));
        tokenizer_free(t);
        tokenizer_free(again);
        assert_int_equal(directory_remove(copy), OK);
        mem_free(folder);
        mem_free(path);
        mem_free(name);
    }
    str_release(&names.text);
    mem_free(list);
    mem_free(copy);
}
