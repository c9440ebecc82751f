#include "tok/train_lattice.h"

#include <math.h>

#include "base/mem.h"
#include "tok/model.h"

#define LAST_HERE (1u << 31)

/* ---- texts as pieces ---- */

void cuts_release(struct cuts *c)
{
    mem_free(c->pieces);
    mem_free(c->counts);
    *c = (struct cuts){ 0 };
}

static void add_piece(struct cuts *c, uint32_t piece)
{
    c->pieces = mem_grow(c->pieces, c->piece_count, &c->piece_capacity, sizeof(*c->pieces));
    c->pieces[c->piece_count++] = piece;
}

void cuts_add(struct cuts *c, const struct prefix *trie, const struct unigram_piece *pieces, const char *text,
              size_t length, bool whole)
{
    const char *end = text + length;
    size_t before = c->piece_count;

    for (size_t begin = 0, n; begin < length; begin += n) {
        const struct prefix_edge *edge;
        uint32_t node = PREFIX_ROOT;
        bool single = false;
        n = model_char_length(text + begin, end);
        for (size_t i = begin; i < length; i++, node = edge->child) {
            edge = prefix_step(trie, node, (uint8_t)text[i]);
            if (!edge)
                break;
            if (edge->value < 0 || !pieces[edge->value].alive || (whole && begin == 0 && i + 1 == length))
                continue;
            add_piece(c, (uint32_t)edge->value);
            single = single || i + 1 == begin + n;
        }
        if (!single)
            add_piece(c, 0);
        c->pieces[c->piece_count - 1] |= LAST_HERE;
    }
    c->counts = mem_grow(c->counts, c->count, &c->capacity, sizeof(*c->counts));
    c->counts[c->count++] = c->piece_count - before;
}

void cuts_skip(struct cuts_reader *r)
{
    size_t *count = &r->cuts->counts[r->text++];

    r->from += *count;
    *count = 0;
}

/* ---- one text ---- */

void lattice_release(struct lattice *l)
{
    mem_free(l->nodes);
    mem_free(l->forward);
    mem_free(l->backward);
    mem_free(l->last);
    mem_free(l->path);
    *l = (struct lattice){ 0 };
}

static void reserve(struct lattice *l, size_t places, size_t nodes)
{
    if (places > l->places) {
        l->places = places * 2;
        l->forward = mem_resize(l->forward, l->places * sizeof(*l->forward));
        l->backward = mem_resize(l->backward, l->places * sizeof(*l->backward));
        l->last = mem_resize(l->last, l->places * sizeof(*l->last));
    }
    if (nodes > l->capacity) {
        l->capacity = nodes * 2;
        l->nodes = mem_resize(l->nodes, l->capacity * sizeof(*l->nodes));
    }
}

static void add_node(struct lattice *l, size_t begin, size_t end, uint32_t piece,
                     const struct unigram_piece *p)
{
    l->nodes[l->count++] =
        (struct lattice_node){ (uint32_t)begin, (uint32_t)end, piece, p->score, p->probability };
}

/* The pieces of one place, of which the dead are dropped. Where a character's own is, it stands as none. */
static void read_place(struct lattice *l, struct cuts_reader *r, const struct unigram_piece *pieces,
                       size_t begin, size_t n)
{
    uint32_t *list = r->cuts->pieces, piece;
    bool single = false;

    do {
        piece = list[r->from++];
        uint32_t id = piece & ~LAST_HERE;
        if (id == 0 || !pieces[id].alive)
            continue;
        single = single || pieces[id].length == n;
        add_node(l, begin, begin + pieces[id].length, id, &pieces[id]);
        list[r->to++] = id;
    } while (!(piece & LAST_HERE));
    if (!single) {
        add_node(l, begin, begin + n, 0, &pieces[0]);
        list[r->to++] = 0;
    }
    list[r->to - 1] |= LAST_HERE;
}

void lattice_read(struct lattice *l, struct cuts_reader *r, const struct unigram_piece *pieces,
                  const char *text, size_t length)
{
    size_t before = r->to;

    l->count = l->chars = 0;
    l->length = length;
    reserve(l, length + 1, r->cuts->counts[r->text]);
    for (size_t begin = 0, n; begin < length; begin += n, l->chars++) {
        n = model_char_length(text + begin, text + length);
        read_place(l, r, pieces, begin, n);
    }
    r->cuts->counts[r->text++] = r->to - before;
}

/* ---- sums over all ways ---- */

/* Products of probabilities: of a way of so few pieces they are far above the smallest numbers. */
static void expect_short(struct lattice *l, double count, double *expected)
{
    double scale;

    for (size_t i = 0; i <= l->length; i++)
        l->forward[i] = l->backward[i] = 0;
    l->forward[0] = l->backward[l->length] = 1;
    for (size_t i = 0; i < l->count; i++) {
        const struct lattice_node *n = &l->nodes[i];
        l->forward[n->end] += l->forward[n->begin] * n->probability;
    }
    scale = count / l->forward[l->length];
    for (size_t i = l->count; i-- > 0;) {
        const struct lattice_node *n = &l->nodes[i];
        double rest = n->probability * l->backward[n->end];
        l->backward[n->begin] += rest;
        expected[n->piece] += scale * l->forward[n->begin] * rest;
    }
}

/* log(exp(x) + exp(y)); x is nothing yet when it is -INFINITY. */
static double log_sum(double x, double y)
{
    double low = x > y ? y : x, high = x > y ? x : y;

    if (high > low + 50)
        return high;
    return high + log(exp(low - high) + 1);
}

static void expect_long(struct lattice *l, double count, double *expected)
{
    double z;

    for (size_t i = 0; i <= l->length; i++)
        l->forward[i] = l->backward[i] = -INFINITY;
    l->forward[0] = l->backward[l->length] = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct lattice_node *n = &l->nodes[i];
        l->forward[n->end] = log_sum(l->forward[n->end], n->score + l->forward[n->begin]);
    }
    z = l->forward[l->length];
    for (size_t i = l->count; i-- > 0;) {
        const struct lattice_node *n = &l->nodes[i];
        double rest = n->score + l->backward[n->end];
        l->backward[n->begin] = log_sum(l->backward[n->begin], rest);
        expected[n->piece] += count * exp(l->forward[n->begin] + rest - z);
    }
}

void lattice_expect(struct lattice *l, double count, double least, double *expected)
{
    const double smallest = -600; /* exp(-708) is the smallest number with all its digits */

    if ((double)l->chars * least > smallest)
        expect_short(l, count, expected);
    else
        expect_long(l, count, expected);
}

/* ---- the best way ---- */

double lattice_best(struct lattice *l)
{
    size_t at = l->length;

    for (size_t i = 0; i <= l->length; i++)
        l->last[i] = 0;
    l->forward[0] = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct lattice_node *n = &l->nodes[i];
        double score = l->forward[n->begin] + n->score;
        if (!l->last[n->end] || score > l->forward[n->end]) {
            l->forward[n->end] = score;
            l->last[n->end] = (uint32_t)i + 1;
        }
    }
    for (l->path_count = 0; at > 0; at = l->nodes[l->last[at] - 1].begin) {
        l->path = mem_grow(l->path, l->path_count, &l->path_capacity, sizeof(*l->path));
        l->path[l->path_count++] = l->nodes[l->last[at] - 1].piece;
    }
    return l->forward[l->length];
}
