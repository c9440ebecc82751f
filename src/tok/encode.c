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

/* ---- after the model ---- */

static int truncate_from(struct encoding *out, size_t begin, const struct truncation *t, size_t added)
{
    size_t count = out->count - begin, most = (size_t)t->max_length - added;

    if (t->max_length < (int64_t)added)
        return fail(ERR_CONFIG, "truncation.max_length %lld leaves no room for the %zu special tokens",
                    (long long)t->max_length, added);
    if (count <= most)
        return OK;
    if (most > 0 && t->stride >= (int64_t)most)
        return fail(ERR_CONFIG,
                    "truncation.stride %lld (expected less than the %zu tokens of text that are kept)",
                    (long long)t->stride, most);
    if (t->second_only)
        return fail(ERR_CONFIG, "truncation.strategy OnlySecond, but there is no second text");
    if (t->left) {
        memmove(out->ids + begin, out->ids + begin + count - most, most * sizeof(*out->ids));
        if (out->spans)
            memmove(out->spans + begin, out->spans + begin + count - most, most * sizeof(*out->spans));
    }
    out->count = begin + most;
    return OK;
}

static int encode_all(struct encoder *e, const struct tok_text *text, bool special,
                      const struct truncation *truncation)
{
    const struct component *c = &e->tokenizer->post_processor;
    struct process process = { e->tokenizer, e->out, e->out->count, special };
    size_t added = special && c->type && c->type->added ? c->type->added(c->state) : 0;

    TRY(encode_input(e, text));
    if (truncation && truncation->active)
        TRY(truncate_from(e->out, process.begin, truncation, added));
    return c->type ? c->type->process(c->state, &process) : OK;
}

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

int encode_text(struct encoder *e, const struct tok_text *text, const struct encode_options *options,
                const struct truncation *truncation, struct encoding *out)
{
    size_t before = out->count;
    int status;

    if (options && options->spans)
        encoding_track(out);
    else if (out->spans)
        BUG("ids without spans are appended to an encoding with spans");
    e->out = out;
    set_dropout(e, text, options);
    status = encode_all(e, text, !(options && options->no_special_tokens), truncation);
    if (status != OK)
        out->count = before;
    return status;
}

int tokenizer_encode(struct encoder *e, const char *text, size_t length, const struct encode_options *options,
                     struct encoding *out)
{
    struct tok_text t = { text, length };

    return encode_text(e, &t, options, NULL, out);
}
