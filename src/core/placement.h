/* placement -- how a tensor lies on the mesh, which is a grid of ranks with named axes. Axes are dp
 * (samples are dealt out), tp (tensors are cut) and pp (stages of layers). A tensor has a placement on dp
 * and on tp; on pp, nodes have a stage. On each axis of placements:
 *
 *   REPLICATE  all ranks hold the same.
 *   SHARD(d)   rank i holds entries [i*c, (i+1)*c) of dim d, c = ceil(size / axis size). What lies past the
 *              end is padding, in memory only.
 *   PARTIAL    the tensor is a reduction over what the ranks hold: their sum, maximum or log-sum-exp.
 *   HELD       the first rank has all of it, the others nothing, which counts as zeros. */
#ifndef PLAIT_CORE_PLACEMENT_H
#define PLAIT_CORE_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

enum axis { AXIS_DP, AXIS_TP, AXIS_PP, AXIS_COUNT, PLACEMENT_AXES = AXIS_PP };

struct mesh { /* rank = (pp * size[DP] + dp) * size[TP] + tp: neighbours in rank order talk most */
    int size[AXIS_COUNT]; /* ranks along each axis; 0 is 1 */
};

enum placement_kind { REPLICATE, SHARD, PARTIAL, HELD };
enum reduction { REDUCE_SUM, REDUCE_MAX, REDUCE_LOGSUMEXP };

struct placement {
    enum placement_kind kind;
    int dim;                  /* for SHARD */
    enum reduction reduction; /* for PARTIAL */
};

struct layout {
    struct placement on[PLACEMENT_AXES];
};

bool placement_equal(struct placement a, struct placement b);
const char *axis_name(enum axis axis);
int mesh_size(const struct mesh *m, enum axis axis); /* at least 1 */
int mesh_ranks(const struct mesh *m);
int mesh_coordinate(const struct mesh *m, int rank, enum axis axis);
/* The rank that differs from this one in that coordinate alone. */
int mesh_neighbour(const struct mesh *m, int rank, enum axis axis, int coordinate);

#endif
