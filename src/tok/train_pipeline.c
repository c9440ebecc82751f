/* What text goes through before words are counted, and stays in the tokenizer: normalizer, pre-tokenizer
 * and decoder, each type's own or by name. The Unigram's own is that of the T5 recipe of transformers'
 * examples. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/tokenizer.h"
#include "tok/train.h"

#define META \
    "\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"always\",\"split\":true"

struct named {
    const char *name, *json;
};

static const struct named normalizers[] = {
    { "nfc", "{\"type\":\"NFC\"}" },
    { "nfd", "{\"type\":\"NFD\"}" },
    { "nfkc", "{\"type\":\"NFKC\"}" },
    { "nfkd", "{\"type\":\"NFKD\"}" },
    { "nmt", "{\"type\":\"Nmt\"}" },
    { "lowercase", "{\"type\":\"Lowercase\"}" },
    { "strip", "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}" },
    { "strip_accents", "{\"type\":\"StripAccents\"}" },
    { "spaces", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}" },
    { "bert", "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
              "\"strip_accents\":null,\"lowercase\":true}" },
    { "bert_cased", "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
                    "\"strip_accents\":null,\"lowercase\":false}" },
    { 0 },
};

static const struct named pre_tokenizers[] = {
    { "metaspace", "{" META "}" },
    { "digits", "{\"type\":\"Digits\",\"individual_digits\":true}" },
    { "punctuation", "{\"type\":\"Punctuation\",\"behavior\":\"Isolated\"}" },
    { "whitespace", "{\"type\":\"Whitespace\"}" },
    { "whitespace_split", "{\"type\":\"WhitespaceSplit\"}" },
    { "bert", "{\"type\":\"BertPreTokenizer\"}" },
    { 0 },
};

/* What each type takes where the options name nothing. */
static const struct {
    const char *normalizer, *pre_tokenizer, *decoder;
} own[] = {
    [TOK_TRAIN_BYTE_LEVEL] = { "none", NULL, NULL },
    [TOK_TRAIN_WORDPIECE] = { "bert", "bert", "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}" },
    [TOK_TRAIN_UNIGRAM] = { "nmt,nfkc,spaces,lowercase", "metaspace,digits,punctuation", "{" META "}" },
    [TOK_TRAIN_SENTENCEPIECE] = { "nfkc", "metaspace", "{" META "}" },
};

static const char byte_level[] =
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}";
static const char byte_fallback_decoder[] =
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},"
    "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}";

static int fail_name(const char *option, const struct named *rows, const char *name, size_t length)
{
    struct str known, found;

    str_init(&known);
    str_init(&found);
    str_append_escaped(&found, name, length, 40);
    for (; rows->name; rows++)
        str_appendf(&known, "%s, ", rows->name);
    fail(ERR_CONFIG, "%s \"%s\" is not known (expected names of %snone, or JSON as in tokenizer.json)",
         option, found.data, known.data);
    str_release(&known);
    str_release(&found);
    return ERR_CONFIG;
}

/* "nfkc,lowercase" as JSON. */
static int append_names(const char *option, const char *list, const struct named *rows, struct str *out)
{
    size_t length, count = 0;
    const struct named *row;

    for (const char *p = list; *p; p += length + (p[length] == ',')) {
        length = strcspn(p, ",");
        for (row = rows; row->name; row++)
            if (strlen(row->name) == length && memcmp(row->name, p, length) == 0)
                break;
        if (!row->name)
            return fail_name(option, rows, p, length);
        str_append(out, count++ ? "," : "");
        str_append(out, row->json);
    }
    return OK;
}

struct section_names {
    const char *option, *members; /* members: of the Sequence */
    const struct named *rows;
};

static int set_by_name(struct tokenizer *t, enum section which, const struct section_names *names,
                       const char *value)
{
    struct str json;
    int status;

    if (strcmp(value, "none") == 0 || strcmp(value, "null") == 0)
        return OK;
    if (*value == '{')
        return tokenizer_set_section(t, which, value);
    str_init(&json);
    if (strchr(value, ',')) {
        str_appendf(&json, "{\"type\":\"Sequence\",\"%s\":[", names->members);
        status = append_names(names->option, value, names->rows, &json);
        str_append(&json, "]}");
    } else {
        status = append_names(names->option, value, names->rows, &json);
    }
    if (status == OK && json.length == 0)
        status = fail(ERR_CONFIG, "%s is empty (expected a name, or none)", names->option);
    if (status == OK)
        status = tokenizer_set_section(t, which, json.data);
    str_release(&json);
    return status;
}

static int set_byte_level(struct tokenizer *t, const struct tok_train_options *o)
{
    static const char plain[] =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}";
    static const char post[] =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":false,\"use_regex\":true}";

    if (o->pre_tokenizer)
        return fail(ERR_CONFIG, "pre_tokenizer: byte-level tokenizers have their own");
    TRY(tokenizer_set_section(t, SECTION_PRE_TOKENIZER, o->add_prefix_space ? byte_level : plain));
    TRY(tokenizer_set_section(t, SECTION_POST_PROCESSOR, post));
    return tokenizer_set_section(t, SECTION_DECODER, byte_level);
}

/* What undoes the pre-tokenizer. */
static const char *decoder_of(const struct tok_train_options *o, const char *pre_tokenizer)
{
    if (strstr(pre_tokenizer, "\"ByteLevel\""))
        return byte_level;
    return o->byte_fallback ? byte_fallback_decoder : own[o->type].decoder;
}

int train_pipeline(const struct tok_train_options *o, struct tokenizer *t)
{
    static const struct section_names normalizer = { "normalizer", "normalizers", normalizers },
                                      pre_tokenizer = { "pre_tokenizer", "pretokenizers", pre_tokenizers };
    const char *split = o->pre_tokenizer ? o->pre_tokenizer : own[o->type].pre_tokenizer;

    TRY(set_by_name(t, SECTION_NORMALIZER, &normalizer,
                    o->normalizer ? o->normalizer : own[o->type].normalizer));
    if (o->type == TOK_TRAIN_BYTE_LEVEL)
        return set_byte_level(t, o);
    TRY(set_by_name(t, SECTION_PRE_TOKENIZER, &pre_tokenizer, split));
    return tokenizer_set_section(t, SECTION_DECODER, decoder_of(o, split));
}
