/* shard -- what the two halves of the shard pass share: the cost of changing a placement, the rules of a
 * node, and the search for the forward nodes' rules. */
#ifndef PLAIT_PLAN_SHARD_H
#define PLAIT_PLAN_SHARD_H

#include "plan/plan.h"

/* An axis as the cost of crossing it. */
struct axis_cost {
    enum axis axis;
    int size; /* ranks */
    const struct cluster *cluster;
};

/* Seconds to turn t from one placement to another; INFINITY when there is no way. */
double redistribute_seconds(const struct axis_cost *c, const struct tensor *t, struct placement have,
                            struct placement want);
/* Seconds one rank computes for n when it does `work` of it. */
double node_seconds(const struct axis_cost *c, const struct node *n, double work);

/* timing.c: of the whole node, the part that one rank does: as much as of its most divided tensor it has. */
double node_share(const struct node *n, const struct mesh *mesh);
/* The part of its rows that are used on average: as many as of its least used tensor. */
double node_used(const struct node *n, const double used[COUNT_KINDS]);
bool node_moves(const struct node *n); /* it is a transfer among ranks */

/* A tensor's placement may still be free (a parameter nobody has read yet): it takes what the first reader
 * wants. */
#define PLACEMENT_FREE ((struct placement){ .kind = (enum placement_kind)(-1) })
static inline bool placement_is_free(struct placement p)
{
    return (int)p.kind == -1;
}

/* Where a free tensor is put for a first reader that wants it so: nothing lies PARTIAL or HELD to begin with.
 */
static inline struct placement placement_settle(struct placement want)
{
    return want.kind == SHARD ? want : (struct placement){ .kind = REPLICATE };
}

/* All rules of n on this axis, "everything REPLICATE" among them. */
void node_rules(const struct node *n, const struct placement have[], const struct axis_cost *c,
                struct arena *arena, struct shard_rules *out);

/* Chooses rules for the forward nodes on an axis so that computing and communicating, forward and backward,
 * take the least time. on: [tensor] placements known before (or PLACEMENT_FREE). choice: [node] the rule to
 * take, NULL for nodes that are not forward. Rules live in arena. */
void search_rules(const struct graph *g, const struct axis_cost *c, const struct placement on[],
                  struct arena *arena, const struct shard_rule *choice[]);

/* zero.c: [tensor] how each parameter, and its gradient, is dealt out over dp among `size` ranks (SHARD) or
 * that it is not (REPLICATE), given where it lies on tp. In the arena. */
struct placement *zero_shares(const struct graph *g, const struct shard_options *o, int size,
                              struct arena *arena);
/* How t, which no node has made, lies on dp before it is read. */
struct placement zero_known(const struct graph *g, const struct shard_options *o, const struct tensor *t,
                            struct placement share);

#endif
