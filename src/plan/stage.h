/* stage -- the stages of a pipeline: which layers each has, and the part of a sharded graph that one rank's
 * stages are. Every rank of the pp axis finds the same stages. */
#ifndef PLAIT_PLAN_STAGE_H
#define PLAIT_PLAN_STAGE_H

#include "plan/plan.h"

enum { MOST_STAGE_RANKS = 52 }; /* a set of them is a whole number that a double holds */

struct stages {
    int ranks, chunks; /* stage s lies on rank s % ranks, its chunk s / ranks */
    int layers;        /* of the model */
    int *first_layer;  /* [stage]: -1 is what stands before all layers, `layers` what stands after them */
};

/* Seconds of the whole model's pieces, [1 + layer]: p->layers + 2 of them. The caller frees. */
double *stages_piece_seconds(const struct plan *p, const struct cluster *cluster);
/* Cuts between layers so that the stage that computes longest takes the least time: the embedding and the
 * head count, stages may have unequally many layers. ERR_CONFIG when there are more stages than layers. */
int stages_balance(const double *seconds, int layers, int ranks, int chunks, struct stages *out);
void stages_copy(const struct stages *from, struct stages *out);
void stages_release(struct stages *s);
static inline int stage_count(const struct stages *s)
{
    return s->ranks * s->chunks;
}
int stage_of_layer(const struct stages *s, int layer);

/* The nodes of one rank's stages as a graph of their own, in the order of its programs: for each chunk what
 * it receives, its forward nodes, what it sends; then, from the last chunk to the first, the same backward
 * (`split`: with weight gradients after the sends); then the optimizer's nodes for its parameters. outputs:
 * tensors of g that the host reads; each becomes the rank's own, or NULL where another rank has it. g stays
 * as it is and must outlive the cut. */
struct graph *stages_cut(const struct stages *s, const struct graph *g, int rank, bool split,
                         struct tensor **const outputs[], int count);

#endif
