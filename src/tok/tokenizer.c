/* What a tokenizer is, apart from files: tokens, ids and the parts they play. */
#include "tok/tokenizer.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

const char *const tok_special_keys[TOK_SPECIAL_COUNT] = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
};
const char *const section_keys[SECTION_COUNT] = {
    "normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding",
};

struct tokenizer *tokenizer_create(void)
{
    struct tokenizer *t = mem_alloc(sizeof(*t));

    vocab_init(&t->vocab);
    for (int i = 0; i < TOK_SPECIAL_COUNT; i++)
        t->specials[i] = -1;
    t->max_length = INT64_MAX;
    return t;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    component_release(&t->normalizer);
    component_release(&t->pre_tokenizer);
    component_release(&t->model);
    component_release(&t->post_processor);
    component_release(&t->decoder);
    vocab_release(&t->vocab);
    added_release(&t->added);
    for (int i = 0; i < SECTION_COUNT; i++)
        mem_free(t->sections[i]);
    mem_free(t->added_by_id);
    mem_free(t->config);
    mem_free(t);
}

/* ---- added tokens ---- */

int32_t tokenizer_next_id(const struct tokenizer *t)
{
    int32_t count = (int32_t)t->vocab.ids.count, last = t->added.id_limit, next = last > count ? last : count;
    size_t length;

    if (!vocab_token(&t->vocab, next, &length))
        return next;
    return last > t->vocab.id_count ? last : t->vocab.id_count;
}

void tokenizer_add(struct tokenizer *t, const struct added_token *token)
{
    struct added_token copy = *token;

    if (copy.id < 0)
        copy.id = tokenizer_id(t, token->content, token->length);
    if (copy.id < 0)
        copy.id = tokenizer_next_id(t);
    added_put(&t->added, &copy);
}

int tokenizer_index(struct tokenizer *t)
{
    t->id_limit = t->vocab.id_count;
    t->size = (int32_t)t->vocab.ids.count;
    for (size_t i = 0; i < t->added.count; i++) {
        const struct added_token *a = &t->added.tokens[i];
        if (a->id >= t->id_limit)
            t->id_limit = a->id + 1;
        if (vocab_id(&t->vocab, a->content, a->length) < 0)
            t->size++;
    }
    mem_free(t->added_by_id);
    t->added_by_id = mem_alloc_array((size_t)t->id_limit, sizeof(*t->added_by_id));
    for (size_t i = 0; i < t->added.count; i++)
        t->added_by_id[t->added.tokens[i].id] = (uint32_t)i + 1;
    return added_index(&t->added, &t->normalizer);
}

static const struct added_token *added_of(const struct tokenizer *t, int32_t id)
{
    if (id < 0 || id >= t->id_limit || t->added_by_id[id] == 0)
        return NULL;
    return &t->added.tokens[t->added_by_id[id] - 1];
}

/* ---- tokens and ids ---- */

int32_t tokenizer_size(const struct tokenizer *t)
{
    return t->size;
}

int32_t tokenizer_id_limit(const struct tokenizer *t)
{
    return t->id_limit;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token, size_t length)
{
    const struct added_token *a = added_find(&t->added, token, length);

    return a ? a->id : vocab_id(&t->vocab, token, length);
}

const char *tokenizer_token(const struct tokenizer *t, int32_t id, size_t *length)
{
    const struct added_token *a = added_of(t, id);

    if (!a)
        return vocab_token(&t->vocab, id, length);
    *length = a->shown ? a->shown_length : a->length;
    return a->shown ? a->shown : a->content;
}

const char *tokenizer_content(const struct tokenizer *t, int32_t id, size_t *length)
{
    const struct added_token *a = added_of(t, id);

    if (!a)
        return vocab_token(&t->vocab, id, length);
    *length = a->length;
    return a->content;
}

int32_t tokenizer_special_id(const struct tokenizer *t, enum tok_special which)
{
    return t->specials[which];
}

int tokenizer_set_special(struct tokenizer *t, enum tok_special which, const char *token)
{
    int32_t id = token ? tokenizer_id(t, token, strlen(token)) : -1;

    if (token && id < 0)
        return fail(ERR_CONFIG, "%s: \"%s\" is not in the vocabulary", tok_special_keys[which], token);
    t->specials[which] = id;
    return OK;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    const struct added_token *a = added_of(t, id);

    return a && a->special;
}

int64_t tokenizer_max_length(const struct tokenizer *t)
{
    return t->max_length;
}

uint64_t tokenizer_hash(const struct tokenizer *t)
{
    struct str s;
    uint64_t hash;

    str_init(&s);
    tokenizer_write(t, &s);
    hash = hash_bytes(s.data, s.length, 0);
    str_release(&s);
    return hash;
}

/* ---- ids to text ---- */

static int append_joined(const struct token_list *l, const char *between, struct str *out)
{
    size_t begin = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (i > 0)
            str_append(out, between);
        str_append_bytes(out, l->bytes.data + begin, l->ends[i] - begin);
        begin = l->ends[i];
    }
    return OK;
}

/* By content, as in tokenizers: a special token whose normal form is another one is not left out. */
static bool is_hidden(const struct tokenizer *t, const char *token, size_t length)
{
    const struct added_token *a = added_find(&t->added, token, length);

    return a && a->special;
}

int tokenizer_decode_raw(const struct tokenizer *t, const int32_t *ids, size_t count, bool skip_special,
                         struct str *out)
{
    struct token_list list = { 0 };
    int status = OK;
    size_t length;

    str_init(&list.bytes);
    for (size_t i = 0; i < count; i++) {
        const char *token = tokenizer_token(t, ids[i], &length);
        if (token && !(skip_special && is_hidden(t, token, length)))
            token_list_add(&list, token, length);
    }
    if (t->decoder.type)
        status = t->decoder.type->decode(t->decoder.state, &list);
    if (status == OK)
        append_joined(&list, t->decoder.type ? "" : " ", out);
    token_list_release(&list);
    return status;
}

int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t count, bool skip_special,
                     struct str *out)
{
    struct str text;
    int status;

    if (!t->cleans_up)
        return tokenizer_decode_raw(t, ids, count, skip_special, out);
    str_init(&text);
    status = tokenizer_decode_raw(t, ids, count, skip_special, &text);
    clean_up_spaces(&text, false);
    if (status == OK)
        str_append_bytes(out, text.data, text.length);
    str_release(&text);
    return status;
}
