/* What flows through the pipeline: text with origins, slices of it, and lists of tokens on the way back. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/component.h"

enum { GROWN_FREE = 1 << 26, GROWN_FACTOR = 64 };

void text_init(struct text *t, bool tracked)
{
    *t = (struct text){ .tracked = tracked };
    str_init(&t->bytes);
}

void text_release(struct text *t)
{
    str_release(&t->bytes);
    mem_free(t->origins);
    *t = (struct text){ 0 };
}

void text_clear(struct text *t)
{
    str_clear(&t->bytes);
    t->head = 0;
}

static void origins_reserve(struct text *t, size_t count)
{
    if (count <= t->origin_capacity)
        return;
    t->origin_capacity = count + count / 2 + 64;
    t->origins = mem_resize(t->origins, t->origin_capacity * sizeof(*t->origins));
}

void text_append(struct text *t, const char *bytes, size_t length, struct tok_span origin)
{
    if (origin.begin == 0 && t->head == t->bytes.length)
        t->head += length;
    if (t->tracked) {
        origins_reserve(t, t->bytes.length + length);
        for (size_t i = 0; i < length; i++)
            t->origins[t->bytes.length + i] = origin;
    }
    str_append_bytes(&t->bytes, bytes, length);
}

void text_append_piece(struct text *t, const struct piece *p)
{
    if (t->head == t->bytes.length)
        t->head += p->head;
    if (t->tracked && p->length > 0) {
        origins_reserve(t, t->bytes.length + p->length);
        memcpy(t->origins + t->bytes.length, p->origins, p->length * sizeof(*t->origins));
    }
    str_append_bytes(&t->bytes, p->bytes, p->length);
}

int text_check_growth(const struct text *t, size_t from)
{
    if (t->bytes.length <= GROWN_FREE || t->bytes.length / GROWN_FACTOR <= from)
        return OK;
    return fail(ERR_DATA, "a normalizer of the tokenizer makes more than %zu bytes out of %zu",
                t->bytes.length - 1, from);
}

struct piece text_piece(const struct text *t)
{
    return (struct piece){
        .bytes = t->bytes.data,
        .length = t->bytes.length,
        .origins = t->tracked ? t->origins : NULL,
        .head = t->head,
    };
}

struct piece piece_slice(const struct piece *p, size_t begin, size_t end)
{
    struct piece slice = *p;

    slice.bytes += begin;
    slice.length = end - begin;
    slice.head = p->head < begin ? 0 : (p->head < end ? p->head : end) - begin;
    if (slice.origins)
        slice.origins += begin;
    return slice;
}

struct tok_span piece_origin(const struct piece *p, size_t begin, size_t end)
{
    if (!p->origins)
        return (struct tok_span){ begin < p->head ? 0 : 1, 1 };
    if (begin >= end || end > p->length)
        return (struct tok_span){ 0 };
    return (struct tok_span){ p->origins[begin].begin, p->origins[end - 1].end };
}

void token_list_release(struct token_list *l)
{
    str_release(&l->bytes);
    mem_free(l->ends);
    *l = (struct token_list){ 0 };
}

const char *token_list_get(const struct token_list *l, size_t i, size_t *length)
{
    size_t begin = i > 0 ? l->ends[i - 1] : 0;

    *length = l->ends[i] - begin;
    return l->bytes.data + begin;
}

static void token_list_end(struct token_list *l)
{
    l->ends = mem_grow(l->ends, l->count, &l->capacity, sizeof(*l->ends));
    l->ends[l->count++] = l->bytes.length;
}

void token_list_add(struct token_list *l, const char *bytes, size_t length)
{
    str_append_bytes(&l->bytes, bytes, length);
    token_list_end(l);
}

void token_list_map(struct token_list *l, token_form_fn *form, const void *state)
{
    struct token_list out = { 0 };
    struct str made;

    str_init(&out.bytes);
    str_init(&made);
    for (size_t i = 0; i < l->count; i++) {
        struct token_place t = { .place = i, .count = l->count };
        t.bytes = token_list_get(l, i, &t.length);
        str_clear(&made);
        form(state, &t, &made);
        token_list_add(&out, made.data, made.length);
    }
    str_release(&made);
    token_list_release(l);
    *l = out;
}

/* Bytes at p that are the longest proper prefix of some character, at least 1. */
static size_t broken_length(const char *p, const char *end)
{
    const uint8_t *b = (const uint8_t *)p;
    size_t left = (size_t)(end - p), wanted, n = 1;
    uint8_t low = 0x80, high = 0xBF;

    if (b[0] >= 0xC2 && b[0] <= 0xDF)
        wanted = 2;
    else if (b[0] >= 0xE0 && b[0] <= 0xEF)
        wanted = 3;
    else if (b[0] >= 0xF0 && b[0] <= 0xF4)
        wanted = 4;
    else
        return 1;
    if (b[0] == 0xE0)
        low = 0xA0;
    else if (b[0] == 0xED)
        high = 0x9F;
    else if (b[0] == 0xF0)
        low = 0x90;
    else if (b[0] == 0xF4)
        high = 0x8F;
    while (n < wanted && n < left && b[n] >= low && b[n] <= high) {
        low = 0x80;
        high = 0xBF;
        n++;
    }
    return n;
}

void token_list_add_lossy(struct token_list *l, const char *bytes, size_t length)
{
    while (length > 0) {
        size_t valid = utf8_valid_prefix(bytes, length);
        str_append_bytes(&l->bytes, bytes, valid);
        bytes += valid;
        length -= valid;
        if (length == 0)
            break;
        valid = broken_length(bytes, bytes + length);
        str_append_utf8(&l->bytes, 0xFFFD);
        bytes += valid;
        length -= valid;
    }
    token_list_end(l);
}
