/* Tokenizers through the library. */
#include "support.h"

#define ENGLISH GOLDEN_DIR "/tokenizer/encode/english"

static const char *const text =
    "The quick brown fox doesn't  jump \xe2\x80\x94 na\xc3\xafve \xe6\x97\xa5\xe6\x9c\xac!";

static struct plait_tokenizer *load(const char *path)
{
    struct plait_tokenizer *t = NULL;

    must(plait_tokenizer_load(path, &t));
    return t;
}

static int64_t encode(struct plait_tokenizer *t, const char *bytes, int32_t ids[], int64_t capacity)
{
    int64_t count = plait_tokenizer_encode(t, bytes, strlen(bytes), 1, ids, capacity);

    must(count < 0 ? (int)count : PLAIT_OK);
    return count;
}

static void ids_and_back(void **state)
{
    struct plait_tokenizer *t = load(ENGLISH);
    int32_t ids[200], few[3];
    int64_t count = encode(t, text, NULL, 0);
    char back[200], part[8];

    (void)state;
    assert_in_range(count, 10, 200);
    assert_int_equal(encode(t, text, ids, 200), count);
    assert_int_equal(encode(t, text, few, 3), count);
    assert_memory_equal(ids, few, sizeof(few));
    assert_int_equal(plait_tokenizer_decode(t, ids, count, 0, back, sizeof(back)), strlen(text));
    assert_string_equal(back, text);
    assert_int_equal(plait_tokenizer_decode(t, ids, count, 0, part, sizeof(part)), strlen(text));
    assert_string_equal(part, "The qui");
    assert_int_equal(plait_tokenizer_decode(t, ids, count, 0, NULL, 0), strlen(text));
    assert_int_equal(encode(t, "", ids, 200), 0);
    assert_int_equal(plait_tokenizer_decode(t, NULL, 0, 0, back, sizeof(back)), 0);
    assert_string_equal(back, "");
    plait_tokenizer_free(t);
}

static void text_as_it_comes(void **state)
{
    struct plait_tokenizer *t = load(ENGLISH);
    struct plait_decoder *d;
    int32_t ids[200];
    int64_t count = encode(t, text, ids, 200);
    char all[400] = "";
    const char *piece;
    size_t length;

    (void)state;
    must(plait_decoder_create(t, 0, &d));
    for (int64_t i = 0; i < count; i++) {
        must(plait_decoder_add(d, ids[i], &piece, &length));
        assert_int_equal(strlen(piece), length);
        strncat(all, piece, sizeof(all) - strlen(all) - 1);
    }
    must(plait_decoder_finish(d, &piece, NULL));
    strncat(all, piece, sizeof(all) - strlen(all) - 1);
    assert_string_equal(all, text);
    refused(plait_decoder_add(NULL, 1, &piece, NULL), PLAIT_ERROR_USAGE, "d is NULL");
    refused(plait_decoder_add(d, 1, NULL, NULL), PLAIT_ERROR_USAGE, "text is NULL");
    refused(plait_decoder_finish(d, NULL, NULL), PLAIT_ERROR_USAGE, "text is NULL");
    refused(plait_decoder_create(NULL, 0, &d), PLAIT_ERROR_USAGE, "t is NULL");
    plait_decoder_free(d);
    plait_decoder_free(NULL);
    plait_tokenizer_free(t);
}

/* A tokenizer that is trained, saved and loaded knows its special tokens and gives the same ids. */
static void trains_and_saves(void **state)
{
    static const char *const specials[] = { "<s>", "</s>" };
    const char *files[] = { GOLDEN_DIR "/tokenizer/english.txt" };
    struct plait_tokenizer_options o;
    struct plait_tokenizer *t, *again;
    int32_t ids[200], same[200];
    int64_t count;
    size_t length;
    struct path p;

    must(plait_tokenizer_options_init(&o, sizeof(o)));
    o.vocab_size = 400;
    o.specials = specials;
    o.special_count = 2;
    must(plait_tokenizer_train(files, 1, &o, &t));
    assert_int_equal(plait_tokenizer_size(t), 400);
    assert_int_equal(plait_tokenizer_id(t, "</s>", 4), 1);
    assert_string_equal(plait_tokenizer_token(t, 1, &length), "</s>");
    assert_int_equal(length, 4);
    assert_int_equal(plait_tokenizer_id(t, "no such", 7), -1);
    assert_null(plait_tokenizer_token(t, 400, &length));
    assert_int_equal(length, 0);
    must(plait_tokenizer_save(t, within(state, "tokenizer", &p)));
    again = load(p.text);
    count = encode(t, text, ids, 200);
    assert_int_equal(encode(again, text, same, 200), count);
    assert_memory_equal(ids, same, (size_t)count * sizeof(ids[0]));
    plait_tokenizer_free(t);
    plait_tokenizer_free(again);
}

static void specials(void **state)
{
    struct plait_tokenizer *t = load(GOLDEN_DIR "/tokenizer/encode/gpt2_files");

    (void)state;
    assert_int_equal(plait_tokenizer_special_id(t, PLAIT_TOKEN_EOS), plait_tokenizer_id(t, "</s>", 4));
    assert_int_equal(plait_tokenizer_special_id(t, PLAIT_TOKEN_PAD), plait_tokenizer_id(t, "<pad>", 5));
    assert_int_equal(plait_tokenizer_special_id(t, PLAIT_TOKEN_MASK), -1);
    assert_int_equal(plait_tokenizer_special_id(t, PLAIT_TOKEN_COUNT), -1);
    assert_int_equal(plait_tokenizer_special_id(t, -1), -1);
    plait_tokenizer_free(t);
}

static void refuses(void **state)
{
    struct plait_tokenizer *t = load(ENGLISH), *none = NULL;
    struct plait_tokenizer_options o;
    const char *files[] = { NULL };
    struct path p;

    refused(plait_tokenizer_load(NULL, &none), PLAIT_ERROR_USAGE, "path is NULL");
    refused(plait_tokenizer_load(ENGLISH, NULL), PLAIT_ERROR_USAGE, "out is NULL");
    refused(plait_tokenizer_load(within(state, "nowhere", &p), &none), PLAIT_ERROR_OPEN, "nowhere");
    refused((int)plait_tokenizer_encode(t, NULL, 4, 1, NULL, 0), PLAIT_ERROR_USAGE, "text is NULL");
    refused((int)plait_tokenizer_encode(t, "a", 1, 1, NULL, 5), PLAIT_ERROR_USAGE, "ids is NULL");
    refused((int)plait_tokenizer_decode(t, NULL, 3, 0, NULL, 0), PLAIT_ERROR_USAGE, "ids is NULL");
    refused((int)plait_tokenizer_decode(t, NULL, 0, 0, NULL, 9), PLAIT_ERROR_USAGE, "text is NULL");
    refused((int)plait_tokenizer_encode(NULL, "a", 1, 1, NULL, 0), PLAIT_ERROR_USAGE, "t is NULL");
    refused(plait_tokenizer_save(t, NULL), PLAIT_ERROR_USAGE, "directory is NULL");
    refused(plait_tokenizer_train(files, 1, NULL, &none), PLAIT_ERROR_USAGE, "files[0] is NULL");
    refused(plait_tokenizer_train(NULL, 1, NULL, &none), PLAIT_ERROR_USAGE, "files is NULL");
    refused(plait_tokenizer_options_init(&o, 1), PLAIT_ERROR_USAGE, "wrong size");
    assert_null(none);
    assert_int_equal(plait_tokenizer_size(NULL), 0);
    assert_int_equal(plait_tokenizer_id(NULL, "a", 1), -1);
    assert_null(plait_tokenizer_token(NULL, 0, NULL));
    plait_tokenizer_free(NULL);
    plait_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_back),
        cmocka_unit_test(text_as_it_comes),
        cmocka_unit_test_setup_teardown(trains_and_saves, scratch_begin, scratch_end),
        cmocka_unit_test(specials),
        cmocka_unit_test_setup_teardown(refuses, scratch_begin, scratch_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
