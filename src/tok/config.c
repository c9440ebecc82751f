/* What transformers keeps beside tokenizer.json: tokenizer_config.json, and from before it knew
 * added_tokens_decoder special_tokens_map.json and added_tokens.json. They name the tokens that play a part
 * and may add tokens, in this order: those of added_tokens_decoder by id, the parts in the order of
 * tok_special_keys, additional ones. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "tok/class.h"

/* A file of the directory and its tree; absent: tree.root is NULL. */
struct config_file {
    char *path;
    struct file_map map;
    struct tree tree;
};

struct config {
    struct config_file main, specials, added;
    bool bare; /* there is no tokenizer.json */
};

static int config_file_open(struct config_file *f, const char *directory, const char *name)
{
    f->path = path_join(directory, name);
    if (!file_exists(f->path))
        return OK;
    TRY(file_map_open(&f->map, f->path));
    return tree_parse(&f->tree, f->path, f->map.data, f->map.length);
}

static void config_file_close(struct config_file *f)
{
    tree_release(&f->tree);
    if (f->map.data)
        file_map_close(&f->map);
    mem_free(f->path);
}

/* ---- tokens that are added ---- */

struct pending { /* a token of added_tokens_decoder or added_tokens.json */
    struct added_token token;
    int64_t id;
};

static int compare_pending(const void *a, const void *b)
{
    const struct pending *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static int read_decoder_entry(const struct tree *t, const struct node *n, struct pending *p)
{
    char *end;

    p->id = strtoll(n->key, &end, 10);
    if (end == n->key || *end != 0 || p->id < 0 || p->id > INT32_MAX - 1)
        return node_fail(t, n, "the key is no id (expected an integer from 0 to %d)", INT32_MAX - 1);
    return added_token_read(t, n, &p->token);
}

/* "token": id */
static int read_added_entry(const struct tree *t, const struct node *n, struct pending *p)
{
    if (n->key_length == 0)
        return node_fail(t, n, "empty token");
    p->token = (struct added_token){ .content = (char *)n->key, .length = n->key_length, .normalized = true };
    return node_to_int(t, n, 0, INT32_MAX - 1, &p->id);
}

static int add_all(struct tokenizer *t, const struct tree *tree, const struct node *object,
                   int (*read)(const struct tree *tree, const struct node *n, struct pending *p))
{
    struct pending *list;
    size_t count = 0;
    int status = OK;

    TRY(node_expect(tree, object, JSON_OBJECT));
    list = mem_alloc_array(object->count, sizeof(*list));
    for (const struct node *n = object->first; n && status == OK; n = n->next)
        status = read(tree, n, &list[count++]);
    if (status == OK && count > 0)
        qsort(list, count, sizeof(*list), compare_pending);
    for (size_t i = 0; i < count && status == OK; i++) {
        list[i].token.id = -1;
        if (!added_find(&t->added, list[i].token.content, list[i].token.length))
            tokenizer_add(t, &list[i].token);
    }
    mem_free(list);
    return status;
}

/* "text", or {"content": "text", flags}. */
static int read_special(const struct tree *tree, const struct node *n, bool special, struct added_token *out)
{
    if (n->type == JSON_OBJECT) {
        TRY(added_token_read(tree, n, out));
        out->special = out->special || special;
        if (!node_get(n, "normalized"))
            out->normalized = false;
        return OK;
    }
    TRY(node_expect(tree, n, JSON_STRING));
    if (n->length == 0)
        return node_fail(tree, n, "empty token");
    *out = (struct added_token){ .content = (char *)n->text, .length = n->length, .id = -1, .special = true };
    return OK;
}

static int add_special(struct tokenizer *t, const struct tree *tree, const struct node *n, bool special,
                       int32_t *id)
{
    struct added_token a = { 0 };

    TRY(read_special(tree, n, special, &a));
    if (!added_find(&t->added, a.content, a.length))
        tokenizer_add(t, &a);
    *id = tokenizer_id(t, a.content, a.length);
    return OK;
}

/* additional_special_tokens, and its newer name; an array or an object of names. */
static int add_extra(struct tokenizer *t, const struct tree *tree, const struct node *list)
{
    int32_t id;

    if (!list)
        return OK;
    if (list->type != JSON_OBJECT)
        TRY(node_expect(tree, list, JSON_ARRAY));
    for (const struct node *n = list->first; n; n = n->next)
        TRY(add_special(t, tree, n, false, &id));
    return OK;
}

/* ---- the parts tokens play ---- */

static int add_parts(struct tokenizer *t, const struct config *c, bool legacy, const struct tok_class *class)
{
    for (int i = 0; i < TOK_SPECIAL_COUNT; i++) {
        const struct node *n = legacy ? node_get(c->specials.tree.root, tok_special_keys[i]) : NULL;
        const struct tree *tree = n ? &c->specials.tree : &c->main.tree;
        if (!n)
            n = node_get(c->main.tree.root, tok_special_keys[i]);
        if (n)
            TRY(add_special(t, tree, n, true, &t->specials[i]));
        else if (class && class->specials[i])
            class_add_special(t, class, (enum tok_special)i);
    }
    TRY(add_extra(t, &c->main.tree, node_get(c->main.tree.root, "additional_special_tokens")));
    TRY(add_extra(t, &c->main.tree, node_get(c->main.tree.root, "extra_special_tokens")));
    if (legacy)
        TRY(add_extra(t, &c->specials.tree, node_get(c->specials.tree.root, "additional_special_tokens")));
    return OK;
}

/* transformers writes 1e30 for "no limit". */
static int read_max_length(struct tokenizer *t, const struct tree *tree)
{
    const struct node *n = node_get(tree->root, "model_max_length");
    double length = 0;

    if (!n)
        return OK;
    TRY(node_to_double(tree, n, &length));
    if (!(length >= 1))
        return node_fail(tree, n, "%.40s (expected at least 1)", n->text);
    t->max_length = length < 1e15 ? (int64_t)length : INT64_MAX;
    return OK;
}

static int read_clean_up(const struct tokenizer *t, const struct tree *tree)
{
    bool clean = false;

    TRY(node_bool(tree, tree->root, "clean_up_tokenization_spaces", &clean));
    if (clean && strcmp(t->model.type->name, "BPE") == 0)
        note("%s: clean_up_tokenization_spaces has no effect with a BPE tokenizer, as in transformers",
             tree->name);
    return OK;
}

static int config_apply(struct tokenizer *t, const char *directory, const struct config *c)
{
    const struct tree *tree = &c->main.tree;
    const struct node *decoder = node_get(tree->root, "added_tokens_decoder");
    const struct tok_class *class;

    TRY(class_of_directory(directory, tree, &class));
    if (!class && c->bare)
        class = class_of_vocab(t);
    if (decoder)
        TRY(add_all(t, tree, decoder, read_decoder_entry));
    else if (c->added.tree.root)
        TRY(add_all(t, &c->added.tree, c->added.tree.root, read_added_entry));
    TRY(add_parts(t, c, !decoder, class));
    TRY(tokenizer_index(t));
    TRY(class_apply(t, class, tree));
    if (!tree->root)
        return OK;
    TRY(read_max_length(t, tree));
    TRY(read_clean_up(t, tree));
    t->config = mem_strndup(c->main.map.data, c->main.map.length);
    return OK;
}

int tokenizer_load_config(struct tokenizer *t, const char *directory, bool bare)
{
    struct config c = { .bare = bare };
    int status = config_file_open(&c.main, directory, "tokenizer_config.json");

    if (status == OK)
        status = config_file_open(&c.specials, directory, "special_tokens_map.json");
    if (status == OK)
        status = config_file_open(&c.added, directory, "added_tokens.json");
    if (status == OK)
        status = config_apply(t, directory, &c);
    config_file_close(&c.main);
    config_file_close(&c.specials);
    config_file_close(&c.added);
    return status;
}
