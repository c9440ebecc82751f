/* SentencePiece models: what is refused, with its sentence, and what is made of those that are taken. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/wire.h"
#include "tok/spm.h"

#include <cmocka.h>

enum { PIECES = 1, TRAINER = 2, NORMALIZER = 3 };

/* ---- files ---- */

static void put_piece(struct str *s, const char *text, float score, int type)
{
    struct str piece;

    str_init(&piece);
    wire_put_bytes(&piece, 1, text, strlen(text));
    wire_put_float(&piece, 2, score);
    wire_put_varint(&piece, 3, (uint64_t)type);
    wire_put_bytes(s, PIECES, piece.data, piece.length);
    str_release(&piece);
}

static void put_trainer(struct str *s, int field, int64_t value)
{
    struct str spec;

    str_init(&spec);
    wire_put_varint(&spec, field, (uint64_t)value);
    wire_put_bytes(s, TRAINER, spec.data, spec.length);
    str_release(&spec);
}

/* <unk> <s> </s> a b ab */
static void put_small(struct str *s)
{
    put_piece(s, "<unk>", 0, SPM_UNKNOWN);
    put_piece(s, "<s>", 0, SPM_CONTROL);
    put_piece(s, "</s>", 0, SPM_CONTROL);
    put_piece(s, "a", -1, SPM_NORMAL);
    put_piece(s, "b", -2, SPM_NORMAL);
    put_piece(s, "ab", -3, SPM_NORMAL);
}

static void expect_status(const struct str *file, int status, const char *message)
{
    struct spm s;

    error_clear();
    assert_int_equal(spm_read(&s, "m", file->data, file->length), status);
    if (message && strcmp(error_message(), message) != 0)
        fail_msg("\"%s\", expected \"%s\"", error_message(), message);
    spm_release(&s);
}

/* ---- one thing wrong at a time ---- */

static void test_pieces(void **state)
{
    static const struct {
        const char *text;
        float score;
        int type;
        const char *message;
    } cases[] = {
        { "", 0, SPM_NORMAL, "m: pieces[6]: empty piece" },
        { "ab", 0, SPM_NORMAL, "m: pieces[6]: \"ab\" is pieces[5] already" },
        { "\xFFz", 0, SPM_NORMAL, "m: pieces[6]: not UTF-8 at byte 0" },
        { "x", NAN, SPM_NORMAL, "m: pieces[6].score is nan (expected a finite number)" },
        { "x", INFINITY, SPM_NORMAL, "m: pieces[6].score is inf (expected a finite number)" },
        { "x", 0, 99, "m: pieces[6].type 99 (expected 1 to 6)" },
        { "x", 0, 0, "m: pieces[6].type 0 (expected 1 to 6)" },
        { "<?>", 0, SPM_UNKNOWN, "m: 2 unknown pieces (expected one)" },
        { "<0x1G>", 0, SPM_BYTE, "m: pieces[6]: byte piece \"<0x1G>\" (expected <0x00> to <0xFF>)" },
        { "<0x1F>", 0, SPM_BYTE, "m: pieces[6]: byte piece \"<0x1F>\", but byte_fallback is not set" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str file;
        str_init(&file);
        put_small(&file);
        put_piece(&file, cases[i].text, cases[i].score, cases[i].type);
        expect_status(&file, ERR_DATA, cases[i].message);
        str_release(&file);
    }
}

static void test_trainer(void **state)
{
    static const struct {
        int field;
        int64_t value;
        const char *message;
    } cases[] = {
        { 3, 7, "m: trainer_spec.model_type 7 (supported: 1, Unigram, and 2, BPE)" },
        { 3, 3, "m: trainer_spec.model_type 3 (supported: 1, Unigram, and 2, BPE)" },
        { 40, 6, "m: trainer_spec.unk_id 6, 6 pieces" },
        { 40, -1, "m: trainer_spec.unk_id -1, 6 pieces" },
        { 41, 6, "m: trainer_spec.bos_id 6, 6 pieces" },
        { 42, INT64_MAX, "m: trainer_spec.eos_id 9223372036854775807, 6 pieces" },
        { 43, -2, "m: trainer_spec.pad_id -2, 6 pieces" },
        { 35, 1, "m: \"<0x00>\" is missing (expected all 256 byte pieces with byte_fallback)" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str file;
        str_init(&file);
        put_small(&file);
        put_trainer(&file, cases[i].field, cases[i].value);
        expect_status(&file, ERR_DATA, cases[i].message);
        str_release(&file);
    }
}

static void test_whole(void **state)
{
    struct str file;

    (void)state;
    str_init(&file);
    expect_status(&file, ERR_DATA, "m: empty file (expected a SentencePiece model)");
    put_piece(&file, "a", 0, SPM_NORMAL);
    expect_status(&file, ERR_DATA, "m: 0 unknown pieces (expected one)");
    str_clear(&file);
    wire_put_varint(&file, PIECES, 5);
    expect_status(&file, ERR_DATA, "m: pieces is not of the type it has to be");
    str_clear(&file);
    str_append_bytes(&file, "\x0A\x88\x27zz", 5);
    expect_status(&file, ERR_DATA, "m: byte 3: a field reaches beyond the end of the data");
    str_clear(&file);
    put_small(&file);
    expect_status(&file, OK, NULL);
    put_trainer(&file, 999, 7); /* what is not known is passed over */
    wire_put_bytes(&file, 12345, "abc", 3);
    expect_status(&file, OK, NULL);
    for (size_t length = 0; length < file.length; length++) { /* cut off anywhere: never a crash */
        char *copy = mem_strndup(file.data, length);
        struct spm s;
        spm_read(&s, "m", copy, length);
        spm_release(&s);
        mem_free(copy);
    }
    str_release(&file);
}

static void test_long_piece(void **state)
{
    char *text = mem_alloc(70001);
    struct str file;

    (void)state;
    memset(text, 'a', 70000);
    str_init(&file);
    put_piece(&file, text, 0, SPM_NORMAL);
    expect_status(&file, ERR_DATA, "m: pieces[0]: 70000 bytes (expected at most 65536)");
    str_release(&file);
    mem_free(text);
}

/* ---- what is made of it ---- */

static void expect_json(const struct spm *s, const struct spm_json_options *o, const char *expected)
{
    struct str json;

    str_init(&json);
    assert_int_equal(spm_write_json(s, o, &json), OK);
    assert_string_equal(json.data, expected);
    str_release(&json);
}

static void test_json(void **state)
{
    const struct spm_json_options bpe = { .model = SPM_BPE, .unk = "<unk>" },
                                  unigram = { .model = SPM_UNIGRAM, .unk_id = 2, .sentinels = 2 };
    struct str file;
    struct spm s;

    (void)state;
    str_init(&file);
    put_small(&file);
    put_piece(&file, "abab", -4.5F, SPM_USER);
    assert_int_equal(spm_read(&s, "m", file.data, file.length), OK);
    expect_json(
        &s, &bpe,
        "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":false,"
        "\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"a\":3,\"b\":4,\"ab\":5,\"abab\":6},"
        "\"merges\":[[\"a\",\"b\"],[\"ab\",\"ab\"]]}}");
    expect_json(&s, &unigram,
                "{\"model\":{\"type\":\"Unigram\",\"unk_id\":2,\"byte_fallback\":false,\"vocab\":["
                "[\"<unk>\",0.0],[\"<s>\",0.0],[\"</s>\",0.0],[\"a\",-1.0],[\"b\",-2.0],[\"ab\",-3.0],"
                "[\"abab\",-4.5],[\"<extra_id_1>\",0.0],[\"<extra_id_0>\",0.0]]}}");
    spm_release(&s);
    str_release(&file);
}

/* Pieces that nest in each other: the merges they would make are refused, not written. */
static void test_nesting(void **state)
{
    const struct spm_json_options bpe = { .model = SPM_BPE };
    struct str file, json, text;
    struct spm s;

    (void)state;
    str_init(&file);
    str_init(&json);
    str_init(&text);
    put_small(&file);
    for (int i = 0; i < 3000; i++) {
        str_append(&text, "x");
        put_piece(&file, text.data, 0, SPM_NORMAL);
    }
    assert_int_equal(spm_read(&s, "m", file.data, file.length), OK);
    assert_int_equal(spm_write_json(&s, &bpe, &json), ERR_DATA);
    assert_true(json.length < (size_t)2 << 30);
    spm_release(&s);
    str_release(&file);
    str_release(&json);
    str_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),     cmocka_unit_test(test_trainer), cmocka_unit_test(test_whole),
        cmocka_unit_test(test_long_piece), cmocka_unit_test(test_json),    cmocka_unit_test(test_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
