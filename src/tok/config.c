/* A directory: the model from tokenizer.json or the files of its class, and tokenizer_config.json (in old
 * ones special_tokens_map.json and added_tokens.json), which names the tokens that play a part and may add
 * some: those of added_tokens_decoder by id, the parts in the order of tok_special_keys, then others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "tok/class.h"
#include "tok/spm.h"
#include "tok/types.h"

/* A file of the directory and its tree; absent: tree.root is NULL. */
struct config_file {
    char *path;
    struct file_map map;
    struct tree tree;
};

struct config {
    struct config_file main, specials, added;
    const struct tok_class *class; /* NULL: none */
    struct tok_class own;          /* of a .model without a class: its names */
    struct spm spm;                /* where it is read from a .model: build.spm is set */
    struct file_map spm_map;
    struct arena memory;
    struct class_build build;
    bool said; /* a file says what the class is, though it may have no row */
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
static int add_extra(struct tokenizer *t, const struct tree *tree, const char *key, bool *any)
{
    const struct node *list = node_get(tree->root, key);
    int32_t id;

    if (!list)
        return OK;
    if (list->type != JSON_OBJECT)
        TRY(node_expect(tree, list, JSON_ARRAY));
    for (const struct node *n = list->first; n; n = n->next)
        TRY(add_special(t, tree, n, false, &id));
    *any = *any || list->first;
    return OK;
}

static void add_known(struct tokenizer *t, const char *bytes, size_t length, bool special)
{
    struct added_token a = { .content = (char *)bytes, .length = length, .id = -1, .special = special };

    if (!added_find(&t->added, bytes, length))
        tokenizer_add(t, &a);
}

/* Where no file names additional tokens: a .model's own, and the sentinels of the class. */
static int add_class_extra(struct tokenizer *t, const struct config *c)
{
    const struct spm *spm = c->build.spm;
    int64_t sentinels = 0;
    char name[40];

    for (size_t i = 0; spm && i < spm->count; i++) {
        const struct spm_piece *p = &spm->pieces[i];
        if (p->type == SPM_CONTROL || p->type == SPM_USER)
            add_known(t, p->text.bytes, p->text.length, p->type == SPM_CONTROL);
    }
    if (c->class && c->class->sentinels)
        TRY(class_sentinels(&c->main.tree, &sentinels));
    for (int64_t i = 0; i < sentinels; i++) {
        snprintf(name, sizeof(name), "<extra_id_%lld>", (long long)i);
        add_known(t, name, strlen(name), true);
    }
    return OK;
}

/* ---- the parts tokens play ---- */

static int add_parts(struct tokenizer *t, const struct config *c, bool legacy)
{
    bool any = false;

    for (int i = 0; i < TOK_SPECIAL_COUNT; i++) {
        const struct node *n = legacy ? node_get(c->specials.tree.root, tok_special_keys[i]) : NULL;
        const struct tree *tree = n ? &c->specials.tree : &c->main.tree;
        if (!n)
            n = node_get(c->main.tree.root, tok_special_keys[i]);
        if (n)
            TRY(add_special(t, tree, n, true, &t->specials[i]));
        else if (c->class && c->class->specials[i])
            class_add_special(t, c->class, (enum tok_special)i);
    }
    TRY(add_extra(t, &c->main.tree, "additional_special_tokens", &any));
    TRY(add_extra(t, &c->main.tree, "extra_special_tokens", &any));
    if (legacy)
        TRY(add_extra(t, &c->specials.tree, "additional_special_tokens", &any));
    return any ? OK : add_class_extra(t, c);
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

/* Of a BPE tokenizer only where the file insists. */
static int read_clean_up(struct tokenizer *t, const struct tree *tree)
{
    bool insist = false;

    TRY(node_bool(tree, tree->root, "clean_up_tokenization_spaces", &t->cleans_up));
    TRY(node_bool(tree, tree->root, "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
                  &insist));
    if (t->cleans_up && !insist && t->model.type == &model_bpe) {
        note("%s: clean_up_tokenization_spaces has no effect with a BPE tokenizer, as in transformers",
             tree->name);
        t->cleans_up = false;
    }
    return OK;
}

static int config_apply(struct tokenizer *t, struct config *c)
{
    const struct tree *tree = &c->main.tree;
    const struct node *decoder = node_get(tree->root, "added_tokens_decoder");

    if (decoder)
        TRY(add_all(t, tree, decoder, read_decoder_entry));
    else if (c->added.tree.root)
        TRY(add_all(t, &c->added.tree, c->added.tree.root, read_added_entry));
    TRY(add_parts(t, c, !decoder));
    TRY(tokenizer_index(t));
    if (c->class)
        TRY(c->class->build(t, &c->build));
    TRY(tokenizer_index(t));
    if (!tree->root)
        return OK;
    TRY(read_max_length(t, tree));
    TRY(read_clean_up(t, tree));
    TRY(tokenizer_read_side(tree, tree->root, "padding_side", &t->pad_left));
    TRY(tokenizer_read_side(tree, tree->root, "truncation_side", &t->cut_left));
    t->config = mem_strndup(c->main.map.data, c->main.map.length);
    return OK;
}

/* ---- the model ---- */

/* LlamaTokenizer puts a pipeline together that byte-level tokenizers cannot have, so for them it does
 * nothing, as in transformers, which looks for the word anywhere in the file. */
static int drop_llama(struct config *c, const char *path)
{
    static const char word[] = "\"ByteLevel\"";
    struct file_map m;

    if (!c->class || c->class->build != class_build_llama)
        return OK;
    TRY(file_map_open(&m, path));
    if (memmem(m.data, m.length, word, sizeof(word) - 1))
        c->class = NULL;
    file_map_close(&m);
    return OK;
}

static char *find_file(const char *directory, const char *name)
{
    char *path = path_join(directory, name);

    if (file_exists(path))
        return path;
    mem_free(path);
    return NULL;
}

/* tokenizer.model or spiece.model. */
static char *find_spm(const char *directory)
{
    char *path = find_file(directory, "tokenizer.model");

    return path ? path : find_file(directory, "spiece.model");
}

/* A .model that no class is named for is taken as LlamaTokenizer or T5Tokenizer take it where nothing says
 * otherwise, and as transformers takes it where another class is named. */
static void choose_spm_class(struct config *c, const char *path)
{
    struct spm *s = &c->spm;

    if (c->class)
        return;
    if (!c->said && s->model == SPM_BPE)
        c->class = class_named("LlamaTokenizer");
    else if (!c->said && strcmp(path_base(path), "spiece.model") == 0)
        c->class = class_named("T5Tokenizer");
    if (c->class)
        return;
    c->own = (struct tok_class){ .build = class_build_spm };
    if (s->bos_id >= 0)
        c->own.specials[TOK_BOS] = arena_strndup(&c->memory, s->bos_piece.bytes, s->bos_piece.length);
    if (s->eos_id >= 0)
        c->own.specials[TOK_EOS] = arena_strndup(&c->memory, s->eos_piece.bytes, s->eos_piece.length);
    c->own.specials[TOK_UNK] = arena_strndup(&c->memory, s->unk_piece.bytes, s->unk_piece.length);
    c->class = &c->own;
}

/* Which model the class makes of the pieces. */
static int write_spm(struct config *c, struct str *json)
{
    struct spm *s = &c->spm;
    struct spm_json_options o = { .model = s->model, .byte_fallback = s->byte_fallback, .unk_id = s->unk_id };

    if (c->class == &c->own) {
        o.unk = s->model == SPM_BPE ? c->own.specials[TOK_UNK] : NULL;
    } else if (c->class->sentinels) {
        TRY(class_sentinels(&c->main.tree, &o.sentinels));
        o.model = SPM_UNIGRAM;
        o.byte_fallback = false;
        o.unk_id = 2;
    } else {
        o.model = SPM_BPE;
    }
    return spm_write_json(s, &o, json);
}

static int load_spm(struct config *c, const char *path, struct tokenizer **out)
{
    struct str json;
    int status;

    TRY(file_map_open(&c->spm_map, path));
    TRY(spm_read(&c->spm, path, c->spm_map.data, c->spm_map.length));
    c->build.spm = &c->spm;
    choose_spm_class(c, path);
    if (c->class->files != TOK_FILES_SPM && c->class != &c->own)
        return fail(ERR_CONFIG, "%s: %s is not read from a SentencePiece model", path, c->class->name);
    str_init(&json);
    status = write_spm(c, &json);
    if (status == OK)
        status = tokenizer_parse(path, json.data, json.length, out);
    str_release(&json);
    return status;
}

static int load_wordpiece(struct config *c, const char *path, struct tokenizer **out)
{
    const struct node *unk = node_get(c->main.tree.root, "unk_token"), *content;

    content = unk && unk->type == JSON_OBJECT ? node_get(unk, "content") : unk;
    if (!c->class)
        c->class = class_named("BertTokenizer");
    return tokenizer_load_wordpiece(path, content && content->text ? content->text : "[UNK]", out);
}

static int load_bpe(struct config *c, const char *directory, struct tokenizer **out)
{
    static const char end_of_text[] = "<|endoftext|>";

    TRY(tokenizer_load_bpe(directory, out));
    if (!c->class && vocab_id(&(*out)->vocab, end_of_text, sizeof(end_of_text) - 1) >= 0)
        c->class = class_named("GPT2Tokenizer");
    return c->class ? OK : class_build_gpt2(*out, &c->build);
}

/* Without tokenizer.json: the files of the class, else those that are there. */
static int load_bare(struct config *c, const char *directory, struct tokenizer **out)
{
    char *vocab = find_file(directory, "vocab.json"), *merges = find_file(directory, "merges.txt"),
         *words = find_file(directory, "vocab.txt"), *spm = find_spm(directory);
    const struct tok_class *class = c->class;
    int status;

    c->build.bare = true;
    if (vocab && merges && (!class || class->files == TOK_FILES_BPE))
        status = load_bpe(c, directory, out);
    else if (words && (!class || class->files == TOK_FILES_WORDPIECE))
        status = load_wordpiece(c, words, out);
    else if (spm && (!class || class->files == TOK_FILES_SPM))
        status = load_spm(c, spm, out);
    else
        status = fail(ERR_OPEN,
                      "%s: no tokenizer here (looked for tokenizer.json, vocab.json with merges.txt, "
                      "vocab.txt, tokenizer.model, spiece.model%s%s)",
                      directory, class ? " of " : "", class ? class->name : "");
    mem_free(vocab);
    mem_free(merges);
    mem_free(words);
    mem_free(spm);
    return status;
}

static int load_model(struct config *c, const char *directory, struct tokenizer **out)
{
    char *path = find_file(directory, "tokenizer.json");
    int status;

    if (!path)
        return load_bare(c, directory, out);
    status = drop_llama(c, path);
    if (status == OK)
        status = tokenizer_load_json(path, out);
    mem_free(path);
    return status;
}

/* ---- the whole ---- */

static void config_release(struct config *c)
{
    config_file_close(&c->main);
    config_file_close(&c->specials);
    config_file_close(&c->added);
    spm_release(&c->spm);
    if (c->spm_map.data)
        file_map_close(&c->spm_map);
    arena_release(&c->memory);
}

static int load_all(struct config *c, const char *directory, struct tokenizer **t)
{
    TRY(config_file_open(&c->main, directory, "tokenizer_config.json"));
    TRY(config_file_open(&c->specials, directory, "special_tokens_map.json"));
    TRY(config_file_open(&c->added, directory, "added_tokens.json"));
    TRY(class_of_directory(directory, &c->main.tree, &c->class, &c->said));
    c->build.config = &c->main.tree;
    TRY(load_model(c, directory, t));
    return config_apply(*t, c);
}

static int load_with(struct config *c, int status, struct tokenizer *t, struct tokenizer **out)
{
    if (status == OK)
        *out = t;
    else
        tokenizer_free(t);
    config_release(c);
    return status;
}

int tokenizer_load_directory(const char *directory, struct tokenizer **out)
{
    struct tokenizer *t = NULL;
    struct config c = { 0 };
    int status;

    arena_init(&c.memory);
    status = load_all(&c, directory, &t);
    return load_with(&c, status, t, out);
}

/* One file: what its name says it is, and nothing beside it. */
static int load_file(struct config *c, const char *path, struct tokenizer **t)
{
    c->build.config = &c->main.tree;
    c->build.bare = true;
    if (str_ends_with(path, ".model"))
        TRY(load_spm(c, path, t));
    else if (str_ends_with(path, ".txt"))
        TRY(load_wordpiece(c, path, t));
    else
        return tokenizer_load_json(path, t);
    return config_apply(*t, c);
}

int tokenizer_load(const char *path, struct tokenizer **out)
{
    struct tokenizer *t = NULL;
    struct config c = { 0 };
    int status;

    if (file_is_directory(path))
        return tokenizer_load_directory(path, out);
    arena_init(&c.memory);
    status = load_file(&c, path, &t);
    return load_with(&c, status, t, out);
}

bool tokenizer_found(const char *directory)
{
    static const char *const names[] = { "tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model",
                                         "spiece.model" };
    bool found = false;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !found; i++) {
        char *path = find_file(directory, names[i]);
        found = path != NULL;
        mem_free(path);
    }
    return found;
}
