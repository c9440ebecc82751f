/* The rows: what a "type" in tokenizer.json may be. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/types.h"

enum { SEQUENCE_MOST = 64 }; /* stages call each other */

static const struct component_type *const normalizers[] = {
    &normalizer_nfc,           &normalizer_nfd,       &normalizer_nfkc,
    &normalizer_nfkd,          &normalizer_lowercase, &normalizer_strip,
    &normalizer_strip_accents, &normalizer_replace,   &normalizer_prepend,
    &normalizer_bert,          &normalizer_nmt,       &normalizer_precompiled,
    &normalizer_byte_level,    &normalizer_sequence,  NULL,
};
static const struct component_type *const pre_tokenizers[] = {
    &pre_tokenizer_byte_level,
    &pre_tokenizer_bert,
    &pre_tokenizer_whitespace,
    &pre_tokenizer_whitespace_split,
    &pre_tokenizer_metaspace,
    &pre_tokenizer_punctuation,
    &pre_tokenizer_digits,
    &pre_tokenizer_split,
    &pre_tokenizer_delimiter,
    &pre_tokenizer_fixed_length,
    &pre_tokenizer_scripts,
    &pre_tokenizer_sequence,
    NULL,
};
static const struct component_type *const models[] = {
    &model_bpe, &model_unigram, &model_wordpiece, &model_wordlevel, NULL,
};
static const struct component_type *const post_processors[] = {
    &post_processor_byte_level, &post_processor_bert,     &post_processor_roberta,
    &post_processor_template,   &post_processor_sequence, NULL,
};
static const struct component_type *const decoders[] = {
    &decoder_byte_level,
    &decoder_word_piece,
    &decoder_metaspace,
    &decoder_bpe,
    &decoder_byte_fallback,
    &decoder_fuse,
    &decoder_strip,
    &decoder_replace,
    &decoder_ctc,
    &decoder_sequence,
    NULL,
};

static const struct component_type *const *const kinds[] = {
    [KIND_NORMALIZER] = normalizers, [KIND_PRE_TOKENIZER] = pre_tokenizers,
    [KIND_MODEL] = models,           [KIND_POST_PROCESSOR] = post_processors,
    [KIND_DECODER] = decoders,
};

static int fail_type(const struct tree *t, const struct node *type, const struct component_type *const *rows)
{
    struct str known, found;

    str_init(&known);
    str_init(&found);
    str_append_escaped(&found, type->text, type->length, 60);
    for (; *rows; rows++)
        str_appendf(&known, "%s%s", known.length ? ", " : "", (*rows)->name);
    node_fail(t, type, "\"%s\" is not supported (supported: %s)", found.data, known.data);
    str_release(&known);
    str_release(&found);
    return ERR_DATA;
}

/* Files older than the "type" of models say what they are by their members. */
static const struct component_type *untyped_model(const struct node *n)
{
    const struct node *vocab = node_get(n, "vocab");

    if (!vocab)
        return NULL;
    if (node_get(n, "merges"))
        return &model_bpe;
    if (vocab->type == JSON_ARRAY)
        return &model_unigram;
    return node_get(n, "continuing_subword_prefix") ? &model_wordpiece : &model_wordlevel;
}

int component_parse(enum component_kind kind, const struct component_source *s, const struct node *n,
                    struct component *out)
{
    const struct component_type *const *rows = kinds[kind];
    const struct node *type = NULL;
    struct component c = { 0 };

    TRY(node_expect(s->tree, n, JSON_OBJECT));
    if (kind == KIND_MODEL && !node_get(n, "type"))
        c.type = untyped_model(n);
    if (!c.type) {
        TRY(node_require(s->tree, n, "type", JSON_STRING, &type));
        while (*rows && !node_is(type, (*rows)->name))
            rows++;
        if (!*rows)
            return fail_type(s->tree, type, kinds[kind]);
        c.type = *rows;
    }
    if (c.type->parse)
        TRY(c.type->parse(s, n, &c.state));
    *out = c;
    return OK;
}

void component_release(struct component *c)
{
    if (c->type && c->type->release)
        c->type->release(c->state);
    *c = (struct component){ 0 };
}

int component_list_parse(enum component_kind kind, const struct component_source *s, const struct node *array,
                         struct component_list *out)
{
    struct component_list l = { 0 };
    int status;

    TRY(node_expect(s->tree, array, JSON_ARRAY));
    if (array->count > SEQUENCE_MOST)
        return node_fail(s->tree, array, "%u components (expected at most %d)", array->count, SEQUENCE_MOST);
    l.items = mem_alloc_array(array->count, sizeof(*l.items));
    for (const struct node *n = array->first; n; n = n->next) {
        status = component_parse(kind, s, n, &l.items[l.count]);
        if (status != OK) {
            component_list_release(&l);
            return status;
        }
        l.count++;
    }
    *out = l;
    return OK;
}

void component_list_release(struct component_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        component_release(&l->items[i]);
    mem_free(l->items);
    *l = (struct component_list){ 0 };
}
