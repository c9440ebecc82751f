/* train_lattice -- all ways to cut a text into pieces of a Unigram model in training. Pieces are numbers from
 * 1; 0 stands for a character that is no piece.
 *
 * The pieces in a text are looked up once and kept as a list of numbers, 4 bytes each; every later reading
 * takes the list, and drops what has died since. */
#ifndef PLAIT_TOK_TRAIN_LATTICE_H
#define PLAIT_TOK_TRAIN_LATTICE_H

#include <stdbool.h>

#include "tok/prefix.h"

struct unigram_piece {         /* of [0], which stands for all it is not, only score and probability */
    double score, probability; /* its logarithm, and it */
    uint32_t length;
    bool alive; /* once dead, it stays so */
};

/* ---- texts as pieces ---- */

struct cuts { /* zeroed to begin with; texts are added, and then read any number of times, in their order */
    uint32_t *pieces; /* by place in the text, then by length; the last of a place is marked */
    size_t piece_count, piece_capacity;
    size_t *counts; /* by text: its pieces */
    size_t count, capacity;
};
void cuts_release(struct cuts *c);
/* whole: the piece that covers all of the text is left out. length 0: a text that nobody will ask for. */
void cuts_add(struct cuts *c, const struct prefix *trie, const struct unigram_piece *pieces, const char *text,
              size_t length, bool whole);

struct cuts_reader { /* all of one, from the first text to the last */
    struct cuts *cuts;
    size_t text, from, to;
};
void cuts_skip(struct cuts_reader *r); /* the next text, for ever */

/* ---- one text ---- */

struct lattice_node {
    uint32_t begin, end;
    uint32_t piece;
    double score, probability;
};

struct lattice {                /* zeroed to begin with */
    struct lattice_node *nodes; /* by begin, then by length */
    size_t count, capacity;
    size_t length, chars;       /* of the text */
    double *forward, *backward; /* by place: sums over all ways to it, and from it */
    uint32_t *last;             /* by place: node that the best way to it ends with, + 1 */
    size_t places;
    uint32_t *path;
    size_t path_count, path_capacity;
};

void lattice_release(struct lattice *l);
/* The next text of the reader, which is this one. */
void lattice_read(struct lattice *l, struct cuts_reader *r, const struct unigram_piece *pieces,
                  const char *text, size_t length);
/* Adds to expected[piece] how often each piece stands in the text, over all ways by their probability. least:
 * no score is below it. */
void lattice_expect(struct lattice *l, double count, double least, double *expected);
/* The best way, its pieces in l->path from the last to the first; returns its score. */
double lattice_best(struct lattice *l);

#endif
