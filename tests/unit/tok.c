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
#include "lib/tok_golden.h"
#include "tok/tok.h"

#include <cmocka.h>

#define GOLD GOLDEN_DIR "/tokenizer"
static void test_goldens(void **state)
{
    tok_golden_check(GOLD, state);
}

/* ---- what callers ask ---- */

static void test_ids(void **state)
{
    struct tokenizer *t = tok_golden_load(GOLD "/encode/gpt2_files");
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
    struct tokenizer *t = tok_golden_load(GOLD "/encode/mixed");
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
    struct tokenizer *t = tok_golden_load(GOLD "/encode/mixed");
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
    struct tokenizer *t = tok_golden_load(GOLD "/encode/mixed");
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
    struct tokenizer *t = tok_golden_load(GOLD "/encode/gpt2_files");
    struct encoder *e;
    struct encoding out = { 0 };

    assert_int_equal(tokenizer_set_post_processor(t, "gpt3"), ERR_CONFIG);
    error_clear();
    assert_int_equal(tokenizer_set_post_processor(t, "none"), OK);
    assert_int_equal(tokenizer_set_post_processor(t, "roberta"), OK);
    e = encoder_create(t);
    assert_int_equal(tokenizer_encode(e, "a", 1, NULL, &out), OK);
    assert_int_equal(out.count, 3);
    assert_int_equal(out.ids[0], 0);
    assert_int_equal(out.ids[2], 2);
    assert_int_equal(tokenizer_set_post_processor(t, "t5"), OK);
    out.count = 0;
    assert_int_equal(tokenizer_encode(e, "a", 1, NULL, &out), OK);
    assert_int_equal(out.count, 2);
    assert_int_equal(out.ids[1], 2);
    assert_int_equal(tokenizer_set_post_processor(t, "bert"), OK);
    out.count = 0;
    assert_int_equal(tokenizer_encode(e, "a", 1, NULL, &out), OK);
    assert_int_equal(out.count, 3);
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
