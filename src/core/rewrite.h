/* rewrite -- changes to a finished graph that keep its meaning: recompute and fusion.
 *
 * A card's `fuse` may look at the readers of its outputs, take over a neighbour's output and remove the
 * neighbour. The order of nodes stays valid: what a node absorbs must not need anything made after the node
 * itself (rewrite_precedes). */
#ifndef PLAIT_CORE_REWRITE_H
#define PLAIT_CORE_REWRITE_H

#include "core/op.h"

struct rewrite {
    struct graph *graph;
    struct reader_list *readers; /* [tensor id] */
    int *place;                  /* [node id]: place in the order, -1 once removed */
    struct node **order;
    size_t count;
};

/* Runs every card's fuse over the graph, or (`only`) that of one op. */
void rewrite_fuse(struct graph *g, const struct op_def *only);
/* Makes cheap forward values again right before their first reader in the backward pass, where their own
 * inputs are kept anyway, so that they need not live from forward to backward. */
void rewrite_recompute_cheap(struct graph *g);
/* Makes all of a layer's forward values again before its backward pass: only what goes from layer to layer is
 * kept. */
void rewrite_recompute_layers(struct graph *g);
/* Drops nodes whose outputs nobody reads and that write into nothing; `keep` values (count of them, NULLs are
 * passed over) stay. */
void rewrite_drop_unused(struct graph *g, struct tensor *const keep[], int count);

/* ---- For cards ---- */
int rewrite_reader_count(const struct rewrite *r, const struct tensor *t);
struct node *rewrite_reader(const struct rewrite *r, const struct tensor *t,
                            int i); /* in order of execution */
bool rewrite_precedes(const struct rewrite *r, const struct tensor *t,
                      const struct node *n); /* t is made before n runs */
/* n's output j becomes `t`, which the absorbed node made so far; the absorbed node must be removed next. */
void rewrite_take_output(struct rewrite *r, struct node *n, int j, struct tensor *t);
void rewrite_set_input(struct rewrite *r, struct node *n, int i, struct tensor *t);
void rewrite_remove(struct rewrite *r, struct node *n); /* its remaining outputs must have no readers */

#endif
