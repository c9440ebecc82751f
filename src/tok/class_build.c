/* How each class puts the pipeline together (transformers 5.x, models/.../tokenization_*.py and
 * convert_slow_tokenizer.py). */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/class.h"
#include "tok/spm.h"
#include "tok/types.h"
#include "tok/unigram.h"

#define METASPACE "\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\""
#define UNDERLINE_TO_SPACE \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},\"content\":\" \"}"
#define SPACE_TO_UNDERLINE \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}"
#define BYTES_AND_FUSE "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}"

static int read_flag(const struct class_build *b, const char *key, bool *out)
{
    return node_bool(b->config, b->config->root, key, out);
}

static const char *word_of(bool flag)
{
    return flag ? "true" : "false";
}

/* ---- special tokens around a text ---- */

static void append_token(struct str *s, const struct tokenizer *t, enum tok_special which)
{
    struct json_writer w;
    size_t length;
    const char *token = tokenizer_content(t, t->specials[which], &length);

    json_writer_init(&w, s, -1);
    json_write_bytes(&w, token, length);
}

static void append_piece(struct str *s, const struct tokenizer *t, enum tok_special which, int text)
{
    str_append(s, "{\"SpecialToken\":{\"id\":");
    append_token(s, t, which);
    str_appendf(s, ",\"type_id\":%d}}", text);
}

/* Tokens before and after each text; TOK_SPECIAL_COUNT: none. */
struct frame {
    enum tok_special before, after;
    bool typed;       /* the second text has type 1 */
    bool before_once; /* only before the first text */
};

static void append_texts(struct str *s, const struct tokenizer *t, const struct frame *f, int count)
{
    str_append(s, "[");
    for (int i = 0; i < count; i++) {
        int type = f->typed ? i : 0;
        if (i > 0)
            str_append(s, ",");
        if (f->before != TOK_SPECIAL_COUNT && (i == 0 || !f->before_once)) {
            append_piece(s, t, f->before, type);
            str_append(s, ",");
        }
        str_appendf(s, "{\"Sequence\":{\"id\":\"%c\",\"type_id\":%d}}", 'A' + i, type);
        if (f->after != TOK_SPECIAL_COUNT) {
            str_append(s, ",");
            append_piece(s, t, f->after, type);
        }
    }
    str_append(s, "]");
}

static void append_special(struct str *s, const struct tokenizer *t, enum tok_special which)
{
    append_token(s, t, which);
    str_append(s, ":{\"id\":");
    append_token(s, t, which);
    str_appendf(s, ",\"ids\":[%d],\"tokens\":[", t->specials[which]);
    append_token(s, t, which);
    str_append(s, "]}");
}

static int set_template(struct tokenizer *t, const struct frame *f)
{
    bool before = f->before != TOK_SPECIAL_COUNT, after = f->after != TOK_SPECIAL_COUNT;
    struct str s;
    int status;

    str_init(&s);
    str_append(&s, "{\"type\":\"TemplateProcessing\",\"single\":");
    append_texts(&s, t, f, 1);
    str_append(&s, ",\"pair\":");
    append_texts(&s, t, f, 2);
    str_append(&s, ",\"special_tokens\":{");
    if (before)
        append_special(&s, t, f->before);
    if (after && (!before || t->specials[f->after] != t->specials[f->before])) {
        str_append(&s, before ? "," : "");
        append_special(&s, t, f->after);
    }
    str_append(&s, "}}");
    status = tokenizer_set_section(t, SECTION_POST_PROCESSOR, s.data);
    str_release(&s);
    return status;
}

/* add_bos_token and add_eos_token; a tokenizer.json decides them itself. */
static int add_ends(struct tokenizer *t, const struct class_build *b)
{
    bool bos = false, eos = false;
    struct frame f = { TOK_SPECIAL_COUNT, TOK_SPECIAL_COUNT, true, false };

    if (!b->bare)
        return OK;
    TRY(read_flag(b, "add_bos_token", &bos));
    TRY(read_flag(b, "add_eos_token", &eos));
    if (bos && t->specials[TOK_BOS] >= 0)
        f.before = TOK_BOS;
    if (eos && t->specials[TOK_EOS] >= 0)
        f.after = TOK_EOS;
    if (f.before == TOK_SPECIAL_COUNT && f.after == TOK_SPECIAL_COUNT)
        return OK;
    return set_template(t, &f);
}

/* ---- GPT-2, RoBERTa ---- */

static int set_byte_level(struct tokenizer *t, const struct class_build *b, bool *add_prefix_space)
{
    static const char decoder[] =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}";
    char json[128];

    *add_prefix_space = false;
    TRY(read_flag(b, "add_prefix_space", add_prefix_space));
    snprintf(json, sizeof(json),
             "{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true,\"use_regex\":true}",
             word_of(*add_prefix_space));
    tokenizer_clear_section(t, SECTION_NORMALIZER);
    TRY(tokenizer_set_section(t, SECTION_PRE_TOKENIZER, json));
    return tokenizer_set_section(t, SECTION_DECODER, decoder);
}

int class_build_gpt2(struct tokenizer *t, const struct class_build *b)
{
    bool space;

    TRY(set_byte_level(t, b, &space));
    return add_ends(t, b);
}

static void append_end(struct str *s, const struct tokenizer *t, const char *key, enum tok_special which)
{
    str_appendf(s, ",\"%s\":[", key);
    append_token(s, t, which);
    str_appendf(s, ",%d]", t->specials[which]);
}

static int set_roberta(struct tokenizer *t, bool trim_offsets, bool add_prefix_space)
{
    struct str s;
    int status;

    str_init(&s);
    str_append(&s, "{\"type\":\"RobertaProcessing\"");
    append_end(&s, t, "sep", TOK_SEP);
    append_end(&s, t, "cls", TOK_CLS);
    str_appendf(&s, ",\"trim_offsets\":%s,\"add_prefix_space\":%s}", word_of(trim_offsets),
                word_of(add_prefix_space));
    status = tokenizer_set_section(t, SECTION_POST_PROCESSOR, s.data);
    str_release(&s);
    return status;
}

int class_build_roberta(struct tokenizer *t, const struct class_build *b)
{
    bool space, trim = true;

    TRY(set_byte_level(t, b, &space));
    TRY(read_flag(b, "trim_offsets", &trim));
    return set_roberta(t, trim, space);
}

/* ---- BERT ---- */

static int set_bert_normalizer(struct tokenizer *t, const struct class_build *b)
{
    const struct node *accents = node_get(b->config->root, "strip_accents");
    bool lower = true, chinese = true, strip = false;
    char json[192];

    TRY(read_flag(b, "do_lower_case", &lower));
    TRY(read_flag(b, "tokenize_chinese_chars", &chinese));
    TRY(read_flag(b, "strip_accents", &strip));
    snprintf(json, sizeof(json),
             "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":%s,"
             "\"strip_accents\":%s,\"lowercase\":%s}",
             word_of(chinese), accents ? word_of(strip) : "null", word_of(lower));
    return tokenizer_set_section(t, SECTION_NORMALIZER, json);
}

int class_build_bert(struct tokenizer *t, const struct class_build *b)
{
    const struct frame f = { TOK_CLS, TOK_SEP, true, true };

    TRY(set_bert_normalizer(t, b));
    TRY(tokenizer_set_section(t, SECTION_PRE_TOKENIZER, "{\"type\":\"BertPreTokenizer\"}"));
    TRY(tokenizer_set_section(t, SECTION_DECODER,
                              "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}"));
    return set_template(t, &f);
}

/* ---- SentencePiece ---- */

static int set_metaspace(struct tokenizer *t, const char *scheme)
{
    char json[160];

    snprintf(json, sizeof(json), "{" METASPACE ",\"prepend_scheme\":\"%s\",\"split\":false}", scheme);
    return tokenizer_set_section(t, SECTION_PRE_TOKENIZER, json);
}

int class_build_llama(struct tokenizer *t, const struct class_build *b)
{
    bool space = true, legacy = false;

    TRY(read_flag(b, "add_prefix_space", &space));
    TRY(read_flag(b, "legacy", &legacy));
    tokenizer_clear_section(t, SECTION_NORMALIZER);
    TRY(set_metaspace(t, !space ? "never" : legacy ? "always" : "first"));
    TRY(tokenizer_set_section(
        t, SECTION_DECODER,
        space ? "{\"type\":\"Sequence\",\"decoders\":[" UNDERLINE_TO_SPACE "," BYTES_AND_FUSE
                ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"
              : "{\"type\":\"Sequence\",\"decoders\":[" UNDERLINE_TO_SPACE "," BYTES_AND_FUSE "]}"));
    return add_ends(t, b);
}

static void append_precompiled(struct str *s, const struct spm *spm)
{
    str_append(s, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
    str_append_base64(s, spm->charsmap.bytes, spm->charsmap.length);
    str_append(s, "\"}");
}

/* Of a tokenizer.json's normalizer T5's class takes the table of characters alone. */
static int keep_precompiled(struct tokenizer *t)
{
    const struct node *n, *kept = NULL;
    struct tree tree;
    struct str s;
    int status;

    if (!t->sections[SECTION_NORMALIZER])
        return OK;
    str_init(&s);
    str_append(&s, t->sections[SECTION_NORMALIZER]);
    TRY(tree_parse(&tree, section_keys[SECTION_NORMALIZER], s.data, s.length));
    n = node_get(tree.root, "normalizers");
    for (n = n ? n->first : tree.root; n && !kept; n = n->next)
        if (node_is(node_get(n, "type"), "Precompiled"))
            kept = n;
    tokenizer_clear_section(t, SECTION_NORMALIZER);
    status = kept ? tokenizer_read_section(t, &tree, SECTION_NORMALIZER, kept) : OK;
    tree_release(&tree);
    str_release(&s);
    return status;
}

static int set_t5_normalizer(struct tokenizer *t, const struct class_build *b)
{
    struct str s;
    int status;

    if (!b->spm)
        return keep_precompiled(t);
    if (b->spm->charsmap.length == 0)
        return OK;
    str_init(&s);
    append_precompiled(&s, b->spm);
    status = tokenizer_set_section(t, SECTION_NORMALIZER, s.data);
    str_release(&s);
    return status;
}

int class_build_t5(struct tokenizer *t, const struct class_build *b)
{
    const struct frame f = { TOK_SPECIAL_COUNT, TOK_EOS, false, false };

    if (t->model.type == &model_unigram)
        unigram_use_given(t->model.state);
    TRY(set_t5_normalizer(t, b));
    TRY(tokenizer_set_section(
        t, SECTION_PRE_TOKENIZER,
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{" METASPACE
        ",\"prepend_scheme\":\"always\",\"split\":true}]}"));
    TRY(tokenizer_set_section(t, SECTION_DECODER,
                              "{" METASPACE ",\"prepend_scheme\":\"always\",\"split\":true}"));
    return set_template(t, &f);
}

int class_build_spm(struct tokenizer *t, const struct class_build *b)
{
    struct str s;
    int status;

    str_init(&s);
    str_append(&s, "{\"type\":\"Sequence\",\"normalizers\":[");
    if (b->spm->charsmap.length > 0) {
        append_precompiled(&s, b->spm);
        str_append(&s, ",");
    }
    str_append(&s, SPACE_TO_UNDERLINE "]}");
    status = tokenizer_set_section(t, SECTION_NORMALIZER, s.data);
    str_release(&s);
    TRY(status);
    TRY(tokenizer_set_section(t, SECTION_DECODER,
                              b->spm->byte_fallback
                                  ? "{\"type\":\"Sequence\",\"decoders\":[" UNDERLINE_TO_SPACE
                                    "," BYTES_AND_FUSE "]}"
                                  : "{\"type\":\"Sequence\",\"decoders\":[" UNDERLINE_TO_SPACE "]}"));
    return add_ends(t, b);
}

/* ---- what a caller asks for ---- */

static int need_ends(struct tokenizer *t, const char *name)
{
    if (t->specials[TOK_CLS] < 0)
        t->specials[TOK_CLS] = t->specials[TOK_BOS];
    if (t->specials[TOK_SEP] < 0)
        t->specials[TOK_SEP] = t->specials[TOK_EOS];
    if (t->specials[TOK_CLS] < 0 || t->specials[TOK_SEP] < 0)
        return fail(ERR_CONFIG, "post_processor %s needs a bos_token and an eos_token (found %s)", name,
                    t->specials[TOK_CLS] < 0 ? "no bos_token" : "no eos_token");
    return OK;
}

int tokenizer_set_post_processor(struct tokenizer *t, const char *name)
{
    const struct frame bert = { TOK_CLS, TOK_SEP, true, true },
                       t5 = { TOK_SPECIAL_COUNT, TOK_EOS, false, false };

    if (strcmp(name, "none") == 0)
        return OK;
    if (strcmp(name, "roberta") == 0) {
        TRY(need_ends(t, name));
        return set_roberta(t, true, true);
    }
    if (strcmp(name, "bert") == 0) {
        TRY(need_ends(t, name));
        return set_template(t, &bert);
    }
    if (strcmp(name, "t5") != 0)
        return fail(ERR_CONFIG, "post_processor \"%s\" is not supported (supported: none, roberta, bert, t5)",
                    name);
    if (t->specials[TOK_EOS] < 0)
        return fail(ERR_CONFIG, "post_processor t5 needs an eos_token (found none)");
    return set_template(t, &t5);
}
