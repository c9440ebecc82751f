/* "Sequence" of every kind: its members one after the other. */
#include "base/err.h"
#include "base/mem.h"
#include "tok/byte_level.h"
#include "tok/types.h"

static int sequence_parse(enum component_kind kind, const char *member, const struct component_source *s,
                          const struct node *n, void **state)
{
    struct component_list list, *out;
    const struct node *array;

    TRY(node_require(s->tree, n, member, JSON_ARRAY, &array));
    TRY(component_list_parse(kind, s, array, &list));
    out = mem_alloc(sizeof(*out));
    *out = list;
    *state = out;
    return OK;
}

static void sequence_release(void *state)
{
    component_list_release(state);
    mem_free(state);
}

/* ---- normalizer ---- */

static int normalizers_parse(const struct component_source *s, const struct node *n, void **state)
{
    return sequence_parse(KIND_NORMALIZER, "normalizers", s, n, state);
}

static int sequence_normalize(const void *state, struct text *text)
{
    const struct component_list *l = state;
    size_t from = text->bytes.length;

    for (size_t i = 0; i < l->count; i++) {
        TRY(l->items[i].type->normalize(l->items[i].state, text));
        TRY(text_check_growth(text, from));
    }
    return OK;
}

const struct component_type normalizer_sequence = {
    .name = "Sequence",
    .parse = normalizers_parse,
    .release = sequence_release,
    .normalize = sequence_normalize,
};

/* ---- pre-tokenizer ---- */

static bool makes_bytes(const struct component *c)
{
    const struct component_list *l = c->state;

    if (c->type != &pre_tokenizer_sequence)
        return c->type == &pre_tokenizer_byte_level;
    for (size_t i = 0; i < l->count; i++)
        if (makes_bytes(&l->items[i]))
            return true;
    return false;
}

/* A form of a form could double the text at every stage. */
static int pre_tokenizers_parse(const struct component_source *s, const struct node *n, void **state)
{
    const struct component_list *l;
    size_t forms = 0;

    TRY(sequence_parse(KIND_PRE_TOKENIZER, "pretokenizers", s, n, state));
    l = *state;
    for (size_t i = 0; i < l->count; i++)
        forms += makes_bytes(&l->items[i]);
    if (forms <= 1)
        return OK;
    sequence_release(*state);
    return node_fail(s->tree, n, "ByteLevel %zu times in one Sequence (expected at most once)", forms);
}

/* Between two stages: what one emits, the next splits. */
struct link {
    struct sink sink;
    const struct component_list *list;
    size_t next;
    struct sink *out;
};

static int split_from(const struct component_list *list, size_t i, const struct piece *p, struct sink *out);

static int link_emit(struct sink *s, const struct piece *p)
{
    struct link *l = (struct link *)s;
    struct text form;
    struct piece formed;
    int status;

    if (!p->byte_level || l->next == l->list->count)
        return split_from(l->list, l->next, p, l->out);
    text_init(&form, p->origins != NULL);
    formed = byte_level_form(p, &form);
    status = split_from(l->list, l->next, &formed, l->out);
    text_release(&form);
    return status;
}

static int split_from(const struct component_list *list, size_t i, const struct piece *p, struct sink *out)
{
    struct link link = { .sink.emit = link_emit, .list = list, .next = i + 1, .out = out };

    if (i == list->count)
        return out->emit(out, p);
    return list->items[i].type->split(list->items[i].state, p, &link.sink);
}

static int sequence_split(const void *state, const struct piece *in, struct sink *out)
{
    return split_from(state, 0, in, out);
}

const struct component_type pre_tokenizer_sequence = {
    .name = "Sequence",
    .parse = pre_tokenizers_parse,
    .release = sequence_release,
    .split = sequence_split,
};

/* ---- post-processor ---- */

static bool adds_tokens(const struct component *c)
{
    return c->type->added && (c->type->added(c->state, false) > 0 || c->type->added(c->state, true) > 0);
}

static bool has_template(const struct component *c)
{
    const struct component_list *l = c->state;

    if (c->type != &post_processor_sequence)
        return c->type == &post_processor_template && adds_tokens(c);
    for (size_t i = 0; i < l->count; i++)
        if (has_template(&l->items[i]))
            return true;
    return false;
}

/* What a template has put around a text is no longer one text: tokenizers has rules for what the next member
 * does then that no model uses. */
static int post_processors_parse(const struct component_source *s, const struct node *n, void **state)
{
    const struct component_list *l;
    bool template = false;

    TRY(sequence_parse(KIND_POST_PROCESSOR, "processors", s, n, state));
    l = *state;
    for (size_t i = 0; i < l->count; i++) {
        if (template && adds_tokens(&l->items[i])) {
            sequence_release(*state);
            return node_fail(s->tree, n, "special tokens after a TemplateProcessing that adds some");
        }
        template = template || has_template(&l->items[i]);
    }
    return OK;
}

static int sequence_process(const void *state, struct process *p)
{
    const struct component_list *l = state;

    for (size_t i = 0; i < l->count; i++)
        TRY(l->items[i].type->process(l->items[i].state, p));
    return OK;
}

static size_t sequence_added(const void *state, bool pair)
{
    const struct component_list *l = state;
    size_t sum = 0;

    for (size_t i = 0; i < l->count; i++)
        sum += l->items[i].type->added ? l->items[i].type->added(l->items[i].state, pair) : 0;
    return sum;
}

const struct component_type post_processor_sequence = {
    .name = "Sequence",
    .parse = post_processors_parse,
    .release = sequence_release,
    .process = sequence_process,
    .added = sequence_added,
};

/* ---- decoder ---- */

static int decoders_parse(const struct component_source *s, const struct node *n, void **state)
{
    return sequence_parse(KIND_DECODER, "decoders", s, n, state);
}

static int sequence_decode(const void *state, struct token_list *tokens)
{
    const struct component_list *l = state;

    for (size_t i = 0; i < l->count; i++)
        TRY(l->items[i].type->decode(l->items[i].state, tokens));
    return OK;
}

const struct component_type decoder_sequence = {
    .name = "Sequence",
    .parse = decoders_parse,
    .release = sequence_release,
    .decode = sequence_decode,
};
