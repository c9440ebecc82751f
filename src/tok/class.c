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
        .add_prefix_space = true,
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
        .lstrip_mask = true,
        .roberta = true,
        .add_prefix_space = true,
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

const struct tok_class *class_default(void)
{
    return &classes[0];
}

void class_add_special(struct tokenizer *t, const struct tok_class *class, enum tok_special which)
{
    const char *text = class->specials[which];
    struct added_token a = {
        .content = (char *)text,
        .length = strlen(text),
        .id = -1,
        .lstrip = which == TOK_MASK && class->lstrip_mask,
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

int class_apply(struct tokenizer *t, const struct tok_class *class, const struct tree *config)
{
    const struct node *key = node_get(config->root, "add_prefix_space");
    bool space;

    if (!class || !class->add_prefix_space || !key || !t->pre_tokenizer.type ||
        strcmp(t->pre_tokenizer.type->name, "ByteLevel") != 0)
        return OK;
    TRY(node_to_bool(config, key, &space));
    return set_pre_tokenizer(t, space);
}

static int set_roberta(struct tokenizer *t, bool add_prefix_space)
{
    struct str s;
    int status;

    str_init(&s);
    str_appendf(&s, "{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",%d],\"cls\":[\"<s>\",%d],",
                t->specials[TOK_SEP], t->specials[TOK_CLS]);
    str_appendf(&s, "\"trim_offsets\":true,\"add_prefix_space\":%s}", add_prefix_space ? "true" : "false");
    status = tokenizer_set_section(t, SECTION_POST_PROCESSOR, s.data);
    str_release(&s);
    return status;
}

int class_build(struct tokenizer *t, const struct tok_class *class, const struct tree *config)
{
    static const char byte_level[] =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":false,\"use_regex\":true}";
    bool space = false;

    if (config->root)
        TRY(node_bool(config, config->root, "add_prefix_space", &space));
    TRY(set_pre_tokenizer(t, space));
    TRY(tokenizer_set_section(t, SECTION_DECODER, byte_level));
    if (!class->roberta)
        return tokenizer_set_section(t, SECTION_POST_PROCESSOR, byte_level);
    for (int i = 0; i < TOK_SPECIAL_COUNT; i++)
        class_add_special(t, class, (enum tok_special)i);
    return set_roberta(t, space);
}
