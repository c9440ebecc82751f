/* Tokenizers against the goldens of tests/oracle/tokenizer.py: ids and texts of hard lines, and directories
 * saved and opened again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "lib/scratch.h"
#include "tok/tok.h"

#include <cmocka.h>

#define GOLD GOLDEN_DIR "/tokenizer"
enum { LINES_MOST = 1024 };

/* ---- files of JSON lines ---- */

struct lines {
    struct str text;
    struct tok_text items[LINES_MOST];
    size_t count;
};

static void lines_read(struct lines *l, const char *path)
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

static void string_of(struct tok_text line, struct str *out)
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

static size_t ids_of(struct tok_text line, int32_t *ids, size_t most)
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
    struct tok_text inputs[LINES_MOST];
    static int32_t ids[4096];

    lines_read(&texts, GOLD "/lines.jsonl");
    lines_read(&expected, path);
    assert_int_equal(texts.count, expected.count);
    for (size_t i = 0; i < texts.count; i++) {
        struct str s;
        str_init(&s);
        string_of(texts.items[i], &s);
        inputs[i].length = s.length;
        inputs[i].bytes = str_detach(&s);
    }
    memset(out, 0, sizeof(out));
    assert_int_equal(tokenizer_encode_batch(t, inputs, texts.count, &options, out), OK);
    for (size_t i = 0; i < texts.count; i++) {
        size_t n = ids_of(expected.items[i], ids, 4096);
        expect_ids(path, i, &out[i], ids, n);
        for (int again = 0; alone && again < 2; again++) {
            out[i].count = 0;
            assert_int_equal(tokenizer_encode(encoder, inputs[i].bytes, inputs[i].length, &options, &out[i]),
                             OK);
            expect_ids(path, i, &out[i], ids, n);
        }
        encoding_release(&out[i]);
        mem_free((char *)inputs[i].bytes);
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

static struct tokenizer *load(const char *path)
{
    struct tokenizer *t = NULL;

    if (tokenizer_load(path, &t) != OK)
        fail_msg("%s", error_message());
    return t;
}

/* Every golden directory as it is; saved and opened again it is the same tokenizer. */
static void test_goldens(void **state)
{
    static struct lines names;
    char *copy = scratch_path(state, "copy");

    lines_read(&names, GOLD "/encoders.txt");
    assert_true(names.count > 10);
    for (size_t i = 0; i < names.count; i++) {
        char *name = mem_strndup(names.items[i].bytes, names.items[i].length),
             *path = path_join(GOLD "/encode", name);
        struct tokenizer *t = load(path), *again;
        bool alone = !strstr(name, "cut");
        check_files(t, path, alone);
        assert_int_equal(directory_create(copy), OK);
        assert_int_equal(tokenizer_save(t, copy), OK);
        again = load(copy);
        check_files(again, path, alone);
        assert_int_equal(tokenizer_size(again), tokenizer_size(t));
        assert_true(tokenizer_hash(again) == tokenizer_hash(t));
        for (int k = 0; k < TOK_SPECIAL_COUNT; k++)
            assert_int_equal(tokenizer_special_id(again, k), tokenizer_special_id(t, k));
        tokenizer_free(t);
        tokenizer_free(again);
        assert_int_equal(directory_remove(copy), OK);
        mem_free(path);
        mem_free(name);
    }
    str_release(&names.text);
    mem_free(copy);
}

/* ---- what callers ask ---- */

static void test_ids(void **state)
{
    struct tokenizer *t = load(GOLD "/encode/gpt2_files");
    size_t length;

    assert_int_equal(tokenizer_size(t), 700);
    assert_int_equal(tokenizer_id_limit(t), 700);
    assert_int_equal(tokenizer_special_id(t, TOK_BOS), 0);
    assert_int_equal(tokenizer_special_id(t, TOK_PAD), 1);
    assert_int_equal(tokenizer_special_id(t, TOK_EOS), 2);
    assert_int_equal(tokenizer_special_id(t, TOK_MASK), -1);
    assert_int_equal(tokenizer_max_length(t), 64);
    assert_int_equal(tokenizer_id(t, "</s>", 4), 2);
    assert_int_equal(tokenizer_id(t, "no such token", 13), -1);
    assert_string_equal(tokenizer_token(t, 1, &length), "<pad>");
    assert_int_equal(length, 5);
    assert_null(tokenizer_token(t, -1, &length));
    assert_null(tokenizer_token(t, 700, &length));
    assert_true(tokenizer_is_special(t, 0));
    assert_false(tokenizer_is_special(t, 300));
    assert_false(tokenizer_is_special(t, -1));
    assert_int_equal(tokenizer_set_special(t, TOK_MASK, "<mask>"), OK);
    assert_int_equal(tokenizer_special_id(t, TOK_MASK), 4);
    assert_int_equal(tokenizer_set_special(t, TOK_MASK, "<nothing>"), ERR_CONFIG);
    assert_string_equal(error_message(), "mask_token: \"<nothing>\" is not in the vocabulary");
    error_clear();
    tokenizer_free(t);
}

/* Spans cover the text in order, and a decoded span's bytes are the token's. */
static void test_spans(void **state)
{
    static const char text[] = " Hello <s>w\xC3\xB6rld\n\n \xE6\x97\xA5\xE6\x9C\xAC  x";
    struct tokenizer *t = load(GOLD "/encode/mixed");
    struct encoder *e = encoder_create(t);
    struct encode_options options = { .spans = true };
    struct encoding plain = { 0 }, out = { 0 };
    uint32_t end = 0;

    assert_int_equal(tokenizer_encode(e, text, sizeof(text) - 1, NULL, &plain), OK);
    assert_int_equal(tokenizer_encode(e, text, sizeof(text) - 1, &options, &out), OK);
    assert_int_equal(out.count, plain.count);
    assert_memory_equal(out.ids, plain.ids, out.count * sizeof(*out.ids));
    for (size_t i = 0; i < out.count; i++) {
        assert_true(out.spans[i].begin <= end && out.spans[i].end >= end &&
                    out.spans[i].begin < out.spans[i].end);
        assert_true(((uint8_t)text[out.spans[i].begin] & 0xC0) != 0x80);
        end = out.spans[i].end;
    }
    assert_int_equal(end, sizeof(text) - 1);
    encoding_release(&plain);
    encoding_release(&out);
    encoder_free(e);
    tokenizer_free(t);
}

/* Any bytes come back, whatever they are; what is no UTF-8 comes back as U+FFFD. */
static void test_round_trip(void **state)
{
    struct tokenizer *t = load(GOLD "/encode/mixed");
    struct encoder *e = encoder_create(t);
    struct encoding out = { 0 };
    struct str text, back;

    str_init(&text);
    str_init(&back);
    for (uint32_t c = 0; c < 0x11000; c += 7) {
        if (c >= 0xD800 && c < 0xE000)
            continue;
        str_append_utf8(&text, c);
        if (c % 5 == 0)
            str_append_char(&text, ' ');
    }
    assert_int_equal(tokenizer_encode(e, text.data, text.length, NULL, &out), OK);
    assert_int_equal(tokenizer_decode(t, out.ids, out.count, false, &back), OK);
    assert_int_equal(back.length, text.length);
    assert_memory_equal(back.data, text.data, text.length);
    out.count = 0;
    str_clear(&back);
    assert_int_equal(tokenizer_encode(e,
                                      "a\xFF"
                                      "b\xE3\x81",
                                      5, NULL, &out),
                     OK);
    assert_int_equal(tokenizer_decode(t, out.ids, out.count, false, &back), OK);
    assert_string_equal(back.data, "a\xEF\xBF\xBD"
                                   "b\xEF\xBF\xBD");
    encoding_release(&out);
    str_release(&text);
    str_release(&back);
    encoder_free(e);
    tokenizer_free(t);
}

/* A stream gives the same text as all ids at once, and never half a character. */
static void test_stream(void **state)
{
    static const char text[] = "Hi \xE6\x97\xA5\xE6\x9C\xAC <s>\xF0\x9F\x98\x80!";
    struct tokenizer *t = load(GOLD "/encode/mixed");
    struct encoder *e = encoder_create(t);
    struct encoding out = { 0 };
    struct tok_stream *s = tok_stream_create(t, false);
    struct str got;

    str_init(&got);
    assert_int_equal(tokenizer_encode(e, text, sizeof(text) - 1, NULL, &out), OK);
    assert_true(out.count > 8);
    for (int again = 0; again < 2; again++) {
        str_clear(&got);
        for (size_t i = 0; i < out.count; i++) {
            assert_int_equal(tok_stream_add(s, out.ids[i], &got), OK);
            assert_int_equal(utf8_valid_prefix(got.data, got.length), got.length);
            assert_null(strstr(got.data, "\xEF\xBF\xBD"));
        }
        assert_int_equal(tok_stream_finish(s, &got), OK);
        assert_string_equal(got.data, text);
    }
    str_clear(&got);
    assert_int_equal(tok_stream_add(s, tokenizer_id(t, "\xC3\xA3", 2), &got), OK); /* byte E3 */
    assert_int_equal(got.length, 0);
    assert_int_equal(tok_stream_finish(s, &got), OK);
    assert_string_equal(got.data, "\xEF\xBF\xBD");
    str_release(&got);
    encoding_release(&out);
    tok_stream_free(s);
    encoder_free(e);
    tokenizer_free(t);
}

static void test_post_processor(void **state)
{
    struct tokenizer *t = load(GOLD "/encode/gpt2_files");
    struct encoder *e;
    struct encoding out = { 0 };

    assert_int_equal(tokenizer_set_post_processor(t, "bert"), ERR_CONFIG);
    error_clear();
    assert_int_equal(tokenizer_set_post_processor(t, "none"), OK);
    assert_int_equal(tokenizer_set_post_processor(t, "roberta"), OK);
    e = encoder_create(t);
    assert_int_equal(tokenizer_encode(e, "a", 1, NULL, &out), OK);
    assert_int_equal(out.count, 3);
    assert_int_equal(out.ids[0], 0);
    assert_int_equal(out.ids[2], 2);
    encoding_release(&out);
    encoder_free(e);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_goldens, scratch_create, scratch_remove),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_post_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
