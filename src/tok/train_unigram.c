/* A Unigram model from counted words (Kudo, "Subword regularization", ACL 2018), as tokenizers'
 * UnigramTrainer makes it: from many seed pieces (train_seed.c) some rounds of expectation and
 * maximization, then the pieces whose loss costs least are taken away, and so on until a tenth more than
 * wanted are left; of these the best. Maximization is the variational one of a Dirichlet process
 * (digamma), which starves rare pieces.
 *
 * What tokenizers adds up in the order of its threads and tables is added here in tiles of words in the
 * order of their bytes, so results have the same bits on any number of threads; they differ from
 * tokenizers' in the last digits, and may in the order of pieces whose scores do. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "tok/model.h"
#include "tok/train_lattice.h"
#include "tok/train_seed.h"

enum { TILES = 16 };
static const double least_expected = 0.5, char_step = 0.0001;

struct trainer {
    struct unigram_words words;
    struct seeds seeds;
    struct unigram_model model; /* piece i is seeds.items[i - 1] */
    int32_t *list;              /* the pieces that are left, in their order */
    size_t count;
    double *sums; /* TILES times by piece */
};

/* ---- the model ---- */

static size_t piece_limit(const struct trainer *t)
{
    return t->seeds.count + 1;
}

/* What is in the list is alive. */
static void model_update(struct trainer *t)
{
    double least = INFINITY;

    memset(t->model.alive, 0, piece_limit(t) * sizeof(*t->model.alive));
    for (size_t i = 0; i < t->count; i++) {
        t->model.alive[t->list[i]] = true;
        least = fmin(least, t->model.scores[t->list[i]]);
    }
    t->model.unk_score = least - 10;
}

static void model_init(struct trainer *t)
{
    double sum = 0;

    for (size_t i = 0; i < t->seeds.count; i++)
        sum += t->seeds.items[i].weight;
    prefix_init(&t->model.entries);
    t->model.scores = mem_alloc_array(piece_limit(t), sizeof(*t->model.scores));
    t->model.alive = mem_alloc_array(piece_limit(t), sizeof(*t->model.alive));
    t->list = mem_alloc_array(piece_limit(t), sizeof(*t->list));
    t->sums = mem_alloc_array(piece_limit(t) * TILES, sizeof(*t->sums));
    for (size_t i = 0; i < t->seeds.count; i++) {
        const struct seed *s = &t->seeds.items[i];
        prefix_add(&t->model.entries, s->text, s->length, (int32_t)i + 1);
        t->model.scores[i + 1] = log(s->weight) - log(sum);
        t->list[t->count++] = (int32_t)i + 1;
    }
    model_update(t);
}

static void trainer_release(struct trainer *t)
{
    prefix_release(&t->model.entries);
    mem_free(t->model.scores);
    mem_free(t->model.alive);
    mem_free(t->list);
    mem_free(t->sums);
    seeds_release(&t->seeds);
    unigram_words_release(&t->words);
}

/* ---- sums over words ---- */

struct tally {
    struct trainer *trainer;
    bool best; /* pieces of the best ways, else of all by their probability */
};

static void tally_tile(void *context, int64_t tile)
{
    const struct tally *y = context;
    struct trainer *t = y->trainer;
    double *sums = t->sums + (size_t)tile * piece_limit(t);
    size_t begin = t->words.count * (size_t)tile / TILES, end = t->words.count * (size_t)(tile + 1) / TILES;
    struct lattice l = { 0 };

    memset(sums, 0, piece_limit(t) * sizeof(*sums));
    for (size_t i = begin; i < end; i++) {
        const struct unigram_word *w = &t->words.items[i];
        lattice_set(&l, &t->model, w->bytes, w->length, false);
        if (!y->best) {
            lattice_expect(&l, w->length, (double)w->count, sums);
            continue;
        }
        lattice_best(&l, w->length);
        for (size_t k = 0; k < l.path_count; k++)
            sums[l.path[k]] += (double)w->count;
    }
    lattice_release(&l);
}

/* By piece, in t->sums. */
static void tally(struct trainer *t, bool best)
{
    struct tally y = { t, best };
    size_t n = piece_limit(t);

    parallel_for(TILES, tally_tile, &y);
    for (size_t tile = 1; tile < TILES; tile++)
        for (size_t i = 0; i < n; i++)
            t->sums[i] += t->sums[tile * n + i];
}

/* ---- a round ---- */

/* The logarithmic derivative of the gamma function, by its recurrence and asymptotic series. */
static double digamma(double x)
{
    double result = 0, y, y2, y4;

    for (; x < 7; x++)
        result -= 1 / x;
    x -= 0.5;
    y = 1 / x;
    y2 = y * y;
    y4 = y2 * y2;
    return result +
           (log(x) + (1.0 / 24) * y2 - 7.0 / 960 * y4 + (31.0 / 8064) * y4 * y2 - (127.0 / 30720) * y4 * y4);
}

static void maximize(struct trainer *t)
{
    size_t kept = 0;
    double sum = 0, log_sum;

    for (size_t i = 0; i < t->count; i++) {
        if (t->sums[t->list[i]] < least_expected)
            continue;
        sum += t->sums[t->list[i]];
        t->list[kept++] = t->list[i];
    }
    t->count = kept;
    log_sum = digamma(sum);
    for (size_t i = 0; i < t->count; i++)
        t->model.scores[t->list[i]] = digamma(t->sums[t->list[i]]) - log_sum;
    model_update(t);
}

/* ---- taking pieces away ---- */

struct candidate {
    double loss;
    int32_t piece;
    uint32_t order;
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->loss != y->loss)
        return x->loss > y->loss ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

struct pruning {
    const struct trainer *trainer;
    struct candidate *candidates; /* by place in the list; piece 0: it is kept, -1: dropped */
    double sum, log_sum;
};

/* What the words lose when a piece is cut into its own second best way. As in tokenizers the sum that
 * probabilities are of then counts all pieces, not those of that way. */
static double loss_of(const struct pruning *p, const struct lattice *l, int32_t piece)
{
    const struct trainer *t = p->trainer;
    double frequency = t->sums[piece], other = 0;
    double log_other = log(p->sum + frequency * (double)t->count);

    for (size_t i = l->path_count; i-- > 0;)
        other += log(t->sums[l->path[i]] + frequency) - log_other;
    return frequency / (double)t->words.sum * (log(frequency) - p->log_sum - other);
}

static void judge(const struct pruning *p, struct lattice *l, size_t place)
{
    const struct trainer *t = p->trainer;
    int32_t piece = t->list[place];
    const struct seed *s = &t->seeds.items[piece - 1];
    struct candidate *c = &p->candidates[place];
    bool single = model_char_length(s->text, s->text + s->length) == s->length, whole = true;

    *c = (struct candidate){ .order = (uint32_t)place };
    if (!single) {
        lattice_set(l, &t->model, s->text, s->length, true);
        whole = t->model.scores[piece] >= lattice_best(l, s->length);
    }
    if (t->sums[piece] == 0 && (!whole || !single))
        c->piece = -1;
    else if (!single && whole)
        *c = (struct candidate){ loss_of(p, l, piece), piece, (uint32_t)place };
}

static void judge_tile(void *context, int64_t tile)
{
    struct pruning *p = context;
    size_t count = p->trainer->count;
    struct lattice l = { 0 };

    for (size_t i = count * (size_t)tile / TILES; i < count * (size_t)(tile + 1) / TILES; i++)
        judge(p, &l, i);
    lattice_release(&l);
}

/* Pieces that cannot be missed, then those whose loss is greatest, up to `most` of all. */
static void prune(struct trainer *t, size_t most)
{
    struct pruning p = { .trainer = t, .candidates = mem_alloc_array(t->count, sizeof(struct candidate)) };
    size_t kept = 0, count = 0;

    tally(t, true);
    for (size_t i = 0; i < piece_limit(t); i++)
        p.sum += t->sums[i];
    p.log_sum = log(p.sum);
    parallel_for(TILES, judge_tile, &p);
    for (size_t i = 0; i < t->count; i++) {
        if (p.candidates[i].piece == 0)
            t->list[kept++] = t->list[i];
        else if (p.candidates[i].piece > 0)
            p.candidates[count++] = p.candidates[i];
    }
    qsort(p.candidates, count, sizeof(*p.candidates), compare_candidates);
    for (size_t i = 0; i < count && kept < most; i++)
        t->list[kept++] = p.candidates[i].piece;
    t->count = kept;
    mem_free(p.candidates);
    model_update(t);
}

/* ---- the result ---- */

void unigram_entries_release(struct unigram_entries *e)
{
    for (size_t i = 0; i < e->count; i++)
        mem_free(e->items[i].text);
    mem_free(e->items);
    *e = (struct unigram_entries){ 0 };
}

struct entry_order {
    struct unigram_entry entry;
    size_t place;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry_order *x = a, *y = b;

    if (x->entry.score != y->entry.score)
        return x->entry.score > y->entry.score ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static void sort_entries(struct unigram_entries *e)
{
    struct entry_order *list = mem_alloc_array(e->count, sizeof(*list));

    for (size_t i = 0; i < e->count; i++)
        list[i] = (struct entry_order){ e->items[i], i };
    qsort(list, e->count, sizeof(*list), compare_entries);
    for (size_t i = 0; i < e->count; i++)
        e->items[i] = list[i].entry;
    mem_free(list);
}

static void add_entry(struct unigram_entries *e, const char *text, size_t length, double score)
{
    e->items = mem_grow(e->items, e->count, &e->capacity, sizeof(*e->items));
    e->items[e->count++] = (struct unigram_entry){ mem_strndup(text, length), length, score };
}

/* The piece of a character, 0 when it is none any more. */
static int32_t char_piece(const struct trainer *t, const char *text, int length)
{
    const struct prefix_edge *edge = NULL;
    uint32_t node = PREFIX_ROOT;

    for (int i = 0; i < length; i++, node = edge->child)
        if (!(edge = prefix_step(&t->model.entries, node, (uint8_t)text[i])))
            return 0;
    return edge && edge->value > 0 && t->model.alive[edge->value] ? edge->value : 0;
}

/* All characters, those that are no piece any more below all others; then the pieces. reserved: special
 * tokens, which are no pieces again. */
static void make_entries(const struct trainer *t, size_t most, const struct tok_train_options *o,
                         struct unigram_entries *out)
{
    double missing = t->model.unk_score + 10;
    struct map taken;
    char text[4];

    map_init(&taken);
    for (size_t i = 0; i < o->special_count; i++)
        map_add(&taken, o->specials[i], strlen(o->specials[i]), 0);
    for (size_t i = 0; i < t->seeds.char_count; i++) {
        int n = utf8_encode(t->seeds.chars[i], text);
        int32_t piece = char_piece(t, text, n);
        if (!map_add(&taken, text, (size_t)n, 0))
            continue;
        add_entry(out, text, (size_t)n, piece ? t->model.scores[piece] : missing);
        missing += piece ? 0 : char_step;
    }
    for (size_t i = 0; i < t->count && out->count < most; i++) {
        const struct seed *s = &t->seeds.items[t->list[i] - 1];
        if (map_add(&taken, s->text, s->length, 0))
            add_entry(out, s->text, s->length, t->model.scores[t->list[i]]);
    }
    map_release(&taken);
    sort_entries(out);
}

static void train_rounds(struct trainer *t, const struct tok_train_options *o)
{
    size_t wanted = (size_t)o->vocab_size * 11 / 10, most,
           before; /* the one for what is unknown counts, too */

    for (;;) {
        for (int64_t i = 0; i < o->sub_iterations; i++) {
            tally(t, false);
            maximize(t);
        }
        if (t->count + 1 <= wanted)
            return;
        before = t->count;
        most = (size_t)((double)(before + 1) * o->shrinking_factor);
        prune(t, (most > wanted ? most : wanted) - 1);
        if (t->count == before)
            return; /* none of them can be missed */
    }
}

int train_unigram(const struct word_counts *counts, const struct tok_train_options *o, int64_t most,
                  struct unigram_entries *out)
{
    struct trainer t = { 0 };
    int status = unigram_words_init(&t.words, counts);

    if (status == OK)
        seeds_init(&t.seeds, &t.words, o);
    if (status == OK && t.seeds.char_count > (size_t)most)
        status =
            fail(ERR_CONFIG, "vocab_size %lld (expected room for the %zu different characters of the text)",
                 (long long)o->vocab_size, t.seeds.char_count);
    if (status == OK) {
        model_init(&t);
        train_rounds(&t, o);
        make_entries(&t, (size_t)most, o, out);
    }
    trainer_release(&t);
    return status;
}
