/* Words as rows of characters, for byte pair encoding that does not know bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/train.h"

enum { CODES = 0x110000, NO_SYMBOL = -1 };

struct chars {
    int64_t *counts;       /* by code point */
    bool *inside;          /* by code point: stands behind another character of a word */
    int32_t *first, *rest; /* by code point: symbols at the start of a word and inside */
};

struct kept {
    uint32_t code;
    int64_t count;
};

void train_add_token(struct train_result *r, const char *text, size_t length)
{
    map_add(&r->ids, text, length, (int64_t)r->ids.count);
}

void train_add_bytes(struct train_result *r)
{
    char name[8];

    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof(name), "<0x%02X>", (unsigned)i);
        train_add_token(r, name, 6);
    }
}

static void chars_init(struct chars *c)
{
    c->counts = mem_alloc_array(CODES, sizeof(*c->counts));
    c->inside = mem_alloc_array(CODES, sizeof(*c->inside));
    c->first = mem_alloc_array(CODES, sizeof(*c->first));
    c->rest = mem_alloc_array(CODES, sizeof(*c->rest));
    for (int i = 0; i < CODES; i++)
        c->first[i] = c->rest[i] = NO_SYMBOL;
}

static void chars_release(struct chars *c)
{
    mem_free(c->counts);
    mem_free(c->inside);
    mem_free(c->first);
    mem_free(c->rest);
}

/* Counts characters; *total: those of all words. Words are valid UTF-8, as what they were cut from was. */
static int count_chars(struct chars *c, const struct word_counts *counts, size_t *total)
{
    struct word_counts_item e;
    size_t place = 0;

    *total = 0;
    while (word_counts_next(counts, &place, &e)) {
        const char *p = e.bytes, *end = p + e.length;
        uint32_t code;
        int n;
        if (e.length > INT32_MAX)
            return fail(ERR_DATA, "a word of %zu bytes (expected at most %d)", e.length, INT32_MAX);
        for (bool inside = false; p < end && (n = utf8_decode(p, end, &code)) > 0; p += n, inside = true) {
            c->counts[code] += e.count;
            c->inside[code] = c->inside[code] || inside;
            *total += 1;
        }
    }
    return OK;
}

/* The most frequent first; of equals the smaller code point. */
static int compare_counts(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->code > y->code) - (x->code < y->code);
}

static int compare_codes(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;

    return (x->code > y->code) - (x->code < y->code);
}

static int32_t add_symbol(struct train_result *r, const char *before, uint32_t code)
{
    struct str s;
    int64_t id = 0;

    str_init(&s);
    str_append(&s, before);
    str_append_utf8(&s, code);
    train_add_token(r, s.data, s.length);
    map_get(&r->ids, s.data, s.length, &id);
    str_release(&s);
    return (int32_t)id;
}

static void add_alphabet(struct chars *c, int64_t limit, const char *continuing, struct train_result *r)
{
    struct kept *kept = NULL;
    size_t count = 0, capacity = 0;

    for (uint32_t code = 0; code < CODES; code++) {
        if (c->counts[code] == 0)
            continue;
        kept = mem_grow(kept, count, &capacity, sizeof(*kept));
        kept[count++] = (struct kept){ code, c->counts[code] };
    }
    if (limit > 0 && count > (size_t)limit) {
        qsort(kept, count, sizeof(*kept), compare_counts);
        count = (size_t)limit;
        qsort(kept, count, sizeof(*kept), compare_codes);
    }
    for (size_t i = 0; i < count; i++)
        c->first[kept[i].code] = c->rest[kept[i].code] = add_symbol(r, "", kept[i].code);
    for (size_t i = 0; *continuing && i < count; i++)
        if (c->inside[kept[i].code])
            c->rest[kept[i].code] = add_symbol(r, continuing, kept[i].code);
    mem_free(kept);
}

/* Characters that are no token are left out, and what stood around them stands side by side. */
static void make_words(const struct chars *c, const struct word_counts *counts, size_t total,
                       struct train_words *out)
{
    struct word_counts_item e;
    size_t place = 0, symbol = 0;

    out->symbols = mem_alloc_array(total, sizeof(*out->symbols));
    out->items = mem_alloc_array(word_counts_size(counts), sizeof(*out->items));
    out->count = 0;
    while (word_counts_next(counts, &place, &e)) {
        const char *p = e.bytes, *end = p + e.length;
        size_t begin = symbol;
        uint32_t code;
        int n;
        for (bool inside = false; p < end && (n = utf8_decode(p, end, &code)) > 0; p += n, inside = true) {
            int32_t id = inside ? c->rest[code] : c->first[code];
            if (id != NO_SYMBOL)
                out->symbols[symbol++] = id;
        }
        out->items[out->count++] =
            (struct train_word){ .begin = begin, .length = (uint32_t)(symbol - begin), .count = e.count };
    }
}

int train_chars(const struct word_counts *counts, int64_t limit, const char *continuing,
                struct train_result *r, struct train_words *out)
{
    struct chars c;
    size_t total;
    int status;

    chars_init(&c);
    status = count_chars(&c, counts, &total);
    if (status == OK) {
        add_alphabet(&c, limit, continuing, r);
        make_words(&c, counts, total, out);
    }
    chars_release(&c);
    return status;
}
