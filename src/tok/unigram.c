/* "Unigram": what tokenizer.json says of it, read and written. */
#include "tok/unigram.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/model.h"
#include "tok/types.h"

enum { EXPONENT_MOST = 1 << 20 };

static const double unk_penalty = 10; /* below the least score */

static void unigram_release(void *state)
{
    struct unigram *m = state;

    mem_free(m->scores);
    mem_free(m->given);
    prefix_release(&m->entries);
    mem_free(m);
}

static int fail_duplicate(const struct unigram *m, const struct tree *t, const struct node *name)
{
    struct str s;

    str_init(&s);
    str_append_escaped(&s, name->text, name->length, 40);
    node_fail(t, name, "\"%s\" stands in the list already, at %d", s.data,
              vocab_id(m->vocab, name->text, name->length));
    str_release(&s);
    return ERR_DATA;
}

/* ---- scores ---- */

static double power_of_ten(int64_t n)
{
    char text[8];

    snprintf(text, sizeof(text), "1e%d", (int)n);
    return strtod(text, NULL);
}

/* Digits at p into *value, while they fit; *left: how many more there are. Where they end. */
static const char *take_digits(const char *p, uint64_t *value, int64_t *taken, int64_t *left)
{
    uint64_t next;

    for (*taken = *left = 0; *p >= '0' && *p <= '9'; p++) {
        if (*left > 0 || __builtin_mul_overflow(*value, 10, &next) ||
            __builtin_add_overflow(next, (uint64_t)(*p - '0'), &next)) {
            ++*left;
            continue;
        }
        *value = next;
        ++*taken;
    }
    return p;
}

/* A number as tokenizers reads it: serde_json's way without float_roundtrip divides digits by a power of ten,
 * so that the last bit may be another than strtod's. It decides between cuts of equal sums. */
static double rounded_number(const char *p)
{
    bool negative = *p == '-';
    int64_t taken, left, exponent, given = 0;
    uint64_t digits = 0;
    double value;

    p = take_digits(p + negative, &digits, &taken, &exponent);
    if (*p == '.') {
        p = take_digits(p + 1, &digits, &taken, &left);
        exponent -= taken;
    }
    if (*p == 'e' || *p == 'E')
        given = strtol(p + 1, NULL, 10);
    exponent += given < -EXPONENT_MOST ? -EXPONENT_MOST : given > EXPONENT_MOST ? EXPONENT_MOST : given;
    for (value = (double)digits; value != 0 && exponent < -308; exponent += 308)
        value /= power_of_ten(308);
    if (value != 0)
        value = exponent < 0 ? value / power_of_ten(-exponent) : value * power_of_ten(exponent);
    return negative ? -value : value;
}

static void find_unk_score(struct unigram *m, int32_t count)
{
    double least = INFINITY;

    for (int32_t id = 0; id < count; id++)
        least = fmin(least, m->scores[id]);
    m->unk_score = least - unk_penalty;
}

void unigram_use_given(void *state)
{
    struct unigram *m = state;

    memcpy(m->scores, m->given, (size_t)m->vocab->id_count * sizeof(*m->scores));
    find_unk_score(m, m->vocab->id_count);
}

/* ---- reading and writing ---- */

/* ["piece", score] */
static int read_entry(struct unigram *m, const struct component_source *s, const struct node *n, int32_t id)
{
    const struct node *name;

    TRY(node_expect(s->tree, n, JSON_ARRAY));
    if (n->count != 2)
        return node_fail(s->tree, n, "%u members (expected [piece, score])", n->count);
    name = n->first;
    TRY(node_expect(s->tree, name, JSON_STRING));
    TRY(node_to_double(s->tree, name->next, &m->given[id]));
    if (!isfinite(m->given[id]))
        return node_fail(s->tree, name->next, "%.40s is not a finite number", name->next->text);
    m->scores[id] = rounded_number(name->next->text);
    if (m->byte_fallback)
        TRY(model_check_byte_name(s->tree, name, name->text, name->length));
    if (vocab_id(m->vocab, name->text, name->length) >= 0)
        return fail_duplicate(m, s->tree, name);
    vocab_add(s->vocab, name->text, name->length, id);
    prefix_add(&m->entries, name->text, name->length, id);
    return OK;
}

static int read_unk(struct unigram *m, const struct component_source *s, const struct node *n, uint32_t count)
{
    const struct node *unk = node_get(n, "unk_id");
    int64_t id;

    m->unk_id = -1;
    if (!unk)
        return OK;
    TRY(node_to_int(s->tree, unk, 0, INT64_MAX, &id));
    if (id >= count)
        return node_fail(s->tree, unk, "id %lld, but the vocabulary has %u entries", (long long)id, count);
    m->unk_id = (int32_t)id;
    return OK;
}

static int unigram_read(struct unigram *m, const struct component_source *s, const struct node *n)
{
    static const char *const known[] = { "type", "unk_id", "vocab", "byte_fallback", NULL };
    const struct node *list;
    int32_t id = 0;

    TRY(node_require(s->tree, n, "vocab", JSON_ARRAY, &list));
    TRY(node_bool(s->tree, n, "byte_fallback", &m->byte_fallback));
    if (list->count > INT32_MAX - 1)
        return node_fail(s->tree, list, "%u entries (expected at most %d)", list->count, INT32_MAX - 1);
    m->scores = mem_alloc_array(list->count, sizeof(*m->scores));
    m->given = mem_alloc_array(list->count, sizeof(*m->given));
    for (const struct node *entry = list->first; entry; entry = entry->next, id++)
        TRY(read_entry(m, s, entry, id));
    find_unk_score(m, id);
    TRY(read_unk(m, s, n, list->count));
    if (m->byte_fallback)
        TRY(model_read_bytes(s, list, m->fallback_ids));
    node_warn_unknown(s->tree, n, known);
    return OK;
}

static int unigram_parse(const struct component_source *s, const struct node *n, void **state)
{
    struct unigram *m = mem_alloc(sizeof(*m));
    int status;

    m->vocab = s->vocab;
    prefix_init(&m->entries);
    status = unigram_read(m, s, n);
    if (status == OK)
        *state = m;
    else
        unigram_release(m);
    return status;
}

static void unigram_write(const void *state, const struct vocab *vocab, struct json_writer *w)
{
    const struct unigram *m = state;
    size_t length;

    json_write_key(w, "unk_id");
    if (m->unk_id >= 0)
        json_write_int(w, m->unk_id);
    else
        json_write_null(w);
    json_write_key(w, "vocab");
    json_write_array_begin(w);
    for (int32_t id = 0; id < vocab->id_count; id++) {
        const char *token = vocab_token(vocab, id, &length);
        json_write_array_begin(w);
        json_write_bytes(w, token, length);
        json_write_double(w, m->given[id]);
        json_write_array_end(w);
    }
    json_write_array_end(w);
    model_write_flag(w, "byte_fallback", m->byte_fallback);
}

static const struct model_ops ops = {
    .scratch_create = unigram_scratch_create,
    .scratch_free = unigram_scratch_free,
    .encode = unigram_encode,
    .write = unigram_write,
};

const struct component_type model_unigram = {
    .name = "Unigram",
    .parse = unigram_parse,
    .release = unigram_release,
    .model = &ops,
};
