/* "Precompiled": SentencePiece's table of replacements. The blob is the size of a trie, the trie (a double
 * array as in Darts-clone: Yata, "Dictionary Compression by Double Array", 2016) and the strings its values
 * point to, each up to a zero byte. As in tokenizers: a grapheme cluster below six bytes is looked up whole,
 * else its characters are, and the shortest key that begins it decides for all of it. */
#include <string.h>

#include <utf8proc.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/types.h"

enum { CLUSTER_BYTES = 6, UNIT_LABEL_END = 1u << 8 };

struct charsmap {
    uint32_t *units;
    size_t unit_count;
    char *strings;
    size_t string_bytes;
};

static void charsmap_release(void *state)
{
    struct charsmap *m = state;

    mem_free(m->units);
    mem_free(m->strings);
    mem_free(m);
}

/* ---- units ---- */

static bool has_leaf(uint32_t unit)
{
    return unit >> 8 & 1;
}

static uint32_t label(uint32_t unit)
{
    return unit & (1u << 31 | 0xFF);
}

static size_t offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << (unit >> 6 & 8);
}

/* The value of the shortest key that begins text; -1: none. Every place was checked when it was read. */
static int64_t find(const struct charsmap *m, const char *text, size_t length)
{
    size_t at = offset(m->units[0]);

    for (size_t i = 0; i < length && text[i]; i++) {
        uint32_t unit;
        at ^= (uint8_t)text[i];
        if (at >= m->unit_count)
            return -1;
        unit = m->units[at];
        if (label(unit) != (uint8_t)text[i])
            return -1;
        at ^= offset(unit);
        if (has_leaf(unit))
            return m->units[at] & 0x7FFFFFFF;
    }
    return -1;
}

/* ---- reading ---- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* false: *at is the place of what is wrong. */
static bool base64_decode(const char *text, size_t length, struct str *out, size_t *at)
{
    uint32_t bits = 0;
    size_t digits = length;

    while (digits > 0 && length - digits < 2 && text[digits - 1] == '=')
        digits--;
    *at = digits;
    if (length % 4 != 0)
        return false;
    for (size_t i = 0; i < digits; i++) {
        int value = base64_value(text[i]);
        *at = i;
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 1)
            str_append_char(out, (char)(bits >> 4));
        else if (i % 4 == 2)
            str_append_char(out, (char)(bits >> 2));
        else if (i % 4 == 3)
            str_append_char(out, (char)bits);
    }
    return true;
}

static uint32_t little_endian(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;

    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* A walk over the trie: which children of a node remain, and what has been seen. */
struct walk {
    const struct component_source *source;
    const struct node *node; /* for messages */
    const struct charsmap *map;
    uint8_t *seen; /* 1: above the node at hand, 2: done; by place of the node */
    struct level {
        size_t place;
        uint32_t next; /* label */
    } * levels;
    size_t count, capacity;
};

static int enter(struct walk *w, size_t place)
{
    if (place >= w->map->unit_count)
        return node_fail(w->source->tree, w->node, "the trie points to unit %zu (expected one of %zu)", place,
                         w->map->unit_count);
    if (w->seen[place] == 1)
        return node_fail(w->source->tree, w->node, "the trie runs in a circle at unit %zu", place);
    if (w->seen[place] == 2)
        return OK;
    w->seen[place] = 1;
    w->levels = mem_grow(w->levels, w->count, &w->capacity, sizeof(*w->levels));
    w->levels[w->count++] = (struct level){ place, 1 };
    return OK;
}

static int check_value(const struct walk *w, uint32_t unit)
{
    const struct charsmap *m = w->map;
    size_t at = unit & 0x7FFFFFFF;

    if (at >= m->string_bytes)
        return node_fail(w->source->tree, w->node,
                         "the trie points to byte %zu of the strings (there are %zu)", at, m->string_bytes);
    if (((uint8_t)m->strings[at] & 0xC0) == 0x80)
        return node_fail(w->source->tree, w->node,
                         "the trie points into a character, at byte %zu of the strings", at);
    return OK;
}

/* The children of the node whose offset leads to `place`. */
static int walk_trie(struct walk *w)
{
    const struct charsmap *m = w->map;

    TRY(enter(w, offset(m->units[0])));
    while (w->count > 0) {
        struct level *l = &w->levels[w->count - 1];
        size_t child = l->place ^ l->next, below;
        if (l->next == UNIT_LABEL_END) {
            w->seen[l->place] = 2;
            w->count--;
            continue;
        }
        l->next++;
        if (child >= m->unit_count || label(m->units[child]) != l->next - 1)
            continue;
        below = child ^ offset(m->units[child]);
        if (has_leaf(m->units[child]) && below < m->unit_count)
            TRY(check_value(w, m->units[below]));
        TRY(enter(w, below));
    }
    return OK;
}

static int check_trie(const struct component_source *s, const struct node *n, const struct charsmap *m)
{
    struct walk w = { .source = s, .node = n, .map = m };
    int status;

    w.seen = mem_alloc(m->unit_count);
    status = walk_trie(&w);
    mem_free(w.seen);
    mem_free(w.levels);
    return status;
}

static int read_blob(const struct component_source *s, const struct node *n, const struct str *blob,
                     struct charsmap *m)
{
    size_t bytes;

    if (blob->length < 4)
        return node_fail(s->tree, n, "%zu bytes (expected a trie's size first)", blob->length);
    bytes = little_endian(blob->data);
    if (bytes % 4 != 0 || bytes == 0 || bytes > blob->length - 4)
        return node_fail(s->tree, n, "a trie of %zu bytes in %zu", bytes, blob->length - 4);
    m->unit_count = bytes / 4;
    m->units = mem_alloc_array(m->unit_count, sizeof(*m->units));
    for (size_t i = 0; i < m->unit_count; i++)
        m->units[i] = little_endian(blob->data + 4 + 4 * i);
    m->string_bytes = blob->length - 4 - bytes;
    m->strings = mem_strndup(blob->data + 4 + bytes, m->string_bytes);
    if (utf8_valid_prefix(m->strings, m->string_bytes) < m->string_bytes)
        return node_fail(s->tree, n, "strings that are not UTF-8");
    return check_trie(s, n, m);
}

static int precompiled_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "precompiled_charsmap", NULL };
    const struct node *text;
    struct charsmap *m;
    struct str blob;
    int status = OK;
    size_t at;

    TRY(node_require(s->tree, n, "precompiled_charsmap", JSON_STRING, &text));
    node_warn_unknown(s->tree, n, known);
    m = mem_alloc(sizeof(*m));
    str_init(&blob);
    if (!base64_decode(text->text, text->length, &blob, &at))
        status = node_fail(s->tree, text, "no base64, at byte %zu", at);
    else
        status = read_blob(s, text, &blob, m);
    str_release(&blob);
    if (status == OK)
        *state = m;
    else
        charsmap_release(m);
    return status;
}

/* ---- normalizing ---- */

/* Marks of Unicode 16 and 17, which an older utf8proc takes for characters of their own; in order. */
static bool is_young_mark(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } marks[] = {
        { 0x897, 0x897 },     { 0x1ACF, 0x1ADD },   { 0x1AE0, 0x1AEB },   { 0x10D69, 0x10D6D },
        { 0x10EFA, 0x10EFC }, { 0x113B8, 0x113C0 }, { 0x113C2, 0x113C2 }, { 0x113C5, 0x113C5 },
        { 0x113C7, 0x113CA }, { 0x113CC, 0x113D0 }, { 0x113D2, 0x113D2 }, { 0x113E1, 0x113E2 },
        { 0x11B60, 0x11B67 }, { 0x11F5A, 0x11F5A }, { 0x1611E, 0x1612F }, { 0x1E5EE, 0x1E5EF },
        { 0x1E6E3, 0x1E6E3 }, { 0x1E6E6, 0x1E6E6 }, { 0x1E6EE, 0x1E6EF }, { 0x1E6F5, 0x1E6F5 },
    };
    size_t i = 0;

    while (i < sizeof(marks) / sizeof(marks[0]) && marks[i].last < code)
        i++;
    return i < sizeof(marks) / sizeof(marks[0]) && marks[i].first <= code;
}

static bool breaks(uint32_t code, uint32_t next, utf8proc_int32_t *state)
{
    return utf8proc_grapheme_break_stateful((utf8proc_int32_t)code, (utf8proc_int32_t)next, state) &&
           !is_young_mark(next);
}

/* The end of the grapheme cluster at `begin`; a broken byte is one. */
static size_t cluster_end(const struct piece *p, size_t begin)
{
    const char *end = p->bytes + p->length;
    uint32_t code, next;
    utf8proc_int32_t state = 0;
    size_t at = begin;
    int n = utf8_decode(p->bytes + at, end, &code);

    for (at += n > 0 ? (size_t)n : 1; n > 0 && at < p->length; at += (size_t)n) {
        if (code < 0x80 && code != '\r' && (uint8_t)p->bytes[at] < 0x80)
            break;
        n = utf8_decode(p->bytes + at, end, &next);
        if (n == 0 || breaks(code, next, &state))
            break;
        code = next;
    }
    return at;
}

/* Where characters at the start went away, what comes first has their place, as in tokenizers. */
static struct tok_span origin_of(const struct piece *in, size_t begin, size_t end, const struct text *out)
{
    return piece_origin(in, out->bytes.length > 0 ? begin : 0, end);
}

static bool append_found(const struct charsmap *m, const struct piece *in, size_t begin, size_t end,
                         struct text *out)
{
    int64_t value = find(m, in->bytes + begin, end - begin);

    if (value < 0)
        return false;
    text_append(out, m->strings + value, strlen(m->strings + value), origin_of(in, begin, end, out));
    return true;
}

static void append_cluster(const struct charsmap *m, const struct piece *in, size_t begin, size_t end,
                           struct text *out)
{
    const char *limit = in->bytes + end;
    uint32_t code;

    if (end - begin < CLUSTER_BYTES && append_found(m, in, begin, end, out))
        return;
    for (size_t n; begin < end; begin += n) {
        int length = utf8_decode(in->bytes + begin, limit, &code);
        n = length > 0 ? (size_t)length : 1;
        if (length == 0 || !append_found(m, in, begin, begin + n, out))
            text_append(out, in->bytes + begin, n, origin_of(in, begin, begin + n, out));
    }
}

static int precompiled(const void *state, struct text *text)
{
    struct piece whole = text_piece(text);
    struct text out;
    int status = OK;

    text_init(&out, text->tracked);
    for (size_t at = 0, end; at < whole.length && status == OK; at = end) {
        end = cluster_end(&whole, at);
        append_cluster(state, &whole, at, end, &out);
        status = text_check_growth(&out, whole.length);
    }
    text_release(text);
    *text = out;
    return status;
}

const struct component_type normalizer_precompiled = {
    .name = "Precompiled",
    .parse = precompiled_parse,
    .release = charsmap_release,
    .normalize = precompiled,
};
