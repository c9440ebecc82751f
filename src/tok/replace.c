/* "Replace" (normalizer and decoder) and "Prepend". */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/pattern.h"
#include "tok/types.h"

struct replace {
    struct regex *pattern;
    char *content;
    size_t length;
};

static void replace_release(void *state)
{
    struct replace *r = state;

    regex_free(r->pattern);
    mem_free(r->content);
    mem_free(r);
}

static int replace_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "pattern", "content", NULL };
    const struct node *content;
    struct regex *pattern;
    struct replace *r;

    TRY(node_require(s->tree, n, "content", JSON_STRING, &content));
    TRY(pattern_read(s, n, "pattern", &pattern));
    node_warn_unknown(s->tree, n, known);
    r = mem_alloc(sizeof(*r));
    r->pattern = pattern;
    r->content = mem_strndup(content->text, content->length);
    r->length = content->length;
    *state = r;
    return OK;
}

static void append_part(struct text *out, const struct piece *in, size_t begin, size_t end)
{
    struct piece part = piece_slice(in, begin, end);

    text_append_piece(out, &part);
}

/* What is put in comes from the character before its end, as in tokenizers: the last one that goes away, or
 * in place of nothing the one before. */
static struct tok_span origin_of(const struct piece *in, size_t end)
{
    return end > 0 ? piece_origin(in, end - 1, end) : piece_origin(in, 0, in->length > 0);
}

static int replace_all(const struct replace *r, struct regex_scan *scan, const struct piece *in,
                       struct text *out)
{
    size_t begin, end, last = 0;
    bool found;

    for (;;) {
        TRY(regex_next(scan, &found, &begin, &end));
        if (!found)
            break;
        append_part(out, in, last, begin);
        text_append(out, r->content, r->length, origin_of(in, end));
        TRY(text_check_growth(out, in->length));
        last = end;
    }
    append_part(out, in, last, in->length);
    return OK;
}

static int replace_in(const struct replace *r, const struct piece *in, struct text *out)
{
    struct regex_scan scan;
    int status;

    regex_begin(&scan, r->pattern, in->bytes, in->length);
    status = replace_all(r, &scan, in, out);
    regex_end(&scan);
    return status;
}

static int replace_normalize(const void *state, struct text *text)
{
    struct piece whole = text_piece(text);
    struct text out;
    int status;

    text_init(&out, text->tracked);
    status = whole.length > 0 ? replace_in(state, &whole, &out) : OK;
    text_release(text);
    *text = out;
    return status;
}

const struct component_type normalizer_replace = {
    .name = "Replace",
    .parse = replace_parse,
    .release = replace_release,
    .normalize = replace_normalize,
};

static int replace_decode(const void *state, struct token_list *tokens)
{
    struct token_list list = { 0 };
    struct text out;
    int status = OK;

    str_init(&list.bytes);
    text_init(&out, false);
    for (size_t i = 0; i < tokens->count && status == OK; i++) {
        struct piece p = { 0 };
        p.bytes = token_list_get(tokens, i, &p.length);
        text_clear(&out);
        if (p.length > 0)
            status = replace_in(state, &p, &out);
        token_list_add(&list, out.bytes.data, out.bytes.length);
    }
    text_release(&out);
    token_list_release(tokens);
    *tokens = list;
    return status;
}

const struct component_type decoder_replace = {
    .name = "Replace",
    .parse = replace_parse,
    .release = replace_release,
    .decode = replace_decode,
};

/* ---- Prepend ---- */

static void prepend_release(void *state)
{
    struct replace *r = state;

    mem_free(r->content);
    mem_free(r);
}

static int prepend_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "prepend", NULL };
    const struct node *content;
    struct replace *r;

    TRY(node_require(s->tree, n, "prepend", JSON_STRING, &content));
    node_warn_unknown(s->tree, n, known);
    r = mem_alloc(sizeof(*r));
    r->content = mem_strndup(content->text, content->length);
    r->length = content->length;
    *state = r;
    return OK;
}

/* Before a text that is not empty; it counts as part of the first character. */
static int prepend_normalize(const void *state, struct text *text)
{
    const struct replace *r = state;
    struct piece whole = text_piece(text);
    struct text out;
    uint32_t code;
    int n;

    if (whole.length == 0)
        return OK;
    n = utf8_decode(whole.bytes, whole.bytes + whole.length, &code);
    text_init(&out, text->tracked);
    text_append(&out, r->content, r->length, piece_origin(&whole, 0, n > 0 ? (size_t)n : 1));
    text_append_piece(&out, &whole);
    text_release(text);
    *text = out;
    return OK;
}

const struct component_type normalizer_prepend = {
    .name = "Prepend",
    .parse = prepend_parse,
    .release = prepend_release,
    .normalize = prepend_normalize,
};
