/* Substrings come from the suffixes of all words, sorted by their first characters (Bentley and Sedgewick,
 * "Fast algorithms for sorting and searching strings", SODA 1997): suffixes that begin alike lie side by
 * side, and a substring followed by different things is an interval of them whose least common prefix it
 * is (Abouelhoda, Kurtz and Ohlebusch, "Replacing suffix trees with enhanced suffix arrays", 2004). A
 * suffix ends with its word: the character after it, 0, equals only itself. */
#include "tok/train_seed.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { CODES = 0x110000 };

/* ---- words ---- */

static int compare_words(const void *a, const void *b)
{
    const struct unigram_word *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->length < y->length ? x->length : y->length);

    return order ? order : (x->length > y->length) - (x->length < y->length);
}

int unigram_words_init(struct unigram_words *w, const struct word_counts *counts)
{
    struct word_counts_item e;
    size_t place = 0, total = 0;

    *w = (struct unigram_words){ .items = mem_alloc_array(word_counts_size(counts), sizeof(*w->items)) };
    arena_init(&w->memory);
    while (word_counts_next(counts, &place, &e)) {
        total += e.length + 1;
        if (total > INT32_MAX)
            return fail(ERR_DATA,
                        "the different words have more than %d bytes (expected less for a Unigram "
                        "model; a pre_tokenizer makes words short)",
                        INT32_MAX);
        w->items[w->count++] = (struct unigram_word){ arena_strndup(&w->memory, e.bytes, e.length),
                                                      (uint32_t)e.length, e.count };
        w->sum += e.count;
    }
    qsort(w->items, w->count, sizeof(*w->items), compare_words);
    return OK;
}

void unigram_words_release(struct unigram_words *w)
{
    mem_free(w->items);
    arena_release(&w->memory);
    *w = (struct unigram_words){ 0 };
}

/* ---- characters ---- */

struct text_codes {
    uint32_t *codes; /* of all words, a 0 after each */
    size_t count;
};

static void codes_init(struct text_codes *t, const struct unigram_words *w, int64_t *char_counts)
{
    size_t total = 0;

    for (size_t i = 0; i < w->count; i++)
        total += w->items[i].length + 1;
    t->codes = mem_alloc_array(total, sizeof(*t->codes));
    t->count = 0;
    for (size_t i = 0; i < w->count; i++) {
        const char *p = w->items[i].bytes, *end = p + w->items[i].length;
        uint32_t code;
        for (int n; p < end && (n = utf8_decode(p, end, &code)) > 0; p += n) {
            t->codes[t->count++] = code;
            char_counts[code] += w->items[i].count;
        }
        t->codes[t->count++] = 0;
    }
}

/* ---- suffixes ---- */

struct range {
    uint32_t begin, end;
    uint32_t depth; /* characters that are known to be equal */
};

struct ranges {
    struct range *items;
    size_t count, capacity;
};

static void ranges_push(struct ranges *r, size_t begin, size_t end, uint32_t depth)
{
    if (end - begin < 2)
        return;
    r->items = mem_grow(r->items, r->count, &r->capacity, sizeof(*r->items));
    r->items[r->count++] = (struct range){ (uint32_t)begin, (uint32_t)end, depth };
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t t = *a;

    *a = *b;
    *b = t;
}

/* The middle one of three, at places that an order in the text cannot know. */
static uint32_t pivot_of(const struct text_codes *t, const uint32_t *suffixes, const struct range *r)
{
    uint32_t keys[3], n = r->end - r->begin;
    uint64_t h = (uint64_t)r->begin * 0x9E3779B97F4A7C15u + n;

    for (int i = 0; i < 3; i++) {
        h = (h ^ h >> 29) * 0xBF58476D1CE4E5B9u;
        keys[i] = t->codes[suffixes[r->begin + (h >> 32) % n] + r->depth];
    }
    if (keys[0] > keys[1])
        swap(&keys[0], &keys[1]);
    if (keys[1] > keys[2])
        swap(&keys[1], &keys[2]);
    return keys[0] > keys[1] ? keys[0] : keys[1];
}

/* By one character into three ranges. */
static void split_range(const struct text_codes *t, uint32_t *suffixes, const struct range *r, uint32_t most,
                        struct ranges *stack)
{
    uint32_t pivot = pivot_of(t, suffixes, r);
    size_t less = r->begin, i = r->begin, more = r->end;

    while (i < more) {
        uint32_t key = t->codes[suffixes[i] + r->depth];
        if (key < pivot)
            swap(&suffixes[less++], &suffixes[i++]);
        else if (key > pivot)
            swap(&suffixes[i], &suffixes[--more]);
        else
            i++;
    }
    ranges_push(stack, r->begin, less, r->depth);
    ranges_push(stack, more, r->end, r->depth);
    if (pivot != 0 && r->depth + 1 < most)
        ranges_push(stack, less, more, r->depth + 1);
}

/* All suffixes but the empty ones, sorted by `most` characters. */
static uint32_t *sort_suffixes(const struct text_codes *t, uint32_t most, size_t *count)
{
    uint32_t *suffixes = mem_alloc_array(t->count, sizeof(*suffixes));
    struct ranges stack = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++)
        if (t->codes[i])
            suffixes[n++] = (uint32_t)i;
    ranges_push(&stack, 0, n, 0);
    while (stack.count > 0) {
        struct range r = stack.items[--stack.count];
        split_range(t, suffixes, &r, most, &stack);
    }
    mem_free(stack.items);
    *count = n;
    return suffixes;
}

/* ---- intervals ---- */

struct substring {
    uint64_t score;
    uint32_t at, length;
};

struct substrings {
    struct substring *items;
    size_t count, capacity;
};

struct interval {
    size_t begin;
    uint32_t length;
};

static uint32_t common_prefix(const struct text_codes *t, uint32_t a, uint32_t b, uint32_t most)
{
    uint32_t n = 0;

    while (n < most && t->codes[a + n] == t->codes[b + n])
        if (t->codes[a + n++] == 0)
            break;
    return n;
}

static void add_substring(const struct text_codes *t, struct substrings *s, uint32_t at, uint32_t length,
                          size_t frequency)
{
    if (length < 2 || t->codes[at + length - 1] == 0)
        return;
    s->items = mem_grow(s->items, s->count, &s->capacity, sizeof(*s->items));
    s->items[s->count++] = (struct substring){ (uint64_t)frequency * length, at, length };
}

/* Substrings of at most `most` characters. The stack has intervals of growing length, one in another. */
static void find_substrings(const struct text_codes *t, uint32_t most, struct substrings *out)
{
    struct interval *stack = mem_alloc_array((size_t)most + 3, sizeof(*stack));
    size_t count, depth = 1;
    uint32_t *suffixes = sort_suffixes(t, most + 1, &count);

    for (size_t i = 1; i <= count; i++) {
        uint32_t length = i < count ? common_prefix(t, suffixes[i - 1], suffixes[i], most + 1) : 0;
        size_t begin = i - 1;
        for (; stack[depth - 1].length > length; depth--) {
            begin = stack[depth - 1].begin;
            if (stack[depth - 1].length <= most)
                add_substring(t, out, suffixes[begin], stack[depth - 1].length, i - begin);
        }
        if (stack[depth - 1].length < length)
            stack[depth++] = (struct interval){ begin, length };
    }
    mem_free(suffixes);
    mem_free(stack);
}

/* ---- order ---- */

struct order { /* for qsort_r */
    const uint32_t *codes;
};

/* The highest score first, then the greater text. */
static int compare_substrings(const void *a, const void *b, void *context)
{
    const struct substring *x = a, *y = b;
    const uint32_t *codes = ((const struct order *)context)->codes;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    for (uint32_t i = 0; i < x->length && i < y->length; i++)
        if (codes[x->at + i] != codes[y->at + i])
            return codes[x->at + i] > codes[y->at + i] ? -1 : 1;
    return (y->length > x->length) - (y->length < x->length);
}

struct char_count {
    uint32_t code;
    int64_t count;
};

static int compare_chars(const void *a, const void *b)
{
    const struct char_count *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (y->code > x->code) - (y->code < x->code);
}

/* ---- the whole ---- */

static void add_seed(struct seeds *s, struct unigram_words *w, const uint32_t *codes, uint32_t count,
                     double weight)
{
    struct str text;

    str_init(&text);
    for (uint32_t i = 0; i < count; i++)
        str_append_utf8(&text, codes[i]);
    s->items[s->count++] =
        (struct seed){ arena_strndup(&w->memory, text.data, text.length), (uint32_t)text.length, weight };
    str_release(&text);
}

/* 0 ends words in the text of suffixes, so it is no character here, as in tokenizers. */
static void add_chars(struct seeds *s, struct unigram_words *w, const int64_t *counts)
{
    struct char_count *list = mem_alloc_array(s->char_count, sizeof(*list));
    size_t n = 0;

    for (size_t i = 0; i < s->char_count; i++)
        if (s->chars[i])
            list[n++] = (struct char_count){ s->chars[i], counts[s->chars[i]] };
    qsort(list, n, sizeof(*list), compare_chars);
    for (size_t i = 0; i < n; i++)
        add_seed(s, w, &list[i].code, 1, (double)list[i].count);
    mem_free(list);
}

static void list_chars(struct seeds *s, const int64_t *counts)
{
    size_t capacity = 0;

    for (uint32_t code = 0; code < CODES; code++) {
        if (counts[code] == 0)
            continue;
        s->chars = mem_grow(s->chars, s->char_count, &capacity, sizeof(*s->chars));
        s->chars[s->char_count++] = code;
    }
}

void seeds_init(struct seeds *s, struct unigram_words *w, const struct tok_train_options *o)
{
    int64_t *counts = mem_alloc_array(CODES, sizeof(*counts));
    struct substrings found = { 0 };
    struct text_codes t;
    size_t most = (size_t)o->seed_size;

    *s = (struct seeds){ 0 };
    codes_init(&t, w, counts);
    list_chars(s, counts);
    find_substrings(&t, (uint32_t)o->max_piece_length, &found);
    qsort_r(found.items, found.count, sizeof(*found.items), compare_substrings, &(struct order){ t.codes });
    s->items = mem_alloc_array(s->char_count + found.count, sizeof(*s->items));
    add_chars(s, w, counts);
    for (size_t i = 0; i < found.count && (i == 0 || s->count < most); i++)
        add_seed(s, w, t.codes + found.items[i].at, found.items[i].length, (double)found.items[i].score);
    mem_free(found.items);
    mem_free(t.codes);
    mem_free(counts);
}

void seeds_release(struct seeds *s)
{
    mem_free(s->items);
    mem_free(s->chars);
    *s = (struct seeds){ 0 };
}
