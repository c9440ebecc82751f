#include "tok/train_lattice.h"

#include <math.h>

#include "base/mem.h"
#include "tok/model.h"

void lattice_release(struct lattice *l)
{
    mem_free(l->nodes);
    mem_free(l->forward);
    mem_free(l->backward);
    mem_free(l->last);
    mem_free(l->path);
    *l = (struct lattice){ 0 };
}

static void add_node(struct lattice *l, size_t begin, size_t end, int32_t piece, double score)
{
    l->nodes = mem_grow(l->nodes, l->count, &l->capacity, sizeof(*l->nodes));
    l->nodes[l->count++] = (struct lattice_node){ (uint32_t)begin, (uint32_t)end, piece, score };
}

static void places_reserve(struct lattice *l, size_t count)
{
    if (count <= l->places)
        return;
    l->places = count * 2;
    l->forward = mem_resize(l->forward, l->places * sizeof(*l->forward));
    l->backward = mem_resize(l->backward, l->places * sizeof(*l->backward));
    l->last = mem_resize(l->last, l->places * sizeof(*l->last));
}

void lattice_set(struct lattice *l, const struct unigram_model *m, const char *text, size_t length,
                 bool whole)
{
    const char *end = text + length;

    l->count = 0;
    places_reserve(l, length + 1);
    for (size_t begin = 0, n; begin < length; begin += n) {
        const struct prefix_edge *edge;
        uint32_t node = PREFIX_ROOT;
        bool single = false;
        n = model_char_length(text + begin, end);
        for (size_t i = begin; i < length; i++, node = edge->child) {
            edge = prefix_step(&m->entries, node, (uint8_t)text[i]);
            if (!edge)
                break;
            if (edge->value < 0 || !m->alive[edge->value] || (whole && begin == 0 && i + 1 == length))
                continue;
            add_node(l, begin, i + 1, edge->value, m->scores[edge->value]);
            single = single || i + 1 == begin + n;
        }
        if (!single)
            add_node(l, begin, begin + n, 0, m->unk_score);
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

void lattice_expect(struct lattice *l, size_t length, double count, double *expected)
{
    double z;

    for (size_t i = 0; i <= length; i++)
        l->forward[i] = l->backward[i] = -INFINITY;
    l->forward[0] = l->backward[length] = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct lattice_node *n = &l->nodes[i];
        l->forward[n->end] = log_sum(l->forward[n->end], n->score + l->forward[n->begin]);
    }
    for (size_t last = l->count, first; last > 0; last = first) { /* nodes of one place, by length */
        first = last;
        while (first > 0 && l->nodes[first - 1].begin == l->nodes[last - 1].begin)
            first--;
        for (size_t i = first; i < last; i++) {
            const struct lattice_node *n = &l->nodes[i];
            l->backward[n->begin] = log_sum(l->backward[n->begin], n->score + l->backward[n->end]);
        }
    }
    z = l->forward[length];
    for (size_t i = 0; i < l->count; i++) {
        const struct lattice_node *n = &l->nodes[i];
        expected[n->piece] += count * exp(l->forward[n->begin] + n->score + l->backward[n->end] - z);
    }
}

double lattice_best(struct lattice *l, size_t length)
{
    size_t at = length;

    for (size_t i = 0; i <= length; i++)
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
    return l->forward[length];
}
