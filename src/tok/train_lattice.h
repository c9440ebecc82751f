/* train_lattice -- all ways to cut a text into pieces of a Unigram model in training. Pieces are numbers from
 * 1; 0 stands for a character that is no piece. */
#ifndef PLAIT_TOK_TRAIN_LATTICE_H
#define PLAIT_TOK_TRAIN_LATTICE_H

#include <stdbool.h>

#include "tok/prefix.h"

struct unigram_model {
    struct prefix entries;
    double *scores;   /* by piece; of dead ones nothing */
    bool *alive;      /* by piece */
    double unk_score; /* of a character that is no piece */
};

struct lattice_node {
    uint32_t begin, end;
    int32_t piece;
    double score;
};

struct lattice {                /* zeroed to begin with */
    struct lattice_node *nodes; /* by begin, then by length */
    size_t count, capacity;
    double *forward, *backward; /* by place: logarithms of the sums over all ways to it, and from it */
    uint32_t *last;             /* by place: node that the best way to it ends with, + 1 */
    size_t places;
    int32_t *path;
    size_t path_count, path_capacity;
};

void lattice_release(struct lattice *l);
/* whole: the node that covers all of the text is left out. */
void lattice_set(struct lattice *l, const struct unigram_model *m, const char *text, size_t length,
                 bool whole);
/* Adds to expected[piece] how often each piece stands in the text, over all ways by their probability. */
void lattice_expect(struct lattice *l, size_t length, double count, double *expected);
/* The best way, its pieces in l->path from the last to the first; returns its score. */
double lattice_best(struct lattice *l, size_t length);

#endif
