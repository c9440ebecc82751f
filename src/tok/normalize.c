/* Normal forms and lower case, by utf8proc. Spans: what is composed or decomposed together comes from all of
 * it. */
#include <string.h>

#include <utf8proc.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/types.h"

/* ---- normal forms ---- */

/* A character that starts a new part: nothing before it composes or reorders with it. Hangul vowels and
 * finals and a few others compose with what stands before them, though their class is 0. */
static bool starts_part(uint32_t code)
{
    const utf8proc_property_t *p;

    if (code < 0x300)
        return true;
    p = utf8proc_get_property((utf8proc_int32_t)code);
    return p->combining_class == 0 &&
           (p->category != UTF8PROC_CATEGORY_MN && p->category != UTF8PROC_CATEGORY_MC) &&
           !(code >= 0x1160 && code <= 0x11FF);
}

static size_t part_end(const char *bytes, size_t begin, size_t length)
{
    const char *p = bytes + begin, *end = bytes + length;
    uint32_t code;

    for (bool first = true; p < end; first = false) {
        int n = utf8_decode(p, end, &code);
        if (n == 0)
            return first ? begin + 1 : (size_t)(p - bytes);
        if (!first && starts_part(code))
            break;
        p += n;
    }
    return (size_t)(p - bytes);
}

static int normalize_part(struct text *out, const struct piece *part, utf8proc_option_t options)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)part->bytes;
    utf8proc_ssize_t length = (utf8proc_ssize_t)part->length,
                     n = utf8proc_decompose(bytes, length, NULL, 0, options);
    utf8proc_int32_t *form;

    if (n < 0)
        return fail(ERR_SYSTEM, "utf8proc: %s", utf8proc_errmsg(n));
    form = mem_alloc_array((size_t)n + 1, sizeof(*form));
    utf8proc_decompose(bytes, length, form, n, options);
    n = utf8proc_reencode(form, n, options);
    text_append(out, (const char *)form, (size_t)n, piece_origin(part, 0, part->length));
    mem_free(form);
    return OK;
}

static bool is_ascii(const struct text *t)
{
    for (size_t i = 0; i < t->bytes.length; i++)
        if ((uint8_t)t->bytes.data[i] >= 0x80)
            return false;
    return true;
}

/* Bytes that are not UTF-8 stay as they are. */
static int normalize_by_parts(struct text *out, const struct piece *whole, utf8proc_option_t options)
{
    for (size_t begin = 0, end; begin < whole->length; begin = end) {
        struct piece part;
        end = part_end(whole->bytes, begin, whole->length);
        part = piece_slice(whole, begin, end);
        if (utf8_valid_prefix(part.bytes, part.length) == part.length)
            TRY(normalize_part(out, &part, options));
        else
            text_append_piece(out, &part);
    }
    return OK;
}

/* Where nothing is tracked but what comes from the first character. */
static int normalize_at_once(struct text *out, const struct piece *whole, utf8proc_option_t options)
{
    size_t first = part_end(whole->bytes, 0, whole->length);
    struct piece begin = piece_slice(whole, 0, first), rest = piece_slice(whole, first, whole->length);

    TRY(normalize_part(out, &begin, options));
    return rest.length > 0 ? normalize_part(out, &rest, options) : OK;
}

static int normalize(struct text *text, utf8proc_option_t options)
{
    struct text out;
    struct piece whole = text_piece(text);
    int status = OK;

    if (is_ascii(text))
        return OK;
    text_init(&out, text->tracked);
    if (!text->tracked && utf8_valid_prefix(whole.bytes, whole.length) == whole.length)
        status = normalize_at_once(&out, &whole, options);
    else
        status = normalize_by_parts(&out, &whole, options);
    text_release(text);
    *text = out;
    return status;
}

static int nfc(const void *state, struct text *text)
{
    return normalize(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
}

static int nfd(const void *state, struct text *text)
{
    return normalize(text, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
}

static int nfkc(const void *state, struct text *text)
{
    return normalize(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
}

static int nfkd(const void *state, struct text *text)
{
    return normalize(text, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
}

const struct component_type normalizer_nfc = { .name = "NFC", .normalize = nfc };
const struct component_type normalizer_nfd = { .name = "NFD", .normalize = nfd };
const struct component_type normalizer_nfkc = { .name = "NFKC", .normalize = nfkc };
const struct component_type normalizer_nfkd = { .name = "NFKD", .normalize = nfkd };

/* ---- lower case ---- */

/* One character; I with a dot above is the only one whose lower case is two. */
static void append_lower(struct text *out, uint32_t code, struct tok_span origin)
{
    char form[4];
    uint32_t low = code == 0x130 ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);

    text_append(out, form, (size_t)utf8_encode(low, form), origin);
    if (code == 0x130)
        text_append(out, form, (size_t)utf8_encode(0x307, form), origin);
}

static int lowercase(const void *state, struct text *text)
{
    struct piece whole = text_piece(text);
    struct text out;
    uint32_t code;

    text_init(&out, text->tracked);
    for (size_t i = 0, n; i < whole.length; i += n) {
        int length = utf8_decode(whole.bytes + i, whole.bytes + whole.length, &code);
        n = length > 0 ? (size_t)length : 1;
        if (length > 0)
            append_lower(&out, code, piece_origin(&whole, i, i + n));
        else
            text_append(&out, whole.bytes + i, 1, piece_origin(&whole, i, i + 1));
    }
    text_release(text);
    *text = out;
    return OK;
}

const struct component_type normalizer_lowercase = { .name = "Lowercase", .normalize = lowercase };
