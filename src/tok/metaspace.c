/* "Metaspace", SentencePiece's way with blanks (Kudo and Richardson, "SentencePiece", 2018): each becomes a
 * visible character, one is put in front, and words begin at it. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/pattern.h"
#include "tok/types.h"

enum scheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct metaspace {
    char replacement[4];
    size_t length;
    enum scheme scheme;
    bool split;
};

static int read_replacement(const struct component_source *s, const struct node *n, struct metaspace *m)
{
    const struct node *text;
    uint32_t code;

    TRY(node_require(s->tree, n, "replacement", JSON_STRING, &text));
    if (text->length == 0 ||
        (size_t)utf8_decode(text->text, text->text + text->length, &code) != text->length)
        return node_fail(s->tree, text, "not one character");
    memcpy(m->replacement, text->text, text->length);
    m->length = text->length;
    return OK;
}

/* Files older than prepend_scheme say add_prefix_space. */
static int read_scheme(const struct component_source *s, const struct node *n, struct metaspace *m)
{
    static const char *const names[] = { "always", "first", "never" };
    const struct node *scheme = node_get(n, "prepend_scheme");
    bool add = true, known = !scheme;

    TRY(node_bool(s->tree, n, "add_prefix_space", &add));
    for (int i = 0; scheme && i < 3; i++) {
        if (!node_is(scheme, names[i]))
            continue;
        m->scheme = (enum scheme)i;
        known = true;
    }
    if (!known)
        return node_fail(s->tree, scheme, "not known (expected always, first or never)");
    if (!add && scheme && m->scheme != PREPEND_NEVER)
        return node_fail(s->tree, scheme, "\"%s\" contradicts add_prefix_space false", names[m->scheme]);
    if (!add)
        m->scheme = PREPEND_NEVER;
    return OK;
}

static int metaspace_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = {
        "type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep", NULL
    };
    struct metaspace m = { .split = true }, *out;

    TRY(read_replacement(s, n, &m));
    TRY(read_scheme(s, n, &m));
    TRY(node_bool(s->tree, n, "split", &m.split));
    node_warn_unknown(s->tree, n, known);
    out = mem_alloc(sizeof(*out));
    *out = m;
    *state = out;
    return OK;
}

/* ---- pre-tokenizer ---- */

static bool begins(const struct metaspace *m, const char *p, size_t length)
{
    return length >= m->length && memcmp(p, m->replacement, m->length) == 0;
}

/* The piece with blanks replaced and one in front, in `out`. */
static void replace(const struct metaspace *m, const struct piece *in, struct text *out)
{
    bool first = in->origins ? in->origins[0].begin == 0 : in->head > 0, front;
    const char *p = in->bytes, *end = in->bytes + in->length;
    uint32_t code;

    front = m->scheme == PREPEND_ALWAYS || (m->scheme == PREPEND_FIRST && first);
    if (front && *p != ' ' && !begins(m, p, in->length)) {
        int n = utf8_decode(p, end, &code);
        text_append(out, m->replacement, m->length, piece_origin(in, 0, n > 0 ? (size_t)n : 1));
    }
    while (p < end) {
        const char *stop = memchr(p, ' ', (size_t)(end - p));
        size_t at = (size_t)(p - in->bytes), to = stop ? (size_t)(stop - in->bytes) : in->length;
        struct piece between = piece_slice(in, at, to);
        text_append_piece(out, &between);
        if (!stop)
            break;
        text_append(out, m->replacement, m->length, piece_origin(in, to, to + 1));
        p = stop + 1;
    }
}

/* A replacement goes together with what follows it. */
static int split_words(const struct metaspace *m, const struct piece *in, struct sink *out)
{
    size_t begin = 0;

    for (size_t at = 1; at < in->length; at++) {
        if (in->bytes[at] != m->replacement[0] || !begins(m, in->bytes + at, in->length - at))
            continue;
        struct piece word = piece_slice(in, begin, at);
        TRY(out->emit(out, &word));
        begin = at;
    }
    struct piece word = piece_slice(in, begin, in->length);
    return out->emit(out, &word);
}

static int metaspace_split(const void *state, const struct piece *in, struct sink *out)
{
    const struct metaspace *m = state;
    struct piece whole;
    struct text text;
    int status;

    if (in->length == 0)
        return OK;
    text_init(&text, in->origins != NULL);
    replace(m, in, &text);
    whole = text_piece(&text);
    status = m->split ? split_words(m, &whole, out) : out->emit(out, &whole);
    text_release(&text);
    return status;
}

const struct component_type pre_tokenizer_metaspace = {
    .name = "Metaspace",
    .parse = metaspace_parse,
    .release = mem_free,
    .split = metaspace_split,
};

/* ---- decoder ---- */

/* In the first token the replacement stands for nothing: there it was put in front. */
static void metaspace_form(const void *state, const struct token_place *t, struct str *out)
{
    const struct metaspace *m = state;
    const char *p = t->bytes, *end = p + t->length;

    while (p < end) {
        if (!begins(m, p, (size_t)(end - p))) {
            str_append_char(out, *p++);
            continue;
        }
        if (t->place > 0 || m->scheme == PREPEND_NEVER)
            str_append_char(out, ' ');
        p += m->length;
    }
}

static int metaspace_decode(const void *state, struct token_list *tokens)
{
    token_list_map(tokens, metaspace_form, state);
    return OK;
}

const struct component_type decoder_metaspace = {
    .name = "Metaspace",
    .parse = metaspace_parse,
    .release = mem_free,
    .decode = metaspace_decode,
};
