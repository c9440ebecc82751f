/* Normalizers that go from character to character: "Strip", "StripAccents", "Nmt" (SentencePiece's nmt rules)
 * and "BertNormalizer" (Devlin et al.'s published BasicTokenizer). */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/types.h"
#include "tok/unicode.h"

enum { DROPPED = -1 };

/* Puts next(code) in the place of each character, or nothing for DROPPED. Broken bytes stay. */
static void map_characters(struct text *text, int32_t (*next)(uint32_t code))
{
    struct piece whole = text_piece(text);
    const char *end = whole.bytes + whole.length;
    struct text out;
    size_t n;

    text_init(&out, text->tracked);
    for (size_t at = 0; at < whole.length; at += n) {
        char form[4];
        uint32_t code = 0;
        int length = utf8_decode(whole.bytes + at, end, &code);
        int32_t to = length > 0 ? next(code) : DROPPED;
        n = length > 0 ? (size_t)length : 1;
        if (length == 0)
            text_append(&out, whole.bytes + at, 1, piece_origin(&whole, at, at + 1));
        else if (to != DROPPED)
            text_append(&out, form, (size_t)utf8_encode((uint32_t)to, form),
                        piece_origin(&whole, at, at + n));
    }
    text_release(text);
    *text = out;
}

static bool is_ascii(const struct text *t)
{
    for (size_t i = 0; i < t->bytes.length; i++)
        if ((uint8_t)t->bytes.data[i] >= 0x80)
            return false;
    return true;
}

/* ---- Strip ---- */

struct strip {
    bool left, right;
};

static int strip_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "strip_left", "strip_right", NULL };
    struct strip strip = { true, true }, *out;

    TRY(node_bool(s->tree, n, "strip_left", &strip.left));
    TRY(node_bool(s->tree, n, "strip_right", &strip.right));
    node_warn_unknown(s->tree, n, known);
    out = mem_alloc(sizeof(*out));
    *out = strip;
    *state = out;
    return OK;
}

static int strip_normalize(const void *state, struct text *text)
{
    const struct strip *s = state;
    struct piece whole = text_piece(text), kept;
    const char *limit = whole.bytes + whole.length;
    size_t begin = whole.length, end = 0;
    struct text out;

    for (size_t at = 0, n; at < whole.length; at += n) {
        uint32_t code = 0;
        int length = utf8_decode(whole.bytes + at, limit, &code);
        n = length > 0 ? (size_t)length : 1;
        if (length > 0 && (unicode_class(code) & UNICODE_SPACE))
            continue;
        begin = at < begin ? at : begin;
        end = at + n;
    }
    if (!s->left)
        begin = 0;
    if (!s->right)
        end = whole.length;
    text_init(&out, text->tracked);
    if (begin < end) {
        kept = piece_slice(&whole, begin, end);
        text_append_piece(&out, &kept);
    }
    text_release(text);
    *text = out;
    return OK;
}

const struct component_type normalizer_strip = {
    .name = "Strip",
    .parse = strip_parse,
    .release = mem_free,
    .normalize = strip_normalize,
};

/* ---- StripAccents ---- */

static int32_t without_combining(uint32_t code)
{
    return unicode_kind(code)->flags & UNICODE_COMBINING ? DROPPED : (int32_t)code;
}

static int strip_accents(const void *state, struct text *text)
{
    if (!is_ascii(text))
        map_characters(text, without_combining);
    return OK;
}

const struct component_type normalizer_strip_accents = {
    .name = "StripAccents",
    .normalize = strip_accents,
};

/* ---- Nmt ---- */

static int32_t nmt_character(uint32_t code)
{
    switch (code) {
    case 0x0B:
    case 0x7F:
    case 0x8F:
    case 0x9F: return DROPPED;
    case 0x09:
    case 0x0A:
    case 0x0C:
    case 0x0D:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x2581:
    case 0xFEFF:
    case 0xFFFD: return ' ';
    default: break;
    }
    if (code >= 0x200B && code <= 0x200F)
        return ' ';
    return code > 0 && code < 0x20 ? DROPPED : (int32_t)code;
}

static int nmt(const void *state, struct text *text)
{
    map_characters(text, nmt_character);
    return OK;
}

const struct component_type normalizer_nmt = { .name = "Nmt", .normalize = nmt };

/* ---- BertNormalizer ---- */

struct bert {
    bool clean, chinese, accents, lowercase;
};

static int bert_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type",          "clean_text", "handle_chinese_chars",
                                         "strip_accents", "lowercase",  NULL };
    struct bert b = { .clean = true, .chinese = true, .lowercase = true }, *out;

    TRY(node_bool(s->tree, n, "clean_text", &b.clean));
    TRY(node_bool(s->tree, n, "handle_chinese_chars", &b.chinese));
    TRY(node_bool(s->tree, n, "lowercase", &b.lowercase));
    b.accents = b.lowercase; /* null: as lowercase says */
    TRY(node_bool(s->tree, n, "strip_accents", &b.accents));
    node_warn_unknown(s->tree, n, known);
    out = mem_alloc(sizeof(*out));
    *out = b;
    *state = out;
    return OK;
}

static int32_t clean_character(uint32_t code)
{
    if (code >= 0x21 && code <= 0x7E)
        return (int32_t)code;
    if (unicode_kind(code)->flags & UNICODE_CONTROL)
        return DROPPED;
    return unicode_class(code) & UNICODE_SPACE ? ' ' : (int32_t)code;
}

static bool is_chinese(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x2F800 && c <= 0x2FA1F);
}

/* A blank before and after each. */
static void space_chinese(struct text *text)
{
    struct piece whole = text_piece(text);
    const char *end = whole.bytes + whole.length;
    struct text out;
    size_t n;

    text_init(&out, text->tracked);
    for (size_t at = 0; at < whole.length; at += n) {
        uint32_t code = 0;
        int length = utf8_decode(whole.bytes + at, end, &code);
        struct tok_span origin;
        n = length > 0 ? (size_t)length : 1;
        origin = piece_origin(&whole, at, at + n);
        if (is_chinese(code))
            text_append(&out, " ", 1, origin);
        text_append(&out, whole.bytes + at, n, origin);
        if (is_chinese(code))
            text_append(&out, " ", 1, origin);
    }
    text_release(text);
    *text = out;
}

static int32_t without_nonspacing(uint32_t code)
{
    return unicode_kind(code)->flags & UNICODE_NONSPACING ? DROPPED : (int32_t)code;
}

static int bert_normalize(const void *state, struct text *text)
{
    const struct bert *b = state;
    bool ascii = is_ascii(text);

    if (b->clean)
        map_characters(text, clean_character);
    if (b->chinese && !ascii)
        space_chinese(text);
    if (b->accents && !ascii) {
        TRY(normalizer_nfd.normalize(NULL, text));
        map_characters(text, without_nonspacing);
    }
    return b->lowercase ? normalizer_lowercase.normalize(NULL, text) : OK;
}

const struct component_type normalizer_bert = {
    .name = "BertNormalizer",
    .parse = bert_parse,
    .release = mem_free,
    .normalize = bert_normalize,
};
