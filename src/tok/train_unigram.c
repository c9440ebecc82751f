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
    struct prefix trie;           /* of the seeds */
    struct unigram_piece *pieces; /* piece i is seeds.items[i - 1] */
    int32_t *list;                /* the pieces that are left, in their order */
    size_t count;
    struct cuts word_cuts[TILES], piece_cuts[TILES]; /* of words, and of the seeds' own texts */
    bool pieces_cut;                                 /* not before the first time they are asked for */
    double *sums;                                    /* TILES times by piece */
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

    for (size_t i = 0; i < piece_limit(t); i++)
        t->pieces[i].alive = false;
    for (size_t i = 0; i < t->count; i++) {
        struct unigram_piece *p = &t->pieces[t->list[i]];
        p->alive = true;
        p->probability = exp(p->score);
        least = fmin(least, p->score);
    }
    t->pieces[0].score = least - 10;
    t->pieces[0].probability = exp(t->pieces[0].score);
}

static void model_init(struct trainer *t)
{
    double sum = 0;

    for (size_t i = 0; i < t->seeds.count; i++)
        sum += t->seeds.items[i].weight;
    prefix_init(&t->trie);
    t->pieces = mem_alloc_array(piece_limit(t), sizeof(*t->pieces));
    t->list = mem_alloc_array(piece_limit(t), sizeof(*t->list));
    t->sums = mem_alloc_array(piece_limit(t) * TILES, sizeof(*t->sums));
    for (size_t i = 0; i < t->seeds.count; i++) {
        const struct seed *s = &t->seeds.items[i];
        prefix_add(&t->trie, s->text, s->length, (int32_t)i + 1);
        t->pieces[i + 1].score = log(s->weight) - log(sum);
        t->pieces[i + 1].length = s->length;
        t->list[t->count++] = (int32_t)i + 1;
    }
    model_update(t);
}

static void trainer_release(struct trainer *t)
{
    for (int i = 0; i < TILES; i++) {
        cuts_release(&t->word_cuts[i]);
        cuts_release(&t->piece_cuts[i]);
    }
    prefix_release(&t->trie);
    mem_free(t->pieces);
    mem_free(t->list);
    mem_free(t->sums);
    seeds_release(&t->seeds);
    unigram_words_release(&t->words);
}

/* ---- tiles ---- */

struct tile {
    size_t begin, end;
};

static struct tile tile_of(size_t count, int64_t tile)
{
    return (struct tile){ count * (size_t)tile / TILES, count * (size_t)(tile + 1) / TILES };
}

static void cut_words_tile(void *context, int64_t tile)
{
    struct trainer *t = context;
    struct tile part = tile_of(t->words.count, tile);

    for (size_t i = part.begin; i < part.end; i++)
        cuts_add(&t->word_cuts[tile], &t->trie, t->pieces, t->words.items[i].bytes, t->words.items[i].length,
                 false);
}

static bool is_char(const struct seed *s)
{
    return (size_t)model_char_length(s->text, s->text + s->length) == s->length;
}

/* How else pieces that are alive can be cut. */
static void cut_pieces_tile(void *context, int64_t tile)
{
    struct trainer *t = context;
    struct tile part = tile_of(t->seeds.count, tile);

    for (size_t i = part.begin; i < part.end; i++) {
        const struct seed *s = &t->seeds.items[i];
        bool wanted = t->pieces[i + 1].alive && !is_char(s);
        cuts_add(&t->piece_cuts[tile], &t->trie, t->pieces, s->text, wanted ? s->length : 0, true);
    }
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
    struct cuts_reader r = { &t->word_cuts[tile] };
    struct tile part = tile_of(t->words.count, tile);
    struct lattice l = { 0 };

    memset(sums, 0, piece_limit(t) * sizeof(*sums));
    for (size_t i = part.begin; i < part.end; i++) {
        const struct unigram_word *w = &t->words.items[i];
        lattice_read(&l, &r, t->pieces, w->bytes, w->length);
        if (!y->best) {
            lattice_expect(&l, (double)w->count, t->pieces[0].score, sums);
            continue;
        }
        lattice_best(&l);
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
        t->pieces[t->list[i]].score = digamma(t->sums[t->list[i]]) - log_sum;
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
    struct trainer *trainer;
    struct candidate *candidates; /* by piece; piece 0: it is kept, -1: dropped */
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

static void judge(const struct pruning *p, struct lattice *l, struct cuts_reader *r, int32_t piece)
{
    const struct trainer *t = p->trainer;
    const struct seed *s = &t->seeds.items[piece - 1];
    struct candidate *c = &p->candidates[piece];
    bool single = is_char(s), whole = true;

    if (single || !t->pieces[piece].alive) {
        cuts_skip(r);
    } else {
        lattice_read(l, r, t->pieces, s->text, s->length);
        whole = t->pieces[piece].score >= lattice_best(l);
    }
    if (t->sums[piece] == 0 && (!whole || !single))
        c->piece = -1;
    else if (!single && whole)
        *c = (struct candidate){ .loss = loss_of(p, l, piece), .piece = piece };
}

static void judge_tile(void *context, int64_t tile)
{
    struct pruning *p = context;
    struct trainer *t = p->trainer;
    struct cuts_reader r = { &t->piece_cuts[tile] };
    struct tile part = tile_of(t->seeds.count, tile);
    struct lattice l = { 0 };

    for (size_t i = part.begin; i < part.end; i++)
        judge(p, &l, &r, (int32_t)i + 1);
    lattice_release(&l);
}

/* Pieces that cannot be missed, then those whose loss is greatest, up to `most` of all. */
static void prune(struct trainer *t, size_t most)
{
    struct pruning p = { .trainer = t,
                         .candidates = mem_alloc_array(piece_limit(t), sizeof(struct candidate)) };
    struct candidate *ordered = mem_alloc_array(t->count, sizeof(*ordered));
    size_t kept = 0, count = 0;

    if (!t->pieces_cut)
        parallel_for(TILES, cut_pieces_tile, t);
    t->pieces_cut = true;
    tally(t, true);
    for (size_t i = 0; i < piece_limit(t); i++)
        p.sum += t->sums[i];
    p.log_sum = log(p.sum);
    parallel_for(TILES, judge_tile, &p);
    for (size_t i = 0; i < t->count; i++) {
        struct candidate c = p.candidates[t->list[i]];
        c.order = (uint32_t)i;
        if (c.piece == 0)
            t->list[kept++] = t->list[i];
        else if (c.piece > 0)
            ordered[count++] = c;
    }
    qsort(ordered, count, sizeof(*ordered), compare_candidates);
    for (size_t i = 0; i < count && kept < most; i++)
        t->list[kept++] = ordered[i].piece;
    t->count = kept;
    mem_free(ordered);
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
        if (!(edge = prefix_step(&t->trie, node, (uint8_t)text[i])))
            return 0;
    return edge && edge->value > 0 && t->pieces[edge->value].alive ? edge->value : 0;
}

/* All characters, those that are no piece any more below all others; then the pieces. reserved: special
 * tokens, which are no pieces again. */
static void make_entries(const struct trainer *t, size_t most, const struct tok_train_options *o,
                         struct unigram_entries *out)
{
    double missing = t->pieces[0].score + 10;
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
        add_entry(out, text, (size_t)n, piece ? t->pieces[piece].score : missing);
        missing += piece ? 0 : char_step;
    }
    for (size_t i = 0; i < t->count && out->count < most; i++) {
        const struct seed *s = &t->seeds.items[t->list[i] - 1];
        if (map_add(&taken, s->text, s->length, 0))
            add_entry(out, s->text, s->length, t->pieces[t->list[i]].score);
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
        parallel_for(TILES, cut_words_tile, &t);
        train_rounds(&t, o);
        make_entries(&t, (size_t)most, o, out);
    }
    trainer_release(&t);
    return status;
}
