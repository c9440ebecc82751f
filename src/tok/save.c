/* tokenizer.json as tokenizers writes it, and tokenizer_config.json so that AutoTokenizer finds everything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "tok/tokenizer.h"

/* ---- tokenizer.json ---- */

static int compare_ids(const void *a, const void *b)
{
    const struct added_token *x = *(const struct added_token *const *)a,
                             *y = *(const struct added_token *const *)b;

    return (x->id > y->id) - (x->id < y->id);
}

/* The added tokens by id; the caller frees. */
static const struct added_token **sorted_added(const struct tokenizer *t)
{
    const struct added_token **list = mem_alloc_array(t->added.count, sizeof(struct added_token *));

    for (size_t i = 0; i < t->added.count; i++)
        list[i] = &t->added.tokens[i];
    if (t->added.count > 0)
        qsort(list, t->added.count, sizeof(struct added_token *), compare_ids);
    return list;
}

static void write_added(const struct tokenizer *t, struct json_writer *w)
{
    const struct added_token **list = sorted_added(t);

    json_write_array_begin(w);
    for (size_t i = 0; i < t->added.count; i++) {
        json_write_object_begin(w);
        json_write_key(w, "id");
        json_write_int(w, list[i]->id);
        added_token_write(w, list[i]);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    mem_free(list);
}

static void write_section(const struct tokenizer *t, enum section which, struct json_writer *w)
{
    struct tree tree;

    json_write_key(w, section_keys[which]);
    if (!t->sections[which]) {
        json_write_null(w);
        return;
    }
    if (tree_parse(&tree, section_keys[which], t->sections[which], strlen(t->sections[which])) != OK)
        BUG("a section that was read cannot be read again: %s", error_message());
    node_write(w, tree.root);
    tree_release(&tree);
}

void tokenizer_write(const struct tokenizer *t, struct str *out)
{
    struct json_writer w;

    json_writer_init(&w, out, 2);
    json_write_object_begin(&w);
    json_write_key(&w, "version");
    json_write_string(&w, "1.0");
    write_section(t, SECTION_TRUNCATION, &w);
    write_section(t, SECTION_PADDING, &w);
    json_write_key(&w, "added_tokens");
    write_added(t, &w);
    write_section(t, SECTION_NORMALIZER, &w);
    write_section(t, SECTION_PRE_TOKENIZER, &w);
    write_section(t, SECTION_POST_PROCESSOR, &w);
    write_section(t, SECTION_DECODER, &w);
    json_write_key(&w, "model");
    json_write_object_begin(&w);
    json_write_key(&w, "type");
    json_write_string(&w, t->model.type->name);
    t->model.type->model->write(t->model.state, &t->vocab, &w);
    json_write_object_end(&w);
    json_write_object_end(&w);
}

/* ---- tokenizer_config.json ---- */

static void write_added_decoder(const struct tokenizer *t, struct json_writer *w)
{
    const struct added_token **list = sorted_added(t);
    char key[16];

    json_write_key(w, "added_tokens_decoder");
    json_write_object_begin(w);
    for (size_t i = 0; i < t->added.count; i++) {
        snprintf(key, sizeof(key), "%d", list[i]->id);
        json_write_key(w, key);
        json_write_object_begin(w);
        added_token_write(w, list[i]);
        json_write_object_end(w);
    }
    json_write_object_end(w);
    mem_free(list);
}

static void write_special(const struct tokenizer *t, int which, struct json_writer *w)
{
    size_t length;
    const char *token = tokenizer_content(t, t->specials[which], &length);

    if (!token)
        return;
    json_write_key(w, tok_special_keys[which]);
    json_write_bytes(w, token, length);
}

static void write_max_length(const struct tokenizer *t, struct json_writer *w)
{
    json_write_key(w, "model_max_length");
    if (t->max_length == INT64_MAX)
        json_write_raw(w, "1000000000000000019884624838656",
                       31); /* int(1e30): how transformers writes "none" */
    else
        json_write_int(w, t->max_length);
}

/* Members that are written from what the tokenizer is now. */
static bool is_own_member(const struct node *n)
{
    for (int i = 0; i < TOK_SPECIAL_COUNT; i++)
        if (strcmp(n->key, tok_special_keys[i]) == 0)
            return true;
    return strcmp(n->key, "model_max_length") == 0 || strcmp(n->key, "added_tokens_decoder") == 0;
}

/* Members that were read and are not ours to say. */
static void write_foreign(const struct tokenizer *t, struct json_writer *w)
{
    struct tree tree;

    if (!t->config) {
        json_write_key(w, "clean_up_tokenization_spaces");
        json_write_bool(w, false);
        json_write_key(w, "tokenizer_class");
        json_write_string(w, "PreTrainedTokenizerFast");
        return;
    }
    if (tree_parse(&tree, "tokenizer_config.json", t->config, strlen(t->config)) != OK)
        BUG("a configuration that was read cannot be read again: %s", error_message());
    for (const struct node *n = tree.root->first; n; n = n->next) {
        if (is_own_member(n))
            continue;
        json_write_key_bytes(w, n->key, n->key_length);
        node_write(w, n);
    }
    tree_release(&tree);
}

static void write_config(const struct tokenizer *t, struct str *out)
{
    struct json_writer w;

    json_writer_init(&w, out, 2);
    json_write_object_begin(&w);
    write_added_decoder(t, &w);
    for (int i = 0; i < TOK_SPECIAL_COUNT; i++)
        write_special(t, i, &w);
    write_max_length(t, &w);
    write_foreign(t, &w);
    json_write_object_end(&w);
    str_append_char(out, '\n');
}

/* ---- files ---- */

int model_save_text(const char *directory, const char *name, const struct str *s)
{
    char *path = path_join(directory, name);
    int status = file_write(path, s->data, s->length);

    mem_free(path);
    return status;
}

int tokenizer_save(const struct tokenizer *t, const char *directory)
{
    struct str s;
    int status = OK;

    str_init(&s);
    if (t->model.type->model->save)
        status = t->model.type->model->save(t->model.state, &t->vocab, directory);
    write_config(t, &s);
    if (status == OK)
        status = model_save_text(directory, "tokenizer_config.json", &s);
    str_clear(&s);
    tokenizer_write(t, &s);
    if (status == OK)
        status = model_save_text(directory, "tokenizer.json", &s);
    str_release(&s);
    return status;
}
