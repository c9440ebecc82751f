/* "ByteLevel": pre-tokenizer (the printable form, and GPT-2's splitting), post-processor (spans without the
 * white space around a word) and decoder (back to bytes). */
#include "tok/byte_level.h"

#include "base/err.h"
#include "base/mem.h"
#include "tok/split.h"
#include "tok/types.h"

enum { FIRST_MOVED = 0x100, MOVED_LAST = FIRST_MOVED + 67, SPACE_FORM = 0x120 };

static bool is_printable(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

uint32_t byte_level_char(uint8_t byte)
{
    if (is_printable(byte))
        return byte;
    if (byte <= 0x20)
        return FIRST_MOVED + byte;
    if (byte <= 0xA0)
        return FIRST_MOVED + 0x21 + (byte - 0x7Fu);
    return MOVED_LAST; /* 0xAD, the soft hyphen */
}

int byte_level_byte(uint32_t c)
{
    if (c < FIRST_MOVED)
        return is_printable(c) ? (int)c : -1;
    if (c > MOVED_LAST)
        return -1;
    if (c == MOVED_LAST)
        return 0xAD;
    c -= FIRST_MOVED;
    return (int)(c <= 0x20 ? c : c - 0x21 + 0x7F);
}

struct piece byte_level_form(const struct piece *p, struct text *scratch)
{
    char form[4];

    text_clear(scratch);
    for (size_t i = 0; i < p->length; i++) {
        int n = utf8_encode(byte_level_char((uint8_t)p->bytes[i]), form);
        text_append(scratch, form, (size_t)n, piece_origin(p, i, i + 1));
    }
    return text_piece(scratch);
}

/* ---- shared settings ---- */

struct byte_level {
    bool add_prefix_space, trim_offsets, use_regex;
};

static int byte_level_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "add_prefix_space", "trim_offsets", "use_regex", NULL };
    struct byte_level b = { .add_prefix_space = true, .trim_offsets = true, .use_regex = true };
    struct byte_level *out;

    TRY(node_bool(s->tree, n, "add_prefix_space", &b.add_prefix_space));
    TRY(node_bool(s->tree, n, "trim_offsets", &b.trim_offsets));
    TRY(node_bool(s->tree, n, "use_regex", &b.use_regex));
    node_warn_unknown(s->tree, n, known);
    out = mem_alloc(sizeof(*out));
    *out = b;
    *state = out;
    return OK;
}

/* ---- pre-tokenizer ---- */

static int split_words(const struct byte_level *b, const struct piece *in, struct sink *out)
{
    const char *p = in->bytes, *end = in->bytes + in->length;
    struct piece word = *in;

    word.byte_level = true;
    if (!b->use_regex)
        return out->emit(out, &word);
    while (p < end) {
        const char *next = split_gpt2(p, end);
        word = piece_slice(in, (size_t)(p - in->bytes), (size_t)(next - in->bytes));
        word.byte_level = true;
        TRY(out->emit(out, &word));
        p = next;
    }
    return OK;
}

/* The added space counts as part of the first character. */
static int byte_level_split(const void *state, const struct piece *in, struct sink *out)
{
    const struct byte_level *b = state;
    struct text spaced;
    struct piece whole;
    uint32_t code;
    int status;

    if (in->length == 0)
        return OK;
    if (!b->add_prefix_space || in->bytes[0] == ' ')
        return split_words(b, in, out);
    text_init(&spaced, in->origins != NULL);
    status = utf8_decode(in->bytes, in->bytes + in->length, &code);
    text_append(&spaced, " ", 1, piece_origin(in, 0, status > 0 ? (size_t)status : 1));
    text_append_piece(&spaced, in);
    whole = text_piece(&spaced);
    status = split_words(b, &whole, out);
    text_release(&spaced);
    return status;
}

const struct component_type pre_tokenizer_byte_level = {
    .name = "ByteLevel",
    .parse = byte_level_parse,
    .release = mem_free,
    .split = byte_level_split,
};

/* ---- normalizer ---- */

static int byte_level_normalize(const void *state, struct text *text)
{
    struct piece whole = text_piece(text);
    struct text form;

    text_init(&form, text->tracked);
    byte_level_form(&whole, &form);
    text_release(text);
    *text = form;
    return OK;
}

const struct component_type normalizer_byte_level = {
    .name = "ByteLevel",
    .normalize = byte_level_normalize,
};

/* ---- post-processor ---- */

static bool is_space(uint32_t c)
{
    return c == SPACE_FORM || c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

/* Bytes of the text that are white space at the start and at the end of a token. */
static void count_spaces(const char *token, size_t length, uint32_t *leading, uint32_t *trailing)
{
    const char *p = token, *end = token + length;
    bool all = true;
    uint32_t c;
    int n;

    *leading = *trailing = 0;
    for (; p < end && (n = utf8_decode(p, end, &c)) > 0; p += n) {
        bool space = is_space(c);
        uint32_t bytes = c == SPACE_FORM ? 1 : (uint32_t)n;
        *trailing = space ? *trailing + bytes : 0;
        all = all && space;
        if (all)
            *leading += bytes;
    }
}

void byte_level_trim(const struct process *p, bool add_prefix_space)
{
    struct encoding *e = p->encoding;

    for (size_t i = p->begin; e->spans && i < e->count; i++) {
        struct tok_span *s = &e->spans[i];
        uint32_t leading, trailing;
        size_t length;
        const char *token = tokenizer_token(p->tokenizer, e->ids[i], &length);
        if (!token)
            continue;
        count_spaces(token, length, &leading, &trailing);
        if ((i == p->begin || i == p->middle || s->begin == 0) && add_prefix_space && leading == 1)
            leading = 0; /* the one that was added */
        s->begin = s->begin + leading < s->end ? s->begin + leading : s->end;
        if (trailing > 0 && s->end >= trailing)
            s->end = s->end - trailing > s->begin ? s->end - trailing : s->begin;
    }
}

static int byte_level_process(const void *state, struct process *p)
{
    const struct byte_level *b = state;

    if (b->trim_offsets)
        byte_level_trim(p, b->add_prefix_space);
    return OK;
}

const struct component_type post_processor_byte_level = {
    .name = "ByteLevel",
    .parse = byte_level_parse,
    .release = mem_free,
    .process = byte_level_process,
};

/* ---- decoder ---- */

/* The bytes of a token, or the token itself when one of its characters stands for no byte. */
static void append_token_bytes(struct str *out, const char *token, size_t length)
{
    const char *p = token, *end = token + length;
    size_t before = out->length;

    while (p < end) {
        uint32_t c;
        int n = utf8_decode(p, end, &c), byte = n > 0 ? byte_level_byte(c) : -1;
        if (byte < 0) {
            out->length = before;
            str_append_bytes(out, token, length);
            return;
        }
        str_append_char(out, (char)byte);
        p += n;
    }
}

static int byte_level_decode(const void *state, struct token_list *tokens)
{
    struct token_list joined = { 0 };
    struct str bytes;
    size_t begin = 0;

    str_init(&bytes);
    for (size_t i = 0; i < tokens->count; i++) {
        append_token_bytes(&bytes, tokens->bytes.data + begin, tokens->ends[i] - begin);
        begin = tokens->ends[i];
    }
    str_init(&joined.bytes);
    token_list_add_lossy(&joined, bytes.data, bytes.length);
    str_release(&bytes);
    token_list_release(tokens);
    *tokens = joined;
    return OK;
}

const struct component_type decoder_byte_level = {
    .name = "ByteLevel",
    .parse = byte_level_parse,
    .release = mem_free,
    .decode = byte_level_decode,
};
