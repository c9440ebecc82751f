/* Tokenizer files that must be refused, with the sentence each gets, and odd ones that must be taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "lib/scratch.h"
#include "tok/tok.h"

#include <cmocka.h>

#define VOCAB               "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<s>\":3}"
#define MERGES              "\"merges\":[\"a b\"]"
#define MODEL               "\"model\":{\"type\":\"BPE\"," VOCAB "," MERGES "}"
#define WITH(section)       "{" section "," MODEL "}"
#define WITH_MODEL(members) "{\"model\":{\"type\":\"BPE\"," members "}}"
#define WITH_ADDED(token)   WITH("\"added_tokens\":[" token "]")
#define BYTES               "{\"type\":\"ByteLevel\"}"
#define WITH_PRE(list)      WITH("\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" list "]}")
#define WITH_POST(post)     WITH("\"post_processor\":" post)

struct bad {
    const char *json, *message; /* message: how it begins */
};

static const struct bad documents[] = {
    { "404: Not Found", "t:1:1: wrong type (found a number, expected an object)" },
    { "", "t:1:1: no value" },
    { "[]", "t:1:1: wrong type (found an array, expected an object)" },
    { "\xFF\xFE{\0", "t:1:1: not UTF-8" },
    { "{\"version\":\"2.0\"}", "t:1:12: $.version: \"2.0\" is not supported (supported: \"1.0\")" },
    { "{\"version\":2}", "t:1:12: $.version: wrong type (found a number, expected a string)" },
    { "{\"version\":\"1.0\"}", "t:1:1: \"model\" is missing (expected an object)" },
    { "{\"model\":null}", "t:1:1: \"model\" is missing (expected an object)" },
    { "{\"model\":{}}", "t:1:10: $.model: \"type\" is missing (expected a string)" },
    { "{\"model\":{\"type\":\"Foo\"}}", "t:1:18: $.model.type: \"Foo\" is not supported (supported: BPE" },
    { "{\"model\":{\"type\":7}}", "t:1:18: $.model.type: wrong type (found a number, expected a string)" },
    { "{\"model\":1,\"model\":2}", "t:1:12: duplicate key \"model\"" },
    { "{\"a\":\"\\ud800\"}", "t:1:7: $.a: " },
};

static const struct bad vocabularies[] = {
    { WITH_MODEL(MERGES), "t:1:10: $.model: \"vocab\" is missing (expected an object)" },
    { WITH_MODEL(VOCAB), "t:1:10: $.model: \"merges\" is missing (expected an array)" },
    { WITH_MODEL("\"vocab\":[]," MERGES),
      "t:1:32: $.model.vocab: wrong type (found an array, expected an object)" },
    { WITH_MODEL("\"vocab\":{\"a\":7,\"b\":7}," MERGES),
      "t:1:43: $.model.vocab.b: id 7 is used by \"a\" and \"b\"" },
    { WITH_MODEL("\"vocab\":{\"a\":-1}," MERGES), "t:1:37: $.model.vocab.a: -1 is out of range" },
    { WITH_MODEL("\"vocab\":{\"a\":4294967296}," MERGES),
      "t:1:37: $.model.vocab.a: 4294967296 is out of range" },
    { WITH_MODEL("\"vocab\":{\"a\":9223372036854775808}," MERGES),
      "t:1:37: $.model.vocab.a: 9223372036854775808 is" },
    { WITH_MODEL("\"vocab\":{\"a\":1.5}," MERGES), "t:1:37: $.model.vocab.a: 1.5 is out of range" },
    { WITH_MODEL("\"vocab\":{\"a\":1e3}," MERGES), "t:1:37: $.model.vocab.a: 1e3 is out of range" },
    { WITH_MODEL("\"vocab\":{\"a\":\"7\"}," MERGES), "t:1:37: $.model.vocab.a: wrong type (found a string" },
    { WITH_MODEL("\"vocab\":{\"a\":0,\"b\":1,\"c\":4294967295}," MERGES),
      "t:1:49: $.model.vocab.c: id 4294967295 leaves a gap of 4294967293 ids (the vocabulary has 3 tokens)" },
    { WITH_MODEL("\"vocab\":{\"a\":0,\"b\":1,\"c\":2147483647}," MERGES),
      "t:1:49: $.model.vocab.c: id 2147483647 leaves" },
    { WITH_MODEL("\"vocab\":{\"a\":0,\"\\u0000\\u0007\":0}," MERGES),
      "t:1:54: $.model.vocab[\"\\x00\\x07\"]: id 0 is used by \"a\" and \"\\x00\\x07\"" },
};

static const struct bad merges[] = {
    { WITH_MODEL(VOCAB ",\"merges\":{}"), "t:1:70: $.model.merges: wrong type" },
    { WITH_MODEL(VOCAB ",\"merges\":[\"b a\"]"),
      "t:1:71: $.model.merges[0]: result \"ba\" is not in the vocabulary" },
    { WITH_MODEL(VOCAB ",\"merges\":[\"a c\"]"),
      "t:1:71: $.model.merges[0]: part \"c\" is not in the vocabulary" },
    { WITH_MODEL(VOCAB ",\"merges\":[\"c a\"]"),
      "t:1:71: $.model.merges[0]: part \"c\" is not in the vocabulary" },
    { WITH_MODEL(VOCAB ",\"merges\":[\"a\"]"), "t:1:71: $.model.merges[0]: expected two parts" },
    { WITH_MODEL(VOCAB ",\"merges\":[\"a b c\"]"), "t:1:71: $.model.merges[0]: expected two parts" },
    { WITH_MODEL(VOCAB ",\"merges\":[\"a \"]"), "t:1:71: $.model.merges[0]: an empty part" },
    { WITH_MODEL(VOCAB ",\"merges\":[[\"a\"]]"), "t:1:71: $.model.merges[0]: 1 parts (expected two)" },
    { WITH_MODEL(VOCAB ",\"merges\":[[\"a\",\"b\",\"c\"]]"),
      "t:1:71: $.model.merges[0]: 3 parts (expected two)" },
    { WITH_MODEL(VOCAB ",\"merges\":[[\"a\",\"\"]]"), "t:1:71: $.model.merges[0]: an empty part" },
    { WITH_MODEL(VOCAB ",\"merges\":[[\"a\",1]]"), "t:1:76: $.model.merges[0][1]: wrong type" },
    { WITH_MODEL(VOCAB ",\"merges\":[7]"), "t:1:71: $.model.merges[0]: wrong type" },
    { WITH_MODEL(VOCAB ",\"merges\":[\"a b\",\"a b\"]"),
      "t:1:77: $.model.merges[1]: this pair stands in the list already, at 0" },
    { WITH_MODEL(VOCAB ",\"merges\":[\"a b\",[\"b\",\"a\"]]"),
      "t:1:77: $.model.merges[1]: mixed forms of merges (expected a string as in the first)" },
    { WITH_MODEL(VOCAB ",\"merges\":[[\"a\",\"b\"],\"b a\"]"),
      "t:1:81: $.model.merges[1]: mixed forms of merges (expected an array as in the first)" },
};

static const struct bad models[] = {
    { WITH_MODEL(VOCAB "," MERGES ",\"dropout\":1.5"), "t:1:88: $.model.dropout: 1.5 is out of range" },
    { WITH_MODEL(VOCAB "," MERGES ",\"dropout\":\"a\""), "t:1:88: $.model.dropout: wrong type" },
    { WITH_MODEL(VOCAB "," MERGES ",\"unk_token\":\"<unk>\""),
      "t:1:90: $.model.unk_token: the token \"<unk>\" is not in the vocabulary" },
    { WITH_MODEL(VOCAB "," MERGES ",\"fuse_unk\":1"), "t:1:89: $.model.fuse_unk: wrong type" },
    { WITH_MODEL(VOCAB "," MERGES ",\"byte_fallback\":true"),
      "t:1:32: $.model.vocab: \"<0x00>\" is missing (expected all 256 byte tokens" },
    { WITH_MODEL("\"vocab\":{\"<0x-1>\":0},\"merges\":[],\"byte_fallback\":true"),
      "t:1:42: $.model.vocab[\"<0x-1>\"]: a token of byte_fallback (expected two digits 0-9, A-F)" },
    { WITH_MODEL("\"vocab\":{\"<0xZZ>\":0},\"merges\":[],\"byte_fallback\":true"),
      "t:1:42: $.model.vocab[\"<0xZZ>\"]: a token of byte_fallback" },
    { WITH_MODEL("\"vocab\":{\"<0x1FF>\":0},\"merges\":[],\"byte_fallback\":true"),
      "t:1:43: $.model.vocab[\"<0x1FF>\"]: a token of byte_fallback" },
    { WITH_MODEL(VOCAB ",\"merges\":[[\"<s>\",\"a\"]],\"continuing_subword_prefix\":\"##\""),
      "t:1:71: $.model.merges[0]: the second part is shorter than continuing_subword_prefix" },
};

#define UNIGRAM(members) "{\"model\":{\"type\":\"Unigram\"," members "}}"
#define PIECES           "\"vocab\":[[\"<unk>\",0],[\"a\",-1.5]]"

static const struct bad other_models[] = {
    { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}",
      "t:1:10: $.model: the token \"[UNK]\" is not in the vocabulary" },
    { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0},\"unk_token\":\"u\"}}",
      "t:1:58: $.model.unk_token: the token \"u\" is not in the vocabulary" },
    { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0},\"max_input_chars_per_word\":-1}}",
      "t:1:77: $.model.max_input_chars_per_word: -1 is out of range" },
    { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":[]}}", "t:1:38: $.model.vocab: wrong type" },
    { "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}",
      "t:1:10: $.model: the token \"<unk>\" is not in the vocabulary" },
    { "{\"model\":{\"type\":\"WordLevel\"}}", "t:1:10: $.model: \"vocab\" is missing" },
    { UNIGRAM("\"vocab\":{}"), "t:1:36: $.model.vocab: wrong type" },
    { UNIGRAM("\"vocab\":[[\"a\"]]"), "t:1:37: $.model.vocab[0]: 1 members (expected [piece, score])" },
    { UNIGRAM("\"vocab\":[[7,-1]]"), "t:1:38: $.model.vocab[0][0]: wrong type" },
    { UNIGRAM("\"vocab\":[[\"a\",\"-1\"]]"), "t:1:42: $.model.vocab[0][1]: wrong type" },
    { UNIGRAM("\"vocab\":[[\"a\",NaN]]"), "t:1:42: $.model.vocab[0][1]: " },
    { UNIGRAM("\"vocab\":[[\"a\",-1e999]]"), "t:1:42: $.model.vocab[0][1]: " },
    { UNIGRAM("\"vocab\":[[\"a\",-1],[\"a\",-2]]"),
      "t:1:47: $.model.vocab[1][0]: \"a\" stands in the list already, at 0" },
    { UNIGRAM(PIECES ",\"unk_id\":2"), "t:1:70: $.model.unk_id: id 2, but the vocabulary has 2 entries" },
    { UNIGRAM(PIECES ",\"unk_id\":-1"), "t:1:70: $.model.unk_id: -1 is out of range" },
    { UNIGRAM(PIECES ",\"byte_fallback\":true"), "t:1:36: $.model.vocab: \"<0x00>\" is missing" },
    { UNIGRAM("\"byte_fallback\":true,\"vocab\":[[\"<0x1G>\",0]]"),
      "t:1:59: $.model.vocab[0][0]: a token of byte_fallback" },
};

static const struct bad components[] = {
    { WITH("\"normalizer\":{\"type\":\"X\"}"),
      "t:1:23: $.normalizer.type: \"X\" is not supported (supported: NFC, NFD" },
    { WITH("\"normalizer\":[]"), "t:1:15: $.normalizer: wrong type" },
    { WITH("\"normalizer\":{}"), "t:1:15: $.normalizer: \"type\" is missing" },
    { WITH_PRE(BYTES ",{\"type\":\"X\"}"),
      "t:1:83: $.pre_tokenizer.pretokenizers[1].type: \"X\" is not supported (supported: ByteLevel" },
    { WITH("\"pre_tokenizer\":{\"type\":\"Sequence\"}"),
      "t:1:18: $.pre_tokenizer: \"pretokenizers\" is missing" },
    { WITH_PRE(BYTES "," BYTES), "t:1:18: $.pre_tokenizer: ByteLevel 2 times in one Sequence" },
    { WITH("\"decoder\":{\"type\":\"X\"}"),
      "t:1:20: $.decoder.type: \"X\" is not supported (supported: ByteLevel" },
    { WITH_POST("{\"type\":\"X\"}"),
      "t:1:27: $.post_processor.type: \"X\" is not supported (supported: ByteLevel, Bert" },
    { WITH("\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":1}"),
      "t:1:57: $.pre_tokenizer.add_prefix_space: wrong type (found a number, expected a boolean)" },
};

#define METASPACE(members) WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\"," members "}")
#define CHARSMAP(base64) \
    WITH("\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"" base64 "\"}")
#define MAP_AT "t:1:60: $.normalizer.precompiled_charsmap: "

static const struct bad settings[] = {
    { METASPACE("\"replacement\":\"ab\""), "t:1:52: $.pre_tokenizer.replacement: not one character" },
    { METASPACE("\"replacement\":\"_\",\"prepend_scheme\":\"First\""),
      "t:1:73: $.pre_tokenizer.prepend_scheme: not known (expected always, first or never)" },
    { METASPACE("\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"add_prefix_space\":false"),
      "t:1:73: $.pre_tokenizer.prepend_scheme: \"first\" contradicts add_prefix_space false" },
    { WITH("\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"\"}"),
      "t:1:59: $.pre_tokenizer.delimiter: not one character" },
    { WITH("\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}"),
      "t:1:49: $.pre_tokenizer.length: 0 is out of range" },
    { WITH("\"normalizer\":{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{\"Regex\":\"(\"}}"),
      "t:1:65: $.normalizer.pattern.Regex: byte 1 of the pattern: a group is not closed" },
    { WITH("\"normalizer\":{\"type\":\"Prepend\"}"), "t:1:15: $.normalizer: \"prepend\" is missing" },
    { WITH("\"normalizer\":{\"type\":\"Strip\",\"strip_left\":0}"),
      "t:1:44: $.normalizer.strip_left: wrong type" },
    { WITH("\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":-1}"),
      "t:1:50: $.decoder.start: -1 is out of range" },
    { WITH("\"decoder\":{\"type\":\"Strip\",\"content\":\"\"}"),
      "t:1:38: $.decoder.content: not one character" },
    { CHARSMAP("AAA"), MAP_AT "no base64, at byte 3" },
    { CHARSMAP("AA!A"), MAP_AT "no base64, at byte 2" },
    { CHARSMAP(""), MAP_AT "0 bytes (expected a trie's size first)" },
    { CHARSMAP("AAQAAA=="), MAP_AT "a trie of 1024 bytes in 0" },
    { CHARSMAP("AwAAAAAAAAA="), MAP_AT "a trie of 3 bytes in 4" },
    { CHARSMAP("BAAAAAAAAPA="), MAP_AT "the trie points to unit 3932160 (expected one of 1)" },
    { CHARSMAP("CAAAAAAAAAABBAAA"), MAP_AT "the trie runs in a circle at unit 0" },
    { CHARSMAP("DAAAAAAAAAABDQAABQAAAA=="), MAP_AT "the trie points to byte 5 of the strings (there are 0)" },
    { CHARSMAP("BAAAAAAAAAD/"), MAP_AT "strings that are not UTF-8" },
};

#define TEMPLATE_OF(single, specials) \
    "{\"type\":\"TemplateProcessing\",\"single\":" single ",\"special_tokens\":" specials "}"
#define TEMPLATE(single, specials) WITH_POST(TEMPLATE_OF(single, specials))
#define FRAME \
    TEMPLATE_OF("[" SPECIAL("s") "," SEQUENCE "]", "{\"s\":{\"id\":\"s\",\"ids\":[3],\"tokens\":[\"<s>\"]}}")
#define SEQUENCE    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
#define SPECIAL(id) "{\"SpecialToken\":{\"id\":\"" id "\",\"type_id\":0}}"

static const struct bad processors[] = {
    { WITH_POST("{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",2],\"cls\":[\"<s>\",3]}"),
      "t:1:54: $.post_processor.sep[0]: unknown token \"</s>\"" },
    { WITH_POST("{\"type\":\"RobertaProcessing\",\"sep\":[\"<s>\",2],\"cls\":[\"<s>\",3]}"),
      "t:1:60: $.post_processor.sep[1]: id 2 (expected 3, which the vocabulary has for \"<s>\")" },
    { WITH_POST("{\"type\":\"RobertaProcessing\",\"sep\":[\"<s>\"],\"cls\":[\"<s>\",3]}"),
      "t:1:53: $.post_processor.sep: 1 members (expected [token, id])" },
    { WITH_POST("{\"type\":\"RobertaProcessing\",\"cls\":[\"<s>\",3]}"),
      "t:1:19: $.post_processor: \"sep\" is missing" },
    { TEMPLATE("[" SPECIAL("[X]") "," SEQUENCE "]", "{}"),
      "t:1:80: $.post_processor.single[0].SpecialToken.id: unknown token (expected one of special_tokens)" },
    { TEMPLATE("[" SPECIAL("[X]") "," SEQUENCE "]",
               "{\"[X]\":{\"id\":\"[X]\",\"ids\":[9],\"tokens\":[\"[X]\"]}}"),
      "t:1:193: $.post_processor.special_tokens[\"[X]\"].tokens[0]: unknown token \"[X]\"" },
    { TEMPLATE("[" SPECIAL("x") "," SEQUENCE "]",
               "{\"x\":{\"id\":\"x\",\"ids\":[3,3],\"tokens\":[\"<s>\"]}}"),
      "t:1:157: $.post_processor.special_tokens.x: 2 ids for 1 tokens" },
    { TEMPLATE("[]", "{}"), "t:1:57: $.post_processor.single: the text stands 0 times (expected once)" },
    { TEMPLATE("[" SEQUENCE "," SEQUENCE "]", "{}"),
      "t:1:57: $.post_processor.single: the text stands 2 times" },
    { TEMPLATE("[{\"Y\":1}]", "{}"), "t:1:58: $.post_processor.single[0]: no piece of a template" },
    { WITH_POST("{\"type\":\"Sequence\",\"processors\":[" FRAME "," FRAME "]}"),
      "t:1:19: $.post_processor: special tokens after a TemplateProcessing that adds some" },
};

static const struct bad added[] = {
    { WITH_ADDED("{\"id\":5,\"content\":\"<s>\"}"),
      "t:1:24: $.added_tokens[0].id: id 5, but the vocabulary has 3 for this token" },
    { WITH_ADDED("{\"id\":9,\"content\":\"<x>\"}"),
      "t:1:24: $.added_tokens[0].id: id 9 of a token that is not in the vocabulary (expected 4, the next" },
    { WITH_ADDED("{\"id\":4,\"content\":\"x\"},{\"id\":4,\"content\":\"y\"}"),
      "t:1:47: $.added_tokens[1].id: id 4 of a" },
    { WITH_ADDED("{\"id\":4,\"content\":\"x\"},{\"id\":4,\"content\":\"x\"}"),
      "t:1:41: $.added_tokens[1]: this token stands in the list twice" },
    { WITH_ADDED("{\"id\":4,\"content\":\"\"}"), "t:1:18: $.added_tokens[0]: empty content" },
    { WITH_ADDED("{\"id\":4}"), "t:1:18: $.added_tokens[0]: \"content\" is missing" },
    { WITH_ADDED("{\"content\":\"x\"}"), "t:1:18: $.added_tokens[0]: \"id\" is missing" },
    { WITH_ADDED("{\"id\":-4,\"content\":\"x\"}"), "t:1:24: $.added_tokens[0].id: -4 is out of range" },
    { WITH_ADDED("7"), "t:1:18: $.added_tokens[0]: wrong type" },
    { WITH("\"added_tokens\":{}"), "t:1:17: $.added_tokens: wrong type" },
};

static const struct bad lengths[] = {
    { WITH("\"truncation\":{\"max_length\":-1}"), "t:1:29: $.truncation.max_length: -1 is out of range" },
    { WITH("\"truncation\":{\"max_length\":99999999999}"),
      "t:1:29: $.truncation.max_length: 99999999999 is out of range" },
    { WITH("\"truncation\":{}"), "t:1:15: $.truncation: \"max_length\" is missing" },
    { WITH("\"truncation\":{\"max_length\":1,\"strategy\":\"X\"}"),
      "t:1:42: $.truncation.strategy: \"X\" is not known (expected LongestFirst, OnlyFirst or OnlySecond)" },
    { WITH("\"truncation\":{\"max_length\":1,\"direction\":\"Up\"}"),
      "t:1:43: $.truncation.direction: \"Up\" is not known (expected Left or Right)" },
    { WITH("\"padding\":{\"strategy\":{\"Fixed\":-3}}"),
      "t:1:33: $.padding.strategy.Fixed: -3 is out of range" },
    { WITH("\"padding\":{\"strategy\":{\"Fixed\":1000000000000}}"),
      "t:1:33: $.padding.strategy.Fixed: 1000000000000 is" },
    { WITH("\"padding\":{\"strategy\":\"Longest\"}"),
      "t:1:24: $.padding.strategy: \"Longest\" is not known" },
    { WITH("\"padding\":{\"pad_to_multiple_of\":-8}"),
      "t:1:34: $.padding.pad_to_multiple_of: -8 is out of range" },
};

static void check(const struct bad *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tokenizer *t = NULL;
        size_t length = strlen(list[i].json);
        int status = tokenizer_parse("t", list[i].json, length, &t);
        if (status != ERR_DATA || strncmp(error_message(), list[i].message, strlen(list[i].message)) != 0)
            fail_msg("%s\n  gave %d: %s\n  expected %s", list[i].json, status, error_message(),
                     list[i].message);
        assert_null(t);
        error_clear();
    }
}

static void test_refused(void **state)
{
    check(documents, sizeof(documents) / sizeof(documents[0]));
    check(vocabularies, sizeof(vocabularies) / sizeof(vocabularies[0]));
    check(merges, sizeof(merges) / sizeof(merges[0]));
    check(models, sizeof(models) / sizeof(models[0]));
    check(other_models, sizeof(other_models) / sizeof(other_models[0]));
    check(components, sizeof(components) / sizeof(components[0]));
    check(settings, sizeof(settings) / sizeof(settings[0]));
    check(processors, sizeof(processors) / sizeof(processors[0]));
    check(added, sizeof(added) / sizeof(added[0]));
    check(lengths, sizeof(lengths) / sizeof(lengths[0]));
}

static void test_hint(void **state)
{
    struct tokenizer *t;

    assert_int_equal(tokenizer_parse("t", "404: Not Found", 14, &t), ERR_DATA);
    assert_string_equal(error_hint_text(), "this looks like an HTTP error page saved in place of the file");
    error_clear();
}

/* ---- taken ---- */

static const char *const accepted[] = {
    "\xEF\xBB\xBF{" MODEL "}",
    "{\"model\":{" VOCAB "," MERGES "}}",                  /* from before models had types */
    "{\"model\":{" MERGES "," VOCAB ",\"type\":\"BPE\"}}", /* any order */
    WITH(
        "\"truncation\":null,\"padding\":null,\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":null,"
        "\"post_processor\":null,\"decoder\":null,\"version\":\"1.0\""),
    WITH_MODEL(VOCAB ",\"merges\":[[\"a\",\"b\"]],\"dropout\":null"),
    WITH_MODEL(VOCAB ",\"merges\":[\"#version: 0.2\",\"a b\"],\"dropout\":0.0"),
    WITH_MODEL("\"vocab\":{\"a\":0,\"b\":5,\"ab\":90},\"merges\":[]"), /* gaps; tokens no merge reaches */
    "{\"added_tokens\":[{\"id\":1,\"content\":\"x\"}],"                /* into a gap, as in tokenizers */
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":9},\"merges\":[]}}",
    WITH_MODEL("\"vocab\":{},\"merges\":[]"),
    WITH_ADDED("{\"id\":4,\"content\":\"x\"},{\"id\":5,\"content\":\"y\"},{\"id\":3,\"content\":\"<s>\"}"),
};

static void test_accepted(void **state)
{
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        struct encoding out = { 0 };
        struct tokenizer *t = NULL;
        if (tokenizer_parse("t", accepted[i], strlen(accepted[i]), &t) != OK)
            fail_msg("%s\n  gave %s", accepted[i], error_message());
        struct encoder *e = encoder_create(t);
        assert_int_equal(tokenizer_encode(e, "abcab<s>", 8, NULL, &out), OK);
        encoding_release(&out);
        encoder_free(e);
        tokenizer_free(t);
    }
}

/* Settings that are found wrong when a text has to be cut. */
static void test_cut(void **state)
{
    static const struct bad cases[] = {
        { WITH("\"truncation\":{\"max_length\":2,\"stride\":2}"),
          "truncation.stride 2 (expected less than the 2 tokens of text that are kept)" },
        { WITH("\"truncation\":{\"max_length\":2,\"strategy\":\"OnlySecond\"}"),
          "truncation.strategy OnlySecond, but there is no second text" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tok_input texts[] = { { .text = { "ab", 2 } }, { .text = { "aaa", 3 } } };
        struct encoding out[2] = { { 0 }, { 0 } };
        struct tokenizer *t;
        assert_int_equal(tokenizer_parse("t", cases[i].json, strlen(cases[i].json), &t), OK);
        assert_int_equal(tokenizer_encode_batch(t, texts, 1, NULL, out), OK);
        assert_int_equal(tokenizer_encode_batch(t, texts, 2, NULL, out), ERR_CONFIG);
        assert_string_equal(error_message(), cases[i].message);
        error_clear();
        encoding_release(&out[0]);
        encoding_release(&out[1]);
        tokenizer_free(t);
    }
}

/* Normalizers that would fill the memory. */
static void test_growth(void **state)
{
    struct encoding out = { 0 };
    struct tokenizer *t;
    struct encoder *e;
    struct str json;

    str_init(&json);
    str_append(&json, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 40; i++)
        str_append(&json, i ? ",{\"type\":\"ByteLevel\"}" : "{\"type\":\"Lowercase\"}");
    str_append(&json, "]}," MODEL "}");
    assert_int_equal(tokenizer_parse("t", json.data, json.length, &t), OK);
    e = encoder_create(t);
    assert_int_equal(tokenizer_encode(e, "\xC3\xA9", 2, NULL, &out), ERR_DATA);
    assert_string_equal(error_message(),
                        "a normalizer of the tokenizer makes more than 134217727 bytes out of 2");
    error_clear();
    encoding_release(&out);
    encoder_free(e);
    tokenizer_free(t);
    str_release(&json);
}

/* ---- files ---- */

/* Every beginning of a real file is refused, none crashes. */
static void test_cut_off(void **state)
{
    struct tokenizer *t = NULL;
    struct str text;

    str_init(&text);
    assert_int_equal(file_read(GOLDEN_DIR "/tokenizer/encode/mixed_template/tokenizer.json", 0, &text), OK);
    while (text.length > 0 && text.data[text.length - 1] == '\n')
        text.length--;
    for (size_t length = 0; length < text.length;
         length += length < 4096 || text.length - length < 1024 ? 1 : 97) {
        char *part = mem_strndup(text.data, length);
        assert_int_equal(tokenizer_parse("t", part, length, &t), ERR_DATA);
        error_clear();
        mem_free(part);
    }
    str_release(&text);
}

static void put(void **state, const char *name, const char *text)
{
    char *path = scratch_path(state, name);

    scratch_put(path, text, strlen(text));
    mem_free(path);
}

static void expect_load(void **state, int status, const char *message)
{
    struct tokenizer *t = NULL;

    assert_int_equal(tokenizer_load(*state, &t), status);
    if (!strstr(error_message(), message))
        fail_msg("%s\n  expected %s", error_message(), message);
    error_clear();
    tokenizer_free(t);
}

static void test_directory(void **state)
{
    expect_load(state, ERR_OPEN,
                "no tokenizer here (looked for tokenizer.json, vocab.json with merges.txt, vocab.txt, tok");
    put(state, "vocab.json", "{\"a\":0,\"b\":1,\"ab\":2}");
    put(state, "merges.txt", "#version: 0.2\na b\n\n");
    expect_load(state, OK, "");
    put(state, "merges.txt", "#version: 0.2\na b\nb\n");
    expect_load(state, ERR_DATA, "merges.txt:3: expected two parts");
    put(state, "merges.txt", "a b\na c\n");
    expect_load(state, ERR_DATA, "merges.txt:2: \"c\" is not in the vocabulary");
    put(state, "merges.txt", "a b\r\na b\r\n");
    expect_load(state, ERR_DATA, "merges.txt:2: this pair stands in the list already, at line 1");
    put(state, "merges.txt", "a \xFF\n");
    expect_load(state, ERR_DATA, "merges.txt: not UTF-8 at byte 2");
    put(state, "merges.txt", "a b");
    put(state, "vocab.json", "{\"a\":0,\"b\":0}");
    expect_load(state, ERR_DATA, "vocab.json:1:12: $.b: id 0 is used by \"a\" and \"b\"");
    put(state, "tokenizer.json", "{" MODEL "}");
    expect_load(state, OK, "");
    put(state, "tokenizer_config.json", "{\"eos_token\":7}");
    expect_load(state, ERR_DATA, "tokenizer_config.json:1:14: $.eos_token: wrong type");
    put(state, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{\"content\":\"y\"}}}");
    expect_load(state, ERR_DATA, "tokenizer_config.json:1:30: $.added_tokens_decoder.x: the key is no id");
    put(state, "tokenizer_config.json", "{\"model_max_length\":0}");
    expect_load(state, ERR_DATA, "$.model_max_length: 0 (expected at least 1)");
    put(state, "tokenizer_config.json",
        "{\"model_max_length\":1000000000000000019884624838656,\"chat_template\":{}}");
    expect_load(state, OK, "");
    put(state, "special_tokens_map.json", "[]");
    expect_load(state, ERR_DATA, "special_tokens_map.json:1:1: wrong type");
}

/* ---- time ---- */

/* Texts that make careless tokenizers quadratic. */
static void test_linear(void **state)
{
    static const char *const units[] = { "a", "ab", "=", " ", "\n", "\xE3\x81\x82", "<", " <mask>", "'" };
    struct tokenizer *t;
    struct encoder *e;
    struct encoding out = { 0 };
    double begin = clock_seconds();

    assert_int_equal(tokenizer_load(GOLDEN_DIR "/tokenizer/encode/mixed_added", &t), OK);
    e = encoder_create(t);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct str text;
        str_init(&text);
        while (text.length < 1000000)
            str_append(&text, units[i]);
        str_append(&text, "b");
        out.count = 0;
        assert_int_equal(tokenizer_encode(e, text.data, text.length, NULL, &out), OK);
        str_release(&text);
    }
    assert_true(clock_seconds() - begin < 60);
    encoding_release(&out);
    encoder_free(e);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hint),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test_setup_teardown(test_directory, scratch_create, scratch_remove),
        cmocka_unit_test(test_linear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
