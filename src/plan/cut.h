/* What the two halves of the cut share: forward and backward (cut.c), and the update (cut_update.c). */
#ifndef PLAIT_PLAN_CUT_H
#define PLAIT_PLAN_CUT_H

#include "plan/stage.h"

struct cut {
    const struct stages *s;
    const struct graph *g;
    struct graph *mine;
    int rank, chunk;   /* chunk: whose nodes are being copied; the number of chunks stands for the update */
    enum unit unit;    /* of the nodes that are being copied */
    int *stage;        /* [node] of the forward and backward pass */
    bool *free;        /* [node]: repeated on each stage that reads it */
    bool *early;       /* [node]: of weight gradients, but made with the input gradients, which read it */
    int *reach;        /* [tensor]: the farthest stage that reads it */
    uint64_t *members; /* [tensor]: ranks that read this parameter, a bit each */
    struct tensor **copy; /* [chunk][tensor] */
    struct tensor **kept; /* [tensor]: newest version of what has storage of its own */
    bool *results;        /* [tensor]: the host reads it */
    bool *partial;        /* [tensor]: of the update, a sum over the pp axis that is still to be made */
};

bool cut_is_collective(const struct node *n);
/* Where the copy of t is noted that the chunk now being copied has. */
struct tensor **cut_copy_of(const struct cut *c, const struct tensor *t);
/* The newest version of a parameter, state or accumulator. */
struct tensor *cut_newest(struct cut *c, struct tensor *root);
/* What stands for t in the graph being made: an input has a copy for each chunk, a value the one its chunk
 * has made or received, all else its newest version. */
struct tensor *cut_take(struct cut *c, struct tensor *t);
/* A node like this one, whose inputs the caller sets, and its outputs: cut_outputs. */
struct node *cut_new_node(struct cut *c, const struct node *like);
void cut_outputs(struct cut *c, const struct node *from, struct node *n);
/* The optimizer's nodes of this rank. */
void cut_update(struct cut *c);

#endif
