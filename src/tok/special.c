/* Post-processors that put special tokens around a text, or around and between two: "BertProcessing",
 * "RobertaProcessing" and "TemplateProcessing". All come to a form for one text and a form for two. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/encoding.h"
#include "tok/types.h"

enum { TEXT_A = -1, TEXT_B = -2 };

struct part {
    int32_t id; /* of a special token; else a text */
    int32_t type;
};

struct form {
    struct part *parts;
    size_t count, capacity;
    int32_t *ids; /* the special tokens; `before` of them stand before the first text */
    size_t added, added_capacity, before;
};

struct frame {
    struct form single, pair;
    bool trim_offsets, add_prefix_space;
};

static void frame_release(void *state)
{
    struct frame *f = state;

    mem_free(f->single.parts);
    mem_free(f->single.ids);
    mem_free(f->pair.parts);
    mem_free(f->pair.ids);
    mem_free(f);
}

static bool has_text(const struct form *f)
{
    return f->count > f->added;
}

static void form_add(struct form *f, int32_t id, int32_t type)
{
    if (id < 0 && !has_text(f))
        f->before = f->added;
    f->parts = mem_grow(f->parts, f->count, &f->capacity, sizeof(*f->parts));
    f->parts[f->count++] = (struct part){ id, type };
    if (id < 0)
        return;
    f->ids = mem_grow(f->ids, f->added, &f->added_capacity, sizeof(*f->ids));
    f->ids[f->added++] = id;
}

/* ---- processing ---- */

/* What a process covers, before it is put together anew. */
struct texts {
    size_t begin[2], length[2]; /* of the copies */
    int32_t *ids;
    struct tok_span *spans;
};

static void texts_take(struct texts *t, const struct process *p)
{
    const struct encoding *e = p->encoding;
    size_t all = e->count - p->begin;

    *t = (struct texts){ .begin = { 0, p->middle - p->begin },
                         .length = { p->middle - p->begin, e->count - p->middle } };
    t->ids = mem_alloc_array(all + 1, sizeof(*t->ids));
    memcpy(t->ids, e->ids + p->begin, all * sizeof(*t->ids));
    if (!e->spans)
        return;
    t->spans = mem_alloc_array(all + 1, sizeof(*t->spans));
    memcpy(t->spans, e->spans + p->begin, all * sizeof(*t->spans));
}

static void put_text(struct encoding *e, const struct texts *t, int which, int32_t type)
{
    for (size_t i = t->begin[which]; i < t->begin[which] + t->length[which]; i++) {
        encoding_add(e, t->ids[i], t->spans ? t->spans[i] : (struct tok_span){ 0 });
        if (e->types)
            e->types[e->count - 1] = type;
    }
}

static void put_together(const struct form *f, struct process *p)
{
    struct encoding *e = p->encoding;
    struct texts t;

    texts_take(&t, p);
    e->count = p->begin;
    for (size_t i = 0; i < f->count; i++) {
        const struct part *part = &f->parts[i];
        if (part->id == TEXT_B)
            p->middle = e->count;
        if (part->id < 0) {
            put_text(e, &t, part->id == TEXT_B, part->type);
        } else if (p->special) {
            encoding_add(e, part->id, (struct tok_span){ 0 });
            if (e->types)
                e->types[e->count - 1] = part->type;
        }
    }
    mem_free(t.ids);
    mem_free(t.spans);
}

/* One text whose types nobody asks for stays where it is. */
static void put_around(const struct form *f, struct process *p)
{
    if (!p->special)
        return;
    encoding_insert(p->encoding, p->begin, f->ids, f->before);
    encoding_insert(p->encoding, p->encoding->count, f->ids + f->before, f->added - f->before);
}

static int frame_process(const void *state, struct process *p)
{
    const struct frame *f = state;

    if (f->trim_offsets)
        byte_level_trim(p, f->add_prefix_space);
    if (p->pair || p->encoding->types)
        put_together(p->pair ? &f->pair : &f->single, p);
    else
        put_around(&f->single, p);
    if (!p->pair)
        p->middle = p->encoding->count;
    return OK;
}

static size_t frame_added(const void *state, bool pair)
{
    const struct frame *f = state;

    return pair ? f->pair.added : f->single.added;
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

/* cls A sep, and of two texts: cls A sep B sep, with types 0 and 1; RoBERTa's: cls A sep sep B sep, all 0. */
static void frame_ends(struct frame *f, int32_t cls, int32_t sep, bool roberta)
{
    int32_t type = roberta ? 0 : 1;

    for (int pair = 0; pair < 2; pair++) {
        struct form *form = pair ? &f->pair : &f->single;
        form_add(form, cls, 0);
        form_add(form, TEXT_A, 0);
        form_add(form, sep, 0);
    }
    if (roberta)
        form_add(&f->pair, sep, 0);
    form_add(&f->pair, TEXT_B, type);
    form_add(&f->pair, sep, type);
}

static int roberta_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "sep", "cls", "trim_offsets", "add_prefix_space", NULL };
    bool trim = true, space = true;
    struct frame *f;
    int32_t cls, sep;

    TRY(roberta_token(s, n, "sep", &sep));
    TRY(roberta_token(s, n, "cls", &cls));
    TRY(node_bool(s->tree, n, "trim_offsets", &trim));
    TRY(node_bool(s->tree, n, "add_prefix_space", &space));
    node_warn_unknown(s->tree, n, known);
    f = mem_alloc(sizeof(*f));
    f->trim_offsets = trim;
    f->add_prefix_space = space;
    frame_ends(f, cls, sep, true);
    *state = f;
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
    struct frame *f;
    int32_t cls, sep;

    TRY(roberta_token(s, n, "sep", &sep));
    TRY(roberta_token(s, n, "cls", &cls));
    node_warn_unknown(s->tree, n, known);
    f = mem_alloc(sizeof(*f));
    frame_ends(f, cls, sep, false);
    *state = f;
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
                            const struct node *item, struct form *f)
{
    const struct node *name, *entry, *ids, *tokens, *token;
    int64_t type = 0;
    int32_t id;

    TRY(node_require(s->tree, item, "id", JSON_STRING, &name));
    TRY(node_int(s->tree, item, "type_id", 0, INT32_MAX, &type));
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
        form_add(f, id, (int32_t)type);
    }
    return OK;
}

static int template_text(const struct component_source *s, const struct node *item, struct form *f)
{
    const struct node *id = node_get(item, "id");
    int64_t type = 0;

    TRY(node_int(s->tree, item, "type_id", 0, INT32_MAX, &type));
    if (id && !node_is(id, "A") && !node_is(id, "B"))
        return node_fail(s->tree, id, "no text of a template (expected A or B)");
    form_add(f, id && node_is(id, "B") ? TEXT_B : TEXT_A, (int32_t)type);
    return OK;
}

static int template_read(const struct component_source *s, const struct node *n, const struct node *specials,
                         struct form *f)
{
    for (const struct node *item = n->first; item; item = item->next) {
        TRY(node_expect(s->tree, item, JSON_OBJECT));
        const struct node *special = node_get(item, "SpecialToken"), *sequence = node_get(item, "Sequence");
        if (special)
            TRY(template_special(s, specials, special, f));
        else if (sequence)
            TRY(template_text(s, sequence, f));
        else
            return node_fail(s->tree, item, "no piece of a template (expected SpecialToken or Sequence)");
    }
    return OK;
}

static int check_single(const struct component_source *s, const struct node *n, const struct form *f)
{
    size_t texts = f->count - f->added;

    if (texts != 1)
        return node_fail(s->tree, n, "the text stands %zu times (expected once)", texts);
    for (size_t i = 0; i < f->count; i++)
        if (f->parts[i].id == TEXT_B)
            return node_fail(s->tree, n, "text B in the template for one text (expected A)");
    return OK;
}

static int template_fill(const struct component_source *s, const struct node *n, struct frame *f)
{
    const struct node *special = node_get(n, "special_tokens"), *node;

    if (special)
        TRY(node_expect(s->tree, special, JSON_OBJECT));
    TRY(node_require(s->tree, n, "single", JSON_ARRAY, &node));
    TRY(template_read(s, node, special, &f->single));
    TRY(check_single(s, node, &f->single));
    node = node_get(n, "pair");
    if (!node) {
        form_add(&f->pair, TEXT_A, 0);
        form_add(&f->pair, TEXT_B, 1);
        return OK;
    }
    TRY(node_expect(s->tree, node, JSON_ARRAY));
    return template_read(s, node, special, &f->pair);
}

static int template_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "single", "pair", "special_tokens", NULL };
    struct frame *f = mem_alloc(sizeof(*f));
    int status = template_fill(s, n, f);

    if (status != OK) {
        frame_release(f);
        return status;
    }
    node_warn_unknown(s->tree, n, known);
    *state = f;
    return OK;
}

const struct component_type post_processor_template = {
    .name = "TemplateProcessing",
    .parse = template_parse,
    .release = frame_release,
    .process = frame_process,
    .added = frame_added,
};
