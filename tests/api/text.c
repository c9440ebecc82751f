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
    static const char *const types[] = { "byte_level_bpe", "wordpiece", "unigram", "sentencepiece_bpe" };
    const char *options[] = { "files",
                              GOLDEN_DIR "/tokenizer/english.txt",
                              "tokenizer_type",
                              NULL,
                              "vocab_size",
                              "400",
                              "special_tokens",
                              "<unk>,<s>,</s>",
                              NULL };
    struct plait_tokenizer *t, *again;
    int32_t ids[200], same[200];
    int64_t count;
    struct path p;

    must(plait_log_set(PLAIT_LOG_ERROR));
    for (int i = 0; i < 4; i++) {
        options[3] = types[i];
        must(plait_tokenizer_train(options, &t));
        assert_in_range(plait_tokenizer_size(t), 300, 400);
        assert_int_equal(plait_tokenizer_id(t, "</s>", 4), 2);
        must(plait_tokenizer_save(t, within(state, types[i], &p)));
        again = load(p.text);
        count = encode(t, text, ids, 200);
        assert_int_equal(encode(again, text, same, 200), count);
        assert_memory_equal(ids, same, (size_t)count * sizeof(ids[0]));
        plait_tokenizer_free(t);
        plait_tokenizer_free(again);
    }
}

static void tokens_by_id(void **state)
{
    struct plait_tokenizer *t = load(ENGLISH);
    size_t length;

    (void)state;
    assert_string_equal(plait_tokenizer_token(t, 1, &length), "<pad>");
    assert_int_equal(length, 5);
    assert_int_equal(plait_tokenizer_id(t, "no such", 7), -1);
    assert_null(plait_tokenizer_token(t, 900, &length));
    assert_int_equal(length, 0);
    plait_tokenizer_free(t);
}

/* ---- many texts ---- */

static const struct plait_text sentences[] = { { .text = "the cat sits", .length = PLAIT_TO_NUL },
                                               { .text = "a big red dog runs under the tree and",
                                                 .length = 33 },
                                               { .text = "", .length = 0 } };

static void is_row(const struct plait_tokens *t, int64_t row, const int32_t *ids, int64_t count)
{
    int64_t length;
    const int32_t *found = plait_tokens_ids(t, row, &length);

    assert_int_equal(length, count);
    assert_memory_equal(found, ids, (size_t)count * sizeof(ids[0]));
}

/* What transformers' BertTokenizer gives for padding=True, and for truncation=True, padding="max_length",
 * max_length=6. */
static void batches(void **state)
{
    static const char *const longest[] = { "padding", "true", NULL };
    static const char *const cut[] = {
        "padding", "max_length", "truncation", "true", "max_length", "6", NULL
    };
    static const char *const left[] = {
        "padding", "longest", "padding_side", "left", "pad_to_multiple_of", "4", "add_special_tokens",
        "false",   NULL
    };
    struct plait_tokenizer *t = load(GOLDEN_DIR "/bert/fill");
    struct plait_array ids, mask;
    struct plait_tokens *tokens;

    (void)state;
    must(plait_tokenizer_encode_batch(t, longest, sentences, 3, &tokens));
    is_row(tokens, 0, (const int32_t[]){ 2, 5, 7, 12, 3, 0, 0, 0, 0, 0 }, 10);
    is_row(tokens, 1, (const int32_t[]){ 2, 6, 15, 16, 8, 11, 19, 5, 10, 3 }, 10);
    is_row(tokens, 2, (const int32_t[]){ 2, 3, 0, 0, 0, 0, 0, 0, 0, 0 }, 10);
    must(plait_tokens_array(tokens, "attention_mask", &mask));
    assert_true(mask.ndim == 2 && mask.shape[0] == 3 && mask.shape[1] == 10);
    assert_memory_equal(mask.data, ((const int32_t[]){ 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1 }),
                        12 * sizeof(int32_t));
    plait_tokens_free(tokens);
    must(plait_tokenizer_encode_batch(t, cut, sentences, 3, &tokens));
    is_row(tokens, 0, (const int32_t[]){ 2, 5, 7, 12, 3, 0 }, 6);
    is_row(tokens, 1, (const int32_t[]){ 2, 6, 15, 16, 8, 3 }, 6);
    plait_tokens_free(tokens);
    must(plait_tokenizer_encode_batch(t, left, sentences, 3, &tokens));
    is_row(tokens, 0, (const int32_t[]){ 0, 0, 0, 0, 0, 5, 7, 12 }, 8);
    must(plait_tokens_array(tokens, "input_ids", &ids));
    must(plait_tokens_array(tokens, "attention_mask", &mask));
    assert_memory_equal(mask.data, ((const int32_t[]){ 0, 0, 0, 0, 0, 1, 1, 1, 1 }), 9 * sizeof(int32_t));
    assert_int_equal(((const int32_t *)mask.data)[16], 0);
    plait_tokens_free(tokens);
    plait_tokenizer_free(t);
}

/* As transformers: text_pair, truncation="only_first", max_length=5. */
static void pairs(void **state)
{
    static const char *const options[] = { "truncation", "only_first", "max_length", "5", NULL };
    const struct plait_text pair = { "a big red dog", PLAIT_TO_NUL, "the tree", PLAIT_TO_NUL };
    struct plait_tokenizer *t = load(GOLDEN_DIR "/bert/fill");
    struct plait_tokens *tokens;
    struct plait_array types;

    (void)state;
    must(plait_tokenizer_encode_batch(t, options, &pair, 1, &tokens));
    is_row(tokens, 0, (const int32_t[]){ 6, 15, 16, 5, 10 }, 5);
    must(plait_tokens_array(tokens, "token_type_ids", &types));
    assert_memory_equal(types.data, ((const int32_t[]){ 0, 0, 0, 1, 1 }), 5 * sizeof(int32_t));
    plait_tokens_free(tokens);
    plait_tokenizer_free(t);
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
    struct plait_tokens *tokens = NULL;
    struct plait_array a;
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
    refused(plait_tokenizer_train(NULL, &none), PLAIT_ERROR_USAGE, "--files is missing");
    refused(plait_tokenizer_train(NULL, NULL), PLAIT_ERROR_USAGE, "out is NULL");
    refused(plait_tokenizer_train((const char *[]){ "files", p.text, NULL }, &none), PLAIT_ERROR_OPEN,
            "nowhere");
    refused(plait_tokenizer_train((const char *[]){ "tokenizer_type", "morse", NULL }, &none),
            PLAIT_ERROR_USAGE, "morse");
    refused(plait_tokenizer_encode_batch(NULL, NULL, sentences, 1, &tokens), PLAIT_ERROR_USAGE, "t is NULL");
    refused(plait_tokenizer_encode_batch(t, NULL, NULL, 1, &tokens), PLAIT_ERROR_USAGE, "texts is NULL");
    refused(plait_tokenizer_encode_batch(t, NULL, sentences, 1, NULL), PLAIT_ERROR_USAGE, "out is NULL");
    refused(plait_tokenizer_encode_batch(t, NULL, sentences, 0, &tokens), PLAIT_ERROR_USAGE,
            "number of texts");
    refused(plait_tokenizer_encode_batch(t, NULL, &(struct plait_text){ 0 }, 1, &tokens), PLAIT_ERROR_USAGE,
            "text 0 is NULL");
    refused(plait_tokenizer_encode_batch(t, (const char *[]){ "padding", "max_length", NULL }, sentences, 1,
                                         &tokens),
            PLAIT_ERROR_CONFIG, "does not have a padding token");
    assert_null(none);
    assert_null(tokens);
    assert_null(plait_tokens_ids(NULL, 0, NULL));
    plait_tokens_free(NULL);
    must(plait_tokenizer_encode_batch(t, NULL, sentences, 2, &tokens));
    refused(plait_tokens_array(tokens, "input_ids", &a), PLAIT_ERROR_USAGE, "not of one length");
    refused(plait_tokens_array(tokens, "labels", &a), PLAIT_ERROR_USAGE, "no such array");
    plait_tokens_free(tokens);
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
        cmocka_unit_test(tokens_by_id),
        cmocka_unit_test(batches),
        cmocka_unit_test(pairs),
        cmocka_unit_test(specials),
        cmocka_unit_test_setup_teardown(refuses, scratch_begin, scratch_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
