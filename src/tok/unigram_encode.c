/* The best cut of a word by Viterbi's algorithm, with tokenizers' rules for ties and for what is unknown:
 * of two cuts with the same sum the one whose last entry begins earlier; a character that is no entry is
 * unknown, below every entry; unknown characters side by side are one token, which may itself be an entry. */
#include "tok/unigram.h"

#include "base/err.h"
#include "base/mem.h"
#include "tok/encoding.h"
#include "tok/model.h"

enum { NO_TOKEN = -1 };

struct best { /* of the cuts that end at a byte of the word */
    double score;
    uint32_t begin; /* of the last entry */
    int32_t id;     /* NO_TOKEN: no cut ends here */
};

struct scratch {
    struct word_cache cache;
    struct best *best;
    size_t capacity;
    struct encoding found; /* from the last to the first; spans are bytes of the word */
};

void *unigram_scratch_create(const void *state)
{
    struct scratch *s = mem_alloc(sizeof(*s));

    (void)state;
    word_cache_init(&s->cache);
    encoding_track(&s->found);
    return s;
}

void unigram_scratch_free(void *scratch)
{
    struct scratch *s = scratch;

    word_cache_release(&s->cache);
    mem_free(s->best);
    encoding_release(&s->found);
    mem_free(s);
}

/* A cut up to begin and then this entry. */
static void offer(struct best *target, double score, size_t begin, int32_t id)
{
    if (target->id == NO_TOKEN || score > target->score)
        *target = (struct best){ score, (uint32_t)begin, id };
}

static void best_reserve(struct scratch *s, size_t count)
{
    if (count > s->capacity) {
        s->capacity = count;
        s->best = mem_resize(s->best, count * sizeof(*s->best));
    }
    for (size_t i = 0; i < count; i++)
        s->best[i] = (struct best){ 0, 0, NO_TOKEN };
}

static int find_best(const struct unigram *m, struct scratch *s, const struct piece *word)
{
    const char *p = word->bytes, *end = p + word->length;

    best_reserve(s, word->length + 1);
    for (size_t begin = 0, n; begin < word->length; begin += n) {
        double before = s->best[begin].score;
        const struct prefix_edge *edge;
        uint32_t node = PREFIX_ROOT;
        bool single = false;
        n = model_char_length(p + begin, end);
        for (size_t i = begin; i < word->length; i++, node = edge->child) {
            edge = prefix_step(&m->entries, node, (uint8_t)p[i]);
            if (!edge)
                break;
            if (edge->value < 0)
                continue;
            offer(&s->best[i + 1], m->scores[edge->value] + before, begin, edge->value);
            single = single || i + 1 == begin + n;
        }
        if (single)
            continue;
        if (m->unk_id < 0)
            return fail(ERR_DATA, "a character is not in the vocabulary, and the tokenizer has no unk_id");
        offer(&s->best[begin + n], m->unk_score + before, begin, m->unk_id);
    }
    return OK;
}

/* The tokens of the best cut, from the last to the first. */
static void collect(const struct unigram *m, struct scratch *s, size_t end)
{
    struct encoding *f = &s->found;
    bool unknown = false;

    f->count = 0;
    while (end > 0) {
        const struct best *b = &s->best[end];
        bool fuse = m->unk_id >= 0 && b->id == m->unk_id;
        if (fuse && unknown)
            f->spans[f->count - 1].begin = b->begin;
        else
            encoding_add(f, b->id, (struct tok_span){ b->begin, (uint32_t)end });
        unknown = fuse;
        end = b->begin;
    }
}

static void emit(const struct unigram *m, struct scratch *s, const struct piece *word, struct encoding *out)
{
    for (size_t i = s->found.count; i-- > 0;) {
        struct tok_span at = s->found.spans[i], origin = { 0 };
        int32_t id = s->found.ids[i];
        if (out->spans)
            origin = piece_origin(word, at.begin, at.end);
        if (id == m->unk_id)
            id = vocab_id(m->vocab, word->bytes + at.begin, at.end - at.begin);
        if (id >= 0 || !m->byte_fallback) {
            encoding_add(out, id >= 0 ? id : m->unk_id, origin);
            continue;
        }
        for (uint32_t k = at.begin; k < at.end; k++)
            encoding_add(out, m->fallback_ids[(uint8_t)word->bytes[k]], origin);
    }
}

int unigram_encode(const void *state, void *scratch, const struct piece *word, struct encoding *out)
{
    const struct unigram *m = state;
    struct scratch *s = scratch;
    size_t before = out->count;

    if (word->length == 0 || word_cache_append(&s->cache, word->bytes, word->length, out))
        return OK;
    if (word->length > MODEL_WORD_MOST)
        return fail(ERR_DATA, "a word of %zu bytes (expected at most %d)", word->length, MODEL_WORD_MOST);
    TRY(find_best(m, s, word));
    collect(m, s, word->length);
    emit(m, s, word, out);
    if (!out->spans)
        word_cache_put(&s->cache, word->bytes, word->length, out->ids + before, out->count - before);
    return OK;
}
