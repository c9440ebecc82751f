/* Normal forms and lower case, by utf8proc. Text is taken in parts that nothing composes or reorders across.
 * Spans: what a part begins with and keeps comes from itself, the rest from all of the rest. */
#include <string.h>

#include <utf8proc.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/types.h"
#include "tok/unicode.h"

/* ---- parts ---- */

/* Code points younger than the normal forms inside tokenizers: left alone. Those that decompose, reorder or
 * begin a composition in Unicode 18, and do not there; in order. */
static const struct {
    uint32_t first, last;
} young[] = {
    { 0x558, 0x558 },     { 0x58B, 0x58C },     { 0x5C8, 0x5C9 },     { 0x7FD, 0x7FD },
    { 0x897, 0x89F },     { 0x8CA, 0x8D3 },     { 0x9FE, 0x9FE },     { 0xC3C, 0xC3C },
    { 0xD3B, 0xD3C },     { 0xEBA, 0xEBA },     { 0x1715, 0x1715 },   { 0x1ABF, 0x1AF0 },
    { 0x1DF6, 0x1DFA },   { 0x209D, 0x209F },   { 0x32FF, 0x32FF },   { 0xA7F1, 0xA7F4 },
    { 0xA82C, 0xA82C },   { 0xAB69, 0xAB69 },   { 0x105C9, 0x105C9 }, { 0x105D2, 0x105D2 },
    { 0x105DA, 0x105DA }, { 0x105E4, 0x105E4 }, { 0x10781, 0x10785 }, { 0x10787, 0x107B0 },
    { 0x107B2, 0x107BF }, { 0x10D24, 0x10D27 }, { 0x10D69, 0x10D6D }, { 0x10EAB, 0x10EAC },
    { 0x10ECB, 0x10ECF }, { 0x10EF0, 0x10EFB }, { 0x10EFD, 0x10EFF }, { 0x10F46, 0x10F50 },
    { 0x10F82, 0x10F85 }, { 0x11070, 0x11070 }, { 0x1133B, 0x1133B }, { 0x11382, 0x11385 },
    { 0x1138B, 0x1138B }, { 0x1138E, 0x1138E }, { 0x11390, 0x11391 }, { 0x113C2, 0x113C2 },
    { 0x113C5, 0x113C5 }, { 0x113C7, 0x113C8 }, { 0x113CE, 0x113D0 }, { 0x1145E, 0x1145E },
    { 0x11839, 0x1183A }, { 0x11935, 0x11935 }, { 0x11938, 0x11938 }, { 0x1193D, 0x1193E },
    { 0x11943, 0x11943 }, { 0x119E0, 0x119E0 }, { 0x11A34, 0x11A34 }, { 0x11A47, 0x11A47 },
    { 0x11A99, 0x11A99 }, { 0x11D42, 0x11D42 }, { 0x11D44, 0x11D45 }, { 0x11D97, 0x11D97 },
    { 0x11F41, 0x11F42 }, { 0x1611E, 0x1611E }, { 0x16121, 0x16129 }, { 0x1612F, 0x1612F },
    { 0x16D63, 0x16D63 }, { 0x16D67, 0x16D6A }, { 0x16FF0, 0x16FF1 }, { 0x1B123, 0x1B126 },
    { 0x1CCD6, 0x1CCF9 }, { 0x1D127, 0x1D128 }, { 0x1D250, 0x1D252 }, { 0x1D25B, 0x1D25C },
    { 0x1D25F, 0x1D25F }, { 0x1D280, 0x1D281 }, { 0x1D6A6, 0x1D6A6 }, { 0x1DF95, 0x1DF95 },
    { 0x1DFCD, 0x1DFFF }, { 0x1E030, 0x1E06D }, { 0x1E08F, 0x1E08F }, { 0x1E130, 0x1E136 },
    { 0x1E2AE, 0x1E2AE }, { 0x1E2EC, 0x1E2EF }, { 0x1E4EC, 0x1E4EF }, { 0x1E5EE, 0x1E5EF },
    { 0x1E6E3, 0x1E6E3 }, { 0x1E6E6, 0x1E6E6 }, { 0x1E6EE, 0x1E6EF }, { 0x1E6F5, 0x1E6F5 },
    { 0x1F16C, 0x1F16C }, { 0x1FBF0, 0x1FBF9 },
};

static bool is_young(uint32_t code)
{
    size_t low = 0, high = sizeof(young) / sizeof(young[0]);

    if (code < young[0].first)
        return false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (young[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof(young) / sizeof(young[0]) && young[low].first <= code;
}

/* A character that starts a new part: nothing before it composes or reorders with what it becomes. Hangul
 * vowels and finals and a few others compose with what stands before them, though their class is 0. */
static bool starts_part(uint32_t code, utf8proc_option_t options)
{
    const utf8proc_property_t *p;
    utf8proc_int32_t form[32];
    int last_class = 0;

    if (code < 0x300 || is_young(code))
        return true;
    if (utf8proc_decompose_char((utf8proc_int32_t)code, form, 32, options, &last_class) > 0)
        code = (uint32_t)form[0];
    p = utf8proc_get_property((utf8proc_int32_t)code);
    return p->combining_class == 0 &&
           (p->category != UTF8PROC_CATEGORY_MN && p->category != UTF8PROC_CATEGORY_MC) &&
           !(code >= 0x1160 && code <= 0x11FF);
}

static size_t part_end(const char *bytes, size_t begin, size_t length, utf8proc_option_t options)
{
    const char *p = bytes + begin, *end = bytes + length;
    uint32_t code;

    for (bool first = true; p < end; first = false) {
        int n = utf8_decode(p, end, &code);
        if (n == 0)
            return first ? begin + 1 : (size_t)(p - bytes);
        if (!first && starts_part(code, options))
            break;
        p += n;
        if (first && is_young(code))
            break;
    }
    return (size_t)(p - bytes);
}

/* Where something stands that utf8proc must not see: a young character or a broken byte. */
static size_t plain_end(const char *bytes, size_t begin, size_t length)
{
    const char *p = bytes + begin, *end = bytes + length;
    uint32_t code;

    while (p < end) {
        int n = (uint8_t)*p < 0x80 ? 1 : utf8_decode(p, end, &code);
        if (n == 0 || (n > 1 && is_young(code)))
            break;
        p += n;
    }
    return (size_t)(p - bytes);
}

/* ---- normal forms ---- */

/* The codes of a part's normal form, in *form, which the caller frees. */
static int normal_codes(const struct piece *part, utf8proc_option_t options, utf8proc_int32_t **form,
                        size_t *count)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)part->bytes;
    utf8proc_ssize_t length = (utf8proc_ssize_t)part->length,
                     n = utf8proc_decompose(bytes, length, NULL, 0, options);

    if (n < 0)
        return fail(ERR_SYSTEM, "utf8proc: %s", utf8proc_errmsg(n));
    *form = mem_alloc_array((size_t)n + 1, sizeof(**form));
    utf8proc_decompose(bytes, length, *form, n, options);
    if (options & UTF8PROC_COMPOSE)
        n = utf8proc_normalize_utf32(*form, n, options);
    *count = (size_t)n;
    return OK;
}

/* Appends the form: what is the same at the start with places of its own, the rest with all that remains. */
static void append_codes(struct text *out, const struct piece *part, const utf8proc_int32_t *form,
                         size_t count)
{
    const char *p = part->bytes, *end = p + part->length;
    struct tok_span origin;
    uint32_t code = 0;
    size_t same = 0;
    char bytes[4];
    int n;

    for (; same < count && p < end; same++) {
        struct piece kept;
        n = utf8_decode(p, end, &code);
        if ((utf8proc_int32_t)code != form[same])
            break;
        kept = piece_slice(part, (size_t)(p - part->bytes), (size_t)(p - part->bytes) + (size_t)n);
        text_append_piece(out, &kept);
        p += n;
    }
    if (same == count)
        return;
    if (p == end)
        p = part->bytes;
    origin = piece_origin(part, (size_t)(p - part->bytes), part->length);
    for (; same < count; same++)
        text_append(out, bytes, (size_t)utf8_encode((uint32_t)form[same], bytes), origin);
}

static int normalize_part(struct text *out, const struct piece *part, utf8proc_option_t options)
{
    utf8proc_int32_t *form;
    uint32_t code;
    size_t count;
    int n = utf8_decode(part->bytes, part->bytes + part->length, &code);

    if (n == 0 || is_young(code)) {
        text_append_piece(out, part);
        return OK;
    }
    TRY(normal_codes(part, options, &form, &count));
    append_codes(out, part, form, count);
    mem_free(form);
    return OK;
}

/* Text whose places nobody asks for. */
static int normalize_plain(struct text *out, const struct piece *in, utf8proc_option_t options)
{
    utf8proc_int32_t *form;
    size_t count;

    TRY(normal_codes(in, options, &form, &count));
    count = (size_t)utf8proc_reencode(form, (utf8proc_ssize_t)count, options & ~UTF8PROC_COMPOSE);
    text_append(out, (const char *)form, count, (struct tok_span){ 1, 1 });
    mem_free(form);
    return OK;
}

static int normalize_by_parts(struct text *out, const struct piece *whole, utf8proc_option_t options)
{
    for (size_t begin = 0, end; begin < whole->length; begin = end) {
        struct piece part;
        end = begin;
        if (!whole->origins && begin >= whole->head)
            end = plain_end(whole->bytes, begin, whole->length);
        if (end > begin) {
            part = piece_slice(whole, begin, end);
            TRY(normalize_plain(out, &part, options));
            continue;
        }
        end = part_end(whole->bytes, begin, whole->length, options);
        part = piece_slice(whole, begin, end);
        TRY(normalize_part(out, &part, options));
    }
    return OK;
}

static bool is_ascii(const struct text *t)
{
    for (size_t i = 0; i < t->bytes.length; i++)
        if ((uint8_t)t->bytes.data[i] >= 0x80)
            return false;
    return true;
}

static int normalize(struct text *text, utf8proc_option_t options)
{
    struct text out;
    struct piece whole = text_piece(text);
    int status;

    if (is_ascii(text))
        return OK;
    text_init(&out, text->tracked);
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
    uint32_t low = code == 0x130 ? 'i' : unicode_lower(code);

    text_append(out, form, (size_t)utf8_encode(low, form), origin);
    if (code == 0x130)
        text_append(out, form, (size_t)utf8_encode(0x307, form), origin);
}

static int lowercase(const void *state, struct text *text)
{
    struct piece whole = text_piece(text);
    struct text out;
    uint32_t code;

    if (is_ascii(text)) {
        for (size_t i = 0; i < whole.length; i++)
            if (text->bytes.data[i] >= 'A' && text->bytes.data[i] <= 'Z')
                text->bytes.data[i] |= 32;
        return OK;
    }
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
