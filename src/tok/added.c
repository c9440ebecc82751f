#include "tok/added.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/unicode.h"

static void trie_release(struct added_trie *t)
{
    mem_free(t->nodes);
    *t = (struct added_trie){ 0 };
}

static void token_release(struct added_token *t)
{
    mem_free(t->content);
    mem_free(t->shown);
}

void added_release(struct added *a)
{
    for (size_t i = 0; i < a->count; i++)
        token_release(&a->tokens[i]);
    if (a->count > 0)
        map_release(&a->places);
    mem_free(a->tokens);
    trie_release(&a->raw);
    trie_release(&a->normalized);
    *a = (struct added){ 0 };
}

const struct added_token *added_find(const struct added *a, const char *content, size_t length)
{
    int64_t place;

    return a->count > 0 && map_get(&a->places, content, length, &place) ? &a->tokens[place] : NULL;
}

void added_put(struct added *a, const struct added_token *t)
{
    struct added_token copy = *t;
    int64_t place;

    if (a->count == 0)
        map_init(&a->places);
    if (t->id >= a->id_limit)
        a->id_limit = t->id + 1;
    if (map_get(&a->places, t->content, t->length, &place)) {
        copy.content = a->tokens[place].content;
        copy.shown = NULL;
        mem_free(a->tokens[place].shown);
        a->tokens[place] = copy;
        return;
    }
    copy.shown = NULL;
    copy.content = mem_strndup(t->content, t->length);
    map_add(&a->places, t->content, t->length, (int64_t)a->count);
    a->tokens = mem_grow(a->tokens, a->count, &a->capacity, sizeof(*a->tokens));
    a->tokens[a->count++] = copy;
}

static uint32_t node_add(struct added_trie *t, uint8_t byte)
{
    if (t->count == 0)
        t->count = 1;
    t->nodes = mem_grow(t->nodes, t->count, &t->capacity, sizeof(*t->nodes));
    t->nodes[t->count] = (struct added_node){ .byte = byte };
    return (uint32_t)t->count++;
}

static uint32_t trie_child(const struct added_trie *t, uint32_t node, uint8_t byte)
{
    uint32_t c = t->nodes[node].child;

    while (c && t->nodes[c].byte != byte)
        c = t->nodes[c].sibling;
    return c;
}

static void trie_add(struct added_trie *t, const char *text, size_t length, uint32_t token)
{
    uint32_t node;

    if (length == 0)
        return;
    node = t->roots[(uint8_t)text[0]];
    if (node == 0) {
        node = node_add(t, (uint8_t)text[0]);
        t->roots[(uint8_t)text[0]] = node;
        t->only_root = text[0];
        t->root_count++;
    }
    for (size_t i = 1; i < length; i++) {
        uint32_t c = trie_child(t, node, (uint8_t)text[i]);
        if (c == 0) {
            c = node_add(t, (uint8_t)text[i]);
            t->nodes[c].sibling = t->nodes[node].child;
            t->nodes[node].child = c;
        }
        node = c;
    }
    if (t->nodes[node].token == 0)
        t->nodes[node].token = token;
}

static int normal_form(struct added_token *t, const struct component *normalizer)
{
    struct text form;
    int status;

    mem_free(t->shown);
    t->shown = NULL;
    if (!t->normalized || !normalizer->type)
        return OK;
    text_init(&form, false);
    text_append(&form, t->content, t->length, (struct tok_span){ 0 });
    status = normalizer->type->normalize(normalizer->state, &form);
    t->shown_length = form.bytes.length;
    t->shown = mem_strndup(form.bytes.data, form.bytes.length);
    text_release(&form);
    return status;
}

/* Special tokens come first where two have one form, as in tokenizers. */
static int index_tokens(struct added *a, const struct component *normalizer, bool special)
{
    for (size_t i = 0; i < a->count; i++) {
        struct added_token *t = &a->tokens[i];
        if (t->special != special)
            continue;
        TRY(normal_form(t, normalizer));
        if (t->shown)
            trie_add(&a->normalized, t->shown, t->shown_length, (uint32_t)i + 1);
        else
            trie_add(t->normalized ? &a->normalized : &a->raw, t->content, t->length, (uint32_t)i + 1);
    }
    return OK;
}

int added_index(struct added *a, const struct component *normalizer)
{
    trie_release(&a->raw);
    trie_release(&a->normalized);
    TRY(index_tokens(a, normalizer, true));
    return index_tokens(a, normalizer, false);
}

/* The token that begins at p, the longest; NULL: none. */
static const struct added_token *match_at(const struct added *a, const struct added_trie *trie, const char *p,
                                          const char *end, size_t *length)
{
    const struct added_token *best = NULL;
    uint32_t node = trie->roots[(uint8_t)*p];

    for (size_t n = 1; node; n++) {
        if (trie->nodes[node].token) {
            best = &a->tokens[trie->nodes[node].token - 1];
            *length = n;
        }
        if (p + n == end)
            break;
        node = trie_child(trie, node, (uint8_t)p[n]);
    }
    return best;
}

/* The first character before p, or after it; 0: none. */
static uint32_t char_before(const char *begin, const char *p)
{
    uint32_t c = 0;

    for (int n = 1; n <= 4 && p - n >= begin; n++)
        if (utf8_decode(p - n, p, &c) == n)
            return c;
    return 0;
}

static uint32_t char_after(const char *p, const char *end)
{
    uint32_t c;

    return p < end && utf8_decode(p, end, &c) > 0 ? c : 0;
}

static size_t spaces_before(const char *begin, const char *p)
{
    const char *q = p;
    char form[4];
    uint32_t c;

    while ((c = char_before(begin, q)) != 0 && (unicode_class(c) & UNICODE_SPACE))
        q -= utf8_encode(c, form);
    return (size_t)(p - q);
}

static size_t spaces_after(const char *p, const char *end)
{
    const char *q = p;
    char form[4];
    uint32_t c;

    while ((c = char_after(q, end)) != 0 && (unicode_class(c) & UNICODE_SPACE))
        q += utf8_encode(c, form);
    return (size_t)(q - p);
}

static const char *next_candidate(const struct added_trie *trie, const char *p, const char *end)
{
    if (trie->root_count == 1 && p < end) {
        p = memchr(p, trie->only_root, (size_t)(end - p));
        return p ? p : end;
    }
    while (p < end && trie->roots[(uint8_t)*p] == 0)
        p++;
    return p;
}

/* Adds the white space that the token takes along. A match inside the space that the match before took
 * (taken) keeps its own place, as in tokenizers; the rest of that space is known and not looked at again. */
static void take_spaces(const struct piece *text, size_t taken, struct added_match *m)
{
    const char *begin = text->bytes, *end = begin + text->length;
    size_t stop = m->end;

    if (m->token->rstrip)
        m->end = stop < taken ? taken : stop + spaces_after(begin + stop, end);
    if (!m->token->lstrip)
        return;
    if (m->begin < taken)
        m->begin = taken;
    else
        m->begin -= spaces_before(begin + taken, begin + m->begin);
}

bool added_next(const struct added *a, const struct added_trie *trie, const struct piece *text, size_t *from,
                size_t taken, struct added_match *out)
{
    const char *begin = text->bytes, *end = begin + text->length, *p = begin + *from;

    if (trie->root_count == 0)
        return false;
    while ((p = next_candidate(trie, p, end)) < end) {
        size_t length = 0;
        const struct added_token *t = match_at(a, trie, p, end, &length);
        const char *after = p + length;
        if (!t) {
            p++;
            continue;
        }
        *from = (size_t)(after - begin);
        if (t->single_word &&
            ((unicode_class(char_before(begin, p)) | unicode_class(char_after(after, end))) & UNICODE_WORD)) {
            p = after;
            continue;
        }
        out->token = t;
        out->begin = (size_t)(p - begin);
        out->end = *from;
        take_spaces(text, taken, out);
        if (out->begin < out->end)
            return true;
        p = after; /* nothing is left of it */
    }
    return false;
}
