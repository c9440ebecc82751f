/* Decoders that work on tokens one by one: "WordPiece", "BPEDecoder", "ByteFallback", "Fuse", "Strip" and
 * "CTC". */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/types.h"

/* The settings of all of them. */
struct decoder {
    char *text, *delimiter; /* prefix, suffix, content, pad_token; word_delimiter_token */
    size_t length, delimiter_length;
    bool cleanup;
    int64_t start, stop;
};

static void decoder_release(void *state)
{
    struct decoder *d = state;

    mem_free(d->text);
    mem_free(d->delimiter);
    mem_free(d);
}

/* A string, by default the one given; NULL: it has to be there. */
static int read_text(const struct component_source *s, const struct node *n, const char *key,
                     const char *absent, char **out, size_t *length)
{
    const struct node *text = node_get(n, key);

    if (!text && absent) {
        *out = mem_strdup(absent);
        *length = strlen(absent);
        return OK;
    }
    TRY(node_require(s->tree, n, key, JSON_STRING, &text));
    *out = mem_strndup(text->text, text->length);
    *length = text->length;
    return OK;
}

static void take(struct token_list *tokens, struct token_list *out)
{
    token_list_release(tokens);
    *tokens = *out;
}

/* Appends p with each `from` replaced by `to`. */
static void append_replaced(struct str *out, const char *p, size_t length, const char *from, const char *to)
{
    const char *end = p + length, *stop;
    size_t n = strlen(from);

    while (n > 0 && (stop = memmem(p, (size_t)(end - p), from, n))) {
        str_append_bytes(out, p, (size_t)(stop - p));
        str_append(out, to);
        p = stop + n;
    }
    str_append_bytes(out, p, (size_t)(end - p));
}

static bool needs_cleaning(const struct str *s)
{
    for (size_t i = 0; i + 1 < s->length; i++)
        if (s->data[i] == ' ' && s->data[i + 1] != 0 && strchr(".?!,'nd", s->data[i + 1]))
            return true;
    return false;
}

void clean_up_spaces(struct str *s, bool do_not)
{
    static const char *const pairs[][2] = {
        { " .", "." },   { " ?", "?" },     { " !", "!" },     { " ,", "," },
        { " ' ", "'" },  { " n't", "n't" }, { " 'm", "'m" },   { " do not", " don't" },
        { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };

    if (!needs_cleaning(s))
        return;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct str next;
        if (!do_not && pairs[i][0][1] == 'd')
            continue;
        str_init(&next);
        append_replaced(&next, s->data, s->length, pairs[i][0], pairs[i][1]);
        str_release(s);
        *s = next;
    }
}

/* ---- WordPiece ---- */

static int word_piece_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "prefix", "cleanup", NULL };
    struct decoder *d = mem_alloc(sizeof(*d));
    int status = read_text(s, n, "prefix", "##", &d->text, &d->length);

    d->cleanup = true;
    if (status == OK)
        status = node_bool(s->tree, n, "cleanup", &d->cleanup);
    if (status != OK) {
        decoder_release(d);
        return status;
    }
    node_warn_unknown(s->tree, n, known);
    *state = d;
    return OK;
}

static void word_piece_form(const void *state, const struct token_place *t, struct str *out)
{
    const struct decoder *d = state;
    bool inner = t->place > 0 && t->length >= d->length && memcmp(t->bytes, d->text, d->length) == 0;
    size_t skip = inner ? d->length : 0;

    if (t->place > 0 && !inner)
        str_append_char(out, ' ');
    str_append_bytes(out, t->bytes + skip, t->length - skip);
    if (d->cleanup)
        clean_up_spaces(out, true);
}

static int word_piece_decode(const void *state, struct token_list *tokens)
{
    token_list_map(tokens, word_piece_form, state);
    return OK;
}

const struct component_type decoder_word_piece = {
    .name = "WordPiece",
    .parse = word_piece_parse,
    .release = decoder_release,
    .decode = word_piece_decode,
};

/* ---- BPEDecoder ---- */

static int bpe_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "suffix", NULL };
    struct decoder *d = mem_alloc(sizeof(*d));
    int status = read_text(s, n, "suffix", "</w>", &d->text, &d->length);

    if (status != OK) {
        decoder_release(d);
        return status;
    }
    node_warn_unknown(s->tree, n, known);
    *state = d;
    return OK;
}

/* The end of a word is a blank, but not the last one. */
static void bpe_form(const void *state, const struct token_place *t, struct str *out)
{
    const struct decoder *d = state;

    append_replaced(out, t->bytes, t->length, d->text, t->place + 1 == t->count ? "" : " ");
}

static int bpe_decode(const void *state, struct token_list *tokens)
{
    token_list_map(tokens, bpe_form, state);
    return OK;
}

const struct component_type decoder_bpe = {
    .name = "BPEDecoder",
    .parse = bpe_parse,
    .release = decoder_release,
    .decode = bpe_decode,
};

/* ---- ByteFallback ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of "<0xXX>", or -1. */
static int byte_of(const char *p, size_t length)
{
    if (length != 6 || memcmp(p, "<0x", 3) != 0 || p[5] != '>' || hex_value(p[3]) < 0 || hex_value(p[4]) < 0)
        return -1;
    return hex_value(p[3]) * 16 + hex_value(p[4]);
}

/* Bytes in a row are one token when they are UTF-8, else a U+FFFD each. */
static void end_bytes(struct token_list *out, struct str *bytes)
{
    if (utf8_valid_prefix(bytes->data, bytes->length) == bytes->length) {
        if (bytes->length > 0)
            token_list_add(out, bytes->data, bytes->length);
    } else {
        for (size_t i = 0; i < bytes->length; i++)
            token_list_add(out, "\xEF\xBF\xBD", 3);
    }
    str_clear(bytes);
}

static int byte_fallback_decode(const void *state, struct token_list *tokens)
{
    struct token_list out = { 0 };
    struct str bytes;

    str_init(&out.bytes);
    str_init(&bytes);
    for (size_t i = 0; i < tokens->count; i++) {
        size_t length;
        const char *p = token_list_get(tokens, i, &length);
        int byte = byte_of(p, length);
        if (byte >= 0) {
            str_append_char(&bytes, (char)byte);
            continue;
        }
        end_bytes(&out, &bytes);
        token_list_add(&out, p, length);
    }
    end_bytes(&out, &bytes);
    str_release(&bytes);
    take(tokens, &out);
    return OK;
}

const struct component_type decoder_byte_fallback = {
    .name = "ByteFallback",
    .decode = byte_fallback_decode,
};

/* ---- Fuse ---- */

static int fuse_decode(const void *state, struct token_list *tokens)
{
    tokens->ends = mem_grow(tokens->ends, 0, &tokens->capacity, sizeof(*tokens->ends));
    tokens->ends[0] = tokens->bytes.length;
    tokens->count = 1;
    return OK;
}

const struct component_type decoder_fuse = { .name = "Fuse", .decode = fuse_decode };

/* ---- Strip ---- */

static int strip_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "content", "start", "stop", NULL };
    struct decoder *d = mem_alloc(sizeof(*d));
    int status = read_text(s, n, "content", NULL, &d->text, &d->length);
    uint32_t code;

    if (status == OK &&
        (d->length == 0 || (size_t)utf8_decode(d->text, d->text + d->length, &code) != d->length))
        status = node_fail(s->tree, node_get(n, "content"), "not one character");
    if (status == OK)
        status = node_int(s->tree, n, "start", 0, INT64_MAX, &d->start);
    if (status == OK)
        status = node_int(s->tree, n, "stop", 0, INT64_MAX, &d->stop);
    if (status != OK) {
        decoder_release(d);
        return status;
    }
    node_warn_unknown(s->tree, n, known);
    *state = d;
    return OK;
}

/* At most `start` times the character off the front of each token and `stop` times off its end. */
static void strip_form(const void *state, const struct token_place *t, struct str *out)
{
    const struct decoder *d = state;
    size_t n = d->length, length = t->length;
    const char *p = t->bytes;

    for (int64_t k = 0; k < d->start && length >= n && memcmp(p, d->text, n) == 0; k++) {
        p += n;
        length -= n;
    }
    for (int64_t k = 0; k < d->stop && length >= n && memcmp(p + length - n, d->text, n) == 0; k++)
        length -= n;
    str_append_bytes(out, p, length);
}

static int strip_decode(const void *state, struct token_list *tokens)
{
    token_list_map(tokens, strip_form, state);
    return OK;
}

const struct component_type decoder_strip = {
    .name = "Strip",
    .parse = strip_parse,
    .release = decoder_release,
    .decode = strip_decode,
};

/* ---- CTC ---- */

static int ctc_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "pad_token", "word_delimiter_token", "cleanup", NULL };
    struct decoder *d = mem_alloc(sizeof(*d));
    int status = read_text(s, n, "pad_token", "<pad>", &d->text, &d->length);

    d->cleanup = true;
    if (status == OK)
        status = read_text(s, n, "word_delimiter_token", "|", &d->delimiter, &d->delimiter_length);
    if (status == OK)
        status = node_bool(s->tree, n, "cleanup", &d->cleanup);
    if (status != OK) {
        decoder_release(d);
        return status;
    }
    node_warn_unknown(s->tree, n, known);
    *state = d;
    return OK;
}

/* Repeated tokens count once, and the pad token for nothing (Graves et al., "Connectionist Temporal
 * Classification", 2006). */
static int ctc_decode(const void *state, struct token_list *tokens)
{
    const struct decoder *d = state;
    struct token_list out = { 0 };
    const char *last = NULL;
    size_t last_length = 0;

    str_init(&out.bytes);
    for (size_t i = 0; i < tokens->count; i++) {
        size_t length;
        const char *p = token_list_get(tokens, i, &length);
        struct str form, spaced;
        if (last && length == last_length && memcmp(p, last, length) == 0)
            continue;
        last = p;
        last_length = length;
        str_init(&form);
        str_init(&spaced);
        append_replaced(&form, p, length, d->text, "");
        if (d->cleanup) {
            clean_up_spaces(&form, true);
            append_replaced(&spaced, form.data, form.length, d->delimiter, " ");
        } else {
            str_append_bytes(&spaced, form.data, form.length);
        }
        if (spaced.length > 0)
            token_list_add(&out, spaced.data, spaced.length);
        str_release(&form);
        str_release(&spaced);
    }
    take(tokens, &out);
    return OK;
}

const struct component_type decoder_ctc = {
    .name = "CTC",
    .parse = ctc_parse,
    .release = decoder_release,
    .decode = ctc_decode,
};
