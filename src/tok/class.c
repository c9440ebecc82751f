#include "tok/class.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

static const struct tok_class classes[] = {
    {
        .name = "GPT2Tokenizer",
        .model_types = { "gpt2", "gpt_neo" },
        .specials = {
            [TOK_BOS] = "<|endoftext|>",
            [TOK_EOS] = "<|endoftext|>",
            [TOK_UNK] = "<|endoftext|>",
        },
        .files = TOK_FILES_BPE,
        .build = class_build_gpt2,
    },
    {
        .name = "RobertaTokenizer",
        .model_types = { "roberta" },
        .specials = {
            [TOK_BOS] = "<s>",
            [TOK_EOS] = "</s>",
            [TOK_UNK] = "<unk>",
            [TOK_SEP] = "</s>",
            [TOK_PAD] = "<pad>",
            [TOK_CLS] = "<s>",
            [TOK_MASK] = "<mask>",
        },
        .files = TOK_FILES_BPE,
        .build = class_build_roberta,
    },
    {
        .name = "BertTokenizer",
        .model_types = { "bert", "distilbert", "electra" },
        .specials = {
            [TOK_UNK] = "[UNK]",
            [TOK_SEP] = "[SEP]",
            [TOK_PAD] = "[PAD]",
            [TOK_CLS] = "[CLS]",
            [TOK_MASK] = "[MASK]",
        },
        .files = TOK_FILES_WORDPIECE,
        .build = class_build_bert,
    },
    {
        .name = "LlamaTokenizer", /* of no model_type: transformers knows none for it */
        .specials = {
            [TOK_BOS] = "<s>",
            [TOK_EOS] = "</s>",
            [TOK_UNK] = "<unk>",
        },
        .files = TOK_FILES_SPM,
        .build = class_build_llama,
    },
    {
        .name = "T5Tokenizer",
        .model_types = { "t5", "mt5" },
        .specials = {
            [TOK_EOS] = "</s>",
            [TOK_UNK] = "<unk>",
            [TOK_PAD] = "<pad>",
        },
        .files = TOK_FILES_SPM,
        .sentinels = true,
        .build = class_build_t5,
    },
};
enum { CLASSES = sizeof(classes) / sizeof(classes[0]) };

static const struct tok_class *find_name(const struct node *name)
{
    char fast[64];

    for (int i = 0; i < CLASSES; i++) {
        snprintf(fast, sizeof(fast), "%sFast", classes[i].name);
        if (node_is(name, classes[i].name) || node_is(name, fast))
            return &classes[i];
    }
    return NULL;
}

const struct tok_class *class_named(const char *name)
{
    for (int i = 0; i < CLASSES; i++)
        if (strcmp(classes[i].name, name) == 0)
            return &classes[i];
    BUG("no class %s", name);
}

static const struct tok_class *find_model_type(const struct node *type)
{
    for (int i = 0; i < CLASSES; i++)
        for (const char *const *t = classes[i].model_types; *t; t++)
            if (node_is(type, *t))
                return &classes[i];
    return NULL;
}

static int find_in_config(const char *path, const struct tok_class **out)
{
    struct tree tree = { 0 };
    const struct node *name;
    struct str text;
    int status;

    str_init(&text);
    status = file_read(path, 0, &text);
    if (status == OK)
        status = tree_parse(&tree, path, text.data, text.length);
    if (status == OK) {
        name = node_get(tree.root, "tokenizer_class");
        *out = name ? find_name(name) : find_model_type(node_get(tree.root, "model_type"));
    }
    tree_release(&tree);
    str_release(&text);
    return status;
}

int class_of_directory(const char *directory, const struct tree *config, const struct tok_class **out,
                       bool *said)
{
    const struct node *name = node_get(config->root, "tokenizer_class");
    char *path = path_join(directory, "config.json");
    bool has_config = file_exists(path);
    int status = OK;

    *out = name ? find_name(name) : NULL;
    *said = name || has_config;
    if (!name && has_config)
        status = find_in_config(path, out);
    mem_free(path);
    return status;
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

int class_sentinels(const struct tree *config, int64_t *out)
{
    int64_t count = 100;

    TRY(node_int(config, config->root, "extra_ids", 0, 1 << 20, &count));
    *out = count;
    return OK;
}
