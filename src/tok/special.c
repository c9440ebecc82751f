/* Post-processors that put special tokens around a text: "BertProcessing", "RobertaProcessing" and
 * "TemplateProcessing". All come to ids before and ids after. Pairs of texts are checked, but never made
 * here. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/encoding.h"
#include "tok/types.h"

struct frame {
    int32_t *ids; /* first `before` of them, then the rest after the text */
    size_t before, count, capacity;
    bool trim_offsets, add_prefix_space;
};

static void frame_release(void *state)
{
    struct frame *f = state;

    mem_free(f->ids);
    mem_free(f);
}

static void frame_add(struct frame *f, int32_t id)
{
    f->ids = mem_grow(f->ids, f->count, &f->capacity, sizeof(*f->ids));
    f->ids[f->count++] = id;
}

static int frame_process(const void *state, struct process *p)
{
    const struct frame *f = state;

    if (f->trim_offsets)
        byte_level_trim(p, f->add_prefix_space);
    if (!p->special)
        return OK;
    encoding_insert(p->encoding, p->begin, f->ids, f->before);
    encoding_insert(p->encoding, p->encoding->count, f->ids + f->before, f->count - f->before);
    return OK;
}

static size_t frame_added(const void *state)
{
    const struct frame *f = state;

    return f->count;
}

/* A token by name and id, which have to agree with the vocabulary. */
static int check_token(const struct component_source *s, const struct node *name, const struct node *id_node,
                       int32_t *out)
{
    struct str shown;
    int32_t known;
    int64_t id;

    TRY(node_expect(s->tree, name, JSON_STRING));
    TRY(node_to_int(s->tree, id_node, 0, INT32_MAX, &id));
    known = tokenizer_id(s->tokenizer, name->text, name->length);
    if (known == id) {
        *out = known;
        return OK;
    }
    str_init(&shown);
    str_append_escaped(&shown, name->text, name->length, 60);
    if (known < 0)
        node_fail(s->tree, name, "unknown token \"%s\"", shown.data);
    else
        node_fail(s->tree, id_node, "id %lld (expected %d, which the vocabulary has for \"%s\")",
                  (long long)id, known, shown.data);
    str_release(&shown);
    return ERR_DATA;
}

/* ---- RobertaProcessing ---- */

static int roberta_token(const struct component_source *s, const struct node *n, const char *key,
                         int32_t *out)
{
    const struct node *pair;

    TRY(node_require(s->tree, n, key, JSON_ARRAY, &pair));
    if (pair->count != 2)
        return node_fail(s->tree, pair, "%u members (expected [token, id])", pair->count);
    return check_token(s, pair->first, pair->first->next, out);
}

static int roberta_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "sep", "cls", "trim_offsets", "add_prefix_space", NULL };
    struct frame f = { .trim_offsets = true, .add_prefix_space = true };
    struct frame *out;
    int32_t cls, sep;

    TRY(roberta_token(s, n, "sep", &sep));
    TRY(roberta_token(s, n, "cls", &cls));
    TRY(node_bool(s->tree, n, "trim_offsets", &f.trim_offsets));
    TRY(node_bool(s->tree, n, "add_prefix_space", &f.add_prefix_space));
    node_warn_unknown(s->tree, n, known);
    frame_add(&f, cls);
    f.before = 1;
    frame_add(&f, sep);
    out = mem_alloc(sizeof(*out));
    *out = f;
    *state = out;
    return OK;
}

const struct component_type post_processor_roberta = {
    .name = "RobertaProcessing",
    .parse = roberta_parse,
    .release = frame_release,
    .process = frame_process,
    .added = frame_added,
};

/* ---- BertProcessing ---- */

static int bert_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "sep", "cls", NULL };
    struct frame *out;
    int32_t cls, sep;

    TRY(roberta_token(s, n, "sep", &sep));
    TRY(roberta_token(s, n, "cls", &cls));
    node_warn_unknown(s->tree, n, known);
    out = mem_alloc(sizeof(*out));
    frame_add(out, cls);
    out->before = 1;
    frame_add(out, sep);
    *state = out;
    return OK;
}

const struct component_type post_processor_bert = {
    .name = "BertProcessing",
    .parse = bert_parse,
    .release = frame_release,
    .process = frame_process,
    .added = frame_added,
};

/* ---- TemplateProcessing ---- */

static const struct node *find_special(const struct node *specials, const struct node *name)
{
    for (const struct node *n = specials ? specials->first : NULL; n; n = n->next)
        if (n->key_length == name->length && memcmp(n->key, name->text, name->length) == 0)
            return n;
    return NULL;
}

/* The ids of one special token of the template. */
static int template_special(const struct component_source *s, const struct node *specials,
                            const struct node *item, struct frame *f)
{
    const struct node *name, *entry, *ids, *tokens, *token;
    int32_t id;

    TRY(node_require(s->tree, item, "id", JSON_STRING, &name));
    entry = find_special(specials, name);
    if (!entry)
        return node_fail(s->tree, name, "unknown token (expected one of special_tokens)");
    TRY(node_expect(s->tree, entry, JSON_OBJECT));
    TRY(node_require(s->tree, entry, "ids", JSON_ARRAY, &ids));
    TRY(node_require(s->tree, entry, "tokens", JSON_ARRAY, &tokens));
    if (ids->count != tokens->count)
        return node_fail(s->tree, entry, "%u ids for %u tokens", ids->count, tokens->count);
    token = tokens->first;
    for (const struct node *n = ids->first; n; n = n->next, token = token->next) {
        TRY(check_token(s, token, n, &id));
        frame_add(f, id);
    }
    return OK;
}

/* One template; sequences counts A (and B). */
static int template_read(const struct component_source *s, const struct node *n, const struct node *specials,
                         struct frame *f, int *sequences)
{
    for (const struct node *item = n->first; item; item = item->next) {
        TRY(node_expect(s->tree, item, JSON_OBJECT));
        const struct node *special = node_get(item, "SpecialToken"), *sequence = node_get(item, "Sequence");
        if (special) {
            TRY(template_special(s, specials, special, f));
        } else if (sequence) {
            if (++*sequences == 1)
                f->before = f->count;
        } else {
            return node_fail(s->tree, item, "no piece of a template (expected SpecialToken or Sequence)");
        }
    }
    return OK;
}

static int template_check(const struct component_source *s, const struct node *n, struct frame *single,
                          struct frame *pair)
{
    const struct node *special, *node;
    int sequences = 0, both = 0;

    special = node_get(n, "special_tokens");
    if (special)
        TRY(node_expect(s->tree, special, JSON_OBJECT));
    TRY(node_require(s->tree, n, "single", JSON_ARRAY, &node));
    TRY(template_read(s, node, special, single, &sequences));
    if (sequences != 1)
        return node_fail(s->tree, node, "the text stands %d times (expected once)", sequences);
    node = node_get(n, "pair");
    if (!node)
        return OK;
    TRY(node_expect(s->tree, node, JSON_ARRAY));
    return template_read(s, node, special, pair, &both);
}

static int template_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "single", "pair", "special_tokens", NULL };
    struct frame *single = mem_alloc(sizeof(*single)), *pair = mem_alloc(sizeof(*pair));
    int status = template_check(s, n, single, pair);

    frame_release(pair);
    if (status != OK) {
        frame_release(single);
        return status;
    }
    node_warn_unknown(s->tree, n, known);
    *state = single;
    return OK;
}

const struct component_type post_processor_template = {
    .name = "TemplateProcessing",
    .parse = template_parse,
    .release = frame_release,
    .process = frame_process,
    .added = frame_added,
};
