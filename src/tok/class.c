#include "tok/class.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

static const struct tok_class classes[] = {
    {
        .names = { "GPT2Tokenizer", "GPT2TokenizerFast" },
        .model_type = "gpt2",
        .specials = {
            [TOK_BOS] = "<|endoftext|>",
            [TOK_EOS] = "<|endoftext|>",
            [TOK_UNK] = "<|endoftext|>",
        },
    },
    {
        .names = { "RobertaTokenizer", "RobertaTokenizerFast" },
        .model_type = "roberta",
        .specials = {
            [TOK_BOS] = "<s>",
            [TOK_EOS] = "</s>",
            [TOK_UNK] = "<unk>",
            [TOK_SEP] = "</s>",
            [TOK_PAD] = "<pad>",
            [TOK_CLS] = "<s>",
            [TOK_MASK] = "<mask>",
        },
        .roberta = true,
    },
};

static const struct tok_class *find_name(const struct node *name)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        for (const char *const *n = classes[i].names; *n; n++)
            if (node_is(name, *n))
                return &classes[i];
    return NULL;
}

static const struct tok_class *find_model_type(const struct node *type)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (node_is(type, classes[i].model_type))
            return &classes[i];
    return NULL;
}

static int find_in_config(const char *path, const struct tok_class **out)
{
    struct tree tree = { 0 };
    struct str text;
    int status;

    str_init(&text);
    status = file_read(path, 0, &text);
    if (status == OK)
        status = tree_parse(&tree, path, text.data, text.length);
    if (status == OK)
        *out = find_model_type(node_get(tree.root, "model_type"));
    tree_release(&tree);
    str_release(&text);
    return status;
}

int class_of_directory(const char *directory, const struct tree *config, const struct tok_class **out)
{
    const struct node *name = node_get(config->root, "tokenizer_class");
    char *path;
    int status = OK;

    *out = NULL;
    if (name) {
        *out = find_name(name);
        return OK;
    }
    path = path_join(directory, "config.json");
    if (file_exists(path))
        status = find_in_config(path, out);
    mem_free(path);
    return status;
}

const struct tok_class *class_of_vocab(const struct tokenizer *t)
{
    const char *eos = classes[0].specials[TOK_EOS];

    return vocab_id(&t->vocab, eos, strlen(eos)) >= 0 ? &classes[0] : NULL;
}

void class_add_special(struct tokenizer *t, const struct tok_class *class, enum tok_special which)
{
    const char *text = class->specials[which];
    struct added_token a = {
        .content = (char *)text,
        .length = strlen(text),
        .id = -1,
        .special = true,
    };

    if (!added_find(&t->added, a.content, a.length))
        tokenizer_add(t, &a);
    t->specials[which] = tokenizer_id(t, a.content, a.length);
}

static int set_pre_tokenizer(struct tokenizer *t, bool add_prefix_space)
{
    char json[128];

    snprintf(json, sizeof(json),
             "{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true,\"use_regex\":true}",
             add_prefix_space ? "true" : "false");
    return tokenizer_set_section(t, SECTION_PRE_TOKENIZER, json);
}

static void append_end(struct str *s, const struct tokenizer *t, const char *key, enum tok_special which)
{
    struct json_writer w;
    size_t length;
    const char *token = tokenizer_content(t, t->specials[which], &length);

    str_appendf(s, ",\"%s\":[", key);
    json_writer_init(&w, s, -1);
    json_write_bytes(&w, token, length);
    str_appendf(s, ",%d]", t->specials[which]);
}

static int set_roberta(struct tokenizer *t, bool add_prefix_space)
{
    struct str s;
    int status;

    str_init(&s);
    str_append(&s, "{\"type\":\"RobertaProcessing\"");
    append_end(&s, t, "sep", TOK_SEP);
    append_end(&s, t, "cls", TOK_CLS);
    str_appendf(&s, ",\"trim_offsets\":true,\"add_prefix_space\":%s}", add_prefix_space ? "true" : "false");
    status = tokenizer_set_section(t, SECTION_POST_PROCESSOR, s.data);
    str_release(&s);
    return status;
}

int class_apply(struct tokenizer *t, const struct tok_class *class, const struct tree *config)
{
    const struct node *key = node_get(config->root, "add_prefix_space");
    bool space = false;

    if (!class)
        return OK;
    if (key)
        TRY(node_to_bool(config, key, &space));
    if (key && t->pre_tokenizer.type && strcmp(t->pre_tokenizer.type->name, "ByteLevel") == 0)
        TRY(set_pre_tokenizer(t, space));
    return class->roberta ? set_roberta(t, space) : OK;
}

int class_build(struct tokenizer *t)
{
    static const char byte_level[] =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":false,\"use_regex\":true}";

    TRY(set_pre_tokenizer(t, false));
    TRY(tokenizer_set_section(t, SECTION_POST_PROCESSOR, byte_level));
    return tokenizer_set_section(t, SECTION_DECODER, byte_level);
}

int tokenizer_set_post_processor(struct tokenizer *t, const char *name)
{
    if (strcmp(name, "none") == 0)
        return OK;
    if (strcmp(name, "roberta") != 0)
        return fail(ERR_CONFIG, "post_processor \"%s\" is not supported (supported: none, roberta)", name);
    if (t->specials[TOK_CLS] < 0)
        t->specials[TOK_CLS] = t->specials[TOK_BOS];
    if (t->specials[TOK_SEP] < 0)
        t->specials[TOK_SEP] = t->specials[TOK_EOS];
    if (t->specials[TOK_CLS] < 0 || t->specials[TOK_SEP] < 0)
        return fail(ERR_CONFIG, "post_processor roberta needs a bos_token and an eos_token (found %s)",
                    t->specials[TOK_CLS] < 0 ? "no bos_token" : "no eos_token");
    return set_roberta(t, true);
}
