/* Text to ids: added tokens are cut out, what is left is normalized, cut at normalized added tokens, split
 * into words, and each word goes to the model. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/byte_level.h"
#include "tok/encoding.h"
#include "tok/tokenizer.h"

struct encoder {
    struct sink sink; /* the last one: words to the model */
    const struct tokenizer *tokenizer;
    const struct model_ops *model;
    const void *state; /* the model's, and its scratch space */
    void *scratch;
    struct text form;
    struct encoding *out; /* of the text at hand */
};

static int model_emit(struct sink *s, const struct piece *p)
{
    struct encoder *e = (struct encoder *)s;
    struct piece formed;

    if (!p->byte_level || e->model->takes_bytes)
        return e->model->encode(e->state, e->scratch, p, e->out);
    e->form.tracked = p->origins != NULL;
    formed = byte_level_form(p, &e->form);
    return e->model->encode(e->state, e->scratch, &formed, e->out);
}

struct encoder *encoder_create(const struct tokenizer *t)
{
    struct encoder *e = mem_alloc(sizeof(*e));

    e->sink.emit = model_emit;
    e->tokenizer = t;
    e->model = t->model.type->model;
    e->state = t->model.state;
    e->scratch = e->model->scratch_create ? e->model->scratch_create(e->state) : NULL;
    text_init(&e->form, false);
    return e;
}

void encoder_free(struct encoder *e)
{
    if (!e)
        return;
    if (e->model->scratch_free)
        e->model->scratch_free(e->scratch);
    text_release(&e->form);
    mem_free(e);
}

static int encode_words(struct encoder *e, const struct piece *p)
{
    const struct component *c = &e->tokenizer->pre_tokenizer;

    return c->type ? c->type->split(c->state, p, &e->sink) : e->sink.emit(&e->sink, p);
}

/* Cuts a piece at the added tokens of a trie; what lies between goes to `rest`. */
static int cut(struct encoder *e, const struct added_trie *trie, const struct piece *p,
               int (*rest)(struct encoder *e, const struct piece *p))
{
    struct added_match m;
    struct piece between;
    size_t from = 0, taken = 0;

    while (added_next(&e->tokenizer->added, trie, p, &from, taken, &m)) {
        if (m.begin > taken) {
            between = piece_slice(p, taken, m.begin);
            TRY(rest(e, &between));
        }
        encoding_add(e->out, m.token->id, piece_origin(p, m.begin, m.end));
        taken = m.end;
    }
    if (taken == p->length)
        return OK;
    between = piece_slice(p, taken, p->length);
    return rest(e, &between);
}

static int encode_rest(struct encoder *e, const struct piece *p)
{
    const struct component *c = &e->tokenizer->normalizer;
    struct text normal;
    struct piece whole;
    int status;

    if (!c->type)
        return cut(e, &e->tokenizer->added.normalized, p, encode_words);
    text_init(&normal, p->origins != NULL);
    text_append_piece(&normal, p);
    status = c->type->normalize(c->state, &normal);
    whole = text_piece(&normal);
    if (status == OK)
        status = cut(e, &e->tokenizer->added.normalized, &whole, encode_words);
    text_release(&normal);
    return status;
}

/* Bytes of the character at the start of a text. */
static size_t first_length(const struct tok_text *in)
{
    uint32_t code;
    int n = in->length > 0 ? utf8_decode(in->bytes, in->bytes + in->length, &code) : 0;

    return n > 0 ? (size_t)n : in->length > 0;
}

/* Every byte of a character comes from the whole character. */
static void track_input(struct text *t, const struct tok_text *in)
{
    const char *p = in->bytes, *end = p + in->length;
    uint32_t code;

    while (p < end) {
        int n = utf8_decode(p, end, &code);
        uint32_t begin = (uint32_t)(p - in->bytes);
        n = n > 0 ? n : 1;
        text_append(t, p, (size_t)n, (struct tok_span){ begin, begin + (uint32_t)n });
        p += n;
    }
}

static int encode_input(struct encoder *e, const struct tok_text *in)
{
    struct piece p = { .bytes = in->bytes, .length = in->length, .head = first_length(in) };
    struct text tracked;
    int status;

    if (!e->out->spans)
        return cut(e, &e->tokenizer->added.raw, &p, encode_rest);
    if (in->length > UINT32_MAX)
        return fail(ERR_DATA, "a text of %zu bytes (expected at most %u with spans)", in->length, UINT32_MAX);
    text_init(&tracked, true);
    track_input(&tracked, in);
    p = text_piece(&tracked);
    status = cut(e, &e->tokenizer->added.raw, &p, encode_rest);
    text_release(&tracked);
    return status;
}

/* ---- the whole ---- */

static void set_dropout(struct encoder *e, const struct tok_text *text, const struct encode_options *o)
{
    struct tok_dropout d;

    if (!e->model->set_dropout)
        return;
    if (!o || !o->dropout) {
        e->model->set_dropout(e->state, e->scratch, NULL);
        return;
    }
    d = (struct tok_dropout){ o->seed, hash_bytes(text->bytes, text->length, 0) };
    e->model->set_dropout(e->state, e->scratch, &d);
}

static void set_types(const struct process *p)
{
    struct encoding *e = p->encoding;

    encoding_reserve(e, 0);
    for (size_t i = p->begin; e->types && i < e->count; i++)
        e->types[i] = i >= p->middle;
}

static int encode_all(struct encoder *e, const struct tok_input *in, const struct encode_options *o,
                      const struct truncation *truncation)
{
    const struct component *c = &e->tokenizer->post_processor;
    struct process p = { .tokenizer = e->tokenizer,
                         .encoding = e->out,
                         .begin = e->out->count,
                         .pair = in->pair.bytes != NULL,
                         .special = !(o && o->no_special_tokens) };
    size_t added = p.special && c->type && c->type->added ? c->type->added(c->state, p.pair) : 0;

    set_dropout(e, &in->text, o);
    TRY(encode_input(e, &in->text));
    p.middle = e->out->count;
    if (p.pair) {
        set_dropout(e, &in->pair, o);
        TRY(encode_input(e, &in->pair));
    }
    if (truncation && truncation->active)
        TRY(truncate_texts(&p, truncation, added));
    set_types(&p);
    return c->type ? c->type->process(c->state, &p) : OK;
}

int encode_text(struct encoder *e, const struct tok_input *in, const struct encode_options *options,
                const struct truncation *truncation, struct encoding *out)
{
    size_t before = out->count;
    int status;

    if (options && options->spans)
        encoding_track(out);
    else if (out->spans)
        BUG("ids without spans are appended to an encoding with spans");
    if (options && options->types)
        encoding_track_types(out);
    e->out = out;
    status = encode_all(e, in, options, truncation);
    if (status != OK)
        out->count = before;
    return status;
}

int tokenizer_encode(struct encoder *e, const char *text, size_t length, const struct encode_options *options,
                     struct encoding *out)
{
    const struct tok_input in = { .text = { text, length } };

    return encode_text(e, &in, options, NULL, out);
}

int tokenizer_encode_pair(struct encoder *e, const struct tok_input *in, const struct encode_options *options,
                          struct encoding *out)
{
    const struct truncation t = { .active = true, .max_length = options ? options->max_length : 0 };

    return encode_text(e, in, options, t.max_length > 0 ? &t : NULL, out);
}
